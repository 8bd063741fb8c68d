//! What every member of this room does alike, and what only the simulated one can show.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::simulated::{Done, Fault};
use super::{File, Files, Open, Simulated, disk, read};

/// Runs a test against each member, in a folder of its own.
fn each(test: impl Fn(&dyn Files, &Path)) {
    let dir = tempfile::tempdir().expect("a folder");
    test(&*disk(), dir.path());
    let simulated = Simulated::new(1);
    simulated.make_folder(Path::new("/data")).expect("made");
    test(&simulated, Path::new("/data"));
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|e| e.kind())
}

#[test]
fn what_is_written_is_read_through_every_handle() {
    each(|files, dir| {
        let path = dir.join("a");
        let one = files.open(&path, Open::Make).expect("made");
        one.write_at(b"hello", 3).expect("written");
        let other = files.open(&path, Open::Write).expect("there");
        other.write_at(b"L", 5).expect("written");
        assert_eq!(read(files, &path).expect("read"), b"\0\0\0heLlo");
        assert_eq!(one.read_at(&mut [0; 4], 8).expect("at the end"), 0);
        one.set_len(4).expect("cut");
        assert_eq!((other.size().expect("known"), read(files, &path).expect("read")), (4, b"\0\0\0h".to_vec()));
        one.set_len(6).expect("longer");
        assert_eq!(read(files, &path).expect("read"), b"\0\0\0h\0\0");
        one.sync().expect("synced");
    });
}

#[test]
fn files_are_opened_as_they_are_asked_for() {
    each(|files, dir| {
        let path = dir.join("a");
        assert_eq!(kind(files.open(&path, Open::Read)), Some(io::ErrorKind::NotFound));
        assert_eq!(kind(files.open(&path, Open::Write)), Some(io::ErrorKind::NotFound));
        files.open(&path, Open::Make).expect("made").write_at(b"kept", 0).expect("written");
        files.open(&path, Open::Make).expect("there");
        assert_eq!(read(files, &path).expect("read"), b"kept");
        files.open(&path, Open::New).expect("there");
        assert_eq!(read(files, &path).expect("read"), b"");
    });
}

#[test]
fn names_change_at_once_and_are_listed_in_order() {
    each(|files, dir| {
        let folder = dir.join("b/c");
        assert_eq!(kind(files.names(&folder)), Some(io::ErrorKind::NotFound));
        assert_eq!(kind(files.open(&folder.join("x"), Open::New)), Some(io::ErrorKind::NotFound));
        files.make_folder(&folder).expect("made");
        files.make_folder(&folder).expect("there");
        assert_eq!(files.names(dir).expect("listed"), ["b"]);
        let held = files.open(&folder.join("z"), Open::New).expect("made");
        held.write_at(b"z", 0).expect("written");
        files.open(&folder.join("a"), Open::New).expect("made");
        assert_eq!(files.names(&folder).expect("listed"), ["a", "z"]);
        files.rename(&folder.join("z"), &folder.join("a")).expect("renamed");
        assert_eq!(files.names(&folder).expect("listed"), ["a"]);
        assert_eq!(read(files, &folder.join("a")).expect("read"), b"z");
        held.write_at(b"y", 0).expect("the handle stays");
        assert_eq!(read(files, &folder.join("a")).expect("read"), b"y");
        files.remove(&folder.join("a")).expect("removed");
        assert_eq!(kind(files.remove(&folder.join("a"))), Some(io::ErrorKind::NotFound));
        assert_eq!(kind(files.rename(&folder.join("a"), &folder.join("b"))), Some(io::ErrorKind::NotFound));
        files.sync_folder(&folder).expect("synced");
        assert_eq!(kind(files.sync_folder(&folder.join("none"))), Some(io::ErrorKind::NotFound));
    });
}

#[test]
fn of_those_who_make_a_file_afresh_one_does() {
    each(|files, dir| {
        let path = dir.join("a");
        files.open(&path, Open::Fresh).expect("nobody has").write_at(b"one", 0).expect("written");
        assert_eq!(kind(files.open(&path, Open::Fresh)), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(read(files, &path).expect("read"), b"one");
        files.remove(&path).expect("removed");
        files.open(&path, Open::Fresh).expect("nobody has");
    });
}

#[test]
fn a_folder_is_renamed_and_removed_with_all_that_is_in_it() {
    each(|files, dir| {
        let (old, new) = (dir.join("old"), dir.join("new"));
        files.make_folder(&old.join("in")).expect("made");
        let held = files.open(&old.join("in/a"), Open::New).expect("made");
        files.rename(&old, &new).expect("renamed");
        held.write_at(b"a", 0).expect("the handle stays");
        assert_eq!(read(files, &new.join("in/a")).expect("read"), b"a");
        assert_eq!(kind(files.open(&old.join("in/b"), Open::New)), Some(io::ErrorKind::NotFound), "there is nothing by the old name");
        assert_eq!(kind(files.rename(&old, &new)), Some(io::ErrorKind::NotFound));
        files.make_folder(&old).expect("made");
        files.open(&old.join("c"), Open::New).expect("made");
        assert!(files.rename(&old, &new).is_err(), "that name is taken");
        files.sync_folder(dir).expect("synced");
        assert_eq!(files.names(dir).expect("listed"), ["new", "old"]);
        files.remove_folder(&new).expect("removed");
        files.remove_folder(&new).expect("it is not there");
        assert_eq!(files.names(dir).expect("listed"), ["old"]);
    });
}

#[test]
fn a_folder_has_its_old_name_or_its_new_one_after_a_power_cut() {
    let names = |seed| {
        let Cut { files, path, .. } = cut(seed);
        let (folder, renamed) = (path.parent().expect("a folder"), Path::new("/e"));
        files.rename(folder, renamed).expect("renamed");
        if seed % 2 == 0 {
            files.sync_folder(Path::new("/")).expect("synced");
        }
        files.power_cut();
        let there = [folder, renamed].map(|folder| files.open(&folder.join("a"), Open::Read).is_ok());
        assert!(there[0] != there[1], "{there:?}");
        assert!(seed % 2 == 1 || there[1], "it was synced");
        there[1]
    };
    let renamed = (0..100).filter(|seed| names(*seed)).count();
    assert!((51..99).contains(&renamed), "{renamed}");
}

#[test]
fn a_lock_is_one_handles_until_it_goes() {
    each(|files, dir| {
        let open = || files.open(&dir.join("lock"), Open::Make).expect("made");
        let (one, other) = (open(), open());
        assert!(one.try_lock().expect("tried"));
        assert!(!other.try_lock().expect("tried"));
        drop(one);
        assert!(other.try_lock().expect("tried"));
    });
}

/// A file of two blocks: both as they were, synced, then both written again, and its name changed.
struct Cut {
    files: Simulated,
    path: PathBuf,
    file: Arc<dyn File>,
}

const BLOCK: usize = 4096;

fn cut(seed: u64) -> Cut {
    let (files, folder) = (Simulated::new(seed), Path::new("/d"));
    files.make_folder(folder).expect("made");
    let path = folder.join("a");
    let file = files.open(&path, Open::New).expect("made");
    file.write_at(&[1; 2 * BLOCK], 0).expect("written");
    file.sync().expect("synced");
    files.sync_folder(folder).expect("synced");
    Cut { files, path, file }
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_any_of_the_rest() {
    let (mut seen, mut torn) = (std::collections::BTreeSet::new(), false);
    for seed in 0..200 {
        let Cut { files, path, file } = cut(seed);
        file.write_at(&[2; BLOCK], 0).expect("written");
        file.write_at(&[3; BLOCK], BLOCK as u64).expect("written");
        files.rename(&path, &path.with_extension("new")).expect("renamed");
        files.power_cut();
        let name = &files.names(Path::new("/d")).expect("listed")[0];
        let bytes = read(&files, &Path::new("/d").join(name)).expect("read");
        assert_eq!(bytes.len(), 2 * BLOCK);
        for (at, byte) in bytes.iter().enumerate() {
            assert!(*byte == 1 || *byte == 2 + (at / BLOCK) as u8, "byte {at} is {byte}");
            assert_eq!(*byte, bytes[at / 512 * 512], "sectors are whole");
        }
        torn |= bytes[..BLOCK].iter().any(|byte| *byte != bytes[0]);
        seen.insert((name.clone(), bytes[0], bytes[2 * BLOCK - 1]));
        assert!(file.write_at(&[4], 0).is_err(), "of the time before");
    }
    // Each block and the name, with and without the others.
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(torn);
}

#[test]
fn a_killed_process_loses_nothing_but_what_is_pending_stays_so() {
    let lost = |seed: &u64| {
        let Cut { files, path, file } = cut(*seed);
        assert!(file.try_lock().expect("tried"));
        file.write_at(&[2], 0).expect("written");
        files.kill();
        assert_eq!(read(&files, &path).expect("read")[0], 2);
        let again = files.open(&path, Open::Write).expect("there");
        assert!(again.try_lock().expect("tried"), "its lock is gone");
        files.power_cut();
        read(&files, &path).expect("read")[0] == 1
    };
    let lost = (0..50).filter(lost).count();
    assert!((5..45).contains(&lost), "{lost}");
}

#[test]
fn a_sync_that_lies_keeps_nothing() {
    let lost = |seed: &u64| {
        let Cut { files, path, file } = cut(*seed);
        files.lie(true);
        file.write_at(&[2], 0).expect("written");
        file.sync().expect("it says so");
        files.power_cut();
        read(&files, &path).expect("read")[0] == 1
    };
    assert!((0..50).filter(lost).count() > 5);
}

#[test]
fn faults_come_when_they_are_told_and_leave_as_much_as_they_are_told() {
    for (done, left) in [(Done::Nothing, 0..1), (Done::Part, 0..5), (Done::All, 4..5)] {
        for stop in [false, true] {
            let files = Simulated::new(7);
            files.make_folder(Path::new("/d")).expect("made");
            files.fault(Fault { after: 3, done, stop, error: io::ErrorKind::StorageFull });
            let file = files.open(Path::new("/d/a"), Open::New).expect("the first");
            file.write_at(b"", 0).expect("the second");
            let failed = file.write_at(b"abcd", 0).expect_err("the third");
            assert_eq!(failed.kind() == io::ErrorKind::StorageFull, !stop);
            assert_eq!((files.is_stopped(), file.write_at(b"", 0).is_err()), (stop, stop));
            files.kill();
            let bytes = read(&files, Path::new("/d/a")).expect("read");
            assert!(left.contains(&bytes.len()) && b"abcd".starts_with(&bytes), "{bytes:?}");
        }
    }
}

#[test]
fn what_a_failed_sync_was_to_keep_is_not_kept_by_the_next() {
    let Cut { files, path, file } = cut(3);
    file.write_at(&[2], 0).expect("written");
    files.fault(Fault { after: 1, done: Done::Part, stop: false, error: io::ErrorKind::Other });
    file.sync().expect_err("told to fail");
    file.sync().expect("nothing is left to be done");
    files.power_cut();
    assert_eq!(read(&files, &path).expect("read")[0], 1);
}
