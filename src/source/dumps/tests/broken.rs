use super::*;

/// What is rejected by the reader, and what will be by the parser.
fn dead_letters(read: &Read) -> usize {
    let is_object = |text: &&str| serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok();
    read.rejected.len() + read.texts().iter().filter(|text| !is_object(text)).count()
}

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
fn at_the_end_of_a_file_too_every_line_after_a_broken_one_is_a_record() {
    let many = "[".repeat(10_000);
    let answer = r#"{"ok":true,"result":[{"update_id":1},"#;
    for (lines, dead) in [
        (vec![r#"{"a":1,"edited": "#, "17"], 2),
        (vec![r#"{"a":"#, "\"body\"", "null", "{\"b\""], 4),
        (vec![&*many, "", r#"{"b":2}"#], 1),
        (vec![&*many, "", "", r#"{"b":2}"#, "", r#"{"c":3}"#], 1),
        (vec!["[", r#"{"ok":true,"result":["#, r#"{"b":2}"#], 2),
        (vec![answer, r#"{"b":1"#], 2),
        (vec![answer, r#"{"b":"cut"#, r#"{"c":"cut"#], 3),
        (vec![answer, answer, answer], 3),
    ] {
        let good: Vec<&str> = lines.iter().filter(|line| line.ends_with('}')).copied().collect();
        for end in ["", "\n", "\n\n"] {
            let read = read_text(&(lines.join("\n") + end));
            let whole = read.texts().into_iter().filter(|text| text.ends_with('}') && *text != "{\"update_id\":1}");
            assert_eq!(whole.collect::<Vec<_>>(), good, "{lines:?}");
            assert_eq!(dead_letters(&read), dead, "{lines:?}: {read:?}");
        }
    }
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
    // Cut behind a comma, the next line could go on with it, were it no envelope.
    let comma = format!("{}\n{}\n{{\"c\":1}}\n", &text[..end - 20], listing(&[cut("d")]));
    let read = read_text(&comma);
    assert_eq!((read.texts(), read.reasons()), (vec![&*cut("a"), &*cut("d"), "{\"c\":1}"], vec!["malformed"]));
}

#[test]
fn a_line_after_an_envelope_cut_off_behind_a_comma_is_read_as_if_it_stood_alone() {
    let message = r#"{"id":1,"date":"x"}"#;
    let chat = format!(r#"{{"name":"n","type":"t","id":5,"messages":[{message},{message}]}}"#);
    let answer = r#"{"ok":true,"result":[{"update_id":1},{"update_id":2}]}"#;
    let things = listing(&[cut("a"), cut("b")]);
    let pair = format!("[{things},{things}]");
    let comment = r#"{"id":"c","body":"x"}"#;
    let good = [comment, r#"{"update_id":3}"#, "17", "{\n  \"x\": {\"y\":1}\n}", &cut("c"), &chat, answer, &things, &pair];
    for envelope in [&chat, answer, &things] {
        for next in good {
            let text = format!("{},", &envelope[..envelope.rfind("},{").unwrap() + 1]);
            let alone = read_text(next);
            for end in ["", "\n", "\n{\"z\":1}\n"] {
                let read = read_text(&format!("{text}\n{next}{end}"));
                assert_eq!(read.texts()[1..alone.records.len() + 1], alone.texts(), "{text}\n{next}{end}");
                assert_eq!((dead_letters(&read), read.rejected.len()), (1 + dead_letters(&alone), 1), "{text}\n{next}{end}");
                assert_eq!(read.texts().last() == Some(&"{\"z\":1}"), end.len() > 1);
            }
        }
    }
}

#[test]
fn the_lines_of_a_broken_document_are_told_by_their_indentation() {
    let read = read_text("{\n  \"a\": [\n    {\"x\":1},\n    2,\n{\n  \"b\": 2\n}\n{\"c\":3}\n");
    assert_eq!(read.texts(), ["{   \"a\": [     {\"x\":1},     2,", "{   \"b\": 2 }", "{\"c\":3}"]);
    assert_eq!(read.places(), [(1, 0), (5, 31), (8, 44)]);
    // It is relative.
    assert_eq!(read_text("  {\"a\":\n  {\"b\":2}\n  {\"c\":3}\n").texts(), ["{\"a\":", "{\"b\":2}", "{\"c\":3}"]);
    // Where the break is on an indented line, the document ends with that, or before it.
    let read = read_text("{\n  \"a\": 1 2\n}\n{\"c\":3}\n");
    assert_eq!(read.texts(), ["{   \"a\": 1 2", "}", "{\"c\":3}"]);
    let read = read_text("{\n  \"a\": 1\n  \"b\": 2\n}\n{\"c\":3}\n");
    assert_eq!(read.texts(), ["{   \"a\": 1", "\"b\": 2", "}", "{\"c\":3}"]);
}

#[test]
fn each_of_several_broken_lines_is_refused_though_a_record_came_out_of_them() {
    let things = listing(&[cut("a")]);
    for broken in ["[\n[", "[\n[\n[", "{\"a\":\n{\"b\":", "[\n{\"ok\":true,\"result\":"] {
        for (end, good) in [("", vec![cut("a")]), ("\n{\"c\":3}\n", vec![cut("a"), "{\"c\":3}".into()])] {
            let read = read_text(&format!("{broken}\n{things}{end}"));
            assert!(good.iter().all(|good| read.texts().contains(&&**good)), "{broken} {read:?}");
            assert_eq!(dead_letters(&read), broken.lines().count(), "{broken} {read:?}");
        }
    }
}

#[test]
fn an_unclosed_document_gives_what_was_complete() {
    let tree = thing("a", &[cut("b"), cut("c")]);
    let text = format!("{{\"p\":0}}\n{}", listing(&[cut("o"), tree]).replace("\"kind\"", "\n \"kind\""));
    let cut = |id: &str| cut(id).replace("\"kind\"", "  \"kind\"");
    for end in 8..text.len() - 1 {
        let read = read_text(&text[..end]);
        let complete = |id: &str| text[..end].contains(&super::cut(id).replace("\"kind\"", "\n \"kind\""));
        let whole = ["o", "b", "c"].into_iter().filter(|id| complete(id)).count() + 1;
        assert!(read.texts().len() >= whole, "{end} {read:?}");
        assert!(read.texts()[1..].iter().all(|text| ["o", "a", "b", "c"].iter().any(|id| *text == cut(id))), "{end} {read:?}");
        let rejected = (!text[8..end].trim().is_empty()) as usize;
        assert_eq!(read.reasons(), vec!["incomplete"; rejected], "{end}");
    }
}

#[test]
fn an_unclosed_document_that_is_none_of_ours_is_rejected_whole() {
    let read = read_text("{\n \"a\": [1,\n 2");
    assert_eq!(read.rejected, [("incomplete", 1, 0, 14, "{\n \"a\": [1,\n 2".into())]);
    assert!(read.records.is_empty());
    // Where nothing is indented, its lines cannot be told from those of a dump.
    assert_eq!(read_text("{\n\"a\": [1,\n2").texts(), ["{", "\"a\": [1,", "2"]);
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
