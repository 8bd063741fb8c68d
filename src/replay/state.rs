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

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eddy_schemas::stored;
use serde::{Deserialize, Serialize};

use super::INPUTS_MAX;
use crate::cli::{Error, chain};
use crate::engine::durable::{Durable, Fsync, Ticks};
use crate::engine::snapshot::Snapshots;
use crate::engine::{Engine, Error as EngineError};
use crate::journal::{self, Journal};
use crate::record;
use crate::spool::Spool;

/// Of `replay.json`. What is newer is refused.
const FORMAT: u32 = 1;
/// How much of a file is looked at to know it again.
const HEAD_BYTES: u64 = 64 << 10;

/// Versions of a snapshot that are fed at once, and in one tick.
const VERSIONS_A_BATCH: u64 = 1 << 12;
const VERSIONS_A_TICK: u64 = 1 << 16;

/// How a state is kept.
#[derive(Clone, Debug)]
pub struct Durability {
    pub folder: PathBuf,
    pub fsync: Fsync,
    /// Bytes of frames after which a snapshot is made.
    pub snapshot_bytes: u32,
}

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
    journal: Arc<Journal>,
    snapshots: Snapshots,
    pub durable: Arc<Durable>,
    /// All spools; those of this run are the last.
    pub spools: Vec<Arc<Spool>>,
}

fn refused(what: String) -> Error {
    Error::Usage(what)
}

fn failed(folder: &Path) -> impl Fn(io::Error) -> Error {
    move |e| Error::failed(format!("the state in {} could not be written", folder.display()), e)
}

impl State {
    /// Opens or makes the state of a job.
    pub fn open(job: &super::Job, durability: &Durability) -> Result<State, Error> {
        let folder = &durability.folder;
        let files = job.files.iter().map(|path| known(path)).collect::<Result<Vec<_>, Error>>()?;
        std::fs::create_dir_all(folder).map_err(|e| refused(format!("{} cannot be made: {e}", folder.display())))?;
        let config = journal::Config { segment_bytes: durability.snapshot_bytes, ..journal::Config::default() };
        let journal = Journal::open(&folder.join("state"), config).map_err(|e| refused(chain(&e)))?;
        let snapshots = Snapshots::open(&folder.join("snapshots")).map_err(|e| refused(chain(&e)))?;
        snapshots.check(&journal).map_err(|e| refused(chain(&e)))?;
        let path = folder.join("replay.json");
        let before: Option<Job> = record::read(&path, FORMAT).map_err(|e| refused(chain(&e)))?;
        let mut texts = 0;
        if let Some(before) = before {
            check(&before, &files, job.limits.record_bytes_max, folder)?;
            texts = before.texts;
        } else if !journal.range().is_empty() || snapshots.manifest.tick > 0 {
            return Err(refused(format!("{} is not there, but its state is: give another --data-dir, or remove it", path.display())));
        }
        let now = Job { files, texts: texts + job.workers as u32, record_bytes_max: job.limits.record_bytes_max };
        if now.files.len() + now.texts as usize > INPUTS_MAX {
            return Err(refused(format!("{} has been begun again too often: give another --data-dir", folder.display())));
        }
        record::write(&path, FORMAT, &now).map_err(failed(folder))?;
        let spool = |number| Spool::open(&folder.join(format!("texts-{number:04}"))).map(Arc::new);
        let spools: Vec<_> = (0..now.texts).map(spool).collect::<io::Result<_>>().map_err(failed(folder))?;
        let journal = Arc::new(journal);
        let durable = Durable::new(Arc::clone(&journal), spools.clone(), durability.fsync);
        let durable = durable.map(Arc::new).map_err(|e| Error::failed("no thread can be started", e))?;
        Ok(State { journal, snapshots, spools, durable })
    }

    /// Feeds the engine what is there, and has it kept small from then on; gives how far it had come.
    pub fn recover(self, engine: &mut Engine, mut look: impl FnMut() -> Result<(), Error>) -> Result<Position, Error> {
        let failed = |e: EngineError| Error::failed("the state could not be read", e);
        let snapshot = &self.snapshots.manifest;
        let mut position = if snapshot.tick == 0 { Position::default() } else { self.position(&snapshot.binding)? };
        engine.recover_tally(&snapshot.tally);
        self.versions(engine, &mut look)?;
        let mut ticks = Ticks::after(&self.journal, snapshot.tick);
        while let Some(tick) = ticks.next_whole().map_err(|e| failed(e.into()))? {
            look()?;
            position = self.position(tick.binding())?;
            engine.recover(tick).map_err(failed)?;
        }
        engine.recovered(ticks.last).map_err(failed)?;
        self.durable.keep_small(self.snapshots).map_err(|e| Error::failed("no thread can be started", e))?;
        Ok(position)
    }

    /// Feeds the snapshot, some versions a tick: what is not new need not be done at once.
    fn versions(&self, engine: &mut Engine, look: &mut impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
        let failed = |e: EngineError| Error::failed("the snapshot could not be read", e);
        let last = self.snapshots.manifest.tick;
        let mut tick = last.saturating_sub(self.snapshots.versions() / VERSIONS_A_TICK + 1).max(1);
        let (mut versions, mut count) = (vec![], 0);
        let mut snapshot = self.snapshots.read().map_err(|e| failed(e.into()))?;
        while let Some(version) = snapshot.version().map_err(|e| failed(e.into()))? {
            stored::slice(version, &mut versions);
            count += 1;
            if count % VERSIONS_A_BATCH == 0 {
                look()?;
                engine.recover_versions(tick, std::mem::take(&mut versions)).map_err(failed)?;
            }
            if count % VERSIONS_A_TICK == 0 {
                tick = (tick + 1).min(last);
            }
        }
        engine.recover_versions(tick, versions).map_err(failed)?;
        while let Some(letter) = snapshot.letter().map_err(|e| failed(e.into()))? {
            engine.recover_letter(serde_json::from_slice(&letter).expect("checked by its sum"));
        }
        Ok(())
    }

    fn position(&self, binding: &str) -> Result<Position, Error> {
        serde_json::from_str(binding)
            .map_err(|e| Error::failed(format!("the state in {} is not a replay's", self.journal.path().display()), e))
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
