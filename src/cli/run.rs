//! `eddy run`: live and durable.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use eddy_dataflows::Keep;

use super::demo::address;
use super::duration::{Kept, kept};
use super::replay::{FsyncWhen, fsync};
use super::{Error, chain, print, say};
use crate::engine::recovery;
use crate::live::{self, Config, run};
use crate::replay::Interrupt;

/// Follows files, or stdin, and serves what it counts: exact, and the same after a kill at any moment.
///
/// Each line is one record: a Reddit comment or submission, a Telegram update. Files are followed as `tail -F` does: they may grow, be
/// replaced, or come later; each line counts once, also over restarts. What is read stands in a log in --data-dir, with the state.
/// Everything between a file and what is served is bounded: at most 200,000 records of the log wait for the engine (then no more is read),
/// 4 ticks are on their way (then the log is not read), 64 ticks wait for a changelog (then ticks wait). Where a disk is full, what cannot be
/// written waits, also at a start; stderr and /health say so, and it goes on when there is room.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  eddy run --data-dir eddy-data comments.ndjson updates.ndjson\n  producer | eddy run --data-dir eddy-data --changelog changes -"
)]
pub struct Run {
    /// Files to follow; `-` is stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder for log and state: the same command goes on where it was
    #[arg(long, value_name = "D")]
    data_dir: PathBuf,
    /// Address to serve at; port 0 for any free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR", value_parser = address)]
    listen: SocketAddr,
    /// Worker threads; may be another number after a restart
    #[arg(long, default_value_t = 1, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Make the state anew from the log, whatever is there; changelogs are written anew, too
    #[arg(long)]
    rebuild: bool,
    /// How long messages stay, such as `90d` or `12h` of event time, or `none`; then only what they gave to sums does. It is the folder's, and so
    /// are the next two: once messages were sealed with them they cannot be changed
    #[arg(long, default_value = "90d", value_name = "TIME", value_parser = kept)]
    retention: Kept,
    /// How long rows of hours stay after their end: 90d, or none without a retention, if it is not given
    #[arg(long, value_name = "TIME", value_parser = kept)]
    keep_hours: Option<Kept>,
    /// How long rows of days stay after their end: 730d, or none without a retention, if it is not given
    #[arg(long, value_name = "TIME", value_parser = kept)]
    keep_days: Option<Kept>,
    /// Folder for the changes of each view, as lines of JSON; may be given again. The state keeps what a changelog has not got yet
    #[arg(long, value_name = "DIR")]
    changelog: Vec<PathBuf>,
    /// A changelog that the state shall not have any more
    #[arg(long, value_name = "DIR")]
    changelog_drop: Vec<PathBuf>,
    /// Bytes after which a view's changes go on in another file
    #[arg(long, default_value_t = 64 << 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    changelog_file_bytes: u64,
    /// A rest of the last changelog after each write, for tests
    #[arg(long, default_value_t = 0, hide = true)]
    changelog_rest_ms: u64,
    /// How soon what is decided is safe against a power cut, `tick` or such as `100ms`. A killed process loses nothing either way
    #[arg(long, default_value = "100ms", value_parser = fsync, value_name = "WHEN")]
    fsync: FsyncWhen,
    /// Bytes of changes after which a snapshot is made of them
    #[arg(long, default_value_t = 16 << 20, value_name = "N", value_parser = clap::value_parser!(u32).range(4_096..=1 << 30))]
    snapshot_bytes: u32,
}

/// How long rows stay, where messages do not stay for ever and nothing else is said.
const KEEP_HOURS_S: i64 = 90 * 86_400;
const KEEP_DAYS_S: i64 = 730 * 86_400;

impl Run {
    pub fn run(self) -> Result<ExitCode, Error> {
        let kept = |given: Option<Kept>, default_s: i64| given.map_or(self.retention.0.map(|_| default_s), |given| given.0);
        let keep =
            Keep { messages_s: self.retention.0, hours_s: kept(self.keep_hours, KEEP_HOURS_S), days_s: kept(self.keep_days, KEEP_DAYS_S) };
        let (stdin, files): (Vec<_>, Vec<_>) = self.files.into_iter().partition(|file| file == Path::new("-"));
        let config = Config {
            listen: self.listen,
            state: recovery::Config { folder: self.data_dir, fsync: self.fsync.0, snapshot_bytes: self.snapshot_bytes },
            rebuild: self.rebuild,
            workers: usize::from(self.workers),
            keep,
            files,
            stdin: !stdin.is_empty(),
            changelogs: self.changelog,
            changelogs_dropped: self.changelog_drop,
            changelog_file_bytes: self.changelog_file_bytes,
            changelog_rest: Duration::from_millis(self.changelog_rest_ms),
        };
        let interrupt = Interrupt::on_signals().map_err(|e| Error::failed("signals cannot be handled", e))?;
        let mut has_started = false;
        let ready = |address: SocketAddr| {
            has_started = true;
            let line = format!("eddy run: http://{address}   (Ctrl-C ends it)");
            // It can be asked all the same.
            if print(&line).is_err() {
                say(&line);
            }
        };
        run(&config, &interrupt, ready).map_err(|e| {
            let what = e.advice().map_or_else(|| chain(&e), |advice| format!("{}; {advice}", chain(&e)));
            // Asked for what cannot be: nothing was started.
            let is_asked = matches!(e, live::Error::Serve(_) | live::Error::Sinks(_) | live::Error::Forgotten(_));
            if has_started && !is_asked { Error::Failed { what: format!("it ended: {what}"), source: None } } else { Error::Usage(what) }
        })?;
        if interrupt.is_set() { Err(Error::Interrupted) } else { Ok(ExitCode::SUCCESS) }
    }
}
