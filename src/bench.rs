//! The engine against a hand-written loop, on the same files, in the same run.
//!
//! ```text
//!   workload (written once) --+--> floor:  eddy bench floor --> authors, threads, hours --+
//!                             +--> eddy:   eddy replay ------> users, conversations, ... -+--> equal? --> ratios
//! ```
//!
//! Every run is a process of its own, so that processor time and memory are its own. Figures of a shared machine move by half; the ratio
//! of two runs that stood side by side moves little. So each round runs every configuration once, every other round in the opposite
//! order, and a ratio is the median of the ratios of the rounds.

mod agree;
mod child;
pub mod floor;
pub mod lines;
mod report;
mod words;
mod workload;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use eddy_dataflows::views::Definition;

pub use report::Report;

use crate::cli::say;
use crate::replay::Interrupt;
use child::Run;
use report::Configuration;
use workload::Workload;

/// What the records of a workload do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Creates only.
    W1,
    /// 2 % edits, 1 % deletes.
    W2,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::W1 => "w1",
            Kind::W2 => "w2",
        })
    }
}

impl Kind {
    /// The views that hold what the floor's tables hold.
    fn views(self) -> &'static [&'static str] {
        match self {
            Kind::W1 => &["users", "conversations"],
            Kind::W2 => &["users", "conversations", "user_hours"],
        }
    }
}

/// What is to be measured.
pub struct Job {
    pub workloads: Vec<Kind>,
    pub records: u64,
    pub workers: Vec<usize>,
    /// None: those that hold what the floor's tables hold.
    pub views: Option<Vec<&'static Definition>>,
    pub rounds: usize,
    /// Keeps workloads and tables; none: a temporary folder that is removed.
    pub folder: Option<PathBuf>,
    /// No round is begun after this, except the first of a workload.
    pub time_max: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the workload in {path} could not be written or read")]
    Workload { path: PathBuf, source: io::Error },
    #[error("no temporary folder could be made")]
    Folder(#[source] io::Error),
    #[error("{command} could not be measured: {what}")]
    Child { command: String, what: String },
    #[error("{path} could not be read")]
    Table { path: PathBuf, source: io::Error },
    #[error("{view}: eddy and the floor differ; rows {rows:?}; the floor's first is {floor:?}, eddy's {eddy:?}")]
    Differ { view: &'static str, floor: Option<String>, eddy: Option<String>, rows: (usize, usize) },
    #[error("interrupted")]
    Interrupted,
}

/// Measures one workload after the other.
pub fn run(job: &Job, interrupt: &Interrupt) -> Result<Vec<Report>, Error> {
    let until = Instant::now() + job.time_max;
    job.workloads.iter().map(|kind| measure(job, *kind, until, interrupt)).collect()
}

/// Removed at its end, unless it was asked for by name.
enum Folder {
    Kept(PathBuf),
    Removed(tempfile::TempDir),
}

impl Folder {
    fn new(named: Option<&Path>) -> Result<Self, Error> {
        match named {
            Some(path) => Ok(Folder::Kept(path.to_owned())),
            None => tempfile::Builder::new().prefix("eddy-bench-").tempdir().map(Folder::Removed).map_err(Error::Folder),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Folder::Kept(path) => path,
            Folder::Removed(folder) => folder.path(),
        }
    }
}

fn measure(job: &Job, kind: Kind, until: Instant, interrupt: &Interrupt) -> Result<Report, Error> {
    let folder = Folder::new(job.folder.as_deref())?;
    let workload = Workload::prepare(folder.path(), kind, job.records, interrupt)?;
    let views: Vec<&'static str> = match &job.views {
        Some(views) => views.iter().map(|definition| definition.view.name).collect(),
        None => kind.views().to_vec(),
    };
    let tables = |workers: usize| folder.path().join(format!("{kind}-tables-{workers}"));
    let mut configurations: Vec<Configuration> = std::iter::once(0)
        .chain(job.workers.iter().copied())
        .map(|workers| Configuration { name: name(workers), workers, runs: vec![] })
        .collect();
    let mut rows_equal = 0;
    for round in 0..job.rounds {
        if round > 0 && Instant::now() > until {
            say(&format!("{kind}: the time is up after {round} of {} rounds", job.rounds));
            break;
        }
        let mut order: Vec<usize> = (0..configurations.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let configuration = &mut configurations[at];
            let command = command(&workload, configuration.workers, &views, &tables(configuration.workers))?;
            let run = child::run(command, interrupt)?;
            say(&format!("{kind}, round {} of {}: {}", round + 1, job.rounds, shown(&configuration.name, &run)));
            configuration.runs.push(run);
        }
        // Once is enough: tables do not depend on the round, and comparing them takes a while.
        if round == 0 {
            for workers in &job.workers {
                rows_equal = agree::compare(&tables(0), &tables(*workers), &views)?;
            }
        }
    }
    Ok(Report { workload: kind.to_string(), records: workload.records, bytes: workload.bytes, views, configurations, rows_equal })
}

fn name(workers: usize) -> String {
    match workers {
        0 => "floor".into(),
        1 => "eddy, 1 worker".into(),
        n => format!("eddy, {n} workers"),
    }
}

fn shown(name: &str, run: &Run) -> String {
    let Run { seconds, cpu_seconds, peak_rss_bytes, read } = *run;
    format!("{name}: {read} records in {seconds:.2} s, {cpu_seconds:.2} CPU-s, {} MB", peak_rss_bytes >> 20)
}

/// This program again, as the floor (no workers) or as the engine.
fn command(workload: &Workload, workers: usize, views: &[&str], output: &Path) -> Result<Command, Error> {
    let program = std::env::current_exe().map_err(|e| Error::Child { command: "eddy".into(), what: e.to_string() })?;
    let mut command = Command::new(program);
    if workers == 0 {
        command.args(["bench", "floor", "--workload", &workload.kind.to_string()]);
    } else {
        command.args(["replay", "--state", "none", "--views", &views.join(","), "--workers", &workers.to_string()]);
    }
    command.arg("--output").arg(output).args(&workload.files);
    Ok(command)
}
