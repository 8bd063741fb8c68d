//! `eddy forget`, against folders of the binary: no byte of the user is left, everyone else is what they were.

mod broken;
mod killed;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::party::{Party, wait};
use crate::harness::difference;
use crate::replays::archives::gzip;
use crate::replays::run::{Ran, eddy};
use crate::torture::WAIT_MAX;
use crate::torture::changes::Folded;
use crate::torture::process::{Place, Run};

pub const USER: &str = "Ada_Unique_9f3";
pub const WORDS: &str = "zanzibar quokka";

fn comment(id: u32, author: &str, body: &str, more: &str) -> String {
    format!(
        r#"{{"id":"c{id}","link_id":"t3_s{}","parent_id":"t1_c{}","subreddit":"rust","author":"{author}","body":"{body}","created_utc":{},"seq":{id}{more}}}"#,
        id % 3,
        id.saturating_sub(7),
        1_700_000_000 + id
    )
}

/// Records of others and of the user, and whether each is the user's.
pub fn lines() -> Vec<(bool, String)> {
    let mut lines = vec![];
    for id in 1..400 {
        match id % 9 {
            0 => lines.push((true, comment(id, if id % 2 == 0 { USER } else { "ada_unique_9F3" }, &format!("{WORDS} {id}"), ""))),
            1 => lines.push((false, comment(id, "bob", "an answer", &format!(r#","link_author":"{USER}""#)))),
            // The user's version was there first, and lost.
            2 => {
                lines.push((true, comment(id, USER, WORDS, "").replace(&format!(r#""seq":{id}"#), r#""seq":0"#)));
                lines.push((false, comment(id, "carol", "mine now", "")));
            }
            _ => lines.push((false, comment(id, ["bob", "carol", "dan"][id as usize % 3], "words", ""))),
        }
    }
    lines.push((true, format!(r#"{{"id":"c9999","author":"{USER}","body":"{WORDS}","created_utc":"never"}}"#)));
    lines.push((true, format!(r#"{{"id":"c9998","author":"{USER}","body":"{WORDS}"#)));
    lines
}

fn write(path: &Path, lines: impl Iterator<Item = String>) {
    let mut file = std::fs::File::create(path).expect("room");
    lines.for_each(|line| writeln!(file, "{line}").expect("room"));
}

fn bytes(lines: &[(bool, String)]) -> Vec<u8> {
    lines.iter().map(|(_, line)| format!("{line}\n")).collect::<String>().into_bytes()
}

/// Two files of a cluster, packed, so that the texts are in the state.
fn packed(party: &mut Party, lines: &[(bool, String)]) {
    for (n, lines) in lines.chunks(lines.len() / 2 + 1).enumerate() {
        party.files.push(party.place.file(&format!("{n}.gz"), gzip(&bytes(lines))));
    }
}

/// A cluster of these records that is mirrored: its folder and the store, and the store's address.
fn mirrored(lines: &[(bool, String)]) -> (Party, [PathBuf; 2], String) {
    let mut party = Party::new(2);
    packed(&mut party, lines);
    let folders = ["data", "store"].map(|name| party.place.path(name));
    let url = format!("file://{}", folders[1].display());
    party.arguments = ["--state", "durable", "--tick-records-max", "40", "--snapshot-bytes", "4096", "--workers", "2", "--shared", &url]
        .map(str::to_owned)
        .to_vec();
    (party, folders, url)
}

/// The tables of those that are not the user's.
fn of_others(lines: &[(bool, String)], arguments: &[&str]) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("others.ndjson");
    write(&file, lines.iter().filter(|(is_users, _)| !is_users).map(|(_, line)| line.clone()));
    Ran::of(eddy(["replay", "--output"]).args([dir.path(), &file]).args(arguments)).ends(0);
    dir
}

/// Files under a folder that hold the user's name or words, in any case.
pub fn traces(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(traces(&path));
            continue;
        }
        let bytes = match std::fs::read(&path) {
            // Who is at work there may have put another in its place.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            bytes => bytes.expect("a file").to_ascii_lowercase(),
        };
        for needle in [USER.to_ascii_lowercase(), WORDS.to_owned()] {
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                found.push(format!("{needle} in {}", path.display()));
            }
        }
    }
    found
}

pub fn forget(data: &Path) -> serde_json::Value {
    let ran = Ran::of(eddy(["forget", "reddit:ADA_unique_9f3", "--data-dir"]).arg(data)).ends(0);
    serde_json::from_str(&ran.stdout).expect("one line of JSON")
}

fn table(folder: &Path, view: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{view}.tsv"))).expect("a table")
}

#[test]
fn a_durable_replay_forgets_a_user_and_old_records_stay_dead() {
    let dir = TempDir::new().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let lines = lines();
    // Packed, so that the texts are in the state; small ticks, so that there are snapshots and frames.
    let packed = std::fs::File::create(at("all.gz")).expect("room");
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    lines.iter().for_each(|(_, line)| writeln!(packed, "{line}").expect("room"));
    packed.finish().expect("room");
    write(&at("others.ndjson"), lines.iter().filter(|(is_users, _)| !is_users).map(|(_, line)| line.clone()));
    write(&at("again.ndjson"), lines.iter().map(|(_, line)| line.clone()));
    let replay = |output: &str, more: &[&str], files: &[&str]| {
        let mut command = eddy(["replay", "--state", "durable", "--tick-records-max", "40", "--snapshot-bytes", "8192", "--data-dir"]);
        command.arg(at("data")).arg("--output").arg(at(output)).args(more).args(files.iter().map(|file| at(file)));
        Ran::of(&mut command).ends(0).summary()
    };
    replay("before", &["--workers", "2"], &["all.gz"]);
    assert!(!traces(&at("data")).is_empty(), "there is something to forget");

    let done = forget(&at("data"));
    assert_eq!(traces(&at("data")), Vec::<String>::new());
    assert!(
        done["versions"].as_u64() > Some(40) && done["dead_letters"].as_u64() == Some(2) && done["texts"].as_u64() > Some(40),
        "{done}"
    );

    let mut others = eddy(["replay", "--output"]);
    Ran::of(others.arg(at("others")).arg(at("others.ndjson"))).ends(0);
    replay("after", &[], &["all.gz"]);
    // The same records from another file change nothing any more.
    let summary = replay("again", &["--workers", "3"], &["all.gz", "again.ndjson"]);
    assert!(summary.ignored()["forgotten"] > 40, "{}", summary.0);
    for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view.name) {
        assert_eq!(table(&at("after"), view), table(&at("others"), view), "{view}");
        // (Texts stand elsewhere now; nothing else does.)
        assert_eq!(table(&at("again"), view), table(&at("others"), view), "{view}");
    }
    assert_eq!(traces(&at("data")), Vec::<String>::new());
    assert_eq!(forget(&at("data"))["is_new"], false, "again is no error");
}

#[test]
fn a_live_run_forgets_a_user_and_writes_its_changelog_anew() {
    let place = Place::new();
    let lines = lines();
    write(&place.file, lines.iter().map(|(_, line)| line.clone()));
    let run = place.spawn(place.command(2, &[1]));
    run.ready();
    run.has_read(lines.len() as u64, "forget");
    is_shown(&run);
    run.interrupt();

    // The file that is followed is the producer's: it goes by the producer's hand.
    let done = forget(&place.data());
    assert!(done["log_records"].as_u64() > Some(80) && done["changelogs"].as_array().is_some_and(|gone| gone.len() == 1), "{done}");
    assert_eq!([traces(&place.data()), traces(&place.changes(1))].concat(), Vec::<String>::new());

    let run = place.spawn(place.command(1, &[1]));
    run.ready();
    is_without(&run, lines.iter().filter(|(is_users, _)| !is_users).count());
    run.interrupt();
    assert_eq!([traces(&place.data()), traces(&place.changes(1))].concat(), Vec::<String>::new());
    assert!(place.changes(1).join("users.000001.ndjson").is_file());
}

/// The user has rows. (What is read may be counted a tick before it is shown.)
fn is_shown(run: &Run) {
    let from = Instant::now();
    while run.get(&format!("/v1/users/reddit:{USER}")).0 != 200 {
        assert!(from.elapsed() < WAIT_MAX, "there was no such user");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The user's messages are gone, and all others there.
fn is_without(run: &Run, others: usize) {
    let from = Instant::now();
    loop {
        let community = run.get("/v1/communities/reddit:rust").1;
        if community["messages"].as_u64() == Some(others as u64) {
            break;
        }
        assert!(from.elapsed() < WAIT_MAX, "{others} messages of others: {community}");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(run.get(&format!("/v1/users/reddit:{USER}")).0, 404);
}

#[test]
fn a_run_that_goes_on_forgets_a_user_when_it_is_asked() {
    let place = Place::new();
    let lines = lines();
    let others = lines.iter().filter(|(is_users, _)| !is_users).count();
    write(&place.file, lines.iter().map(|(_, line)| line.clone()));
    let run = place.spawn(place.command(2, &[1]));
    run.ready();
    run.has_read(lines.len() as u64, "forget");
    is_shown(&run);
    let tick = run.tick();

    let done = forget(&place.data());
    assert!(done["log_records"].as_u64() > Some(80) && done["versions"].as_u64() > Some(40), "{done}");
    run.ready();
    assert!(run.tick() >= tick, "ticks go on");
    is_without(&run, others);
    assert_eq!([traces(&place.data()), traces(&place.changes(1))].concat(), Vec::<String>::new());
    assert_eq!(forget(&place.data())["is_new"], false, "again is no error");

    // What comes later of the same user is ignored, by this process and by the next.
    run.ready();
    let more = [comment(5_001, USER, WORDS, ""), comment(5_002, "bob", "later", "")];
    let mut file = std::fs::File::options().append(true).open(&place.file).expect("it is there");
    file.write_all((more.join("\n") + "\n").as_bytes()).expect("room");
    run.has_read(lines.len() as u64 + 2, "forget");
    is_without(&run, others + 1);
    let counters = run.counters();
    assert_eq!(counters.read, counters.applied + counters.ignored + counters.dead);
    run.kill();
    let run = place.spawn(place.command(1, &[1]));
    run.ready();
    is_without(&run, others + 1);
    let served = run.tables();
    run.interrupt();
    assert_eq!(difference(&Folded::read(&place.changes(1)).tables, &served), None);
}

#[test]
fn what_a_run_was_asked_is_done_though_it_was_killed() {
    let place = Place::new();
    let lines = lines();
    let others = lines.iter().filter(|(is_users, _)| !is_users).count();
    write(&place.file, lines.iter().map(|(_, line)| line.clone()));
    for whoever_asked_waits in [false, true] {
        let run = place.start(1);
        run.ready();
        run.has_read(lines.len() as u64, "forget");
        // It is asked, and does not hear it any more.
        run.signal("STOP");
        let mut command = eddy(["forget", "reddit:ADA_unique_9f3", "--data-dir"]);
        let mut asks = command.arg(place.data()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let is_asked = || traces(&place.data().join("forget")).len() == 1;
        let from = Instant::now();
        while !is_asked() {
            assert!(from.elapsed() < WAIT_MAX && asks.try_wait().expect("a child").is_none(), "nothing is asked");
            std::thread::sleep(Duration::from_millis(5));
        }
        if whoever_asked_waits {
            run.kill();
            Ran::wait(asks).ends(0);
        } else {
            asks.kill().expect("a child");
            asks.wait().expect("a child");
            run.kill();
        }
        let run = place.start(2);
        run.ready();
        is_without(&run, others);
        run.interrupt();
        assert_eq!([traces(&place.data()), traces(&place.changes(1)), traces(&place.changes(2))].concat(), Vec::<String>::new());
    }
}

#[test]
fn a_cluster_forgets_a_user_and_old_records_stay_dead() {
    let mut party = Party::new(2);
    let lines = lines();
    packed(&mut party, &lines);
    party.arguments = ["--state", "durable", "--tick-records-max", "40", "--workers", "2"].map(str::to_owned).to_vec();
    let run = |party: &Party| wait(party.start()).into_iter().for_each(|ran| drop(ran.ends(0)));
    run(&party);
    let data = party.place.path("data");
    assert!(!traces(&data).is_empty(), "there is something to forget");
    let done = forget(&data);
    assert_eq!(traces(&data), Vec::<String>::new());
    assert!(
        done["versions"].as_u64() > Some(40) && done["texts"].as_u64() > Some(40) && done["dead_letters"].as_u64() == Some(2),
        "{done}"
    );
    // With the same records from another file, too.
    party.files.push(party.place.file("again.gz", gzip(&bytes(&lines))));
    run(&party);
    assert_eq!(traces(&data), Vec::<String>::new());
    let dir = of_others(&lines, &[]);
    for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view.name) {
        assert_eq!(table(&party.place.out(), view), table(dir.path(), view), "{view}");
    }
}

/// The second start has another shape, and adopts what the first left: what is forgotten is in snapshots, frames and sealed sums. So many lines of
/// others come after the user's.
fn a_cluster_that_seals_forgets(more: u32, is_mirrored: bool) {
    const RETENTION: [&str; 2] = ["--retention", "100s"];
    const PARTS: usize = 30;
    let mut lines = lines();
    let part = lines.len() / PARTS;
    lines.extend((0..more).map(|n| (false, comment(400 + n, ["bob", "carol", "dan"][n as usize % 3], "words", ""))));
    let mut party = Party::new(2);
    let parts: Vec<&[(bool, String)]> = lines.chunks(part).collect();
    for (n, lines) in parts.iter().enumerate() {
        party.files.push(party.place.file(&format!("{n}.gz"), gzip(&bytes(lines))));
    }
    let all = std::mem::take(&mut party.files);
    let (data, store) = (party.place.path("data"), party.place.path("store"));
    let url = format!("file://{}", store.display());
    let shared: &[&str] = if is_mirrored { &["--shared", &url] } else { &[] };
    let run = |party: &mut Party, upto: usize, workers: &str| {
        party.files = all[..upto].to_vec();
        let arguments = ["--state", "durable", "--tick-records-max", "1", "--snapshot-bytes", "4096", "--workers", workers];
        party.arguments = [&arguments[..], &RETENTION, shared].concat().into_iter().map(str::to_owned).collect();
        wait(party.start()).into_iter().for_each(|ran| drop(ran.ends(0)));
    };
    let all_traces = || [traces(&data), if is_mirrored { traces(&store) } else { vec![] }].concat();
    run(&mut party, 20, "2");
    run(&mut party, all.len() - 5, "1");
    assert!(!traces(&data).is_empty() && (!is_mirrored || !traces(&store).is_empty()), "there is something to forget");
    let ran = Ran::of(eddy(["forget", "reddit:ADA_unique_9f3", "--data-dir"]).arg(&data).args(shared)).ends(0);
    let done: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one line of JSON");
    assert_eq!(all_traces(), Vec::<String>::new());
    // Sooner or later all are sealed.
    assert!(done[if is_mirrored { "sealed_sums" } else { "versions" }].as_u64() > Some(5), "{done}");
    if is_mirrored {
        std::fs::remove_dir_all(&data).expect("it is there");
    }
    run(&mut party, all.len(), "2");
    assert_eq!(all_traces(), Vec::<String>::new());
    let dir = of_others(&lines, &RETENTION);
    // Sums of the community are what they were; whatever is said of users is as if this one had never been.
    for view in ["users", "user_hours", "sessions", "top_users", "replies", "messages", "user_names"] {
        assert_eq!(table(&party.place.out(), view), table(dir.path(), view), "{view}");
    }
}

#[test]
fn a_cluster_forgets_a_user_whose_messages_are_sealed() {
    a_cluster_that_seals_forgets(0, false);
}

/// It is at work for so long that what it sealed is in snapshots in the store.
#[test]
fn a_store_forgets_a_user_whose_messages_are_sealed() {
    a_cluster_that_seals_forgets(20_000, true);
}

#[test]
fn a_store_that_mirrors_a_cluster_forgets_a_user_too() {
    let lines = lines();
    let (mut party, [data, store], url) = mirrored(&lines);
    let run = |party: &Party| wait(party.start()).into_iter().for_each(|ran| drop(ran.ends(0)));
    run(&party);
    // Again, so that there is more than one generation.
    run(&party);
    assert!(!traces(&data).is_empty() && !traces(&store).is_empty(), "there is something to forget");
    let without = Ran::of(eddy(["forget", "reddit:ADA_unique_9f3", "--data-dir"]).arg(&data)).ends(2);
    assert!(without.stderr.contains("give --shared"), "{}", without.stderr);
    let other = format!("file://{}", party.place.path("other").display());
    let other = Ran::of(eddy(["forget", "reddit:ADA_unique_9f3", "--shared", &other, "--data-dir"]).arg(&data)).ends(2);
    assert!(other.stderr.contains(&format!("is mirrored in {url}, and")), "{}", other.stderr);
    // One that a killed process left on its way.
    let object =
        std::fs::read_dir(store.join("texts-000001/process-0/texts-0")).expect("texts").next().expect("some").expect("an entry").path();
    std::fs::copy(&object, format!("{}#1", object.display())).expect("room");
    let forget = |data: &Path| {
        let ran = Ran::of(eddy(["forget", "reddit:ADA_unique_9f3", "--shared", &url, "--data-dir"]).arg(data)).ends(0);
        serde_json::from_str::<serde_json::Value>(&ran.stdout).expect("one line of JSON")
    };
    let done = forget(&data);
    assert_eq!([traces(&data), traces(&store)].concat(), Vec::<String>::new());
    assert!(done["versions"].as_u64() > Some(40) && done["texts"].as_u64() > Some(40), "{done}");
    // From the store alone, with the same records from another file, too.
    std::fs::remove_dir_all(&data).expect("it is there");
    party.files.push(party.place.file("again.gz", gzip(&bytes(&lines))));
    run(&party);
    assert_eq!([traces(&data), traces(&store)].concat(), Vec::<String>::new());
    let dir = of_others(&lines, &[]);
    for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view.name) {
        assert_eq!(table(&party.place.out(), view), table(dir.path(), view), "{view}");
    }
    // And where the folder is elsewhere, that is fetched first.
    let elsewhere = party.place.path("elsewhere");
    assert_eq!(forget(&elsewhere)["is_new"], false, "again is no error");
    assert_eq!([traces(&elsewhere), traces(&store)].concat(), Vec::<String>::new());
    // Made anew where the folder is lost: the store knows who is forgotten.
    std::fs::remove_dir_all(&data).expect("it is there");
    party.arguments.push("--rebuild".into());
    run(&party);
    assert_eq!(table(&party.place.out(), "users"), table(dir.path(), "users"));
    assert!(store.join("forgotten.json").exists());
    // As a killed one leaves it.
    std::fs::write(store.join("forgetting"), "").expect("room");
    party.arguments.pop();
    let refused = wait(party.start());
    assert!(refused.iter().any(|ran| ran.code == 2 && ran.stderr.contains("still being forgotten")), "nobody says so");
    forget(&data);
    run(&party);
}

#[test]
fn a_folder_that_is_none_and_a_key_that_is_none_are_refused() {
    let dir = TempDir::new().expect("a folder");
    Ran::of(eddy(["forget", "reddit:x", "--data-dir"]).arg(dir.path())).ends(2);
    Ran::of(eddy(["forget", "ada", "--data-dir"]).arg(dir.path())).ends(2);
}
