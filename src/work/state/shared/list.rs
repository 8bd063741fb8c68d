//! Who is forgotten, in D and in the store: whatever becomes of one of them, the other still knows.
//!
//! The list only grows, and both have it from one edit: so the longer one is that of both.

use std::path::Path;

use super::fetch::{write, written};
use super::{Error, Shared};
use crate::cli;
use crate::files::{self, Files};

const LIST: &str = "forgotten.json";
/// There from before an edit until the mirror is made anew.
const EDITING: &str = "forgetting";

impl Shared {
    /// Makes the two lists one.
    pub fn agree_on_forgotten(&self, files: &dyn Files, folder: &Path) -> Result<(), cli::Error> {
        self.one_list(files, folder).map_err(self.failed())
    }

    pub(super) fn one_list(&self, files: &dyn Files, folder: &Path) -> Result<(), Error> {
        let path = folder.join(LIST);
        let here = match files::read(files, &path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => vec![],
            read => read.map_err(Error::disk("read", &path))?,
        };
        let there = self.store.get(LIST)?.unwrap_or_default();
        if there.len() < here.len() {
            return self.store.put(LIST, here);
        }
        if there.len() == here.len() {
            return Ok(());
        }
        let beside = folder.join(format!(".new-{LIST}"));
        let replace = || {
            write(files, &beside, &there)?;
            files.rename(&beside, &path)?;
            files.sync_folder(folder)
        };
        replace().map_err(written(&path))
    }

    /// The mirror is about to be made anew, or has been.
    pub(super) fn is_being_edited(&self, is: bool) -> Result<(), Error> {
        if is { self.store.put(EDITING, vec![]) } else { self.store.remove(&[EDITING.to_owned()]) }
    }

    /// An error where an edit ended in between: the mirror still has what the folder has not.
    pub fn check_edited(&self) -> Result<(), cli::Error> {
        match self.store.get(EDITING).map_err(self.failed())? {
            None => Ok(()),
            Some(_) => Err(cli::Error::Usage(format!("a user is still being forgotten in {}: give that `eddy forget` again", self.url))),
        }
    }
}
