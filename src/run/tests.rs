//! The pipeline over a log in memory, with a clock that a test sets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use eddy_dataflows::Keep;
use eddy_schemas::rows::{Communities, CommunityActivity, CommunityHours, UserHours, Users};
use eddy_schemas::{Cell, Name, Row, View};

use super::*;
use crate::clock::Manual;
use crate::engine::durable::Fsync;
use crate::engine::partitions::Activity;
use crate::log::texts::LogTexts;
use crate::log::{Append, Topic};
use crate::store::{AsOf, Memory, Stored};

const START_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
/// Longer than any tick takes; a test that waits this long has failed.
const TICK_MAX: Duration = Duration::from_secs(60);

struct Bench {
    clock: Arc<Manual>,
    parts: Parts,
    running: Running,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(workers: usize) -> Bench {
        Bench::over(Arc::new(log::Memory::new(log::Counts { reddit: 3, telegram: 1 })), START_MS, workers, |_| {})
    }

    fn over(log: Arc<dyn Log>, now_ms: i64, workers: usize, configure: impl FnOnce(&mut Config)) -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let clock = Arc::new(Manual::new(now_ms));
        let parts = Parts {
            texts: Arc::new(LogTexts::new(Arc::clone(&log))),
            log,
            store: Arc::new(Memory::new()),
            telemetry: Arc::new(Telemetry::new()),
            clock: Arc::clone(&clock) as _,
            forgotten: Arc::default(),
        };
        let mut config = Config { tick_ms_min: 0, ..Config::default() };
        config.engine.workers = workers;
        configure(&mut config);
        let running = Running::start(parts.clone(), config, runtime.handle().clone()).expect("starts");
        Bench { clock, parts, running, _runtime: runtime }
    }

    /// Appends a comment that was received just now.
    fn comment(&self, id: u64, user: &str, created_ms: i64) -> (Partition, u64) {
        let (conversation, at) = (id % 7, created_ms / 1000);
        let value = format!(
            r#"{{"id":"run{id}","link_id":"t3_run{conversation}","subreddit":"run","author":"{user}","body":"x","created_utc":{at}}}"#
        );
        self.append(&value, &conversation.to_string())
    }

    fn append(&self, value: &str, key: &str) -> (Partition, u64) {
        let record = Append { key: key.into(), value: value.into(), received_at_ms: self.parts.clock.now_ms() };
        self.parts.log.append(Topic::Reddit, &[record]).expect("a log in memory")[0]
    }

    /// The bound that shows a record.
    fn shown(&self, (partition, offset): (Partition, u64)) -> Bound {
        let (progress, from) = (self.running.progress(), Instant::now());
        loop {
            let bound = progress.closed();
            if bound.covers(partition, offset) {
                return bound;
            }
            assert!(from.elapsed() < TICK_MAX && !self.running.has_ended(), "{partition:?} {offset} was not shown");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn get(&self, keys: &[(&'static View, Vec<Cell>)]) -> AsOf<Vec<Option<Stored>>> {
        let asked = self.parts.store.get_many(keys);
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(asked).expect("answers")
    }
}

fn name(key: &str) -> Cell {
    Cell::Key(Name::of(key))
}

#[test]
fn a_tick_is_not_before_what_it_covers_was_received_also_after_an_idle_hour() {
    for workers in [1, 3] {
        let bench = Bench::new(workers);
        let first = bench.shown(bench.comment(1, "run_ann", START_MS));
        assert_eq!(first.tick, START_MS as u64, "there is nothing that it would have to follow");
        let later = START_MS + HOUR_MS;
        bench.clock.advance(HOUR_MS);
        let second = bench.shown(bench.comment(2, "run_ann", later));
        assert!(second.tick >= later as u64, "{second:?}");
        let AsOf { value, tick } = bench.get(&[(Users::VIEW, vec![name("reddit:run_ann")])]);
        let row = value[0].as_ref().expect("two messages");
        assert_eq!(row.cells[1], Cell::Int(2));
        assert!(row.as_of >= later as u64 && row.as_of <= tick, "{row:?} as of {tick}");
        // A clock that stands or goes back does not take ticks with it.
        bench.clock.set(START_MS);
        let third = bench.shown(bench.comment(3, "run_ann", START_MS));
        assert!(third.tick > second.tick, "{third:?} after {second:?}");
        bench.running.stop().expect("no error");
    }
}

#[test]
fn an_idle_partition_holds_nothing_back_and_a_stalled_one_is_seen() {
    let bench = Bench::new(2);
    let telemetry = &bench.parts.telemetry;
    let created_ms = START_MS - HOUR_MS;
    let first = bench.comment(1, "run_ed", created_ms);
    bench.shown(first);
    assert_eq!(telemetry.snapshot().watermark, 0, "the others may bring anything");
    bench.clock.advance(Config::default().partition_idle_ms + 1);
    // Of the same conversation, so from the same partition.
    let second = bench.comment(8, "run_ed", created_ms + 7_000);
    bench.shown(second);
    let told = telemetry.snapshot();
    assert_eq!((told.watermark, second.0), (created_ms / 1_000 + 7, first.0));
    let states = |of: Activity| telemetry.snapshot().partitions.iter().filter(|partition| partition.state == of).count();
    assert_eq!((states(Activity::Active), states(Activity::Idle)), (1, 3), "{told:?}");
    assert!(telemetry.encode().contains(&format!("eddy_watermark_timestamp_seconds {}", told.watermark)));
    bench.running.stalled(true);
    let from = Instant::now();
    while states(Activity::Stalled) < 4 {
        assert!(from.elapsed() < TICK_MAX, "it is not seen");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(telemetry.encode().contains("state=\"stalled\"} 1"));
    bench.running.stop().expect("no error");
}

#[test]
fn a_tick_that_changes_nothing_is_applied_too() {
    let bench = Bench::new(2);
    bench.shown(bench.comment(1, "run_bo", START_MS));
    bench.clock.set(START_MS + 500);
    let bound = bench.shown(bench.append("{ broken", "k"));
    assert_eq!((bound.tick, bench.get(&[]).tick), (START_MS as u64 + 500, START_MS as u64 + 500));
    bench.running.stop().expect("no error");
}

#[test]
fn what_is_read_at_once_is_of_one_tick() {
    let bench = Bench::new(2);
    let (hours, users) = (5, ["run_cy", "run_di"]);
    let mut keys = vec![(Communities::VIEW, vec![name("reddit:run")])];
    let hour = |n: i64| Cell::Int(START_MS / HOUR_MS - n);
    keys.extend((0..hours).map(|n| (CommunityHours::VIEW, vec![name("reddit:run"), hour(n)])));
    for user in users {
        keys.push((Users::VIEW, vec![name(&format!("reddit:{user}"))]));
        keys.extend((0..hours).map(|n| (UserHours::VIEW, vec![name(&format!("reddit:{user}")), hour(n)])));
    }
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut last = None;
            for id in 0..3000 {
                bench.clock.set(START_MS + id as i64);
                last = Some(bench.comment(id, users[id as usize % 2], START_MS - id as i64 % hours * HOUR_MS));
                if id.is_multiple_of(10) {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            bench.shown(last.expect("some were appended"));
            done.store(true, Ordering::Release);
        });
        let mut ended = false;
        while !ended {
            ended = done.load(Ordering::Acquire);
            let AsOf { value, tick } = bench.get(&keys);
            assert!(value.iter().flatten().all(|row| row.as_of <= tick), "{value:?} as of {tick}");
            let sum = |view: &View| -> i64 {
                let of = keys.iter().zip(&value).filter(|((of, _), _)| of.name == view.name).filter_map(|(_, row)| row.as_ref());
                of.map(|row| match row.cells[view.key.len()] {
                    Cell::Int(messages) => messages,
                    _ => unreachable!("messages are the first column"),
                })
                .sum()
            };
            let sums = [Communities::VIEW, CommunityHours::VIEW, Users::VIEW, UserHours::VIEW].map(sum);
            assert_eq!(sums, [sums[0]; 4], "as of {tick}");
            assert!(!ended || sums[0] == 3000);
        }
    });
    bench.running.stop().expect("no error");
}

/// A pipeline whose state and changelog stand in a folder.
fn kept(dir: &std::path::Path, log: &Arc<dyn Log>, now_ms: i64, workers: usize) -> Bench {
    keeping(Keep::default(), dir, log, now_ms, workers)
}

/// The same, where this stays for so long.
fn keeping(keep: Keep, dir: &std::path::Path, log: &Arc<dyn Log>, now_ms: i64, workers: usize) -> Bench {
    Bench::over(Arc::clone(log), now_ms, workers, |config| {
        config.engine.keep = keep;
        config.state = Some(recovery::Config { folder: dir.into(), fsync: Fsync::Tick, snapshot_bytes: 4_096 });
        config.changelogs =
            vec![changelog::Config { folder: dir.join("changes"), state: "a state".into(), file_bytes: 2_000, rest: Duration::ZERO }];
    })
}

/// Waits until reads would be served.
fn ready(bench: &Bench) {
    let from = Instant::now();
    while !bench.parts.telemetry.is_ready() {
        assert!(from.elapsed() < TICK_MAX && !bench.running.has_ended(), "{:?}", bench.parts.telemetry.snapshot().components);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_pipeline_goes_on_where_it_was_and_says_nothing_twice() {
    let dir = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn Log> = Arc::new(log::Memory::new(log::Counts { reddit: 3, telegram: 1 }));
    let names = ["run_em", "run_flo", "run_gus"];
    let users = names.map(|user| (Users::VIEW, vec![name(&format!("reddit:{user}"))]));
    let (mut before, mut last, mut comments) = (AsOf::<Vec<Option<Stored>>>::default(), Bound::default(), 0);
    for round in 0..6 {
        // The clock goes back: ticks do not.
        let bench = kept(dir.path(), &log, START_MS - round * HOUR_MS, 1 + round as usize % 3);
        ready(&bench);
        let (now, closed) = (bench.get(&users), bench.running.progress().closed());
        assert!(closed.offsets == last.offsets || round == 0, "{closed:?} after {last:?}");
        assert!(closed.tick >= last.tick && now.tick >= before.tick);
        for (then, now) in before.value.iter().zip(&now.value) {
            let (then, now) = (then.as_ref().expect("a row"), now.as_ref().expect("the row"));
            assert!(now.cells == then.cells && now.as_of >= then.as_of && now.as_of <= closed.tick, "{now:?} was {then:?}");
        }
        let broken = bench.append("{ broken", "k");
        for user in (0..40).map(|n| names[n % 3]) {
            bench.shown(bench.comment(comments, user, START_MS - HOUR_MS));
            comments += 1;
        }
        bench.shown(broken);
        (last, before) = (bench.running.progress().closed(), bench.get(&users));
        let counts = bench.parts.telemetry.snapshot();
        let rounds = round as u64 + 1;
        assert_eq!((counts.read, counts.applied, counts.dead_letters["json"]), (41 * rounds, 40 * rounds, rounds), "round {round}");
        assert_eq!(log.end(Partition { topic: Topic::DeadLetters, number: 0 }), rounds, "each letter once");
        bench.running.stop().expect("no error");
    }
    assert!(dir.path().join("snapshots/snapshot.json").exists(), "some of it came from a snapshot");
}

#[test]
fn before_the_first_record_silence_makes_no_tick() {
    let bench = Bench::new(1);
    bench.clock.advance(HOUR_MS);
    let from = Instant::now();
    while !bench.parts.telemetry.snapshot().partitions.iter().any(|partition| partition.state == Activity::Idle) {
        assert!(from.elapsed() < TICK_MAX, "nobody is idle");
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(WAIT);
    assert_eq!(bench.running.progress().closed(), Bound::default());
    bench.running.stop().expect("no error");
}

/// Waits until the watermark is there.
fn reaches(bench: &Bench, watermark: i64) {
    let from = Instant::now();
    while bench.running.progress().closed().watermark != Some(watermark) {
        assert!(from.elapsed() < TICK_MAX, "{:?} instead of {watermark}", bench.running.progress().closed().watermark);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn when_all_are_silent_what_was_read_is_in_also_after_a_restart() {
    const RETENTION_S: i64 = 1_800;
    let dir = tempfile::tempdir().expect("a folder");
    let log: Arc<dyn Log> = Arc::new(log::Memory::new(log::Counts { reddit: 3, telegram: 1 }));
    let keep = Keep { messages_s: Some(RETENTION_S), ..Keep::default() };
    let (created_ms, active) = (START_MS - HOUR_MS, [(CommunityActivity::VIEW, vec![name("reddit:run")])]);
    let row = |bench: &Bench| bench.get(&active).value[0].as_ref().map(|row| row.cells.clone()).expect("the community has one");
    let sealed = |bench: &Bench| bench.parts.telemetry.snapshot().ignored.get("sealed").copied().unwrap_or(0);
    let mut bench = keeping(keep, dir.path(), &log, START_MS, 2);
    ready(&bench);
    bench.shown(bench.comment(1, "run_ida", created_ms));
    bench.shown(bench.comment(2, "run_jo", created_ms + 9_000));
    assert_eq!(bench.parts.telemetry.snapshot().watermark, 0, "the others may bring anything");
    bench.clock.advance(Config::default().partition_idle_ms + 1);
    let mut watermark = created_ms / 1_000 + 9;
    reaches(&bench, watermark);
    for round in 0..3 {
        let before = (row(&bench), sealed(&bench));
        assert_eq!(before.0[2], Cell::Int(2), "what moves with it has moved");
        bench.running.stop().expect("no error");
        // The clock goes back: what was decided is not decided again.
        bench = keeping(keep, dir.path(), &log, START_MS - HOUR_MS, 1 + round % 3);
        ready(&bench);
        assert_eq!((row(&bench), bench.parts.telemetry.snapshot().watermark), (before.0, watermark));
        bench.clock.set(START_MS + HOUR_MS);
        // Whoever comes now is late, or in time, by what was decided.
        let at_ms = (watermark - RETENTION_S) * 1_000;
        bench.shown(bench.comment(100 + round as u64, "run_ida", at_ms - 1_000));
        bench.shown(bench.comment(200 + round as u64, "run_jo", at_ms));
        assert_eq!((sealed(&bench) - before.1, bench.parts.telemetry.snapshot().watermark), (1, watermark));
        bench.shown(bench.comment(300 + round as u64, "run_jo", watermark * 1_000 + 5_000));
        bench.clock.advance(Config::default().partition_idle_ms + 1);
        watermark += 5;
        reaches(&bench, watermark);
    }
    bench.running.stop().expect("no error");
}
