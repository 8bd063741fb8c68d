//! The public files of `../shared/data`, where that folder is there.

use super::*;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

fn data() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = [here.join("../shared/data"), here.join("../../shared/data")].into_iter().find(|path| path.is_dir());
    if found.is_none() {
        eprintln!("skipped: there is no ../shared/data");
    }
    found
}

fn unpack(path: &Path) -> Vec<u8> {
    let mut decoder = zstd::Decoder::new(std::fs::File::open(path).unwrap()).unwrap();
    decoder.window_log_max(31).unwrap();
    let mut bytes = Vec::new();
    decoder.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Records by kind: of a thing its kind, of others their first key.
fn kinds(read: &Read) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for text in read.texts() {
        let value: serde_json::Value = serde_json::from_str(text).expect("a record is JSON");
        let kind = value.get("kind").and_then(|kind| kind.as_str()).unwrap_or("other").to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

fn things(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    counts.iter().map(|&(kind, count)| (kind.to_owned(), count)).collect()
}

#[test]
fn dumps_have_their_lines() {
    let Some(data) = data() else { return };
    for (name, lines) in [
        ("RC_2005-12.zst", 1_075),
        ("RC_2006-01.bz2", 3_666),
        ("RC_2006-02.bz2", 9_095),
        ("RS_2006-02.bz2", 427),
        ("RS_2019-10_AskMen.zst", 13_050),
        ("RS_2019-10_AskWomen.zst", 8_271),
    ] {
        let path = data.join("reddit").join(name);
        let mut reader = Reader::new(vec![path.clone()], Limits::default());
        let mut count = 0;
        while let Some(block) = reader.next(None).unwrap() {
            assert!(matches!(block.place, Places::Lines { .. }), "{name}: an ordinary dump needs no unpacking");
            count += block.bytes.iter().filter(|&&byte| byte == b'\n').count();
        }
        assert_eq!(count, lines, "{name}");
        assert_eq!(reader.bytes_read(), path.metadata().unwrap().len(), "{name}");
    }
}

#[test]
fn answers_of_the_reddit_api_are_unpacked() {
    let Some(data) = data() else { return };
    let mut bodies = Vec::new();
    for line in unpack(&data.join("reddit/praw_listings.ndjson.zst")).split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let line: BTreeMap<String, &serde_json::value::RawValue> = serde_json::from_slice(line).unwrap();
        bodies.extend_from_slice(line["body"].get().as_bytes());
        bodies.push(b'\n');
    }
    let read = read(&bodies, Limits::default());
    assert!(read.rejected.is_empty() && read.errors.is_empty());
    assert_eq!(kinds(&read), things(&[("t1", 13_853), ("t3", 4_930), ("more", 963), ("t4", 502), ("t5", 100)]));
    let split = super::read(&bodies, small(777));
    assert_eq!((split.records, split.rejected), (read.records, read.rejected));
}

#[test]
fn threads_are_unpacked_with_their_answers() {
    let Some(data) = data() else { return };
    let tar = unpack(&data.join("reddit/rumoureval2019_train_dev.tar.zst"));
    let mut archive = tar::Archive::new(&tar[..]);
    let (mut all, mut documents) = (BTreeMap::new(), Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if !entry.path().unwrap().ends_with("raw.json") {
            continue;
        }
        let mut text = Vec::new();
        entry.read_to_end(&mut text).unwrap();
        for (kind, count) in kinds(&read(&text, Limits::default())) {
            *all.entry(kind).or_default() += count;
        }
        documents.extend_from_slice(&text);
    }
    let expected = things(&[("t1", 1_075), ("t3", 40), ("more", 27)]);
    assert_eq!(all, expected);
    // One behind the other, with nothing between.
    assert_eq!(kinds(&read(&documents, Limits::default())), expected);
}

#[test]
fn chat_exports_are_unpacked() {
    let Some(data) = data() else { return };
    for (name, id) in [("public_channel_result.json", 2_447_843_635u64), ("telegram_test_json_result.json", 123_456_789)] {
        let bytes = std::fs::read(data.join("telegram/desktop_export").join(name)).unwrap();
        let whole: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let read = read(&bytes, Limits::default());
        let messages = whole["messages"].as_array().unwrap();
        assert_eq!(read.records.len(), messages.len());
        for (record, message) in read.texts().iter().zip(messages) {
            let record: serde_json::Value = serde_json::from_str(record).unwrap();
            assert_eq!(record["desktop_export"]["chat"]["id"], id);
            assert_eq!(record["desktop_export"]["chat"]["name"], whole["name"]);
            assert_eq!(&record["desktop_export"]["message"], message);
        }
    }
}

#[test]
fn answers_of_telegram_are_unpacked() {
    let Some(data) = data() else { return };
    let folder = data.join("telegram/updates/tgbot_crate");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(fixture) = serde_json::from_slice::<serde_json::Value>(&std::fs::read(&path).unwrap()) else { continue };
        let Some(updates) = fixture["rep_body"]["result"].as_array() else { continue };
        for text in [fixture["rep_body"].to_string(), serde_json::to_string_pretty(&fixture["rep_body"]).unwrap()] {
            let read = read_text(&text);
            let records: Vec<serde_json::Value> = read.texts().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            assert_eq!(&records, updates, "{}", path.display());
        }
    }
    for name in ["inline_query", "migrate_from_chat_id", "migrate_to_chat_id", "regression_test_208"] {
        let read = read_files(vec![data.join(format!("telegram/updates/telegram_bot_raw/{name}.json"))], Limits::default());
        assert_eq!(kinds(&read), things(&[("other", 1)]));
    }
}
