//! `eddy forget --shared` is killed, and a cluster lives: what was begun is done by the same command again, and what cannot be begun is refused.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{bytes, lines, mirrored, of_others, packed, table, traces};
use crate::cluster::durable::{history, wait_for_work};
use crate::cluster::fence::is_stopped;
use crate::cluster::party::{Party, signal, wait};
use crate::replays::archives::gzip;
use crate::replays::run::{Ran, eddy, views};
use crate::torture::WAIT_MAX;

/// Where it is killed: it has begun; D is edited in part; D is edited; the mirror is there beside the old one, and not named; it is named.
const STEPS: [&str; 5] = ["begun", "named", "edited", "commit", "committed"];

fn forget(data: &Path, url: &str) -> Command {
    let mut command = eddy(["forget", "reddit:ADA_unique_9f3", "--shared", url, "--data-dir"]);
    command.arg(data).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Waits until it has stopped itself.
fn stopped(child: &mut Child, step: &str) {
    let from = Instant::now();
    while !is_stopped(child) {
        assert!(from.elapsed() < WAIT_MAX && child.try_wait().expect("a child").is_none(), "it does not come to {step}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-rT").args([from, to]).status().expect("cp is there").success());
}

#[test]
fn a_forget_that_is_killed_on_the_way_is_finished_by_the_same_command() {
    let lines = lines();
    let (mut party, [data, store], url) = mirrored(&lines);
    let at = |party: &Party, name: &str| party.place.path(name);
    let run = |party: &Party| wait(party.start()).into_iter().for_each(|ran| drop(ran.ends(0)));
    // Twice, so that there is more than one generation.
    run(&party);
    run(&party);
    let kept = [(data.clone(), at(&party, "kept-data")), (store.clone(), at(&party, "kept-store"))];
    kept.iter().for_each(|(folder, kept)| copy(folder, kept));
    let dir = of_others(&lines, &[]);
    party.files.push(party.place.file("again.gz", gzip(&bytes(&lines))));
    for step in STEPS {
        kept.iter().for_each(|(folder, kept)| copy(kept, folder));
        let mut child = forget(&data, &url).env("EDDY_PAUSE", step).spawn().expect("the binary starts");
        stopped(&mut child, step);
        child.kill().expect("a child");
        child.wait().expect("a child");
        let is_edited = !matches!(step, "begun" | "named");
        assert_eq!((traces(&data).is_empty(), traces(&store).is_empty()), (is_edited, false), "killed at {step}");
        if step != "begun" {
            let refused = wait(party.start());
            assert!(refused.iter().any(|ran| ran.code == 2 && ran.stderr.contains("still being forgotten")), "killed at {step}");
        }
        Ran::of(&mut forget(&data, &url)).ends(0);
        assert_eq!([traces(&data), traces(&store)].concat(), Vec::<String>::new(), "killed at {step}");
        // From the store alone, with the same records from another file, too.
        std::fs::remove_dir_all(&data).expect("it is there");
        run(&party);
        assert_eq!([traces(&data), traces(&store)].concat(), Vec::<String>::new(), "killed at {step}");
        views().for_each(|view| assert_eq!(table(&party.place.out(), view), table(dir.path(), view), "{view}, killed at {step}"));
    }
}

/// Of which each is tried between a start and a forget.
const DELAYS_MS: [u64; 9] = [0, 5, 10, 20, 40, 60, 90, 130, 200];

#[test]
fn of_a_forget_and_a_start_at_once_one_waits_or_is_refused() {
    let (mut party, lines) = (Party::new(2), lines());
    packed(&mut party, &lines);
    let (data, kept) = (party.place.path("data"), party.place.path("kept"));
    party.arguments = ["--state", "durable", "--tick-records-max", "40", "--snapshot-bytes", "4096"].map(str::to_owned).to_vec();
    wait(party.start()).into_iter().for_each(|ran| drop(ran.ends(0)));
    copy(&data, &kept);
    let dir = of_others(&lines, &[]);
    let again = party.place.file("again.gz", gzip(&bytes(&lines)));
    party.files.push(again);
    // (What came twice counts once.)
    let whole = TempDir::new().expect("a folder");
    Ran::of(eddy(["replay", "--output"]).arg(whole.path()).args(&party.files)).ends(0);
    let differs = |party: &Party, from: &TempDir| views().find(|view| table(&party.place.out(), view) != table(from.path(), view));
    let mut met = [0, 0];
    for (delay_ms, forgets_first) in DELAYS_MS.into_iter().flat_map(|delay_ms| [(delay_ms, false), (delay_ms, true)]) {
        let how = format!("{delay_ms} ms, forgets first: {forgets_first}");
        copy(&kept, &data);
        let forget = || {
            let mut command = eddy(["forget", "reddit:ADA_unique_9f3", "--data-dir"]);
            command.arg(&data).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
        };
        let pause = || std::thread::sleep(Duration::from_millis(delay_ms));
        let (forgets, works) = if forgets_first {
            let forgets = forget();
            pause();
            (forgets, party.start())
        } else {
            let works = party.start();
            pause();
            (forget(), works)
        };
        let (forgot, worked) = (Ran::wait(forgets), wait(works));
        assert!([0, 2, 3].contains(&forgot.code), "{how}: {} {}", forgot.code, forgot.stderr);
        let works_well = worked.iter().all(|ran| ran.code == 0);
        met[0] += usize::from(forgot.code == 0);
        met[1] += usize::from(works_well);
        if forgot.code == 0 {
            assert_eq!(traces(&data), Vec::<String>::new(), "{how}");
            if works_well {
                // It was through before, or began after that.
                assert!(differs(&party, &dir).is_none() || differs(&party, &whole).is_none(), "{how}");
            }
        } else {
            Ran::wait(forget()).ends(0);
        }
        wait(party.start()).into_iter().for_each(|ran| drop(ran.ends(0)));
        assert_eq!((traces(&data), differs(&party, &dir)), (vec![], None), "{how}");
    }
    println!("of {} forgets {} went ahead, and {} starts", 2 * DELAYS_MS.len(), met[0], met[1]);
}

#[test]
fn a_cluster_that_is_at_work_is_to_be_stopped_first() {
    let mut history = history(17, 60_000, 9_000);
    history.shape((2, 1));
    let data = history.data();
    let mut children = history.party.start();
    assert!(wait_for_work(&mut children, &data, &[], Duration::ZERO), "it was through already");
    children.iter().for_each(|child| signal(child, "STOP"));
    let refused = Ran::of(eddy(["forget", "reddit:ada", "--data-dir"]).arg(&data)).ends(2);
    let what = format!("eddy: a cluster is at work in {}, with process ", data.display());
    assert!(
        refused.stderr.starts_with(&what) && refused.stderr.contains("stop all of it first; nothing has been forgotten"),
        "{}",
        refused.stderr
    );
    assert!(!data.join("forgotten.json").exists());
    children.iter().for_each(|child| signal(child, "CONT"));
    history.is_right(wait(children));
}
