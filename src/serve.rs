//! Serving: view rows over HTTP, made from the views' own descriptions; what is live over SSE; the page.
//!
//! ```text
//!   View.path --> /v1/users/{user}, /v1/users/{user}/hours, ...  --key--> store --cells--> JSON
//!   any View  --> /v1/views/{view}?key=
//!   Telemetry, store --every 250 ms--> status --watch--> /v1/stream --> the page
//!   sandbox chat --/chat, /v1/stream?chat--> the page
//! ```
//!
//! # Invariants
//! 1. No handler names a view: a new view is served, documented and counted by being in [`App::views`]. (The page's panels
//!    are the exception: they are a page about some views.)
//! 2. Reading never meets a new name, so requests do not grow memory.
//! 3. Every error is `application/problem+json`.
//! 4. Every answer is bounded: rows of a list, keys of a batch, bytes of a body, clients of the stream, work of a panel; connections are
//!    counted, and none may keep silent for long.
//! 5. The rows of an answer are one read of the store and carry its tick: they are of one closed tick. (A panel is made of several
//!    reads, and says when.)

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use eddy_schemas::{Path, View};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::messenger::sandbox::Sandbox;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::telemetry::letters::cut;
use crate::texts::Texts;

mod batch;
mod body;
mod chat;
mod connections;
mod cursor;
mod docs;
mod edge;
mod health;
mod key;
mod live;
mod page;
mod panels;
mod problem;
mod reads;
mod row;
#[cfg(test)]
mod tests;
mod views;

/// What is served.
pub struct App {
    /// The views that the engine builds.
    pub views: Vec<&'static View>,
    /// Views that exist but are not built here: their routes say so.
    pub not_built: Vec<&'static View>,
    pub store: Arc<dyn Store>,
    pub texts: Arc<dyn Texts>,
    pub telemetry: Arc<Telemetry>,
    /// Whether each view agrees with what the synthetic source knows; the page shows it where it is there.
    pub truth: Option<watch::Receiver<Vec<TruthRow>>>,
    /// The sandbox chat; the page shows it where it is there.
    pub chat: Option<Sandbox>,
}

/// One view compared with what its source knows.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TruthRow {
    pub view: String,
    /// Rows compared, each time that they were.
    pub checked: u64,
    /// How much of the view has been looked at so far: 0 to 1.
    pub share: f64,
    pub ok: bool,
    /// The first disagreement.
    pub detail: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{addr} is taken by another program: choose another with --listen, such as --listen 127.0.0.1:0 for any free port")]
    Taken { addr: SocketAddr, source: std::io::Error },
    #[error("could not listen on {addr}: choose another address with --listen")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("{addr} can be reached from outside and there is no API key: use --listen with a loopback address such as 127.0.0.1:8080")]
    Open { addr: SocketAddr },
}

impl App {
    pub fn new(views: Vec<&'static View>, store: Arc<dyn Store>, texts: Arc<dyn Texts>, telemetry: Arc<Telemetry>) -> Self {
        App { views, not_built: Vec::new(), store, texts, telemetry, truth: None, chat: None }
    }
}

/// What handlers share.
struct Shared {
    views: Vec<&'static View>,
    not_built: Vec<&'static View>,
    store: Arc<dyn Store>,
    texts: Arc<dyn Texts>,
    telemetry: Arc<Telemetry>,
    truth: Option<watch::Receiver<Vec<TruthRow>>>,
    chat: Option<Sandbox>,
    scope: cursor::Scope,
    live: live::Live,
    docs: docs::Docs,
}

impl Shared {
    fn view(&self, name: &str) -> Option<&'static View> {
        self.views.iter().copied().find(|view| view.name == name)
    }

    /// The view of a name that a request gave.
    fn built(&self, name: &str) -> Result<&'static View, problem::Problem> {
        self.view(name).ok_or_else(|| {
            let shown = cut(name, 80);
            let exists = self.not_built.iter().any(|view| view.name == name);
            problem::NOT_BUILT.with(if exists {
                not_built_detail(shown)
            } else {
                format!("there is no view {shown:?}; /v1/views lists them")
            })
        })
    }
}

/// The routes. Call it within a tokio runtime: it starts the task that tells the stream's clients what is new.
pub fn router(app: App) -> Router {
    build(app).0
}

fn build(app: App) -> (Router, Arc<Shared>) {
    let App { views, not_built, store, texts, telemetry, truth, chat } = app;
    let chat_routes = chat.clone().map(chat::routes);
    let shared = Arc::new(Shared {
        docs: docs::Docs::new(&views, chat.is_some()),
        chat,
        scope: cursor::Scope::default(),
        live: live::Live::default(),
        views,
        not_built,
        store,
        texts,
        telemetry,
        truth,
    });
    let mut router = Router::new();
    for &view in &shared.views {
        router = match (view.path, route(view)) {
            (Path::One(_), Some(path)) => router.route(&path, get(move |state, key, head| reads::one(view, state, key, head))),
            (Path::Many(..), Some(path)) => router.route(&path, get(move |state, key, query| reads::many(view, state, key, query))),
            _ => router,
        };
    }
    for &view in &shared.not_built {
        if let Some(path) = route(view) {
            router = router.route(&path, get(async move || problem::NOT_BUILT.with(not_built_detail(view.name))));
        }
    }
    let router = router
        .route("/v1/views", get(views::list))
        .route("/v1/views/{view}", get(views::rows))
        .route("/v1/batch", post(batch::batch))
        .route("/v1/stream", get(live::stream))
        .route("/health", get(health::health))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/docs", get(docs::html))
        .route("/docs/openapi.json", get(docs::json))
        .merge(page::routes())
        .fallback(async || problem::NO_ROUTE.with("no such route; /docs lists what there is".into()))
        .with_state(shared.clone())
        .merge(chat_routes.unwrap_or_default())
        .layer(axum::middleware::from_fn_with_state(shared.clone(), edge::edge));
    tokio::spawn(live::tell(Arc::downgrade(&shared)));
    (router, shared)
}

/// The route of a view, such as `/v1/users/{user}/hours`.
fn route(view: &View) -> Option<String> {
    let key = view.key[0].name;
    match view.path {
        Path::One(base) => Some(format!("/v1/{base}/{{{key}}}")),
        Path::Many(base, list) => Some(format!("/v1/{base}/{{{key}}}/{list}")),
        Path::Unlisted => None,
    }
}

fn not_built_detail(view: &str) -> String {
    format!("the view {view} is not built here: start eddy with --views all or with {view} among them")
}

/// Takes an address; port 0 takes any free one ([`TcpListener::local_addr`] says which).
pub async fn listen(addr: SocketAddr) -> Result<TcpListener, Error> {
    if !addr.ip().is_loopback() {
        return Err(Error::Open { addr });
    }
    TcpListener::bind(addr).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => Error::Taken { addr, source },
        _ => Error::Listen { addr, source },
    })
}

/// Serves until `shutdown`: then `/readyz` drops, streams end, answers under way get a second.
pub async fn run(listener: TcpListener, app: App, shutdown: impl Future<Output = ()>) {
    let (router, shared) = build(app);
    let closing = async {
        shutdown.await;
        shared.live.close();
    };
    connections::serve(listener, router, closing).await;
}

/// A tick as answers say it: none before the first has closed.
fn as_of(tick: u64) -> Option<u64> {
    (tick > 0).then_some(tick)
}
