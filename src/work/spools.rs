//! Texts of records that cannot be read again where they stood, where all processes can read them.
//!
//! ```text
//!   D/process-0/lock texts-0 texts-1      one a worker, written by its process, open in all
//!   D/process-1/lock texts-0 texts-1      their names go once all have them open: then they end with the processes, however these end
//! ```
//!
//! Those of a durable state stay (`state`).

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::{Error, chain};
use crate::files;
use crate::journal::Lock;
use crate::replay::Job;
use crate::spool::Spool;

use super::state::State;

/// The spools that a process sees.
pub(super) struct Spools {
    own: Vec<Arc<Spool>>,
    /// The number of its first.
    first: usize,
    /// Of all of them, by number; none: as in the picture.
    paths: Option<Vec<PathBuf>>,
    /// To be hidden.
    names: Vec<PathBuf>,
    _lock: Option<Lock>,
}

fn folder(data: &Path, process: usize) -> PathBuf {
    data.join(format!("process-{process}"))
}

fn name(data: &Path, process: usize, worker: usize) -> PathBuf {
    folder(data, process).join(format!("texts-{worker}"))
}

impl Spools {
    /// Makes temporary ones, unless another process has this one's folder.
    pub fn temporary(job: &Job, process: usize) -> Result<Spools, Error> {
        let folder = folder(&job.folder, process);
        let refused = |e: io::Error| Error::Usage(format!("no file can be made in {}: {e}", folder.display()));
        fs::create_dir_all(&folder).map_err(refused)?;
        let lock = Lock::take(&folder).map_err(|e| Error::Usage(chain(&e)))?;
        let names: Vec<_> = (0..job.workers).map(|worker| name(&job.folder, process, worker)).collect();
        let make = |path: &PathBuf| {
            // What a process left that was killed before all had met.
            fs::remove_file(path).or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
            Spool::shared(path).map(Arc::new)
        };
        let own = names.iter().map(make).collect::<io::Result<_>>().map_err(refused)?;
        Ok(Spools { own, first: process * job.workers, paths: None, names, _lock: Some(lock) })
    }

    /// Makes those of a generation.
    pub fn durable(state: &State, process: usize) -> Result<Spools, Error> {
        let paths = state.spools();
        let (processes, workers) = (state.manifest.processes, state.manifest.workers);
        let first = paths.len() - processes * workers + process * workers;
        let make = |path: &PathBuf| {
            let what = || format!("{} cannot be made", path.display());
            Spool::shared(path).map(Arc::new).map_err(|e| Error::failed(what(), e))
        };
        let own = paths[first..first + workers].iter().map(make).collect::<Result<_, _>>()?;
        let folder = paths[first].parent().expect("it is in a folder");
        files::disk().sync_folder(folder).map_err(|e| Error::failed(format!("{} cannot be written", folder.display()), e))?;
        Ok(Spools { own, first, paths: Some(paths), names: vec![], _lock: None })
    }

    pub fn own(&self) -> Vec<Arc<Spool>> {
        self.own.clone()
    }

    /// The numbers of its own among all.
    pub fn numbers(&self) -> Range<usize> {
        self.first..self.first + self.own.len()
    }

    /// Those of all processes, by number. All processes have made theirs.
    pub fn all(&self, job: &Job, processes: usize) -> Result<Vec<Arc<Spool>>, Error> {
        let temporary = |number: usize| name(&job.folder, number / job.workers, number % job.workers);
        let paths = self.paths.clone().unwrap_or_else(|| (0..processes * job.workers).map(temporary).collect());
        let before = paths.len() - processes * job.workers;
        let open = |(number, path): (usize, PathBuf)| {
            if self.numbers().contains(&number) {
                return Ok(Arc::clone(&self.own[number - self.first]));
            }
            let what = || format!("{} is not there: --data-dir must be one folder, shared by all processes", path.display());
            let spool = match Spool::of_another(&path) {
                // Whoever was to write it came to nothing: no place is in it.
                Err(e) if e.kind() == io::ErrorKind::NotFound && number < before => Spool::new(&job.folder),
                spool => spool,
            };
            spool.map(Arc::new).map_err(|e| Error::failed(what(), e))
        };
        paths.into_iter().enumerate().map(open).collect()
    }

    /// Takes the names of temporary ones away. All processes have them open.
    pub fn hide(&mut self) {
        for name in self.names.drain(..) {
            // One that stays costs room, no more.
            let _ = fs::remove_file(name);
        }
    }
}

impl Drop for Spools {
    fn drop(&mut self) {
        self.hide();
    }
}
