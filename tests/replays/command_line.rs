//! What the command line takes and how it refuses: exit 2, and a sentence that helps.

use super::bad_records::{GOOD, good};
use super::run::{Place, Ran, eddy, views};

fn run<const N: usize>(arguments: [&str; N]) -> Ran {
    Ran::of(&mut eddy(arguments))
}

#[test]
fn help_starts_with_two_examples() {
    for arguments in [&["--help"][..], &["replay", "--help"], &["replay", "-h"]] {
        let ran = Ran::of(&mut eddy(arguments)).ends(0);
        let lines: Vec<&str> = ran.stdout.lines().collect();
        assert_eq!(lines[0], "Examples:", "{}", ran.stdout);
        assert!(lines[1..3].iter().all(|line| line.contains("eddy ")), "{}", ran.stdout);
        assert!(lines[3].is_empty() && ran.stderr.is_empty(), "{}", ran.stdout);
    }
    let help = run(["replay", "--help"]).stdout;
    assert!(views().all(|view| help.contains(view)), "help lists the views: {help}");
    for command in ["replay", "work"] {
        let help = run([command, "--help"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("by their bytes: 800 are taken for one. A tick has whole blocks of input"), "how large a tick is: {help}");
    }
    assert!(run(["--version"]).ends(0).stdout.starts_with("eddy "));
}

#[test]
fn no_arguments_or_no_files_is_bad_usage() {
    assert!(run([]).ends(2).stderr.contains("Usage: eddy"));
    assert!(run(["replay"]).ends(2).stderr.contains("<FILE>..."));
}

#[test]
fn a_misspelt_word_is_answered_with_the_right_one() {
    assert!(run(["repaly", "x"]).ends(2).stderr.contains("'replay'"));
    assert!(run(["replay", "--view", "users", "x"]).ends(2).stderr.contains("'--views"));
    let ran = run(["replay", "--views", "users,conversatons", "x"]).ends(2);
    assert!(ran.stderr.contains("'conversatons'") && ran.stderr.contains("'conversations'"), "{}", ran.stderr);
    // `all` does not hide a mistake.
    assert!(run(["replay", "--views", "all,userz", "x"]).ends(2).stderr.contains("'users'"));
    run(["replay", "--views", "", "x"]).ends(2);
    run(["replay", "--views", "users,,sessions", "x"]).ends(2);
}

#[test]
fn values_out_of_their_range_are_refused() {
    for (flag, value) in [
        ("--workers", "0"),
        ("--workers", "many"),
        ("--workers", "1000"),
        ("--format", "csv"),
        ("--record-bytes-max", "0"),
        ("--record-bytes-max", "99999999999"),
        ("--tick-records-max", "0"),
    ] {
        let ran = run(["replay", flag, value, "x"]).ends(2);
        assert!(ran.stderr.contains(value) && ran.stderr.contains(flag), "{}", ran.stderr);
    }
}

#[test]
fn a_time_without_its_unit_is_refused() {
    let ran = run(["replay", "--retention", "90", "x"]).ends(2);
    assert!(ran.stderr.contains("such as 90d"), "{}", ran.stderr);
}

#[test]
fn strict_fails_a_run_with_dead_letters_but_its_tables_are_written() {
    let place = Place::new();
    let file = place.file("mixed.ndjson", format!("{GOOD}\nbroken\n"));
    let ran = place.run(["--strict", &file.to_string_lossy()]).ends(1);
    assert_eq!((ran.summary().n("applied"), ran.summary().n("dead_letters")), (1, 1));
    assert_eq!((place.tables()["messages"].len(), place.letters().len()), (1, 1));
    assert!(ran.stderr.contains("eddy: 1 dead letter, and --strict was given"), "{}", ran.stderr);
    place.run(["--strict".into(), place.file("good.ndjson", GOOD)]).ends(0);
}

#[test]
fn stdin_is_a_file_like_any_other() {
    let place = Place::new();
    let file = place.file("one.ndjson", good(1));
    let stdin = format!("{}\nbroken\n{}", good(2), good(3));
    let ran = place.run_on(["-", &file.to_string_lossy()], stdin.as_bytes()).ends(0);
    assert_eq!((ran.summary().n("applied"), ran.summary().n("dead_letters")), (3, 1));
    let letter = &place.letters()[0];
    assert_eq!((letter["file"].as_str(), letter["line"].as_u64()), (Some("-"), Some(2)));
    // Closed, it is empty.
    let mut closed = std::process::Command::new("sh");
    closed.args(["-c", "exec \"$@\" <&-", "sh", env!("CARGO_BIN_EXE_eddy"), "replay", "-"]);
    assert_eq!(Ran::of(&mut closed).ends(0).summary().n("read"), 0);
}

#[test]
fn without_an_output_folder_there_is_only_the_summary() {
    let place = Place::new();
    let file = place.file("one.ndjson", format!("{GOOD}\nbroken\n"));
    let mut command = eddy(["replay"]);
    let ran = Ran::of(command.arg(file).current_dir(place.path("."))).ends(0);
    assert_eq!((ran.summary().rows("messages"), ran.summary().n("dead_letters")), (1, 1));
    let entries = std::fs::read_dir(place.path(".")).expect("a folder").count();
    assert_eq!(entries, 1, "nothing but the input");
}

#[test]
fn colours_stay_away_from_pipes() {
    let mut plain = eddy(["replay", "--nope"]);
    for command in [&mut plain, eddy(["replay", "--nope"]).env("NO_COLOR", "1")] {
        assert!(!Ran::of(command).ends(2).stderr.contains('\x1b'));
    }
}
