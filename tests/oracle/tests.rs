//! The tricky rules, with expectations worked out by hand.

mod retention;
mod watermark;

use super::{Oracle, Tables};

const NOW: i64 = 1_000_000_000;

fn oracle(lines: &[&str]) -> Oracle {
    let mut o = Oracle::new(NOW);
    for line in lines {
        o.record(line.as_bytes());
    }
    o
}

fn tables(lines: &[&str]) -> Tables {
    oracle(lines).tables()
}

/// Rows as the lines of a TSV.
fn rows(t: &Tables, view: &str) -> Vec<String> {
    t[view].iter().map(|row| row.join("\t")).collect()
}

fn column(t: &Tables, view: &str, name: &str) -> Vec<String> {
    let at = Oracle::header(view).unwrap().iter().position(|c| *c == name).unwrap();
    t[view].iter().map(|row| row[at].clone()).collect()
}

fn submission(id: &str, author: &str, at: i64) -> String {
    format!(r#"{{"id":"{id}","title":"t","author":"{author}","subreddit":"r","created_utc":{at}}}"#)
}

/// In thread `s`; `parent` with its prefix, or "" for none.
fn comment(id: &str, author: &str, at: i64, parent: &str) -> String {
    format!(
        r#"{{"id":"{id}","body":"hey","author":"{author}","subreddit":"r","created_utc":{at},"link_id":"t3_s","parent_id":"{parent}"}}"#
    )
}

fn depth(lines: &[String]) -> String {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    column(&tables(&lines), "conversations", "depth").join(",")
}

#[test]
fn depth_counts_from_the_submission() {
    let s = submission("s", "ann", 10);
    let a = comment("a", "bob", 11, "t3_s");
    let b = comment("b", "bob", 9, "t1_a"); // stamped before its parent
    assert_eq!(depth(std::slice::from_ref(&s)), "0");
    assert_eq!(depth(&[b.clone(), a.clone(), s.clone()]), "2");
    // Without the submission: a's parent is not held.
    assert_eq!(depth(&[a.clone(), b.clone()]), "2");
    // Without a: b is at 1.
    assert_eq!(depth(&[b.clone(), s.clone()]), "1");
    // No parent at all.
    assert_eq!(depth(&[comment("x", "bob", 9, ""), s.clone()]), "1");
}

#[test]
fn depth_with_tombstones() {
    let s = submission("s", "ann", 10);
    let a = r#"{"id":"a","body":"[removed]","author":"bob","subreddit":"r","created_utc":11,"link_id":"t3_s","parent_id":"t1_z"}"#;
    let z = comment("z", "bob", 11, "t3_s");
    let b = comment("b", "bob", 12, "t1_a");
    // s 0, z 1, a 2 (kept its parent), b 3.
    assert_eq!(depth(&[s.clone(), z.clone(), a.into(), b.clone()]), "3");
    // A bare deletion names no parent: 1, so b is 2.
    let bare = r#"{"op":"d","id":"a","link_id":"t3_s","seq":5}"#;
    assert_eq!(depth(&[s.clone(), z.clone(), bare.into(), b.clone()]), "2");
    // The tombstone at the end of the chain is not counted itself.
    assert_eq!(depth(&[s.clone(), z.clone(), a.into()]), "1");
    // A removed submission is still 0 for those below it.
    let gone = r#"{"id":"s","title":"t","selftext":"[removed]","author":"ann","subreddit":"r","created_utc":10}"#;
    assert_eq!(depth(&[gone.into(), z.clone()]), "1");
    assert_eq!(depth(&[gone.into()]), "");
}

#[test]
fn depth_with_cycles_and_parents_elsewhere() {
    let s = submission("s", "ann", 10);
    let own = comment("a", "bob", 11, "t1_a");
    assert_eq!(depth(std::slice::from_ref(&own)), "");
    assert_eq!(depth(&[own.clone(), s.clone()]), "0");
    // a -> c -> b -> a, and d hangs off it; e is at 1.
    let cycle = [
        comment("a", "bob", 11, "t1_c"),
        comment("b", "bob", 11, "t1_a"),
        comment("c", "bob", 11, "t1_b"),
        comment("d", "bob", 11, "t1_b"),
    ];
    assert_eq!(depth(&cycle), "");
    let with_e = [&cycle[..], &[comment("e", "bob", 11, "t3_none")]].concat();
    assert_eq!(depth(&with_e), "1");
    // The parent is held, but in another conversation: 1. (t3_q sorts before t3_s.)
    let elsewhere = r#"{"id":"p","body":"x","author":"bob","subreddit":"r","created_utc":1,"link_id":"t3_q","parent_id":"t3_q"}"#;
    assert_eq!(depth(&[elsewhere.into(), comment("a", "bob", 2, "t1_p")]), "1,1");
    // The parent moved there with its last version.
    let before = comment("p", "bob", 0, "t3_s");
    assert_eq!(depth(&[before, elsewhere.into(), comment("a", "bob", 2, "t1_p")]), "1,1");
}

fn first_response(lines: &[&str]) -> String {
    column(&tables(lines), "conversations", "first_response_s").join(",")
}

#[test]
fn first_response_is_the_earliest_at_or_after_by_another_named_user() {
    let s = submission("s", "ann", 100);
    let own = comment("a", "ann", 101, "t3_s");
    let nobody = comment("b", "[deleted]", 102, "t3_s");
    let early = comment("c", "bob", 99, "t3_s");
    let late = comment("d", "bob", 130, "t1_a"); // to anyone in the conversation
    let other = comment("e", "cat", 120, "t1_never");
    assert_eq!(first_response(&[&s, &own, &nobody, &early]), "");
    assert_eq!(first_response(&[&s, &own, &nobody, &early, &late]), "30");
    assert_eq!(first_response(&[&s, &own, &nobody, &early, &late, &other]), "20");
    assert_eq!(first_response(&[&s, &comment("f", "bob", 100, "t3_s")]), "0");
    // No live submission.
    assert_eq!(first_response(&[&late]), "");
    let gone = r#"{"id":"s","title":"t","selftext":"[deleted]","author":"ann","subreddit":"r","created_utc":100}"#;
    assert_eq!(first_response(&[gone, &late]), "");
    // A submission of nobody: any named user is another.
    assert_eq!(first_response(&[&submission("s", "[deleted]", 100), &own, &nobody]), "1");
}

#[test]
fn days_look_back_7_and_30() {
    let at = |id: &str, author: &str, day: i64| comment(id, author, day * 86_400 + 5, "");
    let lines = [
        at("a", "ann", 100),
        at("b", "ann", 106), // 100..=106 are seven days
        at("c", "bob", 107),
        at("d", "bob", 107),
        at("e", "[deleted]", 129), // a row without posters; 100..=129 are thirty days
        at("f", "cat", 136),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    // messages, posters, new_posters, wau, mau
    assert_eq!(
        rows(&tables(&lines), "community_days"),
        [
            "reddit:r\t100\t1\t1\t1\t1\t1",
            "reddit:r\t106\t1\t1\t0\t1\t1",
            "reddit:r\t107\t2\t1\t1\t2\t2",
            "reddit:r\t129\t1\t0\t0\t0\t2",
            "reddit:r\t136\t1\t1\t1\t1\t2", // 107..=136: bob and cat; ann's last was 106
        ]
    );
    // Bytewise: day 99 comes after day 100.
    let t = tables(&[&at("a", "ann", 99), &at("b", "ann", 100)]);
    assert_eq!(column(&t, "community_days", "day"), ["100", "99"]);
    assert_eq!(column(&t, "community_days", "new_posters"), ["0", "1"]);
}

#[test]
fn sessions_are_cut_over_1800_seconds() {
    let lines = [
        comment("a", "ann", 10_000, ""),
        comment("b", "ann", 11_800, ""), // 1800: the same
        comment("c", "ann", 13_601, ""), // 1801: another
        comment("d", "ann", 13_601, ""),
        comment("e", "bob", 12_000, ""),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        rows(&tables(&lines), "sessions"),
        ["reddit:ann\t10000\t11800\t2", "reddit:ann\t13601\t13601\t2", "reddit:bob\t12000\t12000\t1"]
    );
}

/// A comment in every field of the order of versions.
#[derive(Clone)]
struct V {
    seq: i64,
    score: &'static str,
    edited: &'static str,
    body: &'static str,
    author: &'static str,
    parent: &'static str,
    link: &'static str,
    subreddit: &'static str,
    created: i64,
}

impl V {
    fn line(&self) -> String {
        format!(
            r#"{{"id":"x","seq":{},"score":{},"edited":{},"body":"{}","author":"{}","parent_id":"{}","link_id":"t3_{}","subreddit":"{}","created_utc":{}}}"#,
            self.seq, self.score, self.edited, self.body, self.author, self.parent, self.link, self.subreddit, self.created
        )
    }
}

#[test]
fn each_field_of_the_order_decides_in_turn() {
    // From the least to the greatest: each differs from the one before in a field that comes earlier in
    // the order, and is less in all the fields after that.
    let top =
        V { seq: 5, score: "null", edited: "false", body: "a", author: "[deleted]", parent: "", link: "a", subreddit: "a", created: 1 };
    let rising = [
        V { seq: 4, score: "99", body: "[removed]", created: 9, ..top.clone() },
        top.clone(),
        V { created: 2, ..top.clone() },
        V { subreddit: "b", ..top.clone() },
        V { link: "b", subreddit: "B", ..top.clone() },
        V { parent: "t1_b", link: "a", ..top.clone() },
        V { author: "B", ..top.clone() },
        V { author: "b", ..top.clone() }, // bytewise
        V { body: "b", ..top.clone() },
        V { edited: "9", ..top.clone() },  // null is lowest
        V { edited: "10", ..top.clone() }, // numbers as numbers
        V { score: "-2", ..top.clone() },
        V { score: "9", ..top.clone() },
        V { score: "10", ..top.clone() },
        V { body: "[deleted]", created: 0, ..top.clone() },
        V { body: "[removed]", created: 0, ..top.clone() },
        V { body: "[deleted]", score: "-1", ..top.clone() },
        V { seq: 6, created: 0, ..top.clone() },
    ];
    let shown = |lines: &[&str]| {
        let t = tables(lines);
        (rows(&t, "messages"), rows(&t, "conversations"))
    };
    for pair in rising.windows(2) {
        let (low, high) = (pair[0].line(), pair[1].line());
        assert_eq!(shown(&[&low, &high]), shown(&[&high]), "{high}");
        assert_eq!(shown(&[&high, &low, &low]), shown(&[&high]), "{high}");
    }
}

#[test]
fn versions_of_dumps() {
    let v = |fields: &str, body: &str| format!(r#"{{"id":"x","body":"{body}","link_id":"t3_s","author":"a","subreddit":"r",{fields}}}"#);
    let text = |lines: &[&str]| column(&tables(lines), "messages", "text").join(",");
    let created = v(r#""created_utc":100,"edited":false"#, "created");
    let edited = v(r#""created_utc":100,"edited":150.0"#, "edited");
    let read = v(r#""created_utc":100,"edited":150.0,"retrieved_on":200"#, "read");
    let read_utc = v(r#""created_utc":"100","retrieved_utc":300"#, "read_utc");
    let again = v(r#""created_utc":100.9,"retrieved_on":200,"_meta":{"retrieved_2nd_on":400}"#, "again");
    let all = [&created, &edited, &read, &read_utc, &again];
    for high in 0..5 {
        for low in 0..high {
            assert_eq!(text(&[all[high], all[low]]), text(&[all[high]]));
            assert_eq!(text(&[all[low], all[high]]), text(&[all[high]]));
        }
    }
    // The header counts where there is no time of retrieval only.
    let mut o = Oracle::new(NOW);
    o.received(edited.as_bytes(), 500_000);
    o.received(again.as_bytes(), 900_000);
    assert_eq!(column(&o.tables(), "messages", "text"), ["edited"]);
    let mut o = Oracle::new(NOW);
    o.received(edited.as_bytes(), 399_999);
    o.received(again.as_bytes(), 900_000);
    assert_eq!(column(&o.tables(), "messages", "text"), ["again"]);
}

#[test]
fn tombstones_stay_and_versions_after_them_live() {
    let c = r#"{"op":"c","seq":1,"id":"t1_x","body":"hi","link_id":"t3_s","author":"a","subreddit":"r","created_utc":5}"#;
    let d = r#"{"op":"d","seq":2,"id":"x","link_id":"t3_s"}"#;
    let u = r#"{"op":"u","seq":3,"id":"x","body":"back","link_id":"t3_s","author":"a","subreddit":"r","created_utc":5}"#;
    for lines in [[c, d], [d, c]] {
        let t = tables(&lines);
        assert!(t["messages"].is_empty() && t["users"].is_empty() && t["communities"].is_empty());
        // A deletion names its conversation and no community.
        assert_eq!(rows(&t, "conversations"), ["reddit:t3_s\t\t0\t0\t0\t1\t\t\t\t"]);
    }
    let t = tables(&[u, d, c]);
    assert_eq!(column(&t, "messages", "text"), ["back"]);
    assert_eq!(column(&t, "users", "edited"), ["1"]);
    assert_eq!(column(&t, "conversations", "removed"), ["0"]);
    // Without a prefix it is of a comment, whatever else is called so.
    let s = r#"{"seq":1,"id":"x","title":"T","link_id":"t3_zzz","author":"a","subreddit":"r","created_utc":5}"#;
    let t = tables(&[s, d]);
    assert_eq!(column(&t, "messages", "message"), ["reddit:t3_x"]);
    let t = tables(&[s, r#"{"op":"d","seq":2,"id":"t3_x","link_id":"t3_x"}"#]);
    assert_eq!(rows(&t, "conversations"), ["reddit:t3_x\t\t0\t0\t0\t1\t\t\t\t"]);
}

#[test]
fn removed_counts_where_the_tombstone_says() {
    let c = |id: &str, body: &str, extra: &str| {
        format!(r#"{{"id":"{id}","body":"{body}","link_id":"t3_s","subreddit":"r","created_utc":5{extra}}}"#)
    };
    let t = tables(&[
        &c("a", "[deleted]", ""),
        &c("b", "[removed]", r#","author":"ann""#),
        &c("c", " [removed]", ""), // not exactly
        r#"{"op":"d","id":"t1_d","link_id":"t3_s","seq":1}"#,
        r#"{"id":"s","title":"[removed]","selftext":"","author":"ann","subreddit":"q","created_utc":5}"#,
    ]);
    assert_eq!(
        rows(&t, "conversations"),
        // of r and q, r is the greater; 10 + 9 characters
        ["reddit:t3_s\treddit:r\t2\t1\t19\t3\t5\t5\t1\t"]
    );
    assert_eq!(rows(&t, "communities"), ["reddit:q\t1\t1\t1\t9\t0\t5\t5", "reddit:r\t1\t0\t1\t10\t2\t5\t5"]);
}

#[test]
fn replies_name_the_author_of_a_tombstone_too() {
    let s = submission("s", "ann", 10);
    let gone = r#"{"id":"g","body":"[removed]","author":"cat","subreddit":"r","created_utc":11,"link_id":"t3_s","parent_id":"t3_s"}"#;
    let lines = [
        comment("a", "bob", 11, "t3_s"),
        comment("b", "bob", 12, "t1_g"),
        comment("c", "bob", 13, "t1_a"), // oneself
        comment("d", "dan", 13, "t1_never"),
        comment("e", "[deleted]", 13, "t3_s"),
        comment("f", "dan", 13, "t1_e"),
        comment("h", "dan", 13, "t1_c"),
        comment("i", "dan", 13, "t1_a"),
    ];
    let mut all: Vec<&str> = lines.iter().map(String::as_str).collect();
    all.extend([s.as_str(), gone]);
    assert_eq!(rows(&tables(&all), "replies"), ["reddit:bob\treddit:ann\t1", "reddit:bob\treddit:cat\t1", "reddit:dan\treddit:bob\t2"]);
}

#[test]
fn users_sum_their_live_messages() {
    let t = tables(&[
        r#"{"id":"a","body":"é😀","author":"A\tb","subreddit":"r","created_utc":"7200","link_id":"t3_s","score":-3,"edited":true}"#,
        r#"{"id":"b","body":"","author":"A\tb","subreddit":"q","created_utc":3599.9,"link_id":"t3_s"}"#,
        r#"{"id":"s","title":"x","selftext":"yz","author":"A\tb","subreddit":"r","created_utc":3600,"score":10,"edited":3700.5}"#,
        r#"{"id":"n","body":"x","author":"","subreddit":"r","created_utc":3600,"link_id":"t3_s"}"#,
    ]);
    // messages 3, characters 2 + 0 + 4, score 7, edited 2, first, last, conversations 1, communities 2
    assert_eq!(rows(&t, "users"), ["reddit:A\\tb\t3\t6\t7\t2\t3599\t7200\t1\t2"]);
    assert_eq!(rows(&t, "user_hours"), ["reddit:A\\tb\t0\t1", "reddit:A\\tb\t1\t1", "reddit:A\\tb\t2\t1"]);
    assert_eq!(rows(&t, "community_hours"), ["reddit:q\t0\t1\t1", "reddit:r\t1\t2\t1", "reddit:r\t2\t1\t1"]);
    assert_eq!(rows(&t, "messages")[3], "reddit:t3_s\treddit:t3_s\treddit:r\treddit:A\\tb\t\t3600\t3700\t10\tx\\nyz");
    assert_eq!(rows(&t, "user_names"), ["reddit:A\\tb\tA\\tb"]);
}

#[test]
fn top_users_are_ten_and_ties_go_by_name() {
    let mut lines = vec![];
    for i in 0..12 {
        lines.push(comment(&format!("x{i}"), &format!("u{i}"), 5, ""));
    }
    lines.push(comment("y", "u9", 5, ""));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        rows(&tables(&lines), "top_users"),
        [
            "reddit:r\t1\treddit:u9\t2",
            "reddit:r\t10\treddit:u6\t1", // bytewise by key; u7 and u8 are out
            "reddit:r\t2\treddit:u0\t1",
            "reddit:r\t3\treddit:u1\t1",
            "reddit:r\t4\treddit:u10\t1",
            "reddit:r\t5\treddit:u11\t1",
            "reddit:r\t6\treddit:u2\t1",
            "reddit:r\t7\treddit:u3\t1",
            "reddit:r\t8\treddit:u4\t1",
            "reddit:r\t9\treddit:u5\t1",
        ]
    );
}

fn telegram(update: i64, kind: &str, fields: &str) -> String {
    format!(r#"{{"update_id":{update},"{kind}":{{"chat":{{"id":-1001,"type":"supergroup","title":"C{update}"}},{fields}}}}}"#)
}

#[test]
fn telegram_names_come_from_the_last_message() {
    let from = |name: &str| format!(r#""from":{{"id":7,{name}}},"text":"x""#);
    let a = telegram(1, "message", &format!(r#""message_id":1,"date":10,{}"#, from(r#""first_name":"Ann""#)));
    let b = telegram(2, "message", &format!(r#""message_id":2,"date":20,{}"#, from(r#""first_name":"Ann","last_name":"L""#)));
    // A later update, but an edit of the earlier message.
    let a2 = telegram(
        3,
        "edited_message",
        &format!(r#""message_id":1,"date":10,"edit_date":99,{}"#, from(r#""first_name":"Z","username":"zed""#)),
    );
    let b2 = telegram(
        4,
        "edited_message",
        &format!(r#""message_id":2,"date":20,"edit_date":21,{}"#, from(r#""first_name":"Z","username":"zed""#)),
    );
    let names = |lines: &[&str]| {
        let t = tables(lines);
        (rows(&t, "user_names").join(","), rows(&t, "community_names").join(","))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(names(&[&a]), pair("telegram:7\tAnn", "telegram:-1001\tC1"));
    assert_eq!(names(&[&b, &a2, &a]), pair("telegram:7\tAnn L", "telegram:-1001\tC2"));
    assert_eq!(names(&[&b2, &b, &a2, &a]), pair("telegram:7\t@zed", "telegram:-1001\tC4"));
    // The same second: the greater id.
    let c = telegram(0, "message", &format!(r#""message_id":3,"date":20,{}"#, from(r#""first_name":"C""#)));
    assert_eq!(names(&[&c, &b]), pair("telegram:7\tC", "telegram:-1001\tC0"));
}

#[test]
fn telegram_identity() {
    let lines = [
        telegram(
            1,
            "message",
            r#""message_id":5,"date":10,"text":"x","from":{"id":7},"sender_chat":{"id":-9},"message_thread_id":3,"is_topic_message":true,"reply_to_message":{"message_id":3,"forum_topic_created":{}}"#,
        ),
        telegram(
            2,
            "message",
            r#""message_id":6,"date":10,"caption":"y","photo":[],"from":{"id":7},"message_thread_id":3,"reply_to_message":{"message_id":5}"#,
        ),
        telegram(3, "channel_post", r#""message_id":7,"date":10,"sticker":{},"external_reply":{"message_id":1}"#),
        telegram(4, "edited_channel_post", r#""message_id":7,"date":10,"edit_date":12,"text":"z""#),
        telegram(3, "message", r#""message_id":6,"date":10,"text":"same second, later update","from":{"id":7}"#),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(
        rows(&tables(&lines), "messages"),
        [
            "telegram:-1001:5\ttelegram:-1001.3\ttelegram:-1001\ttelegram:-9\t\t10\t\t\tx",
            "telegram:-1001:6\ttelegram:-1001.0\ttelegram:-1001\ttelegram:7\t\t10\t\t\tsame second, later update",
            "telegram:-1001:7\ttelegram:-1001.0\ttelegram:-1001\t\t\t10\t12\t\tz",
        ]
    );
    assert_eq!(column(&tables(&lines[1..2]), "messages", "parent"), ["telegram:-1001:5"]);
}

#[test]
fn desktop_exports_merge_with_updates() {
    let export = r#"{"name":"N","type":"private_supergroup","id":1234567890,"messages":[
        {"id":5,"type":"message","date_unixtime":"10","from":"Ann","from_id":"user7","text":["a",{"type":"bold","text":"b"}]},
        {"id":6,"type":"message","date_unixtime":"10","edited_unixtime":"20","from":"Chan","from_id":"channel42","text":"c","reply_to_message_id":5},
        {"id":7,"type":"message","date":"2020-01-01T00:00:00","from":"Ann","from_id":"user7","text":"lost"},
        {"id":8,"type":"service","date_unixtime":"10","action":"pin_message","text":""}]}"#;
    let update = |date: &str, text: &str| {
        format!(r#"{{"update_id":1,"message":{{"chat":{{"id":-1001234567890}},"message_id":5,{date},"text":"{text}"}}}}"#)
    };
    let mut o = Oracle::new(NOW);
    o.record(update(r#""date":10"#, "A").as_bytes());
    o.document(export.as_bytes());
    let c = o.counts();
    assert_eq!((c.read, c.accepted), (5, 3));
    assert_eq!((c.ignored.values().sum::<u64>(), c.dead["no_utc_time"]), (1, 1));
    assert_eq!(
        rows(&o.tables(), "messages"),
        [
            "telegram:-1001234567890:5\ttelegram:-1001234567890.0\ttelegram:-1001234567890\t\t\t10\t\t\tA",
            "telegram:-1001234567890:6\ttelegram:-1001234567890.0\ttelegram:-1001234567890\ttelegram:-10042\ttelegram:-1001234567890:5\t10\t20\t\tc",
        ]
    );
    let mut o = Oracle::new(NOW);
    o.document(export.as_bytes());
    assert_eq!(column(&o.tables(), "messages", "text"), ["ab", "c"]);
}

#[test]
fn what_is_a_record() {
    let o = oracle(&[
        "",
        "  \r",
        "{",
        "{} {}",
        "{\"a\":1}",
        "[1,2]",
        r#"{"update_id":1,"callback_query":{"message":{"message_id":1,"date":5,"text":"x","chat":{"id":1}}}}"#,
        r#"{"ok":true,"result":[{"update_id":1,"poll":{}},{"update_id":2,"message":{"message_id":1,"date":0,"text":"x","chat":{"id":1}}}]}"#,
        r#"{"id":"x","body":"inbox","created_utc":5}"#,
        r#"{"op":"d","id":"x","seq":1}"#,
        r#"[{"kind":"Listing","data":{"children":[{"kind":"t3","data":{"id":"s","title":"t","created_utc":5,"crosspost_parent_list":[{"kind":"t3","data":{"id":"no","title":"t","created_utc":5}}]}}]}},
            {"kind":"Listing","data":{"children":[{"kind":"t1","data":{"id":"a","body":"b","created_utc":5,"link_id":"t3_s","parent_id":"t3_s","replies":
            {"kind":"Listing","data":{"children":[{"kind":"t1","data":{"id":"b","body":"b","created_utc":5,"link_id":"t3_s","parent_id":"t1_a","replies":""}},{"kind":"more","data":{}}]}}}}]}}]"#,
        &comment("ok", "a", NOW + 86_400, ""),
        &comment("future", "a", NOW + 86_401, ""),
    ]);
    let c = o.counts();
    let ignored: Vec<_> = c.ignored.iter().map(|(k, v)| format!("{k} {v}")).collect();
    assert_eq!(ignored, ["date_0 1", "kind:callback_query 1", "kind:more 1", "kind:poll 1", "no_conversation 2"]);
    let dead: Vec<_> = c.dead.iter().map(|(k, v)| format!("{k} {v}")).collect();
    assert_eq!(dead, ["future 1", "json 2", "shape 2"]);
    assert_eq!((c.read, c.accepted), (15, 4));
    assert_eq!(column(&o.tables(), "conversations", "depth"), ["2"]);
}

#[test]
fn nesting_is_256_at_most() {
    let line = |deep: usize| {
        let inside = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
        format!(r#"{{"id":"x","body":"]","created_utc":5,"link_id":"t3_s","media":{inside}}}"#)
    };
    assert_eq!(oracle(&[&line(255)]).counts().accepted, 1);
    assert_eq!(oracle(&[&line(256)]).counts().dead["depth"], 1);
    assert_eq!(oracle(&[&line(1_990)]).counts().dead["depth"], 1);
    assert_eq!(oracle(&[&line(100_000)]).counts().dead["depth"], 1);
}
