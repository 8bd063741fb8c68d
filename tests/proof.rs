//! The proof by size: every view of a long history equals a count from scratch, at a hundred ticks on its way, however many workers
//! and processes share it, with and without a retention, in memory and from a state that is closed and opened again.
//!
//! ```text
//!   made --files, one a tick--> recount:  at each asked tick all views from scratch --> rows and a sum of each view --\
//!                           \-> processes of the engine, each with its rows ---------> the same, added up -------- equal?
//! ```
//!
//! A sum that differs is told with the rows that do. `scripts/proof --records 10000000` is the long one.

mod child;
mod made;
mod recount;
mod sums;
mod views;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use eddy::engine::counts::Snapshot;
use eddy_dataflows::VIEWS;
use tempfile::TempDir;

use crate::generate::Random;
use crate::oracle::Oracle;
use child::{Answer, Task};
use made::{Made, NOW, RETENTION_S};
use recount::{Recount, Retention};
use sums::{Sum, Sums};

/// In the test command.
const RECORDS: u64 = 12_000;
/// Ticks at which all is compared, and all ticks.
const ASKED: usize = 100;
const TICKS: usize = 260;
/// Records that the oracle can count, too: it says who is wrong.
const ORACLE_MAX: u64 = 150_000;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// A history in files, one a tick.
struct History {
    dir: TempDir,
    files: Vec<PathBuf>,
    asked: Vec<usize>,
    records: u64,
    seed: u64,
}

impl History {
    fn new(seed: u64, records: u64, ticks: usize, asked: usize) -> History {
        let dir = TempDir::new().expect("a folder");
        let (mut made, mut random, mut line) = (Made::new(seed, records), Random(seed ^ 0x7e57), String::new());
        let mut ends: BTreeSet<u64> = (1..ticks).map(|_| random.below(records as usize) as u64).collect();
        ends.insert(u64::MAX);
        let (mut files, mut written) = (vec![], 0);
        for end in ends {
            let path = dir.path().join(format!("{:05}.ndjson", files.len()));
            let mut file = BufWriter::new(std::fs::File::create(&path).expect("room"));
            while written < end && made.next(&mut line) {
                file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")).expect("room");
                written += 1;
            }
            file.flush().expect("room");
            files.push(path);
        }
        let mut asked_of: BTreeSet<usize> = BTreeSet::from([files.len() - 1]);
        while asked_of.len() < asked.min(files.len()) {
            asked_of.insert(random.below(files.len()));
        }
        History { dir, files, asked: asked_of.into_iter().collect(), records: written, seed }
    }

    fn task(&self, workers: usize, keep: Option<Retention>) -> Task {
        Task {
            files: self.files.clone(),
            asked: self.asked.clone(),
            workers,
            process: 0,
            processes: 1,
            port: 0,
            keep: keep.map_or((None, None, None), |keep| (Some(keep.messages_s), keep.hours_s, keep.days_s)),
            state: None,
            restarts: vec![],
            listed: None,
            answers: self.dir.path().join("answers"),
        }
    }
}

fn feed(file: &Path, mut each: impl FnMut(&[u8])) {
    let mut lines = BufReader::new(std::fs::File::open(file).expect("it was written"));
    let mut line = vec![];
    while lines.read_until(b'\n', &mut line).expect("a file") > 0 {
        each(line.strip_suffix(b"\n").unwrap_or(&line));
        line.clear();
    }
}

/// Counts up to a tick; tells `each` at the asked ones.
fn recounted(history: &History, keep: Option<Retention>, mut each: impl FnMut(usize, &Recount)) {
    let mut recount = Recount::new(NOW, keep);
    for (tick, file) in history.files.iter().enumerate() {
        feed(file, |line| recount.record(line));
        recount.tick();
        if history.asked.contains(&tick) {
            each(tick, &recount);
        }
    }
}

fn of_view(name: &str) -> fn(&Recount, &mut dyn FnMut(&[sums::Field])) {
    views::VIEWS.iter().find(|(view, _)| *view == name).expect("every view is counted").1
}

fn summed(recount: &Recount) -> Sums {
    let sum = |name: &str| {
        let mut sum = Sum::default();
        of_view(name)(recount, &mut |row| sum.add(sums::row(row)));
        sum
    };
    VIEWS.iter().map(|definition| sum(definition.view.name)).collect()
}

/// Runs processes of the engine; gives what they said.
fn run(task: &Task) -> Vec<Vec<Answer>> {
    let port = if task.processes > 1 { child::free_port() } else { 0 };
    let of = |process| Task { process, port, answers: task.answers.with_extension(process.to_string()), ..task.clone() };
    let tasks: Vec<Task> = (0..task.processes).map(of).collect();
    let children: Vec<_> = tasks.iter().map(Task::spawn).collect();
    let ended: Vec<_> = children.into_iter().map(|mut child| child.wait().expect("it ends")).collect();
    assert!(ended.iter().all(|status| status.success()), "{ended:?}");
    tasks.iter().map(Task::answers).collect()
}

/// They say what the recount says, or it panics with the rows.
fn equal(history: &History, task: &Task, keep: Option<Retention>, expected: &[(usize, Sums)], again: &str) {
    let answers = run(task);
    for (tick, sums) in child::joined(&answers) {
        let (_, expected) = expected.iter().find(|(asked, _)| *asked == tick).expect("what was asked");
        if let Some(view) = sums.iter().zip(expected).position(|(sum, expected)| sum != expected) {
            let name = VIEWS[view].view.name;
            let difference = difference(history, task, keep, tick, name);
            panic!("tick {tick}, view {name}: {} rows, {} expected\n{difference}\n{again}", sums[view].rows, expected[view].rows);
        }
    }
    let (mut seconds, mut rss, mut counts) = (0f64, 0, Snapshot::default());
    for answer in answers.iter().flatten() {
        if let Answer::Done { seconds: took, peak_rss_bytes, counts: of_it } = answer {
            (seconds, rss) = (seconds.max(*took), rss + peak_rss_bytes);
            counts.add(of_it);
        }
    }
    assert!(counts.adds_up() && counts.read == history.records, "{counts:?}\n{again}");
    let sealed = counts.ignored.get("sealed").copied().unwrap_or(0);
    let rows: u64 = expected[expected.len() - 1].1.iter().map(|sum| sum.rows).sum();
    println!(
        "{} workers in {} processes, {}, {}: equal at {} ticks of {}, {rows} rows at the end, {sealed} ignored as sealed; {seconds:.1} s, {} MB",
        task.workers * task.processes,
        task.processes,
        if keep.is_some() { "retention" } else { "no retention" },
        if task.state.is_some() { format!("durable, restarted {} times", task.restarts.len()) } else { "in memory".into() },
        history.asked.len(),
        history.files.len(),
        rss >> 20,
    );
}

/// The rows of a view at a tick that only one of the two has.
fn difference(history: &History, task: &Task, keep: Option<Retention>, tick: usize, view: &str) -> String {
    let task = Task { listed: Some((tick, view.into())), asked: vec![], ..task.clone() };
    let of = |answers: Vec<Answer>| answers.into_iter().find_map(|answer| if let Answer::Rows(rows) = answer { Some(rows) } else { None });
    let got: BTreeSet<String> = run(&task).into_iter().flat_map(|answers| of(answers).expect("rows")).collect();
    let mut expected = BTreeSet::new();
    recounted(history, keep, |asked, recount| {
        if asked == tick {
            of_view(view)(recount, &mut |row| {
                expected.insert(sums::text(row));
            });
        }
    });
    let mut judged = String::new();
    if history.records <= ORACLE_MAX {
        let (mut oracle, mut theirs) = (oracle(keep), BTreeSet::new());
        for file in &history.files[..=tick] {
            feed(file, |line| oracle.record(line));
            oracle.tick();
        }
        theirs.extend(oracle.tables()[view].iter().map(|row| hashed(view, row).join("\t")));
        let side = |side: &BTreeSet<String>| side.difference(&theirs).count() + theirs.difference(side).count();
        judged = format!("\n  the oracle differs from the recount in {} rows, from eddy in {}", side(&expected), side(&got));
    }
    let some = |of: &BTreeSet<String>, other: &BTreeSet<String>| of.difference(other).take(5).cloned().collect::<Vec<_>>().join("\n    ");
    format!("  recount only:\n    {}\n  eddy only:\n    {}", some(&expected, &got), some(&got, &expected)) + &judged
}

fn oracle(keep: Option<Retention>) -> Oracle {
    let oracle = Oracle::new(NOW);
    match keep {
        Some(keep) => oracle.with_retention(keep.messages_s, keep.hours_s, keep.days_s),
        None => oracle,
    }
}

fn keep() -> Retention {
    Retention { messages_s: RETENTION_S, hours_s: Some(30 * 86_400), days_s: Some(60 * 86_400 + 7) }
}

/// (workers, processes, with a retention, durable)
const ALL: [(usize, usize, bool, bool); 10] = [
    (1, 1, false, false),
    (2, 1, true, false),
    (1, 2, false, false),
    (4, 1, false, false),
    (1, 1, true, false),
    (1, 1, false, true),
    (2, 1, false, true),
    (4, 1, true, false),
    (1, 2, true, false),
    (2, 1, false, false),
];

fn prove(history: &History, which: &[(usize, usize, bool, bool)]) {
    let again = format!("scripts/proof --seed {} --records {}", history.seed, history.records);
    println!(
        "seed {}, {} records, {} MB in {} ticks",
        history.seed,
        history.records,
        child::bytes(history.dir.path()) >> 20,
        history.files.len()
    );
    for retention in [false, true] {
        let which: Vec<_> = which.iter().filter(|(_, _, with_retention, _)| *with_retention == retention).collect();
        if which.is_empty() {
            continue;
        }
        let (keep, started) = (retention.then(keep), Instant::now());
        let mut expected = vec![];
        recounted(history, keep, |tick, recount| expected.push((tick, summed(recount))));
        println!("recounted {} times in {:.1} s", expected.len(), started.elapsed().as_secs_f64());
        for &&(workers, processes, _, durable) in &which {
            let mut task = Task { processes, ..history.task(workers, keep) };
            let state = TempDir::new().expect("a folder");
            if durable {
                task.state = Some(state.path().into());
                task.restarts = history.asked.iter().copied().step_by(history.asked.len().div_ceil(5)).collect();
            }
            equal(history, &task, keep, &expected, &again);
        }
    }
}

#[test]
fn a_history_equals_a_recount_at_a_hundred_ticks_with_any_workers_and_processes() {
    let seed = setting("EDDY_SEED").unwrap_or(1);
    prove(&History::new(seed, RECORDS, TICKS, ASKED), &ALL);
}

#[test]
#[ignore = "as long as is asked for: scripts/proof"]
fn as_many_records_as_are_asked_for() {
    let records = setting("EDDY_RECORDS").unwrap_or(1_000_000);
    let only = std::env::var("EDDY_ONLY").unwrap_or_default();
    let name = |(workers, processes, retention, durable): &(usize, usize, bool, bool)| {
        let state = if *durable { "-durable" } else { "" };
        format!("{workers}x{processes}{}{state}", if *retention { "-retention" } else { "" })
    };
    let which: Vec<_> = ALL.into_iter().filter(|one| only.is_empty() || only.split(',').any(|only| only == name(one))).collect();
    assert!(!which.is_empty(), "EDDY_ONLY names some of {:?}", ALL.iter().map(name).collect::<Vec<_>>());
    prove(&History::new(setting("EDDY_SEED").unwrap_or(1), records, TICKS, ASKED), &which);
}

/// Two counts from scratch that know nothing of each other, on a history that both can count.
#[test]
fn the_recount_equals_the_oracle() {
    for (seed, retention) in [(1, false), (2, true), (3, true)] {
        let history = History::new(seed, 2_500, 30, 12);
        let keep = retention.then(keep);
        let mut oracle = oracle(keep);
        let mut recount = Recount::new(NOW, keep);
        for (tick, file) in history.files.iter().enumerate() {
            feed(file, |line| {
                oracle.record(line);
                recount.record(line);
            });
            oracle.tick();
            recount.tick();
            if !history.asked.contains(&tick) {
                continue;
            }
            let tables = oracle.tables();
            for (view, rows) in views::VIEWS {
                let mut mine = BTreeSet::new();
                rows(&recount, &mut |row| assert!(mine.insert(fields(row)), "{view}: a row stands there once"));
                let theirs: BTreeSet<_> = tables[view].iter().map(|row| hashed(view, row)).collect();
                let (only_mine, only_theirs) = (mine.difference(&theirs).next(), theirs.difference(&mine).next());
                assert!(mine == theirs, "seed {seed}, tick {tick}, {view}: {only_mine:?} and {only_theirs:?}");
            }
        }
    }
}

/// As the oracle's tables have them, but texts as their hash.
fn fields(row: &[sums::Field]) -> Vec<String> {
    row.iter().map(|field| if let sums::Field::Name(_, name) = field { (*name).to_owned() } else { field.to_string() }).collect()
}

fn hashed(view: &str, row: &[String]) -> Vec<String> {
    let mut row = row.to_vec();
    if view == "messages"
        && let Some(text) = row.last_mut()
    {
        let plain = text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\");
        *text = format!("#{:016x}", sums::hash(&plain));
    }
    row
}
