//! The views that move with the watermark, with expectations worked out by hand.

use super::*;
use crate::generate;
use crate::oracle::asks::asks;

const DAY: i64 = 86_400;

/// A view of these lines when the watermark has come to `watermark`.
fn rows_at(lines: &[&str], watermark: i64, view: &str) -> Vec<String> {
    let mut o = oracle(lines);
    o.advance(watermark);
    rows(&o.tables(), view)
}

fn refs(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

fn on_day(id: &str, author: &str, day: i64) -> String {
    comment(id, author, day * DAY + 5, "")
}

/// In chat -1001; `fields` after the ids and the time.
fn sent(message: i64, user: i64, at: i64, text: &str, to: Option<i64>) -> String {
    let reply = to.map_or(String::new(), |to| format!(r#","reply_to_message":{{"message_id":{to},"date":1}}"#));
    let from = if user == 0 { String::new() } else { format!(r#","from":{{"id":{user}}}"#) };
    telegram(message, "message", &format!(r#""message_id":{message},"date":{at},"text":"{text}"{from}{reply}"#))
}

#[test]
fn a_text_asks_where_a_mark_is_followed_by_space_a_closing_one_or_the_end() {
    for text in [
        "why?",
        "?",
        "why? so",
        "why?\n",
        "why?\u{a0}so",
        "why?\u{2028}",
        "なぜ？",
        "なぜ？\u{3000}そう",
        "「なぜ？」と",
        "لماذا؟",
        "لماذا؟ نعم",
        "(why?) so",
        "[why?].",
        "{why?}",
        "\"why?\" he",
        "'why?'",
        "“why?”",
        "‘why?’",
        "«quoi ?»",
        "‹q?›",
        "（why?）",
        "【why?】",
        "『why?』",
        "《why?》",
        "〈why?〉",
        "［why?］",
        "｛why?｝",
        "a?b why??",
        "x=?1 ？ y",
    ] {
        assert!(asks(text), "{text}");
    }
    for text in [
        "",
        "why",
        "a?b",
        "?x",
        "why?!",
        "why?.",
        "why?…",
        "why?(so)",
        "why?“so",
        "why?«so",
        "http://x/?q=1",
        "なぜ？そう",
        "؟x",
        "why?\u{200b}",
        "why?\u{fe0f}",
        "<why?>",
        "¿why",
        ";",
    ] {
        assert!(!asks(text), "{text}");
    }
}

#[test]
fn the_watermark_is_the_greatest_time_read_or_what_it_is_told() {
    let as_of = |o: &Oracle| column(&o.tables(), "community_activity", "as_of_day");
    let mut o = oracle(&[]);
    assert!(as_of(&o).is_empty());
    // Of any version that was held: one that is stale, and a tombstone.
    o.record(on_day("a", "ann", 100).as_bytes());
    assert_eq!(as_of(&o), ["100"]);
    let stale = r#"{"id":"a","body":"x","author":"ann","subreddit":"r","created_utc":8726400,"link_id":"t3_s","seq":0}"#;
    o.record(stale.as_bytes());
    assert_eq!((as_of(&o), column(&o.tables(), "messages", "created_at")), (vec!["101".into()], vec!["8640005".into()]));
    let gone = r#"{"id":"b","body":"[deleted]","created_utc":8812800,"link_id":"t3_s"}"#;
    o.record(gone.as_bytes());
    assert_eq!(as_of(&o), ["102"]);
    // Not of what is no message that counts, and never back.
    o.record(r#"{"id":"c","body":"x","created_utc":8985600}"#.as_bytes());
    o.record(comment("d", "ann", NOW + 86_401, "").as_bytes());
    o.advance(5);
    assert_eq!(as_of(&o), ["102"]);
    o.advance(103 * DAY - 1);
    assert_eq!(as_of(&o), ["102"]);
    o.advance(103 * DAY);
    assert_eq!(as_of(&o), ["103"]);
}

#[test]
fn activity_ends_with_the_day_of_the_watermark() {
    let lines = [on_day("a", "ann", 100), on_day("b", "bob", 94), on_day("c", "cat", 71), on_day("n", "[deleted]", 100)];
    let lines = refs(&lines);
    let at = |day: i64| rows_at(&lines, day * DAY, "community_activity").join(",");
    // 94..=100 are seven days, 71..=100 thirty.
    assert_eq!(at(100), "reddit:r\t100\t1\t2\t3");
    assert_eq!(at(101), "reddit:r\t101\t0\t1\t2");
    assert_eq!(at(106), "reddit:r\t106\t0\t1\t2");
    assert_eq!(at(107), "reddit:r\t107\t0\t0\t2");
    assert_eq!(at(123), "reddit:r\t123\t0\t0\t2");
    assert_eq!(at(129), "reddit:r\t129\t0\t0\t1");
    assert_eq!(at(130), "");
    // Whoever posts twice is one; a message of nobody is no poster.
    assert_eq!(rows_at(&[&on_day("n", "[deleted]", 100)], 0, "community_activity").join(","), "");
    assert_eq!(rows_at(&[&on_day("a", "ann", 100), &on_day("b", "ann", 99)], 0, "community_activity").join(","), "reddit:r\t100\t1\t1\t1");
}

#[test]
fn a_week_is_the_28_days_before_today_by_hour_from_monday() {
    // 1970-01-05, day 4, was a Monday; so is day 104 - 2 = 102 (14 weeks on).
    let at = |id: &str, author: &str, at: i64| comment(id, author, at, "");
    let lines = [
        at("a", "ann", 102 * DAY),           // Monday, hour 0
        at("b", "[deleted]", 102 * DAY - 1), // Sunday, hour 167
        at("c", "ann", 102 * DAY + 3_599),   // still hour 0
        at("d", "ann", 102 * DAY + 3_600),   // hour 1
        at("e", "ann", 95 * DAY + 7),        // the Monday before
        at("f", "ann", 105 * DAY - 1),       // Wednesday's last hour, 71
        at("g", "ann", 105 * DAY),           // Thursday's first, 72
    ];
    let lines = refs(&lines);
    let at = |day: i64| {
        rows_at(&lines, day * DAY, "community_week").into_iter().map(|row| row[9..].replace('\t', ":")).collect::<Vec<_>>().join(" ")
    };
    // The last message is of today, day 105: not yet.
    assert_eq!(at(0), "0:3 1:1 167:1 71:1");
    assert_eq!(at(106), "0:3 1:1 167:1 71:1 72:1");
    // 95 is the first of 28 days until 123, and out from 124.
    assert_eq!(at(123), "0:3 1:1 167:1 71:1 72:1");
    assert_eq!(at(124), "0:2 1:1 167:1 71:1 72:1");
    assert_eq!(at(129), "0:2 1:1 167:1 71:1 72:1");
    assert_eq!(at(130), "0:2 1:1 71:1 72:1");
    assert_eq!(at(131), "71:1 72:1");
    assert_eq!(at(132), "71:1 72:1");
    assert_eq!(at(133), "72:1");
    assert_eq!(at(134), "");
    // Before 1970 too: day -1 was a Wednesday.
    assert_eq!(rows_at(&[&comment("x", "ann", -1, "")], 0, "community_week"), ["reddit:r\t71\t1"]);
}

/// Submission `s{n}` of ann's at `at`, answered by `author` after `after`.
fn asked(n: i64, at: i64, author: &str, after: i64) -> [String; 2] {
    let answer = format!(
        r#"{{"id":"a{n}","body":"so","author":"{author}","subreddit":"r","created_utc":{},"link_id":"t3_s{n}","parent_id":"t1_never"}}"#,
        at + after
    );
    [submission(&format!("s{n}"), "ann", at), answer]
}

#[test]
fn responses_count_within_a_day_by_nearest_rank() {
    let view = |lines: &[String]| rows_at(&refs(lines), 0, "responses");
    let day = 100 * DAY;
    // Not by the poster, by nobody, before; a submission need not ask.
    assert_eq!(view(&asked(1, day, "bob", 0)), ["reddit:r\t100\t1\t1\t0\t0"]);
    assert_eq!(view(&asked(1, day, "ann", 9)), ["reddit:r\t100\t1\t0\t\t"]);
    assert_eq!(view(&asked(1, day, "[deleted]", 9)), ["reddit:r\t100\t1\t0\t\t"]);
    assert_eq!(view(&asked(1, day, "bob", -1)), ["reddit:r\t100\t1\t0\t\t"]);
    // At most a day.
    assert_eq!(view(&asked(1, day, "bob", 86_400)), ["reddit:r\t100\t1\t1\t86400\t86400"]);
    assert_eq!(view(&asked(1, day, "bob", 86_401)), ["reddit:r\t100\t1\t0\t\t"]);
    // By the day of the post.
    assert_eq!(
        view(&[asked(1, day - 1, "bob", 9), asked(2, day, "bob", 8)].concat()),
        ["reddit:r\t100\t1\t1\t8\t8", "reddit:r\t99\t1\t1\t9\t9"]
    );
    // Of 2: ranks 1 and 2. Of 10: 5 and 9. Of 11: 6 and 10 (5.5 and 9.9, up).
    let many = |n: i64| (1..=n).flat_map(|n| asked(n, day, "bob", n * 10)).collect::<Vec<_>>();
    assert_eq!(view(&many(2)), ["reddit:r\t100\t2\t2\t10\t20"]);
    assert_eq!(view(&many(10)), ["reddit:r\t100\t10\t10\t50\t90"]);
    assert_eq!(view(&many(11)), ["reddit:r\t100\t11\t11\t60\t100"]);
    // A removed post is none; a removed answer is none.
    let gone = r#"{"id":"s1","title":"t","selftext":"[deleted]","author":"ann","subreddit":"r","created_utc":8640000}"#;
    assert!(view(&[gone.into(), asked(1, day, "bob", 9)[1].clone()]).is_empty());
    let mut lines = asked(1, day, "bob", 9).to_vec();
    lines.push(r#"{"op":"d","id":"a1","link_id":"t3_s1","seq":99999999999}"#.into());
    assert_eq!(view(&lines), ["reddit:r\t100\t1\t0\t\t"]);
}

#[test]
fn a_message_that_asks_is_answered_by_a_direct_reply() {
    let view = |lines: &[String]| rows_at(&refs(lines), 0, "responses").join(",");
    let at = 100 * DAY;
    let ask = sent(1, 7, at, "why?", None);
    let answered = "telegram:-1001\t100\t1\t1\t30\t30";
    let open = "telegram:-1001\t100\t1\t0\t\t";
    assert_eq!(view(std::slice::from_ref(&ask)), open);
    assert_eq!(view(&[ask.clone(), sent(2, 8, at + 30, "so", Some(1))]), answered);
    assert_eq!(view(&[ask.clone(), sent(2, 8, at + 30, "so", Some(1)), sent(3, 9, at + 20, "to that", Some(2))]), answered);
    assert_eq!(view(&[ask.clone(), sent(2, 8, at + 40, "so", Some(1)), sent(3, 9, at + 30, "so", Some(1))]), answered);
    assert_eq!(view(&[ask.clone(), sent(2, 8, at + 30, "no reply", None)]), open);
    assert_eq!(view(&[ask.clone(), sent(2, 7, at + 30, "mine", Some(1))]), open);
    assert_eq!(view(&[ask.clone(), sent(2, 0, at + 30, "nobody's", Some(1))]), open);
    assert_eq!(view(&[ask.clone(), sent(2, 8, at - 1, "before", Some(1))]), open);
    // Not in another topic.
    let topic = r#""message_id":2,"date":8640030,"text":"so","from":{"id":8},"message_thread_id":3,"is_topic_message":true,"reply_to_message":{"message_id":1}"#;
    assert_eq!(view(&[ask.clone(), telegram(2, "message", topic)]), open);
    // A question with a parent, held or not, is no post; nor is what does not ask.
    assert_eq!(view(&[sent(1, 7, at, "why?", Some(99))]), "");
    assert_eq!(view(&[sent(1, 7, at, "because", None)]), "");
    // A Reddit comment that asks is none either.
    let c = r#"{"id":"c","body":"why?","author":"a","subreddit":"r","created_utc":5,"link_id":"t3_s"}"#;
    assert_eq!(view(&[c.into()]), "");
    // The edit of a post that takes the question out of it.
    let edit =
        telegram(2, "edited_message", &format!(r#""message_id":1,"date":{at},"edit_date":{},"text":"ok","from":{{"id":7}}"#, at + 9));
    assert_eq!(view(&[ask, edit]), "");
}

#[test]
fn what_asks_and_has_no_response_is_unanswered_after_six_hours() {
    let at = 100 * DAY;
    let ask = r#"{"id":"s1","title":"t","selftext":"why?","author":"ann","subreddit":"r","created_utc":8640000}"#.to_owned();
    let late = asked(1, at, "bob", 400 * DAY)[1].clone();
    let own = asked(1, at, "ann", 60)[1].clone();
    let view = |lines: &[&String], watermark: i64| {
        rows_at(&lines.iter().map(|line| line.as_str()).collect::<Vec<_>>(), watermark, "unanswered").join(",")
    };
    let row = "reddit:t3_s1\treddit:r\treddit:ann\t8640000";
    assert_eq!(view(&[&ask], at + 21_599), "");
    assert_eq!(view(&[&ask], at + 21_600), row);
    assert_eq!(view(&[&ask, &own], at + 21_600), row);
    // However late the response.
    assert_eq!(view(&[&ask, &late], 0), "");
    // It has to ask.
    assert_eq!(view(&[&submission("s1", "ann", at)], at + 21_600), "");
    let title = r#"{"id":"s1","title":"why?","selftext":"x","author":"ann","subreddit":"r","created_utc":8640000}"#.to_owned();
    assert_eq!(view(&[&title], at + 21_600), row);
    // A post of nobody has its row.
    let nobody = sent(1, 0, at, "why?", None);
    assert_eq!(view(&[&nobody], at + 21_600), "telegram:-1001:1\ttelegram:-1001\t\t8640000");
    assert_eq!(view(&[&nobody, &sent(2, 8, at + 1, "so", Some(1))], at + 21_600), "");
}

#[test]
fn users_are_new_returning_resurrected_churned_or_dormant() {
    let states = |days: &[i64], today: i64| {
        let lines: Vec<String> = days.iter().map(|day| on_day(&format!("d{day}"), "ann", *day)).collect();
        let row = rows_at(&refs(&lines), today * DAY, "user_states").join(",");
        let at = row.split('\t').skip(1).position(|n| n == "1").expect("one user");
        assert_eq!(row.matches("\t0").count(), 4, "{row}");
        ["new", "returning", "resurrected", "churned", "dormant"][at]
    };
    // Today is 200: now is 171..=200, before is 141..=170.
    assert_eq!(states(&[200], 200), "new");
    assert_eq!(states(&[171], 200), "new");
    assert_eq!(states(&[171, 200], 200), "new");
    assert_eq!(states(&[170], 200), "churned");
    assert_eq!(states(&[141], 200), "churned");
    assert_eq!(states(&[140], 200), "dormant");
    assert_eq!(states(&[100, 150], 200), "churned");
    assert_eq!(states(&[170, 171], 200), "returning");
    assert_eq!(states(&[141, 200], 200), "returning");
    assert_eq!(states(&[100, 150, 180], 200), "returning");
    assert_eq!(states(&[140, 171], 200), "resurrected");
    assert_eq!(states(&[100, 140, 200], 200), "resurrected");
    // Sums, communities apart, users of none left out.
    let elsewhere = r#"{"id":"e","body":"x","author":"ann","subreddit":"q","created_utc":17280000,"link_id":"t3_q"}"#.to_owned();
    let lines = [on_day("a", "ann", 150), on_day("b", "bob", 150), on_day("c", "bob", 200), on_day("n", "[deleted]", 200), elsewhere];
    assert_eq!(rows_at(&refs(&lines), 0, "user_states"), ["reddit:q\t1\t0\t0\t0\t0", "reddit:r\t0\t1\t0\t1\t0"]);
    assert_eq!(rows_at(&refs(&lines), 999 * DAY, "user_states"), ["reddit:q\t0\t0\t0\t0\t1", "reddit:r\t0\t0\t0\t0\t2"]);
}

#[test]
fn cohorts_come_back_on_the_day_itself_once_it_is_over() {
    let lines = [
        on_day("a", "ann", 100),
        on_day("b", "ann", 101),
        on_day("c", "ann", 107),
        on_day("d", "bob", 100),
        on_day("e", "bob", 107),
        on_day("f", "bob", 130),
        on_day("g", "cat", 101), // another cohort
        on_day("h", "dan", 102), // not on 103, 109, 132
        on_day("i", "dan", 104),
        on_day("n", "[deleted]", 90),
    ];
    let at = |day: i64| {
        let all = refs(&lines);
        let read: Vec<&str> = all
            .into_iter()
            .filter(|line| {
                let made = line.split("created_utc\":").nth(1).and_then(|rest| rest.split(',').next()).expect("a time");
                made.parse::<i64>().expect("a number") <= day * DAY + 5
            })
            .collect();
        rows_at(&read, day * DAY, "cohorts").into_iter().map(|row| row[9..].replace('\t', ":")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(at(100), "100:2:::");
    assert_eq!(at(101), "100:2::: 101:1:::");
    assert_eq!(at(102), "100:2:1:: 101:1::: 102:1:::");
    assert_eq!(at(107), "100:2:1:: 101:1:0:: 102:1:0::");
    assert_eq!(at(108), "100:2:1:2: 101:1:0:: 102:1:0::");
    assert_eq!(at(130), "100:2:1:2: 101:1:0:0: 102:1:0:0:");
    assert_eq!(at(131), "100:2:1:2:1 101:1:0:0: 102:1:0:0:");
    assert_eq!(at(133), "100:2:1:2:1 101:1:0:0:0 102:1:0:0:0");
    // A late record changes to which cohort a user belongs.
    let mut all = refs(&lines);
    let late = on_day("z", "ann", 99);
    all.push(&late);
    assert_eq!(rows_at(&all, 133 * DAY, "cohorts")[1..].len(), 3);
    assert_eq!(rows_at(&all, 133 * DAY, "cohorts").last().map(String::as_str), Some("reddit:r\t99\t1\t1\t0\t0"));
}

/// Random histories are no test of a view in which they leave a column empty.
#[test]
fn generated_histories_fill_every_column() {
    let shapes = generate::Shape::all();
    let mut filled = std::collections::BTreeMap::<(&str, &str), usize>::new();
    for (seed, (_, shape)) in (0..20).flat_map(|seed| shapes.iter().filter(|(_, shape)| shape.wide).map(move |named| (seed, named))) {
        let mut o = Oracle::new(generate::NOW);
        generate::history(seed, shape).iter().for_each(|line| o.record(line.as_bytes()));
        for (view, table) in o.tables() {
            for (at, name) in Oracle::header(view).unwrap().into_iter().enumerate() {
                let cells = table.iter().filter(|row| !matches!(row[at].as_str(), "" | "0"));
                *filled.entry((view, name)).or_default() += cells.count();
            }
        }
    }
    println!("{filled:?}");
    assert!(filled.values().all(|cells| *cells >= 50), "{filled:?}");
}
