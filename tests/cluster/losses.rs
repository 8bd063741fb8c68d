//! A process that is killed, frozen or interrupted: the others leave, soon, and say which one it was.

use std::process::Child;
use std::time::{Duration, Instant};

use super::party::{Party, is_clean, signal, wait};
use crate::replays::bad_records::good;
use crate::replays::run::Ran;

/// From the loss to the end of all others.
const LEAVE_MAX: Duration = Duration::from_secs(10);
/// Records of process 1: more than it reads while it takes to stop it.
const RECORDS: usize = 60_000;

/// Processes that have met and are at work; process 1 is stopped, so that none can end.
fn at_work(party: &mut Party) -> Vec<Child> {
    let records: String = (0..RECORDS).map(|number| format!("{}\n", good(number))).collect();
    party.files = vec![party.place.file("few.ndjson", good(1)), party.place.file("many.ndjson", records)];
    let children = party.start();
    party.wait_until_at_work(&children);
    signal(&children[1], "STOP");
    children
}

/// What the others left: each ended with 3 and says something about process 1, and there are no tables.
fn left(party: &Party, others: Vec<Ran>, what: &str) {
    let name = format!("process 1 ({})", party.hosts()[1]);
    for ran in others {
        let ran = ran.ends(3);
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert!(last.contains(&name) && last.contains(what) && last.ends_with("start all again"), "{}", ran.stderr);
        assert!(ran.stdout.is_empty());
    }
    assert!(!party.place.out().join("users.tsv").exists());
    is_clean(&party.place.path("data"));
    party.place.is_clean();
}

#[test]
fn when_a_process_is_killed_the_others_leave_at_once_and_say_which() {
    let mut party = Party::new(3);
    let mut children = at_work(&mut party);
    let mut killed = children.remove(1);
    killed.kill().expect("a child");
    let began = Instant::now();
    let others = wait(children);
    assert!(began.elapsed() < LEAVE_MAX, "{:?}", began.elapsed());
    killed.wait().expect("a child");
    left(&party, others, "was lost");
}

#[test]
fn a_frozen_process_is_noticed_by_the_watchdog_and_leaves_when_it_thaws() {
    let mut party = Party::new(3);
    party.arguments = vec!["--watchdog".into(), "1s".into()];
    let began = Instant::now();
    let mut children = at_work(&mut party);
    let frozen = children.remove(1);
    let others = wait(children);
    assert!(began.elapsed() < Duration::from_secs(60) + LEAVE_MAX, "{:?}", began.elapsed());
    left(&party, others, "has said nothing for 1 s (--watchdog)");
    signal(&frozen, "CONT");
    let thawed = Ran::wait(frozen).ends(3);
    assert!(thawed.stderr.contains("start all again"), "{}", thawed.stderr);
}

#[test]
fn an_interrupt_of_one_ends_all() {
    let mut party = Party::new(2);
    let mut children = at_work(&mut party);
    let other = children.remove(1);
    signal(&children[0], "TERM");
    let interrupted = wait(children).remove(0).ends(130);
    assert_eq!(interrupted.stderr.lines().last(), Some("eddy: interrupted"));
    signal(&other, "CONT");
    let other = Ran::wait(other).ends(3);
    assert!(other.stderr.contains(&format!("process 0 ({}) has left: interrupted", party.hosts()[0])), "{}", other.stderr);
    is_clean(&party.place.path("data"));
}

/// Its kernel takes calls all the while, and those who called give up and call again.
#[test]
fn a_process_that_is_frozen_while_they_meet_meets_all_when_it_thaws() {
    let mut party = Party::new(3);
    party.files = vec![party.place.file("few.ndjson", good(1))];
    let first = party.command(0).spawn().expect("the binary starts");
    let began = Instant::now();
    // (Whoever else calls is no concern of it.)
    while std::net::TcpStream::connect(&party.hosts()[0]).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&first, "STOP");
    let mut children = vec![first];
    children.extend((1..3).map(|process| party.command(process).spawn().expect("the binary starts")));
    // Longer than a call waits for its answer.
    std::thread::sleep(Duration::from_millis(4_500));
    signal(&children[0], "CONT");
    for ran in wait(children) {
        ran.ends(0);
    }
}
