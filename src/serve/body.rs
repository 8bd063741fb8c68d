//! Bodies of requests: JSON that says it is JSON.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::problem::{self, Problem};
use crate::telemetry::letters::cut;

/// What a body says; `form`: how one looks, for who got it wrong.
pub fn read<T: DeserializeOwned>(head: &HeaderMap, body: Result<Bytes, BytesRejection>, form: &str) -> Result<T, Problem> {
    let media = head.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json")) {
        return Err(problem::MEDIA.with("send it with content-type: application/json".into()));
    }
    let body = body.map_err(|rejection| {
        let of = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { &problem::TOO_LARGE } else { &problem::BODY };
        of.with(if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            "it is longer than this route takes".into()
        } else {
            rejection.body_text()
        })
    })?;
    serde_json::from_slice(&body).map_err(|error| problem::BODY.with(format!("{}; it looks like {form}", wrong(&error))))
}

/// What is wrong with a body, in words of JSON and not of our types.
fn wrong(error: &serde_json::Error) -> String {
    if error.classify() != Category::Data {
        return format!("it is not JSON: {error}");
    }
    let says = error.to_string();
    let field = ["missing field ", "unknown field ", "duplicate field "].iter().any(|start| says.starts_with(start));
    let what = if field { says.split([',', ' ']).take(3).collect::<Vec<_>>().join(" ") } else { "not what is expected".into() };
    format!("{} at line {} column {}", cut(&what, 80), error.line(), error.column())
}
