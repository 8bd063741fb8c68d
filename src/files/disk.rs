//! The machine's file system.

use std::fs::{self, File as StdFile, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{File, Files, Open};

/// Files of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

/// The same, shared.
pub fn disk() -> Arc<dyn Files> {
    Arc::new(Disk)
}

/// An open file of this machine.
#[derive(Debug)]
pub struct Handle(pub StdFile);

impl Files for Disk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let write = how != Open::Read;
        let make = matches!(how, Open::Make | Open::New);
        let mut options = OpenOptions::new();
        options.read(true).write(write).create(make).truncate(how == Open::New).create_new(how == Open::Fresh);
        let file = options.open(path)?;
        Ok(Arc::new(Handle(file)))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names = fs::read_dir(folder)?.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() || folder.as_os_str().is_empty() {
            return Ok(());
        }
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.make_folder(parent)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        self.sync_folder(parent)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        match fs::remove_dir_all(folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        StdFile::open(folder)?.sync_all()
    }

    /// Where the kernel does not say, every start looks the same: a hole left by a power cut is then refused as damage instead of being
    /// cut.
    fn boot(&self) -> String {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if id.trim().is_empty() { "unknown".into() } else { id.trim().into() }
    }

    fn salt(&self) -> io::Result<u32> {
        let mut random = [0; 4];
        StdFile::open("/dev/urandom")?.read_exact(&mut random)?;
        Ok(u32::from_le_bytes(random))
    }
}

impl File for Handle {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(bytes, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// The length is synced with the data; times, which nobody reads, are not.
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}
