//! `/v1/stream`: what is new, four times a second, computed once for all clients; with `?chat` also what is said in the sandbox chat.
//!
//! ```text
//!   telemetry, store, truth --turn (250 ms, only while somebody listens)--> JSON --watch--+--> every client
//!   chat --events kept, then those to come--broadcast-------------------------------------+
//! ```
//!
//! One stream for both, because browsers open six connections to a host and no more.
//!
//! # Invariants
//! 1. A slow client sees fewer, newer statuses: the watch channel holds one, so nothing queues. One that reads the chat too slowly is cut off, and
//!    comes back with the id of what it had last.
//! 2. The id of a chat event names the run of eddy that it is of, so none of an earlier run is taken for one of this.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_stream::wrappers::{BroadcastStream, WatchStream};
use tokio_stream::{Stream, StreamExt};

use super::panels::Panels;
use super::problem::{self, Problem};
use super::{Shared, as_of};
use crate::messenger::sandbox::Sandbox;
use crate::store::AsOf;
use crate::telemetry::states::now_ms;
use crate::telemetry::{STORE, State as Is};

/// How often the status is made.
const TURN: Duration = Duration::from_millis(250);
/// A status comes at least this often, so that a client can tell a silent server from a quiet one.
const BEAT: Duration = Duration::from_secs(2);
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
    /// Which run of eddy this is: when it began, milliseconds since 1970.
    run: u64,
    feed: watch::Sender<Feed>,
    /// Somebody came: the next status is told even where nothing changed.
    came: Notify,
    places: Arc<Semaphore>,
}

impl Default for Live {
    fn default() -> Self {
        Live { run: now_ms(), feed: watch::Sender::new(Feed::Nothing), came: Notify::new(), places: Arc::new(Semaphore::new(CLIENTS_MAX)) }
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

#[derive(Deserialize)]
pub struct Asked {
    /// The chat's events are wanted too, those after this id; empty: all that are kept.
    chat: Option<String>,
}

/// Events, until `None`.
type Events = Pin<Box<dyn Stream<Item = Option<Event>> + Send>>;

pub async fn stream(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
    head: HeaderMap,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|rejection| problem::QUERY.with(rejection.body_text()))?;
    let place = shared.live.places.clone().try_acquire_owned();
    let place = place.map_err(|_| problem::BUSY.with(format!("at most {CLIENTS_MAX} at a time; ask /v1 routes instead")))?;
    let feed = shared.live.feed.subscribe(); // from here on every change is seen; what is held now may be old
    if matches!(*feed.borrow(), Feed::Closing) {
        return Err(problem::NOT_READY.with("it is shutting down".into()));
    }
    let chat = asked.chat.zip(shared.chat.as_ref());
    // An id is where to go on from: with the chat only its own events have one.
    let with_id = chat.is_none();
    let statuses = WatchStream::from_changes(feed).filter_map(move |feed| {
        let _held = &place;
        let status = |json: &str| Event::default().event("status").data(json);
        match feed {
            Feed::Nothing => None,
            Feed::Status { tick, json } if with_id => Some(Some(status(&json).id(tick.to_string()))),
            Feed::Status { json, .. } => Some(Some(status(&json))),
            Feed::Closing => Some(None),
        }
    });
    let said: Events = match chat {
        Some((last, sandbox)) => {
            let last = head.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or(&last);
            chat_events(sandbox, shared.live.run, last)
        }
        None => Box::pin(tokio_stream::pending()),
    };
    shared.live.came.notify_one();
    let mut first = true;
    let events = statuses.merge(said).map_while(move |event| {
        let event = event?;
        Some(Ok::<_, std::convert::Infallible>(if std::mem::take(&mut first) { event.retry(RETRY) } else { event }))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // a proxy that buffers would hold events back
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

/// What was said after the event `last`, an id that a client had, and what is said from now on.
fn chat_events(sandbox: &Sandbox, run: u64, last: &str) -> Events {
    let of_this_run = last.strip_prefix(&format!("{run}.")).and_then(|id| id.parse().ok());
    let (kept, live) = sandbox.listen(of_this_run.unwrap_or(0));
    // An error: so much was said that this client has missed some of it.
    let events = tokio_stream::iter(kept).map(Some).chain(BroadcastStream::new(live).map(Result::ok));
    Box::pin(events.map(move |event| {
        let event = event?;
        Some(Event::default().id(format!("{run}.{}", event.id)).event(event.kind).data(event.data))
    }))
}

/// Makes statuses until the router is gone.
pub async fn tell(shared: Weak<Shared>) {
    let mut turns = tokio::time::interval(TURN);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut panels, mut counts, mut told, mut told_at) = (None, AsOf::default(), String::new(), Instant::now());
    loop {
        turns.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.live.feed.receiver_count() == 0 || shared.live.is_closing() {
            continue;
        }
        let panels = panels.get_or_insert_with(|| Panels::new(&shared.views));
        panels.turn(&*shared.store).await;
        // After the panels: nothing that is shown is newer than the tick that is told. A store that is away leaves the last counts.
        counts = shared.count().await.unwrap_or(counts);
        let status = status(&shared, &counts, panels);
        let came = std::pin::pin!(shared.live.came.notified()).enable();
        if came || status != told || told_at.elapsed() >= BEAT {
            // the clock is left out of the comparison: time alone is no news
            let json = format!("{{\"now_ms\":{},{}", now_ms(), &status[1..]);
            shared.live.tell(counts.tick, json.into());
            (told, told_at) = (status, Instant::now());
        }
    }
}

impl Shared {
    /// Rows of each view; tells how the store is.
    pub async fn count(&self) -> Option<AsOf<Vec<u64>>> {
        let counted = self.store.count(&self.views).await;
        self.telemetry.state(STORE, counted.as_ref().map_or_else(|error| Is::Failed(error.to_string()), |_| Is::Ready));
        counted.ok()
    }
}

/// `counts`: rows of each view; their tick is the status's.
fn status(shared: &Shared, counts: &AsOf<Vec<u64>>, panels: &Panels) -> String {
    let told = shared.telemetry.snapshot();
    let count = |name| shared.views.iter().zip(&counts.value).find(|(view, _)| view.name == name).map(|(_, rows)| *rows);
    let views = shared.views.iter().map(|view| json!({ "name": view.name, "means": view.means, "rows": count(view.name) }));
    let status = json!({
        "run": shared.live.run,
        "tick": as_of(counts.tick),
        "ready": told.ready,
        "rate": (told.rate * 10.0).round() / 10.0,
        "rates": told.rates,
        "freshness": told.freshness,
        "read": told.read,
        "applied": told.applied,
        "ignored": told.ignored,
        "dead_letters": told.dead_letters,
        "letters": shared.telemetry.letters(LETTERS),
        // Counted with the other views where that view is there: two figures of one thing must not differ.
        "messages_live": count("messages").map_or(json!(told.messages_live), Value::from),
        "users_live": count("users"),
        "views": views.collect::<Vec<Value>>(),
        "components": told.components,
        "truth": shared.truth.as_ref().map(|truth| truth.borrow().clone()),
        "chat": shared.chat.is_some(),
        "panels": panels.json(),
    });
    status.to_string()
}
