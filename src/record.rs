//! A small file of JSON that is whole or not there, and whose damage is found: manifests of durable state.
//!
//! ```text
//!   eddy 1 5f3a90c1        format, crc32 of the rest
//!   { ... }
//! ```

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::files::{self, Files, Open};
use files::disk::Disk;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} cannot be read", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} has format {found}, newer than {known} which this eddy reads: use a newer eddy", .path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{} is damaged: its checksum is wrong", .path.display())]
    Damaged { path: PathBuf },
}

/// Replaces the file, safely against a power cut.
pub fn write(path: &Path, format: u32, value: &impl Serialize) -> io::Result<()> {
    write_in(&Disk, path, format, value)
}

/// The same among other files than the disk's. One writer at a time: who writes has locked the folder.
pub fn write_in(files: &dyn Files, path: &Path, format: u32, value: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec_pretty(value)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Err(io::ErrorKind::InvalidInput.into()) };
    let new = folder.join(format!(".new-{}", name.display()));
    let mut bytes = format!("eddy {format} {:08x}\n", crc32fast::hash(&body)).into_bytes();
    bytes.extend_from_slice(&body);
    let file = files.open(&new, Open::New)?;
    file.write_at(&bytes, 0)?;
    file.sync()?;
    // If we crash here, the next writer takes the file that is beside its place.
    files.rename(&new, path)?;
    files.sync_folder(folder)
}

/// What the file holds; none where there is none. A format above `known` is refused.
pub fn read<T: DeserializeOwned>(path: &Path, known: u32) -> Result<Option<T>, Error> {
    read_in(&Disk, path, known)
}

/// The same among other files than the disk's.
pub fn read_in<T: DeserializeOwned>(files: &dyn Files, path: &Path, known: u32) -> Result<Option<T>, Error> {
    read_since(files, path, known..=known)
}

/// The same of any of these formats.
pub fn read_since<T: DeserializeOwned>(files: &dyn Files, path: &Path, formats: RangeInclusive<u32>) -> Result<Option<T>, Error> {
    match files::read(files, path) {
        Ok(bytes) => parse(path, &bytes, formats).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { path: path.into(), source }),
    }
}

/// The same of the bytes of a file, which stands or stood at `path`.
pub fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8], formats: RangeInclusive<u32>) -> Result<T, Error> {
    let known = *formats.end();
    let damaged = || Error::Damaged { path: path.into() };
    let at = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
    let (head, body) = (std::str::from_utf8(&bytes[..at]).map_err(|_| damaged())?, &bytes[at + 1..]);
    let mut words = head.split(' ');
    let (Some("eddy"), Some(format), Some(sum), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(damaged());
    };
    let found: u32 = format.parse().map_err(|_| damaged())?;
    if sum != format!("{:08x}", crc32fast::hash(body)) {
        return Err(damaged());
    }
    if found > known {
        return Err(Error::Newer { path: path.into(), found, known });
    }
    // The head itself has no sum: a format that is not ours is damage.
    if !formats.contains(&found) {
        return Err(damaged());
    }
    serde_json::from_slice(body).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_read_and_every_flipped_bit_is_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("record");
        assert!(matches!(read::<Vec<u32>>(&path, 1), Ok(None)));
        write(&path, 1, &vec![7, 8]).expect("room");
        assert_eq!(read(&path, 1).expect("a record"), Some(vec![7, 8]));
        let whole = fs::read(&path).expect("a record");
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                fs::write(&path, &bytes).expect("room");
                assert!(read::<Vec<u32>>(&path, 1).is_err(), "byte {at}, bit {bit}");
            }
        }
        write(&path, 2, &vec![7]).expect("room");
        assert!(matches!(read::<Vec<u32>>(&path, 1), Err(Error::Newer { found: 2, known: 1, .. })));
    }
}
