//! What orchestrators and scrapers ask.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use eddy_dataflows::Keep;
use serde::Serialize;

use super::problem::{self, Problem};
use super::{Shared, as_of};
use crate::telemetry::{Component, Partition, State as Is};

#[derive(Serialize)]
struct Health {
    /// `ready`; `starting`; `recovering` while the state is read back; `degraded` while any component fails.
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
    /// The last tick that closed; null before the first.
    tick: Option<u64>,
    /// Event time up to which records are taken to be in, seconds since 1970; 0 before there is any.
    watermark: i64,
    /// Partitions of the log. The watermark waits for those that are active, and for stalled ones: their source brings nothing.
    /// How long messages and rows stay.
    retention: Keep,
    partitions: Vec<Partition>,
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
    shared.ready().map(|()| "ready\n")
}

/// Each component's state and last error. Always 200: what should restart or route by an answer asks the other two.
pub async fn health(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    shared.count().await;
    let crate::telemetry::Snapshot { components, watermark, retention, partitions, .. } = shared.telemetry.snapshot();
    let failed = components.iter().any(|component| matches!(component.state, Is::Failed(_)));
    let recovering = components.iter().any(|component| component.state == Is::Recovering);
    let status = if failed {
        "degraded"
    } else if recovering {
        "recovering"
    } else if !shared.telemetry.is_ready() {
        "starting"
    } else {
        "ready"
    };
    let uptime_s = shared.telemetry.uptime().as_secs();
    let tick = as_of(shared.telemetry.tick());
    let health = Health { status, version: env!("CARGO_PKG_VERSION"), uptime_s, tick, watermark, retention, partitions, components };
    ([(header::CACHE_CONTROL, "no-store")], Json(health))
}

/// Prometheus text.
pub async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    // A store that is away keeps the last counts: the scrape itself must not fail with it.
    if let Some(counts) = shared.count().await {
        for (view, rows) in shared.views.iter().zip(counts.value) {
            shared.telemetry.view_rows(view.name, rows);
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.telemetry.encode()).into_response()
}
