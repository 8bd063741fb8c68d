//! The chat as browsers and the bot see it.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::demo::double;
use crate::log::{Log, Partition};
use crate::messenger::contract;

fn sandbox(config: Config) -> (Sandbox, Arc<dyn Log>) {
    let log = double::log();
    (Sandbox::new(config, Box::new(log.clone()), || 1_800_000_000_000), log)
}

/// All updates in the log.
fn updates(log: &dyn Log) -> Vec<Value> {
    let partitions: Vec<Partition> = log.partitions().into_iter().filter(|p| p.topic == Topic::Telegram).collect();
    let records = partitions.iter().flat_map(|p| log.read(*p, 0, usize::MAX).expect("a log in memory"));
    records.map(|r| serde_json::from_slice(&r.value).expect("updates are JSON")).collect()
}

#[tokio::test]
async fn it_is_a_messenger() {
    let (sandbox, _) = sandbox(Config::default());
    contract::holds(&sandbox, sandbox.config().chat).await;
}

#[tokio::test]
async fn what_is_typed_is_an_update_as_telegram_sends_it() {
    let (sandbox, log) = sandbox(Config::default());
    let asked = sandbox.say("a", Some("Ann"), "/top@eddy_demo_bot r/x", None).expect("taken");
    sandbox.say("b", None, "é \"quoted\"\n", Some(asked.message_id)).expect("taken");
    let updates = updates(&*log);
    assert_eq!(updates.len(), 2);
    let first = &updates[0]["message"];
    assert_eq!((first["text"].as_str(), first["from"]["first_name"].as_str()), (Some("/top@eddy_demo_bot r/x"), Some("Ann")));
    assert_eq!((first["chat"]["id"].as_i64(), first["chat"]["type"].as_str()), (Some(SANDBOX_CHAT), Some("supergroup")));
    assert_eq!((first["entities"][0]["length"].as_u64(), first["date"].as_i64()), (Some(18), Some(1_800_000_000)));
    let second = &updates[1]["message"];
    assert_eq!(second["reply_to_message"]["message_id"], first["message_id"]);
    assert_eq!(second["from"]["first_name"], "guest 2");
    assert_ne!(second["from"]["id"], first["from"]["id"]);
    assert_eq!(updates[1]["update_id"].as_i64(), updates[0]["update_id"].as_i64().map(|id| id + 1));
}

#[tokio::test]
async fn only_buttons_that_are_there_can_be_pressed() {
    let (sandbox, log) = sandbox(Config::default());
    let chat = sandbox.config().chat;
    let buttons = vec![vec![Button { text: "go".into(), data: "top".into() }]];
    let message = sandbox.send(&Outgoing { chat, text: "choose".into(), buttons, ..Outgoing::default() }).await.expect("sent");
    assert!(matches!(sandbox.press("a", None, message, "other"), Err(Refused::Button(_))));
    assert!(matches!(sandbox.press("a", None, message + 1, "top"), Err(Refused::Button(_))));
    sandbox.press("a", None, message, "top").expect("pressed");
    let query = &updates(&*log)[0]["callback_query"];
    assert_eq!((query["data"].as_str(), query["message"]["message_id"].as_i64()), (Some("top"), Some(message)));
    assert_eq!(query["message"]["from"]["is_bot"], true);
    assert!(query["id"].is_string() && query["chat_instance"].is_string());
}

#[tokio::test]
async fn limits_are_told() {
    let (sandbox, log) =
        sandbox(Config { person_burst: 3, person_per_second: 0, people_max: 2, bot_per_minute: Some(2), ..Config::default() });
    assert!(matches!(sandbox.say("a", None, "", None), Err(Refused::Length(0))));
    assert!(matches!(sandbox.say("a", None, " \n", None), Err(Refused::Length(0))));
    assert!(matches!(sandbox.say("a", None, &"x".repeat(4097), None), Err(Refused::Length(4097))));
    assert!(matches!(sandbox.say("", None, "x", None), Err(Refused::Name)));
    assert!(matches!(sandbox.say("a", Some("x\n"), "x", None), Err(Refused::Name)));
    sandbox.say("a", None, &"é".repeat(4096), None).expect("characters, not bytes");
    assert!(matches!(sandbox.say("a", None, "x", Some(99)), Err(Refused::Reply(99))));
    sandbox.say("a", None, "x", None).expect("the third");
    assert!(matches!(sandbox.say("a", None, "x", None), Err(Refused::Fast)));
    sandbox.say("b", None, "x", None).expect("another person");
    assert!(matches!(sandbox.say("c", None, "x", None), Err(Refused::Full(2))));
    assert_eq!(updates(&*log).len(), 3);
    let message = Outgoing { chat: sandbox.config().chat, text: "x".into(), ..Outgoing::default() };
    for _ in 0..2 {
        sandbox.send(&message).await.expect("within the limit");
    }
    assert!(matches!(sandbox.send(&message).await, Err(Error::RetryAfter { seconds: 1..=60 })));
}

#[tokio::test]
async fn a_browser_that_comes_later_or_again_misses_nothing() {
    let (sandbox, _) = sandbox(Config { history_max: 5, ..Config::default() });
    for n in 0..7 {
        sandbox.say("a", None, &n.to_string(), None).expect("taken");
    }
    let (kept, mut live) = sandbox.listen(0);
    let texts = |events: &[Event]| {
        let text = |e: &Event| serde_json::from_str::<Value>(&e.data).expect("JSON")["text"].as_str().unwrap_or_default().to_string();
        events.iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(texts(&kept), ["2", "3", "4", "5", "6"]);
    sandbox.say("a", None, "7", None).expect("taken");
    assert_eq!(live.recv().await.expect("an event").id, kept[4].id + 1);
    assert_eq!(texts(&sandbox.listen(kept[3].id).0), ["6", "7"]);
    assert_eq!(sandbox.listen(1_000_000).0.len(), 5, "an id of an earlier run");
}

/// One request over a real socket; gives status, headers and the first `until` of the body.
async fn request(sandbox: &Sandbox, request: &str, until: &str) -> String {
    use tokio::net::{TcpListener, TcpStream};
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(axum::serve(listener, sandbox.router()).into_future());
    let stream = TcpStream::connect(address).await.expect("a connection");
    let mut sent = 0;
    while sent < request.len() {
        stream.writable().await.expect("writable");
        sent += stream.try_write(&request.as_bytes()[sent..]).unwrap_or(0);
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        stream.readable().await.expect("readable");
        match stream.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(e) => panic!("{e}"),
        }
        if String::from_utf8_lossy(&answer).contains(until) {
            break;
        }
    }
    server.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, kind: &str, more: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn the_chat_works_over_http() {
    let (sandbox, _) = sandbox(Config::default());
    let json = "application/json";
    let said = request(&sandbox, &post("/chat/messages", json, "", r#"{"text":"hello"}"#), "\0").await;
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("\"message_id\":1") && said.contains("\"name\":\"guest 1\""), "{said}");
    let cookie =
        said.lines().find_map(|l| l.strip_prefix("set-cookie: ")).expect("a cookie").split(';').next().expect("a value").to_string();
    let again =
        request(&sandbox, &post("/chat/messages", json, &format!("cookie: a=b; {cookie}\r\n"), r#"{"text":"x","reply_to":1}"#), "\0").await;
    assert!(again.contains("guest 1") && !again.contains("set-cookie"), "{again}");
    let other = request(&sandbox, &post("/chat/messages", json, "", r#"{"text":"x","session":"s","name":"Bo"}"#), "\0").await;
    assert!(other.contains("\"name\":\"Bo\"") && !other.contains("set-cookie"), "{other}");

    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(4097));
    let bad: [(&str, &str, &str, &str); 7] = [
        ("/chat/messages", json, r#"{"text":""}"#, "400"),
        ("/chat/messages", json, &long, "400"),
        ("/chat/messages", json, "{", "400"),
        ("/chat/messages", json, r#"{"text":5}"#, "400"),
        ("/chat/messages", "text/plain", r#"{"text":"x"}"#, "415"),
        ("/chat/messages", json, &"x".repeat(70_000), "413"),
        ("/chat/callback", json, r#"{"message_id":1,"data":"x"}"#, "404"),
    ];
    for (path, kind, body, status) in bad {
        let answer = request(&sandbox, &post(path, kind, "", body), "\0").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
        assert!(answer.contains("application/problem+json") && answer.contains("\"detail\""), "{answer}");
    }

    let stream = "GET /chat/stream HTTP/1.1\r\nhost: x\r\nlast-event-id: 1\r\n\r\n";
    let events = request(&sandbox, stream, "\"Bo\"").await;
    assert!(events.contains("text/event-stream") && events.contains("event: message") && events.contains("id: 2"), "{events}");
    assert!(!events.contains("hello"), "{events}");
}
