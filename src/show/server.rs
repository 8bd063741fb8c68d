//! A running eddy, asked over HTTP.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::Agent;

use crate::cli::Error;

/// An eddy that is there answers a page in milliseconds.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// More in one answer is not a page of rows.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

pub struct Server<'u> {
    url: &'u str,
    agent: Agent,
}

#[derive(Deserialize)]
struct Views {
    views: Vec<View>,
}

#[derive(Deserialize)]
pub struct View {
    pub name: String,
    pub key: Vec<Column>,
    pub columns: Vec<Column>,
}

#[derive(Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: String,
}

#[derive(Deserialize)]
pub struct Page {
    pub rows: Vec<Value>,
    pub next: Option<String>,
    /// None before the first tick.
    pub as_of: Option<u64>,
}

/// What errors look like (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    r#type: String,
    detail: String,
}

impl<'u> Server<'u> {
    pub fn new(url: &'u str) -> Self {
        // No proxy: what is asked listens on this machine.
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER_WAIT)).proxy(None).build();
        Server { url, agent: config.into() }
    }

    pub fn views(&self) -> Result<Vec<View>, Error> {
        Ok(self.get::<Views>("/v1/views", vec![])?.views)
    }

    pub fn page(&self, view: &str, key: &[String], limit: usize, cursor: Option<&str>) -> Result<Page, Error> {
        let limit = limit.to_string();
        let mut query: Vec<_> = key.iter().map(|part| ("key", part.as_str())).collect();
        query.push(("limit", &limit));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.get(&format!("/v1/views/{view}"), query)
    }

    fn get<T: DeserializeOwned>(&self, path: &str, query: Vec<(&str, &str)>) -> Result<T, Error> {
        let silent = |error| {
            let what = format!("no eddy answers at {}: `eddy demo` starts one there, --url names another place", self.url);
            Error::failed(what, error)
        };
        let mut answer = self.agent.get(format!("{}{path}", self.url)).query_pairs(query).call().map_err(silent)?;
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(silent)?;
        if answer.status().is_success() {
            return serde_json::from_str(&text).map_err(|error| Error::failed(self.stranger(), error));
        }
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) if problem.r#type.ends_with("#malformed-key") => Err(Error::Usage(problem.detail)),
            Ok(problem) if !problem.r#type.ends_with("#no-route") => Err(Error::Failed { what: problem.detail, source: None }),
            _ => Err(Error::Failed { what: format!("{} (it answers {})", self.stranger(), answer.status()), source: None }),
        }
    }

    fn stranger(&self) -> String {
        format!("what answers at {} is no eddy, or one of another version", self.url)
    }
}
