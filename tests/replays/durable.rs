//! `--state durable`: killed at any moment, a replay goes on where it was, and nothing is lost or counted twice.
//!
//! Run one again: `EDDY_SEED=<seed> cargo test --test tests durable`. More: `EDDY_RUNS=50`.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::archives::{gzip, zstd};
use super::run::{Place, Ran};
use crate::generate::{self, Random, Shape};
use crate::harness::difference;
use crate::oracle::{Counts, Oracle, Tables};
use crate::torture::changes::Folded;

const RUNS: u64 = 3;
const FLIPS: usize = 24;
/// Kills of one replay before it is left alone: one that was in recovery (no new frame was written) comes after one with progress.
const KILLS: usize = 6;

/// Files with a history in them, and what must come out.
struct History {
    files: Vec<PathBuf>,
    tables: Tables,
    counts: Counts,
}

fn history(place: &Place, seed: u64) -> History {
    let shape = Shape { records: 6_000, users: 80, conversations: 50, messages: 2_500, days: 30, reorder: usize::MAX, ..Shape::medium() };
    let lines = generate::history(seed, &shape);
    let mut oracle = Oracle::new(generate::NOW);
    lines.iter().for_each(|line| oracle.record(line.as_bytes()));
    // Plain files are read again where texts are wanted, archives are not: theirs are kept.
    let files = lines.chunks(lines.len() / 4 + 1).enumerate().map(|(n, lines)| {
        let bytes = (lines.join("\n") + "\n").into_bytes();
        match n {
            1 => place.file("1.ndjson.zst", zstd(&bytes)),
            2 => place.file("2.ndjson.gz", gzip(&bytes)),
            n => place.file(&format!("{n}.ndjson"), bytes),
        }
    });
    History { files: files.collect(), tables: oracle.tables(), counts: oracle.counts() }
}

fn durable(place: &Place, workers: usize, files: &[PathBuf]) -> std::process::Command {
    // Small, so that there are many: of 6,000 records some 150 ticks and a dozen snapshots.
    let mut command = place.replay(["--state", "durable", "--tick-records-max", "40", "--snapshot-bytes", "40000", "--data-dir"]);
    command.arg(place.path("data")).args(["--workers", &workers.to_string()]).args(files);
    command
}

fn is_right(place: &Place, ran: Ran, history: &History, again: &str) {
    let summary = ran.ends(0).summary();
    if let Some(difference) = difference(&place.tables(), &history.tables) {
        panic!("{difference}\n{again}");
    }
    let dead: u64 = history.counts.dead.values().sum();
    assert_eq!((summary.n("read"), summary.n("dead_letters")), (history.counts.read, dead), "{}\n{again}", summary.0);
    assert_eq!(place.letters().len() as u64, dead, "each dead letter once\n{again}");
}

/// With two changelogs, of which the second is slow.
fn with_changelogs(place: &Place, command: &mut std::process::Command) {
    for number in [1, 2] {
        command.arg("--changelog").arg(place.path(&format!("changes-{number}")));
    }
    command.args(["--changelog-rest-ms", "20", "--changelog-file-bytes", "100000"]);
}

fn changelogs_are_right(place: &Place, again: &str) {
    let folded = [1, 2].map(|number| Folded::read(&place.path(&format!("changes-{number}"))));
    for folded in &folded {
        if let Some(difference) = difference(&folded.tables, &place.tables()) {
            panic!("a changelog: {difference}\n{again}");
        }
    }
    assert!(folded[0].lines == folded[1].lines, "both changelogs say the same\n{again}");
}

fn has_half_a_snapshot(data: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(data.join("snapshots")) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(".new-"))
}

/// Bytes of frames so far.
fn written(data: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(data.join("state")) else { return 0 };
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|meta| meta.len()).sum()
}

/// The segment that is written, and how long it is.
fn newest(data: &Path) -> Option<(PathBuf, u64)> {
    let entries = std::fs::read_dir(data.join("state")).ok()?.flatten().map(|entry| entry.path());
    let last = entries.filter(|path| path.extension().is_some_and(|extension| extension == "journal")).max()?;
    let bytes = last.metadata().ok()?.len();
    Some((last, bytes))
}

/// Kills a replay once it has written so much more; false where it ended before.
pub fn kill_after(child: &mut Child, data: &Path, bytes: u64) -> bool {
    let (started, enough) = (Instant::now(), written(data) + bytes);
    while written(data) < enough {
        if child.try_wait().expect("a child").is_some() {
            return false;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no progress");
        std::thread::sleep(Duration::from_micros(300));
    }
    child.kill().expect("a child");
    child.wait().expect("a child");
    true
}

#[test]
fn a_replay_that_is_killed_again_and_again_ends_as_if_it_had_not_been() {
    let seeds = match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse().expect("EDDY_SEED is a number")],
        Err(_) => (0..std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)).collect(),
    };
    // At work, in recovery, in a snapshot.
    let mut kills = [0; 3];
    for seed in seeds {
        let again = format!("EDDY_SEED={seed} cargo test --test tests durable");
        let (place, mut random) = (Place::new(), Random(seed));
        let history = history(&place, seed);
        let (data, mut workers, mut progress) = (place.path("data"), 0, true);
        let mut start = |random: &mut Random| {
            workers = 1 + (workers + random.below(2)) % 3;
            let mut command = durable(&place, workers, &history.files);
            with_changelogs(&place, &mut command);
            command
        };
        for _ in 0..KILLS {
            let mut command = start(&mut random);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
            // Sometimes while it still reads what it has written.
            let bytes = if progress && random.chance(30) { 0 } else { 1 + random.below(100_000) as u64 };
            let before = newest(&data);
            if bytes == 0 {
                std::thread::sleep(Duration::from_millis(random.below(60) as u64));
            }
            if !kill_after(&mut child, &data, bytes) {
                break;
            }
            progress = newest(&data) != before;
            kills[if has_half_a_snapshot(&data) && progress { 2 } else { usize::from(!progress) }] += 1;
        }
        let ran = Ran::of(&mut start(&mut random));
        is_right(&place, ran, &history, &again);
        changelogs_are_right(&place, &again);
        // Once more, with nothing left to read.
        let ran = Ran::of(&mut start(&mut random));
        is_right(&place, ran, &history, &again);
        changelogs_are_right(&place, &again);
    }
    println!("kills of replays: {} at work, {} in recovery, {} in a snapshot", kills[0], kills[1], kills[2]);
    assert!(kills[0] > 0, "nothing was killed");
}

#[test]
fn a_changelog_of_a_replay_may_come_later_and_go() {
    let place = Place::new();
    let history = history(&place, 9);
    let run = |workers, more: &[&str]| {
        let mut command = durable(&place, workers, &history.files);
        Ran::of(command.args(more))
    };
    let path = |number: u32| place.path(&format!("changes-{number}")).display().to_string();
    let (first, later) = (path(1), path(2));
    // Snapshots have let go of the first ticks before it comes.
    run(1, &[]).ends(0);
    run(2, &["--changelog", &first]).ends(0);
    let refused = run(1, &[]).ends(2);
    assert!(refused.stderr.contains("this state has a changelog in"), "{}", refused.stderr);
    let refused = run(1, &["--changelog", &first, "--views", "users"]).ends(2);
    assert!(refused.stderr.contains("are of other views"), "{}", refused.stderr);
    is_right(&place, run(1, &["--changelog", &later, "--changelog-drop", &first]), &history, "another changelog");
    for folder in [&first, &later] {
        assert_eq!(difference(&Folded::read(Path::new(folder)).tables, &history.tables), None, "{folder}");
    }
    // Without a state it is new, and nobody's afterwards.
    let alone = path(3);
    let replay = || {
        let mut command = place.replay(["--workers", "2", "--tick-records-max", "100", "--changelog", &alone]);
        Ran::of(command.args(&history.files))
    };
    replay().ends(0);
    assert_eq!(difference(&Folded::read(Path::new(&alone)).tables, &history.tables), None);
    let refused = replay().ends(2);
    assert!(refused.stderr.contains("the changelog of another state"), "{}", refused.stderr);
}

#[test]
fn an_interrupted_replay_goes_on_and_takes_more_files() {
    let place = Place::new();
    let history = history(&place, 77);
    let some = Ran::of(&mut durable(&place, 2, &history.files[..2])).ends(0).summary();
    assert!(some.n("read") > 0 && some.n("read") < history.counts.read);
    is_right(&place, Ran::of(&mut durable(&place, 1, &history.files)), &history, "more files");
}

#[test]
fn a_state_of_another_job_is_refused_before_any_work() {
    let place = Place::new();
    let history = history(&place, 5);
    Ran::of(&mut durable(&place, 1, &history.files)).ends(0);
    let refused = |command: &mut std::process::Command, why: &str| {
        let ran = Ran::of(command).ends(2);
        assert!(ran.stderr.contains(why) && ran.stderr.lines().count() == 1, "{why}: {}", ran.stderr);
    };
    let mut other = history.files.clone();
    other.swap(0, 3);
    refused(&mut durable(&place, 1, &other), "file 1 of this replay was");
    refused(&mut durable(&place, 1, &history.files[1..]), "file 1 of this replay was");
    refused(durable(&place, 1, &history.files).args(["--record-bytes-max", "1000"]), "begun with --record-bytes-max");
    refused(&mut durable(&place, 1, &[PathBuf::from("-")]), "stdin cannot be a part of a durable replay");
    let mut bytes = std::fs::read(&history.files[3]).expect("a file");
    bytes.extend_from_slice(b"{}\n");
    std::fs::write(&history.files[3], bytes).expect("room");
    refused(&mut durable(&place, 1, &history.files), "is not what it was when this replay was begun");
    refused(&mut place.replay(["--state", "durable", "x"]), "--state durable needs --data-dir");
    let record = place.path("data/replay.json");
    let text = std::fs::read_to_string(&record).expect("what it was given");
    std::fs::write(&record, text.replace("eddy 1 ", "eddy 2 ")).expect("room");
    refused(&mut durable(&place, 1, &history.files), "newer than 1");
    std::fs::write(&record, text.replace("\"texts\": 1", "\"texts\": 2")).expect("room");
    refused(&mut durable(&place, 1, &history.files), "replay.json is damaged");
    std::fs::remove_file(&record).expect("it was there");
    refused(&mut durable(&place, 1, &history.files), "replay.json is not there, but its state is");
}

#[test]
fn two_replays_do_not_share_a_state() {
    let place = Place::new();
    let history = history(&place, 6);
    let _lock = {
        std::fs::create_dir_all(place.path("data/state")).expect("a folder");
        eddy::journal::Lock::take(&place.path("data/state")).expect("nobody has it")
    };
    let ran = Ran::of(&mut durable(&place, 1, &history.files)).ends(2);
    assert!(ran.stderr.contains(&format!("in use by process {}", std::process::id())), "{}", ran.stderr);
}

/// All files of a state, but for the lock.
fn state_files(data: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in std::fs::read_dir(data).expect("a state") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(state_files(&path)),
            false if path.ends_with("lock") || path.metadata().expect("a file").len() == 0 => {}
            false => files.push(path),
        }
    }
    files.sort();
    files
}

#[test]
fn a_flipped_bit_in_any_file_is_found_or_harmless() {
    let place = Place::new();
    let history = history(&place, 8);
    let (mut random, mut found, mut kinds) = (Random(8), 0, std::collections::BTreeSet::new());
    Ran::of(&mut durable(&place, 1, &history.files)).ends(0);
    let (data, kept) = (place.path("data"), place.path("kept"));
    let copy = |from: &Path, to: &Path| {
        let done = std::process::Command::new("cp").arg("-rT").args([from, to]).status().expect("cp is there");
        assert!(done.success());
    };
    copy(&data, &kept);
    for flip in 0..FLIPS {
        std::fs::remove_dir_all(&data).expect("it is there");
        copy(&kept, &data);
        // Each file is as likely, however small.
        let path = random.pick(&state_files(&data));
        let mut bytes = std::fs::read(&path).expect("a file");
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        std::fs::write(&path, bytes).expect("room");
        kinds.insert(path.file_stem().expect("a name").to_string_lossy()[..3].to_owned());
        let again = format!("flip {flip} in {} at {at}", path.display());
        let ran = Ran::of(&mut durable(&place, 1, &history.files));
        if ran.code == 0 {
            // Taken for a torn tail: what it held was read again. Or a text that nobody asks for.
            is_right(&place, ran, &history, &again);
        } else {
            assert!(ran.stderr.contains("is damaged") && ran.stderr.contains("with --rebuild"), "{again}: {}", ran.stderr);
            found += 1;
            if found % 8 == 1 {
                // (Archives and plain files alike.)
                let anew = Ran::of(durable(&place, 2, &history.files).arg("--rebuild"));
                is_right(&place, anew, &history, &again);
                is_right(&place, Ran::of(&mut durable(&place, 1, &history.files)), &history, &again);
            }
        }
    }
    assert!(found > FLIPS / 2, "most are found: {found}");
    assert!(kinds.len() >= 4, "frames, snapshots, texts, manifests: {kinds:?}");
}
