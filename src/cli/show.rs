//! `eddy show`: rows of a running eddy, as of now.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Args;

use super::Error;
use crate::show::{Form, Job, run};

/// Shows rows of a view as of now, asked of a running eddy over HTTP.
///
/// With no KEY, rows of any key. KEY is the first columns of the view's key, or all of them: `user_hours reddit:ada` are the hours of one user.
/// Rows go to stdout, the time that they are as of to stderr.
#[derive(Args, Debug)]
#[command(before_help = "Examples:\n  eddy show users --limit 5\n  eddy show --json top_users reddit:rust")]
pub struct Show {
    /// A view, such as users; GET /v1/views lists them
    view: String,
    /// The key's columns, such as reddit:ada
    #[arg(allow_negative_numbers = true)]
    key: Vec<String>,
    /// Rows at most
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Where eddy listens
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL", value_parser = url)]
    url: String,
}

/// What requests start with.
fn url(text: &str) -> Result<String, String> {
    let is_http = text.strip_prefix("http://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if is_http && !text.contains(['?', '#']) && text.parse::<ureq::http::Uri>().is_ok() {
        Ok(text.trim_end_matches('/').to_string())
    } else {
        Err("it looks like http://127.0.0.1:8080".into())
    }
}

impl Show {
    pub fn run(self) -> Result<ExitCode, Error> {
        let form = match self.json {
            true => Form::Json,
            false => Form::Table { cut: std::io::stdout().is_terminal() },
        };
        let job = Job { url: self.url, view: self.view, key: self.key, limit: self.limit as usize, form };
        run(&job, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())?;
        Ok(ExitCode::SUCCESS)
    }
}
