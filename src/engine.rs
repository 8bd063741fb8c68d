//! The engine: raw records in, changes of view rows out, exact at every closed tick.
//!
//! ```text
//!   Engine::send(batch) --bounded--> worker 0..N: [ parse ] --by id--> [ ingest ] --> views --> Output --bounded--> a sink
//!           close_tick ------------> every worker                                          \--> Output::Closed
//! ```
//!
//! One thread drives: it hands batches of raw records to the workers and says when a tick ends. Workers are timely's; they park when
//! there is nothing to do. Of several processes ([`Peers`]) each has an engine and a driver for its own workers; records meet those of the
//! same message, user or conversation wherever these are.
//!
//! # Invariants
//! 1. Every worker sees every tick end, after its last batch of that tick.
//! 2. A worker says `Closed(t)` after the last `Changes` of ticks below `t`: who has it from all workers has every row of those ticks.
//! 3. At most [`Config::ticks_in_flight`] ticks are open or on their way; `send` waits otherwise, and so sinks slow sources down.
//! 4. A new tick has the time at which its first batch was sent: whoever reads records before sending them finds none of them, received
//!    by the same clock, after their tick.

pub mod batch;
pub mod by_hand;
pub mod counts;
mod due;
pub mod durable;
pub mod frontiers;
pub mod ingest;
pub mod parse;
pub mod partitions;
pub mod recovery;
pub mod snapshot;
pub mod state;
pub mod sums;
pub mod ticks;
pub mod watermark;
mod worker;

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use eddy_dataflows::Keep;
use eddy_dataflows::views::Definition;
use eddy_schemas::Changes;
use eddy_schemas::control::DeadLetter;
use eddy_schemas::frame::{self, Tally};

pub use batch::{Batch, DUMPS, Raw};
pub use counts::Counts;
pub use frontiers::Frontiers;

use crate::clock::Clock;
use crate::queue;
use crate::texts::Texts;
use durable::Durable;
use snapshot::Past;
use ticks::{Frame, Tick};
use watermark::Time;
use worker::{Feed, Feeder};

/// As [`Config::batches_waiting_max`] is by default.
pub const BATCHES_WAITING_MAX: usize = 8;

/// What an engine is made of.
#[derive(Clone)]
pub struct Config {
    pub workers: usize,
    pub views: Vec<&'static Definition>,
    /// Records that end a tick; 0: only `close_tick` does.
    pub tick_records_max: usize,
    /// Ticks that may be open or on their way to the sink; `send` waits at it.
    pub ticks_in_flight: usize,
    /// Batches that wait for one worker; `send` waits at it, until half of them are taken.
    pub batches_waiting_max: usize,
    /// Where ticks are kept; none: in memory only.
    pub durable: Option<Arc<Durable>>,
    /// How long messages stay, and rows of hours and days.
    pub keep: Keep,
    /// A seed: workers have no threads and are stepped by who waits for them and by [`by_hand::step`], in an order that follows from it.
    pub by_hand: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: 1,
            views: eddy_dataflows::VIEWS.iter().collect(),
            tick_records_max: 1 << 17,
            ticks_in_flight: 4,
            batches_waiting_max: BATCHES_WAITING_MAX,
            durable: None,
            keep: Keep::default(),
            by_hand: None,
        }
    }
}

/// What comes out.
pub enum Output {
    /// Rows of one view that one worker changed in a tick.
    Changes { tick: u64, changes: Changes },
    /// This worker has said everything of the ticks below `frontier`; `None`: for ever.
    Closed { worker: usize, frontier: Option<u64> },
    /// A record of this tick that could not be read.
    Dead { tick: u64, letter: DeadLetter },
}

/// The other processes, each with as many workers as this one and the same dataflow.
pub struct Peers {
    /// The number of this process.
    pub process: usize,
    /// To each process, by its number; none to this one.
    pub sockets: Vec<Option<TcpStream>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a worker ended with an error: {0}")]
    Worker(String),
    #[error("the workers could not start: {0}")]
    Start(String),
    #[error(transparent)]
    Durable(#[from] durable::Error),
}

/// A running engine.
pub struct Engine {
    config: Config,
    feeders: Vec<Feeder>,
    workers: Workers,
    frontiers: Arc<Frontiers>,
    counts: Arc<Counts>,
    outputs: Sender<Output>,
    /// The tick that batches go to, once there is one.
    open: Option<u64>,
    /// The last tick that ended; 0 before the first.
    ended: u64,
    records_in_tick: usize,
    binding: String,
    /// What decides the time of new ticks.
    time: Time,
    /// What the open tick was told of its time, where it was decided before.
    told: Option<Time>,
    next_worker: usize,
    ticking: Ticking,
}

/// Who steps the workers.
enum Workers {
    Threads(timely::communication::WorkerGuards<()>),
    ByHand(by_hand::Workers),
}

/// How far the clock may run ahead of the monotonic clock: what people correct, and not a jump by a year, which no tick could take back.
const AHEAD_MS_MAX: i64 = 60_000;

/// The clock of ticks: milliseconds, strictly increasing, not behind the clock unless that jumps ahead.
struct Ticking {
    clock: Arc<dyn Clock>,
    /// The clock, when the monotonic clock stood at 0.
    origin_ms: i64,
}

impl Ticking {
    fn new(clock: Arc<dyn Clock>) -> Ticking {
        let origin_ms = clock.now_ms() - clock.monotonic_ms();
        Ticking { clock, origin_ms }
    }

    fn after(&self, last: u64) -> u64 {
        let now_ms = self.clock.now_ms().min(self.origin_ms + self.clock.monotonic_ms() + AHEAD_MS_MAX);
        (last + 1).max(u64::try_from(now_ms).unwrap_or(0))
    }
}

impl Engine {
    /// Starts the workers. Outputs go to `outputs`, whose reader must keep reading. Where the state is durable, what it holds comes first:
    /// [`Engine::recover`], then [`Engine::recovered`].
    pub fn start(config: Config, inputs: parse::Inputs, texts: Arc<dyn Texts>, outputs: Sender<Output>) -> Result<Engine, Error> {
        Engine::start_among(None, config, inputs, texts, outputs)
    }

    /// As [`start`](Self::start), as one process of several. Each has its own driver; all of them must give the same ticks
    /// ([`Engine::open_at`]) and end together. Outputs are those of this process's workers.
    pub fn start_among(
        peers: Option<Peers>,
        config: Config,
        inputs: parse::Inputs,
        texts: Arc<dyn Texts>,
        outputs: Sender<Output>,
    ) -> Result<Engine, Error> {
        let ticking = Ticking::new(Arc::clone(&inputs.clock));
        let counts = Arc::new(Counts::default());
        let frontiers = Arc::new(Frontiers::new(config.workers, config.by_hand.map(|_| by_hand::step as fn() -> bool)));
        let (feeds, receivers): (Vec<_>, Vec<_>) = (0..config.workers).map(|_| queue_for(&config)).unzip();
        let (ready, activators) = bounded(config.workers);
        let plan = worker::Plan {
            workers: config.workers,
            views: config.views.clone(),
            inputs: Arc::new(inputs),
            texts,
            outputs: outputs.clone(),
            counts: Arc::clone(&counts),
            frontiers: Arc::clone(&frontiers),
            durable: config.durable.clone(),
            keep: config.keep,
            ready,
        };
        let workers = match config.by_hand {
            None => Workers::Threads(worker::spawn(plan, receivers, peers).map_err(Error::Start)?),
            Some(seed) => Workers::ByHand(by_hand::start(&plan, receivers, seed)),
        };
        let feeders = collect(feeds, &activators)?;
        Ok(Engine {
            config,
            feeders,
            workers,
            frontiers,
            counts,
            outputs,
            open: None,
            ended: 0,
            records_in_tick: 0,
            binding: String::new(),
            time: Time::Now { active: vec![vec![batch::DUMPS]] },
            told: None,
            next_worker: 0,
            ticking,
        })
    }

    /// Feeds versions of a snapshot, as part of this tick and as of its event time.
    pub fn recover_versions(&mut self, tick: u64, versions: Vec<u8>, past: &Past) -> Result<(), Error> {
        self.open_as(tick, Some(told(past.time)))?;
        self.feed(Batch::Frame { versions: versions.into(), greatest: past.greatest.as_ref().map(watermark::noted) })
    }

    /// Feeds a tick that was decided before, as it was and with its number.
    pub fn recover(&mut self, tick: Tick) -> Result<(), Error> {
        self.open_as(tick.number, Some(told(tick.time())))?;
        for Frame { head, rows } in tick.frames {
            self.recover_tally(&head.tally);
            head.letters.into_iter().for_each(|letter| self.recover_letter(tick.number, letter));
            self.feed(Batch::Frame { versions: rows, greatest: head.greatest.as_ref().map(watermark::noted) })?;
        }
        Ok(())
    }

    /// The number that a tick would have which is opened now, after the one that is open.
    pub fn next_tick(&self) -> u64 {
        self.ticking.after(self.open.unwrap_or(self.ended))
    }

    /// Opens a tick that has a number, after the one that is open.
    pub fn open_at(&mut self, tick: u64) -> Result<(), Error> {
        self.open_as(tick, None)
    }

    /// The same; `told` is what was decided of its time before.
    fn open_as(&mut self, tick: u64, told: Option<Time>) -> Result<(), Error> {
        if self.open == Some(tick) {
            return Ok(());
        }
        if self.open.is_some() {
            self.close_tick()?;
        }
        assert!(tick > self.ended, "ticks are opened in order");
        self.open = Some(tick);
        self.told = told;
        Ok(())
    }

    /// Counts what was counted before.
    pub fn recover_tally(&self, tally: &Tally) {
        self.counts.add(tally);
    }

    /// Says a dead letter again.
    pub fn recover_letter(&self, tick: u64, letter: DeadLetter) {
        // Nobody reads outputs any more: the process is ending.
        let _ = self.outputs.send(Output::Dead { tick, letter });
    }

    /// Waits until everything recovered is out; ticks are new from now on, and greater than `last`.
    pub fn recovered(&mut self, last: u64) -> Result<(), Error> {
        if self.open.is_some() {
            let tick = self.close_tick()?;
            while !self.frontiers.wait(tick, Duration::from_secs(1)) {}
        }
        self.ended = self.ended.max(last);
        let durable = self.config.durable.as_ref().expect("what is recovered is durable");
        durable.check()?;
        durable.recovered();
        Ok(())
    }

    /// What the open tick is made from so far, as it will be told after a restart.
    pub fn bind(&mut self, binding: String) {
        self.binding = binding;
    }

    /// The partitions that the watermark waits for from now on.
    pub fn wait_for(&mut self, partitions: Vec<u32>) {
        self.time = Time::Now { active: partitions.into_iter().map(|partition| vec![partition]).collect() };
    }

    /// The same of some that are read one after another: whichever has come farthest counts.
    pub fn wait_for_any(&mut self, partitions: Vec<u32>) {
        self.time = Time::Now { active: vec![partitions] };
    }

    /// Nobody is waited for from now on, here and in other processes: all partitions are at their end, or silent.
    pub fn all_is_in(&mut self) {
        self.time = Time::AllIn;
    }

    /// Hands raw records to a worker. Waits while too much is on its way.
    pub fn send(&mut self, raw: Raw) -> Result<(), Error> {
        self.records_in_tick += raw.records_about();
        self.feed(Batch::Raw(raw))?;
        if self.config.tick_records_max > 0 && self.records_in_tick >= self.config.tick_records_max {
            self.close_tick()?;
        }
        Ok(())
    }

    fn feed(&mut self, batch: Batch) -> Result<(), Error> {
        let at = self.next_worker;
        self.next_worker = (at + 1) % self.feeders.len();
        let tick = self.open_tick();
        self.feeders[at].send(Feed::Batch { tick, batch })
    }

    /// The open tick, which gets its number now if nothing has been sent since the one before.
    pub fn open_tick(&mut self) -> u64 {
        *self.open.get_or_insert_with(|| self.ticking.after(self.ended))
    }

    /// Ends the open tick; gives its number. Its rows are out when `frontiers` pass it.
    pub fn close_tick(&mut self) -> Result<u64, Error> {
        let tick = self.open_tick();
        (self.open, self.ended, self.records_in_tick) = (None, tick, 0);
        let time = self.told.take().unwrap_or_else(|| self.time.clone());
        for feeder in &mut self.feeders {
            let (binding, time) = match feeder.worker {
                0 => (self.binding.clone(), Some(time.clone())),
                _ => (String::new(), None),
            };
            feeder.send(Feed::End { tick, binding, time })?;
        }
        self.frontiers.opened(tick);
        self.frontiers.wait_in_flight(self.config.ticks_in_flight);
        Ok(tick)
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
        match self.workers {
            Workers::Threads(guards) => guards.join().into_iter().try_for_each(|ended| ended.map_err(Error::Worker)),
            Workers::ByHand(workers) => {
                workers.join();
                Ok(())
            }
        }
    }
}

/// The time of a tick as its frame says it.
fn told(time: Option<frame::Time>) -> Time {
    Time::Told(time.and_then(watermark::told))
}

/// A worker's queue. One that is stepped by who sends has no bound: who waits for room in it would wait for ever.
fn queue_for(config: &Config) -> (queue::Sender<Feed>, queue::Receiver<Feed>) {
    if config.by_hand.is_some() { queue::unbounded() } else { queue::bounded(config.batches_waiting_max) }
}

fn collect(
    feeds: Vec<queue::Sender<Feed>>,
    activators: &Receiver<(usize, timely::scheduling::SyncActivator)>,
) -> Result<Vec<Feeder>, Error> {
    let ready = feeds.iter().map(|_| activators.recv().map_err(|_| Error::Start("a worker ended at once".into())));
    let mut ready = ready.collect::<Result<Vec<_>, _>>()?;
    ready.sort_by_key(|(worker, _)| *worker);
    Ok(feeds.into_iter().zip(ready).map(|(feed, (worker, activator))| Feeder::new(worker, feed, activator)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;

    const YEAR_MS: i64 = 366 * 86_400_000;
    const NOW_MS: i64 = 1_800_000_000_000;

    #[test]
    fn ticks_go_on_when_the_clock_jumps_by_a_year() {
        let clock = Arc::new(Manual::new(NOW_MS));
        let ticking = Ticking::new(Arc::clone(&clock) as _);
        let first = ticking.after(0);
        assert_eq!(first, NOW_MS as u64);
        clock.advance(1_000);
        let second = ticking.after(first);
        assert_eq!(second, first + 1_000);
        clock.set(NOW_MS - YEAR_MS);
        assert_eq!(ticking.after(second), second + 1);
        clock.set(NOW_MS + YEAR_MS);
        let ahead = ticking.after(second);
        assert_eq!(ahead, (NOW_MS + 1_000 + AHEAD_MS_MAX) as u64, "no tick is a year ahead, where all after it would have to be");
        clock.advance(10);
        assert_eq!(ticking.after(ahead), ahead + 10, "and they go on with time");
        clock.set(NOW_MS + 2_000);
        assert_eq!(ticking.after(ahead), ahead + 1, "until the clock has caught up");
        // People set a clock right by some seconds.
        clock.set(NOW_MS + 1_010 + 59_999);
        assert_eq!(ticking.after(second), (NOW_MS + 1_010 + 59_999) as u64);
    }
}
