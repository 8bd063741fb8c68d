//! The chat over HTTP: what is posted, and what the stream says of it.

use super::*;
use crate::demo::double;
use crate::messenger::sandbox::{Config, Sandbox};

const JSON: &str = "application/json";

pub fn sandbox() -> Sandbox {
    Sandbox::new(Config { person_burst: 5, person_per_second: 0, ..Config::default() }, Box::new(double::log()), || 1_800_000_000_000)
}

fn chatting() -> (Router, Sandbox) {
    let (mut app, sandbox) = (app(), sandbox());
    app.chat = Some(sandbox.clone());
    (router(app), sandbox)
}

async fn say(router: &Router, body: &str) -> Answer {
    post(router, "/chat/messages", JSON, body.to_owned()).await
}

#[tokio::test]
async fn a_person_is_a_session_or_a_cookie() {
    let (router, _) = chatting();
    let said = say(&router, r#"{"text":"hello"}"#).await;
    assert_eq!((said.status, &said.json()["message_id"], &said.json()["name"]), (StatusCode::OK, &json!(1), &json!("guest 1")));
    let cookie = said.headers[header::SET_COOKIE].to_str().expect("ASCII").split(';').next().expect("a value").to_owned();
    let again = Request::post("/chat/messages").header(header::CONTENT_TYPE, JSON).header(header::COOKIE, format!("a=b; {cookie}"));
    let again = send(&router, again.body(r#"{"text":"x","reply_to":1}"#.into()).expect("a request")).await;
    assert_eq!(again.json()["name"], "guest 1");
    assert!(!again.headers.contains_key(header::SET_COOKIE));
    let other = say(&router, r#"{"text":"x","session":"s","name":"Bo"}"#).await;
    assert_eq!(other.json()["name"], "Bo");
    assert!(!other.headers.contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn what_the_chat_refuses_is_a_problem() {
    let (router, _) = chatting();
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(4097));
    for (body, status, slug) in [
        (r#"{"text":""}"#, 400, "chat-refused"),
        (&long, 400, "chat-refused"),
        (r#"{"text":"x","session":""}"#, 400, "chat-refused"),
        ("{", 400, "bad-body"),
        ("", 400, "bad-body"),
        ("[]", 400, "bad-body"),
        (r#"{"text":5}"#, 400, "bad-body"),
        (r#"{"text":"x","reply_to":1.5}"#, 400, "bad-body"),
        (r#"{"text":"x","reply_to":99}"#, 404, "chat-gone"),
        (&"x".repeat(70_000), 413, "too-large"),
    ] {
        let answer = say(&router, body).await;
        problem(&answer, status, slug);
        assert_eq!(answer.json()["instance"], "/chat/messages");
        for word in ["struct", "sequence", "i64", "Message", "a string"] {
            assert!(!answer.text.contains(word), "{word} is no word of JSON: {}", answer.text);
        }
    }
    problem(&post(&router, "/chat/messages", "text/plain", r#"{"text":"x"}"#).await, 415, "media-type");
    problem(&post(&router, "/chat/callback", JSON, r#"{"message_id":1,"data":"x"}"#).await, 404, "chat-gone");
    for _ in 0..5 {
        assert_eq!(say(&router, r#"{"text":"x","session":"s"}"#).await.status, StatusCode::OK);
    }
    let fast = say(&router, r#"{"text":"x","session":"s"}"#).await;
    problem(&fast, 429, "too-fast");
    assert_eq!(fast.headers[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn the_stream_tells_the_chat_where_it_is_asked_for_and_goes_on_where_it_was() {
    let (router, sandbox) = chatting();
    let said = |text: &str| sandbox.say("a", None, text, None).expect("taken");
    said("one");
    said("two");
    let mut stream = Events::open(&router, "/v1/stream?chat").await;
    let (one, _) = stream.until(|event| event["text"] == "one").await;
    let (two, _) = stream.until(|event| event["text"] == "two").await;
    assert!(one.contains("event: message\n") && two.contains("event: message\n"), "{one}{two}");
    let id = |event: &str| event.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id").to_owned();
    let (status, data) = stream.until(|event| event["chat"] == true).await;
    assert!(status.contains("event: status") && !status.contains("id:"), "an id is where to go on from: {status}");
    assert_eq!(id(&one), format!("{}.1", data["run"]));
    said("three");
    stream.until(|event| event["text"] == "three").await;

    let first_said = async |path: &str, last: Option<&str>| {
        let mut request = Request::get(path).header(header::HOST, "localhost");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let mut stream = Events::of(&router, request).await;
        stream.until(|event| event["text"].is_string()).await.1["text"].clone()
    };
    assert_eq!(first_said(&format!("/v1/stream?chat={}", id(&one)), None).await, "two");
    assert_eq!(first_said("/v1/stream?chat", Some(&id(&two))).await, "three");
    assert_eq!(first_said("/v1/stream?chat=7.2", None).await, "one", "an id of another run");
    // Without being asked for, nothing of it comes.
    let mut plain = Events::open(&router, "/v1/stream").await;
    said("four");
    for _ in 0..2 {
        assert!(plain.next().await.0.contains("event: status"));
    }
}

#[tokio::test]
async fn the_chat_is_documented_where_it_is() {
    let (router, _) = chatting();
    let api = get(&router, "/docs/openapi.json").await.json();
    for path in ["/chat/messages", "/chat/callback"] {
        let operation = &api["paths"][path]["post"];
        let body = &operation["requestBody"]["content"][JSON]["schema"];
        assert!(body["properties"]["session"].is_object() && operation["operationId"].is_string(), "{operation}");
        assert!(get(&router, "/docs").await.text.contains(path));
    }
    let taken = say(&router, r#"{"text":"x"}"#).await.json();
    let schema = &api["paths"]["/chat/messages"]["post"]["responses"]["200"]["content"][JSON]["schema"]["properties"];
    assert_eq!(fields(&taken), fields(schema));
}
