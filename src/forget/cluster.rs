//! The same in a folder of `eddy work`: snapshots, frames and texts of all generations.
//!
//! ```text
//!   D/forgotten.json                              each process reads it when it starts
//!   D/generation-N/process-P/state/               frames rewritten: without the user's versions, dead letters scrubbed
//!   D/generation-N/process-P/snapshots/           one run, of the same kind; of sealed messages without what names the user
//!   D/generation-N/process-P/sums/                empty: frames say it again
//!   D/generation-N/process-P/texts-W              blanks where no version points to any more
//!   D/old-M/process-P/...                         as above
//! ```
//!
//! All processes must have ended: their journals' locks are taken first. And none begins meanwhile: that is what a generation is begun for.

use std::path::Path;

use eddy_schemas::scrub::Person;

use super::{Done, Error, Without, list};
use crate::engine::snapshot::{Snapshots, edited};
use crate::engine::{durable, sums};
use crate::files::disk::Disk;
use crate::journal::{self, Journal};
use crate::work;

/// Whether a folder is one of `eddy work`.
pub fn is_one(folder: &Path) -> bool {
    work::has_state(folder)
}

/// Where nobody else is at work, nor begins meanwhile.
pub fn run_alone(folder: &Path, person: &Person) -> Result<Done, Error> {
    work::edit(folder, None, || run(folder, person).map_err(super::not_all)).map_err(Error::Begun)
}

/// By who has begun a generation for it.
pub fn run(folder: &Path, person: &Person) -> Result<Done, Error> {
    let kept = work::kept(folder).map_err(|e| Error::Cluster(e.to_string()))?;
    let there = |name: &'static str| kept.processes.iter().map(move |process| process.join(name)).filter(|path| path.is_dir());
    let at_work = |e| match e {
        journal::Error::InUse { pid, .. } => Error::AtWork { folder: folder.into(), pid },
        e => Error::Journal(e),
    };
    let open = |path: std::path::PathBuf| Journal::open(&path, journal::Config::default()).map_err(at_work);
    let journals = there("state").map(open).collect::<Result<Vec<_>, _>>()?;
    let mut done = Done { is_new: list(folder, person)?, ..Done::default() };
    let mut without = Without::new(person, &mut done);
    for journal in &journals {
        journal.rewrite(|number, frame| edited(journal, number, frame, &mut without))?;
    }
    for path in there("sums") {
        let failed = |source| durable::Error::Snapshot { path: path.display().to_string(), source };
        sums::clear(&Disk, &path).map_err(failed)?;
    }
    for path in there("snapshots") {
        let snapshots = Snapshots::open(&path)?;
        kept.keep.into_iter().fold(snapshots, Snapshots::sealing).rewrite_runs(&mut without)?;
    }
    without.blank(kept.spools.into_iter().filter(|(_, path)| path.is_file()))?;
    Ok(done)
}
