//! What the full parse refuses, the scan never accepts; where the scan accepts, both give equal outcomes.

use std::cell::RefCell;

use super::*;

thread_local! {
    /// Lives as long as a test, so that what it remembers of records before is tried too.
    static PARSER: RefCell<Parser> = RefCell::default();
}

/// Every way to read a record, against the full parse.
pub fn check(raw: &[u8], context: &Context) {
    let full = parse_full(raw, context);
    assert_eq!(parse(raw, context), full, "{}", String::from_utf8_lossy(raw));
    PARSER.with_borrow_mut(|parser| {
        // The second time, what the first one taught it is there.
        for _ in 0..2 {
            assert_eq!(parser.parse(raw, context), full, "{}", String::from_utf8_lossy(raw));
            assert_eq!(parser.text(raw, context).as_deref(), text(&full), "{}", String::from_utf8_lossy(raw));
        }
    });
    if let Some(scanned) = parse_scan(raw, context) {
        assert_eq!(scanned, full, "{}", String::from_utf8_lossy(raw));
    }
}

fn text<'a>(parsed: &'a Parsed) -> Option<&'a str> {
    match parsed {
        Parsed::Version(_, text) => text.as_deref(),
        Parsed::Ignored(_) | Parsed::Dead(_) => None,
    }
}

/// Whitespace of JSON, mostly none.
fn space() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// A number in all that the grammar allows and some that it does not.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<i32>().prop_map(|n| n.to_string()),
        4 => (1_000_000_000i64..1_900_000_000).prop_map(|n| n.to_string()),
        2 => "(1[0-9]{9}|[0-9]{1,12})\\.[0-9]{1,8}",
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<u64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|x| x.to_string()),
        1 => "-?[0-9]{1,25}(\\.[0-9]{0,6})?([eE][+-]?[0-9]{0,3})?",
        1 => Just("-0".to_owned()),
    ]
}

/// A string's inside: text, escapes, and now and then what no string may hold.
fn inside() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        12 => "[ -!#-\\[\\]-~]{0,40}",
        3 => "\\PC{0,8}",
        2 => prop::sample::select(vec!["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t", "\\u0041", "\\u00e9", "\\ud83d\\ude00", "\\uD83D\\uDE00", "\\u0000"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["\\ud83d", "\\ude00", "\\ud83d\\u0041", "\\ud83d\\n", "\\u12", "\\x", "\\", "\t", "\u{1}", "\u{7f}", "\"", "\\U0041"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["[deleted]", "[removed]", "t1_", "t3_", "t5_"]).prop_map(str::to_owned),
    ];
    prop_oneof![3 => piece.clone(), 1 => prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())]
}

fn string() -> impl Strategy<Value = String> {
    inside().prop_map(|inside| format!("\"{inside}\""))
}

/// A value of any kind.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => string(),
        3 => number(),
        3 => prop::sample::select(vec!["null", "true", "false", "{}", "[]"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["nul", "True", "NaN", "", "-", "tru e", "{\"a\"}", "[1,]", "{\"a\":1,}", "[,1]", "]", "{,}"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec((inside(), space(), inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, space, value)| format!("\"{key}\"{space}:{space}{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

/// An entry that a record usually has, with a value that it usually has.
fn usual() -> impl Strategy<Value = (String, String)> {
    let id = "[0-9a-z]{1,8}";
    let words = || inside().prop_map(|inside| format!("\"{inside}\""));
    prop_oneof![
        id.prop_map(|id| ("id".into(), format!("\"{id}\""))),
        "t[13]_[0-9a-z]{1,8}".prop_map(|id| ("id".into(), format!("\"{id}\""))),
        id.prop_map(|id| ("link_id".into(), format!("\"t3_{id}\""))),
        "t[13]_[0-9a-z]{1,8}".prop_map(|id| ("parent_id".into(), format!("\"{id}\""))),
        "[A-Za-z0-9_-]{3,20}".prop_map(|name| ("author".into(), format!("\"{name}\""))),
        "[A-Za-z0-9_-]{3,20}".prop_map(|name| ("subreddit".into(), format!("\"{name}\""))),
        words().prop_map(|text| ("body".into(), text)),
        words().prop_map(|text| ("title".into(), text)),
        words().prop_map(|text| ("selftext".into(), text)),
        number().prop_map(|n| ("score".into(), n)),
        number().prop_map(|n| ("created_utc".into(), n)),
        number().prop_map(|n| ("retrieved_on".into(), n)),
        number().prop_map(|n| ("retrieved_utc".into(), n)),
        number().prop_map(|n| ("created_utc".into(), format!("\"{n}\""))),
        prop_oneof![number(), Just("true".to_owned()), Just("false".to_owned()), Just("null".to_owned())]
            .prop_map(|n| ("edited".into(), n)),
        number().prop_map(|n| ("seq".into(), n)),
        "[cud]".prop_map(|op| ("op".into(), format!("\"{op}\""))),
        number().prop_map(|n| ("_meta".into(), format!("{{\"is_edited\":true,\"retrieved_2nd_on\":{n}}}"))),
    ]
}

/// Any known key with any value, or any key at all.
fn entry() -> impl Strategy<Value = (String, String)> {
    let keys = vec![
        "id",
        "link_id",
        "parent_id",
        "author",
        "subreddit",
        "body",
        "title",
        "selftext",
        "score",
        "created_utc",
        "edited",
        "seq",
        "op",
        "retrieved_on",
        "retrieved_utc",
        "_meta",
        "kind",
        "data",
        "update_id",
        "desktop_export",
        "message",
        "selftext_html",
        "body_html",
        "author_fullname",
        "subreddit_id",
        "\\u0069d",
        "b\\u006fdy",
        "retrieved_onx",
        "created_utd",
        "kin",
        "opp",
    ];
    prop_oneof![
        6 => usual(),
        2 => (prop::sample::select(keys).prop_map(str::to_owned), value()),
        1 => (inside(), value()),
    ]
}

/// A record: the entries that make a comment, others among them.
fn record() -> impl Strategy<Value = String> {
    let sound = Just(vec![
        ("id".to_owned(), "\"c1\"".to_owned()),
        ("link_id".to_owned(), "\"t3_x\"".to_owned()),
        ("body".to_owned(), "\"text\"".to_owned()),
        ("created_utc".to_owned(), "1700000000".to_owned()),
    ]);
    let entries = (prop_oneof![3 => sound, 1 => Just(vec![])], prop::collection::vec(entry(), 0..12)).prop_map(|(mut sound, more)| {
        // Later entries take the place of earlier ones of the same key, mostly: repeated keys are tried too.
        let repeats = more.len() % 5 == 0;
        sound.retain(|(key, _)| repeats || !more.iter().any(|(other, _)| other == key));
        sound.extend(more);
        if !repeats {
            let mut met = Vec::new();
            sound.retain(|(key, _)| {
                !met.contains(key) && {
                    met.push(key.clone());
                    true
                }
            });
        }
        sound
    });
    (entries.prop_shuffle(), prop::collection::vec(space(), 6)).prop_map(|(entries, space)| {
        let [a, b, c, d, e, f] = &space[..] else { unreachable!("six spaces") };
        let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{a}\"{key}\"{b}:{c}{value}{d}")).collect();
        format!("{e}{{{}}}{f}", entries.join(","))
    })
}

/// Changes a record's bytes: flips, cuts, doubled stretches, inserted escapes.
fn mutate(mut raw: Vec<u8>, changes: &[(u8, prop::sample::Index, u8)]) -> Vec<u8> {
    const INSERTED: [&[u8]; 8] = [b"\\", b"\"", b"\\u0041", b"\\ud800", b"\xff", b"\x1f", b",", b"\xc3"];
    for (way, at, byte) in changes {
        if raw.is_empty() {
            break;
        }
        let at = at.index(raw.len());
        match way % 6 {
            0 => raw[at] ^= 1 << (byte % 8),
            1 => raw[at] = *byte,
            2 => raw.truncate(at),
            3 => drop(raw.remove(at)),
            4 => drop(raw.splice(at..at, INSERTED[usize::from(*byte) % INSERTED.len()].iter().copied())),
            _ => {
                let stretch = raw[at..(at + usize::from(*byte)).min(raw.len())].to_vec();
                drop(raw.splice(at..at, stretch));
            }
        }
    }
    raw
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_parsers_agree_on_records(record in record()) {
        check(record.as_bytes(), &context());
    }

    #[test]
    fn both_parsers_agree_on_mutated_records(
        record in record(),
        changes in prop::collection::vec((any::<u8>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        check(&mutate(record.into_bytes(), &changes), &context());
    }

    #[test]
    fn both_parsers_agree_on_bytes(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&raw, &context());
    }
}

/// Repeats a record with small changes: what a parser remembers is what such records have in common.
#[test]
fn both_parsers_agree_on_records_that_are_alike() {
    let base = r#"{"id":"a","n":0,"link_id":"t3_b","locked":false , "body":"text","créé":null,"created_utc":5,"list":[],"score":1}"#;
    for at in 0..base.len() {
        for byte in [b'"', b',', b'}', b'1', b' ', b'x', 0xc3] {
            let mut changed = base.as_bytes().to_vec();
            for _ in 0..3 {
                check(base.as_bytes(), &context());
            }
            changed[at] = byte;
            check(&changed, &context());
            check(&changed[..at], &context());
            changed.insert(at, base.as_bytes()[at]);
            check(&changed, &context());
        }
    }
}

/// Also tries that the generated records are worth something: most of what is sound is scanned.
#[test]
fn a_usual_record_is_scanned() {
    for raw in [
        r#"{"id":"a","link_id":"t3_b","body":"a\nb \ud83d\ude00","created_utc":5}"#,
        r#"{"id":"a","title":"a","selftext":"\"b\"","created_utc":"5","edited":false,"x":{"y":[1,2.5e-7,"\ud83d\ude00",null,{}]}}"#,
        r#"{ "id" : "a", "link_id" : "t3_b", "body" : "é", "created_utc" : 1557516469.0, "edited" : 1557516470.0 } "#,
        r#"{"op":"d","id":"a","link_id":"t3_b","seq":5}"#,
        r#"{"id":"a","link_id":"t3_b","body":"","created_utc":5,"_meta":{"note":"x","retrieved_2nd_on":7}}"#,
    ] {
        check(raw.as_bytes(), &context());
        assert!(parse_scan(raw.as_bytes(), &context()).is_some(), "{raw}");
    }
}

#[test]
fn every_byte_flipped_or_cut_makes_both_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for name in ["reddit", "telegram", "export"] {
        let lines = fs::read(folder.join(format!("{name}.ndjson"))).expect("golden records");
        for line in lines.split(|byte| *byte == b'\n') {
            for at in 0..line.len() {
                let mut flipped = line.to_vec();
                for bit in [0, 2, 5, 7] {
                    flipped[at] = line[at] ^ (1 << bit);
                    check(&flipped, &context());
                }
                check(&line[..at], &context());
            }
        }
    }
}
