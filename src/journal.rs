//! The journal: numbered frames of bytes in append-only files. The embedded log and the durable state are made of it.
//!
//! ```text
//!   folder:   lock    00000000000000000000.journal    00000000000000081920.journal    ...
//!                     sealed: frames 0..81920         the active one: frames 81920..
//!   segment:  header (32 B) | frame | frame | ... | seal and trailer, once no frame will follow
//!   frame:    crc | length | synced | number | payload                                          (20 B and the payload)
//! ```
//!
//! # Invariants
//! 1. Numbers have no gaps and no repeats. A segment's name is the number of its first frame, and the next segment starts
//!    where it ends: nothing else numbers segments, so a reopen cannot misnumber them.
//! 2. A segment appears under its name only when its header is on disk (temporary name, fsync, rename, fsync of the folder),
//!    and only when the one before it is sealed and fsynced. So whatever is wrong with a segment that is not the last is
//!    damage, never the trace of a crash.
//! 3. Each frame names the position up to which its segment was known to be fsynced when it was written. A bad frame
//!    *below* such a position is damage; one above it, with nothing valid behind it, is a torn tail and is cut.
//! 4. The bytes below the published end never change: readers need no lock while they read.
//! 5. After a failed fsync nothing is known about the file (Linux drops the pages): the journal refuses everything
//!    until it is opened again.
//!
//! What is not promised: an append of several frames is not atomic (a crash may keep a first part of it); and damage to
//! the last frame alone looks like a torn tail, so it is cut and reported, not refused.

mod frame;
mod lock;
mod open;
mod read;
mod rewrite;
mod segment;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::{Mutex, RwLock};

pub use lock::{Lock, is_abandoned};
pub use read::Chunk;

use crate::files::{self, File, Files};
use segment::{Entry, Index, Sealed};

/// The largest payload. Positions in a segment are 32 bits, so a segment of one such frame still fits.
pub const FRAME_BYTES_MAX: usize = 1 << 30;

/// A payload as long as this is written from where it stands; shorter ones are put together first.
const ALONE_BYTES: usize = 256 << 10;

#[derive(Clone, Debug)]
pub struct Config {
    /// A segment is sealed before it would pass this (a longer frame gets a segment of its own). At most 1 GiB.
    pub segment_bytes: u32,
    /// Sealed segments whose file and index (8 bytes per 4 KiB) are kept open for readers; the least recently used is closed.
    pub sealed_open_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { segment_bytes: 64 << 20, sealed_open_max: 16 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not {what} {}", .path.display())]
    Io { path: PathBuf, what: &'static str, source: io::Error },
    #[error("{} is in use by process {pid}: stop it, or choose another folder", .path.display())]
    InUse { path: PathBuf, pid: String },
    #[error("{} has format {found}, newer than {known} which this eddy reads: use a newer eddy", .path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("{} is damaged at byte {at}: {what}", .path.display())]
    Corrupt { path: PathBuf, at: u64, what: &'static str },
    #[error("{} holds no frame {number}: it holds {} to {}", .path.display(), .held.start, .held.end)]
    OutOfRange { path: PathBuf, number: u64, held: Range<u64> },
    #[error("a frame of {bytes} bytes is longer than {FRAME_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("{} failed to write or sync before: open it again", .path.display())]
    Failed { path: PathBuf },
}

impl Error {
    fn io<P: Into<PathBuf>>(path: P, what: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, what, source }
    }
}

/// What was cut off at the end of the last segment when the journal was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    pub path: PathBuf,
    /// Where the file ends now.
    pub at: u64,
    pub bytes: u64,
}

/// An open journal. Appends from many threads take turns; reads run beside them.
pub struct Journal {
    files: Arc<dyn Files>,
    dir: PathBuf,
    config: Config,
    cut: Option<Cut>,
    /// Serialises appends; the buffer of the frames on their way.
    writer: Mutex<Vec<u8>>,
    shared: RwLock<Shared>,
    opened: Mutex<VecDeque<Arc<Sealed>>>,
    failed: AtomicBool,
    /// None where it is only read.
    _lock: Option<Lock>,
}

/// What readers need to find a frame.
struct Shared {
    /// First numbers of the sealed segments.
    sealed: VecDeque<u64>,
    active: Arc<Active>,
    /// Bytes of the active segment that hold whole frames.
    end: u32,
    /// The number of the next frame.
    next: u64,
    index: Index,
}

struct Active {
    path: PathBuf,
    file: Arc<dyn File>,
    salt: u32,
    first: u64,
    /// Bytes known to be on disk.
    synced: AtomicU32,
}

impl Journal {
    /// Opens or makes the journal in a folder. Reads the last segment, cuts its torn tail ([`Journal::cut`]).
    pub fn open(dir: &Path, config: Config) -> Result<Journal, Error> {
        Self::open_in(files::disk(), dir, config)
    }

    /// The same among other files than the disk's.
    pub fn open_in(files: Arc<dyn Files>, dir: &Path, config: Config) -> Result<Journal, Error> {
        open::open(files, dir, config)
    }

    /// Opens what is in a folder now to be read only, beside whoever writes it. None where there is nothing.
    pub fn look(dir: &Path, config: Config) -> Result<Option<Journal>, Error> {
        Self::look_in(files::disk(), dir, config)
    }

    /// The same among other files than the disk's.
    pub fn look_in(files: Arc<dyn Files>, dir: &Path, config: Config) -> Result<Option<Journal>, Error> {
        open::look(files, dir, config)
    }

    /// What a segment may hold.
    pub fn segment_bytes(&self) -> usize {
        self.config.segment_bytes as usize
    }

    /// What the opening had to cut off; of one that is only read, what it leaves out.
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The numbers held: of the first frame, and of the next to be appended.
    pub fn range(&self) -> Range<u64> {
        let shared = self.shared.read();
        shared.sealed.front().copied().unwrap_or(shared.active.first)..shared.next
    }

    /// The number after the last frame that stands in a sealed segment.
    pub fn sealed_end(&self) -> u64 {
        self.shared.read().active.first
    }

    /// Its segments, oldest first: the name of each file, and how much of it is on disk; none: all of it, since it is sealed.
    pub fn on_disk(&self) -> Vec<(String, Option<u64>)> {
        let shared = self.shared.read();
        let sealed = shared.sealed.iter().map(|first| (segment::name(*first), None));
        let synced = u64::from(shared.active.synced.load(Ordering::Acquire));
        sealed.chain([(segment::name(shared.active.first), Some(synced))]).collect()
    }

    /// Appends frames; gives their numbers. Safe against a killed process at return, against a power cut after [`sync`](Self::sync).
    pub fn append<F: AsRef<[u8]>>(&self, frames: &[F]) -> Result<Range<u64>, Error> {
        self.append_parts(frames.iter().map(|frame| [frame.as_ref()]))
    }

    /// The same for frames whose payload stands in `N` pieces.
    pub fn append_parts<'a, const N: usize>(&self, frames: impl Iterator<Item = [&'a [u8]; N]>) -> Result<Range<u64>, Error> {
        let mut buffer = self.writer.lock();
        let mut batch = Batch::start(self, &mut buffer)?;
        let first = batch.next;
        for parts in frames {
            let bytes = parts.iter().map(|part| part.len()).sum();
            if bytes > FRAME_BYTES_MAX {
                return Err(Error::TooLong { bytes });
            }
            batch.make_room(bytes)?;
            batch.push(&parts, bytes)?;
        }
        batch.write(&[])?;
        Ok(first..batch.next)
    }

    /// Makes all frames whose append has returned safe against a power cut. Does not stop appends.
    pub fn sync(&self) -> Result<(), Error> {
        self.check()?;
        let (active, end) = {
            let shared = self.shared.read();
            (shared.active.clone(), shared.end)
        };
        if active.synced.load(Ordering::Acquire) >= end {
            return Ok(()); // earlier segments were synced when they were sealed
        }
        self.or_fail(active.file.sync().map_err(Error::io(&active.path, "sync")))?;
        active.synced.fetch_max(end, Ordering::AcqRel);
        Ok(())
    }

    /// Seals the active segment, if it holds anything, so that `truncate_before` can drop it later.
    pub fn roll(&self) -> Result<(), Error> {
        let mut buffer = self.writer.lock();
        let mut batch = Batch::start(self, &mut buffer)?;
        if batch.at > segment::HEADER_BYTES { batch.roll() } else { Ok(()) }
    }

    /// Drops whole segments of frames below `number`, oldest first; gives the first number still held.
    pub fn truncate_before(&self, number: u64) -> Result<u64, Error> {
        let _turn = self.writer.lock();
        self.check()?;
        loop {
            let first = {
                let mut shared = self.shared.write();
                let Some(&first) = shared.sealed.front() else { break };
                let after = shared.sealed.get(1).copied().unwrap_or(shared.active.first);
                if after > number {
                    break;
                }
                shared.sealed.pop_front();
                first
            };
            self.opened.lock().retain(|sealed| sealed.first != first);
            // Each for itself: a power cut may undo one removal and not the one after it, and there must be no gap. If we crash between
            // two of these, the rest is dropped next time.
            let path = segment::path(&self.dir, first);
            if let Err(e) = self.files.remove(&path)
                && e.kind() != io::ErrorKind::NotFound
            {
                // It is there, and stays the first of those there are.
                self.shared.write().sealed.push_front(first);
                return Err(Error::io(path, "remove")(e));
            }
            segment::sync_dir(&*self.files, &self.dir)?;
        }
        Ok(self.range().start)
    }

    fn check(&self) -> Result<(), Error> {
        if self.failed.load(Ordering::Acquire) { Err(Error::Failed { path: self.dir.clone() }) } else { Ok(()) }
    }

    fn or_fail<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        result
    }
}

/// Frames on their way into the active segment; what is written is published at once.
struct Batch<'a> {
    journal: &'a Journal,
    buffer: &'a mut Vec<u8>,
    active: Arc<Active>,
    entries: Vec<Entry>,
    /// Position of the last index entry.
    indexed: u32,
    /// Where the buffer will be written.
    at: u32,
    next: u64,
    synced: u32,
}

impl<'a> Batch<'a> {
    fn start(journal: &'a Journal, buffer: &'a mut Vec<u8>) -> Result<Self, Error> {
        journal.check()?;
        buffer.clear();
        buffer.shrink_to(4 << 20);
        let shared = journal.shared.read();
        let active = shared.active.clone();
        let synced = active.synced.load(Ordering::Acquire);
        let (indexed, at, next) = (shared.index.last(), shared.end, shared.next);
        drop(shared);
        Ok(Batch { journal, buffer, active, entries: vec![], indexed, at, next, synced })
    }

    fn position(&self) -> u64 {
        u64::from(self.at) + self.buffer.len() as u64
    }

    /// Goes to a new segment where a payload would pass the bound of this one.
    fn make_room(&mut self, bytes: usize) -> Result<(), Error> {
        let full = self.position() + (frame::HEAD_BYTES + bytes) as u64 > u64::from(self.journal.config.segment_bytes);
        if full && self.position() > u64::from(segment::HEADER_BYTES) {
            self.write(&[])?;
            self.roll()?;
        }
        Ok(())
    }

    fn push(&mut self, parts: &[&[u8]], bytes: usize) -> Result<(), Error> {
        let position = self.position() as u32;
        if segment::wants_entry(self.indexed, position) {
            self.entries.push(Entry { number: (self.next - self.active.first) as u32, position });
            self.indexed = position;
        }
        let number = self.next;
        self.next += 1;
        if bytes < ALONE_BYTES {
            frame::encode(self.buffer, self.active.salt, number, self.synced, parts);
            return Ok(());
        }
        self.buffer.extend_from_slice(&frame::head(self.active.salt, number, self.synced, parts));
        self.write(parts)
    }

    /// Writes and publishes the buffer, and what belongs behind it.
    fn write(&mut self, behind: &[&[u8]]) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.at = self.write_at_end(behind)?;
        self.buffer.clear();
        let mut shared = self.journal.shared.write();
        shared.end = self.at;
        shared.next = self.next;
        shared.index.extend(self.entries.drain(..));
        Ok(())
    }

    /// A part that was written before an error must go: frames written over it later would end within it, and what is
    /// left of it could be read as the frames after them.
    fn write_at_end(&self, behind: &[&[u8]]) -> Result<u32, Error> {
        let mut at = self.at;
        for bytes in std::iter::once(&self.buffer.as_slice()).chain(behind) {
            let written = self.active.file.write_at(bytes, u64::from(at));
            if written.is_err() {
                self.cut_back()?;
            }
            written.map_err(Error::io(&self.active.path, "write"))?;
            at += bytes.len() as u32;
        }
        Ok(at)
    }

    fn cut_back(&self) -> Result<(), Error> {
        self.journal.or_fail(self.active.file.set_len(u64::from(self.at)).map_err(Error::io(&self.active.path, "cut back")))
    }

    /// Seals the active segment and starts the next.
    fn roll(&mut self) -> Result<(), Error> {
        let (journal, active) = (self.journal, self.active.clone());
        self.buffer.clear();
        segment::encode_seal(self.buffer, active.salt, self.at, self.next, self.synced, &journal.shared.read().index);
        self.write_at_end(&[])?;
        self.buffer.clear();
        journal.or_fail(active.file.sync().map_err(Error::io(&active.path, "sync")))?;
        // If we crash here, the last segment is sealed, and the next open makes the segment after it.
        let prepared = segment::prepare(&*journal.files, &journal.dir, self.next);
        if prepared.is_err() {
            self.cut_back()?; // no room for the next segment: the journal goes on as if it had not been tried
        }
        let fresh = Arc::new(journal.or_fail(prepared?.publish(&*journal.files, &journal.dir))?);
        let mut shared = journal.shared.write();
        shared.sealed.push_back(active.first);
        shared.active = fresh.clone();
        shared.end = segment::HEADER_BYTES;
        shared.index = Index::default();
        drop(shared);
        (self.at, self.indexed, self.synced) = (segment::HEADER_BYTES, 0, segment::HEADER_BYTES);
        self.active = fresh;
        Ok(())
    }
}
