//! The engine in a simulated world: only clock, files, log and sinks are not what they are in production. Workers are stepped by hand in one
//! thread; the process is killed and the power cut at any operation on a file; everything follows from one seed.
//!
//! ```text
//!   World, which outlives processes: files, log, clock, an external sink     Life, one process: recovery, driver, workers, local views
//! ```
//!
//! Run one again: `EDDY_SEED=<seed> cargo test --test tests simulation::lives`. More: `scripts/simulate --seeds N --from S`.
//!
//! Seeds run in a process of their own, one after the other: names have numbers in the order in which a process meets them, and which worker
//! has a key depends on its number.

mod life;
pub mod rows;
pub mod world;

use std::process::{Command, Stdio};

use world::{Bug, World};

/// Seeds of the ordinary test.
const SEEDS: u64 = 300;
const CHILD: &str = "EDDY_TEST_CHILD_SIMULATES";

/// What the process of its own does: lives of some seeds, a line each. Nothing by itself.
#[test]
fn child() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let words: Vec<&str> = task.split_whitespace().collect();
    let (bug, lying) = (Bug::named(words[0]), words[0] == "lying");
    let (from, seeds): (u64, u64) = (words[1].parse().expect("a seed"), words[2].parse().expect("a number"));
    world::meet_names();
    for seed in from..from + seeds {
        let told = match std::panic::catch_unwind(|| World::new(seed, bug, lying).run()) {
            Ok(Ok(ended)) => format!("ok {seed} {ended}"),
            Ok(Err(wrong)) => format!("wrong {seed} {wrong}"),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
                format!("wrong {seed} a panic: {}", text.unwrap_or_default())
            }
        };
        println!("simulated {}", told.replace('\n', " "));
        if bug.is_some() && told.starts_with("wrong") {
            return;
        }
    }
}

/// Runs lives in processes of their own; gives a line for each seed, in order.
fn simulate(what: &str, from: u64, seeds: u64) -> Vec<String> {
    let half = seeds / 2;
    std::thread::scope(|threads| {
        let first = threads.spawn(|| if half > 0 { process(what, from, half) } else { vec![] });
        let mut lines = process(what, from + half, seeds - half);
        lines.splice(0..0, first.join().expect("it says what is wrong"));
        lines
    })
}

/// Ends with the first wrong one where a bug is planted.
fn process(what: &str, from: u64, seeds: u64) -> Vec<String> {
    let child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["simulation::child", "--exact", "--nocapture"])
        .env(CHILD, format!("{what} {from} {seeds}"))
        .stderr(Stdio::null())
        .output()
        .expect("starts");
    let text = String::from_utf8_lossy(&child.stdout).into_owned();
    let lines: Vec<String> = text.lines().filter_map(|line| Some(line.split_once("simulated ")?.1.to_owned())).collect();
    assert!(!lines.is_empty(), "the process of simulations said: {text}");
    lines
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn lives_of_the_engine_lose_repeat_and_confuse_nothing() {
    let (from, seeds) = match number("EDDY_SEED") {
        Some(seed) => (seed, 1),
        None => (number("EDDY_FROM").unwrap_or(0), number("EDDY_RUNS").unwrap_or(SEEDS)),
    };
    let lines = simulate("none", from, seeds);
    for line in &lines {
        let seed = line.split(' ').nth(1).unwrap_or_default();
        assert!(line.starts_with("ok"), "{line}\nEDDY_SEED={seed} cargo test --test tests simulation::lives");
    }
    assert_eq!(lines.len() as u64, seeds, "the process ended early");
    println!("seeds {from} to {}: {}", from + seeds - 1, lines.last().expect("one"));
}

#[test]
fn a_seed_gives_the_same_trace_wherever_it_runs() {
    let row = simulate("none", 40, 4);
    assert_eq!(row, simulate("none", 40, 4));
    assert_eq!(row[3], process("none", 43, 1)[0], "alone and after others");
}

#[test]
fn a_disk_that_lies_gives_no_wrong_row() {
    for line in simulate("lying", 0, 60) {
        assert!(line.starts_with("ok"), "{line}");
    }
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let lines = process(&bug.name(), 0, SEEDS);
        let found = lines.last().expect("one");
        assert!(found.starts_with("wrong"), "{} is not found within {SEEDS} seeds", bug.name());
        println!("{}: {found}", bug.name());
    }
}
