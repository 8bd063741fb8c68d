//! One process a folder: a file whose lock the kernel releases when its holder dies.
//!
//! ```text
//!   lock: "<pid> <boot id>\n"       (who holds it or held it last; only the lock says whether it is held)
//! ```

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use crate::files::{File, Files, Open, disk};

const TRIES: u32 = 20;
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// A held lock; dropping it lets go.
pub struct Lock {
    file: Arc<dyn File>,
    boot: String,
    /// A holder before this one has settled everything since the machine started: what was written cannot have been lost with the power.
    pub same_boot: bool,
}

impl Lock {
    /// Locks a folder, or says which process has it.
    pub fn take(dir: &Path) -> Result<Lock, Error> {
        Self::take_in(&*disk(), dir)
    }

    /// The same among other files than the disk's.
    pub fn take_in(files: &dyn Files, dir: &Path) -> Result<Lock, Error> {
        let path = dir.join("lock");
        let file = files.open(&path, Open::Make).map_err(Error::io(&path, "open"))?;
        let held = try_for_a_while(&*file).map_err(Error::io(&path, "lock"))?;
        let text = text(&*file).unwrap_or_default();
        let mut words = text.lines().next().unwrap_or_default().split_whitespace();
        let (pid, last_boot) = (words.next(), words.next());
        if !held {
            return Err(Error::InUse { path: dir.into(), pid: pid.unwrap_or("unknown").into() });
        }
        let boot = files.boot();
        let same_boot = last_boot == Some(&*boot);
        let lock = Lock { file, boot, same_boot };
        lock.write(last_boot.unwrap_or("-")).map_err(Error::io(&path, "write"))?;
        Ok(lock)
    }

    /// What a power cut may have left is mended, durably.
    pub fn settled(&self, dir: &Path) -> Result<(), Error> {
        self.write(&self.boot).map_err(Error::io(dir.join("lock"), "write"))
    }

    /// Over what is there: it is shorter than what a disk writes at once.
    fn write(&self, boot: &str) -> io::Result<()> {
        let line = format!("{} {boot}\n", std::process::id());
        self.file.write_at(line.as_bytes(), 0)?;
        self.file.set_len(line.len() as u64)?;
        self.file.sync()
    }
}

/// A lock file with anything else in it still locks: its text is for people and for the boot id only.
fn text(file: &dyn File) -> io::Result<String> {
    let mut bytes = [0; 256];
    let read = file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

/// A lock outlives its holder for a moment where the holder was starting a child process, and is held for one by who looks whether it is.
fn try_for_a_while(file: &dyn File) -> io::Result<bool> {
    for _ in 0..TRIES {
        if file.try_lock()? {
            return Ok(true);
        }
        std::thread::sleep(TRY_AGAIN);
    }
    file.try_lock()
}

/// Whether a folder was locked by a process that is gone. One that is being locked for the first time has no text yet, and is not.
pub fn is_abandoned(dir: &Path) -> bool {
    let Ok(mut file) = OpenOptions::new().read(true).open(dir.join("lock")) else { return false };
    let mut text = String::new();
    let was_held = (&mut file).take(256).read_to_string(&mut text).is_ok() && !text.is_empty();
    was_held && file.try_lock().is_ok()
}
