//! Committing a generation to the store: its manifest is put, and what only older ones need goes.
//!
//! Once all processes have shipped their share of what it goes on from. If we crash before, the generation before is read; after, this one.

use std::path::Path;

use super::super::{Manifest, manifest_path, number_of, superseded};
use super::ship::Shipper;
use super::{Error, names};
use crate::files;
use crate::pause;

impl Shipper {
    /// Puts the manifest. By process 0.
    pub fn commit(&self) -> Result<(), Error> {
        self.shared.check(self.state.manifest.generation)?;
        pause::at("commit");
        self.put_manifest()
    }

    /// The same of who has looked whether it may.
    pub(super) fn put_manifest(&self) -> Result<(), Error> {
        let path = manifest_path(&self.state.folder, self.state.manifest.generation);
        // (Whoever has begun since in this folder has removed it.)
        let bytes = files::read(&*self.state.files, &path).map_err(Error::disk("read", &path))?;
        let name = names::manifest(self.state.manifest.generation);
        if self.shared.store.create(&name, &bytes)? { Ok(()) } else { Err(Error::Ends(superseded(Path::new(&self.shared.url)))) }
    }

    /// Removes what older generations wrote and this one does not need. If we crash in between, the next does the rest.
    pub fn sweep(&self) -> Result<(), Error> {
        let (store, manifest) = (&self.shared.store, &self.state.manifest);
        // Its own manifest is there: whoever claims from here on goes on from that, or from a later one.
        self.shared.check(manifest.generation)?;
        pause::at("committed");
        for name in store.top()? {
            if is_old_record(&name, manifest) {
                store.remove(&[name])?;
            } else if is_old(&name, manifest) {
                let objects: Vec<String> = store.list(&name)?.into_iter().map(|object| object.name).collect();
                store.remove(&objects)?;
            }
        }
        Ok(())
    }
}

fn is_old_record(name: &str, manifest: &Manifest) -> bool {
    let number = number_of(name, "generation-", ".json").or_else(|| number_of(name, "generation-", ".claim"));
    number.is_some_and(|number| number < manifest.generation)
}

/// What is below this name is of no use to the generation.
fn is_old(name: &str, manifest: &Manifest) -> bool {
    let of = |before| number_of(name, before, "").filter(|number| *number < manifest.generation);
    of("generation-").is_some() || of("texts-").is_some_and(|number| !manifest.counts(number))
}
