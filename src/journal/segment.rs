//! One segment: its name, its header, its index, its seal.
//!
//! ```text
//!   header:  magic "eddyjrnl" | version u32 | salt u32 | first u64 | 0 u32 | crc u32                            32 bytes
//!   seal:    a frame numbered u64::MAX, payload { number - first u32, position u32 }*: the index
//!   trailer: position of the seal u32 | next u64 | crc u32                                   the last 16 bytes of the file
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::{Active, Error, frame};
use crate::files::{File, Files, Open, read_exact_at};

pub const MAGIC: &[u8; 8] = b"eddyjrnl";
pub const VERSION: u32 = 1;
pub const HEADER_BYTES: u32 = 32;
pub const TRAILER_BYTES: usize = 16;
/// A reader starts at an indexed frame and reads past at most this much, and one frame.
const INDEX_EVERY_BYTES: u32 = 4 << 10;

pub fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(name(first))
}

pub fn name(first: u64) -> String {
    format!("{first:020}.journal")
}

/// The number in a segment's name.
pub fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".journal")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

pub fn header(first: u64, salt: u32) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&salt.to_le_bytes());
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Checks a header; gives the salt.
pub fn check_header(bytes: &[u8], path: &Path, first: u64) -> Result<u32, Error> {
    let corrupt = |at, what| Err(Error::Corrupt { path: path.into(), at, what });
    if bytes.len() < HEADER_BYTES as usize {
        return corrupt(bytes.len() as u64, "the header is cut off");
    }
    if bytes[..8] != *MAGIC {
        return corrupt(0, "this is no journal segment");
    }
    // The version is looked at before the checksum: what comes after it may be different in a newer format.
    let found = frame::u32_at(bytes, 8);
    if found > VERSION {
        return Err(Error::Newer { path: path.into(), found, known: VERSION });
    }
    if found == 0 || crc32fast::hash(&bytes[..28]) != frame::u32_at(bytes, 28) {
        return corrupt(8, "the header's checksum is wrong");
    }
    if frame::u64_at(bytes, 16) != first {
        return corrupt(16, "the file's name and its header disagree");
    }
    Ok(frame::u32_at(bytes, 12))
}

/// Where a frame starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Counted from the segment's first.
    pub number: u32,
    pub position: u32,
}

pub fn wants_entry(last: u32, position: u32) -> bool {
    last == 0 || position - last >= INDEX_EVERY_BYTES
}

/// Every so many bytes, the frame that starts there; the first frame is always in it.
#[derive(Default, Debug)]
pub struct Index(Vec<Entry>);

impl Index {
    /// Position of the last entry, 0 where there is none.
    pub fn last(&self) -> u32 {
        self.0.last().map_or(0, |entry| entry.position)
    }

    pub fn extend(&mut self, entries: impl Iterator<Item = Entry>) {
        self.0.extend(entries);
    }

    pub fn note(&mut self, entry: Entry) {
        if wants_entry(self.last(), entry.position) {
            self.0.push(entry);
        }
    }

    /// The last entry at or before a number, and the position of the entry after it.
    pub fn find(&self, number: u32) -> Option<(Entry, Option<u32>)> {
        let at = self.0.partition_point(|entry| entry.number <= number).checked_sub(1)?;
        Some((self.0[at], self.0.get(at + 1).map(|entry| entry.position)))
    }
}

pub fn encode_seal(out: &mut Vec<u8>, salt: u32, at: u32, next: u64, synced: u32, index: &Index) {
    let mut payload = Vec::with_capacity(index.0.len() * 8);
    for entry in &index.0 {
        payload.extend_from_slice(&entry.number.to_le_bytes());
        payload.extend_from_slice(&entry.position.to_le_bytes());
    }
    frame::encode(out, salt, frame::SEAL, synced, &[&payload]);
    let trailer = out.len();
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&next.to_le_bytes());
    let crc = frame::checksum(salt, &out[trailer..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// What the trailer says: the seal's position and the number after the last.
pub fn parse_trailer(bytes: &[u8], salt: u32) -> Option<(u32, u64)> {
    (bytes.len() == TRAILER_BYTES && frame::checksum(salt, &bytes[..12]) == frame::u32_at(bytes, 12))
        .then(|| (frame::u32_at(bytes, 0), frame::u64_at(bytes, 4)))
}

/// A new segment under its temporary name, with its header on disk.
pub struct Prepared {
    temporary: PathBuf,
    file: Arc<dyn File>,
    first: u64,
    pub salt: u32,
}

pub fn prepare(files: &dyn Files, dir: &Path, first: u64) -> Result<Prepared, Error> {
    let temporary = dir.join(format!("{first:020}.tmp"));
    let make = || {
        let salt = files.salt()?;
        let file = files.open(&temporary, Open::New)?;
        file.write_at(&header(first, salt), 0)?;
        file.sync()?;
        io::Result::Ok((file, salt))
    };
    let (file, salt) = make().map_err(Error::io(&temporary, "make"))?;
    Ok(Prepared { temporary, file, first, salt })
}

impl Prepared {
    pub fn write_at(&self, bytes: &[u8], at: u32) -> Result<(), Error> {
        self.file.write_at(bytes, u64::from(at)).map_err(Error::io(&self.temporary, "write"))
    }

    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync().map_err(Error::io(&self.temporary, "sync"))
    }

    /// Gives the segment its name, for good.
    pub fn publish(self, files: &dyn Files, dir: &Path) -> Result<Active, Error> {
        let path = path(dir, self.first);
        files.rename(&self.temporary, &path).map_err(Error::io(&path, "rename to"))?;
        sync_dir(files, dir)?;
        Ok(Active { path, file: self.file, salt: self.salt, first: self.first, synced: AtomicU32::new(HEADER_BYTES) })
    }
}

pub fn sync_dir(files: &dyn Files, dir: &Path) -> Result<(), Error> {
    files.sync_folder(dir).map_err(Error::io(dir, "sync the folder"))
}

/// A sealed segment, open for reading.
pub struct Sealed {
    pub path: PathBuf,
    pub file: Arc<dyn File>,
    pub salt: u32,
    pub first: u64,
    /// Where the frames end and the seal starts.
    pub end: u32,
    /// The number after the last.
    pub next: u64,
    pub index: Index,
}

impl Sealed {
    /// Opens a segment that has to be sealed and reads what is at its two ends; not yet its index.
    pub fn open(files: &dyn Files, dir: &Path, first: u64) -> Result<Sealed, Error> {
        let path = path(dir, first);
        let file = files.open(&path, Open::Read).map_err(Error::io(&path, "open"))?;
        let size = file.size().map_err(Error::io(&path, "open"))?;
        let mut head = [0; HEADER_BYTES as usize];
        let have = size.min(u64::from(HEADER_BYTES)) as usize;
        read_exact_at(&*file, &mut head[..have], 0).map_err(Error::io(&path, "read"))?;
        let salt = check_header(&head[..have], &path, first)?;
        let corrupt = |at, what| Error::Corrupt { path: path.clone(), at, what };
        let mut tail = [0; TRAILER_BYTES];
        let at = size.saturating_sub(TRAILER_BYTES as u64);
        read_exact_at(&*file, &mut tail, at).map_err(|_| corrupt(at, "the segment is not the last and has no seal"))?;
        let (end, next) = parse_trailer(&tail, salt).ok_or_else(|| corrupt(at, "the segment is not the last and has no seal"))?;
        if u64::from(end) > at || end < HEADER_BYTES || next < first {
            return Err(corrupt(at, "the trailer cannot be true"));
        }
        Ok(Sealed { path, file, salt, first, end, next, index: Index::default() })
    }

    pub fn with_index(mut self) -> Result<Sealed, Error> {
        let corrupt = |what| Error::Corrupt { path: self.path.clone(), at: u64::from(self.end), what };
        let size = self.file.size().map_err(Error::io(&self.path, "open"))?;
        let len = size.saturating_sub(u64::from(self.end) + TRAILER_BYTES as u64) as usize;
        let mut bytes = vec![0; len];
        read_exact_at(&*self.file, &mut bytes, u64::from(self.end)).map_err(Error::io(&self.path, "read"))?;
        let seal = frame::parse(&bytes, self.salt).filter(|seal| seal.number == frame::SEAL && seal.size() == len);
        let payload = seal.ok_or_else(|| corrupt("the seal's checksum is wrong"))?.payload;
        for entry in payload.chunks_exact(8) {
            self.index.0.push(Entry { number: frame::u32_at(entry, 0), position: frame::u32_at(entry, 4) });
        }
        let inside = |entry: &Entry| (HEADER_BYTES..self.end).contains(&entry.position);
        let sorted = self.index.0.is_sorted_by(|a, b| a.position < b.position && a.number < b.number);
        if !sorted || !self.index.0.iter().all(inside) || self.index.0.first().is_some_and(|entry| entry.number != 0) {
            return Err(corrupt("the index cannot be true"));
        }
        Ok(self)
    }
}
