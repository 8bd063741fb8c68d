//! Texts of records that cannot be read again where they stood: appended to a temporary file, read back by offset.
//!
//! ```text
//!   file: { crc32 of the rest | length u32 | text }*      buffer: the tail that is not written yet
//! ```
//!
//! A temporary spool has no name in its folder: it is gone when the process is, however it ends. One that stays is part of the durable
//! state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::files::{self, File, Files, Open};

/// Bytes that wait in memory before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// No text is longer: records are at most 1 GiB.
const TEXT_BYTES_MAX: u32 = 1 << 30;

struct Tail {
    written: u64,
    buffer: Vec<u8>,
    error: Option<io::ErrorKind>,
}

/// One writer's texts.
pub struct Spool {
    file: Arc<dyn File>,
    tail: Mutex<Tail>,
    /// Of one that stays.
    path: Option<PathBuf>,
    /// Other processes read it, too: they see what is in the file.
    shared: bool,
}

impl Spool {
    /// A spool in `folder`, for as long as this process lives.
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Spool::of(Arc::new(files::disk::Handle(tempfile::tempfile_in(folder)?)), 0))
    }

    /// A spool that stays: a new one, or what an earlier process left, to be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_in(&files::disk::Disk, path)
    }

    /// The same among other files than the disk's.
    pub fn open_in(files: &dyn Files, path: &Path) -> io::Result<Self> {
        let file = files.open(path, Open::Make)?;
        let written = file.size()?;
        if written == 0 {
            // A new name goes with the power, whatever is synced within it.
            files.sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(Spool::of(file, written).named(path))
    }

    /// A new spool that other processes read, each by [`Spool::of_another`].
    pub fn shared(path: &Path) -> io::Result<Self> {
        Ok(Spool { shared: true, ..Spool::of(files::disk::Disk.open(path, Open::New)?, 0).named(path) })
    }

    /// What another process writes, to be read.
    pub fn of_another(path: &Path) -> io::Result<Self> {
        // Nothing of it is in a buffer here.
        Ok(Spool::of(files::disk::Disk.open(path, Open::Read)?, u64::MAX).named(path))
    }

    fn named(self, path: &Path) -> Self {
        Spool { path: Some(path.to_owned()), ..self }
    }

    fn of(file: Arc<dyn File>, written: u64) -> Self {
        Spool { file, tail: Mutex::new(Tail { written, buffer: Vec::new(), error: None }), path: None, shared: false }
    }

    /// Keeps a text; gives where it is.
    pub fn push(&self, text: &str) -> u64 {
        let mut tail = self.tail.lock();
        let at = tail.written + tail.buffer.len() as u64;
        let length = u32::try_from(text.len()).expect("records are at most 16 MiB");
        tail.buffer.extend_from_slice(&sum(length, text.as_bytes()).to_le_bytes());
        tail.buffer.extend_from_slice(&length.to_le_bytes());
        tail.buffer.extend_from_slice(text.as_bytes());
        if tail.buffer.len() >= BUFFER_BYTES {
            // A full disk is found by `check`, and by whoever needs the text again.
            self.write(&mut tail);
        }
        at
    }

    fn write(&self, tail: &mut Tail) {
        if let Err(e) = self.file.write_at(&tail.buffer, tail.written) {
            tail.error.get_or_insert(e.kind());
        }
        tail.written += tail.buffer.len() as u64;
        tail.buffer.clear();
    }

    /// Makes what was pushed safe against a killed process, where the file has a name.
    pub fn flush(&self) -> io::Result<()> {
        let mut tail = self.tail.lock();
        if !tail.buffer.is_empty() {
            self.write(&mut tail);
        }
        check(&tail)
    }

    /// Records that name these texts are about to leave the process.
    pub fn hand_on(&self) {
        if self.shared {
            // An error is found by `check`.
            let _ = self.flush();
        }
    }

    /// Makes what was flushed safe against a power cut, where the file has a name.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Whether every text could be kept so far.
    pub fn check(&self) -> io::Result<()> {
        check(&self.tail.lock())
    }

    /// Writes blanks over the texts that `keep` does not want, in their places; gives how many. Nobody else may be at it.
    ///
    /// If we crash in between, a text may be half blank, which its sum tells; it was wanted by nobody.
    pub fn blank(&self, mut keep: impl FnMut(u64) -> bool) -> io::Result<u64> {
        let end = self.tail.lock().written;
        let (mut at, mut blanked) = (0, 0);
        while at + 8 <= end {
            let mut head = [0; 8];
            files::read_exact_at(&*self.file, &mut head, at)?;
            let bytes = u64::from(length(head));
            if at + 8 + bytes > end {
                break; // a torn tail
            }
            if !keep(at) {
                let text = vec![b' '; bytes as usize];
                let mut entry = sum(length(head), &text).to_le_bytes().to_vec();
                entry.extend_from_slice(&head[4..]);
                entry.extend_from_slice(&text);
                self.file.write_at(&entry, at)?;
                blanked += 1;
            }
            at += 8 + bytes;
        }
        self.file.sync()?;
        Ok(blanked)
    }

    /// The text at `at`.
    pub fn read(&self, at: u64) -> io::Result<String> {
        let tail = self.tail.lock();
        check(&tail)?;
        let mut head = [0; 8];
        if at >= tail.written {
            let from = (at - tail.written) as usize;
            head.copy_from_slice(&tail.buffer[from..from + 8]);
            let text = tail.buffer[from + 8..from + 8 + length(head) as usize].to_vec();
            return text_of(head, text).ok_or_else(|| self.damaged(at));
        }
        drop(tail);
        files::read_exact_at(&*self.file, &mut head, at)?;
        if length(head) > TEXT_BYTES_MAX {
            return Err(self.damaged(at));
        }
        let mut text = vec![0; length(head) as usize];
        match files::read_exact_at(&*self.file, &mut text, at + 8) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(self.damaged(at)),
            read => read?,
        }
        text_of(head, text).ok_or_else(|| self.damaged(at))
    }

    fn damaged(&self, at: u64) -> io::Error {
        let what = match &self.path {
            None => "the spool of texts is damaged".into(),
            Some(path) => format!("{} is damaged at byte {at}: with --rebuild the state is made anew from the files", path.display()),
        };
        io::Error::new(io::ErrorKind::InvalidData, what)
    }
}

fn length(head: [u8; 8]) -> u32 {
    u32::from_le_bytes(head[4..].try_into().expect("four bytes"))
}

fn sum(length: u32, text: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length.to_le_bytes());
    sum.update(text);
    sum.finalize()
}

/// None where it is not what was written.
fn text_of(head: [u8; 8], text: Vec<u8>) -> Option<String> {
    if head[..4] == sum(length(head), &text).to_le_bytes() { String::from_utf8(text).ok() } else { None }
}

fn check(tail: &Tail) -> io::Result<()> {
    match tail.error {
        Some(kind) => Err(io::Error::new(kind, format!("the spool of texts could not be written: {kind}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_from_the_buffer_and_from_the_file() {
        let spool = Spool::new(&std::env::temp_dir()).expect("a temporary file");
        let texts: Vec<String> = (0..50_000).map(|i| format!("text {i} é")).collect();
        let places: Vec<u64> = texts.iter().map(|text| spool.push(text)).collect();
        for (text, place) in texts.iter().zip(places) {
            assert_eq!(spool.read(place).expect("readable"), *text);
        }
    }
}
