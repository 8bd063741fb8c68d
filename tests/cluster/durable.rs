//! `--state durable`: a cluster that loses processes again and again goes on where it was, with any number of processes and workers, and what
//! it keeps is bounded by what it holds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::party::{Party, wait};
use crate::generate::{self, Random, Shape};
use crate::harness::difference;
use crate::oracle::Oracle;
use crate::replays::archives::{gzip, zstd};
use crate::replays::run::Ran;

const RUNS: u64 = 2;
const FILES: usize = 30;
/// Losses before a cluster is left alone.
const LOSSES: usize = 4;
/// (processes, workers of each)
const SHAPES: [(usize, usize); 5] = [(1, 1), (2, 1), (1, 3), (2, 2), (3, 1)];

pub struct History {
    pub party: Party,
    pub oracle: Oracle,
    /// What every start is given, but for what `shape` says.
    pub arguments: Vec<String>,
    pub again: String,
}

/// Of about so many records of about so many messages.
pub fn history(seed: u64, records: usize, messages: usize) -> History {
    history_of(seed, &Shape { records, messages, ..shape() })
}

fn shape() -> Shape {
    Shape { users: 60, conversations: 40, days: 20, reorder: usize::MAX, ..Shape::medium() }
}

fn history_of(seed: u64, shape: &Shape) -> History {
    let lines = generate::history(seed, shape);
    let mut oracle = Oracle::new(generate::NOW);
    lines.iter().for_each(|line| oracle.record(line.as_bytes()));
    let mut party = Party::new(3);
    // A tick ends with a block, and a block with its file.
    party.files = (lines.chunks(lines.len() / FILES + 1).enumerate())
        .map(|(n, lines)| {
            let bytes = (lines.join("\n") + "\n").into_bytes();
            match n {
                1 => party.place.file("1.ndjson.zst", zstd(&bytes)),
                2 => party.place.file("2.ndjson.gz", gzip(&bytes)),
                n => party.place.file(&format!("{n}.ndjson"), bytes),
            }
        })
        .collect();
    let arguments = ["--tick-records-max", "40"].map(str::to_owned).to_vec();
    History { party, oracle, arguments, again: format!("EDDY_SEED={seed} cargo test --test tests cluster::durable") }
}

impl History {
    /// So that the next start has another number of processes and workers, on ports of its own. Snapshots are as small as can be.
    pub fn shape(&mut self, (processes, workers): (usize, usize)) {
        let ports = Party::new(processes);
        self.party.place.file("hosts", ports.hosts().join("\n"));
        self.party.processes = processes;
        let workers = workers.to_string();
        let arguments = ["--state", "durable", "--snapshot-bytes", "4096", "--workers", &workers].map(str::to_owned);
        self.party.arguments = [&self.arguments[..], &arguments].concat();
    }

    pub fn data(&self) -> PathBuf {
        self.party.place.path(&self.party.data)
    }

    pub fn is_right(&self, ran: Vec<Ran>) {
        self.gives(ran);
        self.party.place.is_clean();
    }

    /// The same while others may be frozen, with tables that they were making.
    pub fn gives(&self, ran: Vec<Ran>) {
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
        assert_eq!(summary.ignored().get("sealed"), expected.ignored.get("sealed"), "{}\n{again}", summary.0);
    }
}

/// Bytes of the files under a folder whose path says one of these.
pub fn bytes(folder: &Path, of: &[&str]) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes(&entry.path(), of),
        _ if of.iter().any(|of| entry.path().to_string_lossy().contains(of)) => entry.metadata().map_or(0, |meta| meta.len()),
        _ => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// Waits until all processes of the newest generation have written something, and for so long besides; false where it ended before.
pub fn wait_for_work(children: &mut [std::process::Child], data: &Path, before: &[String], besides: Duration) -> bool {
    let began = Instant::now();
    loop {
        let new = names(data, "generation-").into_iter().filter(|name| !name.contains('.') && !before.contains(name));
        let of = |name: String| (0..children.len()).map(move |process| format!("{name}/process-{process}"));
        // All have written a frame, or more: a segment's header has 32 bytes.
        let mut written = new.flat_map(of).map(|process| bytes(&data.join(process), &["/state/"])).peekable();
        if written.peek().is_some() && written.all(|bytes| bytes > 110) {
            std::thread::sleep(besides);
            return children[0].try_wait().expect("a child").is_none();
        }
        if children[0].try_wait().expect("a child").is_some() {
            return false;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What is in a folder and begins so.
pub fn names(folder: &Path, before: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return vec![] };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(before)).collect()
}

#[test]
fn a_cluster_that_loses_processes_ends_as_if_it_had_not() {
    let seeds = match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse().expect("EDDY_SEED is a number")],
        Err(_) => (0..std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)).collect::<Vec<u64>>(),
    };
    let (mut losses, mut snapshots) = (0, 0);
    for seed in seeds {
        let (mut history, mut random) = (history(seed, 4_000, 1_800), Random(seed));
        for _ in 0..LOSSES {
            losses += usize::from(history.loses_one(&mut random, &SHAPES, 700));
            snapshots += bytes(&history.data(), &["/snapshots/run-"]);
        }
        for _ in 0..2 {
            // The second time there is nothing left to read.
            history.shape(random.pick(&SHAPES));
            history.is_right(wait(history.party.start()));
        }
    }
    assert!(losses > 0 && snapshots > 0, "{losses} were lost, {snapshots} bytes of snapshots were made");
}

impl History {
    /// Starts some processes and kills one of them, so soon after all have written something; false where they were faster.
    pub fn loses_one(&mut self, random: &mut Random, shapes: &[(usize, usize)], ms_max: usize) -> bool {
        self.shape(random.pick(shapes));
        let before = names(&self.data(), "generation-");
        let mut children = self.party.start();
        if !wait_for_work(&mut children, &self.data(), &before, Duration::from_millis(random.below(ms_max) as u64)) {
            self.is_right(wait(children));
            return false;
        }
        let mut killed = children.remove(random.below(children.len()));
        killed.kill().expect("a child");
        killed.wait().expect("a child");
        for ran in wait(children) {
            // It may have been through already.
            assert!(ran.code == 3 || ran.code == 0, "{}\n{}", ran.stderr, self.again);
        }
        true
    }
}

/// Few messages with many versions each, and no dead letters: what is held does not grow, what was ever decided does.
#[test]
fn neither_history_nor_starts_make_the_state_grow() {
    let shape = Shape { records: 20_000, messages: 60, noise: 0, documents: 0, ..shape() };
    let mut history = history_of(5, &shape);
    let (data, mut random) = (history.data(), Random(5));
    let mut most = 0;
    for of in [(1, 1), (2, 1), (1, 1), (3, 1), (2, 2), (1, 2)] {
        history.shape(of);
        let before = names(&data, "generation-");
        let mut children = history.party.start();
        wait_for_work(&mut children, &data, &before, Duration::from_millis(300 + random.below(500) as u64));
        for child in &mut children {
            // (One that is through cannot be.)
            let _ = child.kill();
        }
        for mut child in children {
            child.wait().expect("a child");
        }
        most = most.max(bytes(&data, &["/state/", "/snapshots/"]));
    }
    history.shape((2, 1));
    history.is_right(wait(history.party.start()));
    let end = bytes(&data, &["/state/", "/snapshots/"]);
    // The same by one process that makes no snapshot.
    let mut whole = history_of(5, &shape);
    whole.shape((1, 1));
    let snapshot_bytes = whole.party.arguments.iter_mut().find(|argument| *argument == "4096").expect("as small as can be");
    *snapshot_bytes = (1 << 30).to_string();
    whole.is_right(wait(whole.party.start()));
    let decided = bytes(&whole.data(), &["/state/"]);
    println!("{most} bytes of state at most, {end} at the end; frames of all that was decided: {decided}");
    assert!(2 * end < decided, "{end} bytes of state, {decided} were decided");
    let olds = names(&data, "old-").into_iter().map(|old| data.join(old));
    let folders = olds.flat_map(|old| names(&old, "process-").into_iter().map(move |process| old.join(process)));
    let held = folders.filter(|folder| folder.join("state").exists()).count();
    assert!(held <= 6, "{held} states of earlier processes");
}

#[test]
fn a_state_of_another_job_is_refused() {
    let mut history = history(7, 1_000, 400);
    history.shape((2, 1));
    history.is_right(wait(history.party.start()));
    history.party.files.swap(0, 3);
    let ran = wait(history.party.start());
    assert_eq!((ran[0].code, ran[1].code), (2, 3), "{} {}", ran[0].stderr, ran[1].stderr);
    assert!(ran[0].stderr.contains("file 1 of this job was 0.ndjson"), "{}", ran[0].stderr);
    assert!(ran[1].stderr.contains("has left: file 1 of this job was"), "{}", ran[1].stderr);
}
