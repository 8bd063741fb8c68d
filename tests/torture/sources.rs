//! What sources may not do, and what they wait for.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use super::process::Place;
use crate::replays::run::Ran;

fn line(id: usize, author: &str) -> String {
    format!(r#"{{"id":"c{id}","link_id":"t3_s","subreddit":"rust","author":"{author}","body":"words","created_utc":1700000000}}"#) + "\n"
}

fn append(path: &std::path::Path, lines: impl Iterator<Item = String>) {
    let mut file = std::fs::File::options().append(true).create(true).open(path).expect("a file");
    file.write_all(lines.collect::<String>().as_bytes()).expect("room");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    assert!(Command::new("cp").arg("-rT").args([from, to]).status().expect("cp is there").success());
}

/// New lines would take the places of those that are lost, and count for them.
#[test]
fn a_log_that_lacks_what_the_state_counts_is_refused_before_anything_is_appended() {
    let place = Place::new();
    let (other, log, kept) = (place.file.with_extension("other"), place.data().join("log"), place.data().with_extension("kept"));
    let command = || {
        let mut command = place.command(1, &[]);
        command.arg(&other);
        command
    };
    append(&other, (0..10).map(|id| line(id, "old")));
    append(&place.file, (100..400).map(|id| line(id, "old")));
    let run = place.spawn(command());
    run.has_read(310, "");
    run.kill();
    copy(&log, &kept);
    append(&place.file, (400..3_000).map(|id| line(id, "old")));
    let run = place.spawn(command());
    run.has_read(2_910, "");
    run.kill();
    std::fs::remove_dir_all(&log).expect("it is there");
    copy(&kept, &log);
    append(&other, (10_000..10_100).map(|id| line(id, "new")));
    for _ in 0..4 {
        let ran = Ran::of(&mut command()).ends(1);
        assert!(ran.stderr.contains("ends at 310, but the state counts what stood before 2910"), "{}", ran.stderr);
    }
    // The way out that it names.
    let mut anew = command();
    anew.arg("--rebuild");
    let run = place.spawn(anew);
    run.has_read(3_010, "");
    let messages = |user: &str| run.get(&format!("/v1/users/reddit:{user}")).1["messages"].as_u64();
    let from = std::time::Instant::now();
    while (messages("old"), messages("new")) != (Some(2_910), Some(100)) {
        assert!(from.elapsed() < super::WAIT_MAX, "{:?} {:?}", messages("old"), messages("new"));
        std::thread::sleep(Duration::from_millis(10));
    }
    run.interrupt();
}

#[test]
fn what_is_no_file_is_refused_at_the_start_and_waited_for_later() {
    let place = Place::new();
    let name = place.file.display().to_string();
    let refused = || {
        let ran = Ran::of(&mut place.command(1, &[])).ends(2);
        assert!(ran.stderr.contains(&format!("{name} is no file that can grow")), "{}", ran.stderr);
    };
    assert!(Command::new("mkfifo").arg(&name).status().expect("mkfifo is there").success());
    refused();
    std::fs::remove_file(&name).expect("it is there");
    std::fs::create_dir(&name).expect("room");
    refused();
    std::fs::remove_dir(&name).expect("it is there");
    append(&place.file, (0..5).map(|id| line(id, "ann")));
    let run = place.spawn(place.command(1, &[]));
    run.has_read(5, "");
    // A rotation that fails half-way.
    std::fs::rename(&name, place.file.with_extension("1")).expect("room");
    std::fs::create_dir(&name).expect("room");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(run.get("/livez").0, 200);
    std::fs::remove_dir(&name).expect("it is there");
    append(&place.file, (5..9).map(|id| line(id, "ann")));
    run.has_read(9, "");
    let said = run.killed();
    assert_eq!(said.matches("it cannot be read, and is tried again").count(), 1, "{said}");
}
