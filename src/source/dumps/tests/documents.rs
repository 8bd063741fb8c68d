use super::*;

#[test]
fn the_things_of_a_listing_are_records() {
    let text =
        listing(&[cut("a"), r#"{"kind":"t3","data":{"title":"x"}}"#.into(), r#"{"kind":"more","data":{"children":["x","y"]}}"#.into()]);
    let read = read_text(&text);
    assert_eq!(read.texts(), [&cut("a"), r#"{"kind":"t3","data":{"title":"x"}}"#, r#"{"kind":"more","data":{"children":["x","y"]}}"#]);
    assert_eq!(read.places()[0], (1, 51));
    assert_eq!(&text[51..59], "{\"kind\":");
}

#[test]
fn answers_come_after_the_message_they_answer() {
    let tree = thing("a", &[thing("b", &[thing("c", &[])]), thing("d", &[])]);
    let read = read_text(&format!("[{},\n{}]", listing(&[r#"{"kind":"t3","data":{"id":"s"}}"#.into()]), listing(&[tree, cut("e")])));
    assert_eq!(read.texts()[1..], [cut("a"), cut("b"), cut("c"), cut("d"), cut("e")]);
    assert!(read.places().is_sorted(), "{:?}", read.places());
    assert!(read.places().iter().skip(1).all(|place| place.0 == 2));
}

#[test]
fn a_single_thing_is_unpacked_and_so_is_a_bare_comment() {
    let one = read_text(&thing("a", &[cut("b")]));
    assert_eq!(one.texts(), [cut("a"), cut("b")]);
    let bare = format!(r#"{{"body":"x","replies":{},"id":"a"}}"#, listing(&[cut("b")]));
    assert_eq!(read_text(&bare).texts(), [r#"{"body":"x","replies":"","id":"a"}"#, &cut("b")]);
}

#[test]
fn members_may_come_in_any_order() {
    let text = format!(r#"{{"data":{{"children":[{{"data":{{"id":"x"}},"kind":"t1"}},{}]}},"kind":"Listing"}}"#, cut("b"));
    assert_eq!(read_text(&text).texts(), [r#"{"data":{"id":"x"},"kind":"t1"}"#, &cut("b")]);
    let updates = r#"{"result":[{"message":{},"update_id":1}],"ok":true}"#;
    assert_eq!(read_text(updates).texts(), [r#"{"message":{},"update_id":1}"#]);
}

#[test]
fn more_comments_and_listings_under_other_keys_are_unpacked() {
    let things = format!(r#"{{"json":{{"errors":[],"data":{{"things":[{},{}]}}}}}}"#, cut("a"), cut("b"));
    assert_eq!(read_text(&things).texts(), [cut("a"), cut("b")]);
    let collection = format!(r#"{{"subreddit_id":"x","sorted_links":{},"title":"y"}}"#, listing(&[cut("a")]));
    assert_eq!(read_text(&collection).texts(), [cut("a")]);
}

#[test]
fn updates_of_an_answer_are_records_and_what_is_in_them_is_not() {
    let update = r#"{"update_id":1,"callback_query":{"message":{"reply_to_message":{"text":"x"}}}}"#;
    let read = read_text(&format!("{{\"ok\": true,\n \"result\": [\n{update},\n{update}\n]}}\n{update}\n"));
    assert_eq!(read.texts(), [update; 3]);
    assert_eq!(read.places().iter().map(|place| place.0).collect::<Vec<_>>(), [3, 4, 6]);
}

#[test]
fn empty_envelopes_have_no_records() {
    for text in [
        r#"{"kind":"Listing","data":{"children":[]}}"#,
        r#"{"ok":true,"result":[]}"#,
        r#"[{"kind":"Listing","data":{"children":[]}},{"kind":"Listing","data":{"children":[]}}]"#,
        r#"{"name":"x","type":"y","id":1,"messages":[]}"#,
        r#"{"json":{"errors":[],"data":{"things":[]}}}"#,
        "{\"about\":\"x\",\n\"chats\":{\"list\":[]}}",
    ] {
        let read = read_text(text);
        assert!(read.records.is_empty() && read.rejected.is_empty(), "{text} {read:?}");
    }
}

#[test]
fn a_document_that_is_none_of_these_is_one_record() {
    for text in [
        r#"{"ok":true,"result":true}"#,
        r#"{"ok":true,"result":[{"user":{"id":1}}]}"#,
        r#"{"ok":false,"description":"x"}"#,
        r#"{"messages":[{"role":"user","content":"x"}]}"#,
        r#"[1,[2,{"kind":"t1"}],"x"]"#,
        r#"{"kind":"UserList","data":{"children":[{"name":"x","id":"t2_x"}]}}"#,
        r#"{"title":"x","crosspost_parent_list":[{"kind":"t3","data":{"children":[]}}]}"#,
        "[]",
        "{}",
        "null",
        "\"x\"",
        "-1.5e3",
    ] {
        assert_eq!(read_text(text).records, [(text.to_owned(), 1, 0)]);
    }
    let pretty = "{\n  \"a\": [\n1,\n\r\n2]\n}\n{\"b\":1}\n";
    let read = read_text(pretty);
    assert_eq!(read.records, [("{   \"a\": [ 1, \r 2] }".into(), 1, 0), ("{\"b\":1}".into(), 7, 21)]);
}

#[test]
fn what_stands_among_records_is_given_too() {
    let other = r#"{"kind":"t2","data":{"name":"x"}}"#;
    let read = read_text(&listing(&[other.into(), cut("a"), "17".into(), other.into()]));
    assert_eq!(read.texts(), [other, &cut("a"), "17", other]);
    // Where the kind comes too late to know, those before the first record come together.
    let late = format!(r#"{{"data":{{"children":[{other}, 17 , {}]}},"kind":"Listing"}}"#, cut("a"));
    assert_eq!(read_text(&late).texts(), [&format!("[{other}, 17 ]"), &cut("a")]);
}

#[test]
fn documents_may_follow_each_other_without_a_line_feed() {
    let text = format!("{}{} {}\n{{\"a\":1}}\n", listing(&[cut("a")]), listing(&[cut("b")]), "{\"ok\":true,\"result\":[]}[2]");
    assert_eq!(read_text(&text).texts(), [&cut("a"), &cut("b"), "[2]", "{\"a\":1}"]);
}

const MESSAGE: &str = r#"{"id":5,"type":"message","date":"2022-03-16T19:23:47","text":[{"type":"bold","text":"x"}],"messages":[]}"#;

fn export(chat: &str, message: &str) -> String {
    format!(r#"{{"desktop_export":{{"chat":{{{chat}}},"message":{message}}}}}"#)
}

#[test]
fn a_message_of_a_chat_export_says_its_chat() {
    let text = format!(r#"{{"name":"A \"b\"","type":"private_group","id":12,"messages":[{MESSAGE},{MESSAGE}]}}"#);
    let record = export(r#""id":12,"type":"private_group","name":"A \"b\"""#, MESSAGE);
    assert_eq!(read_text(&text).texts(), [&record, &record]);
}

#[test]
fn a_chat_may_be_named_after_its_messages_or_not_at_all() {
    let after = format!(r#"{{"messages":[{MESSAGE}],"name":null,"id":12,"type":"x"}}"#);
    assert_eq!(read_text(&after).texts(), [export(r#""id":12,"type":"x","name":null"#, MESSAGE)]);
    let saved = format!(r#"{{"type":"saved_messages","id":12,"messages":[{MESSAGE}]}}"#);
    assert_eq!(read_text(&saved).texts(), [export(r#""id":12,"type":"saved_messages""#, MESSAGE)]);
}

#[test]
fn a_full_export_has_many_chats() {
    let chat = |id: u32| format!("{{\n\"name\": \"c{id}\",\n\"type\": \"x\",\n\"id\": {id},\n\"messages\": [\n{MESSAGE}\n]\n}}");
    let unnamed = format!(r#"{{"id":4,"messages":[{MESSAGE}]}}"#);
    let text = format!(
        "{{\n\"about\": \"x\",\n\"contacts\": {{\"list\": [{{\"id\":1,\"date\":\"x\"}}]}},\n\"chats\": {{\"about\": \"y\",\"list\": [{}, {}]}},\n\"left_chats\": {{\"list\": [{{\"id\":9}},{unnamed}, {}]}}}}",
        chat(1),
        chat(2),
        chat(3)
    );
    let named = |id: u32| export(&format!(r#""id":{id},"type":"x","name":"c{id}""#), MESSAGE);
    assert_eq!(read_text(&text).texts(), [&named(1), &named(2), &export("\"id\":4", MESSAGE), &named(3)]);
    let one_line = text.replace('\n', "");
    assert_eq!(read_text(&format!("{{\"a\":1}}\n{one_line}\n{{\"b\":2}}\n")).texts().len(), 6);
}

#[test]
fn kinds_of_lines_may_be_mixed_in_one_file() {
    let text = format!("{{\"a\":1}}\n{}\n{{\"b\":1}}\n{{\n\"c\":1\n}}\n{{\"d\":1}}\n", listing(&[cut("x")]));
    let read = read_text(&text);
    assert_eq!(read.texts(), ["{\"a\":1}", &cut("x"), "{\"b\":1}", "{ \"c\":1 }", "{\"d\":1}"]);
    assert_eq!(read.places().iter().map(|place| place.0).collect::<Vec<_>>(), [1, 2, 3, 4, 7]);
}
