//! A mirror of the state in a store of objects, so that it outlives the machines: `--shared URL`.
//!
//! ```text
//!   D --what is new, now and then (`ship`)--> URL                  while a generation is at work
//!   D <--all of the newest manifest (`fetch`)-- URL                before the next begins, where D is empty or older
//!
//!   URL/lineage.json                              which state it is; D/shared.json says the same (`lineage`)
//!   URL/generation-000002.claim                   who has begun it, and whether that process lives (`claim`)
//!   URL/generation-000002.json                    its manifest, as in D: put when all that it goes on from is there (`commit`)
//!   URL/generation-000002/old-000001/process-0/   what it goes on from: `state` and `snapshots` of D/old-000001/process-0
//!   URL/generation-000002/process-0/state/NAME/START-END       bytes of a segment of frames (`names`)
//!   URL/generation-000002/process-0/snapshots/    snapshot.json, and bytes of its runs
//!   URL/texts-000001/process-0/texts-0/START-END  texts that generation 1 read
//!   URL/forgotten.json                            as in D (`list`)
//!   URL/forgetting                                while the mirror is made anew without a user
//! ```
//!
//! The mirror lags: what it holds is what a cluster would have left that was killed some time ago. That is a state from which all is right, only
//! earlier: the files are read again from there. So it needs no agreement with D, and the work never waits for it.
//!
//! Nothing can be renamed in a store, so a later generation cannot take a folder from an earlier one as it does in D. It need not: what is
//! below `generation-000002/` is written and removed by processes of generation 2 only. Whoever goes on from it copies first what it needs, from D
//! to below a name of its own, and only then puts its manifest. Until then the manifest before is the newest, and what that one names is all
//! there. So, for a process that is frozen at any step while another generation begins elsewhere, and then goes on:
//!
//! | frozen | when it goes on |
//! |---|---|
//! | `shared`: it has claimed in the store | its claim in D is made; the next check in the store ends it |
//! | `fetched`: the mirror is in its D | as above |
//! | `ship`, `shipped`: frames are about to be put, or have been | they are below its own name: its image is a later one, and as right as the one before |
//! | `ship-snapshot`: runs are there, and not named | as above, also where the other goes on from it meanwhile: a listing that changes is read again |
//! | `unship`: what the snapshot has is about to be removed | as above |
//! | `commit`: its manifest is about to be put | it is older than the other's, or the other's is not there yet and goes on from one before: then it is one state of two that are both right, until the other's is there |
//! | `committed`: what is older is about to be removed | there was no later claim after its manifest was there, so whoever claims now goes on from that or a later one |
//!
//! Whoever finds a later claim in the store ends, as it does where it finds one in D.
//!
//! **Where messages are sealed** a start goes on from snapshots of one tick (`engine::snapshot::together`), so the store must have one of each
//! process at any moment, whoever ships late. A process has a snapshot once it is in the store, and the next is wanted once all have the last:
//!
//! ```text
//!   process 0 in the store:   old-000001, { 100 }           | { 110, before: { 100 } }                                | { 120, before: { 110 } }
//!   process 1 in the store:   old-000001,        { 100 }    | old-000001, { 100 }            { 110, before: { 100 } } | { 110, before: { 100 } }
//!   goes on from              old-000001 ........ 100 ..................................... 110
//!                                                           ^                                                         ^
//!                                                all have 100, 110 is wanted                               all have 110, 120 is wanted:
//!                                                                                                 frames up to 110 go in D, and then here
//! ```
//!
//! So a snapshot with one before it tells that all processes have that one, and that nobody needs what any of them has adopted.
//!
//! # Invariants
//! 1. From a generation's manifest on, what is below its name is at any moment what a killed cluster may leave: texts are there before frames that refer
//!    to them, frames in order, a segment whole before the next is begun, runs before the snapshot that names them; and they go only after the
//!    snapshot that has them is there.
//! 2. A snapshot holds only ticks that all processes have shipped (`safe`): so no process's is ahead of what another's frames reach. Where
//!    messages are sealed, those of all processes have a tick in common, or one has none and all that is adopted is there.
//! 3. The newest manifest is read. It is put once, after all that it goes on from.
//! 4. What older generations wrote is removed only by one whose manifest is there and after which nobody had claimed then. (Who claims reads
//!    after it has claimed.)
//! 5. Texts of a generation whose ticks count stay for ever, and are only added to. (A forgotten user's are written over, `edit`.)
//! 6. An object of bytes of a file never changes.

mod claim;
mod commit;
mod edit;
mod fetch;
mod lineage;
mod list;
mod local;
mod mirror;
mod names;
mod ship;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use super::{Manifest, number_of, superseded};
use crate::cli::{self, chain};
use crate::engine::durable;
use crate::record;
pub(in crate::work) use claim::Claim;
pub(super) use lineage::belongs;
pub(in crate::work) use mirror::{Mirror, Work};
pub(in crate::work) use ship::Shipper;
use store::Store;

#[derive(Debug, thiserror::Error)]
pub(in crate::work) enum Error {
    #[error("could not {what} {name}")]
    Store { what: &'static str, name: String, source: object_store::Error },
    #[error("could not {what} {}", .path.display())]
    Disk { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{name} is damaged")]
    Damaged { name: String, source: Option<record::Error> },
    #[error(transparent)]
    State(#[from] durable::Error),
    /// This process's work is over: a later generation has been claimed, or its own state cannot be kept.
    #[error(transparent)]
    Ends(cli::Error),
}

impl Error {
    fn store(what: &'static str, name: &str) -> impl FnOnce(object_store::Error) -> Error {
        let name = name.to_owned();
        move |source| Error::Store { what, name, source }
    }

    fn disk(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Disk { what, path, source }
    }

    /// The object is not there.
    fn is_gone(&self) -> bool {
        matches!(self, Error::Store { source: object_store::Error::NotFound { .. }, .. })
    }
}

/// The store that a state is mirrored in.
pub(in crate::work) struct Shared {
    store: Store,
    /// As it was given.
    pub url: String,
}

impl Shared {
    /// Opens what `--shared` names, for the state in a folder. Nothing is asked of it yet.
    pub fn open(url: &str, folder: &Path) -> Result<Shared, cli::Error> {
        Ok(Shared { store: Store::open(url, folder)?, url: url.into() })
    }

    /// What went wrong where nothing can be done without it.
    fn failed(&self) -> impl Fn(Error) -> cli::Error {
        let url = self.url.clone();
        move |e| match e {
            Error::Ends(e) => e,
            e => {
                let advice =
                    if matches!(e, Error::Damaged { .. }) { "; with `eddy work --rebuild` all is made anew from the files" } else { "" };
                cli::Error::Failed { what: format!("--shared {url}: {}{advice}", chain(&e)), source: None }
            }
        }
    }

    /// The greatest generation that somebody has claimed there; 0: nobody has.
    fn newest_claim(&self) -> Result<u64, Error> {
        let top = self.store.top()?;
        let of = |name: &String| number_of(name, "generation-", ".claim").or_else(|| number_of(name, "generation-", ".json"));
        Ok(top.iter().filter_map(of).max().unwrap_or(0))
    }

    /// The greatest generation whose manifest is there; 0: none is.
    fn newest_manifest(&self) -> Result<u64, Error> {
        Ok(self.store.top()?.iter().filter_map(|name| number_of(name, "generation-", ".json")).max().unwrap_or(0))
    }

    /// A manifest that is there, as it stands and as what it says.
    fn manifest(&self, generation: u64) -> Result<(Vec<u8>, Manifest), Error> {
        let name = names::manifest(generation);
        let bytes = self.store.get(&name)?.ok_or_else(|| Error::Damaged { name: name.clone(), source: None })?;
        match record::parse(Path::new(&name), &bytes, super::FORMATS) {
            Ok(manifest) => Ok((bytes.to_vec(), manifest)),
            Err(source) => Err(Error::Damaged { name, source: Some(source) }),
        }
    }

    /// An error where a later generation than this has been claimed there.
    fn check(&self, generation: u64) -> Result<(), Error> {
        if self.newest_claim()? > generation { Err(Error::Ends(superseded(Path::new(&self.url)))) } else { Ok(()) }
    }

    /// The same for who must not wait for the store: one that cannot be asked says nothing against it.
    pub fn check_if_there(&self, generation: u64) -> Result<(), cli::Error> {
        match self.check(generation) {
            Err(Error::Ends(e)) => Err(e),
            _ => Ok(()),
        }
    }
}
