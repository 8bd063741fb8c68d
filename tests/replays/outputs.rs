//! The output folder: what appears in it, what is replaced, what is left alone.

use std::os::unix::fs::PermissionsExt;

use super::bad_records::good;
use super::run::{Place, Ran, views};

#[test]
fn the_folder_is_made_with_its_parents() {
    let place = Place::new();
    let file = place.file("one.ndjson", good(1));
    let deep = place.path("a/b/c");
    let mut command = super::run::eddy(["replay", "--output"]);
    Ran::of(command.arg(&deep).arg(file)).ends(0);
    let mut names: Vec<String> = std::fs::read_dir(deep)
        .expect("it is there")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    let mut expected: Vec<String> = views().map(|view| format!("{view}.tsv")).chain(["dead_letters.ndjson".into()]).collect();
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn a_table_that_is_there_is_replaced_and_all_else_is_left_alone() {
    let place = Place::new();
    place.run([place.file("two.ndjson", format!("{}\n{}\nbroken\n", good(1), good(2)))]).ends(0);
    let (note, other) = (place.out().join("notes.txt"), place.out().join("users.ndjson"));
    for path in [&note, &other] {
        std::fs::write(path, "mine").expect("room");
    }
    let hours = std::fs::read(place.out().join("user_hours.tsv")).expect("a table");
    let one = place.file("one.ndjson", good(3));
    place.run(["--views", "users,messages", &one.to_string_lossy()]).ends(0);
    let messages = std::fs::read_to_string(place.out().join("messages.tsv")).expect("a table");
    assert_eq!(messages.lines().count(), 2, "{messages}");
    assert!(place.letters().is_empty(), "letters of the run before are gone");
    for path in [&note, &other] {
        assert_eq!(std::fs::read_to_string(path).expect("left alone"), "mine");
    }
    assert_eq!(std::fs::read(place.out().join("user_hours.tsv")).expect("left alone"), hours);
    place.is_clean();
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_any_work() {
    let place = Place::new();
    let file = place.file("one.ndjson", good(1));
    let output = |folder: &std::path::Path| {
        let mut command = super::run::eddy(["replay", "--output"]);
        Ran::of(command.arg(folder).arg(&file)).ends(2)
    };
    let ran = output(&file);
    assert!(ran.stderr.contains("one.ndjson") && ran.stdout.is_empty(), "{}", ran.stderr);
    let ran = output(&file.join("below"));
    assert!(ran.stderr.contains("one.ndjson/below"), "{}", ran.stderr);
    let ran = output(std::path::Path::new("/proc/eddy"));
    assert!(ran.stderr.contains("/proc/eddy"), "{}", ran.stderr);
    // Where a table goes there is a folder.
    std::fs::create_dir_all(place.out().join("users.tsv")).expect("a folder");
    let ran = place.run([&file]).ends(2);
    assert!(ran.stderr.contains("users.tsv is a folder"), "{}", ran.stderr);
    let mut command = place.replay(["--data-dir", "/proc/eddy"]);
    std::fs::remove_dir(place.out().join("users.tsv")).expect("a folder");
    let ran = Ran::of(command.arg(&file)).ends(2);
    assert!(ran.stderr.contains("no temporary file can be made in /proc/eddy"), "{}", ran.stderr);
}

#[test]
fn tables_may_be_read_by_whom_the_umask_lets() {
    let place = Place::new();
    let file = place.file("one.ndjson", good(1));
    for (umask, mode) in [("022", 0o644), ("077", 0o600)] {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_eddy"), "replay", "--output"]);
        Ran::of(command.arg(place.out()).arg(&file)).ends(0);
        for name in ["users.tsv", "dead_letters.ndjson"] {
            let meta = std::fs::metadata(place.out().join(name)).expect("it is there");
            assert_eq!(meta.permissions().mode() & 0o777, mode, "{name}");
        }
    }
}

#[test]
fn tabs_line_ends_and_backslashes_are_escaped_in_every_column() {
    let place = Place::new();
    let record = r#"{"id":"c1","link_id":"t3_p1","author":"a\\b\tc","subreddit":"s\ns","body":"1\t2\n3\r4\\5\u0000 \u2028","created_utc":1136073600}"#;
    place.run([place.file("odd.ndjson", record)]).ends(0);
    let row = &place.tables()["messages"][0];
    assert_eq!((row[3].as_str(), row[2].as_str()), ("reddit:a\\\\b\\tc", "reddit:s\\ns"));
    assert_eq!(row[8], "1\\t2\\n3\\r4\\\\5\0 \u{2028}");
}
