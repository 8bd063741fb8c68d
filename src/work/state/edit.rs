//! A folder that is edited, since a user is forgotten, while nobody is at work in it, nor begins.
//!
//! ```text
//!   nobody on this machine has it --> a generation is begun, which fences all others --> it is edited, and its mirror (`shared`), where it has one
//! ```
//!
//! If we crash in between, the same once more does the rest.

use std::path::Path;
use std::sync::Arc;

use super::claim::{self, EDIT_LEASE};
use super::{InUse, Job, Shared, State, begin};
use crate::cli;
use crate::files;

/// Where a cluster is at work.
const ADVICE: &str = "stop all of it first; nothing has been forgotten";

/// Edits a folder that nobody else has, and its mirror with it, where it is to have one.
pub(crate) fn edit<T>(folder: &Path, url: Option<&str>, edit: impl FnOnce() -> Result<T, cli::Error>) -> Result<T, cli::Error> {
    let (files, shared) = (files::disk(), url.map(|url| Shared::open(url, folder).map(Arc::new)).transpose()?);
    let mut ahead = None;
    if let Some(shared) = &shared {
        files.make_folder(folder).map_err(|e| cli::Error::failed(format!("{} cannot be made", folder.display()), e))?;
        shared.agree(&*files, folder)?;
        ahead = shared.ahead(&*files, folder)?;
    }
    let last = if ahead.is_some() { ahead } else { begin::last(&*files, folder)? };
    let none = || {
        let there = url.map_or(String::new(), |url| format!(", nor does {url}"));
        cli::Error::Usage(format!("{} holds no state of a cluster{there}", folder.display()))
    };
    let last = last.ok_or_else(none)?;
    // Whoever is frozen must not be superseded for this.
    if let Some(pid) =
        claim::holder_here(&*files, folder).map_err(|e| cli::Error::failed(format!("{} cannot be read", folder.display()), e))?
    {
        let what = format!("a cluster is at work in {}, with process {pid} on this machine", folder.display());
        return Err(cli::Error::Usage(format!("{what}: {ADVICE}")));
    }
    // It reads nothing: what it is begun for is that others are not at work.
    let job = Job {
        processes: 1,
        workers: 1,
        files: last.files,
        record_bytes_max: last.record_bytes_max,
        retention: last.retention,
        output: None,
        rebuild: false,
        shared: shared.clone(),
    };
    let (state, claim) = State::begin(&files, folder, &job, EDIT_LEASE, InUse::Refused(ADVICE), &mut || Ok(()))?;
    claim.hold(|| match &shared {
        Some(shared) => shared.edit(&state, edit),
        None => edit(),
    })
}
