//! One suite for every log: each clause of [`Log`]'s contract, on every member.

mod crash;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng;
use tempfile::TempDir;

use super::memory::Faults;
use super::*;
use crate::journal::Config;
use crate::journal::tests::seeded;

const COUNTS: Counts = Counts { reddit: 3, telegram: 2 };

struct Member {
    name: &'static str,
    log: Arc<dyn Log>,
    _dir: Option<TempDir>,
}

fn members() -> Vec<Member> {
    let embedded = |name, segment_bytes| {
        let dir = TempDir::new().expect("a folder");
        let config = Config { segment_bytes, sealed_open_max: 2 };
        let log = Arc::new(Embedded::open(dir.path(), COUNTS, &config).expect("opens"));
        Member { name, log, _dir: Some(dir) }
    };
    let short = Faults { seed: 1, errors_one_in: 0, partial_one_in: 0, short_one_in: 2 };
    vec![
        Member { name: "memory", log: Arc::new(Memory::new(COUNTS)), _dir: None },
        Member { name: "memory with short reads", log: Arc::new(Memory::with_faults(COUNTS, short)), _dir: None },
        embedded("embedded", 64 << 20),
        embedded("embedded in small segments", 300),
    ]
}

fn record(key: u64, value: impl Into<Vec<u8>>) -> Append {
    Append { key: format!("key {key}").into_bytes(), value: value.into(), received_at_ms: key as i64 - 5 }
}

/// All records of a partition, in reads of so many bytes.
fn all(log: &dyn Log, partition: Partition, bytes_max: usize) -> Vec<Record> {
    let mut records = vec![];
    loop {
        let some = log.read(partition, records.len() as u64, bytes_max).expect("reads");
        if some.is_empty() {
            return records;
        }
        records.extend(some);
    }
}

#[test]
fn offsets_count_from_0_without_gaps_and_a_key_keeps_its_partition_and_order() {
    let mut seeded = seeded();
    let random = &mut seeded.random;
    for Member { name, log, .. } in members() {
        let mut model: BTreeMap<Partition, Vec<(Vec<u8>, i64)>> = BTreeMap::new();
        let mut homes = BTreeMap::new();
        for _ in 0..60 {
            let topic = Topic::ALL[random.random_range(0..4)];
            let size = random.random_range(0..10);
            let one = |_| record(random.random_range(0..20), vec![random.random(); random.random_range(0..100)]);
            let records: Vec<_> = (0..size).map(one).collect();
            let gone = log.append(topic, &records).expect("appends");
            assert_eq!(gone.len(), records.len(), "{name}");
            for (record, (partition, offset)) in records.into_iter().zip(gone) {
                assert_eq!(partition.topic, topic, "{name}");
                assert_eq!(*homes.entry((topic, record.key.clone())).or_insert(partition), partition, "{name}");
                let held = model.entry(partition).or_default();
                assert_eq!(offset, held.len() as u64, "{name}");
                held.push((record.value, record.received_at_ms));
            }
        }
        for partition in log.partitions() {
            let held = model.remove(&partition).unwrap_or_default();
            assert_eq!(log.end(partition), held.len() as u64, "{name}");
            for bytes_max in [0, 1, 150, usize::MAX] {
                let read = all(&*log, partition, bytes_max);
                assert!(read.iter().zip(0..).all(|(record, offset)| record.offset == offset), "{name}");
                assert!(read.into_iter().map(|record| (record.value, record.received_at_ms)).eq(held.iter().cloned()), "{name}");
            }
        }
        assert!(model.is_empty(), "{name}: {:?} is not listed", model.keys());
    }
}

#[test]
fn partitions_are_listed_by_topic_and_number() {
    for Member { name, log, .. } in members() {
        let expected = Topic::ALL.into_iter().flat_map(|topic| (0..COUNTS.of(topic)).map(move |number| Partition { topic, number }));
        assert_eq!(log.partitions(), expected.collect::<Vec<_>>(), "{name}");
        let none = Partition { topic: Topic::Control, number: 1 };
        assert!(matches!(log.read(none, 0, 1), Err(Error::NoPartition(_))), "{name}");
        assert_eq!(log.end(none), 0, "{name}");
    }
}

#[test]
fn reads_are_bounded_and_give_at_least_one_record() {
    let partition = Partition { topic: Topic::Control, number: 0 };
    for Member { name, log, .. } in members() {
        let records: Vec<_> = (0..50).map(|n| record(n, vec![b'x'; n as usize])).collect();
        log.append(Topic::Control, &records).expect("appends");
        for offset in 0..50 {
            for bytes_max in [0, 1, 30, 100] {
                let read = log.read(partition, offset, bytes_max).expect("reads");
                let bytes: usize = read.iter().map(|record| record.value.len()).sum();
                assert!(!read.is_empty() && (read.len() == 1 || bytes <= bytes_max), "{name}: {bytes} of {bytes_max}");
            }
        }
        assert!(log.read(partition, 50, 1).expect("the end can be read").is_empty(), "{name}");
        match log.read(partition, 51, 1) {
            Err(Error::OutOfRange { held, .. }) => assert_eq!(held, 0..50, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn threads_read_what_they_wrote_and_every_key_stays_in_order() {
    const EACH: u64 = 300;
    for Member { name, log, .. } in members() {
        thread::scope(|threads| {
            for key in 0..4 {
                let log = &log;
                threads.spawn(move || {
                    for n in 0..EACH {
                        let value = format!("{key} {n}").into_bytes();
                        let (partition, offset) = log.append(Topic::Reddit, &[record(key, value.clone())]).expect("appends")[0];
                        assert!(log.end(partition) > offset, "{name}");
                        assert_eq!(log.read(partition, offset, 1).expect("reads")[0].value, value, "{name}");
                    }
                    log.sync().expect("syncs");
                });
            }
        });
        let mut next = [0; 4];
        for partition in log.partitions() {
            for record in all(&*log, partition, 1 << 20) {
                let text = String::from_utf8(record.value).expect("is text");
                let (key, n) = text.split_once(' ').expect("two numbers");
                let next = &mut next[key.parse::<usize>().expect("a number")];
                assert_eq!(n.parse(), Ok(*next), "{name}");
                *next += 1;
            }
        }
        assert_eq!(next, [EACH; 4], "{name}");
    }
}

#[test]
fn waits_wake_at_appends_and_only_then() {
    for Member { name, log, .. } in members() {
        assert_eq!(log.wait(0, Duration::from_millis(5)), 0, "{name}");
        log.append(Topic::Reddit, &[record(1, "a")]).expect("appends");
        let seen = log.wait(0, Duration::from_secs(60));
        assert!(seen > 0, "{name}");
        assert_eq!(log.wait(seen, Duration::ZERO), seen, "{name}");
        let started = Instant::now();
        thread::scope(|threads| {
            let waiting: Vec<_> = (0..3).map(|_| threads.spawn(|| log.wait(seen, Duration::from_secs(60)))).collect();
            thread::sleep(Duration::from_millis(20));
            log.append(Topic::DeadLetters, &[record(1, "b")]).expect("appends");
            assert!(waiting.into_iter().all(|waiting| waiting.join().expect("no panic") > seen), "{name}");
        });
        assert!(started.elapsed() < Duration::from_secs(30), "{name}");
        log.append(Topic::Reddit, &[]).expect("appends nothing");
        log.append(Topic::Reddit, &[record(1, "c")]).expect("appends");
        assert!(log.wait(seen, Duration::MAX) > seen, "{name}: an endless wait ends too");
    }
}

#[test]
fn after_an_error_appending_again_repeats_at_most_and_loses_nothing() {
    let mut seeded = seeded();
    let faults = Faults { seed: seeded.random.random(), errors_one_in: 3, partial_one_in: 3, short_one_in: 3 };
    let log = Memory::with_faults(COUNTS, faults);
    let mut errors = 0;
    for n in 0..200u64 {
        let records: Vec<_> = (0..5).map(|i| record(i, (n * 5 + i).to_string())).collect();
        while let Err(error) = log.append(Topic::Reddit, &records) {
            assert!(error.is_transient());
            errors += 1;
        }
    }
    assert!(errors > 0);
    let mut seen = std::collections::BTreeSet::new();
    for partition in log.partitions() {
        let mut offset = 0;
        while offset < log.end(partition) {
            for record in log.read(partition, offset, 1 << 20).unwrap_or_default() {
                assert_eq!(record.offset, offset);
                offset += 1;
                seen.insert(String::from_utf8(record.value).expect("is text").parse::<u64>().expect("a number"));
            }
        }
    }
    assert!(seen.into_iter().eq(0..1000));
}

#[test]
fn texts_are_read_again_by_their_place() {
    use crate::texts::Texts;
    use eddy_schemas::Place;

    for Member { name, log, .. } in members() {
        let at = log.partitions().iter().position(|partition| partition.topic == Topic::Reddit).expect("is there") as u32;
        let raw = r#"{"id":"c1","link_id":"t3_s","subreddit":"r","author":"a","body":"Hé","created_utc":1,"retrieved_on":2}"#;
        let tombstone = r#"{"op":"d","id":"t1_c1","link_id":"t3_s","seq":3}"#;
        let mut places = vec![];
        for raw in [raw, tombstone, "not JSON"] {
            let (partition, offset) = log.append(Topic::Reddit, &[record(7, raw)]).expect("appends")[0];
            places.push(Place::new(at + partition.number, offset));
        }
        let texts = texts::LogTexts::new(log.clone());
        assert_eq!(texts.text(places[0]).expect("has a text"), "Hé", "{name}");
        for place in [places[1], places[2], Place::new(at, 99), Place::new(999, 0)] {
            assert_eq!(texts.text(place).expect_err("has no text").place, place, "{name}");
        }
    }
}
