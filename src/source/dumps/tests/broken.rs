use super::*;

#[test]
fn a_broken_line_does_not_swallow_those_after_it() {
    for broken in [
        r#"{"a":"x"#,
        r#"{"a":"x\"#,
        r#"{"a":"#,
        r#"{"a":1,"#,
        r#"{"a":[1,2"#,
        r#"{"a":1}}"#,
        r#"{"a" 1}"#,
        "[",
        "{",
        "]",
        "}",
        ",",
        ":",
        "\"",
        "\"x",
        "tru",
        "trueish",
        "12 13",
        "12,abc",
        "id,name,body",
        "#",
        "[1,",
        r#"{"ok":true,"result":["#,
        "{ \"a\" 1}",
        r#"{"kind":"Listing","data":{"children":[}"#,
        "{}{}}",
        "nul\u{7f}l",
        r#"{"a":1},"#,
        "[1] x",
    ] {
        let text = format!("{{\"p\":0}}\n{broken}\n{{\"a\":1}}\n{{\"b\":2}}\n{}\n{{\"c\":3}}\n", listing(&[cut("x")]));
        let read = read_text(&text);
        let expected = ["{\"p\":0}", broken, "{\"a\":1}", "{\"b\":2}", &cut("x"), "{\"c\":3}"];
        if broken == "{}{}}" {
            assert_eq!(read.texts(), ["{\"p\":0}", "{}", "{}}", "{\"a\":1}", "{\"b\":2}", &cut("x"), "{\"c\":3}"]);
        } else {
            assert_eq!(read.texts(), expected, "after {broken}");
        }
        assert_eq!(read.errors.len() + read.rejected.len(), 0, "after {broken}");
        assert_eq!(read.places().last().map(|place| place.0), Some(6));
    }
}

#[test]
fn a_broken_line_before_a_single_good_one_is_found_out_at_the_end() {
    let read = read_text("{\"a\":\n{\"b\":2}\n");
    assert_eq!(read.records, [("{\"a\":".into(), 1, 0), ("{\"b\":2}".into(), 2, 6)]);
}

#[test]
fn a_listing_broken_on_its_line_gives_what_was_complete() {
    let text = listing(&[cut("a"), cut("b")]);
    let end = text.find(&cut("b")).unwrap() + 20;
    let read = read_text(&format!("{}\n{{\"c\":1}}\n", &text[..end]));
    assert_eq!(read.texts(), [&cut("a"), "{\"c\":1}"]);
    assert_eq!(read.rejected[0], ("malformed", 1, end as u64 - 20, 20, text[end - 20..end].into()));
    // Cut where an element is due, the next lines are taken for elements, and given as such.
    let read = read_text(&format!("{}\n{{\"c\":1}}\n{{\"d\":1}}\n", &text[..text.find('[').unwrap() + 1]));
    assert_eq!((read.texts(), read.reasons()), (vec!["{\"c\":1}", "{\"d\":1}"], vec!["malformed"]));
    // Cut behind a comma, the next line could go on with it; the one after that cannot.
    let comma = format!("{}\n{}\n{{\"c\":1}}\n", &text[..end - 20], listing(&[cut("d")]));
    let read = read_text(&comma);
    assert_eq!((read.texts(), read.reasons()), (vec![&*cut("a"), &*cut("d"), "{\"c\":1}"], vec!["malformed"]));
}

#[test]
fn an_unclosed_document_gives_what_was_complete() {
    let tree = thing("a", &[cut("b"), cut("c")]);
    let text = format!("{{\"p\":0}}\n{}", listing(&[cut("o"), tree]).replace("\"kind\"", "\n\"kind\""));
    let cut = |id: &str| cut(id).replace("\"kind\"", " \"kind\"");
    for end in 8..text.len() - 1 {
        let read = read_text(&text[..end]);
        let complete = |id: &str| text[..end].contains(&super::cut(id).replace("\"kind\"", "\n\"kind\""));
        let whole = ["o", "b", "c"].into_iter().filter(|id| complete(id)).count() + 1;
        assert!(read.texts().len() >= whole, "{end} {read:?}");
        assert!(read.texts()[1..].iter().all(|text| ["o", "a", "b", "c"].iter().any(|id| *text == cut(id))), "{end} {read:?}");
        let rejected = (!text[8..end].trim().is_empty()) as usize;
        assert_eq!(read.reasons(), vec!["incomplete"; rejected], "{end}");
    }
}

#[test]
fn an_unclosed_document_that_is_none_of_ours_is_rejected_whole() {
    let read = read_text("{\n\"a\": [1,\n2");
    assert_eq!(read.rejected, [("incomplete", 1, 0, 12, "{\n\"a\": [1,\n2".into())]);
    assert!(read.records.is_empty());
}

#[test]
fn many_broken_lines_do_not_take_quadratic_time() {
    let mut text = "[\n".repeat(200_000);
    text.push_str("}\n{\"a\":1}\n");
    let read = read_text(&text);
    assert_eq!(read.records.len(), 200_002);
    assert_eq!(read.texts().last(), Some(&"{\"a\":1}"));
}

#[test]
fn no_bytes_make_it_panic() {
    let alphabet: [&[u8]; 34] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\n",
        b" ",
        b"1",
        b"true",
        b"\"kind\":",
        b"\"t1\"",
        b"\"Listing\"",
        b"\"data\":{",
        b"\"children\":[",
        b"\"replies\":",
        b"\"ok\":true",
        b"\"result\":[",
        b"{\"update_id\":1}",
        b"\"messages\":[",
        b"{\"id\":1,\"date\":1}",
        b"\"name\":\"x\"",
        b"\xff",
        b"\r\n",
        b"{\"kind\":\"t1\",\"data\":{",
        b"{\"kind\":\"Listing\",\"data\":{\"children\":[",
        b"}}",
        b"]}}",
        b"\"x\"",
        b"\"chats\":{\"list\":[",
        b"}\n{\"a\":1}\n",
        b"null",
    ];
    let mut random = Random(7);
    for round in 0..6_000 {
        let parts = 1 + random.below(40);
        let bytes: Vec<u8> = (0..parts).flat_map(|_| alphabet[random.below(alphabet.len())].iter().copied()).collect();
        let max = [usize::MAX / 8, 5, 40, 200][random.below(4)];
        let limits = |block_bytes| Limits { block_bytes, record_bytes_max: max, depth_max: 5 };
        let whole = read(&bytes, limits(1 << 18));
        let pieces = read(&bytes, limits(1 + random.below(16)));
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!((whole.records, whole.rejected), (pieces.records, pieces.rejected), "round {round}, max {max}: {shown}");
    }
}
