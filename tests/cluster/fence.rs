//! Whoever has a folder keeps it while it lives; whoever is frozen, at whatever step, and was superseded meanwhile, changes nothing when it
//! thaws.
//!
//! A process stops itself where `EDDY_PAUSE` says (`eddy::pause`; in debug builds only, as tests are).

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use super::durable::{History, history, names, wait_for_work};
use super::party::{signal, wait};
use super::sealed;
use crate::replays::run::{Ran, views};

/// A step, and the process that freezes before it. Some are met more than once: then the time is said, too.
const STEPS: [(&str, usize); 14] = [
    ("claimed", 0),
    ("taken", 0),
    ("counted", 0),
    ("begun", 0),
    ("frame", 0),
    ("frame:4", 1),
    ("framed:2", 0),
    ("framed:4", 1),
    // Of what is adopted.
    ("snapshot", 0),
    ("named", 0),
    ("snapshot", 1),
    ("named", 1),
    ("staged", 0),
    ("checked", 0),
];

pub fn is_stopped(child: &Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("a child");
    stat.rsplit_once(") ").expect("its name").1.starts_with('T')
}

/// Those of snapshots that processes make together, where messages are sealed: of what is adopted, and of the next.
const TOGETHER: [(&str, usize); 7] =
    [("framed:4", 1), ("snapshot", 0), ("named", 0), ("snapshot", 1), ("named", 1), ("snapshot:2", 1), ("named:2", 0)];

/// The tables that there are, each with what tells whether it was replaced.
pub fn tables(history: &History) -> Vec<(PathBuf, u64, i64)> {
    let paths = views().map(|view| history.party.place.out().join(format!("{view}.tsv")));
    let seen = paths.filter_map(|path| path.metadata().ok().map(|meta| (path, meta.ino(), meta.mtime_nsec())));
    seen.collect()
}

/// A folder that several processes have worked in, and left: each of two has two states to adopt.
fn left(mut history: History) -> History {
    history.shape((4, 1));
    let mut children = history.party.start();
    assert!(wait_for_work(&mut children, &history.data(), &[], Duration::from_millis(80)), "it was through already");
    end(children);
    history
}

/// False where the work was over before that step: snapshots are made beside it.
fn one(history: History, step: &str, paused: usize, is_told: bool) -> bool {
    let mut history = left(history);
    history.shape((2, 1));
    history.party.arguments.extend(["--watchdog", "2s"].map(str::to_owned));
    let pausing = |(process, mut command): (usize, std::process::Command)| {
        if process == paused {
            command.env("EDDY_PAUSE", step);
        }
        command.spawn().expect("the binary starts")
    };
    let mut frozen: Vec<Child> = (0..2).map(|process| (process, history.party.command(process))).map(pausing).collect();
    let began = Instant::now();
    while !is_stopped(&frozen[paused]) {
        if frozen.iter_mut().any(|child| child.try_wait().expect("a child").is_some()) {
            end(frozen);
            return false;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come to {step}");
        std::thread::sleep(Duration::from_millis(1));
    }
    frozen.iter().for_each(|child| signal(child, "STOP"));
    history.shape((1, 2));
    if is_told {
        history.party.arguments.push("--take-over".into());
    }
    history.is_right(wait(history.party.start()));
    let before = tables(&history);
    frozen.iter().for_each(|child| signal(child, "CONT"));
    for (process, ran) in wait(frozen).into_iter().enumerate() {
        assert_eq!(ran.code, 3, "process {process}, frozen at {step}: {}", ran.stderr);
    }
    assert_eq!(tables(&history), before, "frozen at {step}, its tables were put in place");
    history.party.place.is_clean();
    // Nor is anything of it read.
    history.shape((3, 1));
    history.is_right(wait(history.party.start()));
    true
}

/// Whatever they are at.
pub fn end(children: Vec<Child>) {
    for mut child in children {
        // It may have ended.
        let _ = child.kill();
        child.wait().expect("a child");
    }
}

/// How often a step may be missed on a busy machine.
pub const TRIES: usize = 8;

#[test]
fn whoever_is_frozen_between_two_steps_and_was_superseded_changes_nothing_when_it_thaws() {
    for (number, (step, paused)) in STEPS.into_iter().enumerate() {
        let met = (0..TRIES).any(|_| one(history(30 + paused as u64, 5_000, 1_500), step, paused, number % 2 == 0));
        assert!(met, "{step} of process {paused} is never met");
    }
}

#[test]
fn nor_does_it_where_messages_are_sealed() {
    for (number, (step, paused)) in TOGETHER.into_iter().enumerate() {
        let seed = 30 + paused as u64;
        let history = || if step.starts_with("framed") { sealed::history(seed) } else { sealed::long_history(seed) };
        let met = (0..TRIES).any(|_| one(history(), step, paused, number % 2 == 0));
        assert!(met, "{step} of process {paused} is never met");
    }
}

#[test]
fn a_folder_whose_cluster_lives_is_refused_unless_told() {
    let mut history = history(41, 3_000, 1_200);
    history.shape((2, 1));
    history.party.arguments.extend(["--watchdog", "16s"].map(str::to_owned));
    let mut living = history.party.start();
    assert!(wait_for_work(&mut living, &history.data(), &[], Duration::ZERO), "it was through already");
    // It cannot end without its process 1.
    signal(&living[1], "STOP");
    let claims = names(&history.data(), "generation-");
    history.shape((1, 1));
    let refused = Ran::of(&mut history.party.command(0)).ends(2);
    let what = format!("in use by a cluster whose process 0 (pid {}) is alive", living[0].id());
    assert!(refused.stderr.contains(&what) && refused.stderr.contains("--take-over"), "{}", refused.stderr);
    assert_eq!(names(&history.data(), "generation-"), claims, "nothing was done");
    assert!(living[0].try_wait().expect("a child").is_none());
    history.party.arguments.push("--take-over".into());
    history.is_right(wait(history.party.start()));
    signal(&living[1], "CONT");
    for ran in wait(living) {
        ran.ends(3);
    }
}
