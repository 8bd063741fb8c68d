//! The page with made-up rows, to look at and to run `page.mjs` against without an engine:
//!
//! ```text
//! cargo run --example page -- 127.0.0.1:8081 [plain|wrong|empty]
//! ```
//!
//! `plain`: no truth and no chat; `wrong`: a view that disagrees; `empty`: nothing yet, not ready.

#![expect(clippy::print_stdout, reason = "the address is what it is run for")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use eddy::serve::{App, TruthRow};
use eddy::telemetry::{ENGINE, State, Telemetry};
use eddy::texts::{self, Texts};
use eddy_schemas::control::DeadLetter;
use eddy_schemas::row::{Display, Row};
use eddy_schemas::rows::*;
use eddy_schemas::{MessageId, Name, Place, View};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;

mod store {
    pub use eddy::store::*;
}
#[path = "../../src/serve/tests/double.rs"]
mod double;

use double::Double;

static VIEWS: [&View; 12] = [
    Users::VIEW,
    Conversations::VIEW,
    Communities::VIEW,
    UserHours::VIEW,
    CommunityHours::VIEW,
    CommunityDays::VIEW,
    Sessions::VIEW,
    TopUsers::VIEW,
    Replies::VIEW,
    Messages::VIEW,
    UserNames::VIEW,
    CommunityNames::VIEW,
];
const COMMUNITIES: [&str; 11] = [
    "reddit:AskWomen",
    "reddit:rust",
    "reddit:programming",
    "telegram:-1001234567890",
    "reddit:explainlikeimfive",
    "reddit:dataisbeautiful",
    "telegram:-1009876543210",
    "reddit:a_very_long_subreddit_name_here",
    "reddit:science",
    "reddit:gardening",
    "reddit:cats",
];

struct None_;

impl Texts for None_ {
    fn text(&self, _: Place) -> Result<String, texts::Error> {
        Ok("made up".into())
    }
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:8081".into()).parse().expect("an address");
    let mode = args.next().unwrap_or_default();
    let (store, telemetry) = (Arc::new(Double::default()), Arc::new(Telemetry::new()));
    let (truth, told) = watch::channel(Vec::new());
    let mut app = App::new(VIEWS.to_vec(), store.clone(), Arc::new(None_), telemetry.clone());
    if mode != "plain" {
        app.truth = Some(told);
        app.extra = Some(chat());
    }
    if mode != "empty" {
        tokio::spawn(live(store, telemetry, truth, mode == "wrong"));
    }
    let listener = eddy::serve::listen(addr).await.expect("a free address");
    println!("http://{}", listener.local_addr().expect("bound"));
    let shutdown = async { tokio::signal::ctrl_c().await.expect("a signal handler") };
    eddy::serve::run(listener, app, shutdown).await.expect("it serves");
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

/// Something like chance, the same in every run.
fn chance(n: i64) -> i64 {
    (eddy_schemas::id::mix(n as u64) >> 33) as i64
}

async fn live(store: Arc<Double>, telemetry: Arc<Telemetry>, truth: watch::Sender<Vec<TruthRow>>, wrong: bool) {
    telemetry.state("source", State::Ready);
    telemetry.state(ENGINE, State::Ready);
    for (i, name) in [(3, ":Night Owls \u{1f989}"), (6, ":Rust RU \u{2013} \u{447}\u{430}\u{442}")] {
        let key = CommunityNamesKey { community: Name::of(COMMUNITIES[i]) };
        store.put(1, key, CommunityNames { name: Some(Display(Name::of(name))) });
    }
    for step in 0i64.. {
        let (tick, at) = (now() as u64 * 1000 + (step as u64 * 200) % 1000, now());
        hours(&store, tick, at, step);
        top(&store, tick, step);
        for i in 0..if step == 0 { 3000 } else { 7 } {
            conversation(&store, tick, at, if step == 0 { i } else { (step * 7 + i) % 3000 }, step);
        }
        for i in 0..if step == 0 { 1200 } else { 2 } {
            let user = Name::new("reddit:", &format!("user{}", step * 2 + i));
            let row =
                Users { messages: 1, characters: 9, score: 1, edited: 0, first_at: at, last_at: at, conversations: 1, communities: 1 };
            store.put(tick, UsersKey { user }, row);
        }
        tell(&telemetry, tick, step);
        let rows = VIEWS.iter().map(|view| TruthRow {
            view: view.name.into(),
            checked: 1000 + step as u64,
            ok: !(wrong && view.name == "sessions"),
            detail: (wrong && view.name == "sessions")
                .then(|| "telegram:77401, 1700000000: end_at is 1700000360 here and 1700000420 at the source, messages 3 and 4".into()),
        });
        truth.send_replace(rows.collect());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn hours(store: &Double, tick: u64, at: i64, step: i64) {
    for (c, name) in COMMUNITIES.iter().enumerate() {
        for back in 0..if step == 0 { 40 } else { 1 } {
            let (hour, size) = (at / 3600 - back, 4000 / (c as i64 + 1));
            let day = [1, 1, 1, 2, 3, 5, 8, 9, 8, 7, 7, 8][(hour.rem_euclid(24) / 2) as usize];
            let messages = size * day / 5 + chance(hour * 31 + c as i64) % (size / 4 + 2) + if back == 0 { step } else { 0 };
            let key = CommunityHoursKey { community: Name::of(name), hour };
            store.put(tick, key, CommunityHours { messages, posters: messages / 3 + 1 });
        }
    }
}

fn top(store: &Double, tick: u64, step: i64) {
    for (c, community) in COMMUNITIES.iter().enumerate() {
        for rank in 1..=10u32 {
            let user = match (c, rank) {
                (3 | 6, _) => Name::new("telegram:", &format!("77{c}{rank:02}")),
                (7, 1) => Name::of("reddit:the_longest_name_that_a_user_may_have"),
                _ => Name::new(
                    "reddit:",
                    ["quiet_reader", "moss", "ferris", "ada_l", "gnu_and_cats", "o_O", "kettle", "byte_me", "n8", "zed"][rank as usize - 1],
                ),
            };
            if let (3 | 6, 1) = (c, rank) {
                store.put(tick, UserNamesKey { user }, UserNames { name: Some(Display(Name::of(":Анна Smith"))) });
            }
            let messages = 5200 / (c as i64 + 1) / i64::from(rank) + step;
            store.put(tick, TopUsersKey { community: Name::of(community), rank }, TopUsers { user, messages });
        }
    }
}

fn conversation(store: &Double, tick: u64, at: i64, i: i64, step: i64) {
    let key = ConversationsKey { conversation: MessageId::submission(&format!("z{i}")) };
    let row = Conversations {
        community: Some(Name::of(COMMUNITIES[(i % 11) as usize])),
        messages: 3 + chance(i) % 200 + step,
        participants: 2 + chance(i) % 30,
        characters: 900,
        removed: 0,
        first_at: Some(at - 9000),
        last_at: Some(at - chance(i) % 100),
        depth: Some(chance(i) % 23),
        first_response_s: Some(chance(i) % 900),
    };
    store.put(tick, key, row);
}

fn tell(telemetry: &Telemetry, tick: u64, step: i64) {
    let n = (250.0 + 60.0 * (step as f64 / 9.0).sin()) as u64 + chance(step) as u64 % 40;
    telemetry.read(n);
    telemetry.applied(n - n / 20 - n / 50);
    telemetry.ignored("stale", n / 20);
    telemetry.ignored("kind:callback_query", n / 50 - u64::from(step % 9 == 0));
    if step % 9 == 0 {
        telemetry.dead_letter(&DeadLetter {
            file: "eddy.reddit/0".into(),
            line: 0,
            offset: 4_000_000 + step as u64 * 311,
            reason: ["json", "created_utc", "no_utc_time", "future"][(step / 9) as usize % 4].into(),
            raw: "{\"id\":\"c13\",\"body\":\"<script>alert(1)</script> & what was \\u00e9crit".into(),
            raw_base64: false,
            raw_bytes: 311,
        });
    }
    telemetry.messages_live(184_000 + step * 40);
    telemetry.fresh(Duration::from_micros(7_000 + chance(step) as u64 % 9_000), n - 3);
    telemetry.fresh(Duration::from_millis(48), 3);
    telemetry.closed(tick);
}

/// A chat with a bot that knows `/help` and one button.
fn chat() -> Router {
    let (said, _) = broadcast::channel::<(&'static str, Value)>(64);
    let bot = |id: i64, text: String, buttons: Value| json!({ "message_id": id, "from": { "name": "eddy", "is_bot": true }, "text": text, "date": now(), "reply_to": null, "buttons": buttons });
    let hello = bot(1, "This is a sandbox chat. Nothing here leaves your machine.".into(), json!([]));
    let (speak, press, listen) = (said.clone(), said.clone(), said);
    let next = Arc::new(std::sync::atomic::AtomicI64::new(2));
    let messages = async move |Json(body): Json<Value>| {
        let id = next.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
        let mine = json!({ "message_id": id, "from": { "name": "You", "is_bot": false }, "text": body["text"], "date": now(), "reply_to": null, "buttons": [] });
        speak.send(("message", mine)).ok();
        let buttons = json!([[{ "text": "Top users", "data": "top" }, { "text": "This hour", "data": "hour" }], [{ "text": "Deepest conversation", "data": "deep" }]]);
        let mut answer = bot(
            id + 1,
            "I count what is said here, exactly and at once.\n\n/top  who writes most\n/me   your own numbers\n/help this".into(),
            buttons,
        );
        answer["reply_to"] = id.into();
        speak.send(("message", answer)).ok();
        Json(json!({ "message_id": id }))
    };
    let callback = async move |Json(body): Json<Value>| {
        let id = body["message_id"].as_i64().unwrap_or_default();
        press.send(("edit", bot(id, format!("You pressed {}.", body["data"]), json!([[{ "text": "Back", "data": "back" }]])))).ok();
        Json(json!({}))
    };
    let stream = async move || {
        let first = Event::default().event("message").data(hello.to_string());
        let rest = BroadcastStream::new(listen.subscribe())
            .filter_map(Result::ok)
            .map(|(name, it)| Event::default().event(name).data(it.to_string()));
        Sse::new(tokio_stream::iter([first]).chain(rest).map(Ok::<_, Infallible>))
    };
    Router::new().route("/chat/messages", post(messages)).route("/chat/callback", post(callback)).route("/chat/stream", get(stream))
}
