//! What crashes leave is mended; what they cannot leave is refused, and never skipped.

use super::*;

/// A journal of some frames, and the same folder again and again with its files changed.
struct Broken {
    dir: TempDir,
    frames: u64,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Broken {
    fn new(frames: u64) -> Broken {
        let dir = TempDir::new().expect("a folder");
        let journal = open(dir.path());
        fill(&journal, frames);
        drop(journal);
        let files = segments(dir.path()).into_iter().map(|path| (path.clone(), fs::read(path).expect("reads"))).collect();
        Broken { dir, frames, files }
    }

    fn last(&self) -> &(PathBuf, Vec<u8>) {
        self.files.last().expect("there is one")
    }

    fn restore(&self) {
        for path in segments(self.dir.path()) {
            fs::remove_file(path).expect("removes");
        }
        for (path, bytes) in &self.files {
            fs::write(path, bytes).expect("writes");
        }
    }

    /// The machine was started again since.
    fn power_was_cut(&self) {
        fs::write(self.dir.path().join("lock"), "1 another-boot\n").expect("writes");
    }

    fn open(&self) -> Result<Journal, Error> {
        Journal::open(self.dir.path(), small())
    }

    /// The error that opening and reading everything meets.
    fn error(&self) -> Option<Error> {
        self.open().and_then(|journal| journal.replay::<Error>(0, |_, _| Ok(()))).err()
    }
}

/// Where the frames of a segment start, and where the last ends.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![segment::HEADER_BYTES as usize];
    while let Some(len) = frame::length(&bytes[starts[starts.len() - 1]..]) {
        starts.push(starts[starts.len() - 1] + frame::HEAD_BYTES + len);
    }
    starts
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_reported_and_the_journal_goes_on() {
    let broken = Broken::new(7);
    let (path, bytes) = broken.last();
    let starts = starts(bytes);
    let (last, end) = (starts[starts.len() - 2], starts[starts.len() - 1]);
    assert_eq!(end, bytes.len());
    for keep in last..end {
        // A kill leaves a first part, a power cut may leave the length and zeros.
        for fill_up in [false, true] {
            broken.restore();
            let mut torn = bytes[..keep].to_vec();
            if fill_up {
                torn.resize(end, 0);
            }
            fs::write(path, &torn).expect("writes");
            let journal = broken.open().expect("opens");
            let cut = Cut { path: path.clone(), at: last as u64, bytes: (torn.len() - last) as u64 };
            assert_eq!(journal.cut(), (cut.bytes > 0).then_some(&cut));
            check(&journal, 0, broken.frames - 1);
            fill(&journal, broken.frames + 20);
            drop(journal);
            let journal = broken.open().expect("opens");
            assert_eq!(journal.cut(), None);
            check(&journal, 0, broken.frames + 20);
        }
    }
}

#[test]
fn a_changed_byte_anywhere_but_in_the_last_frame_is_an_error_that_names_the_file() {
    let broken = Broken::new(30);
    assert!(broken.files.len() >= 3);
    for (at, (path, bytes)) in broken.files.iter().enumerate() {
        let tail = if at + 1 < broken.files.len() { bytes.len() } else { starts(bytes)[starts(bytes).len() - 2] };
        for byte in 0..tail {
            broken.restore();
            let mut changed = bytes.clone();
            changed[byte] ^= 1 << (byte % 8);
            fs::write(path, &changed).expect("writes");
            let error = broken.error();
            match &error {
                Some(Error::Corrupt { path: named, .. } | Error::Newer { path: named, .. }) => assert_eq!(named, path, "{byte}"),
                other => panic!("byte {byte} of {}: {other:?}", path.display()),
            }
        }
    }
}

#[test]
fn a_bad_frame_with_valid_ones_after_it_is_named_by_its_place() {
    let broken = Broken::new(30);
    let (path, bytes) = broken.last();
    let place = starts(bytes)[1];
    let mut changed = bytes.clone();
    changed[place + frame::HEAD_BYTES] ^= 1;
    fs::write(path, &changed).expect("writes");
    assert!(matches!(broken.error(), Some(Error::Corrupt { at, .. }) if at == place as u64));
    // What was refused is not touched.
    assert_eq!(fs::read(path).expect("reads"), changed);
}

#[test]
fn holes_that_a_power_cut_leaves_are_cut_unless_they_were_synced() {
    let dir = TempDir::new().expect("a folder");
    let config = Config { segment_bytes: 1 << 20, sealed_open_max: 2 };
    let journal = Journal::open(dir.path(), config.clone()).expect("opens");
    fill(&journal, 10);
    journal.sync().expect("syncs");
    fill(&journal, 20);
    drop(journal);
    let path = segments(dir.path()).remove(0);
    let bytes = fs::read(&path).expect("reads");
    for hole in 0..19 {
        let at = starts(&bytes)[hole];
        let mut holed = bytes.clone();
        holed[at..at + 30].fill(0);
        fs::write(&path, &holed).expect("writes");
        fs::write(dir.path().join("lock"), "1 another-boot\n").expect("writes");
        let opened = Journal::open(dir.path(), config.clone());
        if hole < 10 {
            assert!(matches!(&opened, Err(Error::Corrupt { at: named, .. }) if *named == at as u64), "{hole}");
            // The lock now names this boot, in which no power was cut: no less a reason to refuse.
            drop(opened);
            assert!(Journal::open(dir.path(), config.clone()).is_err());
        } else {
            let journal = opened.expect("opens");
            assert_eq!(journal.cut(), Some(&Cut { path: path.clone(), at: at as u64, bytes: (bytes.len() - at) as u64 }));
            check(&journal, 0, hole as u64);
        }
    }
}

/// Everything between the first byte of a seal and the first frame of the next segment.
#[test]
fn a_crash_at_any_point_of_going_to_the_next_segment_loses_and_repeats_nothing() {
    let broken = Broken::new(30);
    let (last, _) = broken.last();
    let (sealed, bytes) = &broken.files[broken.files.len() - 2];
    let first = segment::first_of(last.file_name().and_then(|name| name.to_str()).expect("a name")).expect("a number");
    let frames_end = *starts(bytes)[..].iter().rev().nth(2).expect("frames").min(&bytes.len());
    let seal = u32::from_le_bytes(bytes[bytes.len() - 16..bytes.len() - 12].try_into().expect("four bytes")) as usize;
    assert!(frames_end <= seal);
    for power_cut in [false, true] {
        for keep in seal..=bytes.len() {
            broken.restore();
            fs::remove_file(last).expect("removes");
            fs::write(sealed, &bytes[..keep]).expect("writes");
            fs::write(last.with_extension("tmp"), b"half a head").expect("writes");
            if power_cut {
                broken.power_was_cut();
            }
            let journal = broken.open().expect("opens");
            assert!(!last.with_extension("tmp").exists());
            check(&journal, 0, first);
            fill(&journal, first + 9);
            drop(journal);
            check(&broken.open().expect("opens"), 0, first + 9);
        }
    }
    // The next one is there, and empty but for its header: still numbered by what it follows.
    broken.restore();
    fs::write(last, &broken.last().1[..segment::HEADER_BYTES as usize]).expect("writes");
    let journal = broken.open().expect("opens");
    check(&journal, 0, first);
    fill(&journal, first + 9);
    drop(journal);
    check(&broken.open().expect("opens"), 0, first + 9);
}

#[test]
fn a_missing_segment_is_an_error() {
    let broken = Broken::new(60);
    for (at, (path, _)) in broken.files.iter().enumerate().skip(1) {
        broken.restore();
        fs::remove_file(path).expect("removes");
        let last = at + 1 == broken.files.len();
        // Without the last segment all that is left is a journal that was sealed just now.
        assert_eq!(broken.open().is_err(), !last, "{at}");
    }
}

#[test]
fn frames_within_a_torn_payload_are_not_taken_for_frames() {
    let dir = TempDir::new().expect("a folder");
    let config = Config { segment_bytes: 1 << 20, sealed_open_max: 2 };
    let journal = Journal::open(dir.path(), config.clone()).expect("opens");
    fill(&journal, 3);
    let mut forged = vec![];
    for number in 0..50 {
        frame::encode(&mut forged, 77, number, u32::MAX, &[b"forged"]);
    }
    journal.append(&[&forged]).expect("appends");
    drop(journal);
    let path = segments(dir.path()).remove(0);
    let bytes = fs::read(&path).expect("reads");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("writes");
    check(&Journal::open(dir.path(), config).expect("opens"), 0, 3);
}

#[test]
fn folders_of_noise_are_refused_without_a_panic() {
    let mut seeded = seeded();
    for _ in 0..200 {
        let dir = TempDir::new().expect("a folder");
        let random = &mut seeded.random;
        for _ in 0..random.random_range(1..3) {
            let first = random.random_range(0..3);
            let mut bytes = segment::header(first, 5).to_vec();
            bytes.extend((0..random.random_range(0..200)).map(|_| random.random::<u8>()));
            if random.random_bool(0.5) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
                bytes.truncate(random.random_range(0..=bytes.len()));
            }
            fs::write(segment::path(dir.path(), first), bytes).expect("writes");
        }
        let _ = Journal::open(dir.path(), small()).and_then(|journal| journal.replay::<Error>(0, |_, _| Ok(())));
    }
}
