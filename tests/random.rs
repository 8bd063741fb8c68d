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
/// Of long histories: so many records in so many ticks, of which one in `LOOK_TICKS` is looked at.
const LONG_RUNS: u64 = 3;
const LONG: usize = 20_000;
const LONG_TICKS: usize = 280;
const LOOK_TICKS: usize = 20;

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

/// A message of a chat, or its edit; of user 0: of nobody.
fn said(update: u64, message: u64, user: u64, at: i64, to: Option<u64>, text: &str, edited: Option<i64>) -> String {
    let chat = r#""chat":{"id":-1009,"type":"supergroup","title":"t"}"#;
    let to = to.map(|to| format!(r#","reply_to_message":{{"message_id":{to},"date":{at},{chat}}}"#)).unwrap_or_default();
    let edit = edited.map(|edited| format!(r#","edit_date":{edited}"#)).unwrap_or_default();
    let what = if edited.is_some() { "edited_message" } else { "message" };
    let from = if user > 0 { format!(r#","from":{{"id":{user},"is_bot":false,"first_name":"f"}}"#) } else { String::new() };
    format!(r#"{{"update_id":{update},"{what}":{{"message_id":{message},"date":{at},{chat}{from}{to}{edit},"text":"{text}"}}}}"#)
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
    equal_the_oracle(RETENTION_S, &ticks);
}

#[test]
fn an_answer_of_nobody_that_found_a_question_answers_it_whenever_it_has_a_name() {
    const RETENTION_S: i64 = 86_400;
    let at = generate::NOW - 10 * 86_400;
    let later = at + RETENTION_S + 100;
    let edit = |update: u64, message: u64, user: u64, at: i64| said(update, message, user, at, Some(1), "so", Some(later + update as i64));
    let ticks: Vec<Vec<String>> = vec![
        vec![said(1, 1, 11, at, None, "why?", None), said(2, 2, 0, at + 600, Some(1), "so", None)],
        vec![said(3, 3, 12, at + 900, Some(1), "so", None), said(4, 4, 0, later, None, "time", None)],
        // The question is sealed. Whoever found it comes to have a name, loses it, and has the name of who asked.
        vec![edit(5, 2, 13, at + 600)],
        vec![edit(6, 2, 0, at + 600), edit(7, 3, 0, at + 900)],
        vec![edit(8, 2, 11, at + 600), edit(9, 3, 14, at + 900)],
        vec![edit(10, 2, 15, at + 600)],
        // One that comes now is no answer, with a name or without.
        vec![said(11, 5, 0, at + 500, Some(1), "late", None)],
        vec![edit(12, 5, 16, at + 500)],
        // All are sealed: the one with a name has answered.
        vec![edit(13, 3, 0, at + 900), said(14, 6, 12, at + 2_000 + RETENTION_S, None, "time", None)],
    ];
    equal_the_oracle(RETENTION_S, &ticks);
}

fn equal_the_oracle(retention_s: i64, ticks: &[Vec<String>]) {
    for workers in [1, 3] {
        let keep = Keep { messages_s: Some(retention_s), ..Keep::default() };
        let mut harness = Harness::new(workers, generate::NOW, keep);
        let mut oracle = Oracle::new(generate::NOW).with_retention(retention_s, None, None);
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

/// Messages that come, change, and are sealed over hundreds of ticks: what takes three of them in a row to go wrong is met here.
#[test]
fn long_histories_with_a_retention_equal_the_oracle() {
    let shapes = Shape::all();
    for seed in seeds(LONG_RUNS) {
        // First those in which time goes on.
        let (name, shape) = &shapes[(seed as usize + 12) % shapes.len()];
        let shape = Shape { records: LONG, messages: LONG / 3, users: 40, conversations: 30, documents: 0, ..shape.clone() };
        let mut random = Random(seed ^ 0x10e6);
        let (workers, keep) = (random.pick(&[1, 2]), keep(&mut random));
        let mut harness = Harness::new(workers, generate::NOW, keep);
        let retention_s = keep.messages_s.expect("there is one");
        let mut oracle = Oracle::new(generate::NOW).with_retention(retention_s, keep.hours_s, keep.days_s);
        for (tick, lines) in generate::history(seed, &shape).chunks(LONG / LONG_TICKS).enumerate() {
            harness.send(lines, 1 << 18);
            lines.iter().for_each(|line| oracle.record(line.as_bytes()));
            oracle.tick();
            let tables = harness.tick();
            if tick % LOOK_TICKS == LOOK_TICKS - 1
                && let Some(difference) = difference(&tables, &oracle.tables())
            {
                let again = format!("EDDY_SEED={seed} cargo test --test tests random::long (shape {name}, {workers} workers, {keep:?})");
                panic!("after tick {tick}: {difference}\n{again}");
            }
        }
        harness.finish();
    }
}

fn seeds(runs: u64) -> Vec<u64> {
    let seeds = match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse::<u64>().expect("EDDY_SEED is a number")],
        Err(_) => {
            let runs = std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(runs);
            (0..runs).collect()
        }
    };
    println!("seeds {:?} to {:?}", seeds.first(), seeds.last());
    seeds
}

fn all(runs: u64, retention: bool) {
    let shapes = Shape::all();
    for seed in seeds(runs) {
        let (name, shape) = &shapes[seed as usize % shapes.len()];
        one(seed, name, shape, retention);
    }
}
