//! `eddy forget`, against folders of the binary: no byte of the user is left, everyone else is what they were.

use std::io::Write as _;
use std::path::Path;

use tempfile::TempDir;

use crate::replays::run::{Ran, eddy};
use crate::torture::process::Place;

const USER: &str = "Ada_Unique_9f3";
const WORDS: &str = "zanzibar quokka";

fn comment(id: u32, author: &str, body: &str, more: &str) -> String {
    format!(
        r#"{{"id":"c{id}","link_id":"t3_s{}","parent_id":"t1_c{}","subreddit":"rust","author":"{author}","body":"{body}","created_utc":{},"seq":{id}{more}}}"#,
        id % 3,
        id.saturating_sub(7),
        1_700_000_000 + id
    )
}

/// Records of others and of the user, and whether each is the user's.
fn lines() -> Vec<(bool, String)> {
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

/// Files under a folder that hold the user's name or words, in any case.
fn traces(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(traces(&path));
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file").to_ascii_lowercase();
        for needle in [USER.to_ascii_lowercase(), WORDS.to_owned()] {
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                found.push(format!("{needle} in {}", path.display()));
            }
        }
    }
    found
}

fn forget(data: &Path) -> serde_json::Value {
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
    assert_eq!(run.get(&format!("/v1/users/reddit:{USER}")).0, 200);
    let in_use = Ran::of(eddy(["forget", "reddit:x", "--data-dir"]).arg(place.data())).ends(1);
    assert!(in_use.stderr.contains("in use by process"), "{}", in_use.stderr);
    run.interrupt();

    // The file that is followed is the producer's: it goes by the producer's hand.
    let done = forget(&place.data());
    assert!(done["log_records"].as_u64() > Some(80) && done["changelogs"].as_array().is_some_and(|gone| gone.len() == 1), "{done}");
    assert_eq!([traces(&place.data()), traces(&place.changes(1))].concat(), Vec::<String>::new());

    let run = place.spawn(place.command(1, &[1]));
    run.ready();
    assert_eq!(run.get(&format!("/v1/users/reddit:{USER}")).0, 404);
    let others = lines.iter().filter(|(is_users, _)| !is_users).count();
    let messages = run.get("/v1/communities/reddit:rust").1;
    assert_eq!(messages["messages"].as_u64().or_else(|| messages["row"]["messages"].as_u64()), Some(others as u64), "{messages}");
    run.interrupt();
    assert_eq!([traces(&place.data()), traces(&place.changes(1))].concat(), Vec::<String>::new());
    assert!(place.changes(1).join("users.000001.ndjson").is_file());
}

#[test]
fn a_folder_that_is_none_and_a_key_that_is_none_are_refused() {
    let dir = TempDir::new().expect("a folder");
    Ran::of(eddy(["forget", "reddit:x", "--data-dir"]).arg(dir.path())).ends(2);
    Ran::of(eddy(["forget", "ada", "--data-dir"]).arg(dir.path())).ends(2);
}
