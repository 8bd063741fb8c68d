//! Records that cannot be read: each is one dead letter that says where it stood, and costs the others nothing.

use base64::Engine;
use serde_json::{Value, json};

use super::archives;
use super::run::Place;

pub const GOOD: &str =
    r#"{"id":"c1","link_id":"t3_p1","parent_id":"t3_p1","author":"ann","subreddit":"pics","body":"hi","created_utc":1136073600,"score":1}"#;

pub fn good(number: usize) -> String {
    GOOD.replace("\"c1\"", &format!("\"c{number}\""))
}

fn reason_of(letter: &Value) -> &str {
    letter["reason"].as_str().expect("a reason")
}

/// The record that a letter speaks of, as it stands in the stream.
fn record_of<'a>(letter: &Value, stream: &'a [u8]) -> &'a [u8] {
    let (at, length) = (letter["offset"].as_u64().expect("an offset"), letter["raw_bytes"].as_u64().expect("a length"));
    &stream[at as usize..(at + length) as usize]
}

fn raw_of(letter: &Value) -> Vec<u8> {
    let raw = letter["raw"].as_str().expect("raw");
    match letter.get("raw_base64") {
        Some(Value::Bool(true)) => base64::engine::general_purpose::STANDARD.decode(raw).expect("base64"),
        _ => raw.as_bytes().to_vec(),
    }
}

/// Bad records between good ones: each becomes a letter whose place and bytes are its own.
fn check(bad: &[Vec<u8>]) {
    let mut stream = vec![];
    for (number, bad) in bad.iter().enumerate() {
        stream.extend_from_slice(good(number).as_bytes());
        stream.push(b'\n');
        stream.extend_from_slice(bad);
        stream.extend_from_slice(b"\n\n");
    }
    stream.extend_from_slice(good(bad.len()).as_bytes());
    let place = Place::new();
    for (name, file) in [("bad.ndjson", stream.clone()), ("bad.zst", archives::zstd(&stream)), ("bad.bz2", archives::bzip2(&stream))] {
        let file = place.file(name, file);
        let summary = place.run([&file]).ends(0).summary();
        assert_eq!(summary.n("applied"), bad.len() as u64 + 1, "{name}: {} {:?}", summary.0, place.reasons());
        assert_eq!(summary.n("dead_letters"), bad.len() as u64, "{name}: {} {:?}", summary.0, place.reasons());
        let mut letters = place.letters();
        letters.sort_by_key(|letter| letter["offset"].as_u64());
        for (number, (letter, bad)) in letters.iter().zip(bad).enumerate() {
            assert_eq!(letter["file"], file.display().to_string(), "{letter}");
            assert_eq!(letter["line"], json!(3 * number + 2), "{letter}");
            assert!(record_of(letter, &stream) == bad, "{name}: the bytes at the offset: {letter}");
            assert!(raw_of(letter) == bad[..bad.len().min(64 << 10)], "{name}: {letter}");
            println!("{:<14} {}", reason_of(letter), String::from_utf8_lossy(&bad[..bad.len().min(90)]));
        }
    }
    place.is_clean();
}

#[test]
fn broken_json_is_a_dead_letter_with_its_place_and_bytes() {
    let cut = |n: usize| GOOD.as_bytes()[..n].to_vec();
    check(&[
        cut(20),
        cut(GOOD.len() - 1),
        b"not json at all".to_vec(),
        b"}".to_vec(),
        b"{".to_vec(),
        b"[".to_vec(),
        b"\"".to_vec(),
        b"{\"body\":\"a\tb\nis cut\"}".split(|byte| *byte == b'\n').next().expect("one").to_vec(),
        b"{\"b\":2} x".to_vec(),
        b"NaN".to_vec(),
        b"{\"body\":\"x\",}".to_vec(),
        b"{'body':'x'}".to_vec(),
        b"<html>429 Too Many Requests</html>".to_vec(),
        b"\xef\xbb\xbf{".to_vec(),
    ]);
}

#[test]
fn a_record_of_the_wrong_shape_is_a_dead_letter() {
    let with = |name: &str, value: Value| {
        let mut record: Value = serde_json::from_str(GOOD).expect("JSON");
        record[name] = value;
        record.to_string().into_bytes()
    };
    check(&[
        with("created_utc", json!("yesterday")),
        with("created_utc", json!(null)),
        with("created_utc", json!({"at": 3})),
        with("created_utc", json!(99_999_999_999_i64)),
        with("created_utc", json!(1e300)),
        with("id", json!("")),
        with("id", json!(["c1"])),
        with("body", json!({"text": "hi"})),
        b"{}".to_vec(),
        b"7".to_vec(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        b"{\"weather\":\"fine\"}".to_vec(),
        b"{\"update_id\":\"seven\",\"message\":{}}".to_vec(),
        b"{\"update_id\":7,\"message\":[]}".to_vec(),
        b"{\"update_id\":7,\"message\":{\"message_id\":1,\"date\":1136073600,\"text\":\"x\"}}".to_vec(),
        b"{\"op\":\"d\",\"link_id\":\"t3_p1\"}".to_vec(),
    ]);
}

#[test]
fn what_is_not_utf_8_is_kept_as_base64() {
    let place = Place::new();
    let bad = [&b"{\"id\":\"c9\",\"body\":\"caf\xe9\",\"link_id\":\"t3_p1\",\"created_utc\":1136073600}"[..], b"\x80\x81\xfe\xff garbage"];
    check(&bad.map(<[u8]>::to_vec));
    let file = place.file("latin1.ndjson", [good(1).as_bytes(), b"\n", bad[0], b"\n"].concat());
    place.run([file]).ends(0);
    assert_eq!(place.letters()[0]["raw_base64"], true);
}

#[test]
fn a_long_record_keeps_64_kib_and_a_cut_character_is_no_reason_for_base64() {
    let long = format!("{{\"body\":\"x{}\"", "é".repeat(50_000));
    let place = Place::new();
    let file = place.file("long.ndjson", format!("{long}\n{}\n", good(1)));
    place.run([file]).ends(0);
    let letter = &place.letters()[0];
    assert!(letter.get("raw_base64").is_none(), "{}", reason_of(letter));
    let raw = letter["raw"].as_str().expect("raw");
    assert!(long.starts_with(raw) && raw.len() > (64 << 10) - 4 && raw.len() <= 64 << 10);
    assert_eq!(letter["raw_bytes"], json!(long.len()));
}

#[test]
fn nesting_ten_thousand_deep_is_a_dead_letter_in_every_position() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let arrays = deep("[", "]");
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let in_record = GOOD.replace("\"score\":1", &format!("\"score\":1,\"extra\":{arrays}"));
    let in_update =
        format!("{{\"update_id\":1,\"message\":{{\"message_id\":1,\"date\":5,\"chat\":{{\"id\":1}},\"reply_markup\":{objects}}}}}");
    let unclosed = "[".repeat(10_000);
    check(&[unclosed, in_record, in_update, arrays, objects].map(String::into_bytes));
}

#[test]
fn deep_threads_of_answers_are_read_whole_and_deep_records_in_them_are_dead_letters() {
    // Each answer nests its listing six deep: 2,000 levels of answers are 12,000 of JSON.
    let mut thread = String::from("\"\"");
    for number in (0..2_000).rev() {
        let parent = if number == 0 { "t3_p1".to_owned() } else { format!("t1_c{}", number - 1) };
        thread = format!(
            "{{\"kind\":\"Listing\",\"data\":{{\"children\":[{{\"kind\":\"t1\",\"data\":{{\"id\":\"c{number}\",\"link_id\":\"t3_p1\",\"parent_id\":\"{parent}\",\"author\":\"ann\",\"body\":\"hi\",\"created_utc\":1136073600,\"replies\":{thread}}}}}]}}}}"
        );
    }
    let place = Place::new();
    let summary = place.run([place.file("thread.json", &thread)]).ends(0).summary();
    println!("a thread 2,000 deep: {} {:?}", summary.0, place.reasons());
    assert_eq!(summary.n("read"), summary.n("applied") + summary.n("dead_letters"));
    assert_eq!(summary.n("applied"), 2_000, "{:?}", place.reasons());
}

#[test]
fn a_broken_line_costs_the_records_after_it_nothing_however_long_it_is() {
    let many = b"[".repeat(10_000);
    // Both together are taken for one, until a third line shows that the first had broken off.
    let long = [&b"{\"body\":[\"x\","[..], &b"1,".repeat(17 << 19)].concat();
    check(std::slice::from_ref(&many));
    check(std::slice::from_ref(&long));
    check(&[long, many.clone(), b"{\"ok\":true,\"result\":[".to_vec(), many]);
}

#[test]
fn a_line_of_100_mb_is_a_dead_letter_and_memory_stays_bounded() {
    let place = Place::new();
    let path = place.path("long.ndjson");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    use std::io::Write;
    let piece = "x".repeat(1 << 20);
    write!(file, "{}\n{{\"id\":\"c2\",\"body\":\"", good(1)).expect("room");
    (0..100).for_each(|_| file.write_all(piece.as_bytes()).expect("room"));
    write!(file, "\"}}\n{}\n", good(3)).expect("room");
    file.into_inner().expect("room");
    let summary = place.run([&path]).ends(0).summary();
    assert_eq!((summary.n("applied"), summary.n("dead_letters")), (2, 1), "{:?}", place.reasons());
    let letter = &place.letters()[0];
    assert_eq!(reason_of(letter), "too_long");
    assert_eq!(letter["raw_bytes"], json!((100 << 20) + "{\"id\":\"c2\",\"body\":\"\"}".len()));
    assert_eq!((letter["line"].as_u64(), letter["offset"].as_u64()), (Some(2), Some(GOOD.len() as u64 + 1)));
    let peak = summary.n("peak_rss_bytes");
    println!("a line of 100 MB: peak {} MB", peak >> 20);
    assert!(peak < 120 << 20, "peak {} MB", peak >> 20);
}

/// One document of many small records is streamed. `EDDY_DOCUMENT_BYTES=1000000000` for a great one.
#[test]
fn a_great_document_of_small_records_is_streamed() {
    let bytes_min = std::env::var("EDDY_DOCUMENT_BYTES").ok().and_then(|bytes| bytes.parse().ok()).unwrap_or(60_000_000_usize);
    let place = Place::new();
    let path = place.path("listing.json");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    use std::io::Write;
    write!(file, "{{\"kind\":\"Listing\",\"data\":{{\"children\":[").expect("room");
    let filler = "word ".repeat(400);
    let (mut written, mut records) = (0, 0);
    while written < bytes_min {
        let comma = if records > 0 { ",\n" } else { "" };
        // Few ids: what is kept does not grow with the document, so that the peak is the reader's.
        let record = format!(
            "{comma}{{\"kind\":\"t1\",\"data\":{{\"id\":\"c{}\",\"link_id\":\"t3_p1\",\"parent_id\":\"t3_p1\",\"author\":\"ann\",\"subreddit\":\"pics\",\"body\":\"hi\",\"created_utc\":1136073600,\"score\":1,\"filler\":\"{filler}\"}}}}",
            records % 1_000
        );
        file.write_all(record.as_bytes()).expect("room");
        written += record.len();
        records += 1;
    }
    write!(file, "]}}}}").expect("room");
    file.into_inner().expect("room");
    let summary = place.run([&path]).ends(0).summary();
    assert_eq!((summary.n("read"), summary.n("applied")), (records, 1_000));
    let peak = summary.n("peak_rss_bytes");
    println!("a document of {} MB: peak {} MB, {} s", written / 1_000_000, peak >> 20, summary.0["seconds"]);
    assert!(peak < 100 << 20, "peak {} MB", peak >> 20);
}
