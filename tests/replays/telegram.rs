//! Telegram's updates and exports, and real conversations dressed up as updates, against the oracle.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::data;
use super::run::{self, Place, Summary};
use crate::oracle::Oracle;

/// What eddy says about these inputs is what the oracle says.
fn agrees(place: &Place, oracle: &Oracle, what: &str, ran: run::Ran) -> Summary {
    let summary = ran.ends(0).summary();
    let expected = oracle.counts();
    println!(
        "{what}: read {}, {} dead letters {:?}, ignored {:?}",
        summary.n("read"),
        summary.n("dead_letters"),
        place.reasons(),
        summary.ignored()
    );
    println!("{what}, the oracle: {expected:?}");
    run::equal(&place.tables(), &oracle.tables(), what);
    assert_eq!(summary.n("read"), expected.read, "{what}");
    assert_eq!(summary.versions(), expected.accepted, "{what}: {}", summary.0);
    assert_eq!(summary.n("dead_letters"), expected.dead.values().sum::<u64>(), "{what}: {:?}, the oracle {expected:?}", place.reasons());
    summary
}

/// What the contract leaves open, and eddy and the oracle read differently: contents that are not in its list of what a person
/// sends, what to call the chat of two people, which has no title, and kinds of updates that are newer than the oracle (dead letters to it,
/// ignored by name here).
fn is_open(update: &Value) -> bool {
    if ["stopped_message_generation", "subscription"].iter().any(|kind| update.get(kind).is_some()) {
        return true;
    }
    let message = ["message", "edited_message", "channel_post"].iter().find_map(|kind| update.get(kind));
    message.is_some_and(|message| {
        let untitled = message["chat"]["type"] == "private" && message["chat"]["title"].is_null();
        untitled || ["checklist", "rich_message"].iter().any(|content| message.get(content).is_some())
    })
}

fn json_files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
fn desktop_exports_equal_the_oracle() {
    let Some(folder) = data::path("telegram/desktop_export") else { return };
    let files = json_files(folder);
    assert_eq!(files.len(), 2);
    let mut oracle = run::oracle();
    for file in &files {
        oracle.document(&data::bytes(file));
    }
    let place = Place::new();
    let summary = agrees(&place, &oracle, "exports", place.run(&files));
    assert!(place.letters().iter().all(|letter| letter["reason"] == "no_utc_time"));
    assert!(summary.n("read") > 0);
}

#[test]
fn updates_of_three_bot_libraries_equal_the_oracle() {
    let Some(folder) = data::path("telegram/updates") else { return };
    let (place, mut oracle, mut files) = (Place::new(), run::oracle(), vec![]);
    let mut add = |bytes: &[u8]| {
        oracle.document(bytes);
        files.push(place.file(&format!("{}.json", files.len()), bytes));
    };
    for file in json_files(folder.join("tgbot_crate")) {
        let mut fixture: Value = serde_json::from_slice(&data::bytes(&file)).expect("a fixture");
        fixture["rep_body"]["result"].as_array_mut().expect("updates").retain(|update| !is_open(update));
        add(&serde_json::to_vec_pretty(&fixture["rep_body"]).expect("memory"));
    }
    for file in json_files(folder.join("telegram_bot_raw")) {
        add(&data::bytes(&file));
    }
    assert_eq!(files.len(), 34);
    let updates = agrees(&place, &oracle, "tgbot and telegram_bot_raw", place.run(&files));
    let well_formed = updates.n("read") - place.reasons().get("shape").copied().unwrap_or(0);
    assert!(100 * (updates.n("applied") + updates.ignored().values().sum::<u64>()) >= 95 * well_formed);
}

/// Literals of a library's own tests: most are no updates but parts of them, so most are dead letters.
#[test]
fn literals_of_every_type_of_the_bot_api_never_fail_a_run() {
    let Some(file) = data::path("telegram/updates/teloxide_core_test_literals.ndjson") else { return };
    let (place, mut oracle, mut lines, mut updates) = (Place::new(), run::oracle(), vec![], 0);
    for line in data::lines(&data::bytes(&file)) {
        let literal: Value = serde_json::from_slice(line).expect("a literal");
        updates += usize::from(literal["json"].get("update_id").is_some());
        if is_open(&literal["json"]) {
            continue;
        }
        let start = lines.len();
        serde_json::to_writer(&mut lines, &literal["json"]).expect("memory");
        oracle.record(&lines[start..]);
        lines.push(b'\n');
    }
    assert!(updates >= 10);
    agrees(&place, &oracle, "teloxide", place.run([place.file("literals.ndjson", &lines)]));
}

/// (seconds, chat, sender, text) of every message of the two-person chats, in the order of their times.
fn chats(bytes: &[u8]) -> Vec<(i64, i64, i64, String)> {
    let chats: serde_json::Map<String, Value> = serde_json::from_slice(bytes).expect("chats");
    let mut senders = std::collections::BTreeMap::new();
    let mut messages = vec![];
    for (chat, said) in chats.values().enumerate() {
        for message in said["messages"].as_array().expect("turns").iter().flat_map(|turn| turn.as_array().expect("a turn")) {
            let next = 1_000 + senders.len() as i64;
            let sender = *senders.entry(message["sender"].as_str().expect("a sender").to_owned()).or_insert(next);
            let at = seconds(message["timestamp"].as_str().expect("a time"));
            messages.push((at, -1 - chat as i64, sender, message["text"].as_str().expect("a text").to_owned()));
        }
    }
    messages.sort_by_key(|message| message.0);
    messages
}

/// Seconds of `2018-05-02T19:38:15Z`.
fn seconds(time: &str) -> i64 {
    let n = |range: std::ops::Range<usize>| time[range].parse::<i64>().expect("digits");
    let (year, month, day) = (n(0..4), n(5..7), n(8..10));
    // Days from 1970 of the proleptic Gregorian calendar, years beginning in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    86_400 * days + 3_600 * n(11..13) + 60 * n(14..16) + n(17..19)
}

#[test]
fn conversations_merged_into_one_stream_of_updates_equal_the_oracle() {
    let Some(file) = data::path("chat/chitchat.json.gz") else { return };
    let messages = chats(&data::bytes(&file));
    assert_eq!(messages.len(), 258_145);
    // Every message with EDDY_FULL, else the chats of every tenth number.
    let full = std::env::var_os("EDDY_FULL").is_some();
    let (mut oracle, mut lines) = (run::oracle(), vec![]);
    let mut numbers = std::collections::BTreeMap::<i64, i64>::new();
    for (update_id, (at, chat, sender, text)) in messages.iter().enumerate().filter(|(_, (_, chat, ..))| full || chat % 10 == 0) {
        let number = numbers.entry(*chat).or_default();
        *number += 1;
        let update = json!({ "update_id": update_id, "message": {
            "message_id": number, "date": at, "chat": { "id": chat, "type": "group", "title": format!("chat {chat}") },
            "from": { "id": sender, "is_bot": false, "first_name": format!("sender {sender}") }, "text": text } });
        let start = lines.len();
        serde_json::to_writer(&mut lines, &update).expect("memory");
        oracle.record(&lines[start..]);
        lines.push(b'\n');
    }
    let place = Place::new();
    let summary = agrees(&place, &oracle, "chitchat", place.run(["--workers".into(), "2".into(), place.file("updates.ndjson", &lines)]));
    assert_eq!(summary.n("dead_letters"), 0);
    assert!(summary.rows("messages") == summary.n("read") && summary.n("read") > if full { 258_144 } else { 20_000 });
}

#[test]
fn an_unknown_document_is_one_dead_letter() {
    let Some(file) = data::path("chat/chitchat.json.gz") else { return };
    let place = Place::new();
    let summary = place.run([&file]).ends(0).summary();
    assert_eq!((summary.n("read"), summary.n("dead_letters")), (1, 1), "{}", summary.0);
    let letters = place.letters();
    println!("chitchat as it is: {} of {} bytes", letters[0]["reason"], letters[0]["raw_bytes"]);
    assert_eq!(letters[0]["raw_bytes"].as_u64(), Some(data::bytes(&file).len() as u64));
    assert_eq!((letters[0]["line"].as_u64(), letters[0]["offset"].as_u64()), (Some(1), Some(0)));
}
