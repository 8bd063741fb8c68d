//! Random histories against the oracle, for every view, at the end and at ticks in between.
//!
//! Run one again: `EDDY_SEED=<seed> cargo test --test tests random`. More: `EDDY_RUNS=2000`. Half of them have a retention.

use std::collections::BTreeMap;

use eddy_dataflows::Keep;

use crate::generate::{self, Random, Shape};
use crate::harness::{Harness, difference};
use crate::oracle::Oracle;

/// Random runs in the test command.
const RUNS: u64 = 240;

/// How long messages and rows stay, where they do not for ever.
fn keep(random: &mut Random) -> Keep {
    const RETENTIONS_S: [i64; 6] = [1_800, 86_400, 6 * 86_400 + 59, 20 * 86_400, 45 * 86_400, 90 * 86_400];
    let kept = |random: &mut Random| random.pick(&[None, Some(0), Some(7 * 86_400 + 1), Some(40 * 86_400)]);
    Keep { messages_s: Some(random.pick(&RETENTIONS_S)), hours_s: kept(random), days_s: kept(random) }
}

fn one(seed: u64, name: &str, shape: &Shape, retention: bool) {
    let mut random = Random(seed ^ 0x7e57);
    let lines = generate::history(seed, shape);
    if std::env::var("EDDY_PRINT").is_ok() {
        lines.iter().for_each(|line| println!("{line}"));
    }
    let workers = [1, 1, 2, 4][random.below(4)];
    let keep = if retention { keep(&mut random) } else { Keep::default() };
    let mut harness = Harness::new(workers, generate::NOW, keep);
    let mut oracle = Oracle::new(generate::NOW);
    if let Some(retention_s) = keep.messages_s {
        oracle = oracle.with_retention(retention_s, keep.hours_s, keep.days_s);
    }
    let again = format!("EDDY_SEED={seed} cargo test --test tests random (shape {name}, {workers} workers, {keep:?})");
    let (mut at, share) = (0, if retention { 9 } else { 2 });
    while at < lines.len() {
        // Now and then time goes on with no message: a deletion of what was never there says only how late it is. (Not beyond the clock: the
        // watermark does not go there.)
        let time = [time_of(generate::NOW - random.below(71 * 86_400) as i64)];
        let (upto, sent) = match random.below(if retention { 16 } else { 4 }) {
            0 => (at, &time[..]),
            _ => {
                let upto = (at + 1 + random.below(lines.len() / share + 1)).min(lines.len());
                (upto, &lines[at..upto])
            }
        };
        harness.send(sent, 1 << (6 + random.below(10)));
        sent.iter().for_each(|line| oracle.record(line.as_bytes()));
        oracle.tick();
        let tables = harness.tick();
        if let Some(difference) = difference(&tables, &oracle.tables()) {
            panic!("after {upto} of {} records and {}: {difference}\n{again}", lines.len(), sent[sent.len() - 1]);
        }
        at = upto;
    }
    let (_, counts) = harness.finish();
    let expected = oracle.counts();
    assert!(counts.adds_up(), "{counts:?}\n{again}");
    let won = counts.applied + counts.ignored["stale"] + counts.ignored["repeated"];
    assert_eq!((counts.read, won), (expected.read, expected.accepted), "{counts:?}\n{expected:?}\n{again}");
    let sealed = |ignored: &BTreeMap<String, u64>| ignored.get("sealed").copied().unwrap_or(0);
    assert_eq!(sealed(&counts.ignored), sealed(&expected.ignored), "{again}");
    assert_eq!(counts.dead_letters(), expected.dead.values().sum::<u64>(), "{counts:?}\n{expected:?}\n{again}");
}

fn time_of(at: i64) -> String {
    format!(r#"{{"op":"d","id":"t3_time{at}","created_utc":{at},"seq":1}}"#)
}

/// A message of a chat, or its edit.
fn said(update: u64, message: u64, user: u64, at: i64, to: Option<u64>, text: &str, edited: Option<i64>) -> String {
    let chat = r#""chat":{"id":-1009,"type":"supergroup","title":"t"}"#;
    let to = to.map(|to| format!(r#","reply_to_message":{{"message_id":{to},"date":{at},{chat}}}"#)).unwrap_or_default();
    let edit = edited.map(|edited| format!(r#","edit_date":{edited}"#)).unwrap_or_default();
    let what = if edited.is_some() { "edited_message" } else { "message" };
    let from = format!(r#""from":{{"id":{user},"is_bot":false,"first_name":"f"}}"#);
    format!(r#"{{"update_id":{update},"{what}":{{"message_id":{message},"date":{at},{chat},{from}{to}{edit},"text":"{text}"}}}}"#)
}

#[test]
fn a_sealed_question_keeps_the_answers_that_found_it_and_gets_no_others() {
    const RETENTION_S: i64 = 86_400;
    let at = generate::NOW - 10 * 86_400;
    let later = at + RETENTION_S + 100;
    let ticks: Vec<Vec<String>> = vec![
        // Two questions, one of them with an answer; then time seals both.
        vec![said(1, 1, 11, at, None, "why?", None), said(2, 2, 11, at, None, "how?", None)],
        vec![said(3, 3, 12, at + 900, Some(1), "so", None)],
        vec![said(4, 4, 13, later, None, "time", None)],
        // An answer that comes after that is none, and what becomes of it is nothing to the question.
        vec![said(5, 5, 14, at + 500, Some(1), "late", None), said(6, 6, 14, at + 500, Some(2), "late", None)],
        vec![said(7, 5, 14, at + 600, Some(1), "late still", Some(later))],
        // The one that was there counts as it is: earlier now, gone elsewhere, back, which is late.
        vec![said(8, 3, 12, at + 300, Some(1), "sooner", Some(later + 1))],
        vec![said(9, 3, 12, at + 300, Some(4), "elsewhere", Some(later + 2))],
        vec![said(10, 3, 12, at + 300, Some(1), "back", Some(later + 3))],
        // The id of a sealed question comes again, as another, and is answered.
        vec![said(11, 1, 11, later - 50, None, "again?", Some(later + 4)), said(12, 7, 15, later - 20, Some(1), "now", None)],
        vec![said(13, 1, 11, later - 40, None, "and again", Some(later + 5))],
        // It comes again, and is sealed by the same tick.
        vec![
            said(14, 2, 11, at + 7_000, None, "once more?", Some(later + 6)),
            said(15, 8, 13, at + 7_200 + RETENTION_S, None, "time", None),
        ],
    ];
    for workers in [1, 3] {
        let keep = Keep { messages_s: Some(RETENTION_S), ..Keep::default() };
        let mut harness = Harness::new(workers, generate::NOW, keep);
        let mut oracle = Oracle::new(generate::NOW).with_retention(RETENTION_S, None, None);
        for (tick, lines) in ticks.iter().enumerate() {
            harness.send(lines, 1 << 10);
            lines.iter().for_each(|line| oracle.record(line.as_bytes()));
            oracle.tick();
            if let Some(difference) = difference(&harness.tick(), &oracle.tables()) {
                panic!("after tick {tick}, {workers} workers: {difference}");
            }
        }
        harness.finish();
    }
}

#[test]
fn random_histories_equal_the_oracle_at_every_tick() {
    all(RUNS, false);
}

#[test]
fn random_histories_with_a_retention_equal_the_oracle_at_every_tick() {
    all(RUNS / 2, true);
}

fn all(runs: u64, retention: bool) {
    let shapes = Shape::all();
    let seeds = match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse::<u64>().expect("EDDY_SEED is a number")],
        Err(_) => {
            let runs = std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(runs);
            (0..runs).collect()
        }
    };
    println!("seeds {:?} to {:?}", seeds.first(), seeds.last());
    for seed in seeds {
        let (name, shape) = &shapes[seed as usize % shapes.len()];
        one(seed, name, shape, retention);
    }
}
