//! A disk that is full, and then is not.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::changes::Folded;
use super::process::Place;
use super::{WAIT_MAX, is_right, lines};
use crate::harness::difference;

/// A small disk, where this machine lets a test have one.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Disk> {
        std::fs::create_dir_all(at).expect("a folder");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(at).output();
        done.is_ok_and(|done| done.status.success()).then(|| Disk(at.into()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_waited_out() {
    let place = Place::new();
    let Some(_disk) = Disk::mount(&place.data()) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let (lines, filler) = (lines(3, 2_000), place.data().join("filler"));
    let (first, rest) = lines.split_at(100);
    std::fs::write(&place.file, first.join("\n") + "\n").expect("room");
    let run = place.start(2);
    run.ready();
    run.has_read(first.len() as u64, "");
    // All that is left, but for less than a page.
    let mut all = vec![0u8; 8 << 20];
    while !all.is_empty() {
        let mut file = std::fs::File::options().append(true).create(true).open(&filler).expect("a file");
        if file.write_all(&all).is_err() {
            all.truncate(all.len() / 2);
        }
    }
    let mut file = std::fs::File::options().append(true).open(&place.file).expect("it is there");
    file.write_all((rest[..rest.len() - 1].join("\n") + "\n").as_bytes()).expect("room");
    let from = Instant::now();
    while run.get("/health").1["status"] != "degraded" {
        assert!(from.elapsed() < WAIT_MAX, "it did not say that the disk is full: {}", run.get("/health").1);
        std::thread::sleep(Duration::from_millis(5));
    }
    let health = run.get("/health").1.to_string();
    assert!(health.contains("No space left on device"), "{health}");
    // What was there is served, and no more is told than is kept.
    let (status, page) = run.get("/v1/views/users?limit=1");
    assert_eq!(status, 200, "{page}");
    assert!(run.counters().read < lines.len() as u64);
    std::fs::remove_file(&filler).expect("it is there");
    run.shows_all(&place, &lines, "after there was room");
    // It is looked ten times a second how each part is.
    while run.get("/health").1["status"] != "ready" {
        assert!(from.elapsed() < WAIT_MAX, "there is room: {}", run.get("/health").1);
        std::thread::sleep(Duration::from_millis(5));
    }
    let tables = run.tables();
    run.kill();
    let run = place.start(1);
    run.ready();
    assert_eq!(difference(&run.tables(), &tables), None);
    is_right(&place, run, &lines, false, "after there was room");
    assert_eq!(difference(&Folded::read(&place.changes(1)).tables, &tables), None);
}
