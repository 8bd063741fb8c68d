//! The command line.

use std::process::ExitCode;

use clap::Parser;

use eddy::cli::{Cli, run};

fn main() -> ExitCode {
    // Usage errors exit with 2 and suggest what was meant; help and version with 0.
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eddy::cli::say(&format!("eddy: {}", eddy::cli::chain(&error)));
            error.exit_code()
        }
    }
}
