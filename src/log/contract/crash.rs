//! The embedded log after reopening: as it was, torn at any byte, and killed while it appends.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;

/// So small that most kills come near the change from one segment to the next.
fn small() -> Config {
    Config { segment_bytes: 600, sealed_open_max: 2 }
}

fn open(dir: &Path) -> Embedded {
    Embedded::open(dir, COUNTS, &small()).expect("opens")
}

/// The same for records so many times as long.
fn open_for(dir: &Path, size_of_x: usize) -> Embedded {
    let config = Config { segment_bytes: 600 * size_of_x as u32, sealed_open_max: 2 };
    Embedded::open(dir, COUNTS, &config).expect("opens")
}

#[test]
fn a_reopened_log_holds_what_it_held() {
    let dir = TempDir::new().expect("a folder");
    let mut before = vec![];
    for round in 0..5 {
        // The counts that a log was made with stay, whatever is configured later.
        let counts = if round == 0 { COUNTS } else { Counts { reddit: 9, telegram: 1 } };
        let log = Embedded::open(dir.path(), counts, &small()).expect("opens");
        assert_eq!(log.cuts().count(), 0);
        assert_eq!(log.partitions().len(), 7);
        let held: Vec<_> = log.partitions().into_iter().map(|partition| all(&log, partition, 1000)).collect();
        if round > 0 {
            assert_eq!(held, before);
        }
        for n in 0..40 {
            log.append(Topic::ALL[n % 4], &[record(n as u64, format!("{round} {n}"))]).expect("appends");
        }
        before = log.partitions().into_iter().map(|partition| all(&log, partition, 1000)).collect();
    }
}

#[test]
fn a_tail_torn_at_any_byte_loses_only_the_last_record() {
    let dir = TempDir::new().expect("a folder");
    let control = Partition { topic: Topic::Control, number: 0 };
    let log = open(dir.path());
    log.append(Topic::Control, &(0..5).map(|n| record(n, format!("value {n}"))).collect::<Vec<_>>()).expect("appends");
    let held = all(&log, control, 1000);
    drop(log);
    let path = dir.path().join("eddy.control.0/00000000000000000000.journal");
    let bytes = fs::read(&path).expect("reads");
    let record_bytes = (bytes.len() - 32) / 5;
    for torn in 1..=record_bytes {
        fs::write(&path, &bytes[..bytes.len() - torn]).expect("writes");
        let log = open(dir.path());
        let cuts: Vec<_> = log.cuts().map(|(partition, cut)| (partition, cut.bytes as usize)).collect();
        assert_eq!(cuts, if torn < record_bytes { vec![(control, record_bytes - torn)] } else { vec![] });
        assert_eq!(all(&log, control, 1000), held[..4]);
        log.append(Topic::Control, &[record(4, "value 4")]).expect("appends");
        assert_eq!(all(&log, control, 1000), held);
    }
}

#[test]
fn a_missing_partition_or_a_newer_manifest_is_refused() {
    let dir = TempDir::new().expect("a folder");
    drop(open(dir.path()));
    let manifest = dir.path().join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("reads");
    for changed in [text.replace("\"format\": 1", "\"format\": 2"), text.replace("eddy.control", "eddy.new"), "{".into()] {
        fs::write(&manifest, changed).expect("writes");
        assert!(matches!(Embedded::open(dir.path(), COUNTS, &small()), Err(Error::Manifest { .. })));
    }
    fs::write(&manifest, &text).expect("writes");
    drop(open(dir.path()));
    fs::remove_dir_all(dir.path().join("eddy.telegram.1")).expect("removes");
    assert!(matches!(Embedded::open(dir.path(), COUNTS, &small()), Err(Error::Manifest { .. })));
}

#[test]
fn a_topic_that_came_later_is_added_to_an_old_log() {
    let dir = TempDir::new().expect("a folder");
    drop(open(dir.path()));
    let manifest = dir.path().join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("reads");
    let older = text.replace("\"eddy.control\": 1,", "");
    assert_ne!(older, text);
    fs::remove_dir_all(dir.path().join("eddy.control.0")).expect("removes");
    fs::write(&manifest, older).expect("writes");
    drop(open(dir.path()));
    assert_eq!(fs::read_to_string(&manifest).expect("reads"), text);
}

#[test]
fn a_log_in_use_is_refused() {
    let dir = TempDir::new().expect("a folder");
    let _log = open(dir.path());
    let refused = Embedded::open(dir.path(), COUNTS, &small());
    assert!(matches!(refused, Err(Error::Journal(crate::journal::Error::InUse { .. }))));
}

const CHILD: &str = "EDDY_TEST_CHILD_APPENDS_TO";

/// What the killed process is: appends to the folder, and says what was acknowledged. Nothing by itself.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let mut words = task.splitn(3, ' ');
    let mut word = || words.next().expect("a session, a size and a folder");
    let (session, size_of_x, dir) = (word(), word().parse::<usize>().expect("a number"), word());
    let log = open_for(Path::new(dir), size_of_x);
    let filling = "x".repeat(size_of_x);
    let mut n = 0;
    loop {
        let size = 1 + n % 7;
        let records: Vec<_> = (n..n + size).map(|n| record(n % 11, format!("{session} {n} {}", filling.repeat(n as usize % 60)))).collect();
        let gone = log.append(Topic::Reddit, &records).expect("appends");
        if n % 5 == 0 {
            log.sync().expect("syncs");
        }
        let mut said = String::new();
        for ((partition, offset), n) in gone.into_iter().zip(n..) {
            said += &format!("ack {} {offset} {session} {n}\n", partition.number);
        }
        std::io::stderr().write_all(said.as_bytes()).expect("the parent listens");
        n += size;
    }
}

/// Starts a child, kills it after so many acknowledged records and so long; gives what was acknowledged.
fn kill_one(dir: &Path, session: u64, size_of_x: usize, acks: usize, delay: Duration) -> Vec<[u64; 4]> {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["log::contract::crash::child", "--exact", "--nocapture"])
        .env(CHILD, format!("{session} {size_of_x} {}", dir.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped"));
    let mut acked = vec![];
    let mut killed = false;
    loop {
        if acked.len() >= acks && !killed {
            thread::sleep(delay);
            child.kill().expect("kills");
            killed = true;
        }
        let mut line = String::new();
        if lines.read_line(&mut line).expect("reads") == 0 || !line.ends_with('\n') {
            break;
        }
        match line.strip_prefix("ack ") {
            Some(ack) => {
                let numbers: Vec<u64> = ack.split_whitespace().map(|n| n.parse().expect("a number")).collect();
                acked.push(numbers.try_into().expect("four numbers"));
            }
            None => panic!("the child said: {line}"),
        }
    }
    child.wait().expect("ends");
    assert!(killed, "the child ended by itself after {} records", acked.len());
    acked
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let mut seeded = seeded();
    let random = &mut seeded.random;
    let mut cuts = 0;
    // Long records make writes that a kill can part: small ones are whole or not there.
    for size_of_x in [1, 1, 5_000] {
        let dir = TempDir::new().expect("a folder");
        let mut acked: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
        for session in 0..10 {
            let acks = [0, 1, 20, 200][random.random_range(0..4)];
            let delay = Duration::from_micros(random.random_range(0..20_000));
            for [partition, offset, session, n] in kill_one(dir.path(), session, size_of_x, acks, delay) {
                let before = acked.insert((partition, offset), (session, n));
                assert_eq!(before, None, "offset {offset} of partition {partition} was given twice");
            }
            let log = open_for(dir.path(), size_of_x);
            cuts += log.cuts().count();
            check(&log, &acked);
        }
    }
    println!("{cuts} torn tails");
}

/// Every acknowledged record is where it was said to be; what else there is was on its way when the kill came.
fn check(log: &Embedded, acked: &BTreeMap<(u64, u64), (u64, u64)>) {
    let mut most: BTreeMap<u64, u64> = BTreeMap::new();
    for &(session, n) in acked.values() {
        let most = most.entry(session).or_default();
        *most = n.max(*most);
    }
    let mut found = 0;
    for partition in log.partitions().into_iter().filter(|partition| partition.topic == Topic::Reddit) {
        let mut last = None;
        for (record, offset) in all(log, partition, 1 << 20).into_iter().zip(0..) {
            assert_eq!(record.offset, offset);
            let text = String::from_utf8(record.value).expect("is text");
            let numbers: Vec<u64> = text.split_whitespace().take(2).map(|n| n.parse().expect("a number")).collect();
            let (session, n) = (numbers[0], numbers[1]);
            assert!(last < Some((session, n)), "{last:?} comes before {session} {n}");
            last = Some((session, n));
            match acked.get(&(u64::from(partition.number), offset)) {
                Some(said) => {
                    assert_eq!(*said, (session, n));
                    found += 1;
                }
                // Not acknowledged: of the last append of its session.
                None => assert!(most.get(&session).is_none_or(|&most| n > most && n <= most + 7), "{session} {n}"),
            }
        }
    }
    assert_eq!(found, acked.len(), "acknowledged records are missing");
}
