//! A state that seals messages is killed and read back again and again, by another number of workers each time: at every tick all views are
//! those of an engine that never stopped, and of the oracle.
//!
//! Run one again: `EDDY_SEED=<seed> cargo test --test tests sealed::random`. More: `EDDY_RUNS=200`.

pub mod processes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use eddy::clock::Manual;
use eddy::engine::durable::{Durable, Fsync, NoRoom, Referred};
use eddy::engine::recovery::{self, Kept, Retention};
use eddy::engine::{self, Engine, Output, Raw, parse};
use eddy::files::{Files, Simulated};
use eddy::log::texts::LogTexts;
use eddy::log::{Append, Counts, Log, Memory, Partition, Topic};
use eddy::spool::Spool;
use eddy_dataflows::Keep;
use eddy_dataflows::views::Definition;

use crate::forget;
use crate::generate::{self, NOW, Random, Shape};
use crate::oracle::{Oracle, Tables};
use crate::simulation::rows::Rows;
use crate::simulation::world::is_one_record;

/// Random runs in the test command.
const RUNS: u64 = 30;
/// Longer than any tick takes; a test that waits this long has failed.
const TICK_MAX: Duration = Duration::from_secs(60);
const PARTITION: Partition = Partition { topic: Topic::Reddit, number: 0 };
const FOLDER: &str = "/data";

fn all_views() -> Vec<&'static Definition> {
    eddy_dataflows::VIEWS.iter().collect()
}

/// What comes in, and what it is read with.
struct Source {
    log: Arc<Memory>,
    texts: Arc<LogTexts>,
    clock: Arc<Manual>,
    lines: Vec<String>,
}

impl Source {
    fn new(lines: Vec<String>) -> Source {
        let log = Arc::new(Memory::new(Counts { reddit: 1, telegram: 1 }));
        for (n, line) in lines.iter().enumerate() {
            let append = Append { key: vec![], value: line.clone().into_bytes(), received_at_ms: received_at_ms(n) };
            log.append(PARTITION.topic, &[append]).expect("a log without faults");
        }
        Source { texts: Arc::new(LogTexts::new(Arc::clone(&log) as _)), log, clock: Arc::new(Manual::new(NOW * 1_000)), lines }
    }

    fn input(&self) -> u32 {
        self.log.partitions().iter().position(|partition| *partition == PARTITION).expect("it is there") as u32
    }

    /// Hands over the records from `from` to `upto`.
    fn send(&self, engine: &mut Engine, from: usize, upto: usize) {
        let mut records = self.log.read(PARTITION, from as u64, usize::MAX).expect("no faults");
        records.truncate(upto - from);
        // Some a batch, so that all workers parse.
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(7));
            engine.send(Raw::Log { input: self.input(), records: std::mem::replace(&mut records, rest) }).expect("workers live");
        }
    }
}

fn received_at_ms(n: usize) -> i64 {
    (NOW + n as i64) * 1_000
}

/// An engine with what it has said.
struct Live {
    engine: Engine,
    outputs: Receiver<Output>,
    durable: Option<Arc<Durable>>,
    rows: Rows,
}

impl Live {
    fn start(source: &Source, config: engine::Config) -> Live {
        let names = source.log.partitions().iter().map(|partition| format!("{partition:?}")).collect();
        let inputs =
            parse::Inputs { names, spools: vec![], spares: None, clock: Arc::clone(&source.clock) as _, forgotten: Arc::default() };
        let (send, outputs) = unbounded();
        let durable = config.durable.clone();
        let config = engine::Config { tick_records_max: 0, ticks_in_flight: 64, ..config };
        let mut engine = Engine::start(config, inputs, Arc::clone(&source.texts) as _, send).expect("an engine starts");
        engine.wait_for(vec![source.input()]);
        Live { engine, outputs, durable, rows: Rows::default() }
    }

    /// In memory, one worker.
    fn memory(source: &Source, keep: Keep) -> Live {
        Live::start(source, engine::Config { workers: 1, keep, ..engine::Config::default() })
    }

    /// Ends a tick that goes up to this record.
    fn end(&mut self, upto: usize) -> u64 {
        self.engine.bind(upto.to_string());
        self.engine.close_tick().expect("workers live")
    }

    fn wait(&mut self, tick: u64) {
        assert!(self.engine.frontiers().wait(tick, TICK_MAX), "tick {tick} did not close");
        if let Some(durable) = &self.durable {
            durable.check().expect("nothing fails here");
        }
        self.drain();
    }

    /// (Of closed ticks, and of open ones what is there: whoever compares has waited.)
    fn drain(&mut self) {
        for output in self.outputs.try_iter() {
            let Output::Changes { changes, .. } = output else { continue };
            changes.iter().for_each(|change| self.rows.set(changes.view.name, change.key, change.row));
        }
    }

    fn compare(&self, source: &Source, tables: &Tables, what: &str) {
        if let Some(difference) = self.rows.difference(&all_views(), tables, &*source.texts) {
            panic!("{what}: {difference}");
        }
    }
}

/// A state, most often among simulated files.
struct Folder {
    disk: Simulated,
    files: Arc<dyn Files>,
    path: PathBuf,
    keep: Keep,
    snapshot_bytes: u32,
}

impl Folder {
    fn new(disk: &Simulated, keep: Keep, snapshot_bytes: u32) -> Folder {
        Folder { disk: disk.clone(), files: disk.files(), path: FOLDER.into(), keep, snapshot_bytes }
    }

    fn open(&self, views: &[&'static Definition]) -> Result<Kept, String> {
        self.files.make_folder(&self.path).expect("room");
        let config = recovery::Config { folder: self.path.clone(), fsync: Fsync::Asked, snapshot_bytes: self.snapshot_bytes };
        Kept::open_in(&self.files, &config, Retention::of(views, self.keep).as_ref()).map_err(|e| e.to_string())
    }

    /// Starts with so many workers; gives how many records are in, and how many things were fed.
    fn start(&self, source: &Source, workers: usize, seed: u64) -> (Live, usize, usize) {
        let kept = self.open(&all_views()).expect("a state");
        let referred: Arc<dyn Referred> = Arc::new(Vec::<Arc<Spool>>::new());
        let durable = kept.durable(referred, Fsync::Asked, NoRoom::Fails).expect("a state");
        let config =
            engine::Config { workers, keep: self.keep, durable: Some(Arc::clone(&durable)), by_hand: Some(seed), ..Default::default() };
        let mut live = Live::start(source, config);
        let mut fed = 0;
        let binding = kept.recover(&mut live.engine, &durable, |_| {
            fed += 1;
            true
        });
        let binding = binding.expect("what was written is read").expect("nobody ends it");
        live.drain();
        live.engine.bind(binding.clone());
        (live, binding.parse().unwrap_or(0), fed)
    }

    fn kill(&self, live: Live) {
        drop(live);
        self.disk.kill();
    }

    fn bytes(&self) -> u64 {
        self.disk.all().iter().map(|(_, bytes)| bytes).sum()
    }
}

/// What was decided so far, recomputed.
struct Past {
    keep: Keep,
    /// Up to which record each tick went.
    ticks: Vec<usize>,
    oracle: Oracle,
    memory: Live,
}

impl Past {
    fn new(source: &Source, keep: Keep) -> Past {
        let oracle = Oracle::new(NOW).with_retention(keep.messages_s.expect("a retention"), keep.hours_s, keep.days_s);
        Past { keep, ticks: vec![], oracle, memory: Live::memory(source, keep) }
    }

    fn tick(&mut self, source: &Source, upto: usize) {
        let from = self.ticks.last().copied().unwrap_or(0);
        (from..upto).for_each(|n| self.oracle.received(source.lines[n].as_bytes(), received_at_ms(n)));
        self.oracle.tick();
        source.send(&mut self.memory.engine, from, upto);
        let tick = self.memory.end(upto);
        self.memory.wait(tick);
        self.ticks.push(upto);
    }

    /// All rows are those of the engine that never stopped. (Of records that repeat the text may be read from either.)
    fn same(&self, live: &Live, what: &str) {
        for view in all_views().into_iter().filter(|view| view.view.name != "messages") {
            let rows = |live: &Live| live.rows.0.get(view.view.name).cloned().unwrap_or_default();
            assert_eq!(rows(live), rows(&self.memory), "{}: {what}", view.view.name);
        }
    }

    /// Ticks that were never on disk never were.
    fn cut(self, source: &Source, upto: usize) -> Past {
        if self.ticks.last().copied().unwrap_or(0) == upto {
            return self;
        }
        let mut past = Past::new(source, self.keep);
        self.ticks.iter().take_while(|tick| **tick <= upto).for_each(|tick| past.tick(source, *tick));
        self.memory.engine.finish().expect("workers end well");
        past
    }
}

fn keep(random: &mut Random) -> Keep {
    const RETENTIONS_S: [i64; 6] = [600, 1_800, 86_400, 6 * 86_400 + 59, 20 * 86_400, 45 * 86_400];
    let kept = |random: &mut Random| random.pick(&[None, Some(0), Some(7 * 86_400 + 1), Some(40 * 86_400)]);
    Keep { messages_s: Some(random.pick(&RETENTIONS_S)), hours_s: kept(random), days_s: kept(random) }
}

/// Says only how late it is.
fn time_of(at: i64) -> String {
    format!(r#"{{"op":"d","id":"t3_time{at}","created_utc":{at},"seq":1}}"#)
}

fn one(seed: u64, name: &str, shape: &Shape) -> (usize, usize) {
    let mut random = Random(seed ^ 0x5ea1);
    let mut lines: Vec<String> = vec![];
    for line in generate::history(seed, shape).into_iter().filter(|line| is_one_record(line)) {
        if random.chance(3) {
            lines.push(time_of(NOW - random.below(120 * 86_400) as i64));
        }
        lines.push(line);
    }
    let (keep, snapshot_bytes) = (keep(&mut random), random.pick(&[600, 2_000, 8_000]));
    let again = format!("EDDY_SEED={seed} cargo test --test tests sealed::random (shape {name}, {keep:?})");
    let source = Source::new(lines);
    let folder = Folder::new(&Simulated::new(seed), keep, snapshot_bytes);
    let mut past = Past::new(&source, keep);
    let (mut live, mut at, _) = folder.start(&source, 1, random.draw());
    let (mut restarts, mut snapshots) = (0, 0);
    let share = 1 + source.lines.len() / 30;
    while at < source.lines.len() {
        // Several ticks may be under way when it is killed.
        let (mut tick, mut ends) = (0, vec![]);
        for _ in 0..1 + random.below(3) {
            let upto = (at + 1 + random.below(share)).min(source.lines.len());
            source.send(&mut live.engine, at, upto);
            tick = live.end(upto);
            ends.push(upto);
            at = upto;
            if at == source.lines.len() {
                break;
            }
        }
        ends.iter().for_each(|upto| past.tick(&source, *upto));
        let is_killed_within = random.chance(15);
        if !is_killed_within {
            live.wait(tick);
            let tables = past.oracle.tables();
            past.memory.compare(&source, &tables, &format!("in memory, after {at} records\n{again}"));
            live.compare(&source, &tables, &format!("after {at} records\n{again}"));
            past.same(&live, &again);
        }
        if random.chance(40) && !is_killed_within {
            live.durable.as_ref().expect("durable").take_snapshot().expect("room");
            snapshots += 1;
        }
        if is_killed_within || random.chance(25) {
            folder.kill(live);
            let workers = random.pick(&[1, 2, 4]);
            restarts += 1;
            (live, at, _) = folder.start(&source, workers, random.draw());
            past = past.cut(&source, at);
            let what = format!("after restart {restarts} with {workers} workers, {at} records, {snapshots} snapshots asked for\n{again}");
            live.compare(&source, &past.oracle.tables(), &what);
            past.same(&live, &what);
        }
    }
    past.memory.engine.finish().expect("workers end well");
    (restarts, snapshots)
}

#[test]
fn random_histories_that_are_killed_equal_the_oracle_at_every_tick() {
    let shapes = Shape::all();
    let seeds = match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse::<u64>().expect("EDDY_SEED is a number")],
        Err(_) => {
            let runs = std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
            (0..runs).collect()
        }
    };
    println!("seeds {:?} to {:?}", seeds.first(), seeds.last());
    let (mut restarts, mut snapshots) = (0, 0);
    for seed in seeds {
        let (name, shape) = &shapes[seed as usize % shapes.len()];
        let (more_restarts, more_snapshots) = one(seed, name, &Shape { documents: 0, ..shape.clone() });
        restarts += more_restarts;
        snapshots += more_snapshots;
    }
    println!("{restarts} restarts, {snapshots} snapshots asked for");
}

/// Some users, always the same, in some conversations: a message every half hour for so many days.
fn steady(days: usize) -> Vec<String> {
    let start = NOW - days as i64 * 86_400;
    let line = |n: usize| {
        let (at, user) = (start + n as i64 * 1_800, n * 7 % 20);
        let parent = if n.is_multiple_of(3) { format!("t3_s{}", n % 5) } else { format!("t1_m{}", n.saturating_sub(5)) };
        format!(
            r#"{{"id":"m{n}","link_id":"t3_s{}","parent_id":"{parent}","subreddit":"r{}","author":"u{user}","body":"words","created_utc":{at}}}"#,
            n % 5,
            n % 5 % 3
        )
    };
    (0..days * 48).map(line).collect()
}

#[test]
fn neither_the_folder_nor_a_restart_grows_with_the_history() {
    const DAY_S: i64 = 86_400;
    let keep = Keep { messages_s: Some(DAY_S), hours_s: Some(2 * DAY_S), days_s: Some(10 * DAY_S) };
    let source = Source::new(steady(340));
    let folder = Folder::new(&Simulated::new(1), keep, 20_000);
    let (mut live, mut at, _) = folder.start(&source, 2, 1);
    let mut measured = vec![];
    for day in 1..=340 {
        let tick = {
            source.send(&mut live.engine, at, day * 48);
            at = day * 48;
            live.end(at)
        };
        live.wait(tick);
        live.durable.as_ref().expect("durable").take_snapshot().expect("room");
        // The days of users are told for 64 days: then all is as it will be.
        if day % 80 == 20 && day > 80 {
            folder.kill(live);
            let (again, from, _) = folder.start(&source, 1 + day % 3, 1);
            assert_eq!(from, at);
            let rows: usize = again.rows.0.values().map(|rows| rows.len()).sum();
            measured.push((folder.bytes(), again.engine.counts().held.load(std::sync::atomic::Ordering::Relaxed), rows));
            live = again;
        }
    }
    println!("bytes, messages and rows after a restart: {measured:?}");
    let (first, last) = (measured[0], measured[measured.len() - 1]);
    assert!(measured.len() == 4 && last.0 < first.0 * 3 / 2 && last.1 <= 49 && last.2 < first.2 + first.2 / 10, "{measured:?}");
    live.engine.finish().expect("workers end well");
}

#[test]
fn a_state_goes_on_with_its_retention_and_no_other() {
    let day = |days: i64| Some(days * 86_400);
    let keep = |messages, hours, days| Keep { messages_s: messages, hours_s: hours, days_s: days };
    let (source, disk) = (Source::new(steady(20)), Simulated::new(1));
    let folder = |keep| Folder::new(&disk, keep, 4_000);
    let mut oracle = Oracle::new(NOW);
    let mut at = 0;
    // It begins without one; then it has one.
    for kept in [keep(None, None, None), keep(day(3), day(5), None)] {
        let folder = folder(kept);
        let (mut live, from, _) = folder.start(&source, 2, 1);
        assert_eq!(from, at);
        if let Some(messages_s) = kept.messages_s {
            oracle = oracle.with_retention(messages_s, kept.hours_s, kept.days_s);
        }
        for _ in 0..20 {
            source.send(&mut live.engine, at, at + 24);
            (at..at + 24).for_each(|n| oracle.received(source.lines[n].as_bytes(), received_at_ms(n)));
            at += 24;
            let tick = live.end(at);
            live.wait(tick);
            oracle.tick();
            live.compare(&source, &oracle.tables(), &format!("{kept:?}, after {at} records"));
            live.durable.as_ref().expect("durable").take_snapshot().expect("room");
        }
        folder.kill(live);
    }
    let (live, _, _) = folder(keep(day(3), day(5), None)).start(&source, 4, 2);
    live.compare(&source, &oracle.tables(), "after a restart");
    folder(keep(None, None, None)).kill(live);
    let refused = |views: &[&'static Definition], keep| {
        let why = folder(keep).open(views).err().expect("it is refused");
        disk.kill();
        why
    };
    let why = refused(&all_views(), keep(day(4), day(5), None));
    assert!(why.contains("--retention 3d --keep-hours 5d --keep-days none") && why.contains("--retention 4d --keep-hours 5d"), "{why}");
    let why = refused(&all_views(), keep(None, None, None));
    assert!(why.contains("--retention 3d") && why.contains("no retention"), "{why}");
    let why = refused(&all_views()[..2], keep(day(3), day(5), None));
    assert!(why.contains("has the views cohorts, communities") && why.contains("asked for the views conversations, users:"), "{why}");
}

/// What moves the watermark as a record does, and is no user's.
fn of_its_time(line: &str) -> String {
    let record: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    format!(r#"{{"op":"d","id":"t1_nobodys","link_id":"t3_elsewhere","seq":0,"created_utc":{}}}"#, record["created_utc"])
}

#[test]
fn a_user_is_forgotten_whose_messages_are_sealed() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let keep = Keep { messages_s: Some(100), hours_s: None, days_s: None };
    let folder = Folder { files: eddy::files::disk(), path: dir.path().into(), ..Folder::new(&Simulated::new(1), keep, 8_192) };
    let lines = forget::lines();
    let source = Source::new(lines.iter().map(|(_, line)| line.clone()).collect());
    // (The records are of the time after NOW.)
    source.clock.set((NOW + 3_600) * 1_000);
    let ticks: Vec<usize> = (0..lines.len()).step_by(20).skip(1).collect();
    let (mut live, mut from, _) = folder.start(&source, 2, 1);
    for upto in &ticks {
        source.send(&mut live.engine, from, *upto);
        from = *upto;
        let tick = live.end(from);
        live.wait(tick);
        if from % 60 == 0 {
            live.durable.as_ref().expect("durable").take_snapshot().expect("room");
        }
    }
    folder.kill(live);
    assert!(!forget::traces(dir.path()).is_empty(), "there is something to forget");
    let done = forget::forget(dir.path());
    assert_eq!(forget::traces(dir.path()), Vec::<String>::new());
    assert!(done["sealed_sums"].as_u64() > Some(8) && done["versions"].as_u64() > Some(5), "{done}");

    let (again, at, _) = folder.start(&source, 3, 1);
    assert_eq!(at, from);
    let others = lines.iter().map(|(is_users, line)| if *is_users { of_its_time(line) } else { line.clone() });
    let others = Source::new(others.collect());
    others.clock.set((NOW + 3_600) * 1_000);
    let mut memory = Live::memory(&others, keep);
    let mut from = 0;
    for upto in &ticks {
        others.send(&mut memory.engine, from, *upto);
        from = *upto;
        let tick = memory.end(from);
        memory.wait(tick);
    }
    // Sums of the community are what they were; whatever is said of users is as if this one had never been. (Texts stand where they stood.)
    for view in ["users", "user_hours", "sessions", "top_users", "replies", "messages", "user_names"] {
        assert_eq!(again.rows.0.get(view), memory.rows.0.get(view), "{view}");
    }
    memory.engine.finish().expect("workers end well");
    folder.kill(again);
    assert_eq!(forget::traces(dir.path()), Vec::<String>::new());
}
