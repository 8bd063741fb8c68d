//! What orchestrators and scrapers ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Shared;
use super::problem::{self, Problem};
use crate::telemetry::{Component, State as Is};

#[derive(Serialize)]
struct Health {
    /// `ready`; `starting`; `degraded` while any component fails.
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
    tick: u64,
    components: Vec<Component>,
}

/// The process answers: that is all it says.
pub async fn livez() -> &'static str {
    "ok\n"
}

/// Reads are served.
pub async fn readyz(State(shared): State<Arc<Shared>>) -> Result<&'static str, Problem> {
    if shared.live.is_closing() {
        return Err(problem::NOT_READY.with("it is shutting down".into()));
    }
    shared.ready_tick().map(|_| "ready\n")
}

/// Each component's state and last error. Always 200: what should restart or route by an answer asks the other two.
pub async fn health(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let components = shared.telemetry.snapshot().components;
    let failed = components.iter().any(|component| matches!(component.state, Is::Failed(_)));
    let starting = !shared.telemetry.is_ready();
    let status = if failed {
        "degraded"
    } else if starting {
        "starting"
    } else {
        "ready"
    };
    let uptime_s = shared.telemetry.uptime().as_secs();
    let health = Health { status, version: env!("CARGO_PKG_VERSION"), uptime_s, tick: shared.telemetry.tick(), components };
    ([(header::CACHE_CONTROL, "no-store")], Json(health))
}

/// Prometheus text.
pub async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    for view in &shared.views {
        // a store that is away keeps the last count: the scrape itself must not fail with it
        if let Ok(rows) = shared.store.count(view).await {
            shared.telemetry.view_rows(view.name, rows);
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.telemetry.encode()).into_response()
}
