//! Errors as `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A kind of problem: its anchor on `/docs`, its status, its title.
#[derive(Debug, PartialEq, Eq)]
pub struct Type {
    pub slug: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
}

macro_rules! types {
    ($($name:ident $slug:literal $status:ident $title:literal)*) => {
        $(pub static $name: Type = Type { slug: $slug, status: StatusCode::$status, title: $title };)*
        /// Every type, for the docs.
        pub static ALL: &[&Type] = &[$(&$name),*];
    };
}

types! {
    KEY "malformed-key" BAD_REQUEST "This is not a key of this view"
    CURSOR "bad-cursor" BAD_REQUEST "This cursor is not one of this list"
    QUERY "bad-query" BAD_REQUEST "The query cannot be read"
    BODY "bad-body" BAD_REQUEST "The body cannot be read"
    BATCH "batch-too-big" BAD_REQUEST "The batch holds too many keys"
    NO_HOST "bad-host" BAD_REQUEST "The request names no host, or several"
    CHAT "chat-refused" BAD_REQUEST "The chat does not take this"
    HOST "foreign-host" FORBIDDEN "This request comes from somewhere else"
    NO_ROUTE "no-route" NOT_FOUND "There is nothing here"
    NO_ROW "no-row" NOT_FOUND "No row has this key"
    NOT_BUILT "view-not-built" NOT_FOUND "This view is not built here"
    CHAT_GONE "chat-gone" NOT_FOUND "The chat has no such message or button"
    METHOD "method" METHOD_NOT_ALLOWED "This route does not take this method"
    SLOW "timeout" REQUEST_TIMEOUT "The request took too long"
    TOO_LARGE "too-large" PAYLOAD_TOO_LARGE "The body is too large"
    MEDIA "media-type" UNSUPPORTED_MEDIA_TYPE "The body is not JSON"
    FAST "too-fast" TOO_MANY_REQUESTS "Too much at once"
    TEXT "text-unreadable" INTERNAL_SERVER_ERROR "A text could not be read again"
    NOT_READY "not-ready" SERVICE_UNAVAILABLE "The engine is not ready yet"
    STORE "store-unavailable" SERVICE_UNAVAILABLE "The store cannot be reached"
    CHAT_LOG "log-unavailable" SERVICE_UNAVAILABLE "The log did not take it"
    BUSY "too-many-streams" SERVICE_UNAVAILABLE "Too many clients are on the stream"
}

/// One problem. The edge writes it out, since it knows the path (`instance`).
#[derive(Clone, Debug)]
pub struct Problem {
    pub of: &'static Type,
    pub detail: String,
}

#[derive(Serialize)]
struct Written<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
}

impl Type {
    pub fn with(&'static self, detail: String) -> Problem {
        Problem { of: self, detail }
    }
}

impl From<crate::store::Error> for Problem {
    fn from(error: crate::store::Error) -> Self {
        match error {
            crate::store::Error::Cursor => CURSOR.with(error.to_string()),
            crate::store::Error::Unavailable(_) => STORE.with(format!("{error}; try again")),
        }
    }
}

impl From<crate::texts::Error> for Problem {
    fn from(error: crate::texts::Error) -> Self {
        TEXT.with(error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.of.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Puts the problem's text into an answer.
pub fn write(response: &mut Response, r#type: String, title: &str, detail: &str, instance: &str) {
    let status = response.status();
    let written = Written { r#type, title, status: status.as_u16(), detail, instance };
    *response.body_mut() = Body::from(serde_json::to_vec(&written).expect("strings and a number serialize"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static("1"));
    }
}
