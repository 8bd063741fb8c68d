//! Random histories against the oracle, for every view, at the end and at ticks in between.
//!
//! Run one again: `EDDY_SEED=<seed> cargo test --test tests random`. More: `EDDY_RUNS=2000`.

use crate::generate::{self, Random, Shape};
use crate::harness::{Harness, difference};
use crate::oracle::Oracle;

/// Random runs in the test command.
const RUNS: u64 = 240;

fn one(seed: u64, name: &str, shape: &Shape) {
    let mut random = Random(seed ^ 0x7e57);
    let lines = generate::history(seed, shape);
    if std::env::var("EDDY_PRINT").is_ok() {
        lines.iter().for_each(|line| println!("{line}"));
    }
    let workers = [1, 1, 2, 4][random.below(4)];
    let mut harness = Harness::new(workers, generate::NOW);
    let mut oracle = Oracle::new(generate::NOW);
    let again = format!("EDDY_SEED={seed} cargo test --test tests random (shape {name}, {workers} workers)");
    let mut at = 0;
    while at < lines.len() {
        // Now and then time goes on with no message: a deletion of what was never there says only how late it is.
        let time = [time_of(generate::NOW + 86_400 - random.below(71 * 86_400) as i64)];
        let (upto, sent) = match random.below(4) {
            0 => (at, &time[..]),
            _ => {
                let upto = (at + 1 + random.below(lines.len() / 2 + 1)).min(lines.len());
                (upto, &lines[at..upto])
            }
        };
        harness.send(sent, 1 << (6 + random.below(10)));
        sent.iter().for_each(|line| oracle.record(line.as_bytes()));
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
    assert_eq!(counts.dead_letters(), expected.dead.values().sum::<u64>(), "{counts:?}\n{expected:?}\n{again}");
}

fn time_of(at: i64) -> String {
    format!(r#"{{"op":"d","id":"t3_time{at}","created_utc":{at},"seq":1}}"#)
}

#[test]
fn random_histories_equal_the_oracle_at_every_tick() {
    let shapes = Shape::all();
    let seeds = match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse::<u64>().expect("EDDY_SEED is a number")],
        Err(_) => {
            let runs = std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
            (0..runs).collect()
        }
    };
    println!("seeds {:?} to {:?}", seeds.first(), seeds.last());
    for seed in seeds {
        let (name, shape) = &shapes[seed as usize % shapes.len()];
        one(seed, name, shape);
    }
}
