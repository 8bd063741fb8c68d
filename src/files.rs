//! Files of durable state, through one door: the disk's, or simulated ones whose power can be cut.
//!
//! ```text
//!   journal, record, spool, snapshot --Files--> disk         the machine's file system
//!                                         \--> simulated    in memory: knows what has reached the disk and what has not
//! ```
//!
//! Nothing else of the durable state opens, names or removes a file, so that all it does can be done to simulated ones.

#[cfg(test)]
mod contract;
pub mod disk;
pub mod simulated;

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

pub use disk::disk;
pub use simulated::Simulated;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// To be read.
    Read,
    /// To be read and written; it must be there.
    Write,
    /// To be read and written; made where it is not there.
    Make,
    /// To be read and written, empty.
    New,
    /// To be read and written, empty; it must not be there.
    Fresh,
}

/// # Contract
/// - **What a name is for** (made, renamed to, removed) is safe against a killed process at once, against a power cut after
///   `sync_folder`; until then each change of its own may be lost or not, whatever came after it.
/// - **A rename** replaces what has the name, at once: who looks finds the one or the other, whole.
/// - **`Fresh`**: of all who open a name so, exactly one makes the file; for the others it is `AlreadyExists`.
/// - **A folder is renamed** with all that is in it, to a name that nothing has. What is open stays open; who goes on by the old name finds
///   nothing there.
/// - **`make_folder`** makes what is missing above it, too, and is safe against a power cut when it returns.
/// - **`remove_folder`** removes what is in it, too; what is not there is no error. If we crash, some of it may be left.
pub trait Files: Send + Sync + Debug {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;
    /// The names in a folder, sorted.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// A file or a folder, within one folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Names this start of the machine: another one means that its power may have been cut in between.
    fn boot(&self) -> String;
    /// A random number that no file can foresee.
    fn salt(&self) -> io::Result<u32>;
}

/// # Contract
/// - **What is written** is read back at once, is safe against a killed process when the write returns, and against a power cut after
///   `sync`; until then any part of it may be lost, whatever came after it.
/// - **A failed write** may have written a first part.
/// - **After a failed `sync`** nothing is known of what was written since the last one.
/// - **A lock** is its handle's; it goes with the handle, or with the process.
pub trait File: Send + Sync + Debug {
    /// Some bytes from `at` on; none at the end only.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
    fn size(&self) -> io::Result<u64>;
    fn sync(&self) -> io::Result<()>;
    /// False where another handle has it.
    fn try_lock(&self) -> io::Result<bool>;
}

/// Fills `bytes` from `at` on.
pub fn read_exact_at(file: &dyn File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                at += read as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// All of a file.
pub fn read(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    read_all(&*files.open(path, Open::Read)?)
}

/// All of an open file.
pub fn read_all(file: &dyn File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.size()? as usize];
    read_exact_at(file, &mut bytes, 0)?;
    Ok(bytes)
}

/// A file from its start on, in order.
#[derive(Debug)]
pub struct Stream {
    pub file: Arc<dyn File>,
    at: u64,
}

impl Stream {
    pub fn new(file: Arc<dyn File>) -> Self {
        Self::from(file, 0)
    }

    pub fn from(file: Arc<dyn File>, at: u64) -> Self {
        Stream { file, at }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
