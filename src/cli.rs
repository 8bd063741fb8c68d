//! Commands, their flags, and how they end: 0 done, 1 failed, 2 bad usage or configuration, 3 another process of the cluster was lost,
//! 130 interrupted.

mod bench;
mod demo;
pub(crate) mod duration;
mod forget;
mod keeping;
mod replay;
mod run;
mod show;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The way it was asked for cannot be done.
    #[error("{0}")]
    Usage(String),
    #[error("{what}")]
    Failed { what: String, source: Option<Box<dyn std::error::Error + Send + Sync>> },
    /// Another process of the cluster is not there: started again, all of them may do it.
    #[error("{0}")]
    Lost(String),
    #[error("interrupted")]
    Interrupted,
}

/// The exit code of [`Error::Lost`].
pub const LOST: u8 = 3;

impl Error {
    pub fn failed(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error::Failed { what: what.into(), source: Some(source.into()) }
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    pub fn code(&self) -> u8 {
        match self {
            Error::Failed { .. } => 1,
            Error::Usage(_) => 2,
            Error::Lost(_) => LOST,
            Error::Interrupted => 130,
        }
    }
}

/// An error and what caused it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A line for the person who runs this. Stderr may be closed: that is no reason to stop.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A line of the result. Whoever was to read it may have gone (`| head`): that is no error.
pub fn print(text: &str) -> Result<(), Error> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::failed("the result could not be written", e)),
        _ => Ok(()),
    }
}

/// `1 dead letter`, `2 dead letters`.
pub fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Exact, live numbers from what people write on Reddit and Telegram.
#[derive(Parser, Debug)]
#[command(
    name = "eddy",
    version,
    max_term_width = 110,
    subcommand_required = true,
    arg_required_else_help = true,
    before_help = "Examples:\n  eddy demo                                     a live community in the browser\n  eddy replay --output out RC_2006-01.bz2       a dump of Reddit becomes tables"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Bench(bench::Bench),
    Demo(demo::Demo),
    Forget(forget::Forget),
    Replay(replay::Replay),
    Run(run::Run),
    Show(show::Show),
    Work(work::Work),
}

/// Runs what was asked.
pub fn run(cli: Cli) -> Result<ExitCode, Error> {
    match cli.command {
        Command::Bench(bench) => bench.run(),
        Command::Demo(demo) => demo.run(),
        Command::Forget(forget) => forget.run(),
        Command::Replay(replay) => replay.run(),
        Command::Run(run) => run.run(),
        Command::Show(show) => show.run(),
        Command::Work(work) => work.run(),
    }
}
