//! Real Reddit dumps and API answers against the oracle.

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

use super::data;
use super::run::{self, Place};
use crate::oracle::Tables;

/// All of Reddit's comments and some of its submissions, until February 2006.
struct Early {
    files: Vec<PathBuf>,
    tables: Tables,
}

const EARLY_RECORDS: u64 = 14_263;
const EARLY_LIVE: u64 = 12_120;

fn early() -> Option<&'static Early> {
    static EARLY: OnceLock<Option<Early>> = OnceLock::new();
    EARLY
        .get_or_init(|| {
            let names = ["RC_2005-12.zst", "RC_2006-01.bz2", "RC_2006-02.bz2", "RS_2006-02.bz2"];
            let files = names.iter().map(|name| data::path(&format!("reddit/{name}"))).collect::<Option<Vec<_>>>()?;
            let mut oracle = run::oracle();
            for file in &files {
                data::lines(&data::bytes(file)).for_each(|line| oracle.record(line));
            }
            Some(Early { files, tables: oracle.tables() })
        })
        .as_ref()
}

#[test]
fn early_reddit_equals_the_oracle_at_any_number_of_workers_and_in_any_order_of_files() {
    let Some(early) = early() else { return };
    let mut steady = None;
    for (workers, turn, backwards) in [(1, 0, false), (2, 1, false), (4, 2, true), (1, 3, true)] {
        let place = Place::new();
        let mut files = early.files.clone();
        files.rotate_left(turn);
        if backwards {
            files.reverse();
        }
        let mut arguments: Vec<std::ffi::OsString> = vec!["--workers".into(), workers.to_string().into()];
        arguments.extend(files.iter().map(Into::into));
        let summary = place.run(&arguments).ends(0).summary();
        let what = format!("{workers} workers, {files:?}");
        run::equal(&place.tables(), &early.tables, &what);
        assert_eq!(summary.n("read"), EARLY_RECORDS, "{what}");
        assert_eq!(summary.versions(), EARLY_RECORDS, "{what}: {}", summary.0);
        assert_eq!(summary.rows("messages"), EARLY_LIVE, "{what}");
        assert_eq!(summary.n("workers"), workers, "{what}");
        for (view, rows) in &early.tables {
            assert_eq!(summary.rows(view), rows.len() as u64, "{what}: rows of {view}");
        }
        assert_eq!(*steady.get_or_insert(summary.steady()), summary.steady(), "{what}");
        place.is_clean();
    }
}

#[test]
fn every_file_given_twice_changes_nothing_but_the_counts() {
    let Some(early) = early() else { return };
    let place = Place::new();
    let summary = place.run(early.files.iter().chain(&early.files)).ends(0).summary();
    run::equal(&place.tables(), &early.tables, "every file twice");
    assert_eq!(summary.n("read"), 2 * EARLY_RECORDS);
    let ignored = summary.ignored();
    assert_eq!(ignored["repeated"] + ignored["stale"], EARLY_RECORDS, "{}", summary.0);
    assert_eq!(summary.n("applied"), EARLY_RECORDS);
}

#[test]
fn ndjson_tables_hold_the_same_rows() {
    let Some(early) = early() else { return };
    let place = Place::new();
    let mut arguments: Vec<std::ffi::OsString> = vec!["--format".into(), "ndjson".into()];
    arguments.extend(early.files.iter().map(Into::into));
    place.run(&arguments).ends(0);
    run::equal(&run::tables_of_json(&place.out()), &early.tables, "ndjson");
    assert!(!place.out().join("users.tsv").exists());
}

#[test]
fn plain_gz_and_piped_copies_and_one_small_tick_after_another_give_the_same_tables() {
    let Some(early) = early() else { return };
    let bytes: Vec<Vec<u8>> = early.files.iter().map(|file| data::bytes(file)).collect();
    let whole = bytes.concat();
    let place = Place::new();
    let plain = place.file("all.json", &whole);
    place.run(["--workers", "2", "--tick-records-max", "700", &plain.to_string_lossy()]).ends(0);
    run::equal(&place.tables(), &early.tables, "plain, small ticks");
    place.run_on(["-"], &whole).ends(0);
    run::equal(&place.tables(), &early.tables, "piped");
    let gz = place.file("all.gz", super::archives::gzip(&whole));
    place.run([gz]).ends(0);
    run::equal(&place.tables(), &early.tables, "gz");
    place.is_clean();
}

#[test]
fn chosen_views_are_the_ones_of_a_full_run() {
    let Some(early) = early() else { return };
    let place = Place::new();
    let mut arguments: Vec<std::ffi::OsString> = vec!["--views".into(), "sessions,conversations,sessions".into()];
    arguments.extend(early.files.iter().map(Into::into));
    let summary = place.run(&arguments).ends(0).summary();
    let names: Vec<&String> = summary.0["views"].as_object().expect("views").keys().collect();
    assert_eq!(names, ["sessions", "conversations"]);
    for view in ["sessions", "conversations"] {
        let text = std::fs::read_to_string(place.out().join(format!("{view}.tsv"))).expect("a table");
        let rows: Vec<Vec<String>> = text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect();
        assert!(rows == early.tables[view], "{view} differs by itself");
    }
    assert!(!place.out().join("messages.tsv").exists());
}

/// One dump by itself: (records, live).
fn alone(name: &str, records: u64, live: u64) {
    let Some(file) = data::path(&format!("reddit/{name}")) else { return };
    let place = Place::new();
    let summary = place.run([&file]).ends(0).summary();
    let mut oracle = run::oracle();
    data::lines(&data::bytes(&file)).for_each(|line| oracle.record(line));
    run::equal(&place.tables(), &oracle.tables(), name);
    assert_eq!((summary.n("read"), summary.rows("messages")), (records, live), "{}", summary.0);
    assert_eq!(summary.n("dead_letters"), oracle.counts().dead.values().sum::<u64>());
    println!("{name}: {} dead letters {:?}, ignored {:?}", summary.n("dead_letters"), place.reasons(), summary.ignored());
    assert!(100 * (summary.n("read") - summary.n("dead_letters")) >= 95 * records);
}

#[test]
fn submissions_of_2019_equal_the_oracle() {
    alone("RS_2019-10_AskMen.zst", 13_050, 2_677);
    alone("RS_2019-10_AskWomen.zst", 8_271, 1_120);
}

#[test]
fn threads_as_the_api_answers_them_equal_the_oracle() {
    let Some(tar) = data::path("reddit/rumoureval2019_train_dev.tar.zst") else { return };
    let bytes = data::bytes(&tar);
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut oracle = run::oracle();
    let (place, mut files, mut all, mut pretty) = (Place::new(), vec![], vec![], vec![]);
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        if !entry.path().expect("a path").ends_with("raw.json") {
            continue;
        }
        let mut document = vec![];
        entry.read_to_end(&mut document).expect("a document");
        oracle.document(&document);
        files.push(place.file(&format!("{}.json", files.len()), &document));
        let value: Value = serde_json::from_slice(&document).expect("JSON");
        serde_json::to_writer_pretty(&mut pretty, &value).expect("memory");
        pretty.push(b'\n');
        serde_json::to_writer(&mut all, &value).expect("memory");
        all.push(b'\n');
    }
    assert_eq!(files.len(), 40);
    let check = |what: &str, ran: run::Ran| {
        let summary = ran.ends(0).summary();
        run::equal(&place.tables(), &oracle.tables(), what);
        assert_eq!((summary.versions(), summary.ignored()["kind:more"]), (1_075 + 40, 27), "{what}: {}", summary.0);
        assert_eq!(summary.n("read"), 1_075 + 40 + 27, "{what}");
    };
    check("a file each", place.run(&files));
    check("a line each", place.run([place.file("lines.ndjson", &all)]));
    check("pretty-printed, one after another", place.run([place.file("pretty.json", &pretty)]));
    check("by two workers", place.run(["--workers".into(), "2".into(), place.file("lines.ndjson", &all)]));
}

#[test]
fn api_answers_of_fifteen_years_equal_the_oracle() {
    let Some(cassettes) = data::path("reddit/praw_listings.ndjson.zst") else { return };
    let (mut oracle, mut lines) = (run::oracle(), vec![]);
    for line in data::lines(&data::bytes(&cassettes)) {
        let mut recorded: serde_json::Map<String, Value> = serde_json::from_slice(line).expect("a recorded answer");
        serde_json::to_writer(&mut lines, &recorded["body"]).expect("memory");
        // A collection of posts has a title of its own: to the oracle it is a submission, to eddy a listing (see `Records`).
        if recorded["body"].get("sorted_links").is_some() {
            recorded["body"].as_object_mut().expect("an object").remove("title");
        }
        oracle.record(recorded["body"].to_string().as_bytes());
        lines.push(b'\n');
    }
    let place = Place::new();
    let file = place.file("answers.ndjson", &lines);
    for workers in ["1", "3"] {
        let summary = place.run(["--workers", workers, &file.to_string_lossy()]).ends(0).summary();
        let (ignored, expected) = (summary.ignored(), oracle.counts());
        println!("praw: {} dead letters {:?}, ignored {ignored:?}", summary.n("dead_letters"), place.reasons());
        println!("praw, the oracle: {expected:?}");
        run::equal(&place.tables(), &oracle.tables(), "recorded answers");
        assert_eq!(summary.n("read"), expected.read);
        assert_eq!(summary.n("dead_letters"), expected.dead.values().sum::<u64>());
        assert_eq!(summary.versions(), expected.accepted);
        assert_eq!(summary.versions() + ignored["no_conversation"], 18_783, "{}", summary.0);
        assert_eq!(ignored["no_conversation"], 649);
    }
}
