//! `/v1/stream`: what is new, four times a second, computed once for all clients.
//!
//! ```text
//!   telemetry, store, truth --turn (250 ms, only while somebody listens)--> JSON --watch--> every client
//! ```
//!
//! A slow client sees fewer, newer statuses: the watch channel holds one, so nothing queues.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;

use super::Shared;
use super::panels::Panels;
use super::problem::{self, Problem};
use crate::telemetry::states::now_ms;

/// How often the status is made.
const TURN: Duration = Duration::from_millis(250);
/// How often rows are counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// A comment that keeps idle connections open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What clients wait before they come again.
const RETRY: Duration = Duration::from_secs(2);
/// Clients at a time; one more gets 503.
const CLIENTS_MAX: usize = 256;
/// Dead letters in a status.
const LETTERS: usize = 20;

#[derive(Clone)]
enum Feed {
    Nothing,
    Status { tick: u64, json: Arc<str> },
    Closing,
}

pub struct Live {
    feed: watch::Sender<Feed>,
    /// Somebody came: the next status is told even where nothing changed.
    came: Notify,
    places: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Live { feed: watch::Sender::new(Feed::Nothing), came: Notify::new(), places: Arc::new(Semaphore::new(CLIENTS_MAX)) }
    }
}

impl Live {
    /// Ends every stream.
    pub fn close(&self) {
        self.feed.send_replace(Feed::Closing);
    }

    pub fn is_closing(&self) -> bool {
        matches!(*self.feed.borrow(), Feed::Closing)
    }

    /// Tells a status, unless streams have ended.
    fn tell(&self, tick: u64, json: Arc<str>) {
        self.feed.send_if_modified(|feed| {
            let open = !matches!(feed, Feed::Closing);
            if open {
                *feed = Feed::Status { tick, json };
            }
            open
        });
    }
}

pub async fn stream(State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let place = shared.live.places.clone().try_acquire_owned();
    let place = place.map_err(|_| problem::BUSY.with(format!("at most {CLIENTS_MAX} at a time; ask /v1 routes instead")))?;
    let feed = shared.live.feed.subscribe(); // from here on every change is seen; what is held now may be old
    if matches!(*feed.borrow(), Feed::Closing) {
        return Err(problem::NOT_READY.with("it is shutting down".into()));
    }
    let statuses = WatchStream::from_changes(feed).take_while(|feed| !matches!(feed, Feed::Closing));
    shared.live.came.notify_one();
    let mut first = true;
    let events = statuses.filter_map(move |feed| {
        let _held = &place;
        let Feed::Status { tick, json } = feed else { return None };
        let event = Event::default().event("status").id(tick.to_string()).data(&*json);
        Some(Ok::<_, std::convert::Infallible>(if std::mem::take(&mut first) { event.retry(RETRY) } else { event }))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // a proxy that buffers would hold events back
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

/// Makes statuses until the router is gone.
pub async fn tell(shared: Weak<Shared>) {
    let mut turns = tokio::time::interval(TURN);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut panels, mut counts, mut told) = (None, Counts::default(), String::new());
    loop {
        turns.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.live.feed.receiver_count() == 0 || shared.live.is_closing() {
            continue;
        }
        counts.turn(&shared).await;
        let panels = panels.get_or_insert_with(|| Panels::new(&shared.views));
        panels.turn(&*shared.store).await;
        let (tick, status) = status(&shared, &counts.rows, panels);
        let came = std::pin::pin!(shared.live.came.notified()).enable();
        if came || status != told {
            // the clock is left out of the comparison: time alone is no news
            let json = format!("{{\"now_ms\":{},{}", now_ms(), &status[1..]);
            shared.live.tell(tick, json.into());
            told = status;
        }
    }
}

/// Rows of each view, counted now and then.
#[derive(Default)]
struct Counts {
    at: Option<Instant>,
    rows: Vec<(&'static str, u64)>,
}

impl Counts {
    async fn turn(&mut self, shared: &Shared) {
        if self.at.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        self.at = Some(Instant::now());
        let mut rows = Vec::with_capacity(shared.views.len());
        for view in &shared.views {
            match shared.store.count(view).await {
                Ok(count) => rows.push((view.name, count)),
                Err(_) => return, // the store's own component says what is wrong; the last counts stay
            }
        }
        self.rows = rows;
    }
}

fn status(shared: &Shared, counts: &[(&'static str, u64)], panels: &Panels) -> (u64, String) {
    let told = shared.telemetry.snapshot();
    let count = |name| counts.iter().find(|(view, _)| *view == name).map(|(_, rows)| *rows);
    let views = shared.views.iter().map(|view| json!({ "name": view.name, "means": view.means, "rows": count(view.name) }));
    let status = json!({
        "tick": told.tick,
        "ready": told.ready,
        "rate": (told.rate * 10.0).round() / 10.0,
        "rates": told.rates,
        "freshness": told.freshness,
        "read": told.read,
        "applied": told.applied,
        "ignored": told.ignored,
        "dead_letters": told.dead_letters,
        "letters": shared.telemetry.letters(LETTERS),
        "messages_live": told.messages_live,
        "users_live": count("users"),
        "views": views.collect::<Vec<Value>>(),
        "components": told.components,
        "truth": shared.truth.as_ref().map(|truth| truth.borrow().clone()),
        "chat": shared.has_chat,
        "panels": panels.json(),
    });
    (told.tick, status.to_string())
}
