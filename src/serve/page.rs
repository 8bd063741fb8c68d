//! The page: its files, in the binary.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::Shared;

pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(async || file("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page.css", get(async || file("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route("/page.js", get(async || file("text/javascript; charset=utf-8", include_str!("page/page.js"))))
        .route("/feed.js", get(async || file("text/javascript; charset=utf-8", include_str!("page/feed.js"))))
        .route("/worker.js", get(async || file("text/javascript; charset=utf-8", include_str!("page/worker.js"))))
        .route("/chat.js", get(async || file("text/javascript; charset=utf-8", include_str!("page/chat.js"))))
        .route("/icon.svg", get(async || file("image/svg+xml", include_str!("page/icon.svg"))))
}

fn file(media: &'static str, content: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, "no-cache")], content)
}
