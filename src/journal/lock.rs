//! One process a folder: a file whose `flock` the kernel releases when its holder dies.
//!
//! ```text
//!   lock: "<pid> <boot id>\n"       (who holds it or held it last; only the flock says whether it is held)
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::Error;

const TRIES: u32 = 20;
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// A held lock; dropping it lets go.
pub struct Lock {
    _file: File,
    /// The holder before this one ran since the machine started (or there was none): what it wrote cannot have been lost
    /// with the power.
    pub same_boot: bool,
}

impl Lock {
    /// Locks a folder, or says which process has it.
    pub fn take(dir: &Path) -> Result<Lock, Error> {
        let path = dir.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(Error::io(&path, "open"))?;
        let held = try_for_a_while(&file);
        let mut text = String::new();
        // A lock file with anything else in it still locks: its text is for people and for the boot id only.
        let _ = (&mut file).take(256).read_to_string(&mut text);
        let mut words = text.split_whitespace();
        let (pid, last_boot) = (words.next(), words.next());
        match held {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { path: dir.into(), pid: pid.unwrap_or("unknown").into() });
            }
            Err(TryLockError::Error(source)) => return Err(Error::Io { path, what: "lock", source }),
        }
        let boot = boot();
        let same_boot = last_boot.is_none_or(|last| last == boot);
        let line = format!("{} {boot}\n", std::process::id());
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(line.as_bytes())?;
            file.sync_all() // the boot id has to be there after a power cut
        };
        write(&mut file).map_err(Error::io(&path, "write"))?;
        Ok(Lock { _file: file, same_boot })
    }
}

/// A lock outlives its holder for a moment where the holder was starting a child process, and is held for one by who looks whether it is.
fn try_for_a_while(file: &File) -> Result<(), TryLockError> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_AGAIN),
            done => return done,
        }
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

/// Names this start of the machine. Where the kernel does not say, every start looks the same: a hole left by a power
/// cut is then refused as damage instead of being cut.
fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if id.trim().is_empty() { "unknown".into() } else { id.trim().into() }
}
