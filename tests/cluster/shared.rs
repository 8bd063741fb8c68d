//! `--shared`: what a cluster decided outlives its machines, in a local store and in S3.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use super::durable::{History, bytes, history};
use super::fence::{TRIES, end, is_stopped, tables};
use super::moto::Moto;
use super::party::{signal, wait};
use super::sealed;
use crate::replays::run::{Ran, eddy};

/// More than a cluster reads before its first ticks are in the store.
const RECORDS: usize = 60_000;
const MESSAGES: usize = 9_000;
/// Of frames: what a process has shipped that has done something.
const SHIPPED_BYTES: u64 = 10_000;

/// A history and the store that its clusters share.
struct Mirrored {
    history: History,
    url: String,
    moto: Option<Moto>,
    seals: bool,
}

impl Mirrored {
    fn local(seed: u64) -> Mirrored {
        Mirrored::of(history(seed, RECORDS, MESSAGES))
    }

    fn sealing(seed: u64) -> Mirrored {
        Mirrored { seals: true, ..Mirrored::of(sealed::longest_history(seed)) }
    }

    fn of(history: History) -> Mirrored {
        let url = format!("file://{}", history.party.place.path("store").display());
        Mirrored { history, url, moto: None, seals: false }
    }

    /// In S3, instead.
    fn s3(mut self, moto: Moto) -> Mirrored {
        self.history.party.environment = moto.environment();
        Mirrored { url: moto.url("some/prefix"), moto: Some(moto), ..self }
    }

    /// So that the next start has another number of processes and workers, and a folder of its own.
    fn shape(&mut self, shape: (usize, usize), data: &str) {
        self.history.shape(shape);
        self.history.party.data = data.into();
        if self.seals {
            // Frames stay longer: each segment of theirs is an object.
            self.history.party.arguments.iter_mut().filter(|given| *given == "4096").for_each(|given| *given = "16384".into());
        }
        let more = ["--shared", &self.url, "--watchdog", "3s"].map(str::to_owned);
        self.history.party.arguments.extend(more);
    }

    /// Bytes of frames that a process of the first generation has in the store; none: the generation is not there.
    fn shipped(&self, process: usize) -> Option<u64> {
        let (manifest, frames) = ("generation-000001.json", format!("generation-000001/process-{process}/state/"));
        if let Some(moto) = &self.moto {
            return moto.has(&format!("some/prefix/{manifest}")).then(|| moto.bytes(&format!("some/prefix/{frames}")));
        }
        let store = self.history.party.place.path("store");
        store.join(manifest).exists().then(|| bytes(&store.join(frames), &["/state/"]))
    }

    /// Starts the first cluster, waits until each process has shipped some work, and kills all of it; or it was through before, as it may be where a
    /// store is slow.
    fn is_killed(&self) {
        let mut children = self.history.party.start();
        let began = Instant::now();
        let mut first = vec![None; children.len()];
        // Since its manifest is there each has shipped more: all that it had written by then.
        let has_more = |(process, first): (usize, &mut Option<u64>)| {
            self.shipped(process).is_some_and(|now| now > *first.get_or_insert(now.max(SHIPPED_BYTES)))
        };
        while !first.iter_mut().enumerate().map(has_more).fold(true, |all, one| all & one) {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing is shipped");
            if children.iter_mut().any(|child| child.try_wait().expect("a child").is_some()) {
                return wait(children).into_iter().for_each(|ran| drop(ran.ends(0)));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        children.iter_mut().for_each(|child| child.kill().expect("a child"));
        for mut child in children {
            child.wait().expect("a child");
        }
    }

    fn loses(&self, data: &str) {
        std::fs::remove_dir_all(self.history.party.place.path(data)).expect("it was there");
    }

    fn ends_right(&self) -> Vec<String> {
        let ran = wait(self.history.party.start());
        let said = ran.iter().map(|ran| ran.stderr.clone()).collect();
        self.history.is_right(ran);
        said
    }
}

/// How far the files had come when the newest generation of a folder began, as its manifest says it.
fn position(data: &Path) -> String {
    let records = super::durable::names(data, "generation-").into_iter().filter(|name| name.ends_with(".json"));
    let newest = records.max().expect("a generation has begun");
    let record = std::fs::read_to_string(data.join(newest)).expect("a record");
    let (_, body) = record.split_once('\n').expect("its head");
    serde_json::from_str::<serde_json::Value>(body).expect("JSON")["position"]["files"].to_string()
}

/// False where no tick was whole in the store yet when the folder was lost: then all is read again.
fn a_lost_folder_is_no_loss(mut mirrored: Mirrored) -> bool {
    mirrored.shape((2, 1), "first");
    mirrored.is_killed();
    mirrored.loses("first");
    mirrored.shape((1, 3), "second");
    let said = mirrored.ends_right();
    assert!(said[0].contains("is fetched from"), "{}", said[0]);
    let goes_on = position(&mirrored.history.data()) != "{}";
    // All is there now, and there is nothing left to read.
    mirrored.loses("second");
    mirrored.shape((2, 2), "third");
    mirrored.ends_right();
    // And the folder goes on by itself.
    mirrored.shape((1, 1), "third");
    let said = mirrored.ends_right();
    assert!(!said[0].contains("is fetched from"), "{}", said[0]);
    goes_on
}

#[test]
fn a_cluster_whose_folder_is_lost_goes_on_from_a_local_store() {
    assert!((51..59).any(|seed| a_lost_folder_is_no_loss(Mirrored::local(seed))), "it never goes on from where the store was");
}

#[test]
fn a_cluster_whose_folder_is_lost_goes_on_from_s3_whether_it_seals_or_not() {
    for mirrored in [Mirrored::local(52), Mirrored::sealing(53)] {
        match Moto::start() {
            Some(moto) => drop(a_lost_folder_is_no_loss(mirrored.s3(moto))),
            None => println!("skipped: python3 with moto is missing (pip install 'moto[server]')"),
        }
    }
}

/// A step, and the process that freezes before it.
const STEPS: [(&str, usize); 8] =
    [("shared", 0), ("fetched", 0), ("ship:2", 1), ("shipped:2", 1), ("ship-snapshot", 0), ("unship", 0), ("commit", 0), ("committed", 0)];

/// Those of snapshots that processes make together, where messages are sealed.
const TOGETHER: [(&str, usize); 2] = [("ship-snapshot", 1), ("unship", 0)];

/// False where the work was over before that step.
fn one(mut mirrored: Mirrored, step: &str, paused: usize, is_told: bool) -> bool {
    mirrored.shape((4, 1), "first");
    mirrored.is_killed();
    mirrored.shape((2, 1), "second");
    let party = &mirrored.history.party;
    let pausing = |process| {
        let mut command = party.command(process);
        if process == paused {
            command.env("EDDY_PAUSE", step);
        }
        command.spawn().expect("the binary starts")
    };
    let mut frozen: Vec<Child> = (0..2).map(pausing).collect();
    let began = Instant::now();
    while !is_stopped(&frozen[paused]) {
        if frozen[paused].try_wait().expect("a child").is_some() {
            end(frozen);
            return false;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come to {step}");
        std::thread::sleep(Duration::from_millis(1));
    }
    for child in &mut frozen {
        if child.try_wait().expect("a child").is_none() {
            signal(child, "STOP");
        }
    }
    // On another machine, which sees the store and not the folder.
    mirrored.shape((1, 2), "third");
    if is_told {
        mirrored.history.party.arguments.push("--take-over".into());
    }
    mirrored.history.gives(wait(mirrored.history.party.start()));
    let before = tables(&mirrored.history);
    for child in &mut frozen {
        if child.try_wait().expect("a child").is_none() {
            signal(child, "CONT");
        }
    }
    for (process, ran) in wait(frozen).into_iter().enumerate() {
        // The other one may have been through.
        assert!(ran.code == 3 || (ran.code == 0 && process != paused), "process {process}, frozen at {step}: {} {}", ran.code, ran.stderr);
    }
    assert_eq!(tables(&mirrored.history), before, "frozen at {step}, its tables were put in place");
    // Nor is anything of it read; and its folder is behind now.
    mirrored.shape((4, 1), "second");
    mirrored.ends_right();
    true
}

#[test]
fn whoever_is_frozen_while_another_goes_on_from_the_store_changes_nothing_when_it_thaws() {
    for (number, (step, paused)) in STEPS.into_iter().enumerate() {
        let met = (0..TRIES).any(|_| one(Mirrored::local(60 + paused as u64), step, paused, number % 2 == 0));
        assert!(met, "{step} of process {paused} is never met");
    }
}

#[test]
fn nor_does_it_where_messages_are_sealed() {
    for (number, (step, paused)) in TOGETHER.into_iter().enumerate() {
        let met = (0..TRIES).any(|_| one(Mirrored::sealing(62 + paused as u64), step, paused, number % 2 == 0));
        assert!(met, "{step} of process {paused} is never met");
    }
}

#[test]
fn a_store_whose_cluster_lives_is_refused_unless_told() {
    let mut mirrored = Mirrored::local(71);
    mirrored.shape((2, 1), "first");
    let living = mirrored.history.party.start();
    let began = Instant::now();
    while mirrored.shipped(0).is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&living[1], "STOP");
    mirrored.shape((1, 1), "second");
    // Its watchdog would end it.
    let refused = Ran::of(&mut mirrored.history.party.command(0)).ends(2);
    assert!(refused.stderr.contains("where it runs) is alive") && refused.stderr.contains("--take-over"), "{}", refused.stderr);
    mirrored.history.party.arguments.push("--take-over".into());
    mirrored.ends_right();
    signal(&living[1], "CONT");
    for ran in wait(living) {
        ran.ends(3);
    }
}

#[test]
fn a_store_that_cannot_be_written_stops_no_work_and_is_made_whole_later() {
    let mut mirrored = Mirrored::local(81);
    mirrored.shape((2, 1), "first");
    let (store, away) = (mirrored.history.party.place.path("store"), mirrored.history.party.place.path("away"));
    let children = mirrored.history.party.start();
    let began = Instant::now();
    while mirrored.shipped(0).is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::fs::rename(&store, &away).expect("it is there");
    std::fs::write(&store, "no folder").expect("room");
    let ran = wait(children);
    for ran in &ran {
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("lags, and the work goes on: could not"), "{}", ran.stderr);
        assert!(ran.stderr.contains("the work is done and its state is in --data-dir, but the mirror in"), "{}", ran.stderr);
    }
    // All but the code is as it was to be.
    mirrored.history.is_right(ran.into_iter().map(|ran| Ran { code: 0, ..ran }).collect());
    std::fs::remove_file(&store).expect("it is there");
    std::fs::rename(&away, &store).expect("it is there");
    mirrored.ends_right();
    mirrored.loses("first");
    mirrored.shape((1, 1), "second");
    mirrored.ends_right();
    let records = |position: String| position.matches("End").count();
    assert_eq!(records(position(&mirrored.history.data())), mirrored.history.party.files.len(), "there was nothing left to read");
}

fn forget(data: &Path, url: &str) -> std::process::Command {
    let mut command = eddy(["forget", "reddit:ada", "--shared", url, "--data-dir"]);
    command.arg(data);
    command
}

#[test]
fn a_folder_with_a_blank_is_written_as_in_any_url() {
    let mut mirrored = Mirrored::local(94);
    mirrored.url.push_str("%20of%25");
    mirrored.shape((1, 1), "first");
    mirrored.ends_right();
    assert!(mirrored.history.party.place.path("store of%").join("lineage.json").exists());
    assert!(!mirrored.history.party.place.path("store%20of%25").exists());
}

#[test]
fn what_is_damaged_in_a_store_says_what_helps_and_that_helps() {
    let mut mirrored = Mirrored::local(95);
    mirrored.shape((1, 1), "first");
    mirrored.ends_right();
    let lineage = mirrored.history.party.place.path("store").join("lineage.json");
    let is_refused = |mirrored: &Mirrored, what: &str| {
        let ran = wait(mirrored.history.party.start()).remove(0).ends(1);
        assert!(ran.stderr.contains(what), "{}", ran.stderr);
    };
    let removed = format!("lineage.json is damaged: remove {}/lineage.json, and the same command makes it anew", mirrored.url);
    // With the folder, and without.
    for data in ["first", "second"] {
        std::fs::write(&lineage, "{\"format\":").expect("room");
        mirrored.shape((1, 1), data);
        is_refused(&mirrored, &removed);
        std::fs::remove_file(&lineage).expect("it is there");
        mirrored.ends_right();
    }
    // Not so that one state would take the place of another.
    std::fs::remove_file(&lineage).expect("it is there");
    let elsewhere = mirrored.url.replace("/store", "/other");
    let here = std::mem::replace(&mut mirrored.url, elsewhere);
    mirrored.shape((1, 1), "third");
    mirrored.ends_right();
    mirrored.url = here;
    std::fs::remove_file(mirrored.history.party.place.path("third").join("shared.json")).expect("it is there");
    mirrored.shape((1, 1), "third");
    let ran = wait(mirrored.history.party.start()).remove(0).ends(2);
    assert!(ran.stderr.contains("is not the one in"), "{}", ran.stderr);
    // What is not known any more is made anew from the files.
    let manifest =
        super::durable::names(lineage.parent().expect("a folder"), "generation-").into_iter().filter(|name| name.ends_with(".json"));
    std::fs::write(lineage.with_file_name(manifest.max().expect("one")), "damaged").expect("room");
    mirrored.shape((1, 1), "fourth");
    is_refused(&mirrored, "is damaged: ");
    is_refused(&mirrored, "with `eddy work --rebuild` all is made anew from the files");
    mirrored.history.party.arguments.push("--rebuild".into());
    mirrored.ends_right();
}

#[test]
fn what_cannot_be_mirrored_is_refused() {
    let mut mirrored = Mirrored::local(91);
    mirrored.shape((1, 1), "first");
    let party = &mut mirrored.history.party;
    let (durable, arguments) = (party.arguments.iter().position(|argument| argument == "durable").expect("given"), party.arguments.clone());
    party.arguments[durable] = "none".into();
    let ran = Ran::of(&mut party.command(0)).ends(2);
    assert!(ran.stderr.contains("give --state durable, too"), "{}", ran.stderr);
    party.arguments = arguments.clone();
    let url = arguments.iter().position(|argument| argument == "--shared").expect("given") + 1;
    for wrong in ["store", "file://store", "file:///a%zz", "s3://", "ftp://a/b"] {
        party.arguments[url] = wrong.into();
        let ran = Ran::of(&mut party.command(0)).ends(2);
        assert!(ran.stderr.contains(&format!("--shared {wrong}: it looks like file:///folder")), "{}", ran.stderr);
    }
    let (place, data) = (party.place.path("."), mirrored.history.data());
    let url_of = |path: &Path| format!("file://{}", path.display());
    let party = &mut mirrored.history.party;
    for (wrong, why) in [
        (url_of(&data), "it is --data-dir itself"),
        (url_of(&data.join("store")), "it is in --data-dir"),
        (url_of(&place), "--data-dir is in it"),
        ("file:///".into(), "--data-dir is in it"),
    ] {
        party.arguments[url].clone_from(&wrong);
        for mut command in [party.command(0), forget(&data, &wrong)] {
            let ran = Ran::of(&mut command).ends(2);
            assert!(ran.stderr.contains(&format!("--shared {wrong}: {why}")), "{}", ran.stderr);
        }
    }
    assert!(!data.join("store").exists(), "nothing was made there");
    party.arguments = arguments;
    mirrored.ends_right();
    // Without, what it does would be in no mirror.
    mirrored.history.shape((1, 1));
    let ran = Ran::of(&mut mirrored.history.party.command(0)).ends(2);
    assert!(ran.stderr.contains("is mirrored in file://") && ran.stderr.contains("give --shared"), "{}", ran.stderr);
    // Nor is it another's.
    mirrored.shape((1, 1), "first");
    let url = mirrored.url.replace("/store", "/other");
    mirrored
        .history
        .party
        .arguments
        .iter_mut()
        .filter(|argument| **argument == mirrored.url)
        .for_each(|argument| argument.clone_from(&url));
    mirrored.history.party.data = "second".into();
    mirrored.ends_right();
    mirrored.history.party.data = "first".into();
    let ran = Ran::of(&mut mirrored.history.party.command(0)).ends(2);
    assert!(ran.stderr.contains("holds another"), "{}", ran.stderr);
}
