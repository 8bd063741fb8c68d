//! What happens to files under a running replay, and to a reader of stdout that has gone.

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use super::bad_records::good;
use super::run::{Place, Ran};

/// A replay of `file` and then of stdin, which stays open: it has read the file when this returns.
fn waiting(place: &Place, file: &std::path::Path) -> Child {
    let mut command = place.replay([file, std::path::Path::new("-")]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    // More than a pipe holds: once it is taken, the file before it has been read.
    let stdin = child.stdin.as_mut().expect("a pipe");
    for number in 0..2_000 {
        writeln!(stdin, "{}", good(100_000 + number)).expect("it reads");
    }
    stdin.flush().expect("it reads");
    child
}

fn end(mut child: Child) -> Ran {
    drop(child.stdin.take());
    Ran::wait(child)
}

#[test]
fn a_file_removed_or_replaced_after_it_was_read_keeps_its_texts() {
    let place = Place::new();
    for replaced in [false, true] {
        let file = place.file("gone.ndjson", good(1));
        let child = waiting(&place, &file);
        std::fs::remove_file(&file).expect("it was there");
        if replaced {
            std::fs::write(&file, good(1).replace("hi", "no")).expect("room");
        }
        let summary = end(child).ends(0).summary();
        assert_eq!(summary.n("applied"), 2_001);
        assert!(place.tables()["messages"].iter().all(|row| row[8] == "hi"));
    }
}

#[test]
fn a_file_that_grows_counts_as_far_as_it_was_read() {
    let place = Place::new();
    let file = place.file("log.ndjson", format!("{}\n", good(1)));
    let child = waiting(&place, &file);
    writeln!(std::fs::OpenOptions::new().append(true).open(&file).expect("it is there"), "{}", good(2)).expect("room");
    assert_eq!(end(child).ends(0).summary().n("applied"), 2_001);
    assert_eq!(place.tables()["messages"].len(), 2_001);
}

#[test]
fn a_file_changed_under_a_replay_fails_it_and_the_old_tables_stay() {
    let place = Place::new();
    place.run([place.file("first.ndjson", good(7))]).ends(0);
    let before = place.tables();
    let file = place.file("changed.ndjson", good(1));
    let child = waiting(&place, &file);
    std::fs::write(&file, good(1).replace("hi", "no")).expect("room");
    let ran = end(child).ends(1);
    assert!(ran.stderr.contains("changed.ndjson was changed while it was read"), "{}", ran.stderr);
    assert!(ran.stdout.is_empty() && place.tables() == before);
    place.is_clean();
}

#[test]
fn a_file_that_is_gone_when_its_turn_comes_is_incomplete() {
    let place = Place::new();
    let file = place.file("late.ndjson", good(1));
    let mut command = place.replay([std::path::Path::new("-"), &file]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    for number in 0..2_000 {
        writeln!(stdin, "{}", good(100_000 + number)).expect("it reads");
    }
    std::fs::remove_file(&file).expect("it was there");
    drop(stdin);
    let ran = Ran::wait(child).ends(1);
    assert_eq!(ran.summary().incomplete(), [file.display().to_string()]);
    assert_eq!(ran.summary().n("applied"), 2_000);
    assert_eq!(place.tables()["messages"].len(), 2_000);
}

#[test]
fn a_reader_of_stdout_or_stderr_that_has_gone_is_no_failure() {
    let place = Place::new();
    let file = place.file("one.ndjson", format!("{}\nbroken\n", good(1)));
    for closed in ["| true", "2>&1 >/dev/null | true", ">&-", "2>&-", "2>&1 | head -0"] {
        let _ = std::fs::remove_dir_all(place.out());
        // The code of eddy itself, and time for the reader to go.
        let script = format!("(sleep 0.05; \"$@\"; echo $? >\"$CODE\") {closed}; true");
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_eddy"), "replay", "--output"]).arg(place.out()).arg(&file);
        Ran::of(command.env("CODE", place.path("code"))).ends(0);
        let code = std::fs::read_to_string(place.path("code")).expect("a code");
        assert_eq!(code.trim(), "0", "{closed}");
        assert_eq!(place.tables()["messages"].len(), 1, "{closed}");
    }
}

#[test]
fn a_summary_that_cannot_be_written_is_a_failure() {
    let place = Place::new();
    let file = place.file("one.ndjson", good(1));
    let mut command = place.replay([file]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut child = command.stdout(full).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(child.wait().expect("a child").code(), Some(1));
    assert!(said.contains("the result could not be written"), "{said}");
}
