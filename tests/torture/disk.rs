//! A disk that is full, and then is not.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::changes::Folded;
use super::process::{Place, Run};
use super::{WAIT_MAX, is_right, lines, lines_in_time};
use crate::harness::difference;
use crate::sealed::processes;

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

/// For what a start writes, and not for a batch of lines.
const SOME_BYTES: u64 = 64 << 10;

/// It is looked ten times a second whether something is to be said.
const SAID_MAX: Duration = Duration::from_secs(2);

/// Takes all that is left but so much, and for less than a page.
fn fill(filler: &Path, leave: u64) {
    let mut all = vec![0u8; 8 << 20];
    while !all.is_empty() {
        let mut file = std::fs::File::options().append(true).create(true).open(filler).expect("a file");
        if file.write_all(&all).is_err() {
            all.truncate(all.len() / 2);
        }
    }
    let file = std::fs::File::options().write(true).open(filler).expect("it is there");
    file.set_len(file.metadata().expect("a file").len().saturating_sub(leave)).expect("it is shorter");
}

fn says_that_it_is_full(run: &Run) {
    let from = Instant::now();
    while run.get("/health").1["status"] != "degraded" {
        assert!(from.elapsed() < WAIT_MAX, "it did not say that the disk is full: {}", run.get("/health").1);
        std::thread::sleep(Duration::from_millis(5));
    }
    let health = run.get("/health").1.to_string();
    assert!(health.contains("No space left on device"), "{health}");
    assert_eq!(run.get("/livez").0, 200);
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
    fill(&filler, 0);
    let mut file = std::fs::File::options().append(true).open(&place.file).expect("it is there");
    file.write_all((rest[..rest.len() - 1].join("\n") + "\n").as_bytes()).expect("room");
    says_that_it_is_full(&run);
    let from = Instant::now();
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

/// Twice: what was noted does not go into the log, and the rest can begin; and nothing at all can be written.
#[test]
fn a_start_on_a_full_disk_says_so_and_goes_on_when_there_is_room() {
    for nothing_can_be_written in [false, true] {
        let seals = nothing_can_be_written;
        let (place, lines) =
            if seals { (Place::sealing(&processes::RETENTION), lines_in_time(3, 2_000)) } else { (Place::new(), lines(3, 2_000)) };
        let Some(_disk) = Disk::mount(&place.data()) else {
            println!("skipped: no file system can be mounted here");
            return;
        };
        let (again, filler) = (format!("nothing can be written: {nothing_can_be_written}"), place.data().join("filler"));
        let (first, rest) = lines.split_at(300);
        std::fs::write(&place.file, first.join("\n") + "\n").expect("room");
        let run = place.start(2);
        run.ready();
        run.has_read(first.len() as u64, &again);
        let leave = if nothing_can_be_written { 0 } else { SOME_BYTES };
        fill(&filler, leave);
        let mut file = std::fs::File::options().append(true).open(&place.file).expect("it is there");
        file.write_all((rest[..rest.len() - 1].join("\n") + "\n").as_bytes()).expect("room");
        says_that_it_is_full(&run);
        std::thread::sleep(SAID_MAX);
        is_said_once(&run.killed(), &again);
        fill(&filler, leave);
        let run = place.start(1);
        says_that_it_is_full(&run);
        let rows = |run: &Run| run.get("/v1/views/users?limit=1").0;
        if nothing_can_be_written {
            assert_eq!((run.get("/readyz").0, rows(&run)), (503, 503));
        } else {
            run.ready();
            assert_eq!(rows(&run), 200, "what was there is served");
        }
        std::fs::remove_file(&filler).expect("it is there");
        run.ready();
        run.has_read(lines.len() as u64 - 1, &again);
        is_said_once(&run.killed(), &again);
        let run = place.start(2);
        run.ready();
        if seals {
            run.is_idle();
        }
        run.shows_all(&place, &lines, &again);
        is_right(&place, run, &lines, seals, &again);
    }
}

fn is_said_once(said: &str, again: &str) {
    let lines: Vec<_> = said.lines().filter(|line| line.contains("No space left on device")).collect();
    assert!(lines.iter().filter(|line| line.contains("waits, and goes on when it can")).count() == 1, "{said}\n{again}");
}
