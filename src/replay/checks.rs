//! What is found out before any work is done: a mistake should cost seconds, not the hours of a replay.

use std::path::Path;

use super::{INPUTS_MAX, Job};
use crate::cli::{Error, chain};
use crate::sink::tables;
use crate::source::dumps::Reader;

/// Refuses what cannot be done as it was asked; makes the folders.
pub(crate) fn all(job: &Job, reader: &Reader) -> Result<(), Error> {
    let files_max = INPUTS_MAX - job.workers;
    if job.files.len() > files_max {
        let what = format!("{} files are more than a replay can tell apart ({files_max})", job.files.len());
        return Err(Error::Usage(format!("{what}: join some of them first, such as `cat *.ndjson | eddy replay -`")));
    }
    reader.check().map_err(|e| refused(&e))?;
    let made = std::fs::create_dir_all(&job.folder);
    made.map_err(|e| Error::Usage(format!("no temporary file can be made in {}: {e}", job.folder.display())))?;
    let Some(folder) = &job.output else { return Ok(()) };
    tables::prepare(folder).map_err(|e| refused(&e))?;
    let mut places = job.views.iter().map(|definition| job.format.path(folder, definition.view)).chain([letters(folder)]);
    match places.find(|path| path.is_dir()) {
        Some(path) => Err(Error::Usage(format!("{} is a folder: a file goes there", path.display()))),
        None => Ok(()),
    }
}

/// Where dead letters go.
pub(super) fn letters(folder: &Path) -> std::path::PathBuf {
    folder.join("dead_letters.ndjson")
}

fn refused(error: &dyn std::error::Error) -> Error {
    Error::Usage(chain(error))
}
