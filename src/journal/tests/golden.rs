//! Old bytes stay readable: `golden/v1` is a journal as version 1 writes it.

use super::*;

const SALT: u32 = 0x0edd_1eaf;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/journal/golden/v1")
}

/// The bytes of the golden segments: frames 0 to 2, sealed, and frame 3.
fn version_1() -> [Vec<u8>; 2] {
    let mut sealed = segment::header(0, SALT).to_vec();
    let mut index = Index::default();
    for number in 0..3 {
        index.note(Entry { number: number as u32, position: sealed.len() as u32 });
        frame::encode(&mut sealed, SALT, number, 32, &[&payload(number)]);
    }
    let file = Arc::new(files::disk::Handle(tempfile::tempfile().expect("a file")));
    let active = Active { path: PathBuf::new(), file, salt: SALT, first: 0, synced: AtomicU32::new(32) };
    let at = sealed.len() as u32;
    segment::encode_seal(&mut sealed, active.salt, at, 3, 32, &index);
    let mut last = segment::header(3, SALT + 1).to_vec();
    frame::encode(&mut last, SALT + 1, 3, 32, &[&payload(3)]);
    [sealed, last]
}

#[test]
fn version_1_is_still_read_and_written() {
    let dir = TempDir::new().expect("a folder");
    for (from, bytes) in segments(&golden()).iter().zip(version_1()) {
        let held = fs::read(from).expect("reads");
        assert_eq!(held, bytes, "the format changed: give it a new version and a golden folder of its own");
        fs::write(dir.path().join(from.file_name().expect("a name")), held).expect("writes");
    }
    let journal = open(dir.path());
    check(&journal, 0, 4);
    fill(&journal, 20);
    drop(journal);
    check(&open(dir.path()), 0, 20);
}

/// `cargo test -p eddy --lib -- --ignored the_golden_files_are_made`
#[test]
#[ignore = "makes the golden files of a new version"]
fn the_golden_files_are_made() {
    fs::create_dir_all(golden()).expect("makes the folder");
    for (first, bytes) in [0, 3].into_iter().zip(version_1()) {
        fs::write(segment::path(&golden(), first), bytes).expect("writes");
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let dir = TempDir::new().expect("a folder");
    fill(&open(dir.path()), 40);
    for path in segments(dir.path()) {
        let bytes = fs::read(&path).expect("reads");
        let mut newer = bytes.clone();
        newer[8] = 2;
        fs::write(&path, newer).expect("writes");
        match Journal::open(dir.path(), small()) {
            Err(Error::Newer { path: named, found: 2, known: 1 }) => assert_eq!(named, path),
            other => panic!("{:?}", other.err()),
        }
        fs::write(&path, bytes).expect("writes");
    }
}
