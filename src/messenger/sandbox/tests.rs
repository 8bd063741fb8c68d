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
    let (sandbox, log) = sandbox(Config { person_burst: 3, person_per_second: 0, bot_per_minute: Some(2), ..Config::default() });
    assert!(matches!(sandbox.say("a", None, "", None), Err(Refused::Length(0))));
    assert!(matches!(sandbox.say("a", None, " \n", None), Err(Refused::Length(0))));
    assert!(matches!(sandbox.say("a", None, &"x".repeat(4097), None), Err(Refused::Length(4097))));
    assert!(matches!(sandbox.say("", None, "x", None), Err(Refused::Name)));
    assert!(matches!(sandbox.say("a", Some("x\n"), "x", None), Err(Refused::Name)));
    sandbox.say("a", None, &"é".repeat(4096), None).expect("characters, not bytes");
    assert!(matches!(sandbox.say("a", None, "x", Some(99)), Err(Refused::Reply(99))), "it costs nothing");
    for _ in 0..2 {
        sandbox.say("a", None, "x", None).expect("within the burst");
    }
    assert!(matches!(sandbox.say("a", None, "x", None), Err(Refused::Fast)));
    sandbox.say("b", None, "x", None).expect("another person");
    assert_eq!(updates(&*log).len(), 4);
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
}

#[tokio::test]
async fn whoever_has_been_silent_longest_gives_way_and_keeps_no_number() {
    let (sandbox, _) = sandbox(Config { people_max: 2, ..Config::default() });
    let id = |session: &str| sandbox.say(session, None, "x", None).expect("taken").user_id;
    let [a, b] = ["a", "b"].map(id);
    assert_eq!(id("a"), a);
    let c = id("c");
    assert_eq!([id("a"), id("c")], [a, c], "b was silent longest");
    let again = id("b");
    assert!(![a, b, c].contains(&again), "someone new");
    assert_eq!(sandbox.0.chat.lock().people.len(), 2);
}

#[tokio::test]
async fn those_who_make_up_people_are_slowed_and_those_who_are_there_are_not() {
    let (sandbox, _) = sandbox(Config { newcomers_burst: 2, newcomers_per_second: 0, ..Config::default() });
    assert!(matches!(sandbox.say("a", None, "", None), Err(Refused::Length(0))));
    assert!(matches!(sandbox.say("a", None, "x", Some(7)), Err(Refused::Reply(7))));
    assert!(matches!(sandbox.press("a", None, 7, "x"), Err(Refused::Button(7))));
    assert_eq!(sandbox.0.chat.lock().people.len(), 0, "what is refused takes no place");
    for session in ["a", "b"] {
        sandbox.say(session, None, "x", None).expect("there is room");
    }
    for session in ["c", "d"] {
        assert!(matches!(sandbox.say(session, None, "x", None), Err(Refused::Crowd)));
    }
    sandbox.say("a", None, "x", None).expect("no newcomer");
}
