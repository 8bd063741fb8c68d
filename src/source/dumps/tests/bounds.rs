use super::*;
use std::io::{BufWriter, Write};

const MAX: usize = 1 << 20;

fn limits() -> Limits {
    Limits { record_bytes_max: MAX, block_bytes: 1 << 14, depth_max: 256 }
}

#[test]
fn a_record_of_just_the_greatest_size_passes() {
    for (extra, passes) in [(0, true), (1, false)] {
        let line = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX - 8 + extra));
        let read = read(format!("{{\"p\":1}}\n{line}\n{{\"q\":1}}\n").as_bytes(), limits());
        assert_eq!(read.texts().len(), if passes { 3 } else { 2 });
        let long = ("too_long", 2, 8, line.len() as u64, line[..super::super::RAW_BYTES_MAX].to_owned());
        assert_eq!(read.rejected, if passes { vec![] } else { vec![long] });
        let in_listing = super::read(listing(&[cut("a"), line.clone(), cut("b")]).as_bytes(), limits());
        assert_eq!((in_listing.texts().len(), in_listing.reasons().len()), (2 + passes as usize, !passes as usize));
        let pretty = super::read(format!("[\n{}]\n[1]", &line[7..].replace("x\"}", "x\"").replacen('x', "\"x", 1)).as_bytes(), limits());
        assert_eq!(pretty.texts().last(), Some(&"[1]"));
    }
}

#[test]
fn a_line_of_many_megabytes_is_counted_and_not_kept() {
    let mut bytes = b"{\"body\":\"".to_vec();
    bytes.resize(40_000_000, b'a');
    bytes.extend_from_slice(b"\"}\n{\"b\":2}\n");
    let read = super::read(&bytes, limits());
    assert_eq!(read.rejected.len(), 1);
    assert_eq!((read.rejected[0].0, read.rejected[0].3), ("too_long", 40_000_002));
    assert_eq!(read.records, [("{\"b\":2}".into(), 2, 40_000_003)]);
    assert!(read.room < 8 << 20, "it took {}", read.room);
    // The same where it never closes: it ends with its line.
    bytes.truncate(40_000_000);
    bytes.extend_from_slice(b"\n{\"b\":2}\n");
    let read = super::read(&bytes, limits());
    assert_eq!((read.rejected[0].0, read.rejected[0].3, read.texts()), ("too_long", 40_000_000, vec!["{\"b\":2}"]));
}

#[test]
fn a_broken_line_of_many_megabytes_costs_the_lines_after_it_nothing() {
    let numbers = |bytes: usize| "1,".repeat(bytes / 2);
    let long = format!("{{\"a\":[{}", numbers(3 * MAX));
    let nested = format!("[{{\"a\":1}},{{\"b\":[{}", numbers(3 * MAX));
    let answer = format!("{{\"ok\":true,\"result\":[{{\"update_id\":1}},{{\"update_id\":2,\"x\":[{}", numbers(3 * MAX));
    let good = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX - 8));
    let half = |line: &str| line[..=line[..MAX / 2].rfind(',').unwrap()].to_owned();
    for (lines, rejected) in [
        (vec![&*long, r#"{"b":2}"#, r#"{"c":3}"#], 1),
        (vec![&*long, "", r#"{"b":2}"#], 1),
        (vec![&*nested, r#"{"b":2}"#, r#"{"c":3}"#], 1),
        (vec![&*answer, r#"{"b":2}"#, r#"{"c":3}"#], 1),
        (vec![&*long, &long[..long.len() / 2], &long[..MAX + 9], r#"{"b":2}"#, r#"{"c":3}"#], 3),
        // Neither of the first two is too long, but both together are.
        (vec![&half(&long), &good, r#"{"c":3}"#], 1),
        (vec![&half(&nested), &good, r#"{"c":3}"#], 1),
        (vec![&half(&answer), &good, r#"{"c":3}"#], 1),
    ] {
        let shown: Vec<&str> = lines.iter().map(|line| &line[..line.len().min(40)]).collect();
        let read = super::read((lines.join("\n") + "\n").as_bytes(), limits());
        let whole: Vec<&str> = lines.iter().filter(|line| line.ends_with('}')).copied().collect();
        let given: Vec<&str> = read.texts().into_iter().filter(|text| *text != "{\"update_id\":1}").collect();
        assert!(given == whole, "{shown:?} {:?}", read.places());
        assert_eq!(read.rejected.len(), rejected, "{shown:?}");
        let start = if lines[0].starts_with("{\"ok\"") { lines[0].find("{\"update_id\":2").unwrap() } else { 0 };
        let length = lines[0].len() - start;
        let (reason, line, offset, raw_bytes, raw) = read.rejected.iter().min_by_key(|rejected| rejected.2).unwrap();
        assert_eq!((*line, *offset, *raw_bytes), (1, start as u64, length as u64), "{shown:?}");
        assert_eq!(*reason, if length > MAX { "too_long" } else { "malformed" });
        assert!(lines[0][start..].starts_with(raw) && raw.len() == super::super::RAW_BYTES_MAX, "{shown:?}");
        assert!(read.room < 16 << 20, "it took {}", read.room);
    }
}

#[test]
fn a_line_that_is_too_long_is_refused_where_lines_are_no_longer_read_again() {
    let text = format!("{}{{\"a\":[{}\n}}\n{{\"b\":2}}\n", "[\n".repeat(5_000), "1,".repeat(MAX));
    let read = super::read(text.as_bytes(), limits());
    assert_eq!(read.texts().len(), 5_002);
    assert_eq!((read.texts()[5_001], read.reasons()), ("{\"b\":2}", vec!["too_long"]));
}

#[test]
fn nesting_is_bounded_where_records_are_cut_out_and_passed_on_where_not() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let update = |levels: usize| format!(r#"{{"update_id":1,"x":{}}}"#, nested(levels - 1));
    let answer = format!(r#"{{"ok":true,"result":[{},{},{}]}}"#, update(256), update(257), update(2));
    let read = super::read(answer.as_bytes(), limits());
    assert_eq!((read.texts(), read.reasons()), (vec![&*update(256), &*update(2)], vec!["too_deep"]));
    let line = nested(10_000);
    assert_eq!(super::read(format!("{line}\n{line}").as_bytes(), limits()).texts(), [&line, &line]);
    // The wrapper of a chat's message counts.
    let message = |levels: usize| format!(r#"{{"id":1,"date":"","x":{}}}"#, nested(levels - 1));
    let chat = format!(r#"{{"name":"x","id":1,"type":"y","messages":[{},{}]}}"#, message(254), message(255));
    let read = super::read(chat.as_bytes(), limits());
    assert_eq!((read.texts().len(), read.reasons()), (1, vec!["too_deep"]));
}

#[test]
fn answers_may_be_nested_deeper_than_a_record_may() {
    let mut tree = cut("x");
    let mut count = 1;
    while count < 5_000 {
        tree = format!(r#"{{"kind":"t1","data":{{"replies":{{"kind":"Listing","data":{{"children":[{tree}]}}}},"id":"x"}}}}"#);
        count += 1;
    }
    let read = super::read(format!("{tree}\n{{\"a\":1}}\n").as_bytes(), limits());
    assert_eq!((read.records.len(), read.rejected.len()), (count + 1, 0));
    assert!(read.places().is_sorted());
}

#[test]
fn millions_of_levels_overflow_nothing() {
    for opening in ["[", "{\"a\":", "{\"kind\":\"t1\",\"data\":{\"replies\":{\"kind\":\"Listing\",\"data\":{\"children\":["] {
        let mut bytes = opening.repeat(30_000_000 / opening.len()).into_bytes();
        bytes.extend_from_slice(b"\n{\"b\":2}\n{\"c\":3}\n");
        let read = super::read(&bytes, limits());
        assert_eq!(read.texts(), ["{\"b\":2}", "{\"c\":3}"], "{opening}");
        assert_eq!(read.rejected.len(), 1, "{opening}");
        assert!(read.room < 24 << 20, "it took {}", read.room);
    }
}

#[test]
fn a_great_listing_is_streamed() {
    for pretty in [false, true] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut out = BufWriter::new(file.reopen().unwrap());
        let comment = thing("x", &[cut("y"), cut("z")]);
        let comment = if pretty { comment.replace(",\"", ",\n    \"").replace("{\"", "{\n    \"") } else { comment };
        out.write_all(if pretty {
            b"[{\n\"kind\": \"Listing\",\n\"data\": {\n\"children\": [\n"
        } else {
            b"[{\"kind\":\"Listing\",\"data\":{\"children\":["
        })
        .unwrap();
        let count = (24 << 20) / comment.len();
        for index in 0..count {
            out.write_all(if index > 0 { b"," } else { b"" }).unwrap();
            out.write_all(comment.as_bytes()).unwrap();
        }
        out.write_all(b"]}}]\n").unwrap();
        out.flush().unwrap();
        let mut reader = Reader::new(vec![file.path().to_owned()], limits());
        let (mut records, mut greatest, mut spare) = (0, 0, None);
        while let Some(block) = reader.next(spare.take()).unwrap() {
            let Places::Each(places) = &block.place else { panic!("not unpacked") };
            records += places.len();
            greatest = greatest.max(block.bytes.len());
            assert!(block.rejected.is_empty());
            spare = Some(block.bytes);
            assert!(reader.room() < 1 << 20, "it took {}", reader.room());
        }
        assert_eq!(records, 3 * count);
        assert!(greatest < 2 * (1 << 14), "a block of {greatest}");
    }
}

#[test]
fn a_thread_greater_than_a_record_is_streamed_and_only_its_order_suffers() {
    let answers: Vec<String> = (0..60_000).map(|index| cut(&format!("{index}"))).collect();
    let read = super::read(listing(&[thing("a", &answers), cut("b")]).as_bytes(), limits());
    assert_eq!((read.records.len(), read.rejected.len()), (60_002, 0));
    let mut ids: Vec<&str> = read.texts();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 60_002);
}

#[test]
fn open_messages_that_are_too_great_together_give_way() {
    let text = "x".repeat(MAX / 3);
    let mut tree = cut("innermost");
    for index in 0..20 {
        tree = format!(r#"{{"kind":"t1","data":{{"id":{index},"body":"{text}","replies":{}}}}}"#, listing(&[tree]));
    }
    let read = super::read(listing(&[tree, cut("next")]).as_bytes(), limits());
    assert_eq!(read.records.len() + read.rejected.len(), 22);
    assert!(read.texts().contains(&&*cut("innermost")) && read.texts().contains(&&*cut("next")));
    assert!(read.records.len() > 6 && read.reasons().iter().all(|reason| *reason == "too_long"), "{:?}", read.reasons());
}

#[test]
fn a_great_document_that_is_none_of_ours_is_too_long() {
    let elements: String = (0..200_000).map(|index| format!("{{\"n\":{index}}},\n")).collect();
    let text = format!("[{elements}0]\n{{\"a\":1}}\n");
    let read = super::read(text.as_bytes(), limits());
    assert_eq!((read.texts(), read.reasons()), (vec!["{\"a\":1}"], vec!["too_long"]));
    assert_eq!(read.rejected[0].3, text.len() as u64 - 9);
}

#[test]
fn a_record_after_much_that_is_none_is_still_found() {
    let other = format!("{{\"contacts\":{{\"list\":[{}]}},\"chats\":{{\"list\":[", vec!["{\"n\":1}"; 300_000].join(","));
    let message = r#"{"id":1,"date":"x"}"#;
    let text = format!("{other}{{\"id\":1,\"type\":\"x\",\"name\":\"y\",\"messages\":[{message}]}}]}}}}\n");
    let read = super::read(text.as_bytes(), limits());
    assert_eq!((read.records.len(), read.rejected.len()), (1, 0), "{:?}", read.reasons());
}
