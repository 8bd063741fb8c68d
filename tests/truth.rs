//! What the synthetic source says that it made, against the oracle's reading of the bytes that it emitted.

use std::collections::BTreeMap;
use std::sync::Arc;

use eddy::demo::truth::{Facts, Ledger, VIEWS, all_rows};
use eddy::log::{self, Append, Log, Partition, Record, Topic};
use eddy::source::synthetic::{Config, Synthetic, World, fact};
use eddy_schemas::Cell;

use crate::oracle::Oracle;

const START_MS: i64 = 1_800_000_000_000;

/// A log that nobody writes to.
struct Nowhere;

impl Log for Nowhere {
    fn partitions(&self) -> Vec<Partition> {
        vec![]
    }
    fn append(&self, _: Topic, _: &[Append]) -> Result<Vec<(Partition, u64)>, log::Error> {
        Ok(vec![])
    }
    fn read(&self, _: Partition, _: u64, _: usize) -> Result<Vec<Record>, log::Error> {
        Ok(vec![])
    }
    fn end(&self, _: Partition) -> u64 {
        0
    }
    fn wait(&self, seen: u64, _: std::time::Duration) -> u64 {
        seen
    }
    fn sync(&self) -> Result<(), log::Error> {
        Ok(())
    }
}

fn show(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Int(n) => n.to_string(),
        Cell::Key(name) => name.as_str().into(),
        Cell::Display(name) => name.bare().into(),
        Cell::Id(id) => id.to_string(),
        Cell::Text(_) => "(text)".into(),
    }
}

fn unescape(field: &str) -> String {
    let (mut out, mut chars) = (String::new(), field.chars());
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                other => other.expect("a backslash is followed by something"),
            },
            c => c,
        });
    }
    out
}

#[tokio::test]
async fn the_synthetic_truth_equals_the_oracle_at_every_moment() {
    for seed in 0..6 {
        let world = Arc::new(World::new(200));
        let config = Config {
            edits: 120,
            ends: 80,
            revivals: 20,
            orphans: 20,
            late: 30,
            reordered: 60,
            repeats: 40,
            malformed: 3000,
            ..Config::default()
        };
        let mut synthetic = Synthetic::of(world.clone(), seed, config);
        let ledger = Ledger::new(Arc::new(Nowhere), world.clone());
        let (mut facts, mut oracle) = (Facts::new(world.clone()), Oracle::new(START_MS / 1000 + 90 * 86_400));
        let mut texts = BTreeMap::new();
        for event in 0..6000i64 {
            // From seconds to days between events, so that sessions end and days pass.
            let made = synthetic.next(START_MS + event * 900 + event / 1500 * 30 * 3_600_000);
            oracle.record(&made.value);
            if let Some(fact) = made.fact {
                facts.apply(&fact);
                texts.insert((fact.message, fact.version), fact.text_hash);
            }
            if ![500, 2000, 5999].contains(&event) {
                continue;
            }
            let mut mine: BTreeMap<&str, Vec<Vec<String>>> = VIEWS.iter().map(|view| (view.name, vec![])).collect();
            let mut either = BTreeMap::new();
            for row in all_rows(&facts, &ledger, facts.latest_at().map(i64::from)).await {
                let cells: Vec<_> = row.cells.iter().map(show).collect();
                if let Some(or) = &row.or {
                    either.insert(cells[0].clone(), show(or));
                }
                mine.get_mut(VIEWS[row.view].name).expect("a view").push(cells);
            }
            let mut tables = oracle.tables();
            for view in VIEWS {
                let theirs = tables.get_mut(view.name).expect("the oracle knows every view");
                let mine = mine.get_mut(view.name).expect("a view");
                for row in theirs.iter_mut() {
                    row.iter_mut().for_each(|field| *field = unescape(field));
                    if view.name == "messages" {
                        let number = world.message_number(&row[0]).expect("a message of this world");
                        let (slot, text) = (facts.slot(number), row.last().expect("a text"));
                        assert!(slot.characters == 0 || slot.text_hash == fact::hash(text), "seed {seed}, event {event}: {row:?}");
                        *row.last_mut().expect("a text") = "(text)".into();
                    }
                }
                for row in mine.iter_mut() {
                    // Two names in one second: the rules say which by id, the truth takes either.
                    if let Some(or) = either.get(&row[0]).filter(|_| view.name == "user_names")
                        && theirs.iter().any(|other| other[0] == row[0] && other[1] == *or)
                    {
                        row[1].clone_from(or);
                    }
                }
                theirs.sort();
                mine.sort();
                let wrong = mine.iter().zip(theirs.iter()).find(|(a, b)| a != b);
                assert!(
                    wrong.is_none() && mine.len() == theirs.len(),
                    "seed {seed}, event {event}, {}: {wrong:?}, {} and {} rows",
                    view.name,
                    mine.len(),
                    theirs.len()
                );
            }
        }
        let counts = oracle.counts();
        assert!(counts.dead.values().sum::<u64>() > 0 && counts.dead.len() == 1, "seed {seed}: only what was cut is dead: {counts:?}");
        println!("seed {seed}: {counts:?}");
    }
}
