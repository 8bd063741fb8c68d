//! A mirror whose state is edited: it is made anew from that, and holds no byte of before.
//!
//! ```text
//!   the folder is edited --> the list of who is forgotten --> what it goes on from, its manifest --> texts are written over --> what is older is removed
//! ```
//!
//! If we crash in between, one generation or the other is there, whole; the same once more does the rest.

use std::path::Path;
use std::sync::Arc;

use super::super::{State, taken_folder};
use super::ship::{PIECE_BYTES, Shipper};
use super::{Error, Shared, names};
use crate::cli;
use crate::files::{File, Open, read_exact_at};
use crate::pause;

impl Shared {
    /// Has the folder of a generation edited that was begun for it, and makes its mirror anew.
    pub fn edit<T>(self: &Arc<Self>, state: &State, edit: impl FnOnce() -> Result<T, cli::Error>) -> Result<T, cli::Error> {
        // If we crash after this, nobody works with the mirror until it is done.
        self.is_being_edited(true).map_err(self.failed())?;
        let done = edit()?;
        pause::at("edited");
        let mut shipper = Shipper::new(self, state, 0, None);
        anew(&mut shipper).and_then(|()| self.is_being_edited(false)).map_err(self.failed())?;
        Ok(done)
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
