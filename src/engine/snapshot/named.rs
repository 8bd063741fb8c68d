//! What a snapshot is made of, for whoever copies it: `snapshot.json` as it stands, and the runs that it names.

use std::io;
use std::path::Path;

use super::{Error, FORMATS, Manifest, at, run_name};
use crate::files::{self, Files};
use crate::record;

/// A snapshot that is named. Its runs stay until another one is.
pub struct Named {
    /// All of `snapshot.json`.
    pub json: Vec<u8>,
    /// Names of files beside it.
    pub runs: Vec<String>,
    /// It holds what other states left.
    pub adopted: bool,
    /// It comes with the one before it, which all processes have (`together`).
    pub has_before: bool,
}

/// What is named in a folder; none where nothing is.
pub fn named(files: &dyn Files, dir: &Path) -> Result<Option<Named>, Error> {
    let path = dir.join("snapshot.json");
    let json = match files::read(files, &path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(at(&path))?,
    };
    let manifest: Manifest = record::parse(&path, &json, FORMATS)?;
    let (adopted, has_before) = (manifest.adopted, manifest.before.is_some());
    Ok(Some(Named { json, runs: manifest.all_runs().map(|run| run_name(run.number)).collect(), adopted, has_before }))
}
