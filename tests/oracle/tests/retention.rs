//! Retention, with expectations worked out by hand: it is 1,000 s unless a case says otherwise.

use super::*;
use crate::generate::{self, Random};

/// Each step is a tick: its lines, then the time that the watermark reaches at least.
fn ticks(retention_s: i64, steps: &[(&[&str], i64)]) -> Oracle {
    let mut o = Oracle::new(NOW).with_retention(retention_s, None, None);
    for (lines, watermark) in steps {
        lines.iter().for_each(|line| o.record(line.as_bytes()));
        o.advance(*watermark);
        o.tick();
    }
    o
}

fn sealed(o: &Oracle) -> u64 {
    o.counts().ignored.get("sealed").copied().unwrap_or(0)
}

#[test]
fn records_below_the_sealed_before_time_of_the_last_tick_are_ignored() {
    let at = |at: i64| comment(&format!("m{at}"), "ann", at, "");
    // Within the first tick nothing is sealed yet, however far it goes.
    let mut o = ticks(1_000, &[(&[&at(50_000), &at(5)], 0)]);
    assert_eq!((sealed(&o), o.counts().accepted), (0, 2));
    assert_eq!(column(&o.tables(), "messages", "message"), ["reddit:t1_m50000"]);
    o.record(at(49_000).as_bytes());
    o.record(at(48_999).as_bytes());
    assert_eq!(sealed(&o), 1);
    // New, an edit (stale or not), a deletion: all the same; what names no time is not.
    o.record(r#"{"id":"m49000","body":"x","link_id":"t3_s","created_utc":48999,"seq":99999}"#.as_bytes());
    o.record(r#"{"id":"m49000","body":"[deleted]","link_id":"t3_s","created_utc":9,"seq":99999}"#.as_bytes());
    o.record(r#"{"op":"d","id":"m49000","link_id":"t3_s","created_utc":9,"seq":99999}"#.as_bytes());
    assert_eq!(sealed(&o), 4);
    assert_eq!(o.counts().accepted, 3);
    o.record(r#"{"op":"d","id":"m49000","link_id":"t3_s","seq":99999}"#.as_bytes());
    assert_eq!((sealed(&o), o.counts().accepted), (4, 4));
    // The watermark moves within a tick, S after it.
    o.advance(60_000);
    o.record(at(49_010).as_bytes());
    assert_eq!(sealed(&o), 4);
    o.tick();
    o.record(at(49_010).as_bytes());
    assert_eq!(sealed(&o), 5);
    // Without retention no tick does anything.
    let mut o = oracle(&[&at(50_000), &at(5)]);
    o.tick();
    assert_eq!(o.tables()["messages"].len(), 2);
}

#[test]
fn a_sealed_message_counts_on_and_its_rows_leave() {
    let lines = [
        submission("s", "ann", 5_000),
        comment("a", "ann", 5_010, "t3_s"),
        comment("b", "bob", 5_020, "t1_a"),
        comment("c", "cat", 9_000, "t1_never"),
        r#"{"id":"d","body":"[removed]","author":"dan","subreddit":"r","created_utc":5030,"link_id":"t3_s"}"#.to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let before = tables(&lines);
    let o = ticks(1_000, &[(&lines, 9_000)]);
    let after = o.tables();
    for (view, rows) in &before {
        match *view {
            "messages" => assert_eq!(column(&after, view, "message"), ["reddit:t1_c"]),
            "sessions" => assert_eq!(super::rows(&after, view), ["reddit:cat\t9000\t9000\t1"]),
            _ => assert_eq!(&after[view], rows, "{view}"),
        }
    }
    // Edits and deletions of it are ignored; one that names no time is of something unknown.
    let mut o = ticks(1_000, &[(&lines, 9_000)]);
    o.record(r#"{"id":"b","body":"longer","author":"eve","created_utc":5020,"link_id":"t3_s","seq":99999}"#.as_bytes());
    assert_eq!(o.tables(), after);
    o.record(r#"{"op":"d","id":"b","link_id":"t3_s","seq":99999}"#.as_bytes());
    assert_eq!(column(&o.tables(), "conversations", "messages"), ["4"]);
    assert_eq!(column(&o.tables(), "conversations", "removed"), ["2"]);
}

#[test]
fn sums_go_on_over_sealed_and_held() {
    let first = comment("a", "ann", 5_000, "");
    let o = ticks(1_000, &[(&[&first], 9_000), (&[&comment("b", "ann", 8_500, "")], 9_000)]);
    let t = o.tables();
    // messages, characters, score, edited, first_at, last_at, conversations, communities
    assert_eq!(rows(&t, "users"), ["reddit:ann\t2\t6\t0\t0\t5000\t8500\t1\t1"]);
    assert_eq!(rows(&t, "top_users"), ["reddit:r\t1\treddit:ann\t2"]);
    assert_eq!(column(&t, "messages", "message"), ["reddit:t1_b"]);
    // A version dated after S is another message: what was sealed stays.
    let o = ticks(1_000, &[(&[&first], 9_000), (&[&comment("a", "ann", 8_500, "")], 9_000)]);
    assert_eq!(rows(&o.tables(), "users"), ["reddit:ann\t2\t6\t0\t0\t5000\t8500\t1\t1"]);
    let o = ticks(1_000, &[(&[&first], 9_000), (&[&comment("a", "ann", 8_500, "")], 19_000)]);
    assert_eq!(rows(&o.tables(), "users"), ["reddit:ann\t2\t6\t0\t0\t5000\t8500\t1\t1"]);
    assert!(o.tables()["messages"].is_empty());
    // When what is held goes, what was sealed is left: sums, minima, names, first days.
    let gone = r#"{"op":"d","id":"b","link_id":"t3_s","seq":99999}"#;
    let o = ticks(1_000, &[(&[&first], 9_000), (&[&comment("b", "ann", 8_500, "")], 9_000), (&[gone], 9_000)]);
    assert_eq!(rows(&o.tables(), "users"), ["reddit:ann\t1\t3\t0\t0\t5000\t5000\t1\t1"]);
    assert_eq!(rows(&o.tables(), "user_names"), ["reddit:ann\tann"]);
    assert_eq!(rows(&o.tables(), "cohorts"), ["reddit:r\t0\t1\t\t\t"]);
}

#[test]
fn a_session_is_cut_where_its_messages_are_sealed() {
    let lines = [comment("a", "ann", 8_039, ""), comment("b", "ann", 8_040, ""), comment("c", "ann", 8_100, "")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let sessions = |watermark: i64| rows(&ticks(1_000, &[(&lines, watermark)]).tables(), "sessions").join(",");
    assert_eq!(sessions(9_039), "reddit:ann\t8039\t8100\t3");
    assert_eq!(sessions(9_040), "reddit:ann\t8040\t8100\t2");
    assert_eq!(sessions(9_160), "");
}

#[test]
fn an_answer_keeps_what_it_took_from_its_parent() {
    let lines = [submission("s", "ann", 5_000), comment("a", "bob", 5_010, "t3_s"), comment("b", "cat", 8_500, "t1_a")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let after = |more: &[&str]| {
        let t = ticks(1_000, &[(&lines, 9_000), (more, 9_000)]).tables();
        (column(&t, "conversations", "depth").join(","), rows(&t, "replies").join(",").replace("reddit:", "").replace('\t', " "))
    };
    let pair = |depth: &str, replies: &str| (depth.to_owned(), replies.to_owned());
    let old = "bob ann 1";
    assert_eq!(after(&[]), pair("2", "bob ann 1,cat bob 1"));
    // What hangs off it goes on from there; what comes later finds nothing.
    assert_eq!(after(&[&comment("c", "dan", 8_600, "t1_b")]), pair("3", "bob ann 1,cat bob 1,dan cat 1"));
    assert_eq!(after(&[&comment("c", "dan", 8_600, "t1_a")]), pair("2", "bob ann 1,cat bob 1"));
    // An edit that keeps parent and conversation keeps it, by whomever.
    let edit = |parent: &str, link: &str, seq: i64| {
        format!(
            r#"{{"id":"b","body":"x","author":"dan","subreddit":"r","created_utc":8500,"link_id":"t3_{link}","parent_id":"{parent}","seq":{seq}}}"#
        )
    };
    assert_eq!(after(&[&edit("t1_a", "s", 10_000)]), pair("2", "bob ann 1,dan bob 1"));
    // Another parent, or conversation: what it took is gone. (The sealed one is at 1.)
    let (there, back) = (edit("t3_s", "s", 10_000), edit("t1_a", "s", 10_001));
    assert_eq!(after(&[&there]), pair("1", old));
    // Also when it comes back, but not within a tick, whatever the order.
    assert_eq!(after(&[&there, &back]), pair("2", "bob ann 1,dan bob 1"));
    assert_eq!(after(&[&back, &there]), pair("2", "bob ann 1,dan bob 1"));
    let t = ticks(1_000, &[(&lines, 9_000), (&[&there], 0), (&[&back], 0)]).tables();
    assert_eq!((column(&t, "conversations", "depth").join(","), rows(&t, "replies").len()), ("1".into(), 1));
    assert_eq!(after(&[&edit("t1_a", "q", 10_000)]), pair("1,1", old));
    // A tombstone that names its parent keeps its place, one that does not loses it.
    let removed = r#"{"id":"b","body":"[removed]","created_utc":8500,"link_id":"t3_s","parent_id":"t1_a","seq":10000}"#;
    let bare = r#"{"op":"d","id":"b","link_id":"t3_s","seq":10000}"#;
    assert_eq!(after(&[removed]), pair("1", old));
    assert_eq!(after(&[removed, &comment("c", "dan", 8_600, "t1_b")]), pair("3", old));
    assert_eq!(after(&[bare, &comment("c", "dan", 8_600, "t1_b")]), pair("2", old));
    // One with the parent's id is another message.
    let again = r#"{"id":"a","body":"x","author":"eve","subreddit":"r","created_utc":8700,"link_id":"t3_s","parent_id":"t1_never"}"#;
    assert_eq!(after(&[again, &comment("c", "dan", 8_600, "t1_a")]), pair("2", "bob ann 1,cat bob 1,dan eve 1"));
}

#[test]
fn what_is_sealed_keeps_the_depth_and_the_user_it_answers() {
    // The answer is dated before its parent, so it is sealed first; then the parent goes.
    let lines = [comment("p", "ann", 8_500, "t3_never"), comment("a", "bob", 5_000, "t1_p")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let gone = r#"{"op":"d","id":"p","link_id":"t3_s","seq":99999}"#;
    let t = ticks(1_000, &[(&lines, 9_000), (&[gone], 9_000)]).tables();
    assert_eq!(column(&t, "conversations", "depth"), ["2"]);
    assert_eq!(rows(&t, "replies"), ["reddit:bob\treddit:ann\t1"]);
    // In a cycle there is no depth, nor off it, sealed or not.
    let lines = [comment("p", "ann", 5_000, "t1_a"), comment("a", "bob", 8_500, "t1_p"), comment("c", "cat", 8_500, "t1_a")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let t = ticks(1_000, &[(&lines, 9_000)]).tables();
    assert_eq!(column(&t, "conversations", "depth"), [""]);
    assert_eq!(rows(&t, "replies"), ["reddit:ann\treddit:bob\t1", "reddit:bob\treddit:ann\t1", "reddit:cat\treddit:bob\t1"]);
}

#[test]
fn a_deletion_that_names_no_time_is_kept_for_the_retention_from_its_arrival() {
    let dead = r#"{"op":"d","id":"a","link_id":"t3_s","seq":9}"#;
    // The message it is of may come as long as it is held.
    let came = |watermark: i64, at: i64| {
        let late = r#"{"id":"a","body":"x","author":"ann","subreddit":"r","created_utc":AT,"link_id":"t3_s","seq":1}"#
            .replace("AT", &at.to_string());
        let t = ticks(1_000, &[(&[dead], 6_000), (&[], watermark), (&[&late], 0)]).tables();
        (t["messages"].len(), column(&t, "conversations", "removed").join(","))
    };
    assert_eq!(came(6_000, 6_500), (0, "1".into()));
    assert_eq!(came(7_000, 6_500), (0, "1".into())); // S is 6,000
    // Then it is sealed, and goes on to count.
    assert_eq!(came(7_001, 6_500), (1, "1".into()));
    // Its arrival is that of the version that won.
    let again = r#"{"op":"d","id":"a","link_id":"t3_s","seq":10}"#;
    let late = r#"{"id":"a","body":"x","author":"ann","subreddit":"r","created_utc":6900,"link_id":"t3_s","seq":1}"#;
    let t = |line: &str| ticks(1_000, &[(&[dead], 6_000), (&[line], 6_900), (&[], 7_060), (&[late], 0)]).tables()["messages"].len();
    assert_eq!((t(again), t(dead)), (0, 1));
    // Nothing was read that has a time: it waits for the first.
    let mut o = Oracle::new(NOW).with_retention(1_000, None, None);
    o.record(dead.as_bytes());
    o.tick();
    assert_eq!(rows(&o.tables(), "conversations"), ["reddit:t3_s\t\t0\t0\t0\t1\t\t\t\t"]);
}

#[test]
fn a_sealed_post_is_answered_by_what_found_it_held() {
    let ask = telegram(1, "message", r#""message_id":1,"date":5000,"text":"why?","from":{"id":7}"#);
    let reply = |id: i64, at: i64| {
        telegram(
            id,
            "message",
            &format!(r#""message_id":{id},"date":{at},"text":"so","from":{{"id":8}},"reply_to_message":{{"message_id":1}}"#),
        )
    };
    let responses = |steps: &[(&[&str], i64)]| rows(&ticks(1_000, steps).tables(), "responses").join(",");
    let (early, late) = (reply(2, 8_500), reply(3, 8_400));
    assert_eq!(responses(&[(&[&ask], 9_000), (&[&early], 0)]), "telegram:-1001\t0\t1\t0\t\t");
    assert_eq!(responses(&[(&[&ask, &early], 9_000), (&[&late], 0)]), "telegram:-1001\t0\t1\t1\t3500\t3500");
    assert_eq!(responses(&[(&[&ask, &early], 9_000), (&[&late], 99_000)]), "telegram:-1001\t0\t1\t1\t3500\t3500");
    // The row of a post that was not answered leaves with it.
    let long = |watermark: i64| rows(&ticks(30_000, &[(&[&ask], watermark)]).tables(), "unanswered").len();
    assert_eq!((long(26_599), long(26_600), long(35_000), long(35_060)), (0, 1, 1, 0));
    // A conversation goes on to answer its submission, which goes on to count.
    let (s, c) = (submission("s", "ann", 5_000), comment("c", "bob", 8_500, ""));
    let o = ticks(1_000, &[(&[&s], 9_000), (&[&c], 9_000)]);
    assert_eq!(column(&o.tables(), "conversations", "first_response_s"), ["3500"]);
    assert_eq!(rows(&o.tables(), "responses"), ["reddit:r\t0\t1\t1\t3500\t3500"]);
    let gone = r#"{"op":"d","id":"c","link_id":"t3_s","seq":99999}"#;
    let o = ticks(1_000, &[(&[&s], 9_000), (&[&c], 9_000), (&[gone], 9_000)]);
    assert_eq!(column(&o.tables(), "conversations", "first_response_s"), [""]);
}

#[test]
fn rows_of_hours_and_days_leave_when_they_were_kept() {
    let lines = [comment("a", "ann", 10 * 86_400 - 1, "")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let left = |after: i64, keep: (Option<i64>, Option<i64>)| {
        let mut o = Oracle::new(NOW).with_retention(100, keep.0, keep.1);
        lines.iter().for_each(|line| o.record(line.as_bytes()));
        o.advance(10 * 86_400 + after);
        o.tick();
        let t = o.tables();
        ["user_hours", "community_hours", "community_days", "cohorts", "users", "community_week"].map(|view| t[view].len())
    };
    assert_eq!(left(0, (Some(7_200), Some(14_400))), [1, 1, 1, 1, 1, 1]);
    assert_eq!(left(7_200, (Some(7_200), Some(14_400))), [1, 1, 1, 1, 1, 1]);
    assert_eq!(left(7_201, (Some(7_200), Some(14_400))), [0, 0, 1, 1, 1, 1]);
    assert_eq!(left(14_400, (Some(7_200), Some(14_400))), [0, 0, 1, 1, 1, 1]);
    assert_eq!(left(14_401, (Some(7_200), Some(14_400))), [0, 0, 0, 0, 1, 1]);
    assert_eq!(left(14_401, (Some(7_200), None)), [0, 0, 1, 1, 1, 1]);
    assert_eq!(left(14_401, (None, Some(7_200))), [1, 1, 0, 0, 1, 1]);
}

/// Views equal the recompute over the records that were not ignored, but for depths and `to_user`, where nothing
/// that was sealed comes again or is deleted by a record without a time; those of held messages end at S.
#[test]
fn sums_equal_the_recompute_over_what_was_not_ignored() {
    let shape = generate::Shape { seq: false, telegram: 0, documents: 0, ..generate::Shape::ages() };
    let (mut compared, mut ignored) = (0, 0);
    for seed in 0..60 {
        let mut random = Random(seed);
        let mut kept = Oracle::new(generate::NOW).with_retention(random.pick(&[1, 7, 30, 45]) * 86_400, None, None);
        let mut plain = Oracle::new(generate::NOW);
        for line in generate::history(seed, &shape) {
            let before = sealed(&kept);
            kept.record(line.as_bytes());
            if sealed(&kept) == before {
                plain.record(line.as_bytes());
            }
            if random.chance(10) {
                kept.tick();
            }
        }
        let ids: Vec<&String> = kept.held.sealed.iter().map(|s| &s.message.id).chain(kept.held.winners.keys()).collect();
        if ids.len() != ids.iter().collect::<std::collections::BTreeSet<_>>().len() {
            continue;
        }
        compared += 1;
        ignored += sealed(&kept);
        let (kept_tables, plain_tables) = (kept.tables(), plain.tables());
        for (view, rows) in &plain_tables {
            let mut expected = rows.clone();
            match *view {
                "sessions" | "replies" => continue,
                "messages" => expected.retain(|row| row[5].parse::<i64>().ok() >= kept.sealed_before),
                "unanswered" => expected.retain(|row| row[3].parse::<i64>().ok() >= kept.sealed_before),
                "conversations" => {
                    let shallow = |rows: &[Vec<String>]| rows.iter().map(|row| [&row[..8], &row[9..]].concat()).collect::<Vec<_>>();
                    assert_eq!(shallow(&kept_tables[view]), shallow(rows), "seed {seed}: {view}");
                    continue;
                }
                _ => {}
            }
            assert_eq!(kept_tables[view], expected, "seed {seed}: {view}");
        }
    }
    println!("{compared} of 60 histories compared, {ignored} records ignored in them");
    assert!(compared >= 20 && ignored >= 500, "{compared} of 60 histories compared, {ignored} records ignored in them");
}

/// Which records share a tick matters, their order in it does not: workers read side by side.
#[test]
fn the_order_of_records_within_a_tick_does_not_matter() {
    for (seed, shape) in (0..12).flat_map(|seed| [(seed, generate::Shape::ages()), (seed, generate::Shape::returns())]) {
        let mut random = Random(seed);
        let days = random.pick(&[1, 7, 30]) * 86_400;
        let new = || Oracle::new(generate::NOW).with_retention(days, Some(days), Some(2 * days));
        let (mut one, mut other) = (new(), new());
        let mut lines = generate::history(seed, &shape);
        for tick in lines.chunks_mut(40) {
            tick.iter().for_each(|line| one.record(line.as_bytes()));
            random.shuffle(tick);
            tick.iter().for_each(|line| other.record(line.as_bytes()));
            one.tick();
            other.tick();
            assert_eq!(one.tables(), other.tables(), "seed {seed}");
        }
        assert_eq!(one.counts(), other.counts(), "seed {seed}");
        assert!(sealed(&one) > 0, "seed {seed}");
    }
}
