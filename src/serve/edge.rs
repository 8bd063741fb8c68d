//! What every request passes: the guard against foreign pages, the time it may take, the form of errors, security headers, the count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::to_bytes;
use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::problem::{self, Problem};
use crate::telemetry::letters::cut;

/// From a request's head to its answer's, its body included.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Of a path this much is repeated in a problem.
const INSTANCE_BYTES_MAX: usize = 200;
/// Of another room's error text this much becomes a problem's detail.
const DETAIL_BYTES_MAX: usize = 4096;

const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

pub async fn edge(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = cut(request.uri().path(), INSTANCE_BYTES_MAX).to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answered = async {
        guard(&request)?;
        let late = |_| problem::SLOW.with(format!("no answer within {} s: was its body sent whole?", ANSWER_WAIT.as_secs()));
        tokio::time::timeout(ANSWER_WAIT, next.run(request)).await.map_err(late)
    };
    let mut response = answered.await.unwrap_or_else(IntoResponse::into_response);
    let status = response.status();
    if let Some(Problem { of, detail }) = response.extensions_mut().remove::<Problem>() {
        problem::write(&mut response, format!("/docs#{}", of.slug), of.title, &detail, &path);
    } else if (status.is_client_error() || status.is_server_error()) && !is_json(response.headers()) {
        response = plain_error(response, &path).await;
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    shared.telemetry.request(route.as_ref().map_or("none", MatchedPath::as_str), status.as_u16(), began.elapsed());
    response
}

/// A page on another site can make a browser send requests here, and with DNS rebinding even read the answers. So a
/// request must name a loopback host, and one with an `Origin` must come from the page itself. Programs send no `Origin`.
fn guard(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let mut named = headers.get_all(header::HOST).iter();
    let host = match (named.next(), named.next()) {
        (Some(host), None) => Some(host.to_str().unwrap_or("?")),
        (None, None) if request.version() < Version::HTTP_11 => None,
        // RFC 9112, 3.2.
        _ => return Err(problem::NO_HOST.with("send the header `host` once".into())),
    };
    let Some(host) = request.uri().authority().map(Authority::as_str).or(host) else { return Ok(()) };
    if !is_loopback(host) {
        return Err(problem::HOST.with("eddy answers to localhost and loopback addresses only".into()));
    }
    match headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("?")) {
        Some(origin) if origin.strip_prefix("http://") != Some(host) => {
            Err(problem::HOST.with("the origin of this request is not this server".into()))
        }
        _ => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("json"))
}

/// Errors that axum or other rooms made: 405, and what their handlers say in plain text.
async fn plain_error(response: Response, path: &str) -> Response {
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let mut response = Response::from_parts(parts, axum::body::Body::empty());
    let status = response.status();
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let (of, detail) = (&problem::METHOD, "the allow header names the methods that this route takes");
        problem::write(&mut response, format!("/docs#{}", of.slug), of.title, detail, path);
    } else {
        let title = status.canonical_reason().unwrap_or("Error");
        let detail = String::from_utf8_lossy(&text);
        problem::write(&mut response, "about:blank".into(), title, if detail.is_empty() { title } else { &detail }, path);
    }
    response
}
