//! The engine: raw records in, changes of view rows out, exact at every closed tick.
//!
//! ```text
//!   Engine::send(batch) --bounded--> worker 0..N: [ parse ] --by id--> [ ingest ] --> views --> Output --bounded--> a sink
//!           close_tick ------------> every worker                                          \--> Output::Closed
//! ```
//!
//! One thread drives: it hands batches of raw records to the workers and says when a tick ends. Workers are timely's; they park when
//! there is nothing to do.
//!
//! # Invariants
//! 1. Every worker sees every tick end, after its last batch of that tick.
//! 2. A worker says `Closed(t)` after the last `Changes` of ticks below `t`: who has it from all workers has every row of those ticks.
//! 3. At most [`Config::ticks_in_flight`] ticks are open or on their way; `send` waits otherwise, and so sinks slow sources down.

pub mod batch;
pub mod counts;
pub mod frontiers;
pub mod ingest;
pub mod parse;
pub mod state;
mod worker;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use eddy_dataflows::views::Definition;
use eddy_schemas::Changes;
use eddy_schemas::control::DeadLetter;

pub use batch::Batch;
pub use counts::Counts;
pub use frontiers::Frontiers;

use crate::clock::Clock;
use crate::texts::Texts;
use worker::{Feed, Feeder};

/// What an engine is made of.
#[derive(Clone)]
pub struct Config {
    pub workers: usize,
    pub views: Vec<&'static Definition>,
    /// Records that end a tick; 0: only `close_tick` does.
    pub tick_records_max: usize,
    /// Ticks that may be open or on their way to the sink; `send` waits at it.
    pub ticks_in_flight: usize,
    /// Batches that wait for one worker; `send` waits at it.
    pub batches_waiting_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: 1,
            views: eddy_dataflows::VIEWS.iter().collect(),
            tick_records_max: 1 << 17,
            ticks_in_flight: 4,
            batches_waiting_max: 4,
        }
    }
}

/// What comes out.
pub enum Output {
    /// Rows of one view that one worker changed in a tick.
    Changes { tick: u64, changes: Changes },
    /// This worker has said everything of the ticks below `frontier`; `None`: for ever.
    Closed { worker: usize, frontier: Option<u64> },
    /// A record that could not be read.
    Dead(DeadLetter),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a worker ended with an error: {0}")]
    Worker(String),
    #[error("the workers could not start: {0}")]
    Start(String),
}

/// A running engine.
pub struct Engine {
    config: Config,
    feeders: Vec<Feeder>,
    guards: timely::communication::WorkerGuards<()>,
    frontiers: Arc<Frontiers>,
    counts: Arc<Counts>,
    clock: Arc<dyn Clock>,
    tick: u64,
    records_in_tick: usize,
    next_worker: usize,
}

/// The clock of ticks: milliseconds, strictly increasing, not behind the clock.
fn next_tick(last: u64, now_ms: i64) -> u64 {
    (last + 1).max(u64::try_from(now_ms).unwrap_or(0))
}

impl Engine {
    /// Starts the workers. Outputs go to `outputs`, whose reader must keep reading.
    pub fn start(config: Config, inputs: parse::Inputs, texts: Arc<dyn Texts>, outputs: Sender<Output>) -> Result<Engine, Error> {
        let clock = Arc::clone(&inputs.clock);
        let counts = Arc::new(Counts::default());
        let frontiers = Arc::new(Frontiers::new(config.workers));
        let tick = next_tick(0, clock.now_ms());
        let (feeds, receivers): (Vec<_>, Vec<_>) = (0..config.workers).map(|_| bounded(config.batches_waiting_max)).unzip();
        let (ready, activators) = bounded(config.workers);
        let plan = worker::Plan {
            views: config.views.clone(),
            inputs: Arc::new(inputs),
            texts,
            outputs,
            counts: Arc::clone(&counts),
            frontiers: Arc::clone(&frontiers),
            first_tick: tick,
            ready,
        };
        let guards = worker::spawn(plan, receivers).map_err(Error::Start)?;
        let mut feeders = collect(&feeds, &activators, config.workers)?;
        feeders.sort_by_key(|feeder| feeder.worker);
        Ok(Engine { config, feeders, guards, frontiers, counts, clock, tick, records_in_tick: 0, next_worker: 0 })
    }

    /// Hands a batch to a worker. Waits while too much is on its way.
    pub fn send(&mut self, batch: Batch) -> Result<(), Error> {
        self.records_in_tick += batch.records_about();
        let tick = self.tick;
        let at = self.next_worker;
        self.next_worker = (at + 1) % self.feeders.len();
        self.feeders[at].send(Feed { tick, batch: Some(batch) })?;
        if self.config.tick_records_max > 0 && self.records_in_tick >= self.config.tick_records_max {
            self.close_tick()?;
        }
        Ok(())
    }

    /// The number that the open tick will have when it closes.
    pub fn open_tick(&self) -> u64 {
        self.tick
    }

    /// Ends the open tick; gives its number. Its rows are out when `frontiers` pass it.
    pub fn close_tick(&mut self) -> Result<u64, Error> {
        let closed = self.tick;
        self.tick = next_tick(closed, self.clock.now_ms());
        self.records_in_tick = 0;
        for feeder in &self.feeders {
            feeder.send(Feed { tick: self.tick, batch: None })?;
        }
        self.frontiers.opened(closed);
        self.frontiers.wait_in_flight(self.config.ticks_in_flight);
        Ok(closed)
    }

    pub fn frontiers(&self) -> Arc<Frontiers> {
        Arc::clone(&self.frontiers)
    }

    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Ends the last tick and waits until every row is out and the workers have ended.
    pub fn finish(mut self) -> Result<(), Error> {
        self.close_tick()?;
        self.feeders.clear();
        for ended in self.guards.join() {
            ended.map_err(Error::Worker)?;
        }
        Ok(())
    }
}

fn collect(
    feeds: &[Sender<Feed>],
    activators: &Receiver<(usize, timely::scheduling::SyncActivator)>,
    workers: usize,
) -> Result<Vec<Feeder>, Error> {
    (0..workers)
        .map(|_| {
            let (worker, activator) = activators.recv().map_err(|_| Error::Start("a worker ended at once".into()))?;
            Ok(Feeder::new(worker, feeds[worker].clone(), activator))
        })
        .collect()
}
