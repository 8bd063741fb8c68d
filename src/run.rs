//! Running: from the log through the engine to the store, live.
//!
//! ```text
//!   log --driver thread--> Engine --Output--> sink thread: changes of open ticks --whole tick--> store, dead letters
//!            |                |               |                                              \--> [ queue ] --> changelogs
//!            |              frames            |                                                                     |
//!            |                \--- recovery point: least of what the sinks have <----------------------------------/
//!            +-- bound of each tick --> [ queue ] +--> closed bound (Progress), telemetry
//! ```
//!
//! A tick closes as soon as the log has given what it had, but not sooner than [`Config::tick_ms_min`] after the one before; without records
//! there are no ticks, and both threads sleep. Where the state is durable, the driver first feeds what it holds, and goes on in the log
//! where the last tick ended.
//!
//! # Invariants
//! 1. A tick's bound is queued before the tick closes, so the sink never meets a closed tick whose bound it does not know.
//! 2. The sink applies ticks whole and in order, those that changed nothing too, and tells a tick's bound after it: what `closed` says is
//!    visible, and the tick that the store gives back is one that has closed.
//! 3. All that a tick covers is read from the log before any of it is sent, so a tick is never before a record in it was received
//!    (where both are told by the same clock).
//! 4. The sink holds the changes of open ticks only, which are at most [`engine::Config::ticks_in_flight`] and those in its queue.
//! 5. A tick whose frames could not be written is not told: neither the store nor any other sink has it.
//! 6. The engine is ready once the last tick of the state has closed again: until then nothing is read, so nobody sees a row go back.

mod binding;
mod changelogs;
mod driver;
mod letters;
mod sink;
#[cfg(test)]
mod tests;
mod uppers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use crate::cli::chain;
use crate::clock::Clock;
use crate::engine::durable::{NoRoom, Referred};
use crate::engine::recovery::{self, Kept, Retention};
use crate::engine::{self, Engine, parse};
use crate::forgotten::Forgotten;
use crate::log::{self, Log, Partition};
use crate::progress::{Bound, Progress};
use crate::sink::changelog;
use crate::store::{self, Store};
use crate::telemetry::{CHANGELOG, ENGINE, JOURNAL, State, Telemetry};
use crate::texts::Texts;
use changelogs::Changelogs;
use driver::Driver;
use letters::Letters;
use sink::Sink;
use uppers::Uppers;

/// How long a thread sleeps at most: also how soon it stops.
const WAIT: Duration = Duration::from_millis(500);
/// After an append or a write for which there was no room.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct Config {
    /// Of its ticks only how many are in flight: the driver ends them.
    pub engine: engine::Config,
    /// Where the state is kept; none: in memory, and the log is read from its beginning.
    pub state: Option<recovery::Config>,
    /// Folders that changes are written to.
    pub changelogs: Vec<changelog::Config>,
    /// Ticks are at least this far apart, milliseconds: more of them cost more, fewer are later.
    pub tick_ms_min: u64,
    /// A partition that has brought nothing for longer, milliseconds, is idle: the watermark does not wait for it.
    pub partition_idle_ms: i64,
    /// Bytes read from each partition for one tick: readers wait while a tick is applied.
    pub read_bytes_max: usize,
    /// Outputs that wait for the sink; workers wait at it.
    pub outputs_waiting_max: usize,
    /// Ticks that wait for a changelog; the sink waits at it, and so does everything before it.
    pub changelog_ticks_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            engine: engine::Config::default(),
            state: None,
            changelogs: vec![],
            tick_ms_min: 4,
            partition_idle_ms: 10_000,
            read_bytes_max: 256 << 10,
            outputs_waiting_max: 1 << 10,
            changelog_ticks_max: 64,
        }
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
    State(#[from] engine::durable::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Changelog(#[from] changelog::Error),
    #[error("the state in {0} is not one of a log")]
    Foreign(String),
    #[error("{} ends at {end}, but the state counts what stood before {bound}", .partition.name())]
    LogLost { partition: Partition, end: u64, bound: u64 },
}

/// A tick that is on its way.
struct Due {
    /// The watermark is known when it has closed.
    bound: Bound,
    of: Of,
}

/// Where a tick comes from.
enum Of {
    /// A part of a snapshot, all of which is as of this tick.
    Snapshot(u64),
    /// It was decided by an earlier process.
    Frames,
    /// Records of the log by the millisecond of their `received_at`, and when they were taken from it.
    Log { received: Vec<(i64, u64)>, taken: Instant },
}

/// Shared by driver, sink and readers.
#[derive(Default)]
struct Shared {
    due: Mutex<VecDeque<Due>>,
    closed: Mutex<Bound>,
    moved: Condvar,
    stop: AtomicBool,
    /// Sources cannot bring what they have.
    stalled: AtomicBool,
    /// The log has what the state counts.
    compared: AtomicBool,
    /// The driver has ended every tick that it began. (One that closes without has only been given up.)
    whole: AtomicBool,
}

impl Shared {
    /// The next tick, if it is below `frontier`.
    fn closed_below(&self, frontier: u64) -> Option<Due> {
        let mut due = self.due.lock();
        let is_closed = due.front()?.bound.tick < frontier;
        if is_closed { due.pop_front() } else { None }
    }

    fn close(&self, bound: Bound) {
        *self.closed.lock() = bound;
        self.moved.notify_all();
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
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
    changelogs: Vec<JoinHandle<Result<(), Error>>>,
    durable: Option<Arc<engine::durable::Durable>>,
}

impl Running {
    /// Starts where the state ends, or at the beginning of the log.
    pub fn start(parts: Parts, mut config: Config, runtime: Handle) -> Result<Running, Error> {
        let partitions: Vec<Partition> = parts.log.partitions();
        let inputs = parse::Inputs {
            names: partitions.iter().map(Partition::name).collect(),
            spools: vec![],
            spares: None,
            clock: Arc::clone(&parts.clock),
            forgotten: Arc::clone(&parts.forgotten),
        };
        parts.telemetry.state(ENGINE, if config.state.is_some() { State::Recovering } else { State::Starting });
        parts.telemetry.keeps(config.engine.keep);
        let retention = Retention::of(&config.engine.views, config.engine.keep);
        let kept = config.state.as_ref().map(|state| Kept::open(state, retention.as_ref())).transpose()?;
        let durable =
            kept.as_ref().zip(config.state.as_ref()).map(|(kept, state)| kept.durable(referred(&parts), state.fsync, waits(&parts)));
        let durable = durable.transpose()?;
        let snapshot = kept.as_ref().map(|kept| binding::read(kept, kept.snapshot().1)).transpose()?.unwrap_or_default();
        let opened = config.changelogs.iter().map(changelog::Changelog::open).collect::<Result<Vec<_>, _>>()?;
        let uppers = Arc::new(Uppers::new(durable.clone(), opened.iter().map(changelog::Changelog::upper)));
        let shared = Arc::new(Shared::default());
        let snapshot_tick = kept.as_ref().map_or(0, |kept| kept.snapshot().0);
        let writers = changelogs::Writers { parts: &parts, shared: &shared, uppers: &uppers, durable: durable.as_ref(), runtime: &runtime };
        let (changelogs, changelog_threads) = Changelogs::start(&writers, opened, snapshot_tick, config.changelog_ticks_max)?;
        let (send, outputs) = bounded(config.outputs_waiting_max);
        (config.engine.tick_records_max, config.engine.durable) = (0, durable.clone());
        let engine = Engine::start(config.engine.clone(), inputs, Arc::clone(&parts.texts), send)?;
        let sink = Sink {
            letters: Letters::new(Arc::clone(&parts.log), snapshot.dead_letters)?,
            state: sink::Open::new(&engine, config.engine.workers),
            parts: parts.clone(),
            shared: Arc::clone(&shared),
            changelogs: changelogs.clone(),
            uppers,
            durable: durable.clone(),
        };
        let mut driver = Driver::new(parts, config, engine, Arc::clone(&shared), &partitions);
        driver.state = kept.zip(durable.clone());
        driver.changelogs = changelogs;
        let started = |thread: std::io::Result<_>| thread.map_err(|e| engine::Error::Start(e.to_string()));
        let driver = started(std::thread::Builder::new().name("eddy-driver".into()).spawn(move || driver.run()))?;
        let sink = started(std::thread::Builder::new().name("eddy-sink".into()).spawn(move || sink.run(&outputs, &runtime)))?;
        Ok(Running { shared, driver, sink, changelogs: changelog_threads, durable })
    }

    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.shared) as _
    }

    /// Tells whether sources may append: from then on, when the log was found to have what the state counts. (What they append would take the places
    /// of what is lost, and nobody would see it.)
    pub fn may_append(&self) -> impl Fn() -> bool + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.compared.load(Ordering::Acquire)
    }

    /// Sources cannot, or can again, bring what they have: the watermark waits for them.
    pub fn stalled(&self, stalled: bool) {
        self.shared.stalled.store(stalled, Ordering::Release);
    }

    /// Whether it has ended by itself: then `stop` says why.
    pub fn has_ended(&self) -> bool {
        self.driver.is_finished() || self.sink.is_finished() || self.changelogs.iter().any(JoinHandle::is_finished)
    }

    /// Closes what has been read and ends.
    pub fn stop(self) -> Result<(), Error> {
        self.shared.stop.store(true, Ordering::Release);
        self.durable.inspect(|durable| durable.end());
        let driver = self.driver.join().expect("the driver does not panic");
        let sink = self.sink.join().expect("the sink does not panic");
        let changelogs: Vec<_> = self.changelogs.into_iter().map(|thread| thread.join().expect("a changelog does not panic")).collect();
        // The sinks first: a driver that has nobody to send to says less.
        changelogs.into_iter().chain([sink, driver]).collect()
    }
}

/// Frames refer to the log.
fn referred(parts: &Parts) -> Arc<dyn Referred> {
    struct OfLog(Arc<dyn Log>);
    impl Referred for OfLog {
        fn flush(&self) -> std::io::Result<()> {
            Ok(())
        }

        fn sync(&self) -> std::io::Result<()> {
            self.0.sync().map_err(std::io::Error::other)
        }
    }
    Arc::new(OfLog(Arc::clone(&parts.log)))
}

/// A frame for which there is no room waits, and is told.
fn waits(parts: &Parts) -> NoRoom {
    let telemetry = Arc::clone(&parts.telemetry);
    NoRoom::Waits(Box::new(move |error| telemetry.state(JOURNAL, error.map_or(State::Ready, |e| State::Failed(chain(e))))))
}
