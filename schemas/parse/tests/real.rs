//! Real records, where they are (`../shared/data`): both parsers agree on each, and the counts are the known ones. What is
//! printed holds no one's name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use hashbrown::HashSet;

use super::*;

/// Bytes of a file as its name says it is packed.
fn open(path: &Path) -> Box<dyn BufRead> {
    let file = File::open(path).expect("a file of real data");
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("zst") => {
            let mut decoder = zstd::Decoder::new(file).expect("a zstd stream");
            decoder.window_log_max(31).expect("a window of 2 GiB");
            Box::new(BufReader::new(decoder))
        }
        Some("bz2") => Box::new(BufReader::new(bzip2::read::MultiBzDecoder::new(file))),
        _ => Box::new(BufReader::new(file)),
    }
}

/// How records turned out.
#[derive(Default, Debug, PartialEq)]
struct Tally {
    versions: usize,
    tombstones: usize,
    scanned: usize,
    refused: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, raw: &[u8], parser: &mut Parser, context: &Context) -> Option<Version> {
        let full = parse_full(raw, context);
        assert!(parser.parse(raw, context) == full, "the parsers differ (the record is not printed: it is someone's)");
        if let Some(scanned) = parse_scan(raw, context) {
            assert!(scanned == full, "the scan differs (the record is not printed: it is someone's)");
            self.scanned += 1;
        }
        match full {
            Parsed::Version(version, _) => {
                self.versions += 1;
                self.tombstones += usize::from(version.tombstone);
                return Some(version);
            }
            Parsed::Ignored(reason) => *self.refused.entry(format!("ignored {reason}")).or_default() += 1,
            Parsed::Dead(reason) => *self.refused.entry(format!("dead {reason}")).or_default() += 1,
        }
        None
    }

    fn refused(&self, reason: &str) -> usize {
        self.refused.get(reason).copied().unwrap_or(0)
    }
}

/// Every line of dumps.
fn dumps(files: &[&str]) -> Option<Tally> {
    let folder = data()?.join("reddit");
    let (mut tally, mut parser) = (Tally::default(), Parser::default());
    for file in files {
        for line in open(&folder.join(file)).split(b'\n') {
            tally.add(&line.expect("a line"), &mut parser, &context());
        }
    }
    Some(tally)
}

#[test]
fn every_record_of_the_first_months_is_a_version() {
    let Some(tally) = dumps(&["RC_2005-12.zst", "RC_2006-01.bz2", "RC_2006-02.bz2", "RS_2006-02.bz2"]) else { return };
    assert_eq!((tally.versions, tally.refused.len()), (14_263, 0), "{tally:?}");
    assert!(tally.scanned > 14_000, "{tally:?}");
}

#[test]
fn both_parsers_agree_on_later_dumps() {
    let Some(tally) = dumps(&["RS_2019-10_AskMen.zst", "RS_2019-10_AskWomen.zst"]) else { return };
    assert_eq!((tally.versions, tally.refused.len()), (13_050 + 8_271, 0), "{tally:?}");
    assert!(tally.scanned > 21_000, "{tally:?}");
}

/// The things of a listing, nested to any depth, as the reader of dumps cuts them out.
fn things(json: &Json, found: &mut Vec<Json>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| things(item, found)),
        Json::Object(entries) => {
            if let (Some(kind @ ("t1" | "t3" | "t4" | "t5" | "more")), Some(data @ Json::Object(_))) =
                (entries.get("kind").and_then(Json::as_str), entries.get("data"))
            {
                let mut data = data.clone();
                data.as_object_mut().expect("an object").insert("replies".into(), "".into());
                found.push(json!({"kind": kind, "data": data}));
            }
            for (key, value) in entries {
                if key != "crosspost_parent_list" {
                    things(value, found);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn things_of_api_listings_are_versions_or_ignored_by_name() {
    let Some(folder) = data() else { return };
    let (mut tally, mut parser, mut ids) = (Tally::default(), Parser::default(), HashSet::<_, foldhash::fast::FixedState>::default());
    let (mut bare, mut messages) = (Tally::default(), 0);
    for line in open(&folder.join("reddit/praw_listings.ndjson.zst")).lines() {
        let answer: Json = serde_json::from_str(&line.expect("a line")).expect("an answer");
        let mut found = Vec::new();
        things(&answer["body"], &mut found);
        for thing in &found {
            if let Some(version) = tally.add(thing.to_string().as_bytes(), &mut parser, &context()) {
                assert_eq!(thing["data"]["name"], version.id.to_string()["reddit:".len()..], "the id is the fullname's");
            }
            if matches!(thing["kind"].as_str(), Some("t1" | "t3")) {
                messages += 1;
                ids.insert(thing["data"]["name"].to_string());
                bare.add(thing["data"].to_string().as_bytes(), &mut parser, &context());
            }
        }
    }
    assert_eq!((messages, ids.len()), (18_783, 10_341));
    assert_eq!(tally.versions, 18_783 - 649, "{tally:?}");
    assert_eq!(tally.refused("ignored no_conversation"), 649, "{tally:?}");
    assert_eq!(tally.refused("ignored kind:t4"), 502, "{tally:?}");
    assert_eq!(tally.refused("ignored kind:t5"), 100, "{tally:?}");
    assert_eq!(tally.refused("ignored kind:more"), 963, "{tally:?}");
    assert_eq!(tally.refused.len(), 4, "no dead letters: {tally:?}");
    assert_eq!((bare.versions, &bare.refused), (tally.versions, &[("ignored no_conversation".to_owned(), 649)].into()), "{bare:?}");
}

/// Objects with `update_id`, at any depth.
fn updates(json: &Json, found: &mut Vec<Json>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| updates(item, found)),
        Json::Object(entries) if entries.contains_key("update_id") => found.push(json.clone()),
        Json::Object(entries) => entries.values().for_each(|value| updates(value, found)),
        _ => {}
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn updates_of_every_kind_have_an_outcome() {
    let Some(folder) = data() else { return };
    let (mut paths, mut found) = (Vec::new(), Vec::new());
    files(&folder.join("telegram/updates"), &mut paths);
    for path in paths {
        let mut text = String::new();
        open(&path).read_to_string(&mut text).expect("a text file");
        for json in serde_json::Deserializer::from_str(&text).into_iter::<Json>().map_while(Result::ok) {
            updates(&json, &mut found);
        }
    }
    let (mut tally, mut parser) = (Tally::default(), Parser::default());
    for update in &found {
        tally.add(update.to_string().as_bytes(), &mut parser, &context());
    }
    // Kinds that no specification has, and an update of nothing else.
    assert_eq!((found.len(), tally.versions, tally.refused("dead shape"), tally.refused("dead no_id")), (173, 36, 3, 1), "{tally:?}");
}

#[test]
fn messages_of_desktop_exports_have_an_outcome() {
    let Some(folder) = data() else { return };
    for (file, versions, service, no_time) in [("telegram_test_json_result.json", 0, 4, 8), ("public_channel_result.json", 6, 0, 0)] {
        let text = fs::read_to_string(folder.join("telegram/desktop_export").join(file)).expect("an export");
        let export: Json = serde_json::from_str(&text).expect("an export is JSON");
        let chat = json!({"id": export["id"], "type": export["type"], "name": export["name"]});
        let (mut tally, mut parser) = (Tally::default(), Parser::default());
        for message in export["messages"].as_array().expect("messages") {
            let raw = json!({"desktop_export": {"chat": chat, "message": message}}).to_string();
            tally.add(raw.as_bytes(), &mut parser, &Context { now: 1_900_000_000, ..context() });
        }
        assert_eq!(
            (tally.versions, tally.refused("ignored service"), tally.refused("dead no_utc_time")),
            (versions, service, no_time),
            "{tally:?}"
        );
    }
}
