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
        // Now and then time goes on with no message: a deletion of what was never there says only how late it is.
        let time = [time_of(generate::NOW + 86_400 - random.below(71 * 86_400) as i64)];
        let (upto, sent) = match random.below(4) {
            // (With a retention most would be sealed at once.)
            0 if !retention => (at, &time[..]),
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
