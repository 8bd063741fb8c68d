//! The sandbox over HTTP.
//!
//! ```text
//!   POST /chat/messages  {"text", "reply_to"?, "session"?, "name"?}         -> 200 {update_id, message_id, user_id, name}
//!   POST /chat/callback  {"message_id", "data", "session"?, "name"?}        -> 200, the same
//!   GET  /chat/stream    SSE: message, edit, delete, notice; id to resume   (Last-Event-ID)
//! ```
//!
//! A person is a `session`: the field where it is given, else the cookie `eddy_chat`, else a new one that is set. Bodies must say that they are
//! JSON, which other sites' forms cannot: a page elsewhere cannot type here.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

use super::{Event, Refused, Sandbox, Taken};

/// Bytes of a request, at most: a text of 4,096 characters, escaped.
const BODY_BYTES_MAX: usize = 64 << 10;
const COOKIE: &str = "eddy_chat";

#[derive(Deserialize)]
struct Message {
    text: String,
    reply_to: Option<i64>,
    session: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Callback {
    message_id: i64,
    data: String,
    session: Option<String>,
    name: Option<String>,
}

impl Sandbox {
    /// The chat's routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/chat/messages", post(messages))
            .route("/chat/callback", post(callback))
            .route("/chat/stream", get(stream))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self.clone())
    }
}

async fn messages(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let message: Message = match read(&headers, body) {
        Ok(message) => message,
        Err(problem) => return problem,
    };
    let (session, cookie) = session(message.session, &headers);
    answer(sandbox.say(&session, message.name.as_deref(), &message.text, message.reply_to), cookie)
}

async fn callback(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let callback: Callback = match read(&headers, body) {
        Ok(callback) => callback,
        Err(problem) => return problem,
    };
    let (session, cookie) = session(callback.session, &headers);
    answer(sandbox.press(&session, callback.name.as_deref(), callback.message_id, &callback.data), cookie)
}

#[expect(clippy::result_large_err, reason = "the answer itself is what failed; it is made once a request")]
fn read<T: DeserializeOwned>(headers: &HeaderMap, body: Result<Bytes, axum::extract::rejection::BytesRejection>) -> Result<T, Response> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.trim_start().to_ascii_lowercase().starts_with("application/json") {
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json"));
    }
    let body = body.map_err(|e| problem(e.status(), &format!("at most {BODY_BYTES_MAX} bytes can be sent")))?;
    serde_json::from_slice(&body).map_err(|e| problem(StatusCode::BAD_REQUEST, &format!("this is not the JSON expected here: {e}")))
}

/// The session, and the cookie to be set where it is new.
fn session(field: Option<String>, headers: &HeaderMap) -> (String, Option<String>) {
    if let Some(session) = field {
        return (session, None);
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    let mine = cookies.filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('=')).next();
    if let Some(session) = mine.filter(|s| (1..=64).contains(&s.len())) {
        return (session.to_string(), None);
    }
    let session = fresh();
    let cookie = format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000");
    (session, Some(cookie))
}

/// A session nobody else has. It tells people apart; it protects nothing.
fn fresh() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
    format!("{now:x}-{:x}", MADE.fetch_add(1, Ordering::Relaxed))
}

fn answer(result: Result<Taken, Refused>, cookie: Option<String>) -> Response {
    let mut response = match result {
        Ok(taken) => axum::Json(taken).into_response(),
        Err(refused) => {
            let status = match refused {
                Refused::Length(_) | Refused::Name => StatusCode::BAD_REQUEST,
                Refused::Button(_) | Refused::Reply(_) => StatusCode::NOT_FOUND,
                Refused::Fast => StatusCode::TOO_MANY_REQUESTS,
                Refused::Full(_) | Refused::Log(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            let mut response = problem(status, &refused.to_string());
            if status == StatusCode::TOO_MANY_REQUESTS {
                response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
            }
            response
        }
    };
    if let Some(cookie) = cookie.and_then(|c| header::HeaderValue::from_str(&c).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("error");
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
}

async fn stream(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Sse<impl Stream<Item = Result<SseEvent, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(0);
    let (kept, live) = sandbox.listen(last);
    // A browser that reads too slowly is cut off, and comes back with its Last-Event-ID.
    let live = BroadcastStream::new(live).map_while(Result::ok);
    let events = tokio_stream::iter(kept)
        .chain(live)
        .map(|event: Event| Ok(SseEvent::default().id(event.id.to_string()).event(event.kind).data(event.data)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}
