//! What a person sees while it runs: on stderr, and nothing on stdout but the summary.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

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
    let mut child = place.replay(["-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    writeln!(stdin, "{}", good(1)).expect("it reads");
    std::thread::sleep(Duration::from_millis(5_400));
    drop(stdin);
    let ran = Ran::wait(child).ends(0);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stderr);
    assert!(lines[0].contains("records/s; ") && !lines[0].contains("left"), "{}", ran.stderr);
}

/// Through `script`, which gives it a terminal.
fn on_a_terminal(place: &Place, arguments: &str) -> String {
    let command = format!("{} replay --output {} {arguments}", env!("CARGO_BIN_EXE_eddy"), place.out().display());
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &format!("{command} >{}", place.path("stdout").display()), "/dev/null"]).env("TERM", "xterm");
    Ran::of(script.stdin(Stdio::null())).ends(0).stdout
}

#[test]
fn a_bar_on_a_terminal_is_gone_at_the_end() {
    if std::process::Command::new("script").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("skipped: `script` is not here");
        return;
    }
    let place = Place::new();
    let records: String = (0..60_000).map(|number| format!("{}\n", good(number))).collect();
    let file = place.file("many.ndjson", records);
    let seen = on_a_terminal(&place, &file.to_string_lossy());
    assert!(seen.contains("ETA") && seen.contains("records/s"), "{seen:?}");
    let last = seen.trim_end().rsplit(['\r', '\n']).next().unwrap_or_default();
    assert!(last.ends_with("60000 read; 60000 applied, 0 ignored, 0 dead letters"), "{seen:?}");
    let stdout = std::fs::read_to_string(place.path("stdout")).expect("stdout");
    assert!(stdout.starts_with("{\"read\":60000") && stdout.matches('\n').count() == 1, "{stdout}");
}
