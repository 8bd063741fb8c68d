//! The router as its clients see it: statuses, media types, bodies.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use eddy_schemas::row::{Display, Row};
use eddy_schemas::rows::{
    CommunityHours, CommunityHoursKey, Conversations, ConversationsKey, Messages, MessagesKey, Replies, Sessions, TopUsers, TopUsersKey,
    UserHours, UserHoursKey, UserNames, UserNamesKey, Users, UsersKey,
};
use eddy_schemas::{Changes, MessageId, Name, Place, View};
use serde_json::{Value, json};
use tokio_stream::StreamExt;
use tower::ServiceExt;

use super::{App, TruthRow, router};
use crate::store::Memory;
use crate::telemetry::{ENGINE, State, Telemetry};
use crate::texts::{self, Texts};

mod chat;
mod connections;
mod views;

static VIEWS: [&View; 8] = [
    Users::VIEW,
    Conversations::VIEW,
    UserHours::VIEW,
    CommunityHours::VIEW,
    Replies::VIEW,
    TopUsers::VIEW,
    Messages::VIEW,
    UserNames::VIEW,
];
const HOURS: i64 = 250;

struct Spoken;

impl Texts for Spoken {
    fn text(&self, place: Place) -> Result<String, texts::Error> {
        match place.offset() {
            666 => Err(texts::Error { place, what: "the segment is gone".into() }),
            n => Ok(format!("text \"{n}\"\n\u{1}é")),
        }
    }
}

fn ann() -> Name {
    Name::of("reddit:serve/ann x")
}

fn changes<R: Row>(rows: impl IntoIterator<Item = (R::Key, R)>) -> Changes {
    let (mut changes, mut scratch) = (Changes::new(R::VIEW), vec![]);
    rows.into_iter().for_each(|(key, row)| changes.push(&key, Some(&row), &mut scratch));
    changes
}

/// As of tick 4000, but none has changed since 18.
fn rows() -> Memory {
    let store = Memory::new();
    let c = MessageId::submission("serve1");
    let conversation = Conversations {
        community: None,
        messages: 2,
        participants: 1,
        characters: 5,
        removed: 0,
        first_at: Some(1),
        last_at: None,
        depth: Some(7),
        first_response_s: None,
    };
    store.apply_now(5, &[changes([(ConversationsKey { conversation: c }, conversation)])]);
    let chat = Name::of("telegram:-5");
    let of_nine = [
        changes((0..HOURS).map(|hour| (UserHoursKey { user: ann(), hour }, UserHours { messages: hour + 1 }))),
        changes([(CommunityHoursKey { community: chat, hour: 30 }, CommunityHours { messages: 4, posters: 2 })]),
        changes([(TopUsersKey { community: chat, rank: 1 }, TopUsers { user: ann(), messages: 4 })]),
        changes([(UserNamesKey { user: ann() }, UserNames { name: Some(Display(Name::of(":Ann, \"x\""))) })]),
    ];
    store.apply_now(9, &of_nine);
    let message = |offset| Messages {
        conversation: c,
        community: None,
        user: Some(ann()),
        parent: None,
        created_at: 5,
        edited_at: None,
        score: Some(-1),
        text: Place::new(0, offset),
    };
    let ids = [(MessageId::comment("servec"), 3), (MessageId::telegram(Name::of("telegram:-100777"), 4), 666)];
    store.apply_now(11, &[changes(ids.map(|(id, offset)| (MessagesKey { message: id }, message(offset))))]);
    let user = Users { messages: 3, characters: 9, score: -2, edited: 0, first_at: 1, last_at: 9, conversations: 1, communities: 1 };
    store.apply_now(17, &[changes([(UsersKey { user: ann() }, user)])]);
    store.apply_now(18, &[changes([(UsersKey { user: Name::of("telegram:-100777") }, user)])]);
    store.apply_now(4_000, &[]);
    store
}

fn app() -> App {
    let telemetry = Arc::new(Telemetry::new());
    telemetry.state(ENGINE, State::Ready);
    let mut app = App::new(VIEWS.to_vec(), Arc::new(rows()), Arc::new(Spoken), telemetry);
    app.not_built = vec![Sessions::VIEW];
    app
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn media(&self) -> &str {
        self.headers[header::CONTENT_TYPE].to_str().expect("ASCII")
    }
}

async fn send(router: &Router, mut request: Request<Body>) -> Answer {
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    let response = router.clone().oneshot(request).await.expect("a router always answers");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 8 << 20).await.expect("a body in memory");
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).expect("UTF-8") }
}

async fn get(router: &Router, path: &str) -> Answer {
    send(router, Request::get(path).body(Body::empty()).expect("a request")).await
}

async fn post(router: &Router, path: &str, media: &str, body: impl Into<Body>) -> Answer {
    send(router, Request::post(path).header(header::CONTENT_TYPE, media).body(body.into()).expect("a request")).await
}

/// The fields of an object.
fn fields(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().cloned().collect()
}

/// It is a problem, of this status and type, that names where it happened.
#[track_caller]
fn problem(answer: &Answer, status: u16, slug: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert_eq!(answer.media(), "application/problem+json", "{}", answer.text);
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    let want = if slug.starts_with("about:") { slug.to_owned() } else { format!("/docs#{slug}") };
    assert_eq!(problem["type"], want, "{problem}");
    for field in ["title", "detail", "instance"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {problem}");
    }
}

#[tokio::test]
async fn a_row_is_an_object_of_its_columns() {
    let router = router(app());
    let answer = get(&router, "/v1/users/reddit:serve%2Fann%20x").await;
    assert_eq!((answer.status, answer.media()), (StatusCode::OK, "application/json"));
    assert_eq!(
        answer.text,
        "{\"user\":\"reddit:serve/ann x\",\"messages\":3,\"characters\":9,\"score\":-2,\"edited\":0,\"first_at\":1,\"last_at\":9,\
         \"conversations\":1,\"communities\":1,\"as_of\":17}"
    );
    assert_eq!(answer.headers["eddy-tick"], "4000");
    let conversation = get(&router, "/v1/conversations/reddit:t3_serve1").await.json();
    assert_eq!(conversation["community"], Value::Null);
    assert_eq!(conversation["depth"], 7);
    let message = get(&router, "/v1/messages/reddit:t1_servec").await.json();
    assert_eq!(message["text"], "text \"3\"\n\u{1}é");
    assert_eq!(message["user"], "reddit:serve/ann x");
    let names = get(&router, "/v1/users/reddit:serve%2Fann%20x/names").await.json();
    assert_eq!(names["rows"][0]["name"], "Ann, \"x\"");
}

#[tokio::test]
async fn an_unknown_key_is_404_and_a_malformed_one_400_and_neither_is_remembered() {
    let router = router(app());
    for key in ["reddit:serve_never", "telegram:-98761", "reddit:a%2Fb%2f..", "reddit:%25"] {
        problem(&get(&router, &format!("/v1/users/{key}")).await, 404, "no-row");
        problem(&get(&router, &format!("/v1/users/{key}/hours")).await, 404, "no-row");
    }
    for key in ["spez", "reddit:", "telegram:x", "telegram:007", "twitter:1", "%20", "reddit%2Fa", "%FF", "reddit:%C3%28"] {
        problem(&get(&router, &format!("/v1/users/{key}")).await, 400, "malformed-key");
        problem(&get(&router, &format!("/v1/users/{key}/hours")).await, 400, "malformed-key");
    }
    for key in ["reddit:t1_x", "telegram:-5:7", "telegram:5", "reddit:x"] {
        problem(&get(&router, &format!("/v1/conversations/{key}")).await, 400, "malformed-key");
    }
    problem(&get(&router, "/v1/conversations/telegram:-98762.0").await, 404, "no-row");
    problem(&get(&router, "/v1/messages/telegram:-98762.0").await, 400, "malformed-key");
    problem(&get(&router, "/v1/messages/telegram:-98762:1").await, 404, "no-row");
    problem(&get(&router, "/v1/messages/reddit:t1_Never_Met").await, 404, "no-row");
    for key in ["reddit:serve_never", "telegram:-98761", "telegram:-98762", "reddit:t1_Never_Met"] {
        assert_eq!(Name::find(key), None, "looking {key} up must not intern it");
    }
    problem(&get(&router, "/v1/messages/telegram:-100777:4").await, 500, "text-unreadable");
}

#[tokio::test]
async fn a_known_key_may_have_an_empty_list() {
    let router = router(app());
    let answer = get(&router, "/v1/users/telegram:-100777/hours").await;
    assert_eq!(answer.json(), json!({ "rows": [], "next": null, "as_of": 4000 }));
}

#[tokio::test]
async fn pages_give_each_row_once() {
    let router = router(app());
    for limit in [1, 7, 100, 249, 250, 1000] {
        let (mut hours, mut cursor) = (vec![], None::<String>);
        loop {
            let cursor_part = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = get(&router, &format!("/v1/users/reddit:serve%2Fann%20x/hours?limit={limit}{cursor_part}")).await.json();
            let rows = page["rows"].as_array().expect("rows").clone();
            assert!(rows.len() <= limit);
            hours.extend(rows.iter().map(|row| row["hour"].as_i64().expect("an hour")));
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert_eq!(hours, (0..HOURS).collect::<Vec<_>>(), "limit {limit}");
    }
}

#[tokio::test]
async fn a_limit_or_cursor_that_is_none_is_400() {
    let router = router(app());
    let list = "/v1/users/reddit:serve%2Fann%20x/hours";
    for limit in ["0", "1001", "-1", "x", "", "1.5", "99999999999999999999"] {
        problem(&get(&router, &format!("{list}?limit={limit}")).await, 400, "bad-query");
    }
    problem(&get(&router, &format!("{list}?limit=1&limit=2")).await, 400, "bad-query");
    let next = get(&router, &format!("{list}?limit=1")).await.json()["next"].as_str().expect("more").to_owned();
    for cursor in ["", "x", "AAAA", "%FF", &next[1..], &format!("{next}A"), &"A".repeat(5000)] {
        let answer = get(&router, &format!("{list}?cursor={cursor}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{cursor}: {}", answer.text);
    }
    // another list's cursor, and another process's
    problem(&get(&router, &format!("/v1/users/telegram:-100777/hours?cursor={next}")).await, 400, "bad-cursor");
    problem(&get(&router, &format!("/v1/users/reddit:serve%2Fann%20x/replies?cursor={next}")).await, 400, "bad-cursor");
    tokio::time::sleep(Duration::from_millis(1)).await;
    problem(&get(&super::router(app()), &format!("{list}?cursor={next}")).await, 400, "bad-cursor");
}

#[tokio::test]
async fn a_batch_answers_in_the_order_asked() {
    let router = router(app());
    let body = json!({ "keys": [
        { "view": "users", "key": ["reddit:serve/ann x"] },
        { "view": "users", "key": "reddit:nobody_serve" },
        { "view": "user_hours", "key": ["reddit:serve/ann x", 41] },
        { "view": "user_hours", "key": ["reddit:nobody_serve", 41] },
        { "view": "messages", "key": "reddit:t1_servec" },
        { "view": "user_hours", "key": ["reddit:serve/ann x", -1] },
    ]});
    let answer = post(&router, "/v1/batch", "application/json; charset=utf-8", body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let answer = answer.json();
    let rows = answer["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 6);
    assert_eq!((&rows[0]["messages"], &rows[2]["messages"], &rows[4]["created_at"]), (&json!(3), &json!(42), &json!(5)));
    assert_eq!([&rows[1], &rows[3], &rows[5]], [&Value::Null; 3]);
    assert_eq!(answer["as_of"], 4000);
    assert_eq!(post(&router, "/v1/batch", "application/json", "{\"keys\":[]}").await.json()["rows"], json!([]));
}

#[tokio::test]
async fn every_answer_carries_the_tick_that_the_store_gave_with_its_rows() {
    let (mut app, store) = (app(), Arc::new(rows()));
    app.store = store.clone();
    // What telemetry was told last is no matter: an apply is seen before it is told.
    app.telemetry.closed(4_000);
    let router = router(app);
    let key = UsersKey { user: ann() };
    let user = Users { messages: 4, characters: 9, score: -2, edited: 0, first_at: 1, last_at: 9, conversations: 1, communities: 1 };
    store.apply_now(7_000, &[changes([(key, user)]), changes([(UserHoursKey { user: ann(), hour: 0 }, UserHours { messages: 2 })])]);
    let path = "/v1/users/reddit:serve%2Fann%20x";
    let row = get(&router, path).await;
    assert_eq!((&row.json()["as_of"], &row.headers["eddy-tick"]), (&json!(7_000), &"7000".parse().expect("a number")));
    let keys =
        json!({ "keys": [{ "view": "users", "key": "reddit:serve/ann x" }, { "view": "user_hours", "key": ["reddit:serve/ann x", 0] }] });
    let batch = post(&router, "/v1/batch", "application/json", keys.to_string()).await;
    for list in [batch, get(&router, &format!("{path}/hours")).await, get(&router, "/v1/views/user_hours?limit=3").await] {
        assert_eq!((&list.json()["as_of"], &list.headers["eddy-tick"]), (&json!(7_000), &"7000".parse().expect("a number")));
        assert!(list.json()["rows"].as_array().expect("rows").iter().all(|row| row["as_of"].as_u64() <= Some(7_000)));
    }
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_says_why() {
    let router = router(app());
    let batch = async |body: String| post(&router, "/v1/batch", "application/json", body).await;
    let key =
        |view: &str, key: Value| json!({ "keys": [{ "view": "users", "key": "reddit:a" }, { "view": view, "key": key }] }).to_string();
    for body in [
        "",
        "{",
        "[]",
        "{\"keys\":1}",
        "{\"keys\":[{}]}",
        "{\"keys\":[],\"x\":1}",
        "\u{0}",
        "{\"keys\":[{\"view\":\"users\",\"key\":1.5}]}",
        "{\"keys\":[{\"view\":\"users\",\"key\":{}}]}",
    ] {
        let answer = batch(body.into()).await;
        problem(&answer, 400, "bad-body");
        for word in ["struct", "enum", "variant", "sequence", "i64", "Batch", "Key", "Part"] {
            assert!(!answer.text.contains(word), "{word} is no word of JSON: {}", answer.text);
        }
    }
    assert!(batch("{}".into()).await.text.contains("missing field `keys` at line 1"));
    assert!(batch("{\"keys\":[],\"x\":1}".into()).await.text.contains("unknown field `x` at line 1"));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    problem(&batch(deep).await, 400, "bad-body");
    problem(&batch(key("users", json!(["spez"]))).await, 400, "malformed-key");
    problem(&batch(key("users", json!(7))).await, 400, "malformed-key");
    problem(&batch(key("users", json!(["reddit:a", 1]))).await, 400, "malformed-key");
    problem(&batch(key("user_hours", json!(["reddit:a", "x"]))).await, 400, "malformed-key");
    problem(&batch(key("user_hours", json!([]))).await, 400, "malformed-key");
    assert!(batch(key("users", json!(["spez"]))).await.json()["detail"].as_str().is_some_and(|detail| detail.contains("keys[1]")));
    for view in ["sessions", "nothing"] {
        let answer = batch(key(view, json!(["reddit:a", 1]))).await;
        problem(&answer, 404, "view-not-built");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(view)));
    }
    let many = json!({ "keys": vec![json!({ "view": "users", "key": "reddit:a" }); 1001] }).to_string();
    problem(&batch(many).await, 400, "batch-too-big");
    problem(&batch(" ".repeat(3 << 20)).await, 413, "too-large");
    problem(&post(&router, "/v1/batch", "text/plain", "{\"keys\":[]}").await, 415, "media-type");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let router = router(app());
    for path in [
        "/nothing",
        "/chat/messages",
        "/v1",
        "/v1/users",
        "/v1/users/",
        "/v1/users/reddit:a/nothing",
        "/v1/users/reddit:a/hours/",
        "/%FF",
        "/v1/users/reddit:a/b",
    ] {
        problem(&get(&router, path).await, 404, "no-route");
    }
    let sessions = get(&router, "/v1/users/reddit:serve%2Fann%20x/sessions").await;
    problem(&sessions, 404, "view-not-built");
    assert!(sessions.json()["detail"].as_str().is_some_and(|detail| detail.contains("sessions")));
    for (method, path) in [("DELETE", "/v1/users/reddit:a"), ("GET", "/v1/batch"), ("POST", "/"), ("PUT", "/metrics")] {
        let answer = send(&router, Request::builder().method(method).uri(path).body(Body::empty()).expect("a request")).await;
        problem(&answer, 405, "method");
        assert!(answer.headers.contains_key(header::ALLOW), "{method} {path}");
    }
    let key = "x".repeat(60_000);
    for path in [
        format!("/v1/users/reddit:{key}"),
        format!("/v1/users/reddit:{key}/hours"),
        format!("/v1/views/users?key=reddit:{key}"),
        format!("/{key}"),
    ] {
        let answer = get(&router, &path).await;
        assert!(answer.status == StatusCode::NOT_FOUND && answer.text.len() < 1000, "{}", answer.text.len());
    }
}

#[tokio::test]
async fn before_the_first_tick_nothing_is_as_of_a_time() {
    let telemetry = Arc::new(Telemetry::new());
    telemetry.state(ENGINE, State::Ready);
    let router = router(App::new(VIEWS.to_vec(), Arc::new(Memory::new()), Arc::new(Spoken), telemetry));
    for path in ["/v1/views/users"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.json(), json!({ "rows": [], "next": null, "as_of": null }), "{path}");
        assert!(!answer.headers.contains_key("eddy-tick"));
    }
    assert_eq!(post(&router, "/v1/batch", "application/json", "{\"keys\":[]}").await.json()["as_of"], Value::Null);
    let answer = get(&router, "/v1/users/reddit:serve_nobody").await;
    problem(&answer, 404, "no-row");
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.ends_with("yet: nothing has been counted")), "{}", answer.text);
    assert_eq!(get(&router, "/health").await.json()["tick"], Value::Null);
}

#[tokio::test]
async fn a_row_that_did_not_change_is_304() {
    let router = router(app());
    let path = "/v1/users/telegram:-100777";
    let etag = get(&router, path).await.headers[header::ETAG].to_str().expect("ASCII").to_owned();
    assert_eq!(etag, "\"users-18\"");
    for (tags, status) in [
        (etag.clone(), 304),
        (format!("\"x\", {etag}"), 304),
        (format!("W/{etag}"), 304),
        ("*".into(), 304),
        ("\"users-17\"".into(), 200),
        ("users-18".into(), 200),
    ] {
        let request = Request::get(path).header(header::IF_NONE_MATCH, &tags).body(Body::empty()).expect("a request");
        let answer = send(&router, request).await;
        assert_eq!(answer.status.as_u16(), status, "{tags}");
        assert_eq!(answer.headers[header::ETAG], etag);
        assert_eq!(answer.text.is_empty(), status == 304);
    }
}

#[tokio::test]
async fn nothing_is_read_before_the_engine_is_ready() {
    let app = app();
    let telemetry = app.telemetry.clone();
    telemetry.state(ENGINE, State::Starting);
    telemetry.state("source", State::Failed("no route to host".into()));
    let router = router(app);
    for path in ["/readyz", "/v1/users/telegram:-100777", "/v1/users/telegram:-100777/hours"] {
        let answer = get(&router, path).await;
        problem(&answer, 503, "not-ready");
        assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    }
    problem(&post(&router, "/v1/batch", "application/json", "{\"keys\":[]}").await, 503, "not-ready");
    assert_eq!(get(&router, "/livez").await.status, StatusCode::OK);
    let health = get(&router, "/health").await;
    assert_eq!((health.status, &health.json()["status"]), (StatusCode::OK, &json!("degraded")));
    assert_eq!(health.json()["components"][1]["last_error"]["message"], "no route to host");
    telemetry.state(ENGINE, State::Ready);
    telemetry.state("source", State::Ready);
    assert_eq!(get(&router, "/readyz").await.text, "ready\n");
    let health = get(&router, "/health").await.json();
    assert_eq!(health["status"], "ready");
    assert_eq!(health["components"][1]["last_error"]["message"], "no route to host", "the last error stays");
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let app = app();
    app.telemetry.read(5);
    app.telemetry.ignored("kind:\"t5\"\n", 2);
    let router = router(app);
    get(&router, "/v1/users/reddit:serve%2Fann%20x").await;
    get(&router, "/no/where").await;
    let answer = get(&router, "/metrics").await;
    assert_eq!(answer.media(), "text/plain; version=0.0.4; charset=utf-8");
    let mut names = BTreeSet::new();
    for line in answer.text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().expect("a name");
        assert!(name.starts_with("eddy_") || name.starts_with("process_"), "{line}");
        assert!(!series.contains("ann"), "a user is a label: {line}");
        names.insert(name.to_owned());
    }
    for line in [
        "eddy_records_read_total 5",
        "eddy_view_rows{view=\"user_hours\"} 250",
        "eddy_records_ignored_total{reason=\"kind:\\\"t5\\\"\\n\"} 2",
        "eddy_http_request_seconds_count{route=\"/v1/users/{user}\",status=\"2xx\"} 1",
        "eddy_http_request_seconds_count{route=\"none\",status=\"4xx\"} 1",
        "eddy_component_ready{component=\"engine\"} 1",
    ] {
        assert!(answer.text.contains(line), "{line} is missing in\n{}", answer.text);
    }
    assert!(names.contains("process_resident_memory_bytes"), "{names:?}");
}

#[tokio::test]
async fn openapi_lists_every_route_and_every_column() {
    let router = router(app());
    let answer = get(&router, "/docs/openapi.json").await;
    assert_eq!(answer.media(), "application/json");
    let api = answer.json();
    assert!(api["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for path in [
        "/v1/users/{user}",
        "/v1/conversations/{conversation}",
        "/v1/messages/{message}",
        "/v1/users/{user}/hours",
        "/v1/users/{user}/replies",
        "/v1/users/{user}/names",
        "/v1/communities/{community}/hours",
        "/v1/communities/{community}/top",
        "/v1/views",
        "/v1/views/{view}",
        "/v1/stream",
        "/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/docs",
        "/docs/openapi.json",
        "/",
    ] {
        assert!(api["paths"][path]["get"]["responses"]["200"].is_object(), "{path}");
        // what is listed is there: a fixed route answers 200 as it stands
        if !path.contains('{') && path != "/v1/stream" {
            assert_eq!(get(&router, path).await.status, StatusCode::OK, "{path}");
        }
    }
    assert!(api["paths"]["/v1/batch"]["post"]["requestBody"].is_object());
    let health = &api["paths"]["/health"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let answered = get(&router, "/health").await.json();
    assert_eq!(fields(&health["properties"]), fields(&answered));
    let component = fields(&answered["components"][0]);
    let described = fields(&health["properties"]["components"]["items"]["properties"]);
    assert!(component.is_subset(&described), "{component:?} is not {described:?}");
    assert!(!api["paths"].as_object().expect("paths").keys().any(|path| path.contains("chat")), "there is no chat here");
    for view in VIEWS {
        let schema = &api["components"]["schemas"][view.name];
        for column in view.all_columns() {
            assert!(schema["properties"][column.name]["description"].is_string(), "{}.{}", view.name, column.name);
        }
        assert!(schema["properties"]["as_of"].is_object());
    }
    let page = get(&router, "/docs").await;
    assert_eq!(page.media(), "text/html; charset=utf-8");
    for of in super::problem::ALL {
        assert!(page.text.contains(&format!("id={}", of.slug)), "{} has no anchor to lead to", of.slug);
    }
    assert!(!page.text.contains("https://") && !page.text.contains("http://"), "the page asks others for nothing");
}

#[tokio::test]
async fn the_page_asks_nobody_else_for_anything() {
    let router = router(app());
    for (path, media) in [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/feed.js", "text/javascript; charset=utf-8"),
        ("/worker.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = get(&router, path).await;
        assert_eq!((answer.status, answer.media()), (StatusCode::OK, media));
        let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("ASCII");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!answer.text.replace("http://www.w3.org/2000/svg", "").contains("http"), "{path}");
    }
}

#[tokio::test]
async fn a_foreign_page_gets_nothing() {
    let router = router(app());
    let ask = async |host: &str, origin: Option<&str>| {
        let request = Request::get("/livez").header(header::HOST, host);
        let request = if let Some(origin) = origin { request.header(header::ORIGIN, origin) } else { request };
        send(&router, request.body(Body::empty()).expect("a request")).await
    };
    for host in ["localhost:8080", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "LOCALHOST"] {
        assert_eq!(ask(host, None).await.status, StatusCode::OK, "{host}");
        assert_eq!(ask(host, Some(&format!("http://{host}"))).await.status, StatusCode::OK, "{host}");
    }
    for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.evil.example", "a b"] {
        problem(&ask(host, None).await, 403, "foreign-host");
    }
    let bare = |version| Request::get("/livez").version(version).body(Body::empty()).expect("a request");
    let answer = async |request: Request<Body>| router.clone().oneshot(request).await.expect("a router always answers").status();
    assert_eq!(answer(bare(axum::http::Version::HTTP_11)).await, StatusCode::BAD_REQUEST, "RFC 9112, 3.2");
    assert_eq!(answer(bare(axum::http::Version::HTTP_10)).await, StatusCode::OK);
    let twice = Request::get("/livez").header(header::HOST, "localhost").header(header::HOST, "localhost");
    problem(&send(&router, twice.body(Body::empty()).expect("a request")).await, 400, "bad-host");
    for origin in ["http://evil.example", "null", "http://localhost:9999", "https://localhost:8080", "http://localhost:8080.evil.example"] {
        problem(&ask("localhost:8080", Some(origin)).await, 403, "foreign-host");
    }
}

#[tokio::test]
async fn the_stream_begins_with_a_status_and_goes_on_when_something_changes() {
    let mut app = app();
    let truth = TruthRow { view: "users".into(), checked: 2, share: 0.5, ok: false, detail: Some("reddit:x: 1 is not 2".into()) };
    let (_truth, receiver) = tokio::sync::watch::channel(vec![truth]);
    app.truth = Some(receiver);
    let store = Arc::new(rows());
    app.store = store.clone();
    let router = router(app);
    let mut stream = Events::open(&router, "/v1/stream").await;
    assert_eq!(stream.head[header::CONTENT_TYPE], "text/event-stream");
    let (event, first) = stream.next().await;
    assert!(event.contains("event: status") && event.contains("id: 4000") && event.contains("retry: 2000"), "{event}");
    assert_eq!(first["truth"][0]["detail"], "reddit:x: 1 is not 2");
    assert_eq!((&first["chat"], &first["users_live"]), (&json!(false), &json!(2)));
    let rows = |view: &str| first["views"].as_array().expect("views").iter().find(|of| of["name"] == view).map(|of| of["rows"].clone());
    assert_eq!(Some(&first["messages_live"]), rows("messages").as_ref(), "one thing, one figure");
    assert_eq!(first["truth"][0]["share"], 0.5);
    assert!(first["run"].as_u64().is_some_and(|run| run > 0));
    assert_eq!(first["panels"]["top"]["rows"][0]["messages"], 4);
    assert_eq!(first["panels"]["heat"]["all"][23], 4);
    assert_eq!(first["panels"]["heat"]["last_hour"], 30);
    assert_eq!(first["panels"]["deepest"]["row"]["depth"], 7);
    assert_eq!(first["panels"]["deepest"]["whole"], true);
    assert_eq!(first["panels"]["names"]["reddit:serve/ann x"], "Ann, \"x\"");
    store.apply_now(5_000, &[]);
    let (event, _) = stream.until(|status| status["tick"] == 5_000).await;
    assert!(event.contains("id: 5000") && !event.contains("retry:"), "{event}");
    let (_, beat) = tokio::time::timeout(Duration::from_secs(4), stream.next()).await.expect("it says that it is there");
    assert_eq!(beat["tick"], 5_000);
    // a second client is told although nothing changed
    let (_, again) = Events::open(&router, "/v1/stream").await.next().await;
    assert_eq!(again["tick"], 5_000);
}

#[tokio::test]
async fn one_client_too_many_is_told_to_come_again() {
    let router = router(app());
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(Events::open(&router, "/v1/stream").await);
    }
    problem(&get(&router, "/v1/stream").await, 503, "too-many-streams");
    streams.pop();
    Events::open(&router, "/v1/stream").await.next().await;
}

#[tokio::test]
async fn open_streams_do_not_hold_the_end_up() {
    let listener = super::listen("127.0.0.1:0".parse().expect("an address")).await.expect("any port");
    let addr = listener.local_addr().expect("bound");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let mut app = app();
    app.chat = Some(chat::sandbox());
    let served = tokio::spawn(super::run(listener, app, shutdown));
    let (open, opened) = tokio::sync::oneshot::channel::<()>();
    let client = tokio::task::spawn_blocking(move || {
        let mut socket = std::net::TcpStream::connect(addr).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        socket.write_all(format!("GET /v1/stream?chat HTTP/1.1\r\nHost: {addr}\r\n\r\n").as_bytes()).expect("it reads");
        let mut read = BufReader::new(socket);
        let mut line = String::new();
        while !line.starts_with("event: status") {
            line.clear();
            assert_ne!(read.read_line(&mut line).expect("a line"), 0, "the stream ended before its first event");
        }
        open.send(()).expect("the test waits");
        let mut rest = String::new();
        read.read_to_string(&mut rest).expect("the stream ends");
    });
    opened.await.expect("the stream begins");
    stop.send(()).expect("it runs");
    let ended = tokio::time::timeout(Duration::from_millis(900), async {
        client.await.expect("no panic");
        served.await.expect("no panic");
    });
    ended.await.expect("it ends at once");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_with_the_flag_that_changes_it() {
    let held = super::listen("127.0.0.1:0".parse().expect("an address")).await.expect("any port");
    let addr = held.local_addr().expect("bound");
    let error = super::listen(addr).await.expect_err("it is taken").to_string();
    assert!(error.contains(&addr.to_string()) && error.contains("--listen"), "{error}");
    let open = super::listen("0.0.0.0:0".parse().expect("an address")).await.expect_err("no key").to_string();
    assert!(open.contains("127.0.0.1"), "{open}");
}

/// A client of a stream.
struct Events {
    head: HeaderMap,
    body: BodyDataStream,
    read: String,
}

impl Events {
    async fn open(router: &Router, path: &str) -> Self {
        Events::of(router, Request::get(path).header(header::HOST, "localhost")).await
    }

    async fn of(router: &Router, request: axum::http::request::Builder) -> Self {
        let request = request.body(Body::empty()).expect("a request");
        let (head, body) = router.clone().oneshot(request).await.expect("a router always answers").into_parts();
        assert_eq!(head.status, StatusCode::OK);
        Events { head: head.headers, body: body.into_data_stream(), read: String::new() }
    }

    /// The next event as it stands, and its data.
    async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(end) = self.read.find("\n\n") {
                let event: String = self.read.drain(..end + 2).collect();
                if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                    let data = serde_json::from_str(data).expect("one line of JSON");
                    return (event, data);
                }
                continue;
            }
            let more = tokio::time::timeout(Duration::from_secs(5), self.body.next()).await.expect("an event within five seconds");
            let more = more.expect("the stream goes on").expect("a body in memory");
            self.read.push_str(std::str::from_utf8(&more).expect("UTF-8, events whole"));
        }
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> (String, Value) {
        for _ in 0..40 {
            let (event, data) = self.next().await;
            if wanted(&data) {
                return (event, data);
            }
        }
        panic!("forty events without it")
    }
}
