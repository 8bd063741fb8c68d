//! `--state durable`: a cluster that loses processes again and again goes on where it was, with any number of processes and workers; and what
//! one writes that was superseded never counts.

use std::path::Path;
use std::time::{Duration, Instant};

use super::party::{Party, signal, wait};
use crate::generate::{self, Random, Shape};
use crate::harness::difference;
use crate::oracle::Oracle;
use crate::replays::archives::{gzip, zstd};
use crate::replays::run::Ran;

const RUNS: u64 = 2;
/// Losses before a cluster is left alone.
const LOSSES: usize = 4;
/// (processes, workers of each)
const SHAPES: [(usize, usize); 5] = [(1, 1), (2, 1), (1, 3), (2, 2), (3, 1)];

struct History {
    party: Party,
    oracle: Oracle,
    again: String,
}

fn history(seed: u64) -> History {
    let shape = Shape { records: 4_000, users: 60, conversations: 40, messages: 1_800, days: 20, reorder: usize::MAX, ..Shape::medium() };
    let lines = generate::history(seed, &shape);
    let mut oracle = Oracle::new(generate::NOW);
    lines.iter().for_each(|line| oracle.record(line.as_bytes()));
    let mut party = Party::new(3);
    party.files = (lines.chunks(lines.len() / 5 + 1).enumerate())
        .map(|(n, lines)| {
            let bytes = (lines.join("\n") + "\n").into_bytes();
            match n {
                1 => party.place.file("1.ndjson.zst", zstd(&bytes)),
                2 => party.place.file("2.ndjson.gz", gzip(&bytes)),
                n => party.place.file(&format!("{n}.ndjson"), bytes),
            }
        })
        .collect();
    History { party, oracle, again: format!("EDDY_SEED={seed} cargo test --test tests cluster::durable") }
}

impl History {
    /// So that the next start has another number of processes and workers, on ports of its own.
    fn shape(&mut self, (processes, workers): (usize, usize)) {
        let ports = Party::new(processes);
        self.party.place.file("hosts", ports.hosts().join("\n"));
        self.party.processes = processes;
        let workers = workers.to_string();
        self.party.arguments = ["--state", "durable", "--tick-records-max", "40", "--workers", &workers].map(str::to_owned).to_vec();
    }

    fn is_right(&self, ran: Vec<Ran>) {
        let again = &self.again;
        for (process, ran) in ran.iter().enumerate() {
            assert_eq!(ran.code, 0, "process {process}: {}\n{again}", ran.stderr);
        }
        if let Some(difference) = difference(&self.party.place.tables(), &self.oracle.tables()) {
            panic!("{difference}\n{again}");
        }
        let (summary, expected) = (ran[0].summary(), self.oracle.counts());
        let dead: u64 = expected.dead.values().sum();
        let got = (summary.n("read"), summary.versions(), summary.n("dead_letters"), self.party.place.letters().len() as u64);
        assert_eq!(got, (expected.read, expected.accepted, dead, dead), "{}\n{again}", summary.0);
    }
}

/// Bytes of frames so far, of all generations.
fn written(data: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(data) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => written(&entry.path()),
        _ if entry.file_name().to_string_lossy().ends_with(".journal") => entry.metadata().map_or(0, |meta| meta.len()),
        _ => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// Waits until so much more has been written; false where they ended before.
fn wait_for_more(children: &mut [std::process::Child], data: &Path, bytes: u64) -> bool {
    let (began, enough) = (Instant::now(), written(data) + bytes);
    while written(data) < enough {
        if children[0].try_wait().expect("a child").is_some() {
            return false;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

#[test]
fn a_cluster_that_loses_processes_ends_as_if_it_had_not() {
    let seeds = match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse().expect("EDDY_SEED is a number")],
        Err(_) => (0..std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)).collect::<Vec<u64>>(),
    };
    let mut losses = 0;
    for seed in seeds {
        let (mut history, mut random) = (history(seed), Random(seed));
        let data = history.party.place.path("data");
        for _ in 0..LOSSES {
            history.shape(random.pick(&SHAPES));
            let mut children = history.party.start();
            if !wait_for_more(&mut children, &data, 1 + random.below(120_000) as u64) {
                wait(children);
                break;
            }
            let mut killed = children.remove(random.below(children.len()));
            killed.kill().expect("a child");
            killed.wait().expect("a child");
            losses += 1;
            for ran in wait(children) {
                // It may have been through already.
                assert!(ran.code == 3 || ran.code == 0, "{}\n{}", ran.stderr, history.again);
            }
        }
        for _ in 0..2 {
            // The second time there is nothing left to read.
            history.shape(random.pick(&SHAPES));
            history.is_right(wait(history.party.start()));
        }
    }
    assert!(losses > 0, "nothing was killed");
}

#[test]
fn a_frozen_cluster_that_was_superseded_is_not_heard_when_it_thaws() {
    let (mut random, mut wrote_on) = (Random(9), 0);
    for seed in [100, 101] {
        let mut history = history(seed);
        let data = history.party.place.path("data");
        history.shape((2, 1));
        let mut frozen = history.party.start();
        assert!(wait_for_more(&mut frozen, &data, 1 + random.below(60_000) as u64), "it ended before it was frozen");
        frozen.iter().for_each(|child| signal(child, "STOP"));
        let superseded = data.join("generation-000001");
        let before = written(&superseded);
        history.shape((1, 2));
        history.is_right(wait(history.party.start()));
        frozen.iter().for_each(|child| signal(child, "CONT"));
        for ran in wait(frozen) {
            ran.ends(3);
        }
        wrote_on += usize::from(written(&superseded) > before);
        // Neither its tables nor its frames were taken.
        history.shape((3, 1));
        history.is_right(wait(history.party.start()));
    }
    assert!(wrote_on > 0, "none wrote anything that had to be left out");
}

#[test]
fn a_state_of_another_job_is_refused() {
    let mut history = history(7);
    history.shape((2, 1));
    history.is_right(wait(history.party.start()));
    history.party.files.swap(0, 3);
    let ran = wait(history.party.start());
    assert_eq!((ran[0].code, ran[1].code), (2, 3), "{} {}", ran[0].stderr, ran[1].stderr);
    assert!(ran[0].stderr.contains("file 1 of this job was 0.ndjson"), "{}", ran[0].stderr);
    assert!(ran[1].stderr.contains("has left: file 1 of this job was"), "{}", ran[1].stderr);
}
