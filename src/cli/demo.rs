//! `eddy demo`: a live community in the browser.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Error;
use crate::demo::{self, Config, run};
use crate::replay::Interrupt;
use crate::serve;

/// Shows a live, made-up community: everything in one process, nothing to configure.
///
/// A seeded source posts, answers, edits and deletes; the page shows its numbers, whether they are right, and a chat with the bot.
/// State is in memory and the log in a temporary folder: both go when it ends.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  eddy demo                              then open http://127.0.0.1:8080\n  eddy demo --rate 2000 --listen 127.0.0.1:9000"
)]
pub struct Demo {
    /// Events per second; 0 for none
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    rate: u32,
    /// Address to serve at; port 0 for any free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: SocketAddr,
    /// Seed of the community
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Users of each platform
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..1 << 28))]
    users: u32,
    /// Worker threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Folder for the log; the system's temporary folder by default
    #[arg(long, value_name = "D")]
    data_dir: Option<PathBuf>,
}

impl Demo {
    #[expect(clippy::print_stdout, reason = "the address is the command's result")]
    pub fn run(self) -> Result<ExitCode, Error> {
        let config = Config {
            listen: self.listen,
            rate: self.rate,
            seed: self.seed,
            users: self.users,
            workers: usize::from(self.workers),
            folder: self.data_dir.unwrap_or_else(std::env::temp_dir),
        };
        let interrupt = Interrupt::on_signals().map_err(|e| Error::failed("signals cannot be handled", e))?;
        run(&config, &interrupt, |address| println!("eddy demo: http://{address}   (Ctrl-C ends it)")).map_err(|e| match e {
            // Asked for what cannot be: nothing was started.
            demo::Error::Serve(e @ (serve::Error::Open { .. } | serve::Error::Taken { .. } | serve::Error::Listen { .. })) => {
                Error::Usage(e.to_string())
            }
            e => Error::failed("the demo ended", e),
        })?;
        if interrupt.is_set() { Err(Error::Interrupted) } else { Ok(ExitCode::SUCCESS) }
    }
}
