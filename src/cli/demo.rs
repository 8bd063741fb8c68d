//! `eddy demo`: a live community in the browser.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{Error, chain, print, say};
use crate::demo::{self, Config, Started, run};
use crate::replay::Interrupt;

/// Shows a live, made-up community: everything in one process, nothing to configure.
///
/// A seeded source posts, answers, edits and deletes; the page shows its numbers, whether they are right, and a chat with the bot.
/// State is in memory and the log in a temporary folder: both go when it ends, and both grow until --events-max.
#[derive(Args, Debug)]
#[command(
    before_help = "Examples:\n  eddy demo                              then open http://127.0.0.1:8080\n  eddy demo --rate 2000 --listen 127.0.0.1:9000"
)]
pub struct Demo {
    /// Events per second; 0 for none
    #[arg(long, default_value_t = 200, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    rate: u32,
    /// Events at most, then the community is silent: each takes about 410 bytes of disk and 550 of memory
    #[arg(long, default_value_t = 10_000_000, value_name = "N", allow_negative_numbers = true)]
    events_max: u64,
    /// Address to serve at; port 0 for any free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR", value_parser = address)]
    listen: SocketAddr,
    /// Seed of the community
    #[arg(long, default_value_t = 1, value_name = "N", allow_negative_numbers = true)]
    seed: u64,
    /// Users of each platform
    #[arg(long, default_value_t = 20_000, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..1 << 28))]
    users: u32,
    /// Worker threads
    #[arg(long, default_value_t = 1, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Folder for the log; the system's temporary folder by default
    #[arg(long, value_name = "D")]
    data_dir: Option<PathBuf>,
}

/// An address, or the first loopback one that a name such as `localhost` stands for.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let form = "it looks like 127.0.0.1:8080 or localhost:8080";
    let mut found: Vec<_> = text.to_socket_addrs().map_err(|_| form.to_string())?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.into_iter().find(|address| address.ip().is_loopback()).ok_or_else(|| format!("no loopback address is called that; {form}"))
}

impl Demo {
    pub fn run(self) -> Result<ExitCode, Error> {
        let config = Config {
            listen: self.listen,
            rate: self.rate,
            events_max: self.events_max,
            seed: self.seed,
            users: self.users,
            workers: usize::from(self.workers),
            folder: self.data_dir.unwrap_or_else(std::env::temp_dir),
        };
        let interrupt = Interrupt::on_signals().map_err(|e| Error::failed("signals cannot be handled", e))?;
        let mut has_started = false;
        let ready = |Started { address, folder }: Started| {
            has_started = true;
            let line = format!("eddy demo: http://{address}   (Ctrl-C ends it)");
            // It can be looked at all the same.
            if print(&line).is_err() {
                say(&line);
            }
            say(&format!("its log, {}, grows by about 410 bytes an event and goes when it ends", folder.display()));
        };
        run(&config, &interrupt, ready).map_err(|e| match e {
            // Asked for what cannot be: nothing was started.
            demo::Error::Serve(e) => Error::Usage(chain(&e)),
            e if has_started => Error::failed("the demo ended", e),
            e => Error::failed("the demo did not start", e),
        })?;
        if interrupt.is_set() { Err(Error::Interrupted) } else { Ok(ExitCode::SUCCESS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_the_name_of_this_machine() {
        assert_eq!(address("127.0.0.1:0"), Ok(([127, 0, 0, 1], 0).into()));
        assert!(address("localhost:8081").is_ok_and(|found| found.ip().is_loopback() && found.port() == 8081));
        for text in ["localhost", "8080", ":8080", "", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(address(text).is_err_and(|says| says.contains("localhost:8080")), "{text}");
        }
    }
}
