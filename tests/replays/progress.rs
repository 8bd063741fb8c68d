//! What a person sees while it runs: on stderr, and nothing on stdout but the summary.

use std::io::{BufRead, Write};
use std::process::Stdio;

use super::bad_records::good;
use super::run::{Place, Ran};

#[test]
fn lines_without_a_terminal_tell_rate_and_counts_by_reason() {
    let place = Place::new();
    let file = place.file("some.ndjson", format!("{}\n{}\nbroken\n{{\"x\":1}}\n", good(1), good(1)));
    let ran = place.run([&file]).ends(0);
    ran.summary();
    assert_eq!(ran.stderr, "4 read; 1 applied, 1 ignored (1 repeated), 2 dead letters (1 json, 1 shape)\n");
}

#[test]
fn a_slow_pipe_gets_lines_and_no_time_left_that_nobody_can_know() {
    let place = Place::new();
    let mut child = place.replay(["-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{}", good(1)).expect("it reads");
    let mut said = std::io::BufReader::new(child.stderr.take().expect("a pipe")).lines();
    // Nothing else comes: the line does all the same.
    let line = said.next().expect("a line").expect("text");
    assert!(line.contains("records/s; ") && !line.contains("left"), "{line}");
    drop(stdin);
    assert!(child.wait().expect("a child").success());
}

/// Through `script`, which gives it a terminal.
fn on_a_terminal(place: &Place, arguments: &str) -> String {
    let command = format!("{} replay --output {} {arguments}", env!("CARGO_BIN_EXE_eddy"), place.out().display());
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &format!("echo | {command} >{}", place.path("stdout").display()), "/dev/null"]).env("TERM", "xterm");
    Ran::of(script.stdin(Stdio::null())).ends(0).stdout
}

#[test]
fn a_bar_on_a_terminal_is_gone_at_the_end() {
    if std::process::Command::new("script").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("skipped: `script` is not here");
        return;
    }
    let place = Place::new();
    let records: String = (0..20_000).map(|number| format!("{}\n", good(number))).collect();
    let file = place.file("many.ndjson", records);
    let seen = on_a_terminal(&place, &file.to_string_lossy());
    assert!(seen.contains("MiB  ETA"), "{seen:?}");
    let last = seen.trim_end().rsplit(['\r', '\n']).next().unwrap_or_default();
    assert!(last.ends_with("20000 read; 20000 applied, 0 ignored, 0 dead letters"), "{seen:?}");
    let stdout = std::fs::read_to_string(place.path("stdout")).expect("stdout");
    assert!(stdout.starts_with("{\"read\":20000") && stdout.matches('\n').count() == 1, "{stdout}");
    let seen = on_a_terminal(&place, "-");
    assert!(seen.contains("B read") && !seen.contains("ETA"), "{seen:?}");
}
