//! Changelogs: cut, resumed, rotated, made anew.

use eddy_schemas::Row;
use eddy_schemas::rows::{UserHours, UserHoursKey, Users};
use eddy_schemas::{Name, Place};
use serde_json::{Value, json};

use super::*;
use crate::texts;

struct NoTexts;

impl Texts for NoTexts {
    fn text(&self, place: Place) -> Result<String, texts::Error> {
        Err(texts::Error { place, what: "there is none".into() })
    }
}

fn open(folder: &std::path::Path) -> Result<Changelog, Error> {
    Changelog::open(&Config { folder: folder.into(), state: "a".into(), file_bytes: 300, rest: Duration::ZERO })
}

/// Hours of a user with so many messages; none: the row is gone.
fn tick(tick: u64, hours: &[(i64, Option<i64>)]) -> Tick {
    let (mut changes, mut scratch) = (Changes::new(UserHours::VIEW), vec![]);
    for (hour, messages) in hours {
        let row = messages.map(|messages| UserHours { messages });
        changes.push(&UserHoursKey { user: Name::of("reddit:\"log\""), hour: *hour }, row.as_ref(), &mut scratch);
    }
    Tick { tick, changes: Arc::new(vec![changes]) }
}

/// Every line, in order.
fn lines(folder: &std::path::Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let text: String = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
        .map(|path| std::fs::read_to_string(path).expect("text"))
        .collect();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn said(tick: u64, hour: i64, messages: Option<i64>) -> Value {
    let row = messages.map(|messages| json!({"user": "reddit:\"log\"", "hour": hour, "messages": messages}));
    json!({"key": ["reddit:\"log\"", hour], "row": row, "tick": tick})
}

#[test]
fn a_tick_stands_there_once_whatever_a_crash_left_behind_the_upper() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut expected = vec![];
    for n in 1..20 {
        let mut changelog = open(dir.path()).expect("opens");
        assert_eq!(changelog.upper(), n - 1);
        // The last one is said again, as after a restart.
        let ticks = [tick(n - 1, &[(9, Some(9))]), tick(n, &[(1, Some(n as i64)), (2, None)])];
        changelog.write(&ticks[usize::from(n == 1)..], &NoTexts).expect("room");
        expected.extend([said(n, 1, Some(n as i64)), said(n, 2, None)]);
        drop(changelog);
        assert_eq!(lines(dir.path()), expected);
        // What a crash leaves: lines that no upper names, a torn one, a file more, a view more.
        for torn in [format!("{UNSAID}\n{{\"ke"), UNSAID.to_owned()] {
            let last = std::fs::read_dir(dir.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
            let last = last.filter(|path| path.to_string_lossy().contains("user_hours.")).max().expect("a file");
            let whole = std::fs::read_to_string(&last).expect("text");
            std::fs::write(&last, whole + &torn).expect("room");
            std::fs::write(dir.path().join("user_hours.000099.ndjson"), &torn).expect("room");
            std::fs::write(dir.path().join("users.000001.ndjson"), &torn).expect("room");
            drop(open(dir.path()).expect("opens"));
            assert_eq!(lines(dir.path()), expected);
        }
    }
    assert!(dir.path().join("user_hours.000003.ndjson").exists(), "lines go on in other files");
}

const UNSAID: &str = r#"{"key":["reddit:nobody",1],"row":null,"tick":77}"#;

#[test]
fn all_rows_anew_end_what_is_not_among_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut changelog = open(dir.path()).expect("opens");
    changelog.write(&[tick(5, &[(1, Some(1)), (2, Some(2)), (3, Some(3))]), tick(6, &[(3, None)])], &NoTexts).expect("room");
    changelog.begin().expect("room");
    let mut gone = changelog.keys(UserHours::VIEW).expect("lines");
    assert_eq!(gone.len(), 2, "{gone:?}");
    let row =
        |hour, messages| Stored { cells: vec![Cell::Key(Name::of("reddit:\"log\"")), Cell::Int(hour), Cell::Int(messages)], as_of: 7 };
    changelog.rows(UserHours::VIEW, 8, &[row(2, 4), row(4, 4)], &mut gone, &NoTexts).expect("room");
    changelog.gone(UserHours::VIEW, 8, &gone).expect("room");
    changelog.commit(8).expect("room");
    let all = lines(dir.path());
    assert_eq!(all[4..], [said(8, 2, Some(4)), said(8, 4, Some(4)), said(8, 1, None)]);
    assert!(changelog.keys(Users::VIEW).expect("no lines").is_empty());
    // A second time, given up in the middle: nothing of it stays.
    changelog.begin().expect("room");
    changelog.rows(UserHours::VIEW, 9, &[row(2, 4)], &mut BTreeSet::new(), &NoTexts).expect("room");
    changelog.write(&[tick(10, &[(2, None)])], &NoTexts).expect("room");
    assert_eq!(lines(dir.path())[all.len()..], [said(10, 2, None)]);
}

#[test]
fn a_folder_that_is_not_this_changelog_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut changelog = open(dir.path()).expect("opens");
    assert!(matches!(open(dir.path()), Err(Error::Locked(_))), "one process at a time");
    changelog.write(&[tick(5, &[(1, Some(1))])], &NoTexts).expect("room");
    drop(changelog);
    let other = Config { folder: dir.path().into(), state: "b".into(), file_bytes: 300, rest: Duration::ZERO };
    assert!(matches!(Changelog::open(&other), Err(Error::Foreign(_))));
    std::fs::write(dir.path().join("user_hours.000001.ndjson"), "").expect("room");
    assert!(matches!(open(dir.path()), Err(Error::Short(_))));
    std::fs::remove_file(dir.path().join("upper.json")).expect("it is there");
    assert!(matches!(open(dir.path()), Err(Error::NotEmpty(_))));
}
