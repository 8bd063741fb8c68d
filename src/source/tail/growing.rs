//! A file that grows, and may be replaced under its name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Error, TOO_LONG_BYTES};

/// How far a file has been read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Absolute.
    pub path: PathBuf,
    /// 0 before it has been opened.
    inode: u64,
    offset: u64,
}

impl Position {
    pub fn start(path: PathBuf) -> Position {
        Position { path, inode: 0, offset: 0 }
    }
}

/// Whole lines of a file.
pub struct Batch {
    pub from: u64,
    pub to: u64,
    pub lines: Vec<u8>,
}

pub struct Growing {
    position: Position,
    file: Option<File>,
    /// It is there and cannot be read, which was told.
    is_told: bool,
    line_bytes_max: u64,
}

impl Growing {
    pub fn new(position: Position, line_bytes_max: usize) -> Growing {
        Growing { position, file: None, is_told: false, line_bytes_max: line_bytes_max as u64 }
    }

    pub fn path(&self) -> &PathBuf {
        &self.position.path
    }

    pub fn position(&self) -> &Position {
        &self.position
    }

    fn failed(&self) -> impl Fn(io::Error) -> Error + use<> {
        let path = self.position.path.clone();
        move |source| Error::Read { path: path.clone(), source }
    }

    /// The next whole lines, about `batch` bytes or one line; none where there are none now.
    pub fn next(&mut self, batch: usize) -> Result<Option<Batch>, Error> {
        let failed = self.failed();
        if !self.open().map_err(&failed)? {
            return Ok(None);
        }
        let (file, from) = (self.file.as_ref().expect("just opened"), self.position.offset);
        let mut bytes = vec![0; batch];
        let read = read_at(file, &mut bytes, from).map_err(&failed)?;
        let to = match memchr::memrchr(b'\n', &bytes[..read]) {
            Some(at) => from + at as u64 + 1,
            None if read == batch => match line_end(file, from + read as u64).map_err(&failed)? {
                Some(end) => end,
                None => return Ok(None),
            },
            // Nobody goes on writing to a file that has lost its name: then its last line needs no end.
            None if self.is_replaced().map_err(&failed)? => {
                if read == 0 {
                    (self.file, self.position) = (None, Position::start(self.position.path.clone()));
                    return Ok(None);
                }
                from + read as u64
            }
            None => return Ok(None),
        };
        self.position.offset = to;
        Ok(Some(Batch { from, to, lines: self.load(from, to).map_err(failed)? }))
    }

    /// Lines that were given before; none where the file is another by now.
    pub fn lines(&mut self, from: u64, to: u64) -> Result<Option<Vec<u8>>, Error> {
        let failed = self.failed();
        let before = self.position.clone();
        if !self.open().map_err(&failed)? || self.position != before {
            return Ok(None);
        }
        self.load(from, to).map(Some).map_err(failed)
    }

    /// The bytes of whole lines; of one that is too long the first.
    fn load(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let wanted = if to - from > self.line_bytes_max { TOO_LONG_BYTES } else { (to - from) as usize };
        let mut lines = vec![0; wanted];
        self.file.as_ref().expect("opened before").read_exact_at(&mut lines, from)?;
        if lines.last() != Some(&b'\n') {
            lines.push(b'\n');
        }
        Ok(lines)
    }

    /// Opens it where it is not; false where it is not there, or is nothing that can be read for now: then what takes its place is waited for.
    fn open(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            let file = match open(&self.position.path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {
                    if !std::mem::replace(&mut self.is_told, true) {
                        warn!(path = %self.position.path.display(), error = %e, "it cannot be read, and is tried again");
                    }
                    return Ok(false);
                }
                file => file?,
            };
            self.is_told = false;
            let inode = file.metadata()?.ino();
            if self.position.inode != 0 && self.position.inode != inode {
                warn!(path = %self.position.path.display(), "replaced while nobody looked: the new one is read from its start");
                self.position.offset = 0;
            }
            self.position.inode = inode;
            self.file = Some(file);
        }
        let length = self.file.as_ref().expect("just opened").metadata()?.len();
        if length < self.position.offset {
            warn!(path = %self.position.path.display(), length, "shorter than it was: it is read from its start");
            self.position.offset = 0;
        }
        Ok(true)
    }

    fn is_replaced(&self) -> io::Result<bool> {
        match fs::metadata(&self.position.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            meta => Ok(meta?.ino() != self.position.inode),
        }
    }
}

/// Opens a file, and nothing else.
fn open(path: &Path) -> io::Result<File> {
    // A pipe without a writer would be waited for.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")) }
}

/// Fills as much of the buffer as there is.
fn read_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], from + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// Where the line ends that goes on at `from`, its end included; none where it has no end yet.
fn line_end(file: &File, mut from: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; 1 << 20];
    loop {
        let read = read_at(file, &mut bytes, from)?;
        match memchr::memchr(b'\n', &bytes[..read]) {
            Some(at) => return Ok(Some(from + at as u64 + 1)),
            None if read < bytes.len() => return Ok(None),
            None => from += read as u64,
        }
    }
}
