//! Files through the tail into a log in memory.

use std::fs::{self, File};
use std::io::Write;

use super::*;
use crate::clock::Manual;
use crate::log::Memory;
use crate::progress::Bound;

struct Far;

impl Progress for Far {
    fn closed(&self) -> Bound {
        Bound::default()
    }
}

struct Bench {
    dir: tempfile::TempDir,
    log: Arc<dyn Log>,
}

impl Bench {
    fn new() -> Bench {
        let log = Arc::new(Memory::new(log::Counts { reddit: 3, telegram: 2 }));
        Bench { dir: tempfile::tempdir().expect("a folder"), log }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("lines.ndjson")
    }

    /// Opened, and what was noted is finished.
    fn open(&self) -> Tail {
        let mut tail = self.opened(&self.log);
        tail.finish().expect("readable");
        tail
    }

    fn opened(&self, log: &Arc<dyn Log>) -> Tail {
        let parts =
            Parts { log: Arc::clone(log), progress: Arc::new(Far), clock: Arc::new(Manual::new(1)), control: Arc::new(Control::default()) };
        let config =
            Config { files: vec![self.file()], batch_bytes: 600, line_bytes_max: 5_000, ..Config::new(self.dir.path().join("notes")) };
        Tail::open(parts, config).expect("opens")
    }

    fn grow(&self, text: &str) {
        File::options().append(true).create(true).open(self.file()).and_then(|mut file| file.write_all(text.as_bytes())).expect("room");
    }

    /// Every record of the log, in some order.
    fn records(&self) -> Vec<String> {
        let read = |partition| self.log.read(partition, 0, usize::MAX).expect("in memory");
        let mut records: Vec<_> =
            self.log.partitions().into_iter().flat_map(read).map(|record| String::from_utf8(record.value).expect("UTF-8")).collect();
        records.sort();
        records
    }
}

fn line(n: u64) -> String {
    format!(r#"{{"id":"c{n:03}","link_id":"t3_{}","subreddit":"tail","author":"ann","body":"{n}","created_utc":1700000000}}"#, n % 11)
}

fn lines(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(line).collect()
}

/// Notes the first batch of the file, as a process that is killed right after; gives the batch.
fn note_only(bench: &Bench) -> (Tail, growing::Batch) {
    let mut tail = bench.open();
    let batch = tail.files[0].next(600).expect("readable").expect("lines");
    let positions = vec![tail.files[0].position().clone()];
    let note = Note { path: bench.file(), from: batch.from, to: batch.to, positions, ends: tail.router.ends(&*bench.log) };
    tail.notes.write(&note).expect("room");
    (tail, batch)
}

fn drain(tail: &mut Tail) {
    // The second look finds that the file has been replaced.
    while tail.take(0).expect("readable") || tail.take(0).expect("readable") {}
}

#[test]
fn each_whole_line_goes_into_the_log_once_also_over_restarts_and_rotation() {
    let bench = Bench::new();
    let mut tail = bench.open();
    drain(&mut tail);
    bench.grow(&(lines(0..40).join("\n") + "\n\n" + &line(40)[..30]));
    drain(&mut tail);
    assert_eq!(bench.records(), lines(0..40), "the last line has no end yet");
    drop(tail);
    let mut tail = bench.open();
    bench.grow(&(line(40)[30..].to_owned() + "\n" + &line(41)));
    drain(&mut tail);
    assert_eq!(bench.records(), lines(0..41));
    fs::rename(bench.file(), bench.dir.path().join("old")).expect("it is there");
    drain(&mut tail);
    assert_eq!(bench.records(), lines(0..42), "a file that lost its name has no more to come");
    bench.grow(&(lines(42..50).join("\n") + "\n"));
    drain(&mut tail);
    assert_eq!(bench.records(), lines(0..50));
    drop(tail);
    drain(&mut bench.open());
    assert_eq!(bench.records(), lines(0..50));
}

#[test]
fn a_batch_that_a_kill_cut_short_is_finished_and_nothing_of_it_goes_in_twice() {
    for had in 0..6 {
        let bench = Bench::new();
        bench.grow(&(lines(0..30).join("\n") + "\n"));
        // A process that noted a batch, and appended the first records of it.
        let (mut tail, batch) = note_only(&bench);
        let [(topic, mut records), _] = tail.router.records(&batch.lines, 1);
        assert!(records.len() >= 5, "{}", records.len());
        records.truncate(had);
        bench.log.append(topic, &records).expect("in memory");
        drop(tail);
        drain(&mut bench.open());
        assert_eq!(bench.records(), lines(0..30), "{had} of them were there");
    }
}

#[test]
fn a_batch_for_which_there_is_no_room_is_waited_for_by_nobody_else() {
    let bench = Bench::new();
    bench.grow(&(lines(0..30).join("\n") + "\n"));
    drop(note_only(&bench));
    let full = log::memory::Faults { seed: 1, errors_one_in: 1, partial_one_in: 0, short_one_in: 0 };
    let full: Arc<dyn Log> = Arc::new(Memory::with_faults(log::Counts { reddit: 3, telegram: 2 }, full));
    let tail = bench.opened(&full);
    let control = Arc::clone(&tail.parts.control);
    let source = std::thread::spawn(move || tail.run());
    let from = std::time::Instant::now();
    while control.waiting().is_none() {
        assert!(from.elapsed() < Duration::from_secs(60) && !source.is_finished(), "it does not say that it waits");
        std::thread::sleep(Duration::from_millis(1));
    }
    control.stop();
    source.join().expect("no panic").expect("it was told to stop");
    drain(&mut bench.open());
    assert_eq!(bench.records(), lines(0..30), "when there is room it goes on");
}

#[test]
fn a_line_that_is_too_long_goes_in_cut_short() {
    let bench = Bench::new();
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(200_000));
    bench.grow(&format!("{}\n{long}\n{}\n", line(0), line(1)));
    drain(&mut bench.open());
    assert_eq!(bench.records(), [line(0), line(1), long[..TOO_LONG_BYTES].to_owned()]);
    let mut piped = BufReader::with_capacity(100, bench_bytes(&long));
    assert_eq!(read_lines(&mut piped, 600, 5_000).expect("in memory").len(), line(0).len() + 1);
    let cut = read_lines(&mut piped, 600, 5_000).expect("in memory");
    assert!(cut.len() <= 5_001 && cut.ends_with(b"y\n"), "{}", cut.len());
    assert_eq!(read_lines(&mut piped, 600, 5_000).expect("in memory"), (line(1) + "\n").into_bytes(), "an end is not needed at the end");
    assert!(read_lines(&mut piped, 600, 5_000).expect("in memory").is_empty());
}

fn bench_bytes(long: &str) -> std::io::Cursor<String> {
    std::io::Cursor::new(format!("{}\n{long}\n{}", line(0), line(1)))
}
