//! Golden records, rules, and the scan against the full parse.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::{MessageId, Name};

mod agree;
mod real;

const NOW: i64 = 1_800_000_000;

fn context() -> Context {
    Context { place: Place::new(3, 77), received_at_ms: None, now: NOW }
}

/// The outcome, after checking that both parsers and both ways to call them agree on it.
fn outcome(raw: &[u8], context: &Context) -> Json {
    agree::check(raw, context);
    match parse(raw, context) {
        Parsed::Version(version, text) => json!({"version": version, "text": text}),
        Parsed::Ignored(reason) => json!({"ignored": reason}),
        Parsed::Dead(reason) => json!({"dead": reason}),
    }
}

/// Every line of `golden/NAME.ndjson` against the same line of `golden/NAME.expected.ndjson`. After a change that is meant:
/// `EDDY_GOLDEN=write cargo test -p eddy-schemas golden`, then read the diff.
#[test]
fn golden_records_have_the_expected_outcome() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let write = std::env::var_os("EDDY_GOLDEN").is_some_and(|value| value == "write");
    for name in ["reddit", "telegram", "export"] {
        let raw = fs::read_to_string(folder.join(format!("{name}.ndjson"))).expect("golden records");
        let expected = folder.join(format!("{name}.expected.ndjson"));
        let outcomes: Vec<Json> = raw.lines().map(|line| outcome(line.as_bytes(), &context())).collect();
        if write {
            let lines: String = outcomes.iter().map(|outcome| format!("{outcome}\n")).collect();
            fs::write(&expected, lines).expect("golden outcomes written");
        }
        let expected = fs::read_to_string(&expected).expect("golden outcomes");
        assert_eq!(raw.lines().count(), expected.lines().count(), "{name}: one outcome a record");
        for (at, (outcome, expected)) in outcomes.iter().zip(expected.lines()).enumerate() {
            let expected: Json = serde_json::from_str(expected).expect("an outcome is JSON");
            assert_eq!(*outcome, expected, "{name}.ndjson:{}: {}", at + 1, raw.lines().nth(at).unwrap_or_default());
        }
    }
}

fn dead(reason: &'static str) -> Json {
    json!({ "dead": reason })
}

#[test]
fn what_is_no_json_is_a_dead_letter() {
    assert_eq!(outcome(b"", &context()), dead("json"));
    assert_eq!(outcome(b"{\"id\":\"\xff\"}", &context()), dead("utf8"));
    assert_eq!(outcome(b"{\"id\":\"a\0\"}", &context()), dead("json"));
    assert_eq!(outcome("\u{feff}{}".as_bytes(), &context()), dead("json"));
}

#[test]
fn nesting_is_limited_without_recursion() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!(r#"{{"x":{}1{},"id":"a","link_id":"t3_b","body":"[","created_utc":1}}"#, open.repeat(depth), close.repeat(depth))
    };
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        for depth in [1, 60, 61, 62, 63, 64, 65, 127, 128, 254, 255] {
            let outcome = outcome(nested(open, close, depth).as_bytes(), &context());
            assert!(outcome["version"].is_object(), "{depth} {open}: {outcome}");
        }
        assert_eq!(outcome(nested(open, close, 256).as_bytes(), &context()), dead("too_deep"));
        assert_eq!(outcome(nested(open, close, 5_000_000).as_bytes(), &context()), dead("too_deep"));
    }
    assert_eq!(outcome("[".repeat(5_000_000).as_bytes(), &context()), dead("too_deep"));
    let brackets = format!(r#"{{"body":"{}\"[","id":"a","link_id":"t3_b","created_utc":1}}"#, "[".repeat(300));
    assert!(outcome(brackets.as_bytes(), &context())["version"].is_object(), "brackets in a string are text");
}

#[test]
fn the_time_of_receipt_counts_where_nothing_says_when_it_was_retrieved() {
    let received = Context { received_at_ms: Some(1_700_000_000_999), ..context() };
    let version = |raw: &str| outcome(raw.as_bytes(), &received)["version"]["version"].as_i64();
    assert_eq!(version(r#"{"id":"a","link_id":"t3_b","body":"","created_utc":5}"#), Some(1_700_000_000));
    assert_eq!(version(r#"{"id":"a","link_id":"t3_b","body":"","created_utc":5,"retrieved_on":6}"#), Some(6));
    assert_eq!(version(r#"{"id":"a","link_id":"t3_b","body":"","created_utc":5,"seq":-2}"#), Some(-2));
    assert_eq!(version(r#"{"id":"a","link_id":"t3_b","op":"d"}"#), Some(1_700_000_000));
}

#[test]
fn configured_names_are_bots_in_any_case() {
    let mut parser = Parser::new(["automoderator".to_owned()]);
    let mut bot = |raw: &str| match parser.parse(raw.as_bytes(), &context()) {
        Parsed::Version(version, _) => version.bot,
        other => panic!("{other:?}"),
    };
    assert!(bot(r#"{"id":"a","link_id":"t3_b","body":"","created_utc":5,"author":"AutoModerator"}"#));
    assert!(!bot(r#"{"id":"a","link_id":"t3_b","body":"","created_utc":5,"author":"Auto"}"#));
    assert!(!bot(r#"{"id":"a","link_id":"t3_b","body":"","created_utc":5}"#));
}

#[test]
fn a_parser_keeps_nothing_of_the_record_before() {
    let mut parser = Parser::default();
    for text in ["a\\nb", "plain", "", "\\ud83d\\ude00"] {
        for raw in [
            format!(r#"{{"id":"a","link_id":"t3_b","body":"{text}","created_utc":5}}"#),
            format!(r#"{{"id":"a","title":"{text}","selftext":"{text}","created_utc":5}}"#),
            format!(r#"{{"id":"a","title":"{text}","created_utc":5}}"#),
            format!(
                r#"{{"update_id":1,"message":{{"message_id":1,"date":1,"chat":{{"id":1,"first_name":"x","last_name":"y"}},"text":"{text}"}}}}"#
            ),
        ] {
            assert_eq!(parser.parse(raw.as_bytes(), &context()), parse_full(raw.as_bytes(), &context()), "{raw}");
        }
    }
}

#[test]
fn a_text_is_counted_in_characters() {
    for (raw, text) in [("", ""), ("a\\u00e9é😀", "aéé😀"), ("\\ud83d\\ude00\\n", "😀\n")] {
        let raw = format!(r#"{{"id":"a","link_id":"t3_b","body":"{raw}","created_utc":5}}"#);
        let Parsed::Version(version, Some(found)) = parse(raw.as_bytes(), &context()) else { panic!("{raw}") };
        assert_eq!(found, text);
        assert_eq!(version.characters as usize, text.chars().count());
        assert_eq!(version.text_hash, Some(text_hash(text)));
        assert_eq!(version.id, MessageId::comment("a"));
        assert_eq!(version.user, None::<Name>);
    }
}

#[test]
fn a_question_mark_asks_where_a_sentence_can_end() {
    let asks = |text: &str| {
        let raw = serde_json::json!({"id": "a", "link_id": "t3_b", "body": text, "created_utc": 5}).to_string();
        match parse(raw.as_bytes(), &context()) {
            Parsed::Version(version, _) => version.asks,
            other => panic!("{other:?}"),
        }
    };
    for text in [
        "?",
        "why?",
        "why? because",
        "(why?)",
        "\"why?\" he said",
        "why?\nso",
        "why?\u{2019}",
        "為什麼？",
        "لماذا؟ نعم",
        "a?b c?",
        "why??",
        "[is it?]",
        "「何？」",
    ] {
        assert!(asks(text), "{text}");
    }
    for text in ["", "why", "http://a/?b=c", "a?b", "why?!", "why?.", "what?(", "為什麼？嗎", "لماذا؟لا", "\u{69f}", "\u{ff5f} \u{1f}"]
    {
        assert!(!asks(text), "{text}");
    }
    let asks = |raw: &str| matches!(parse(raw.as_bytes(), &context()), Parsed::Version(Version { asks: true, .. }, _));
    assert!(asks(r#"{"id":"a","title":"why?","selftext":"so","created_utc":5}"#), "a title ends with the line");
    assert!(asks(r#"{"id":"a","title":"so","selftext":"why\u003f","created_utc":5}"#));
    assert!(!asks(r#"{"id":"a","link_id":"t3_b","op":"d","seq":1}"#));
}

/// The folder of real data, where it is.
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn data() -> Option<PathBuf> {
    let found = std::env::var_os("EDDY_DATA").map(PathBuf::from).into_iter();
    let beside = ["../../shared/data", "../../../shared/data"].map(|path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
    let found = found.chain(beside).find(|path| path.is_dir());
    if found.is_none() {
        println!("skipped: ../shared/data is missing (or name it: EDDY_DATA=DIR)");
    }
    found
}
