//! A state that is edited, since a user is forgotten: the mirror is made anew from it, and holds no byte of before.
//!
//! ```text
//!   a generation is begun, which fences all others --> the folder is edited --> the list of who is forgotten --> what it goes on from, its manifest
//!                                                                           --> texts are written over --> what is older is removed
//! ```
//!
//! If we crash in between, one generation or the other is there, whole; the same once more does the rest.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::super::{BEATS, Claim, Job, State, begin, taken_folder};
use super::ship::{PIECE_BYTES, Shipper};
use super::{Error, Shared, names};
use crate::cli;
use crate::files::{self, File, Open, read_exact_at};
use crate::pause;

/// How long another start waits for one that says nothing.
const LEASE: Duration = Duration::from_secs(30);
/// How often who beats looks whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Edits a folder that nobody else has, and its mirror with it.
pub(crate) fn edit_there<T>(folder: &Path, url: &str, edit: impl FnOnce() -> Result<T, cli::Error>) -> Result<T, cli::Error> {
    let (files, shared) = (files::disk(), Arc::new(Shared::open(url, folder)?));
    let failed = |e| cli::Error::failed(format!("{} cannot be made", folder.display()), e);
    files.make_folder(folder).map_err(failed)?;
    shared.agree(&*files, folder)?;
    let last = match shared.ahead(&*files, folder)? {
        Some(ahead) => Some(ahead),
        None => begin::last(&*files, folder)?,
    };
    let none = || cli::Error::Usage(format!("neither {} nor {url} holds a state of a cluster", folder.display()));
    let last = last.ok_or_else(none)?;
    // It reads nothing: what it is begun for is that others are not at work.
    let job = Job {
        processes: 1,
        workers: 1,
        files: last.files,
        record_bytes_max: last.record_bytes_max,
        retention: last.retention,
        output: None,
        rebuild: false,
        shared: Some(Arc::clone(&shared)),
    };
    let (state, claim) = State::begin(&files, folder, &job, LEASE, false, &mut || Ok(()))?;
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| beat(&claim, &ended));
        // If we crash after this, nobody works with the mirror until it is done.
        let begun = shared.is_being_edited(true).map_err(shared.failed());
        let done = begun.and_then(|()| edit()).and_then(|done| {
            pause::at("edited");
            let mut shipper = Shipper::new(&shared, &state, 0, None);
            anew(&mut shipper).and_then(|()| shared.is_being_edited(false)).map(|()| done).map_err(shared.failed())
        });
        ended.store(true, Ordering::Release);
        claim.release();
        done
    })
}

fn beat(claim: &Claim, ended: &AtomicBool) {
    let mut last = Instant::now();
    while !ended.load(Ordering::Acquire) {
        std::thread::sleep(LOOK_EVERY);
        if last.elapsed() > LEASE / BEATS {
            last = Instant::now();
            // A later claim is found before the manifest goes.
            let _ = claim.beat();
            let _ = claim.there.as_ref().map(|there| there.beat());
        }
    }
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
