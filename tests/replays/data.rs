//! The real dumps, where they are: `../shared/data`, or wherever `EDDY_DATA` says.

use std::io::Read;
use std::path::{Path, PathBuf};

/// A real dump; none where the data is not on this machine, and then the test says that it did nothing.
pub fn path(name: &str) -> Option<PathBuf> {
    let beside = |folder: &Path| folder.join("shared/data");
    let given = std::env::var_os("EDDY_DATA").map(PathBuf::from);
    // A worktree stands one folder deeper than the project itself.
    let found = given.or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1).take(2).map(beside).find(|path| path.is_dir()));
    let path = found.map(|folder| folder.join(name)).filter(|path| path.exists());
    if path.is_none() {
        println!("skipped: {name} is not here (EDDY_DATA=FOLDER says where it is)");
    }
    path
}

/// Its bytes, decompressed.
pub fn bytes(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("a dump");
    let mut bytes = vec![];
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("zst") => {
            let mut decoder = zstd::stream::read::Decoder::new(file).expect("zstd");
            decoder.window_log_max(31).expect("a window");
            decoder.read_to_end(&mut bytes)
        }
        Some("bz2") => bzip2::read::MultiBzDecoder::new(file).read_to_end(&mut bytes),
        Some("gz") => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes),
        _ => (&file).read_to_end(&mut bytes),
    }
    .expect("a whole dump");
    bytes
}

pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace))
}
