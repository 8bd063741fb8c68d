//! `eddy bench`: how fast this machine is, against a hand-written loop.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{Error, print, replay};
use crate::bench::{self, Job, Kind};
use crate::replay::{Interrupt, peak_rss_bytes};

/// Measures the engine on this machine against a loop written by hand for the same tables, in the same run.
///
/// Makes a workload of Reddit comments (805 bytes a record: 2,000,000 are 1.6 GB), runs both by turns in processes of their own, checks
/// that their tables are equal, and prints records a second, records a CPU-second, peak memory, and the ratios: 2 is twice the loop.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    before_help = "Examples:\n  eddy bench --records 200000 --runs 1\n  eddy bench --workload w2 --workers 1,2 --runs 5 --dir /var/tmp/bench"
)]
pub struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    /// Records of each workload
    #[arg(long, default_value_t = 2_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    records: u64,
    /// What the records do: w1 creates only, w2 also 2 % edits and 1 % deletes
    #[arg(long, value_enum, default_value_t = Workloads::Both)]
    workload: Workloads,
    /// Worker threads of the engine, comma-separated
    #[arg(long, default_value = "1,2", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Vec<u16>,
    /// Views that the engine builds, comma-separated, or `all`; by default those that hold the loop's tables
    #[arg(long, value_delimiter = ',', value_parser = replay::view_names())]
    views: Option<Vec<String>>,
    /// Rounds: each runs everything once
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,
    /// Folder that keeps the workload, for next time; else everything is removed
    #[arg(long, value_name = "D")]
    dir: Option<PathBuf>,
    /// Seconds after which no further round is begun
    #[arg(long, default_value_t = 1_800, value_name = "S")]
    time_max_s: u64,
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Workloads {
    W1,
    W2,
    Both,
}

impl Workloads {
    fn kinds(self) -> Vec<Kind> {
        match self {
            Workloads::W1 => vec![Kind::W1],
            Workloads::W2 => vec![Kind::W2],
            Workloads::Both => vec![Kind::W1, Kind::W2],
        }
    }
}

/// What `bench` runs in processes of their own.
#[derive(Subcommand, Debug)]
enum Part {
    /// The hand-written loop alone
    #[command(hide = true)]
    Floor(Floor),
}

#[derive(Args, Debug)]
struct Floor {
    #[arg(long, value_enum)]
    workload: Workloads,
    #[arg(long)]
    output: PathBuf,
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

impl Bench {
    pub fn run(self) -> Result<ExitCode, Error> {
        if let Some(Part::Floor(floor)) = self.part {
            return floor.run();
        }
        let job = Job {
            workloads: self.workload.kinds(),
            records: self.records,
            workers: self.workers.into_iter().map(usize::from).collect(),
            views: self.views.as_deref().map(replay::chosen),
            rounds: usize::from(self.runs),
            folder: self.dir,
            time_max: Duration::from_secs(self.time_max_s),
        };
        let interrupt = Interrupt::on_signals().map_err(|e| Error::failed("signals cannot be handled", e))?;
        let reports = bench::run(&job, &interrupt).map_err(|e| match e {
            bench::Error::Interrupted => Error::Interrupted,
            e => Error::failed("the bench did not end", e),
        })?;
        if self.json {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            print(&json!({ "cores": cores, "workloads": reports.iter().map(bench::Report::json).collect::<Vec<_>>() }).to_string())?;
        } else {
            reports.iter().try_for_each(|report| print(&report.to_string()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Floor {
    fn run(self) -> Result<ExitCode, Error> {
        let [kind] = self.workload.kinds()[..] else { return Err(Error::Usage("the loop reads one workload".into())) };
        let read = bench::floor::run(kind, &self.files, &self.output).map_err(|e| Error::failed("the loop did not end", e))?;
        print(&json!({ "read": read, "peak_rss_bytes": peak_rss_bytes() }).to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}
