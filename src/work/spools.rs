//! Texts of records that cannot be read again where they stood, where all processes can read them.
//!
//! ```text
//!   D/process-0/lock texts-0 texts-1      one a worker, written by its process, open in all
//!   D/process-1/lock texts-0 texts-1      their names go once all have them open: then they end with the processes, however these end
//! ```

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::{Error, chain};
use crate::journal::Lock;
use crate::replay::Job;
use crate::spool::Spool;

/// The spools of this process.
pub(super) struct Spools {
    process: usize,
    own: Vec<Arc<Spool>>,
    names: Vec<PathBuf>,
    _lock: Lock,
}

fn folder(data: &Path, process: usize) -> PathBuf {
    data.join(format!("process-{process}"))
}

fn name(data: &Path, process: usize, worker: usize) -> PathBuf {
    folder(data, process).join(format!("texts-{worker}"))
}

impl Spools {
    /// Makes them, unless another process has this one's folder.
    pub fn make(job: &Job, process: usize) -> Result<Spools, Error> {
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
        Ok(Spools { process, own, names, _lock: lock })
    }

    /// The numbers of its own among all.
    pub fn numbers(&self) -> Range<usize> {
        let workers = self.own.len();
        self.process * workers..(self.process + 1) * workers
    }

    /// Those of all processes, by the number of their worker. All processes have made theirs.
    pub fn all(&self, job: &Job, processes: usize) -> Result<Vec<Arc<Spool>>, Error> {
        let open = |number: usize| {
            let (process, worker) = (number / job.workers, number % job.workers);
            if process == self.process {
                return Ok(Arc::clone(&self.own[worker]));
            }
            let path = name(&job.folder, process, worker);
            let what = || format!("{} is not there: --data-dir must be one folder, shared by all processes", path.display());
            Spool::of_another(&path).map(Arc::new).map_err(|e| Error::failed(what(), e))
        };
        (0..processes * job.workers).map(open).collect()
    }

    /// Takes their names away. All processes have them open.
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
