//! Forgetting a user: what a data folder holds of one goes, for good, and what comes later of the same user is ignored.
//!
//! ```text
//!   D/forgotten.json   the user's keyed hash                                  first: what is not done yet if we crash is asked for again
//!   D/log              records of the user, and the user in those of others   rewritten
//!   D/snapshots        one run of everything else                             (versions, dead letters, sealed sums)
//!   D/state            empty; or, where messages are sealed, its frames without the user
//!   D/texts-*          blanks where nothing points to any more
//!   changelogs         removed, to be written anew at the next start
//! ```
//!
//! Views need nothing: they are made from what is left when eddy starts. A running `eddy run` does all this itself when it is asked
//! ([`request`]): it stops its pipeline, does it, and starts the pipeline from what is left.
//!
//! A cluster's state may be mirrored in a store: that is made anew from the folder (`run_there`).
//!
//! # Invariants
//! 1. Everything may be done twice: after a crash the same command does the rest.
//! 2. Nobody else is in the folder: its locks are taken first.

mod cluster;
pub mod request;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use eddy_schemas::control::DeadLetter;
use eddy_schemas::parse::known::Known;
use eddy_schemas::scrub::{FORGOTTEN, Person, scrub};
use eddy_schemas::stored::{self, Malformed, Reader};
use eddy_schemas::sums::{Fact, Met};
use eddy_schemas::{MessageId, Name, Place};
use serde::{Deserialize, Serialize};

use crate::engine::durable::{self, Fsync};
use crate::engine::recovery::{self, Kept};
use crate::engine::snapshot::Edit;
use crate::forgotten::Forgotten;
use crate::log::{self, Embedded, Topic};
use crate::sink::{changelog, list};
use crate::spool::Spool;
use crate::{cli, journal, record, replay, work};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} holds no state and no log of eddy", .0.display())]
    Nothing(PathBuf),
    #[error("the list of forgotten users in {} could not be written", .path.display())]
    List { path: PathBuf, source: io::Error },
    #[error("the texts in {} could not be written", .path.display())]
    Texts { path: PathBuf, source: io::Error },
    #[error("the request in {} could not be read or written", .path.display())]
    Request { path: PathBuf, source: io::Error },
    #[error("process {pid}, which has the folder, was asked and could not: {why}")]
    Asked { pid: String, why: String },
    #[error("the state of a cluster: {0}")]
    Cluster(String),
    #[error("a cluster is at work in {}, with process {pid} on this machine: stop all of it first; nothing has been forgotten", .folder.display())]
    AtWork { folder: PathBuf, pid: String },
    /// A cluster's folder is not this process's alone.
    #[error(transparent)]
    Begun(cli::Error),
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    State(#[from] durable::Error),
    #[error(transparent)]
    Sinks(#[from] list::Error),
    #[error(transparent)]
    Changelog(#[from] changelog::Error),
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// It was not on the list before.
    pub is_new: bool,
    /// Records of the log that the user was taken out of, dead letters among them.
    pub log_records: u64,
    /// Versions of the user's messages that the state held.
    pub versions: u64,
    /// Sums of sealed messages that name the user.
    pub sealed_sums: u64,
    /// Dead letters of the state that the user was taken out of.
    pub dead_letters: u64,
    /// Texts that were written over.
    pub texts: u64,
    /// Folders whose files went.
    pub changelogs: Vec<PathBuf>,
    /// Records of others in the log whose own words name the user: they stay.
    pub mentions_left: u64,
    /// The store that was made anew.
    #[serde(default)]
    pub mirror: Option<String>,
}

/// Forgets a person in a data folder of `run`, `replay` or `work`, which nobody has.
pub fn run(folder: &Path, person: &Person) -> Result<Done, Error> {
    if cluster::is_one(folder) {
        return cluster::run_alone(folder, person);
    }
    let (log, state) = (folder.join("log"), folder.join("state"));
    if !log.is_dir() && !state.is_dir() {
        return Err(Error::Nothing(folder.into()));
    }
    let log = log.is_dir().then(|| Embedded::open(&log, log::Counts::default(), &journal::Config::default())).transpose()?;
    let config = recovery::Config { folder: folder.into(), fsync: Fsync::Tick, snapshot_bytes: 16 << 20 };
    let mut kept = state.is_dir().then(|| Kept::open_to_edit(&config)).transpose()?;
    let mut done = Done { is_new: list(folder, person)?, ..Done::default() };
    if let Some(log) = &log {
        done.log_records = log.rewrite(|topic, key, value| {
            let changed = if topic == Topic::DeadLetters { scrub_letter(value, person) } else { scrub(value, person) };
            done.mentions_left += u64::from(person.is_mentioned(changed.as_deref().unwrap_or(value)));
            changed.map(|value| (if person.is_mentioned(key) { vec![] } else { key.into() }, value))
        })?;
    }
    if let Some(kept) = &mut kept {
        forget_state(kept, folder, person, &mut done)?;
    }
    for changes in list::List::read(folder)?.changelogs {
        // What is not there needs no forgetting.
        if changes.is_dir() {
            changelog::remove(&changes)?;
            done.changelogs.push(changes);
        }
    }
    Ok(done)
}

/// The same in a folder of `work` that is mirrored in a store, and in that.
pub fn run_there(folder: &Path, person: &Person, url: &str) -> Result<Done, cli::Error> {
    let edit = || cluster::run(folder, person).map_err(not_all);
    work::edit(folder, Some(url), edit).map(|done| Done { mirror: Some(url.into()), ..done })
}

/// What is to be done where something went wrong.
pub fn not_all(e: Error) -> cli::Error {
    match e {
        Error::Begun(e) => e,
        Error::Nothing(_) | Error::AtWork { .. } => cli::Error::Usage(cli::chain(&e)),
        // Both are locked before anything is done.
        Error::Log(log::Error::Journal(journal::Error::InUse { .. }))
        | Error::State(durable::Error::Journal(journal::Error::InUse { .. })) => {
            cli::Error::Usage(format!("{}; nothing has been forgotten", cli::chain(&e)))
        }
        e => cli::Error::failed("not all of it is done: mend what is wrong and give the same command again", e),
    }
}

/// Puts a person on the folder's list; tells whether it is new there.
fn list(folder: &Path, person: &Person) -> Result<bool, Error> {
    Forgotten::read(folder)?.add(folder, person).map_err(|source| Error::List { path: folder.into(), source })
}

fn forget_state(kept: &mut Kept, folder: &Path, person: &Person, done: &mut Done) -> Result<(), Error> {
    let mut without = Without::new(person, done);
    kept.rewrite(&mut without)?;
    without.blank(replay::spools(folder))
}

/// Of a version, without its length, where its text is; none: it is the person's, and goes.
fn goes(row: &[u8], person: &Person, known: &mut Known) -> Result<Option<Place>, Malformed> {
    let mut encoded = vec![];
    stored::slice(row, &mut encoded);
    let version = Reader::new(&encoded).version(known)?;
    let goes = [version.user, version.community].into_iter().flatten().any(|name| is_of(name, person));
    Ok((!goes).then_some(version.place))
}

/// Takes a person out of a state.
struct Without<'a> {
    person: &'a Person,
    done: &'a mut Done,
    /// Of versions that stay.
    places: BTreeSet<Place>,
    known: Known,
}

impl<'a> Without<'a> {
    fn new(person: &'a Person, done: &'a mut Done) -> Self {
        Without { person, done, places: BTreeSet::new(), known: Known::default() }
    }

    /// Blanks the texts that no version which stays points to: after all versions. Spools come with their numbers among inputs.
    fn blank(self, spools: impl Iterator<Item = (u32, PathBuf)>) -> Result<(), Error> {
        for (number, path) in spools {
            let failed = |source| Error::Texts { path: path.clone(), source };
            let spool = Spool::open(&path).map_err(failed)?;
            self.done.texts += spool.blank(|at| self.places.contains(&Place::new(number, at))).map_err(failed)?;
        }
        Ok(())
    }
}

impl Edit for Without<'_> {
    fn version(&mut self, row: &[u8]) -> Result<bool, Malformed> {
        let stays = goes(row, self.person, &mut self.known)?;
        self.done.versions += u64::from(stays.is_none());
        self.places.extend(stays);
        Ok(stays.is_some())
    }

    fn letter(&mut self, letter: Vec<u8>) -> Vec<u8> {
        match scrub_letter(&letter, self.person) {
            Some(scrubbed) => {
                self.done.dead_letters += 1;
                scrubbed
            }
            None => letter,
        }
    }

    fn fact(&mut self, fact: Fact) -> Result<bool, Malformed> {
        let mut goes = false;
        fact.walk(&mut self.known, |met| {
            goes |= match met {
                Met::Name(name) => is_of(name, self.person),
                Met::Id(id) => id_is_of(id, self.person),
            };
        })?;
        self.done.sealed_sums += u64::from(goes);
        Ok(!goes)
    }
}

fn is_of(name: Name, person: &Person) -> bool {
    Person::of(name.as_str()).as_ref() == Some(person)
}

/// Whether an id is of a chat that the person is.
fn id_is_of(id: MessageId, person: &Person) -> bool {
    !id.is_reddit() && id.to_string().strip_prefix(&person.key()).is_some_and(|rest| rest.starts_with([':', '.']))
}

/// A dead letter without the person: what could not be read may be what the person wrote.
fn scrub_letter(letter: &[u8], person: &Person) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let mut letter: DeadLetter = serde_json::from_slice(letter).ok()?;
    let raw = if letter.raw_base64 {
        base64::engine::general_purpose::STANDARD.decode(&letter.raw).unwrap_or_else(|_| letter.raw.clone().into_bytes())
    } else {
        letter.raw.clone().into_bytes()
    };
    let raw = scrub(&raw, person)?;
    letter.raw_base64 = false;
    letter.raw = String::from_utf8(raw).unwrap_or_else(|_| String::from_utf8_lossy(FORGOTTEN).into_owned());
    Some(serde_json::to_vec(&letter).expect("a dead letter is JSON"))
}
