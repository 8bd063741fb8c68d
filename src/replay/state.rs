//! The durable state of a replay: what it was given, how far it has come, and the ticks that it has decided.
//!
//! ```text
//!   D/replay.json        the files (path, length, checksum of the start), how many spools of texts there are
//!   D/state/             the journal of frames: each tick's binding is a Position
//!   D/snapshots/         what older frames said
//!   D/texts-0000 ...     texts of records that cannot be read again where they stood
//! ```
//!
//! # Invariants
//! 1. Files have the numbers that they had in the first run; more may come after them. (Places in the state count on it.)
//! 2. A file that is not what it was is refused before any work is done.
//! 3. While the state has changelogs its views stay the same: what is not built any more would stand in them for ever as it was.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{INPUTS_MAX, Interrupt};
use crate::cli::{Error, chain};
use crate::engine::durable::{self, Durable, NoRoom};
pub use crate::engine::recovery::Config as Durability;
use crate::engine::recovery::{Kept, Retention};
use crate::engine::{self, Engine};
use crate::record;
use crate::sink::changelog;
use crate::spool::Spool;

/// Of `replay.json`. What is newer is refused.
const FORMAT: u32 = 1;
/// How much of a file is looked at to know it again.
const HEAD_BYTES: u64 = 64 << 10;

/// How far a replay has come: the binding of its ticks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Position {
    /// The file that is being read; the number of files at the end of all.
    pub input: u32,
    /// Its blocks that are in.
    pub blocks: u64,
    /// Files before it that could not be read to their end.
    pub incomplete: Vec<String>,
}

impl Position {
    pub fn binding(&self) -> String {
        serde_json::to_string(self).expect("a position is JSON")
    }
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Job {
    files: Vec<Known>,
    /// Spools of texts.
    texts: u32,
    /// It decides what is a record.
    record_bytes_max: usize,
    /// Names of the views, where there are changelogs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    views: Vec<String>,
}

/// What tells a file from another.
#[derive(PartialEq, Serialize, Deserialize)]
struct Known {
    path: PathBuf,
    bytes: u64,
    head_crc32: u32,
}

/// An opened state.
pub(super) struct State {
    kept: Kept,
    pub durable: Arc<Durable>,
    /// All spools; those of this run are the last.
    pub spools: Vec<Arc<Spool>>,
}

/// What can be done about it.
fn advice(e: &durable::Error) -> &'static str {
    if e.is_damage() { REBUILD } else { "" }
}

/// What can be done about damage.
pub(super) const REBUILD: &str = "; with --rebuild the state is made anew from the files";

fn refused(what: String) -> Error {
    Error::Usage(what)
}

fn failed(folder: &Path) -> impl Fn(io::Error) -> Error {
    move |e| Error::failed(format!("the state in {} could not be written", folder.display()), e)
}

fn spool_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("texts-{number:04}"))
}

/// The spools of a replay's state, each with its number among inputs.
pub fn spools(folder: &Path) -> impl Iterator<Item = (u32, PathBuf)> {
    let paths = (0..).map(move |number| (number, spool_path(folder, number)));
    paths.take_while(|(_, path)| path.is_file()).map(|(number, path)| (super::input_of_spool(number as usize), path))
}

impl State {
    /// Opens or makes the state of a job.
    pub fn open(job: &super::Job, config: &Durability) -> Result<State, Error> {
        let folder = &config.folder;
        let files = job.files.iter().map(|path| known(path)).collect::<Result<Vec<_>, Error>>()?;
        std::fs::create_dir_all(folder).map_err(|e| refused(format!("{} cannot be made: {e}", folder.display())))?;
        let retention = Retention::of(&job.views, job.keep);
        let kept = Kept::open(config, retention.as_ref()).map_err(|e| refused(format!("{}{}", chain(&e), advice(&e))))?;
        let path = folder.join("replay.json");
        let before: Option<Job> = record::read(&path, FORMAT).map_err(|e| refused(format!("{}{}", chain(&e), advice(&e.into()))))?;
        let mut views: Vec<String> = job.views.iter().map(|definition| definition.view.name.to_owned()).collect();
        views.sort();
        let (mut texts, mut before_views) = (0, vec![]);
        if let Some(before) = before {
            check(&before, &files, job.limits.record_bytes_max, folder)?;
            if !before.views.is_empty() && !job.changelogs.folders.is_empty() && before.views != views {
                let were = before.views.join(",");
                return Err(refused(format!("the changelogs of this state are of other views: give --views {were}")));
            }
            texts = before.texts;
            // One that is dropped leaves none, or others that are given.
            before_views = if job.changelogs.dropped.is_empty() { before.views } else { vec![] };
        } else if !kept.is_new() {
            return Err(refused(format!("{} is not there, but its state is: give another --data-dir, or remove it", path.display())));
        }
        // Where none is given and there are some, it is refused: they are of the views that they were of.
        if job.changelogs.folders.is_empty() {
            views = before_views;
        }
        let now = Job { files, texts: texts + job.workers as u32, record_bytes_max: job.limits.record_bytes_max, views };
        if now.files.len() + now.texts as usize > INPUTS_MAX {
            return Err(refused(format!("{} has been begun again too often: give another --data-dir", folder.display())));
        }
        record::write(&path, FORMAT, &now).map_err(failed(folder))?;
        let spool = |number| Spool::open(&spool_path(folder, number)).map(Arc::new);
        let spools: Vec<_> = (0..now.texts).map(spool).collect::<io::Result<_>>().map_err(failed(folder))?;
        let durable = kept.durable(Arc::new(spools.clone()), config.fsync, NoRoom::Fails);
        let durable = durable.map_err(|e| Error::failed("the state could not be opened", e))?;
        Ok(State { kept, spools, durable })
    }

    /// The tick of its snapshot; 0 where there is none.
    pub fn snapshot(&self) -> u64 {
        self.kept.snapshot().0
    }

    /// Feeds the engine what is there; gives how far it had come. `uppers`: what each changelog has.
    pub fn recover(self, engine: &mut Engine, interrupt: &Interrupt, uppers: &[(u64, PathBuf)]) -> Result<Position, Error> {
        let path = self.kept.path().display().to_string();
        let mut last = self.snapshot();
        let recovered = self.kept.recover(engine, &self.durable, |step| {
            last = last.max(step.tick);
            !interrupt.is_set()
        });
        let unreadable = |e: engine::Error| {
            let advice = if let engine::Error::Durable(e) = &e { advice(e) } else { "" };
            Error::Failed { what: format!("the state could not be read: {}{advice}", chain(&e)), source: None }
        };
        let binding = recovered.map_err(unreadable)?.ok_or(Error::Interrupted)?;
        if let Some((_, folder)) = uppers.iter().find(|(upper, _)| *upper > last) {
            return Err(refused(chain(&changelog::Error::Ahead(folder.clone()))));
        }
        if binding.is_empty() {
            return Ok(Position::default());
        }
        serde_json::from_str(&binding).map_err(|e| Error::failed(format!("the state in {path} is not a replay's"), e))
    }
}

/// A job goes on only with what it was begun with.
fn check(before: &Job, files: &[Known], record_bytes_max: usize, folder: &Path) -> Result<(), Error> {
    let advice = format!("give what it was begun with, or another --data-dir than {}", folder.display());
    if before.record_bytes_max != record_bytes_max {
        return Err(refused(format!("this replay was begun with --record-bytes-max {}: {advice}", before.record_bytes_max)));
    }
    for (number, then) in before.files.iter().enumerate() {
        let path = then.path.display();
        match files.get(number) {
            Some(now) if now == then => {}
            Some(now) if now.path == then.path => {
                return Err(refused(format!("{path} is not what it was when this replay was begun (then {} bytes): {advice}", then.bytes)));
            }
            _ => return Err(refused(format!("file {} of this replay was {path}: {advice}", number + 1))),
        }
    }
    Ok(())
}

fn known(path: &Path) -> Result<Known, Error> {
    if path == Path::new("-") {
        return Err(refused(
            "stdin cannot be a part of a durable replay, since it cannot be read again: give files, or use `eddy run -`".into(),
        ));
    }
    let look = || {
        let path = path.canonicalize()?;
        let file = File::open(&path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("it is no file, and could not be read again"));
        }
        let mut head = vec![];
        file.take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(Known { path, bytes: meta.len(), head_crc32: crc32fast::hash(&head) })
    };
    look().map_err(|e| refused(format!("{} cannot be a part of a durable replay: {e}", path.display())))
}
