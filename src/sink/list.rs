//! The external sinks of a state, durably: those that hold frames back until they have what these say. It changes by command only.
//!
//! ```text
//!   D/sinks.json    { "state": "5f3a...", "changelogs": ["/var/lib/eddy/changes"] }
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record;

const FORMAT: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error("could not write {}", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} cannot be a changelog", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("this state has a changelog in {path}: give --changelog {path}, or let go of it for good with --changelog-drop {path}", path = .0.display())]
    Missing(PathBuf),
    #[error("this state has no changelog in {}", .0.display())]
    Unknown(PathBuf),
}

impl Error {
    /// The list is not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Error::Record(record::Error::Damaged { .. }))
    }
}

#[derive(Default, Serialize, Deserialize)]
pub struct List {
    /// Names the state, by chance.
    pub state: String,
    /// Absolute.
    pub changelogs: Vec<PathBuf>,
}

impl List {
    /// The sinks of the state in this folder; none where it never had any.
    pub fn read(folder: &Path) -> Result<List, Error> {
        Ok(record::read(&folder.join("sinks.json"), FORMAT)?.unwrap_or_default())
    }

    /// Of a state that nobody keeps.
    pub fn new(given: &[PathBuf]) -> Result<List, Error> {
        let failed = |source| Error::Write { path: "a name for the state".into(), source };
        Ok(List { state: random().map_err(failed)?, changelogs: absolute(given)? })
    }

    /// The sinks of the state in this folder from now on: `given`, which must be all that are not in `dropped`.
    pub fn agree(folder: &Path, given: &[PathBuf], dropped: &[PathBuf]) -> Result<List, Error> {
        let path = folder.join("sinks.json");
        let failed = |source| Error::Write { path: path.clone(), source };
        let mut list = List::read(folder)?;
        if list.state.is_empty() {
            list.state = random().map_err(failed)?;
        }
        for folder in dropped {
            let folder = std::path::absolute(folder).map_err(failed)?;
            let at = list.changelogs.iter().position(|known| *known == folder).ok_or(Error::Unknown(folder))?;
            list.changelogs.remove(at);
        }
        let given = absolute(given)?;
        if let Some(missing) = list.changelogs.iter().find(|known| !given.contains(known)) {
            return Err(Error::Missing(missing.clone()));
        }
        list.changelogs = given;
        record::write(&path, FORMAT, &list).map_err(failed)?;
        Ok(list)
    }
}

fn absolute(folders: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let absolute = |folder: &PathBuf| std::path::absolute(folder).map_err(|source| Error::Folder { path: folder.clone(), source });
    folders.iter().map(absolute).collect()
}

fn random() -> io::Result<String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}
