//! `eddy run` is killed again and again: while it works, while it reads its state back, while it makes a snapshot. Meanwhile somebody
//! reads rows. In the end every view, changelog, counter and dead letter is as if nothing had happened, and every answer that was read
//! had the rows of its tick.
//!
//! A kill counts for the moment that it hit: one in recovery came while reads were refused, one in a snapshot left half of that behind. Every
//! other one came after the process had closed a tick of its own, made from lines that came after its start.
//!
//! Twice: messages stay for ever, and they are sealed all along.
//!
//! Run one again: `EDDY_SEED=<seed> cargo test --test tests torture`. More: `EDDY_KILLS=200`, at most `EDDY_SECONDS=600` long.

pub mod changes;
mod disk;
pub mod process;
mod reader;
mod sources;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use eddy::log::{self, Embedded, Log, Partition, Topic};
use eddy_schemas::control::DeadLetter;
use serde_json::Value;

use crate::generate::{self, NOW, Random, Shape};
use crate::harness::difference;
use crate::oracle::Oracle;
use crate::sealed::processes;
use changes::{Folded, Timeline};
use process::{Place, Run};
use reader::Seen;

/// In the test command.
const KILLS: usize = 9;
const LINES_A_KILL: usize = 250;
/// Enough for some in each partition.
const CHATS: i64 = 100;
/// Longer than anything here takes; a test that waits this long has failed.
pub const WAIT_MAX: Duration = Duration::from_secs(120);

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// When messages that come and go were created, where nothing is sealed.
const GOES_AT: i64 = 1_699_990_000;

/// A history, and between its lines messages that come and go, and that change and change back, faster than ticks. The last line is for
/// [`Run::shows_all`].
fn lines(seed: u64, records: usize) -> Vec<String> {
    let shape =
        Shape { records, users: 60, conversations: 40, messages: records / 3, days: 10, documents: 0, reorder: 300, ..Shape::medium() };
    let history = generate::history(seed, &shape).into_iter().filter(|line| !line.trim().is_empty());
    with_goers(seed, history, |_| GOES_AT).into_iter().chain([last(GOES_AT)]).collect()
}

fn last(at: i64) -> String {
    format!(r#"{{"op":"c","id":"zzz","link_id":"t3_zz","subreddit":"zz","author":"the_last","body":"b","created_utc":{at},"seq":1}}"#)
}

/// The same of a history in which nothing comes so late that it may be sealed: so it is of no matter where ticks end. The last line is the last in
/// time, too. Before all others come messages of the time before it, in so many chats that no partition is waited for in vain.
fn lines_in_time(seed: u64, records: usize) -> Vec<String> {
    let at = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["created_utc"].as_i64().expect("a time");
    let chat = |n: i64| {
        let chat = format!(r#"{{"id":{},"type":"supergroup","title":"t"}}"#, -1_001_000_000_000 - n);
        let message =
            format!(r#"{{"message_id":1,"date":{},"chat":{chat},"from":{{"id":7,"is_bot":false,"first_name":"x"}},"text":"b"}}"#, NOW - 1);
        format!(r#"{{"update_id":{n},"message":{message}}}"#)
    };
    (0..CHATS).map(chat).chain(with_goers(seed, processes::lines(seed, records).into_iter(), at)).chain([last(NOW)]).collect()
}

fn with_goers(seed: u64, history: impl Iterator<Item = String>, at: impl Fn(&str) -> i64) -> Vec<String> {
    let mut random = Random(seed ^ 0xdead);
    let mut lines = vec![];
    for (n, line) in history.enumerate() {
        let at = at(&line);
        lines.push(line);
        let comment = |op: &str, id: &str, author: &str, seq: usize| {
            format!(
                r#"{{"op":"{op}","id":"{id}","link_id":"t3_zz","subreddit":"zz","author":"{author}","body":"b","created_utc":{at},"seq":{seq}}}"#
            )
        };
        if random.chance(10) {
            lines.push(comment("c", &format!("zz{n}"), "zed", 1));
            lines.push(format!(r#"{{"op":"d","id":"zz{n}","link_id":"t3_zz","created_utc":{at},"seq":2}}"#));
        }
        if random.chance(10) {
            // One a day: it is not changed when it may be sealed.
            let id = format!("zy{}", at / 86_400);
            lines.extend((0..3).map(|step| comment("u", &id, ["zed", "zoe", "zed"][step], 3 * n + step + 1)));
        }
    }
    lines
}

/// Appends the lines to a file bit by bit, as somebody else would; no more of them than have been let out.
fn feed(file: &Path, lines: &[String], seed: u64, out: &AtomicUsize, over: &AtomicBool) {
    let (mut file, mut random) = (std::fs::File::options().append(true).create(true).open(file).expect("a file"), Random(seed));
    let (mut rest, mut fed) = (vec![], 0);
    while fed < lines.len() || !rest.is_empty() {
        let upto = out.load(Ordering::Relaxed).min(lines.len());
        lines[fed..upto].iter().for_each(|line| rest.extend_from_slice(format!("{line}\n").as_bytes()));
        fed = upto;
        // Some of it ends within a line.
        let bytes = if fed == lines.len() { rest.len() } else { (1 + random.below(6_000)).min(rest.len()) };
        file.write_all(&rest[..bytes]).expect("room");
        rest.drain(..bytes);
        if over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_millis(random.below(30) as u64));
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Moment {
    /// Once it has done something new.
    Work,
    /// While reads are refused after a start.
    Recovery,
    /// While it writes a snapshot.
    Snapshot,
}

/// Kills it at a moment, as near as it can; gives which it hit, and how long the restart took where it was waited for.
fn kill(place: &Place, run: Run, wanted: Moment, usual: Duration, out: &AtomicUsize, random: &mut Random) -> (Moment, Option<Duration>) {
    if wanted == Moment::Recovery {
        // Somewhere in what a restart usually takes.
        std::thread::sleep(usual.mul_f64(random.below(1_000) as f64 / 1_000.0).saturating_sub(run.age()));
        if run.get("/readyz").0 == 503 {
            run.kill();
            return (Moment::Recovery, None);
        }
    }
    let took = run.ready();
    let (from, before) = (Instant::now(), run.tick());
    out.fetch_add(LINES_A_KILL, Ordering::Relaxed);
    while run.tick() <= before {
        assert!(from.elapsed() < WAIT_MAX, "lines come, and no tick closes");
        std::thread::sleep(Duration::from_millis(2));
    }
    if wanted == Moment::Snapshot {
        while !place.has_half_a_snapshot() && from.elapsed() < Duration::from_secs(4) {
            std::thread::sleep(Duration::from_micros(100));
        }
    } else {
        std::thread::sleep(Duration::from_micros(random.below(100_000) as u64));
    }
    run.kill();
    // (What an earlier kill left is removed at a start.)
    (if place.has_half_a_snapshot() { Moment::Snapshot } else { Moment::Work }, Some(took))
}

/// Says that it is over, also where the test fails: whoever waits for it ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn percentile(times: &[Duration], of: f64) -> Duration {
    times[((times.len() as f64 * of).ceil() as usize).clamp(1, times.len()) - 1]
}

#[test]
fn whatever_is_killed_when_nothing_is_lost_said_twice_or_taken_back() {
    torture(false);
}

#[test]
fn whatever_is_killed_when_nothing_is_where_messages_are_sealed() {
    torture(true);
}

fn torture(seals: bool) {
    let seed = setting("EDDY_SEED").unwrap_or(1);
    let kills = setting("EDDY_KILLS").map_or(KILLS, |kills| kills as usize);
    let until = Instant::now() + Duration::from_secs(setting("EDDY_SECONDS").unwrap_or(3_600));
    let again = format!("EDDY_SEED={seed} EDDY_KILLS={kills} cargo test --test tests torture");
    let (place, mut random) = (if seals { Place::sealing(&processes::RETENTION) } else { Place::new() }, Random(seed));
    let records = 2_000 + LINES_A_KILL * kills;
    let lines = if seals { lines_in_time(seed, records) } else { lines(seed, records) };
    let (out, done) = (AtomicUsize::new(2_000), AtomicBool::new(false));
    let (seen, mut restarts) = (Seen::default(), vec![]);
    let (mut of, mut polls) = ([0; 3], 0);
    std::thread::scope(|scope| {
        scope.spawn(|| feed(&place.file, &lines[..lines.len() - 1], seed, &out, &done));
        let reader = scope.spawn(|| reader::poll(&place, &seen, &done));
        let over = Over(&done);
        let (mut workers, mut last, mut usual) = (0, Moment::Work, Duration::from_millis(300));
        // A quarter of the kills at least is in recovery, and a quarter in a snapshot.
        while of.iter().sum::<usize>() < kills || of[1].min(of[2]) < kills / 4 {
            let wanted = match (last, of[1] <= of[2]) {
                // After one in recovery comes one with progress.
                (Moment::Work | Moment::Snapshot, true) => Moment::Recovery,
                (_, _) if of[2] * 3 <= of.iter().sum() => Moment::Snapshot,
                _ => Moment::Work,
            };
            // Never as many as the last time.
            workers = 1 + (workers + random.below(2)) % 3;
            let (hit, took) = kill(&place, place.start(workers), wanted, usual, &out, &mut random);
            (usual, last) = (took.unwrap_or(usual), hit);
            restarts.extend(took);
            of[hit as usize] += 1;
            assert!(Instant::now() < until, "{of:?} kills at work, in recovery, in a snapshot are too few\n{again}");
        }
        out.store(lines.len(), Ordering::Relaxed);
        let run = place.start(2);
        restarts.push(run.ready());
        if seals {
            run.has_read(lines.len() as u64 - 1, &again);
            // Before what was silent is left out.
            let sealed_until = run.get("/health").1["watermark"].as_i64().map_or(0, |watermark| watermark - 2 * 86_400);
            assert!(sealed_until > NOW - 40 * 86_400, "messages were sealed while it was killed: up to {sealed_until}\n{again}");
            run.is_idle();
        }
        run.shows_all(&place, &lines, &again);
        drop(over);
        polls = reader.join().expect("no row went back");
        is_right(&place, run, &lines, seals, &again);
    });
    let pages = seen.agree_with(&Timeline::read(&place.changes(1)), &again);
    restarts.sort();
    println!(
        "kills: {} at work, {} in recovery, {} in a snapshot; {} lines; {polls} answers read, {} rows of {} of them compared with the changelog; restart p50 {:?}, p99 {:?}",
        of[0],
        of[1],
        of[2],
        lines.len(),
        pages.1,
        pages.0,
        percentile(&restarts, 0.5),
        percentile(&restarts, 0.99)
    );
    a_sink_may_come_later_and_go(&place, &lines);
}

/// Everything is as if it had run once.
fn is_right(place: &Place, run: Run, lines: &[String], seals: bool, again: &str) {
    let served = run.tables();
    let counters = run.counters();
    run.interrupt();
    let log = Embedded::open(&place.data().join("log"), log::Counts::default(), &eddy::journal::Config::default()).expect("its log");
    let mut records = records(&log, &[Topic::Reddit, Topic::Telegram]);
    let mut oracle = Oracle::new(eddy::clock::Clock::now_s(&eddy::clock::System));
    if seals {
        // (In the order of their times.)
        oracle =
            processes::oracle(&[&lines[CHATS as usize..lines.len() - 1], &lines[..CHATS as usize], &lines[lines.len() - 1..]].concat());
    } else {
        records.iter().for_each(|record| oracle.received(&record.value, record.received_at_ms));
    }
    // Each line is in the log once.
    let mut wanted: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    records.sort_by(|a, b| a.value.cmp(&b.value));
    wanted.sort();
    assert!(
        records.iter().map(|record| &record.value[..]).eq(wanted.iter().copied()),
        "{} of {} lines\n{again}",
        records.len(),
        lines.len()
    );
    let mut tables = oracle.tables();
    // Their time is the least of the partitions', which no oracle of records knows; what is served and what was told must agree all the same.
    for view in ["community_activity", "community_week", "unanswered", "user_states", "cohorts"] {
        tables.remove(view);
    }
    if let Some(difference) = difference(&served, &tables) {
        panic!("served: {difference}\n{again}");
    }
    let counts = oracle.counts();
    let dead: u64 = counts.dead.values().sum();
    // (A document on one line is one record of a log.)
    assert_eq!((counters.read, counters.dead), (lines.len() as u64, dead), "{again}");
    assert_eq!(counters.read, counters.applied + counters.ignored + counters.dead, "{again}");
    let letters: Vec<DeadLetter> =
        records_of(&log, Topic::DeadLetters).iter().map(|record| serde_json::from_slice(&record.value).expect("a letter")).collect();
    let places: BTreeSet<_> = letters.iter().map(|letter| (&letter.file, letter.offset)).collect();
    assert_eq!((letters.len() as u64, places.len() as u64), (dead, dead), "each dead letter once\n{again}");
    let folded = [Folded::read(&place.changes(1)), Folded::read(&place.changes(2))];
    for folded in &folded {
        if let Some(difference) = difference(&folded.tables, &served) {
            panic!("a changelog: {difference}\n{again}");
        }
    }
    assert!(folded[0].lines == folded[1].lines, "both changelogs say the same\n{again}");
}

fn records(log: &Embedded, topics: &[Topic]) -> Vec<log::Record> {
    topics.iter().flat_map(|topic| records_of(log, *topic)).collect()
}

fn records_of(log: &Embedded, topic: Topic) -> Vec<log::Record> {
    let mut records = vec![];
    for partition in log.partitions().into_iter().filter(|partition: &Partition| partition.topic == topic) {
        let mut from = 0;
        while from < log.end(partition) {
            let chunk = log.read(partition, from, 1 << 20).expect("its log");
            from += chunk.len() as u64;
            records.extend(chunk);
        }
    }
    records
}

/// One that is new gets all rows; one that is given up is not waited for; one that is forgotten is asked for.
fn a_sink_may_come_later_and_go(place: &Place, lines: &[String]) {
    let refused = place.command(1, &[1]).output().expect("the binary starts");
    assert_eq!(refused.status.code(), Some(2));
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("this state has a changelog in") && why.contains("--changelog-drop"), "{why}");
    let mut command = place.command(3, &[1, 3]);
    command.arg("--changelog-drop").arg(place.changes(2));
    let run = place.spawn(command);
    run.ready();
    run.has_read(lines.len() as u64, "");
    let tables = run.tables();
    run.interrupt();
    for number in [1, 3] {
        assert_eq!(difference(&Folded::read(&place.changes(number)).tables, &tables), None, "changelog {number}");
    }
}
