//! The journal against a list of what was appended, and against everything that can happen to its files.

mod crash;
mod damage;
mod golden;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tempfile::TempDir;

use super::*;

/// Random numbers whose seed is printed when the test fails.
pub(crate) struct Seeded {
    pub random: Xoshiro256PlusPlus,
    seed: u64,
}

pub(crate) fn seeded() -> Seeded {
    let given = std::env::var("EDDY_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    let seed = given.unwrap_or_else(now);
    Seeded { random: Xoshiro256PlusPlus::seed_from_u64(seed), seed }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let thread = std::thread::current();
            eprintln!("again: EDDY_SEED={} cargo test -p eddy --lib -- {}", self.seed, thread.name().unwrap_or_default());
        }
    }
}

/// Runs a test with each of so many seeds, or with the one that `EDDY_SEED` names.
pub(crate) fn each_seed(runs: u64, mut test: impl FnMut(u64)) {
    let given = std::env::var("EDDY_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in given.map_or(0..runs, |seed| seed..seed + 1) {
        let _again = Seeded { random: Xoshiro256PlusPlus::seed_from_u64(seed), seed };
        test(seed);
    }
}

/// Segments so small that a few frames fill one.
fn small() -> Config {
    Config { segment_bytes: 400, sealed_open_max: 2 }
}

fn open(dir: &Path) -> Journal {
    Journal::open(dir, small()).expect("the folder opens")
}

/// Payloads that tell where they belong.
fn payload(number: u64) -> Vec<u8> {
    format!("frame {number} ").repeat(1 + number as usize % 4).into_bytes()
}

fn fill(journal: &Journal, frames: u64) {
    for number in journal.range().end..frames {
        assert_eq!(journal.append(&[payload(number)]).expect("appends"), number..number + 1);
    }
}

fn check(journal: &Journal, from: u64, end: u64) {
    let mut expected = from;
    let next = journal.replay::<Error>(from, |number, bytes| {
        assert_eq!(number, expected);
        assert_eq!(bytes, payload(number));
        expected += 1;
        Ok(())
    });
    assert_eq!(next.expect("reads back"), end);
    assert_eq!(journal.range().end, end);
}

/// Segments of a folder, the oldest first.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(dir).expect("is there").map(|entry| entry.expect("is there").path()).collect();
    all.retain(|path| path.extension().is_some_and(|end| end == "journal"));
    all.sort();
    all
}

#[test]
fn a_chunk_that_is_kept_is_not_altered_by_later_reads_into_its_buffer_and_one_that_is_not_leaves_its_room() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = open(dir.path());
    fill(&journal, 60);
    let mut buffer = bytes::BytesMut::new();
    let is_right = |chunk: &Chunk| chunk.iter().for_each(|(number, bytes)| assert_eq!(bytes, payload(number)));
    let kept: Vec<Chunk> = (0..60).map(|from| journal.read_into(&mut buffer, from, 100).expect("frames")).collect();
    kept.iter().for_each(is_right);
    assert_eq!(kept.iter().map(Chunk::len).min(), Some(1));
    drop(kept);
    // It goes round in one piece of memory, once that is large enough.
    (0..60).for_each(|from| drop(journal.read_into(&mut buffer, from, 100)));
    let mut places = std::collections::BTreeSet::new();
    for from in (0..60).cycle().take(6_000) {
        let chunk = journal.read_into(&mut buffer, from, 100).expect("frames");
        is_right(&chunk);
        places.extend(chunk.iter().map(|(_, bytes)| bytes.as_ptr() as usize));
    }
    let (first, last) = (places.first().expect("some"), places.last().expect("some"));
    assert!(last - first < 64 << 10, "in {} bytes", last - first);
}

#[test]
fn frames_read_back_from_any_number_whatever_was_appended_and_reopened() {
    let mut seeded = seeded();
    let random = &mut seeded.random;
    for _ in 0..8 {
        let dir = TempDir::new().expect("a folder");
        let mut model: Vec<Vec<u8>> = vec![];
        let config = Config { segment_bytes: [64, 400, 20_000, 1 << 20][random.random_range(0..4)], sealed_open_max: 2 };
        for _ in 0..4 {
            let journal = Journal::open(dir.path(), config.clone()).expect("opens");
            assert_eq!(journal.cut(), None);
            for _ in 0..random.random_range(0..30) {
                let frames = random.random_range(0..8);
                let frame = |_| vec![random.random::<u8>(); [0, 3, 60, 500, 6000][random.random_range(0..5)]];
                let batch: Vec<_> = (0..frames).map(frame).collect();
                let range = journal.append(&batch).expect("appends");
                assert_eq!(range, model.len() as u64..(model.len() + batch.len()) as u64);
                model.extend(batch);
                match random.random_range(0..8) {
                    0 => journal.sync().expect("syncs"),
                    1 => journal.roll().expect("rolls"),
                    _ => {}
                }
            }
            for _ in 0..50 {
                let from = random.random_range(0..=model.len());
                let bytes_max = [0, 1, 100, 10_000, usize::MAX][random.random_range(0..5)];
                let chunk = journal.read(from as u64, bytes_max).expect("reads");
                assert_eq!(chunk.is_empty(), from == model.len());
                let mut bytes = 0;
                for (at, (number, payload)) in chunk.iter().enumerate() {
                    assert_eq!(number as usize, from + at);
                    assert_eq!(payload, model[from + at]);
                    bytes += payload.len();
                }
                assert!(bytes <= bytes_max || chunk.len() == 1);
            }
            let beyond = journal.read(model.len() as u64 + 1, 1);
            assert!(matches!(beyond, Err(Error::OutOfRange { .. })), "{beyond:?}");
        }
    }
}

#[test]
fn readers_and_syncs_run_beside_appends_from_many_threads() {
    let dir = TempDir::new().expect("a folder");
    let journal = Journal::open(dir.path(), Config { segment_bytes: 10_000, sealed_open_max: 2 }).expect("opens");
    const EACH: u64 = 2_000;
    std::thread::scope(|threads| {
        for thread in 0..4u64 {
            let journal = &journal;
            threads.spawn(move || {
                for n in 0..EACH {
                    let frame = [thread.to_le_bytes(), n.to_le_bytes()].concat();
                    let range = journal.append(&[&frame]).expect("appends");
                    let chunk = journal.read(range.start, 1).expect("reads its own writes");
                    assert_eq!(chunk.iter().next().expect("one frame"), (range.start, &frame[..]));
                    if n % 500 == 0 {
                        journal.sync().expect("syncs");
                    }
                }
            });
        }
    });
    let mut next = [0; 4];
    let end = journal.replay::<Error>(0, |_, frame| {
        let (thread, n) = (frame[0] as usize, u64::from_le_bytes(frame[8..].try_into().expect("eight bytes")));
        assert_eq!(n, next[thread]);
        next[thread] += 1;
        Ok(())
    });
    assert_eq!((end.expect("reads"), next), (4 * EACH, [EACH; 4]));
}

#[test]
fn truncation_drops_whole_segments_and_says_what_is_held() {
    let dir = TempDir::new().expect("a folder");
    let journal = open(dir.path());
    fill(&journal, 100);
    let before = segments(dir.path()).len();
    let first = journal.truncate_before(50).expect("truncates");
    assert!(first <= 50 && first > 30, "{first}");
    assert!(segments(dir.path()).len() < before);
    assert!(matches!(journal.read(first - 1, 1), Err(Error::OutOfRange { held, .. }) if held == (first..100)));
    check(&journal, first, 100);
    drop(journal);
    let journal = open(dir.path());
    assert_eq!(journal.range(), first..100);
    check(&journal, first, 100);
    journal.roll().expect("rolls");
    assert_eq!(journal.truncate_before(u64::MAX).expect("truncates"), 100);
    drop(journal);
    let journal = open(dir.path());
    assert_eq!(journal.range(), 100..100);
    fill(&journal, 110);
    check(&journal, 100, 110);
}

#[test]
fn a_folder_in_use_is_refused_and_names_the_process() {
    let dir = TempDir::new().expect("a folder");
    let journal = open(dir.path());
    match Journal::open(dir.path(), small()) {
        Err(Error::InUse { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("{:?}", other.err()),
    }
    drop(journal);
    open(dir.path());
}

#[test]
fn a_folder_is_abandoned_when_who_locked_it_is_gone() {
    let dir = TempDir::new().expect("a folder");
    assert!(!is_abandoned(dir.path()), "never locked");
    std::fs::write(dir.path().join("lock"), "").expect("written");
    assert!(!is_abandoned(dir.path()), "about to be locked");
    let lock = Lock::take(dir.path()).expect("free");
    assert!(!is_abandoned(dir.path()), "held");
    drop(lock);
    assert!(is_abandoned(dir.path()));
}

#[test]
fn rewritten_frames_keep_their_numbers_and_the_old_bytes_go() {
    let dir = TempDir::new().expect("a folder");
    let journal = open(dir.path());
    fill(&journal, 60);
    let changed = journal.rewrite(|number, old| Ok::<_, Error>((number % 7 == 3).then(|| old[..5].to_ascii_uppercase())));
    assert_eq!(changed.expect("room"), 9);
    journal.append(&[payload(60)]).expect("it goes on");
    let check = |journal: &Journal| {
        let mut numbers = 0..;
        let end = journal.replay(0, |number, bytes| {
            assert_eq!(numbers.next(), Some(number));
            let expected = if number % 7 == 3 && number < 60 { b"FRAME".to_vec() } else { payload(number) };
            assert_eq!(bytes, expected);
            Ok::<_, Error>(())
        });
        assert_eq!(end.expect("sound"), 61);
    };
    check(&journal);
    drop(journal);
    check(&open(dir.path()));
    for entry in fs::read_dir(dir.path()).expect("a folder") {
        let bytes = fs::read(entry.expect("an entry").path()).expect("a file");
        assert!(!bytes.windows(9).any(|window| window == b"frame 3 f" || window == b"frame 10 "), "an old payload is left");
    }
}

#[test]
fn a_journal_is_read_beside_its_writer_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(Journal::look(dir.path(), small()).expect("an empty folder").is_none());
    let journal = open(dir.path());
    fill(&journal, 70);
    let last = journal.shared.read().active.path.clone();
    let looked = Journal::look(dir.path(), small()).expect("it is not locked out").expect("there is one");
    check(&looked, 0, 70);
    assert!(matches!(looked.append(&[payload(70)]), Err(Error::Failed { .. })), "it is not for writing");
    fill(&journal, 71);
    check(&looked, 0, 70);
    // As a writer leaves it that was frozen in the middle of a frame.
    let whole = fs::read(&last).expect("the last segment");
    let torn = [&whole[..], &whole[whole.len() - 9..]].concat();
    fs::write(&last, &torn).expect("room");
    check(&Journal::look(dir.path(), small()).expect("a torn tail").expect("there is one"), 0, 71);
    assert_eq!(fs::read(&last).expect("it is there"), torn);
}
