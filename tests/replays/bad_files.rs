//! Files that cannot be read, or not to their end.

use super::archives;
use super::bad_records::good;
use super::run::{Place, Ran};

fn records(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| format!("{}\n", good(number)).into_bytes()).collect()
}

#[test]
fn of_a_truncated_archive_what_was_read_counts() {
    let place = Place::new();
    // Past a block of bzip2, so that something can be read of a half.
    let stream: Vec<u8> = records(30_000);
    let whole = place.file("whole.ndjson", good(90_001));
    for (name, archive) in
        [("cut.zst", archives::zstd(&stream)), ("cut.bz2", archives::bzip2(&stream)), ("cut.gz", archives::gzip(&stream))]
    {
        let cut = place.file(name, &archive[..archive.len() * 3 / 4]);
        let ran = place.run([&cut, &whole]).ends(1);
        let summary = ran.summary();
        assert_eq!(summary.incomplete(), [cut.display().to_string()], "{}", summary.0);
        assert!(summary.n("applied") > 5_000 && summary.n("applied") < 30_000, "{name}: {}", summary.0);
        assert_eq!(summary.n("dead_letters"), 0, "{name}: the unfinished line is no record: {:?}", place.reasons());
        let tables = place.tables();
        assert_eq!(tables["messages"].len() as u64, summary.n("applied"), "{name}: the tables are written");
        assert!(ran.stderr.contains(name) && ran.stderr.contains("beyond byte "), "{name}: {}", ran.stderr);
        assert!(ran.stderr.lines().last().is_some_and(|last| last.starts_with("eddy: ")), "{}", ran.stderr);
        place.is_clean();
    }
}

#[test]
fn of_a_damaged_archive_what_was_read_counts() {
    let place = Place::new();
    let stream = records(30_000);
    for (name, mut archive) in
        [("hurt.zst", archives::zstd(&stream)), ("hurt.bz2", archives::bzip2(&stream)), ("hurt.gz", archives::gzip(&stream))]
    {
        let at = archive.len() * 3 / 4;
        archive[at..at + 40].fill(0xa5);
        let hurt = place.file(name, archive);
        let summary = place.run([&hurt]).ends(1).summary();
        assert_eq!(summary.incomplete(), [hurt.display().to_string()], "{name}: {}", summary.0);
        println!("{name}: {} of 30000 read, {:?}", summary.n("read"), place.reasons());
    }
}

/// It is refused before any work: exit 2, a sentence with these words, nothing on stdout, nothing written.
fn refused(place: &Place, ran: Ran, words: &[&str]) {
    let ran = ran.ends(2);
    assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(!place.out().join("messages.tsv").exists());
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` in: {}", ran.stderr);
    }
    place.is_clean();
}

#[test]
fn a_file_that_is_no_dump_is_refused_by_name_before_any_work() {
    let place = Place::new();
    let dump = place.file("good.ndjson", good(1));
    let mut tar = tar::Builder::new(vec![]);
    tar.append_path_with_name(&dump, "good.ndjson").expect("memory");
    let tar = tar.into_inner().expect("memory");
    for (name, bytes, words) in [
        ("a.zip", &b"PK\x03\x04rest"[..], "a zip archive"),
        ("a.xz", b"\xfd7zXZ\0rest", "xz -dc"),
        ("a.png", b"\x89PNG\r\n\x1a\nrest", "a PNG image"),
        ("a.bin", b"\x01\x02\0\0\0", "binary data"),
        ("a.tar", &tar, "a tar archive"),
    ] {
        let file = place.file(name, bytes);
        refused(&place, place.run([&dump, &file]), &[name, words]);
    }
    // What is in an archive is known only when its turn comes; the others count.
    let packed = place.file("tar.zst", archives::zstd(&tar));
    let ran = place.run([&packed, &dump]).ends(1);
    assert_eq!(ran.summary().n("applied"), 1);
    assert_eq!(ran.summary().incomplete(), [packed.display().to_string()]);
    assert!(ran.stderr.contains("a tar archive"), "{}", ran.stderr);
}

#[test]
fn a_missing_file_or_a_folder_is_refused_before_any_work() {
    let place = Place::new();
    let dump = place.file("good.ndjson", good(1));
    refused(&place, place.run([&dump, &place.path("missing.zst")]), &["missing.zst", "No such file"]);
    std::fs::create_dir(place.path("folder")).expect("a folder");
    refused(&place, place.run([&dump, &place.path("folder")]), &["folder is a directory"]);
    refused(&place, place.run(["-", "-"]), &["more than once"]);
}

#[test]
fn an_empty_file_has_no_records() {
    let place = Place::new();
    for (name, bytes) in [
        ("empty.ndjson", vec![]),
        ("blank.ndjson", b"\n\n  \r\n".to_vec()),
        ("empty.zst", archives::zstd(b"")),
        ("empty.gz", archives::gzip(b"")),
        ("empty.bz2", archives::bzip2(b"")),
    ] {
        let summary = place.run([place.file(name, bytes)]).ends(0).summary();
        assert_eq!(summary.n("read"), 0, "{name}: {}", summary.0);
        assert!(place.tables().values().all(Vec::is_empty), "{name}");
        assert!(place.letters().is_empty());
    }
}

#[test]
fn a_file_through_a_symlink_and_again_by_its_name_is_read_twice_and_counts_once() {
    let place = Place::new();
    let dump = place.file("good.ndjson", records(5));
    let link = place.path("link.ndjson");
    std::os::unix::fs::symlink(&dump, &link).expect("a link");
    let summary = place.run([&dump, &link, &dump]).ends(0).summary();
    assert_eq!((summary.n("applied"), summary.ignored()["repeated"]), (5, 10));
}

#[test]
fn more_plain_files_than_may_be_open_are_read_and_their_texts_too() {
    let place = Place::new();
    let files: Vec<String> = (0..700).map(|number| place.file(&format!("{number}.json"), good(number)).display().to_string()).collect();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n 400; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_eddy"), "replay", "--output"]);
    let summary = Ran::of(command.arg(place.out()).args(&files)).ends(0).summary();
    assert_eq!(summary.rows("messages"), 700);
    assert!(place.tables()["messages"].iter().all(|row| row[8] == "hi"));
}

#[test]
fn more_files_than_a_place_can_number_are_refused() {
    let place = Place::new();
    std::fs::write(place.path("a"), good(1)).expect("room");
    let mut command = place.replay(std::iter::repeat_n("a", 70_000));
    command.current_dir(place.path("."));
    refused(&place, Ran::of(&mut command), &["70000 files", "65535"]);
}

#[test]
fn a_full_disk_fails_the_run_and_leaves_the_tables_that_were_there() {
    let place = Place::new();
    place.run([place.file("good.ndjson", good(1))]).ends(0);
    let before = place.tables();
    let bad = place.file("bad.ndjson", "no JSON\n".repeat(200_000));
    let packed = place.file("texts.zst", archives::zstd(&records(30_000)));
    for (file, words) in [(bad, "dead letters could not be written"), (packed, "could not be")] {
        // A limit on the size of files is as good as a full disk.
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_eddy"), "replay", "--output"]);
        let ran = Ran::of(command.arg(place.out()).arg(file)).ends(1);
        assert!(ran.stderr.contains(words) && ran.stderr.contains("large"), "{}", ran.stderr);
        assert!(ran.stdout.is_empty());
        assert!(place.tables() == before);
        place.is_clean();
    }
}
