//! A replay: dump files through the engine to tables, once, as fast as the machine goes.
//!
//! ```text
//!   files --reader (this thread)--> Engine --> sink thread: Table per view, dead letters --> DIR/<view>.tsv, summary
//! ```

mod progress;
mod summary;
mod texts;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use eddy_dataflows::views::Definition;
use parking_lot::Mutex;

pub use progress::Progress;
pub use summary::{Summary, peak_rss_bytes};
pub use texts::ReplayTexts;

use crate::cli::Error;
use crate::clock;
use crate::engine::{self, Batch, Engine, Output, parse};
use crate::sink::tables::{self, Format, Table};
use crate::source::dumps::{Limits, Reader};
use crate::spool::Spool;
use crate::texts::Texts;

/// Outputs that wait for the sink; workers wait at it.
const OUTPUTS_WAITING_MAX: usize = 1 << 10;

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// What is to be done.
pub struct Job {
    pub files: Vec<PathBuf>,
    pub views: Vec<&'static Definition>,
    pub workers: usize,
    /// For temporary files.
    pub folder: PathBuf,
    /// For tables and dead letters; none: only the summary is wanted.
    pub output: Option<PathBuf>,
    pub format: Format,
    pub limits: Limits,
    pub tick_records_max: usize,
}

/// Set by SIGINT and SIGTERM; a second signal ends the process at once.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub fn on_signals() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Interrupt(flag))
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Runs a job to its end.
pub fn run(job: Job, interrupt: &Interrupt, shown: &Progress) -> Result<Summary, Error> {
    let started = Instant::now();
    let reader = Reader::new(job.files.clone(), job.limits);
    reader.check().map_err(|e| Error::failed("the replay did not start", e))?;
    if let Some(folder) = &job.output {
        tables::prepare(folder).map_err(|e| Error::failed("the replay did not start", e))?;
    }
    let spools = (0..job.workers)
        .map(|_| Spool::new(&job.folder).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::failed(format!("no temporary file can be made in {}", job.folder.display()), e))?;
    let texts = Arc::new(ReplayTexts::new(job.files.clone(), spools.clone()));
    let (spare, spares) = bounded(2 * job.workers + 2);
    let inputs = parse::Inputs {
        names: job.files.iter().map(|path| path.display().to_string()).collect(),
        spools,
        spares: Some(spare),
        clock: Arc::new(clock::System),
    };
    let config = engine::Config {
        workers: job.workers,
        views: job.views.clone(),
        tick_records_max: job.tick_records_max,
        ..engine::Config::default()
    };
    let (send, outputs) = bounded(OUTPUTS_WAITING_MAX);
    let engine = Engine::start(config, inputs, Arc::clone(&texts) as _, send).map_err(|e| Error::failed("the engine did not start", e))?;
    let counts = engine.counts();

    let (collected, incomplete) = std::thread::scope(|scope| {
        let sink = scope.spawn(|| collect(&job, &outputs));
        let incomplete = feed(engine, reader, &spares, interrupt, shown);
        let collected = sink.join().expect("the sink does not panic");
        Ok::<_, Error>((collected?, incomplete?))
    })?;
    shown.done(&counts.snapshot());

    let views = write(&job, &collected.tables, &*texts)?;
    if let (Some(letters), Some(folder)) = (collected.letters, &job.output) {
        letters.publish(folder)?;
    }
    Ok(Summary { counts: counts.snapshot(), views, elapsed: started.elapsed(), workers: job.workers, incomplete })
}

/// Reads every file and hands its blocks to the engine; gives the files that could not be read to their end.
fn feed(
    mut engine: Engine,
    mut reader: Reader,
    spares: &Receiver<Vec<u8>>,
    interrupt: &Interrupt,
    shown: &Progress,
) -> Result<Vec<String>, Error> {
    let ended = |e| Error::failed("the engine stopped", e);
    let counts = engine.counts();
    let mut incomplete = vec![];
    let mut shown_at = Instant::now();
    loop {
        match reader.next(spares.try_recv().ok()) {
            Ok(None) => break,
            Ok(Some(block)) => {
                let rereadable = reader.input_is_plain(block.input);
                engine.send(Batch::Dump { block, rereadable }).map_err(ended)?;
            }
            Err(error) => {
                shown.warn(&super::cli::chain(&error));
                incomplete.push(error.path().display().to_string());
            }
        }
        if interrupt.is_set() {
            return Err(Error::Interrupted);
        }
        if shown_at.elapsed() >= SHOW_EVERY {
            shown_at = Instant::now();
            shown.show(reader.bytes_read(), reader.bytes_total(), &counts.snapshot());
        }
    }
    engine.finish().map_err(ended)?;
    Ok(incomplete)
}

/// Writes the tables, some at a time; gives the rows of each.
fn write(job: &Job, tables: &[Table], texts: &dyn Texts) -> Result<Vec<(&'static str, u64)>, Error> {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(vec![0; tables.len()]);
    let work = || {
        while let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed)) {
            let written = match &job.output {
                Some(folder) => table.write(folder, job.format, texts).map_err(|e| Error::failed("a table could not be written", e))?,
                None => table.count(),
            };
            let at = tables.iter().position(|other| std::ptr::eq(other, table)).expect("one of them");
            rows.lock()[at] = written;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let writers: Vec<_> = (0..cores.min(tables.len())).map(|_| scope.spawn(work)).collect();
        writers.into_iter().try_for_each(|writer| writer.join().expect("writers do not panic"))
    })?;
    Ok(tables.iter().map(|table| table.view().name).zip(rows.into_inner()).collect())
}

struct Collected {
    tables: Vec<Table>,
    letters: Option<Letters>,
}

/// The sink: keeps rows until the end, writes dead letters as they come.
fn collect(job: &Job, outputs: &Receiver<Output>) -> Result<Collected, Error> {
    let mut tables: Vec<Table> = job.views.iter().map(|definition| Table::new(definition.view)).collect();
    let mut letters = job.output.as_deref().map(Letters::new).transpose()?;
    for output in outputs {
        match output {
            Output::Changes { changes, .. } => {
                let table = tables.iter_mut().find(|table| std::ptr::eq(table.view(), changes.view));
                table.expect("views that were asked for").append(&changes);
            }
            Output::Dead(letter) => {
                if let Some(letters) = &mut letters {
                    letters.push(&letter)?;
                }
            }
            Output::Closed { .. } => {}
        }
    }
    Ok(Collected { tables, letters })
}

/// `DIR/dead_letters.ndjson`, beside its place until it is whole.
struct Letters {
    out: BufWriter<tempfile::NamedTempFile<File>>,
}

impl Letters {
    fn new(folder: &Path) -> Result<Self, Error> {
        let file = tempfile::Builder::new().prefix(".eddy-").tempfile_in(folder).map_err(Self::failed)?;
        Ok(Letters { out: BufWriter::new(file) })
    }

    fn failed(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::failed("dead letters could not be written", e)
    }

    fn push(&mut self, letter: &eddy_schemas::control::DeadLetter) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, letter).map_err(Self::failed)?;
        self.out.write_all(b"\n").map_err(Self::failed)
    }

    fn publish(self, folder: &Path) -> Result<(), Error> {
        let file = self.out.into_inner().map_err(|e| Self::failed(e.into_error()))?;
        tables::publish(file, &folder.join("dead_letters.ndjson")).map_err(Self::failed)
    }
}
