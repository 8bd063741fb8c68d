//! Rebuilding: a state that is damaged goes, and is made again from what it was made of: the log of `run`, the files of a replay. (A folder
//! of `work` is begun anew as its generations are: `work::state`.)
//!
//! ```text
//!   D/snapshots, D/state     go first: what is left of them if we crash is refused, as it was before, or is an older state
//!   D/retention.json         goes then: it is agreed upon anew
//!   D/texts-*, D/replay.json    a replay's: go then
//!   D/sinks.json, changelogs    go then: changelogs are written anew, whole, when the state is there
//!   D/log, D/intake, D/forgotten.json    stay
//! ```
//!
//! # Invariants
//! 1. Nobody else is in the folder: the state's lock is taken first.
//! 2. What cannot be made again is not touched.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{Files, disk};
use crate::journal::{self, Lock};
use crate::replay;
use crate::sink::{changelog, list};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Locked(#[from] journal::Error),
    #[error("{} could not be removed", .path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Changelog(#[from] changelog::Error),
}

/// Removes the state of a replay, and its changelogs, as of a run.
pub fn replay(folder: &Path, given: &[PathBuf]) -> Result<(), Error> {
    run(folder, given)?;
    for (_, path) in replay::spools(folder) {
        remove(&path)?;
    }
    remove(&folder.join("replay.json"))
}

/// Removes the state of a run, and the changelogs that follow it: those that it knows, and those that are given now.
pub fn run(folder: &Path, given: &[PathBuf]) -> Result<(), Error> {
    state(folder)?;
    // Where it cannot be read, those that are given are all.
    let known = list::List::read(folder).map(|list| list.changelogs).unwrap_or_default();
    for changes in known.iter().chain(given).filter(|changes| changes.join("upper.json").exists()) {
        changelog::remove(changes)?;
    }
    remove(&folder.join("sinks.json"))
}

/// Removes snapshots and frames, in a folder that has a state.
fn state(folder: &Path) -> Result<(), Error> {
    let (files, state, snapshots) = (disk::Disk, folder.join("state"), folder.join("snapshots"));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Remove { path, source }
    };
    files.make_folder(&state).map_err(failed(&state))?;
    let _lock = Lock::take(&state)?;
    files.remove_folder(&snapshots).map_err(failed(&snapshots))?;
    // The oldest first: frames that lack those before them are no state.
    for name in files.names(&state).map_err(failed(&state))?.into_iter().filter(|name| name != "lock") {
        remove(&state.join(name))?;
    }
    files.sync_folder(&state).map_err(failed(&state))?;
    remove(&folder.join("retention.json"))
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Remove { path: path.into(), source }),
        _ => Ok(()),
    }
}
