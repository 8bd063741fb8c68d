//! Snapshots against the frames that they are made of.

use eddy_schemas::frame::Head;
use eddy_schemas::stored;

use super::*;
use crate::engine::ticks::Tick;
use crate::journal;

/// A journal of the ticks 1.., whose workers' frames do not stand in order: of each tick the last worker's comes one tick late.
fn journal(dir: &Path, ticks: u64) -> Journal {
    let journal = Journal::open(dir, journal::Config { segment_bytes: 400, ..journal::Config::default() }).expect("a folder");
    let write = |tick, worker| {
        let mut frame = vec![];
        Head::part(tick, worker, 2).encode(&mut frame);
        journal.append(&[&frame]).expect("room");
        frame.clear();
        Head { tick, worker, workers: 2, binding: if worker == 0 { format!("tick {tick}") } else { String::new() }, ..Head::default() }
            .encode(&mut frame);
        journal.append(&[frame]).expect("room");
    };
    for tick in 1..=ticks {
        write(tick, 0);
        if tick > 1 {
            write(tick - 1, 1);
        }
    }
    journal
}

fn ticks(journal: &Journal, after: u64) -> Vec<u64> {
    let mut ticks = Ticks::after(journal, after);
    let whole = |tick: Tick| {
        assert_eq!((tick.frames.len(), tick.binding()), (4, format!("tick {}", tick.number).as_str()), "two of each worker");
        tick.number
    };
    std::iter::from_fn(|| ticks.next_whole().expect("frames").map(whole)).collect()
}

#[test]
fn a_snapshot_does_not_go_beyond_the_recovery_point_and_every_later_frame_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = journal(&dir.path().join("state"), 60);
    let mut snapshots = Snapshots::open(&dir.path().join("snapshots")).expect("a folder");
    let (mut first, mut most, sealed) = (0, 0, journal.sealed_end());
    for upto in [0, 7, 7, 20, 3, 41, u64::MAX] {
        snapshots.take(&journal, upto, None).expect("room");
        let at = snapshots.manifest.tick;
        most = most.max(upto);
        assert!(at <= most, "a snapshot at {at} beyond {most}");
        assert_eq!(ticks(&journal, at), (at + 1..60).collect::<Vec<_>>(), "after {upto}");
        let now = journal.range().start;
        assert!(now >= first && (upto == u64::MAX || now < sealed));
        first = now;
        // As after a restart.
        snapshots = Snapshots::open(&dir.path().join("snapshots")).expect("a folder");
        assert_eq!(
            (snapshots.manifest.tick, snapshots.manifest.binding.clone()),
            (at, if at > 0 { format!("tick {at}") } else { String::new() })
        );
    }
    assert!(snapshots.manifest.tick > 41 && first > 0, "without a sink to wait for, it goes on");
}

/// A version of one of a few messages, as rows have it.
fn row(id: usize, seq: i64, body: &str) -> Vec<u8> {
    let line = format!(r#"{{"op":"c","id":"m{id}","link_id":"t3_s","author":"ann","body":"{body}","created_utc":1,"seq":{seq}}}"#);
    let context = eddy_schemas::parse::Context { place: eddy_schemas::Place::new(0, seq as u64), received_at_ms: None, now: 1_800_000_000 };
    let eddy_schemas::parse::Parsed::Version(version, _) = eddy_schemas::parse::parse(line.as_bytes(), &context) else {
        panic!("a version: {line}")
    };
    let mut row = vec![];
    stored::version(&version, &mut row);
    row
}

/// The bytes of an id, and a version's number.
type Known = (Vec<u8>, i64);

/// The rows of a snapshot.
fn rows(snapshots: &Snapshots) -> Vec<Known> {
    let (mut merge, mut rows) = (snapshots.read().expect("runs"), vec![]);
    while let Some(row) = merge.version().expect("runs") {
        rows.push((stored::id(row).expect("a row").to_vec(), stored::number(row).expect("a row")));
    }
    rows
}

fn frame(rows: &[Vec<u8>], letters: usize) -> crate::engine::ticks::Frame {
    let letter =
        |line| eddy_schemas::control::DeadLetter { line, raw: "x".repeat(1_000), ..serde_json::from_str(LETTER).expect("a letter") };
    let head = Head { letters: (0..letters as u64).map(letter).collect(), ..Head::part(1, 0, 1) };
    crate::engine::ticks::Frame { head, rows: rows.concat().into() }
}

const LETTER: &str = r#"{"file":"f","line":1,"offset":0,"reason":"not_json","raw":"","raw_base64":false,"raw_bytes":0}"#;

#[test]
fn a_draft_has_the_last_version_of_each_id_and_nothing_of_the_run_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut draft = Draft::default();
    let write = |draft: &mut Draft, number| {
        let mut run = Writer::new(files::disk(), dir.path(), number).expect("room");
        draft.write(&mut run).expect("room");
        let mut merge = Merge::new(&*files::disk(), dir.path(), &[run.end().expect("room")], None).expect("a run");
        let mut numbers = vec![];
        while let Some(row) = merge.version().expect("a run") {
            numbers.push(stored::number(row).expect("a row"));
        }
        numbers.sort_unstable();
        let letters = std::iter::from_fn(|| merge.letter().expect("a run")).count();
        (numbers, letters)
    };
    draft.add(frame(&[row(1, 1, "a"), row(2, 2, "a")], 1)).expect("rows");
    draft.add(frame(&[row(2, 4, "b"), row(1, 3, "b"), row(2, 5, "c")], 2)).expect("rows");
    assert!(draft.bytes() > 3_000, "letters take room, too");
    assert_eq!(write(&mut draft, 1), (vec![3, 5], 3));
    assert!(draft.is_empty());
    // One that fails leaves nothing once it is cleared.
    let whole = row(3, 6, "a");
    assert!(draft.add(frame(&[row(1, 7, "a"), whole[..whole.len() - 1].to_vec()], 1)).is_err(), "it ends in the middle of a row");
    draft.clear();
    draft.add(frame(&[row(4, 8, "a")], 0)).expect("rows");
    assert_eq!(write(&mut draft, 2), (vec![8], 0));
}

/// States whose messages move to and fro between them, some of them small enough to have snapshots of several runs.
#[test]
fn what_is_adopted_of_several_states_is_the_greatest_version_of_each_message() {
    use rand::{Rng, SeedableRng};
    for seed in 0..20u64 {
        let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
        let dir = tempfile::tempdir().expect("a folder");
        let mut greatest = BTreeMap::<Vec<u8>, i64>::new();
        let (mut seq, mut tick, mut sources) = (0, 0, vec![]);
        let share = Share { journals: 2, ..Share::WHOLE };
        for source in 0..3 {
            let folder = dir.path().join(source.to_string());
            let config = journal::Config { segment_bytes: 600, ..journal::Config::default() };
            let journal = Journal::open(&folder.join("state"), config).expect("a folder");
            let mut snapshots = Snapshots::open(&folder.join("snapshots")).expect("a folder").among(share);
            // Ticks of the first two overlap, as those of two processes do.
            tick = if source == 1 { 0 } else { tick };
            for _ in 0..random.random_range(1..60) {
                tick += 1;
                let mut frame = vec![];
                Head { tick, worker: source % 2, workers: 2, binding: tick.to_string(), ..Head::default() }.encode(&mut frame);
                for _ in 0..random.random_range(0..4) {
                    // One in ten is as good as the last one elsewhere, and only its text tells.
                    seq += i64::from(random.random_range(0..10) > 0);
                    // Of one generation each process has messages of its own.
                    let row = row(random.random_range(0..20) * 2 + usize::from(source == 1), seq, &format!("{source}"));
                    let whole = stored::split(&row).expect("a row").0;
                    let (id, number) = (stored::id(whole).expect("a row").to_vec(), stored::number(whole).expect("a row"));
                    greatest.insert(id, number);
                    frame.extend_from_slice(&row);
                }
                journal.append(&[frame]).expect("room");
                if random.random_range(0..9) == 0 {
                    snapshots.take(&journal, tick.saturating_sub(2), None).expect("room");
                }
            }
            journal.sync().expect("room");
            drop((journal, snapshots));
            sources.push(adopt::Source::look(&files::disk(), &folder, share, tick).expect("it is there"));
        }
        let own = Journal::open(&dir.path().join("own/state"), journal::Config::default()).expect("a folder");
        let mut snapshots = Snapshots::open(&dir.path().join("own/snapshots")).expect("a folder").among(share).adopting(sources);
        snapshots.take(&own, 0, None).expect("room");
        assert!(snapshots.manifest.adopted && snapshots.manifest.tick >= tick);
        for snapshots in [snapshots, Snapshots::open(&dir.path().join("own/snapshots")).expect("a folder")] {
            let mut rows = rows(&snapshots);
            rows.sort();
            rows.dedup();
            assert_eq!(rows, greatest.clone().into_iter().collect::<Vec<_>>(), "seed {seed}");
        }
        let left: Vec<_> = (0..3).map(|source| std::fs::read_dir(dir.path().join(source.to_string())).expect("a folder").count()).collect();
        assert_eq!(left, [0, 0, 0], "the sources are gone");
    }
}
