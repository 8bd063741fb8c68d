//! `eddy work`: one process of a cluster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::Error;
use super::keeping::Keeping;
use super::replay::{FsyncWhen, StateIn, TableFormat, chosen, finish, fsync, view_names};
use crate::cluster;
use crate::replay::{self, Interrupt, Meter};
use crate::source::dumps::Limits;
use crate::work::{Durability, Job, Outcome, run};

/// Turns dumps into tables as `replay` does, as one process of several.
///
/// Start one for each line of the hosts file, each with its own --process and otherwise the same arguments, on machines that share
/// --data-dir and the files. File n is read by process n modulo the processes. Process 0 writes the tables and the summary. What the
/// processes say to each other is neither encrypted nor authenticated: use a private network.
///
/// Exit codes: 0 done, 1 failed, 2 bad usage, 3 another process was lost (start all again), 130 interrupted.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  printf '127.0.0.1:2101\\n127.0.0.1:2102\\n' > hosts\n  eddy work --hosts hosts --process 1 --data-dir /tmp/eddy RC_2005-12.zst RC_2006-01.bz2 &\n  eddy work --hosts hosts --process 0 --data-dir /tmp/eddy --output out RC_2005-12.zst RC_2006-01.bz2"
)]
pub struct Work {
    /// Dumps to read: the same files, in the same order, for each process
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The processes: a file with a line host:port for each
    #[arg(long, value_name = "F")]
    hosts: PathBuf,
    /// Which of them this one is; the first is 0
    #[arg(long, value_name = "I")]
    process: usize,
    /// Worker threads of each process
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Views to build, comma-separated, or `all`
    #[arg(long, default_value = "all", value_delimiter = ',', value_parser = view_names())]
    views: Vec<String>,
    /// Where the state lives
    #[arg(long, value_enum, default_value_t = StateIn::None)]
    state: StateIn,
    /// With --state durable: how soon what is decided is safe against a power cut, `tick` or such as `100ms`. A killed process loses nothing
    /// either way
    #[arg(long, default_value = "100ms", value_parser = fsync, value_name = "WHEN")]
    fsync: FsyncWhen,
    /// With --state durable: bytes of changes of a process after which a snapshot is made of them
    #[arg(long, default_value_t = 16 << 20, value_name = "N", value_parser = clap::value_parser!(u32).range(4_096..=1 << 30))]
    snapshot_bytes: u32,
    /// With --state durable: take the folder even from a cluster whose process 0 is alive; without, such a folder is refused
    #[arg(long)]
    take_over: bool,
    /// With --state durable: make the state anew from the files, whatever is there
    #[arg(long)]
    rebuild: bool,
    #[command(flatten)]
    keeping: Keeping,
    /// With --state durable: a store that mirrors the state, `file:///folder` or `s3://bucket/prefix` (AWS_* of the environment say how it is
    /// reached). The same command goes on from it where --data-dir is empty or older, on whichever machine
    #[arg(long, value_name = "URL")]
    shared: Option<String>,
    /// Folder that all processes share, for the state and texts of archives
    #[arg(long, value_name = "D")]
    data_dir: PathBuf,
    /// Folder for the tables and dead letters, which process 0 writes
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Form of the tables
    #[arg(long, value_enum, default_value_t = TableFormat::Tsv)]
    format: TableFormat,
    /// Fail, in process 0, if there is a dead letter
    #[arg(long)]
    strict: bool,
    /// How long the other processes may take to come, such as `60s`
    #[arg(long, default_value = "60s", value_parser = seconds, value_name = "TIME")]
    wait: Duration,
    /// How long another process, or at the end the store, may be silent before it is given up, such as `30s`
    #[arg(long, default_value = "30s", value_parser = seconds, value_name = "TIME")]
    watchdog: Duration,
    /// Longest record, bytes; a longer one is a dead letter
    #[arg(long, default_value_t = Limits::default().record_bytes_max as u64, value_name = "N", value_parser = clap::value_parser!(u64).range(64..=1 << 30))]
    record_bytes_max: u64,
    /// Records after which a tick ends, of all processes together and by their bytes: 800 are taken for one. A tick has whole blocks of input, which
    /// are of about 256 KiB or the end of a file, so at least one. Smaller ticks use less memory, larger ones less time
    #[arg(long, default_value_t = 1 << 18, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tick_records_max: u32,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).filter(|seconds| (1..=86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "1s to 86400s".into())
}

impl Work {
    pub fn run(self) -> Result<ExitCode, Error> {
        let hosts = cluster::hosts(&self.hosts)?;
        if self.process >= hosts.len() {
            let (file, last) = (self.hosts.display(), hosts.len() - 1);
            return Err(Error::Usage(format!("{file} has no process {}: its processes are 0 to {last}", self.process)));
        }
        let replay = replay::Job {
            views: chosen(&self.views),
            workers: usize::from(self.workers),
            keep: self.keeping.keep(),
            folder: self.data_dir,
            state: None,
            rebuild: false,
            output: self.output,
            changelogs: Default::default(),
            format: self.format.into(),
            limits: Limits { record_bytes_max: self.record_bytes_max as usize, ..Limits::default() },
            tick_records_max: self.tick_records_max as usize,
            files: self.files,
        };
        if self.state == StateIn::None && (self.take_over || self.rebuild) {
            return Err(Error::Usage("--take-over and --rebuild are about a state: give --state durable, too".into()));
        }
        if self.state == StateIn::None && self.shared.is_some() {
            return Err(Error::Usage("--shared mirrors a state: give --state durable, too".into()));
        }
        let durable = (self.state == StateIn::Durable).then_some(Durability {
            fsync: self.fsync.0,
            snapshot_bytes: self.snapshot_bytes,
            take_over: self.take_over,
            rebuild: self.rebuild,
            shared: self.shared,
        });
        let job = Job { replay, hosts, process: self.process, wait: self.wait, watchdog: self.watchdog, durable };
        let interrupt = Interrupt::on_signals().map_err(|e| Error::failed("signals cannot be handled", e))?;
        let Outcome { summary, lags } = run(job, &interrupt, &Meter::stderr())?;
        let code = summary.map_or(Ok(ExitCode::SUCCESS), |summary| finish(&summary, self.strict))?;
        lags.map_or(Ok(code), Err)
    }
}
