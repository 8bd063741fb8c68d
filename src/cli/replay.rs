//! `eddy replay`: dumps to tables, through the same dataflow as everything else.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use eddy_dataflows::views::Definition;

use super::keeping::Keeping;
use super::{Error, counted, print};
use crate::engine::durable::Fsync;
use crate::replay::{Durability, Interrupt, Job, Meter, Summary, WantedChangelogs, run};
use crate::sink::tables::Format;
use crate::source::dumps::Limits;

/// Turns dumps into tables: the final rows of each view, exact.
///
/// Reads .zst, .bz2, .gz or plain files of Reddit comments and submissions, API listings, Telegram updates and Telegram Desktop
/// exports; what a file holds is recognised record by record. Ends with one line of JSON on stdout.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  eddy replay --output out RC_2005-12.zst RC_2006-01.bz2\n  zstdcat RC_2005-12.zst | eddy replay --views users,sessions --output out --format ndjson -"
)]
pub struct Replay {
    /// Dumps to read, in any order; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Views to build, comma-separated, or `all`
    #[arg(long, default_value = "all", value_delimiter = ',', value_parser = view_names())]
    views: Vec<String>,
    /// Worker threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Where the state lives
    #[arg(long, value_enum, default_value_t = StateIn::None)]
    state: StateIn,
    /// With --state durable: how soon what is decided is safe against a power cut, `tick` or such as `100ms`. A killed process loses nothing
    /// either way
    #[arg(long, default_value = "100ms", value_parser = fsync, value_name = "WHEN")]
    fsync: FsyncWhen,
    /// With --state durable: bytes of changes after which a snapshot is made of them
    #[arg(long, default_value_t = 16 << 20, value_name = "N", value_parser = clap::value_parser!(u32).range(4_096..=1 << 30))]
    snapshot_bytes: u32,
    /// With --state durable: make the state anew from the files, whatever is there
    #[arg(long)]
    rebuild: bool,
    /// Folder for temporary files, the one of --output by default; and for the state, which has to be named
    #[arg(long, value_name = "D")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    keeping: Keeping,
    /// Folder for the changes of each view, as lines of JSON, tick by tick; may be given again. With --state durable it goes on where it
    /// was, else it must be empty
    #[arg(long, value_name = "DIR")]
    changelog: Vec<PathBuf>,
    /// With --state durable: a changelog that the state shall not have any more
    #[arg(long, value_name = "DIR")]
    changelog_drop: Vec<PathBuf>,
    /// Bytes after which a view's changes go on in another file
    #[arg(long, default_value_t = 64 << 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    changelog_file_bytes: u64,
    /// A rest of the last changelog after each write, for tests
    #[arg(long, default_value_t = 0, hide = true)]
    changelog_rest_ms: u64,
    /// Folder for the tables and dead letters
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Form of the tables
    #[arg(long, value_enum, default_value_t = TableFormat::Tsv)]
    format: TableFormat,
    /// Fail if there is a dead letter
    #[arg(long)]
    strict: bool,
    /// Longest record, bytes; a longer one is a dead letter
    #[arg(long, default_value_t = Limits::default().record_bytes_max as u64, value_name = "N", value_parser = clap::value_parser!(u64).range(64..=1 << 30))]
    record_bytes_max: u64,
    /// Records after which a tick ends, by their bytes: 800 are taken for one. A tick has whole blocks of input, which are of about 256 KiB or the end
    /// of a file, so at least one. Smaller ticks use less memory, larger ones less time
    #[arg(long, default_value_t = 1 << 18, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tick_records_max: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum StateIn {
    /// In memory: a replay that is interrupted begins anew
    None,
    /// In --data-dir: the same command goes on where it was
    Durable,
}

#[derive(Clone, Copy, Debug)]
pub struct FsyncWhen(pub Fsync);

pub fn fsync(text: &str) -> Result<FsyncWhen, String> {
    if text == "tick" {
        return Ok(FsyncWhen(Fsync::Tick));
    }
    let ms = text.strip_suffix("ms").and_then(|ms| ms.parse().ok()).filter(|ms| (1..=60_000).contains(ms));
    ms.map(|ms| FsyncWhen(Fsync::Within(Duration::from_millis(ms)))).ok_or_else(|| "`tick`, or 1ms to 60000ms".into())
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum TableFormat {
    Tsv,
    Ndjson,
}

impl From<TableFormat> for Format {
    fn from(format: TableFormat) -> Self {
        match format {
            TableFormat::Tsv => Format::Tsv,
            TableFormat::Ndjson => Format::Ndjson,
        }
    }
}

/// What `--views` takes. (Given to clap, which then suggests what a misspelt one may have been.)
pub fn view_names() -> PossibleValuesParser {
    PossibleValuesParser::new(std::iter::once("all").chain(eddy_dataflows::VIEWS.iter().map(|definition| definition.view.name)))
}

/// The views that a list of names means, each once.
pub fn chosen(names: &[String]) -> Vec<&'static Definition> {
    let named = |name: &str| names.iter().position(|other| other == name || other == "all");
    let mut chosen: Vec<(usize, &Definition)> =
        eddy_dataflows::VIEWS.iter().filter_map(|definition| Some((named(definition.view.name)?, definition))).collect();
    chosen.sort_by_key(|(at, _)| *at);
    chosen.into_iter().map(|(_, definition)| definition).collect()
}

impl Replay {
    pub fn run(self) -> Result<ExitCode, Error> {
        let keep = self.keeping.keep();
        let state = match (self.state, &self.data_dir) {
            (StateIn::None, _) => None,
            (StateIn::Durable, Some(folder)) => {
                Some(Durability { folder: folder.clone(), fsync: self.fsync.0, snapshot_bytes: self.snapshot_bytes })
            }
            (StateIn::Durable, None) => return Err(Error::Usage("--state durable needs --data-dir: the folder that keeps it".into())),
        };
        if self.rebuild && state.is_none() {
            return Err(Error::Usage("--rebuild is about a state: give --state durable, too".into()));
        }
        let strict = self.strict;
        let job = Job {
            views: chosen(&self.views),
            workers: usize::from(self.workers),
            keep,
            // Texts of compressed dumps are as large as the tables: they go where there must be room for those.
            folder: self.data_dir.or_else(|| self.output.clone()).unwrap_or_else(std::env::temp_dir),
            state,
            rebuild: self.rebuild,
            output: self.output,
            changelogs: WantedChangelogs {
                folders: self.changelog,
                dropped: self.changelog_drop,
                file_bytes: self.changelog_file_bytes,
                rest: Duration::from_millis(self.changelog_rest_ms),
            },
            format: self.format.into(),
            limits: Limits { record_bytes_max: self.record_bytes_max as usize, ..Limits::default() },
            tick_records_max: self.tick_records_max as usize,
            files: self.files,
        };
        let interrupt = Interrupt::on_signals().map_err(|e| Error::failed("signals cannot be handled", e))?;
        let summary = run(job, &interrupt, &Meter::stderr())?;
        finish(&summary, strict)
    }
}

pub(super) fn finish(summary: &Summary, strict: bool) -> Result<ExitCode, Error> {
    print(&summary.json().to_string())?;
    if !summary.incomplete.is_empty() {
        let what = format!("{} could not be read to the end (named in `incomplete`)", counted(summary.incomplete.len() as u64, "file"));
        return Err(Error::Failed { what, source: None });
    }
    if strict && summary.counts.dead_letters() > 0 {
        let what = format!("{}, and --strict was given", counted(summary.counts.dead_letters(), "dead letter"));
        return Err(Error::Failed { what, source: None });
    }
    Ok(ExitCode::SUCCESS)
}
