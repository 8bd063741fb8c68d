//! The sandbox chat over HTTP; its events come on `/v1/stream?chat`.
//!
//! ```text
//!   POST /chat/messages  {"text", "reply_to"?, "session"?, "name"?}     -> 200 {update_id, message_id, user_id, name}
//!   POST /chat/callback  {"message_id", "data", "session"?, "name"?}    -> 200, the same
//! ```
//!
//! A person is a `session`: the field where it is given, else the cookie `eddy_chat`, else a new one that is set. Bodies must say that they are
//! JSON, which other sites' forms cannot: a page elsewhere cannot type here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;

use super::body;
use super::problem::{self, Problem};
use crate::messenger::sandbox::{Refused, Sandbox, Taken};

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

pub fn routes(sandbox: Sandbox) -> Router {
    Router::new()
        .route("/chat/messages", post(messages))
        .route("/chat/callback", post(callback))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(sandbox)
}

async fn messages(State(sandbox): State<Sandbox>, head: HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let message: Message = body::read(&head, body, r#"{"text":"hello"}"#)?;
    let (session, cookie) = session(message.session, &head);
    Ok(answer(sandbox.say(&session, message.name.as_deref(), &message.text, message.reply_to), cookie))
}

async fn callback(State(sandbox): State<Sandbox>, head: HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let callback: Callback = body::read(&head, body, r#"{"message_id":2,"data":"me"}"#)?;
    let (session, cookie) = session(callback.session, &head);
    Ok(answer(sandbox.press(&session, callback.name.as_deref(), callback.message_id, &callback.data), cookie))
}

/// The session, and the cookie to be set where it is new.
fn session(field: Option<String>, head: &HeaderMap) -> (String, Option<String>) {
    if let Some(session) = field {
        return (session, None);
    }
    let cookies = head.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
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
        Ok(taken) => Json(taken).into_response(),
        Err(refused) => Problem::from(refused).into_response(),
    };
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let of = match refused {
            Refused::Length(_) | Refused::Name => &problem::CHAT,
            Refused::Button(_) | Refused::Reply(_) => &problem::CHAT_GONE,
            Refused::Fast | Refused::Crowd => &problem::FAST,
            Refused::Log(_) => &problem::CHAT_LOG,
        };
        of.with(refused.to_string())
    }
}
