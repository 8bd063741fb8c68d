//! A replay: dump files through the engine to tables, once, as fast as the machine goes.
//!
//! ```text
//!   files --reader thread--> this thread --> Engine --> sink thread: Table per view, dead letters --> DIR/<view>.tsv, summary
//!                                                                    \--> changelogs, tick by tick
//! ```
//!
//! # Invariants
//! 1. What cannot be done as it was asked is refused before any work: then nothing in DIR has changed.
//! 2. Nothing in DIR changes before everything that goes there is whole. (An interrupted or failed replay leaves the old tables.)

mod changelogs;
pub(crate) mod checks;
mod feed;
mod interrupt;
mod meter;
pub(crate) mod sink;
mod state;
mod summary;
mod texts;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crossbeam_channel::bounded;
use eddy_dataflows::Keep;
use eddy_dataflows::views::Definition;

pub use changelogs::Wanted as WantedChangelogs;
pub use interrupt::Interrupt;
pub use meter::Meter;
pub use state::{Durability, spools};
pub use summary::{Summary, peak_rss_bytes};
pub use texts::{ReplayTexts, input_of_spool};

use crate::cli::{Error, chain};
use crate::clock;
use crate::engine::{self, Engine, parse};
use crate::forgotten::Forgotten;
use crate::rebuild;
use crate::sink::tables::Format;
use crate::source::dumps::{Limits, Reader};
use crate::spool::Spool;
use changelogs::Changelogs;
use feed::Feed;
use state::{Position, State};

/// Inputs and spools of texts, which a [`eddy_schemas::Place`] numbers with 16 bits.
pub(crate) const INPUTS_MAX: usize = 1 << 16;

/// Outputs that wait for the sink; workers wait at it.
pub(crate) const OUTPUTS_WAITING_MAX: usize = 1 << 10;

/// What is to be done.
pub struct Job {
    pub files: Vec<PathBuf>,
    pub views: Vec<&'static Definition>,
    pub workers: usize,
    /// How long messages and rows stay.
    pub keep: Keep,
    /// For temporary files.
    pub folder: PathBuf,
    /// Where the state is kept; none: in memory only.
    pub state: Option<Durability>,
    /// The state is made anew.
    pub rebuild: bool,
    /// For tables and dead letters; none: only the summary is wanted.
    pub output: Option<PathBuf>,
    pub changelogs: WantedChangelogs,
    pub format: Format,
    pub limits: Limits,
    pub tick_records_max: usize,
}

fn temporary_spools(job: &Job) -> Result<Vec<Arc<Spool>>, Error> {
    let spools = (0..job.workers).map(|_| Spool::new(&job.folder).map(Arc::new)).collect::<std::io::Result<_>>();
    spools.map_err(|e| Error::failed(format!("no temporary file can be made in {}", job.folder.display()), e))
}

/// Runs a job to its end.
pub fn run(job: Job, interrupt: &Interrupt, shown: &Meter) -> Result<Summary, Error> {
    let started = Instant::now();
    let reader = Reader::new(job.files.clone(), job.limits);
    checks::all(&job, &reader)?;
    if let Some(durability) = job.state.as_ref().filter(|_| job.rebuild) {
        rebuild::replay(&durability.folder, &job.changelogs.folders).map_err(|e| Error::Usage(chain(&e)))?;
    }
    let state = job.state.as_ref().map(|durability| State::open(&job, durability)).transpose()?;
    let spools = match &state {
        Some(state) => state.spools.clone(),
        None => temporary_spools(&job)?,
    };
    let durable = state.as_ref().map(|state| Arc::clone(&state.durable));
    let logs = job.changelogs.open(job.state.as_ref().map(|durability| &durability.folder))?;
    let uppers: Vec<_> = logs.iter().map(|log| (log.upper(), log.folder().clone())).collect();
    let snapshot = state.as_ref().map_or(0, State::snapshot);
    let texts = Arc::new(ReplayTexts::new(job.files.clone(), spools.clone()));
    // Those of this run are the last.
    let mine = (0..spools.len()).skip(spools.len() - job.workers);
    let forgotten = match &job.state {
        Some(durability) => Forgotten::read(&durability.folder).map_err(|e| Error::Usage(chain(&e)))?,
        None => Forgotten::default(),
    };
    let forgotten = Arc::new(forgotten);
    // As many as are on their way at most.
    let (spare, spares) = bounded(feed::BLOCKS_WAITING_MAX + engine::BATCHES_WAITING_MAX * job.workers);
    let inputs = parse::Inputs {
        names: job.files.iter().map(|path| path.display().to_string()).collect(),
        spools: mine.map(|n| (input_of_spool(n), Arc::clone(&spools[n]))).collect(),
        spares: Some(spare),
        clock: Arc::new(clock::System),
        forgotten,
    };
    let config = engine::Config {
        workers: job.workers,
        views: job.views.clone(),
        tick_records_max: job.tick_records_max,
        durable: durable.clone(),
        keep: job.keep,
        ..engine::Config::default()
    };
    let (send, outputs) = bounded(OUTPUTS_WAITING_MAX);
    let mut engine =
        Engine::start(config, inputs, Arc::clone(&texts) as _, send).map_err(|e| Error::failed("the engine did not start", e))?;
    let counts = engine.counts();

    let (sink_failed, whole) = (AtomicBool::new(false), AtomicBool::new(false));
    let files = job.files.len() as u32;
    let feed = Feed { interrupt, shown, texts: &texts, sink_failed: &sink_failed, whole: &whole, durable: durable.as_deref(), files };
    // Before a snapshot can be made, it says how far one may go.
    let changelogs = Changelogs::new(logs, &job.views, job.workers, snapshot, &texts, durable.as_deref(), &whole);
    let (collected, incomplete) = std::thread::scope(|scope| {
        let sink = scope.spawn(|| sink::collect(&job, outputs, changelogs, &sink_failed));
        let from = state.map_or_else(|| Ok(Position::default()), |state| state.recover(&mut engine, interrupt, &uppers));
        // What was decided without a text must not be built upon.
        let from = from.and_then(|from| texts.check().map(|()| from).map_err(|e| Error::failed("the state could not be read", e)));
        let incomplete = from.and_then(|from| feed.run(engine, reader, spares, from));
        let collected = sink.join().expect("the sink does not panic");
        Ok::<_, Error>((collected?, incomplete?))
    })?;
    shown.done(&counts.snapshot());
    for spool in &spools {
        // Without its texts, versions that differ in nothing else were not told apart.
        spool.check().map_err(|e| Error::failed(format!("texts could not be kept in {}", job.folder.display()), e))?;
    }
    drop(durable);
    let views = collected.write(&job, &texts, interrupt, None)?;
    Ok(Summary {
        counts: counts.snapshot(),
        views,
        elapsed: started.elapsed(),
        workers: job.workers,
        processes: 1,
        peak_rss_bytes: peak_rss_bytes(),
        incomplete,
    })
}
