//! Texts of a replay: from the plain files where they stand, else from the spools.
//!
//! # Invariants
//! 1. A text comes from the file that was read, not from one that took its name since.
//! 2. At most [`FILES_OPEN_MAX`] files are open, however many there are.

use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use eddy_schemas::Place;
use eddy_schemas::parse::{Context, Parsed, Parser};
use parking_lot::Mutex;

use super::INPUTS_MAX;
use crate::spool::Spool;
use crate::texts::{Error, Texts};

/// Bytes read at first; most records are shorter.
const READ_BYTES: usize = 4 << 10;

/// Files that stay open; the shell's usual limit is 1,024. Past it a text costs an open and a close.
const FILES_OPEN_MAX: usize = 256;

/// A buffer that grew beyond this for one long record is given back.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

thread_local! {
    /// What one thread reads with.
    static READING: RefCell<(Parser, Vec<u8>)> = RefCell::default();
}

/// Inputs by number: the files from 0 on, spools from the last number down.
pub struct ReplayTexts {
    files: Vec<Plain>,
    /// The file whose number is n stays in slot n % FILES_OPEN_MAX until another takes it.
    open: Vec<Mutex<Option<(usize, Arc<File>)>>>,
    spools: Vec<Arc<Spool>>,
    /// The first text that could not be read: whoever asked for it may have gone on without.
    failed: Mutex<Option<String>>,
}

struct Plain {
    path: PathBuf,
    /// What it was when its reading began.
    begun: OnceLock<Seen>,
}

/// What tells a file from another, and from itself after a change.
#[derive(Clone, Copy, PartialEq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    fn of(meta: &Metadata) -> Self {
        Seen { device: meta.dev(), inode: meta.ino(), bytes: meta.len(), modified: meta.modified().ok() }
    }

    /// Whether what was read of it is still there: as it was, or with more at its end.
    fn holds(&self, now: &Seen) -> bool {
        (self.device, self.inode) == (now.device, now.inode) && (self == now || now.bytes > self.bytes)
    }
}

fn changed(path: &std::path::Path) -> io::Error {
    io::Error::other(format!("{} was changed while it was read: run it again", path.display()))
}

/// The number among inputs of the n-th spool.
pub fn input_of_spool(n: usize) -> u32 {
    (INPUTS_MAX - 1 - n) as u32
}

impl ReplayTexts {
    pub fn new(files: Vec<PathBuf>, spools: Vec<Arc<Spool>>) -> Self {
        let open = (0..files.len().min(FILES_OPEN_MAX)).map(|_| Mutex::new(None)).collect();
        let files = files.into_iter().map(|path| Plain { path, begun: OnceLock::new() }).collect();
        ReplayTexts { files, open, spools, failed: Mutex::new(None) }
    }

    /// The reading of this input has begun: from now on it has to stay what it is.
    pub fn begin(&self, input: usize) {
        if self.files[input].begun.get().is_none() {
            // Who needs a text of it and cannot open it either says so.
            if let Ok(file) = self.file(input) {
                let _ = file.metadata().map(|meta| self.files[input].begun.set(Seen::of(&meta)));
            }
        }
    }

    /// Every text that was asked for was there, and the files are still what they were when they were read.
    pub fn check(&self) -> io::Result<()> {
        if let Some(what) = &*self.failed.lock() {
            return Err(io::Error::other(what.clone()));
        }
        for (input, plain) in self.files.iter().enumerate() {
            let Some(begun) = plain.begun.get() else { continue };
            let now = self.file(input).and_then(|file| file.metadata());
            let now = now.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", plain.path.display())))?;
            if !begun.holds(&Seen::of(&now)) {
                return Err(changed(&plain.path));
            }
        }
        Ok(())
    }

    fn file(&self, input: usize) -> io::Result<Arc<File>> {
        let mut slot = self.open[input % FILES_OPEN_MAX].lock();
        if let Some((number, file)) = &*slot
            && *number == input
        {
            return Ok(Arc::clone(file));
        }
        let plain = &self.files[input];
        let file = Arc::new(File::open(&plain.path)?);
        if let Some(begun) = plain.begun.get() {
            let now = Seen::of(&file.metadata()?);
            if !begun.holds(&now) {
                return Err(changed(&plain.path));
            }
        }
        *slot = Some((input, Arc::clone(&file)));
        Ok(file)
    }

    /// Reads the line at `offset` into `buffer`; gives its length.
    fn line(&self, input: usize, offset: u64, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let file = self.file(input)?;
        let mut filled = 0;
        buffer.resize(buffer.len().max(READ_BYTES), 0);
        loop {
            let read = file.read_at(&mut buffer[filled..], offset + filled as u64)?;
            let end = memchr::memchr(b'\n', &buffer[filled..filled + read]).map(|at| filled + at);
            filled += read;
            if read == 0 || end.is_some() {
                return Ok(end.unwrap_or(filled));
            }
            if filled == buffer.len() {
                buffer.resize(2 * filled, 0);
            }
        }
    }
}

impl Texts for ReplayTexts {
    fn text(&self, place: Place) -> Result<String, Error> {
        let input = place.input() as usize;
        let failed = |what: String| {
            self.failed.lock().get_or_insert_with(|| what.clone());
            Error { place, what }
        };
        if input >= self.files.len() {
            return self.spools[INPUTS_MAX - 1 - input].read(place.offset()).map_err(|e| failed(e.to_string()));
        }
        READING.with_borrow_mut(|(parser, buffer)| {
            let length = self.line(input, place.offset(), buffer).map_err(|e| failed(e.to_string()))?;
            // It was read once already, when it was not from the future.
            let context = Context { place, received_at_ms: None, now: i64::MAX / 2 };
            let text = match parser.parse(&buffer[..length], &context) {
                Parsed::Version(_, Some(text)) => Ok(text.into_owned()),
                _ => Err(failed(changed(&self.files[input].path).to_string())),
            };
            if buffer.len() > BUFFER_BYTES_KEPT {
                *buffer = vec![];
            }
            text
        })
    }
}
