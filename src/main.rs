//! The command line.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use eddy::cli::{Cli, run};

/// What is told on stderr unless this variable says otherwise, such as `debug` or `eddy::engine=info`.
const LOG: &str = "EDDY_LOG";
const LOG_DEFAULT: &str = "eddy=warn";

fn main() -> ExitCode {
    // Usage errors exit with 2 and suggest what was meant; help and version with 0.
    let cli = Cli::parse();
    tell();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eddy::cli::say(&format!("eddy: {}", eddy::cli::chain(&error)));
            error.exit_code()
        }
    }
}

/// What is unexpected and recovered from is told, too.
fn tell() {
    let filter = EnvFilter::try_from_env(LOG).unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}
