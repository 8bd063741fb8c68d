//! Connections: how many there may be, and how long each may keep silent.
//!
//! ```text
//!   accept --[ at most CONNECTIONS_MAX ]--> hyper (HTTP/1.1) --> router
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at a time: the stream's clients and as many again. Those beyond wait in the kernel's queue until one ends.
const CONNECTIONS_MAX: usize = 512;
/// How long a client may take to send the head of a request; also the longest pause between two requests. Then the connection is closed.
pub const HEAD_WAIT: Duration = Duration::from_secs(15);
/// How long answers under way may take to end once shutdown began. Rows are answered in milliseconds.
const DRAIN: Duration = Duration::from_secs(1);

/// Answers until `shutdown`; then no connection is taken any more, and those that are there end with the answer under way.
pub async fn serve(mut listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT);
    let (places, open) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), GracefulShutdown::new());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
            // It goes on by itself after an error, such as too many open files.
            (place, Listener::accept(&mut listener).await.0)
        };
        let (place, socket) = tokio::select! {
            next = next => next,
            () = &mut shutdown => break,
        };
        // An event is one small packet that must not wait for the next. A connection that refuses is ending anyway.
        let _ = socket.set_nodelay(true);
        let connection = open.watch(http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(router.clone())));
        tokio::spawn(async move {
            // How a client broke off is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    // Who has not read its answer by then does not get the rest of it.
    let _ = tokio::time::timeout(DRAIN, open.shutdown()).await;
}
