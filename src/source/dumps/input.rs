//! Opens one input and gives its decompressed stream.
//!
//! ```text
//!   file or stdin --> Counted --> head (sniffed) + rest --> zstd | bzip2 | gzip | as it is --> read()
//! ```

use super::kind::{self, Kind, SNIFF_BYTES};
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The greatest window a zstd frame may ask for, as a power of two; Pushshift's dumps ask for it.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// Why an input, or the rest of it, could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{} is a directory: name the dump files in it", path.display())]
    Directory { path: PathBuf },
    #[error("{} looks like {found}; dumps are .zst, .bz2, .gz or plain JSON", path.display())]
    Kind { path: PathBuf, found: &'static str },
    /// Every whole record before `offset` (in the decompressed stream) has been given.
    #[error("cannot read {} beyond byte {offset} of its content: the file is cut short or damaged", path.display())]
    Read { path: PathBuf, offset: u64, source: io::Error },
    #[error("standard input (-) is named more than once")]
    StdinTwice,
}

impl Error {
    /// The input that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Error::Open { path, .. } | Error::Directory { path } | Error::Kind { path, .. } | Error::Read { path, .. } => path,
            Error::StdinTwice => Path::new("-"),
        }
    }
}

/// One input, open.
pub(super) struct Input {
    pub path: PathBuf,
    stream: Box<dyn Read + Send>,
    kind: Kind,
    /// Its stream is a file on disk, byte for byte.
    pub is_plain_file: bool,
    /// Decompressed bytes given so far.
    pub offset: u64,
}

impl Input {
    /// `consumed` counts the bytes taken from the file or pipe.
    pub fn open(path: &Path, consumed: &Arc<AtomicU64>) -> Result<Self, Error> {
        let failed = |source| Error::Open { path: path.to_owned(), source };
        let mut raw = Counted { inner: open_raw(path)?, consumed: consumed.clone() };
        let mut head = Vec::new();
        raw.by_ref().take(SNIFF_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
        let kind = kind::of_file(&head);
        let whole = Cursor::new(head).chain(raw);
        let stream: Box<dyn Read + Send> = match kind {
            Kind::Plain => Box::new(whole),
            Kind::Zstd => Box::new(zstd_stream(whole).map_err(failed)?),
            Kind::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(whole)),
            Kind::Gzip => Box::new(flate2::read::MultiGzDecoder::new(whole)),
            Kind::Other(found) => return Err(Error::Kind { path: path.to_owned(), found }),
        };
        let is_plain_file = kind == Kind::Plain && !is_stdin(path) && is_regular(path)?;
        Ok(Input { path: path.to_owned(), stream, kind, is_plain_file, offset: 0 })
    }

    /// Reads into `room`: 0 is the end.
    pub fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
            }
        }
    }

    /// What the decompressed stream looks like that starts with `head`, where it can be no dump.
    pub fn misfit(&self, head: &[u8]) -> Option<&'static str> {
        let head = &head[..head.len().min(SNIFF_BYTES)];
        if self.kind == Kind::Plain { kind::of_content(head) } else { kind::of_decompressed(head) }
    }
}

/// Whether `path` can be read at all, without taking anything from a pipe.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    if is_stdin(path) {
        return Ok(());
    }
    let failed = |source| Error::Open { path: path.to_owned(), source };
    if !is_regular(path)? {
        return Ok(());
    }
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(SNIFF_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
    match kind::of_file(&head) {
        Kind::Other(found) => Err(Error::Kind { path: path.to_owned(), found }),
        _ => Ok(()),
    }
}

/// Its length on disk, where that is known before it is read.
pub(super) fn size(path: &Path) -> Option<u64> {
    if is_stdin(path) {
        return None;
    }
    // A file that is missing adds nothing: reading it is an error, not an unknown length.
    std::fs::metadata(path).map_or(Some(0), |meta| meta.is_file().then_some(meta.len()))
}

pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn is_regular(path: &Path) -> Result<bool, Error> {
    let meta = std::fs::metadata(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
    if meta.is_dir() {
        return Err(Error::Directory { path: path.to_owned() });
    }
    Ok(meta.is_file())
}

fn open_raw(path: &Path) -> Result<Box<dyn Read + Send>, Error> {
    if is_stdin(path) {
        return Ok(Box::new(io::stdin()));
    }
    is_regular(path)?;
    let file = File::open(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
    Ok(Box::new(file))
}

fn zstd_stream<R: Read + Send>(whole: R) -> io::Result<impl Read + Send> {
    let mut decoder = zstd::stream::read::Decoder::new(whole)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// Counts what goes through it.
struct Counted<R> {
    inner: R,
    consumed: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(room)?;
        self.consumed.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
