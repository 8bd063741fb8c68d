//! Running: from the log through the engine to the store, live.
//!
//! ```text
//!   log --driver thread--> Engine --Output--> sink thread: changes of open ticks --whole tick--> store
//!            |                                    |
//!            +-- bound of each tick --> [ queue ] +--> closed bound (Progress), telemetry
//! ```
//!
//! A tick closes as soon as the log has given what it had, but not sooner than [`Config::tick_ms_min`] after the one before; without records
//! there are no ticks, and both threads sleep.
//!
//! # Invariants
//! 1. A tick's bound is queued before the tick closes, so the sink never meets a closed tick whose bound it does not know.
//! 2. The sink applies ticks whole and in order, those that changed nothing too, and tells a tick's bound after it: what `closed` says is
//!    visible, and the tick that the store gives back is one that has closed.
//! 3. All that a tick covers is read from the log before any of it is sent, so a tick is never before a record in it was received
//!    (where both are told by the same clock).
//! 4. The sink holds the changes of open ticks only, which are at most [`engine::Config::ticks_in_flight`] and those in its queue.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use eddy_schemas::Changes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tracing::error;

use crate::clock::Clock;
use crate::engine::{self, Counts, Engine, Output, Raw, parse};
use crate::forgotten::Forgotten;
use crate::log::{self, Append, Log, Partition, Topic};
use crate::progress::{Bound, Progress};
use crate::store::{self, Store};
use crate::telemetry::{ENGINE, State, Telemetry};
use crate::texts::Texts;

/// How long the driver sleeps at most: also how soon it stops.
const WAIT: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct Config {
    /// Of its ticks only how many are in flight: the driver ends them.
    pub engine: engine::Config,
    /// Ticks are at least this far apart, milliseconds: more of them cost more, fewer are later.
    pub tick_ms_min: u64,
    /// Bytes read from each partition for one tick: readers wait while a tick is applied.
    pub read_bytes_max: usize,
    /// Outputs that wait for the sink; workers wait at it.
    pub outputs_waiting_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { engine: engine::Config::default(), tick_ms_min: 4, read_bytes_max: 256 << 10, outputs_waiting_max: 1 << 10 }
    }
}

/// What is connected.
#[derive(Clone)]
pub struct Parts {
    pub log: Arc<dyn Log>,
    pub store: Arc<dyn Store>,
    pub texts: Arc<dyn Texts>,
    pub telemetry: Arc<Telemetry>,
    pub clock: Arc<dyn Clock>,
    pub forgotten: Arc<Forgotten>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A tick that is on its way.
struct Due {
    bound: Bound,
    /// Records by the millisecond of their `received_at`.
    received: Vec<(i64, u64)>,
}

/// Shared by driver, sink and readers.
struct Shared {
    due: Mutex<VecDeque<Due>>,
    closed: Mutex<Bound>,
    stop: AtomicBool,
}

impl Shared {
    /// The next tick, if it is below `frontier`.
    fn closed_below(&self, frontier: u64) -> Option<Due> {
        let mut due = self.due.lock();
        let is_closed = due.front()?.bound.tick < frontier;
        if is_closed { due.pop_front() } else { None }
    }
}

impl Progress for Shared {
    fn closed(&self) -> Bound {
        self.closed.lock().clone()
    }
}

/// A running pipeline.
pub struct Running {
    shared: Arc<Shared>,
    driver: JoinHandle<Result<(), Error>>,
    sink: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Starts at the beginning of the log.
    pub fn start(parts: Parts, config: Config, runtime: Handle) -> Result<Running, Error> {
        let partitions: Vec<Partition> = parts.log.partitions();
        let inputs = parse::Inputs {
            names: partitions.iter().map(|partition| format!("{}/{}", partition.topic.name(), partition.number)).collect(),
            spools: vec![],
            spares: None,
            clock: Arc::clone(&parts.clock),
            forgotten: Arc::clone(&parts.forgotten),
        };
        let (send, outputs) = bounded(config.outputs_waiting_max);
        let workers = config.engine.workers;
        let engine = engine::Config { tick_records_max: 0, ..config.engine.clone() };
        let engine = Engine::start(engine, inputs, Arc::clone(&parts.texts), send)?;
        let counts = engine.counts();
        let shared = Arc::new(Shared { due: Mutex::default(), closed: Mutex::default(), stop: AtomicBool::new(false) });
        parts.telemetry.state(ENGINE, State::Ready);
        let driver = {
            let driver = Driver::new(parts.clone(), config, engine, Arc::clone(&shared), &partitions);
            std::thread::Builder::new().name("eddy-driver".into()).spawn(move || driver.run())
        };
        let sink = {
            let sink = Sink {
                parts,
                shared: Arc::clone(&shared),
                frontiers: vec![Some(0); workers],
                open: BTreeMap::new(),
                counts,
                counted: Default::default(),
            };
            std::thread::Builder::new().name("eddy-sink".into()).spawn(move || sink.run(&outputs, &runtime))
        };
        let started = |thread: std::io::Result<_>| thread.map_err(|e| engine::Error::Start(e.to_string()));
        Ok(Running { shared, driver: started(driver)?, sink: started(sink)? })
    }

    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.shared) as _
    }

    /// Whether it has ended by itself: then `stop` says why.
    pub fn has_ended(&self) -> bool {
        self.driver.is_finished() || self.sink.is_finished()
    }

    /// Closes what has been read and ends.
    pub fn stop(self) -> Result<(), Error> {
        self.shared.stop.store(true, Ordering::Release);
        self.driver.join().expect("the driver does not panic")?;
        self.sink.join().expect("the sink does not panic")
    }
}

/// Reads the log and says when a tick ends.
struct Driver {
    parts: Parts,
    config: Config,
    engine: Engine,
    shared: Arc<Shared>,
    /// Partitions that hold what platforms sent, by their number among all, and where each is read next.
    cursors: Vec<(u32, Partition, u64)>,
}

impl Driver {
    fn new(parts: Parts, config: Config, engine: Engine, shared: Arc<Shared>, partitions: &[Partition]) -> Self {
        let sent = |partition: &Partition| matches!(partition.topic, Topic::Reddit | Topic::Telegram);
        let cursors = (0..).zip(partitions).filter(|(_, p)| sent(p)).map(|(number, p)| (number, *p, 0)).collect();
        Driver { parts, config, engine, shared, cursors }
    }

    fn run(mut self) -> Result<(), Error> {
        let (mut seen, mut last) = (0, Instant::now());
        while !self.shared.stop.load(Ordering::Acquire) {
            let (batches, received) = self.read()?;
            if batches.is_empty() {
                seen = self.parts.log.wait(seen, WAIT);
                continue;
            }
            let offsets = self.cursors.iter().map(|(_, partition, offset)| (*partition, *offset)).collect();
            let bound = Bound { tick: self.engine.open_tick(), offsets };
            self.shared.due.lock().push_back(Due { bound, received });
            for batch in batches {
                self.engine.send(batch)?;
            }
            self.engine.close_tick()?;
            let rest = Duration::from_millis(self.config.tick_ms_min).saturating_sub(last.elapsed());
            if !rest.is_zero() {
                std::thread::sleep(rest);
            }
            last = Instant::now();
        }
        Ok(self.engine.finish()?)
    }

    /// What every partition has, and how many records of it were received when.
    fn read(&mut self) -> Result<(Vec<Raw>, Vec<(i64, u64)>), Error> {
        let (mut batches, mut received) = (vec![], Vec::<(i64, u64)>::new());
        for (input, partition, offset) in &mut self.cursors {
            if self.parts.log.end(*partition) == *offset {
                continue;
            }
            let records = self.parts.log.read(*partition, *offset, self.config.read_bytes_max)?;
            *offset += records.len() as u64;
            for record in &records {
                match received.last_mut().filter(|(ms, _)| *ms == record.received_at_ms) {
                    Some((_, count)) => *count += 1,
                    None => received.push((record.received_at_ms, 1)),
                }
            }
            batches.push(Raw::Log { input: *input, records });
        }
        Ok((batches, received))
    }
}

/// Applies ticks and tells what is visible.
struct Sink {
    parts: Parts,
    shared: Arc<Shared>,
    frontiers: Vec<Option<u64>>,
    /// Changes of ticks that not every worker has closed.
    open: BTreeMap<u64, Vec<Changes>>,
    counts: Arc<Counts>,
    /// As told last.
    counted: engine::counts::Snapshot,
}

impl Sink {
    fn run(mut self, outputs: &Receiver<Output>, runtime: &Handle) -> Result<(), Error> {
        for output in outputs {
            match output {
                Output::Changes { tick, changes } => self.open.entry(tick).or_default().push(changes),
                Output::Dead(letter) => self.dead(&letter),
                Output::Closed { worker, frontier } => {
                    self.frontiers[worker] = frontier;
                    self.close(runtime)?;
                }
            }
        }
        Ok(())
    }

    /// Applies and tells the ticks that every worker has closed.
    fn close(&mut self, runtime: &Handle) -> Result<(), Error> {
        let frontier = self.frontiers.iter().map(|frontier| frontier.unwrap_or(u64::MAX)).min().unwrap_or(u64::MAX);
        while let Some(due) = self.shared.closed_below(frontier) {
            let tick = due.bound.tick;
            let changes = self.open.remove(&tick).unwrap_or_default();
            runtime.block_on(self.parts.store.apply(tick, &changes))?;
            *self.shared.closed.lock() = due.bound;
            self.tell(tick, &due.received);
        }
        let left = self.open.first_key_value().is_some_and(|(tick, _)| *tick < frontier);
        assert!(!left, "a tick below {frontier} closed without a bound");
        Ok(())
    }

    fn tell(&mut self, tick: u64, received: &[(i64, u64)]) {
        let (telemetry, now) = (&self.parts.telemetry, self.parts.clock.now_ms());
        for (received_at, records) in received {
            telemetry.fresh(Duration::from_millis(u64::try_from(now - received_at).unwrap_or(0)), *records);
        }
        let counts = self.counts.snapshot();
        telemetry.read(counts.read - self.counted.read);
        telemetry.applied(counts.applied - self.counted.applied);
        for (reason, count) in &counts.ignored {
            let before = self.counted.ignored.get(reason).copied().unwrap_or(0);
            if *count > before {
                telemetry.ignored(reason, count - before);
            }
        }
        telemetry.messages_live(counts.live);
        telemetry.closed(tick);
        self.counted = counts;
    }

    fn dead(&self, letter: &eddy_schemas::control::DeadLetter) {
        self.parts.telemetry.dead_letter(letter);
        let value = serde_json::to_vec(letter).expect("a dead letter is JSON");
        let record = Append { key: letter.file.clone().into_bytes(), value, received_at_ms: self.parts.clock.now_ms() };
        if let Err(e) = self.parts.log.append(Topic::DeadLetters, &[record]) {
            // It is counted, and its record is still in the log where it says.
            error!(error = %e, offset = letter.offset, "dead letter not kept");
        }
    }
}
