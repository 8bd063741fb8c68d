//! With a retention: several processes give what one gives, tick by tick, late records and all; also when they are killed again and again, and
//! others go on.
//!
//! What is ignored as sealed depends on where ticks end. So one process reads all there is here, a file a tick, whatever the processes and
//! however often they start; the others have their share of the messages and sums.

use std::path::Path;

use eddy_dataflows::Keep;

use super::durable::{History, names};
use super::party::{Party, is_clean, wait};
use crate::generate::{self, Random, Shape};
use crate::harness::difference;
use crate::oracle::Oracle;
use crate::replays::archives::gzip;
use crate::replays::run::{self, Ran, oracle};

const RUNS: u64 = 4;
/// Losses before a cluster is left alone.
const LOSSES: usize = 5;
/// Ticks of a history.
const TICKS: usize = 70;
/// Of so many files one has something: it is process 0's, where this is a multiple of the processes.
const FILES_A_TICK: usize = 4;
const SHAPES: [(usize, usize); 5] = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)];

fn text(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "none".into(), |seconds| format!("{seconds}s"))
}

fn keep(random: &mut Random) -> Keep {
    const RETENTIONS_S: [i64; 5] = [1_800, 86_400, 6 * 86_400 + 59, 20 * 86_400, 45 * 86_400];
    let kept = |random: &mut Random| random.pick(&[None, Some(0), Some(7 * 86_400 + 1), Some(40 * 86_400)]);
    Keep { messages_s: Some(random.pick(&RETENTIONS_S)), hours_s: kept(random), days_s: kept(random) }
}

/// A retention, as the oracle and as arguments have it.
fn retention(random: &mut Random) -> (Oracle, Vec<String>) {
    let Keep { messages_s, hours_s, days_s } = keep(random);
    let arguments = ["--retention", &text(messages_s), "--keep-hours", &text(hours_s), "--keep-days", &text(days_s)];
    (oracle().with_retention(messages_s.expect("a retention"), hours_s, days_s), arguments.map(str::to_owned).to_vec())
}

/// About so many records, tick by tick, and the name of their shape.
fn ticks(seed: u64, records: usize, ticks: usize) -> (&'static str, Vec<Vec<String>>) {
    let shapes = Shape::all();
    // First those in which time goes on.
    let (name, shape) = &shapes[(seed as usize + 12) % shapes.len()];
    // Messages come back to be changed, and to be ignored, all along.
    let shape = Shape { records, messages: records / 3, users: 40, conversations: 30, documents: 0, ..shape.clone() };
    let lines = generate::history(seed, &shape);
    (*name, lines.chunks(lines.len() / ticks + 1).map(<[String]>::to_vec).collect())
}

fn record(oracle: &mut Oracle, lines: &[String]) {
    lines.iter().for_each(|line| oracle.record(line.as_bytes()));
    oracle.tick();
}

fn history_of(seed: u64, (name, ticks): (&'static str, Vec<Vec<String>>)) -> History {
    let (mut oracle, mut arguments) = retention(&mut Random(seed ^ 0x5ea1));
    let again = format!("EDDY_SEED={seed} cargo test --test tests cluster::sealed (shape {name}, {arguments:?})");
    let mut party = Party::new(4);
    for (n, lines) in ticks.iter().enumerate() {
        record(&mut oracle, lines);
        let bytes = lines.join("\n") + "\n";
        party.files.push(if n % 7 == 1 {
            party.place.file(&format!("{n}.ndjson.gz"), gzip(bytes.as_bytes()))
        } else {
            party.place.file(&format!("{n}.ndjson"), bytes)
        });
        let empty = |of: usize| party.place.file(&format!("{n}-{of}.ndjson"), "");
        let empty: Vec<_> = (1..FILES_A_TICK).map(empty).collect();
        party.files.extend(empty);
    }
    // Each block ends a tick.
    arguments.extend(["--tick-records-max", "1"].map(str::to_owned));
    History { party, oracle, arguments, again }
}

/// Long enough for some snapshots.
pub fn history(seed: u64) -> History {
    history_of(seed, ticks(seed, 5_000, TICKS))
}

/// Of which no process is through before it has made more than one.
pub fn long_history(seed: u64) -> History {
    history_of(seed, ticks(seed, 10_000, 4 * TICKS))
}

/// In which a store comes to have several snapshots: it is told once a second.
pub fn longest_history(seed: u64) -> History {
    history_of(seed, ticks(seed, 60_000, 12 * TICKS))
}

fn seeds() -> Vec<u64> {
    match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse().expect("EDDY_SEED is a number")],
        Err(_) => (0..std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)).collect(),
    }
}

#[test]
fn several_processes_seal_what_one_seals_in_the_same_ticks() {
    let mut sealed = 0;
    for seed in seeds() {
        let mut history = history_of(seed, ticks(seed, 1_500, TICKS));
        sealed += history.oracle.counts().ignored.get("sealed").copied().unwrap_or(0);
        for (processes, workers) in [SHAPES[seed as usize % 3], SHAPES[3 + seed as usize % 2]] {
            history.shape((processes, workers));
            history.party.arguments = [&history.arguments[..], &["--workers".to_owned(), workers.to_string()]].concat();
            history.is_right(wait(history.party.start()));
            is_clean(&history.data());
        }
        // One that replays them alone.
        let mut replay = history.party.place.replay(&history.arguments);
        let summary = Ran::of(replay.args(&history.party.files)).ends(0).summary();
        assert_eq!(summary.ignored().get("sealed"), history.oracle.counts().ignored.get("sealed"), "{}", history.again);
        run::equal(&history.party.place.tables(), &history.oracle.tables(), &history.again);
    }
    assert!(sealed > 0, "some came too late");
}

#[test]
fn a_cluster_that_seals_and_loses_processes_ends_as_if_it_had_not() {
    let (mut losses, mut sums, mut between) = (0, 0, 0);
    for seed in seeds() {
        let (mut history, mut random) = (history(seed), Random(seed));
        for _ in 0..LOSSES {
            losses += usize::from(history.loses_one(&mut random, &SHAPES, 250));
            let made = snapshots(&history.data());
            sums += usize::from(made.iter().any(|made| made.contains("sums_at")));
            between += usize::from(made.iter().any(|one| one != &made[0]) || made.iter().any(|made| made.contains("before")));
        }
        for _ in 0..2 {
            // The second time there is nothing left to read.
            history.shape(random.pick(&SHAPES));
            history.is_right(wait(history.party.start()));
        }
    }
    println!("{losses} losses, {sums} with sealed sums in snapshots, {between} with snapshots of more than one tick");
    assert!(losses > 0 && sums > 0, "{losses} were lost, {sums} left sealed sums");
}

/// What the processes of the last generation say of their snapshots.
fn snapshots(data: &Path) -> Vec<String> {
    let last = names(data, "generation-").into_iter().filter(|name| !name.contains('.')).max().map(|name| data.join(name));
    let manifests = last.iter().flat_map(|last| names(last, "process-").into_iter().map(|process| last.join(process)));
    manifests.map(|process| std::fs::read_to_string(process.join("snapshots/snapshot.json")).unwrap_or_default()).collect()
}

/// Months that are read side by side: nothing comes late in any of them.
#[test]
fn files_that_are_read_side_by_side_seal_nothing_of_each_other() {
    let lines = crate::sealed::processes::lines(3, 3_000);
    let mut party = Party::new(3);
    party.files = (lines.chunks(lines.len() / 9 + 1).enumerate())
        .map(|(n, lines)| party.place.file(&format!("{n}.ndjson"), lines.join("\n") + "\n"))
        .collect();
    party.arguments = ["--tick-records-max", "40", "--workers", "2"].map(str::to_owned).to_vec();
    party.arguments.extend(crate::sealed::processes::RETENTION.map(str::to_owned));
    let summary = wait(party.start()).remove(0).ends(0).summary();
    assert_eq!(summary.ignored().get("sealed"), None, "{}", summary.0);
    let tables = crate::sealed::processes::oracle(&lines).tables();
    assert_eq!(difference(&party.place.tables(), &tables), None);
}

#[test]
fn a_cluster_goes_on_with_its_retention_and_no_other() {
    let seed = 2;
    let (name, ticks) = ticks(seed, 1_000, TICKS);
    let mut history = history_of(seed, (name, ticks.clone()));
    let kept = std::mem::replace(&mut history.arguments, ["--tick-records-max", "1"].map(str::to_owned).to_vec());
    let half = ticks.len() / 2;
    let others = history.party.files.split_off(half * FILES_A_TICK);
    let mut oracle = oracle();
    ticks[..half].iter().for_each(|lines| record(&mut oracle, lines));
    // It begins without one; then it has one, and all that it holds is sealed in time.
    history.shape((2, 1));
    wait(history.party.start()).into_iter().for_each(|ran| drop(ran.ends(0)));
    history.party.files.extend(others);
    history.arguments = kept;
    let Keep { messages_s, hours_s, days_s } = keep(&mut Random(seed ^ 0x5ea1));
    oracle = oracle.with_retention(messages_s.expect("a retention"), hours_s, days_s);
    ticks[half..].iter().for_each(|lines| record(&mut oracle, lines));
    let tables = oracle.tables();
    for shape in [(1, 2), (2, 2)] {
        history.shape(shape);
        wait(history.party.start()).into_iter().for_each(|ran| drop(ran.ends(0)));
        assert_eq!(difference(&history.party.place.tables(), &tables), None, "{}", history.again);
    }
    let refused = |history: &mut History, change: &dyn Fn(&mut Vec<String>)| {
        history.shape((1, 1));
        change(&mut history.party.arguments);
        wait(history.party.start()).remove(0).ends(2).stderr
    };
    let why = refused(&mut history, &|arguments| arguments[1] = "3h".into());
    assert!(why.contains("--retention") && why.contains("is asked for --retention 3h"), "{why}");
    let why = refused(&mut history, &|arguments| drop(arguments.drain(..6)));
    assert!(why.contains("is asked for no retention"), "{why}");
    let why = refused(&mut history, &|arguments| arguments.extend(["--views", "users"].map(str::to_owned)));
    assert!(why.contains("is asked for the views users"), "{why}");
    assert_eq!(difference(&history.party.place.tables(), &tables), None, "nothing was done");
}
