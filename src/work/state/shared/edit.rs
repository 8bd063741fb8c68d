//! A state that is edited, since a user is forgotten: where it has a mirror that is made anew from it, and holds no byte of before.
//!
//! ```text
//!   a generation is begun, which fences all others --> the folder is edited --> the list of who is forgotten --> what it goes on from, its manifest
//!                                                                           --> texts are written over --> what is older is removed
//! ```
//!
//! If we crash in between, one generation or the other is there, whole; the same once more does the rest.

use std::path::Path;
use std::sync::Arc;

use super::super::{EDIT_LEASE, Job, State, begin, claim, taken_folder};
use super::ship::{PIECE_BYTES, Shipper};
use super::{Error, Shared, names};
use crate::cli;
use crate::files::{self, File, Open, read_exact_at};
use crate::pause;

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
        return Err(cli::Error::Usage(format!("{what}: stop all of it first; nothing has been forgotten")));
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
    let (state, claim) = State::begin(&files, folder, &job, EDIT_LEASE, false, &mut || Ok(()))?;
    claim.hold(|| {
        let Some(shared) = &shared else { return edit() };
        // If we crash after this, nobody works with the mirror until it is done.
        shared.is_being_edited(true).map_err(shared.failed())?;
        let done = edit()?;
        pause::at("edited");
        let mut shipper = Shipper::new(shared, &state, 0, None);
        anew(&mut shipper).and_then(|()| shared.is_being_edited(false)).map_err(shared.failed())?;
        Ok(done)
    })
}

fn anew(shipper: &mut Shipper) -> Result<(), Error> {
    shipper.shared.one_list(&*shipper.state.files, &shipper.state.folder)?;
    shipper.base()?;
    shipper.commit()?;
    let manifest = &shipper.state.manifest;
    // No version that is left refers to what goes. (Those that do not count are removed, all of them.)
    for generation in (manifest.since..manifest.generation).filter(|generation| manifest.counts(*generation)) {
        shipper.texts_again(generation)?;
    }
    shipper.sweep()?;
    shipper.shared.store.sweep().map_err(Error::disk("make clean", Path::new(&shipper.shared.url)))
}

impl Shipper {
    /// Writes texts over as they are in the folder now. What is there and not in the folder is nobody's, and goes.
    fn texts_again(&self, generation: u64) -> Result<(), Error> {
        let (store, State { files, folder, .. }) = (&self.shared.store, &self.state);
        for object in store.list(&names::texts(generation))? {
            let (name, range) = names::of_part(&object.name);
            let path = name.split_once('/').map(|(_, rest)| taken_folder(folder, generation).join(rest));
            let file = path.as_ref().and_then(|path| files.open(path, Open::Read).ok());
            let (Some(range), Some(path), Some(file)) = (range, path, file) else {
                store.remove(std::slice::from_ref(&object.name))?;
                continue;
            };
            let end = file.size().map_err(Error::disk("read", &path))?.clamp(range.start, range.end);
            let bytes = bytes(&*file, range.start, end).map_err(Error::disk("read", &path))?;
            store.put(&names::part(name, &(range.start..end)), bytes)?;
            if end < range.end {
                store.remove(std::slice::from_ref(&object.name))?;
            }
        }
        Ok(())
    }
}

fn bytes(file: &dyn File, start: u64, end: u64) -> std::io::Result<Vec<u8>> {
    assert!(end - start <= PIECE_BYTES, "objects are pieces");
    let mut bytes = vec![0; (end - start) as usize];
    read_exact_at(file, &mut bytes, start)?;
    Ok(bytes)
}
