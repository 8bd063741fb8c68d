//! Recovery: what the durable state holds goes through a new engine, and is kept small from then on.
//!
//! ```text
//!   D/snapshots --versions, some a tick, up to the snapshot's tick--> Engine
//!   D/state ------later frames: each tick as it was, with its number--> Engine --recovered--> new ticks
//! ```
//!
//! # Invariants
//! 1. A tick after the snapshot is fed by itself: a key that came and went between two of them is said to have gone.
//! 2. Ticks of the snapshot's parts are at or below its own, so nothing that comes later has a number of theirs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eddy_schemas::stored::{self, Malformed};

use super::durable::{Durable, Fsync, NoRoom, Referred, Ticks};
use super::snapshot::Snapshots;
use super::{Engine, Error, durable};
use crate::files::{self, Files};
use crate::journal::{self, Journal};

/// Versions of a snapshot that are fed at once, and in one tick.
const VERSIONS_A_BATCH: u64 = 1 << 12;
const VERSIONS_A_TICK: u64 = 1 << 16;

/// How a state is kept.
#[derive(Clone, Debug)]
pub struct Config {
    pub folder: PathBuf,
    pub fsync: Fsync,
    /// Bytes of frames after which a snapshot is made.
    pub snapshot_bytes: u32,
}

/// An opened state that has not been fed to an engine yet.
pub struct Kept {
    journal: Arc<Journal>,
    snapshots: Snapshots,
}

/// What is about to be fed.
pub struct Step<'a> {
    pub tick: u64,
    /// What the tick was made from; none: it is a part of the snapshot, and of the tick that this names.
    pub binding: Option<&'a str>,
}

impl Kept {
    /// Opens or makes a state.
    pub fn open(config: &Config) -> Result<Kept, durable::Error> {
        Self::open_in(&files::disk(), config)
    }

    /// The same among other files than the disk's.
    pub fn open_in(files: &Arc<dyn Files>, config: &Config) -> Result<Kept, durable::Error> {
        let segments = journal::Config { segment_bytes: config.snapshot_bytes, ..journal::Config::default() };
        let journal = Arc::new(Journal::open_in(Arc::clone(files), &config.folder.join("state"), segments)?);
        let snapshots = Snapshots::open_in(Arc::clone(files), &config.folder.join("snapshots"))?;
        snapshots.check(&journal)?;
        Ok(Kept { journal, snapshots })
    }

    /// Nothing has ever been written.
    pub fn is_new(&self) -> bool {
        self.journal.range().is_empty() && self.snapshots.manifest.tick == 0
    }

    /// Of the journal.
    pub fn path(&self) -> &Path {
        self.journal.path()
    }

    /// Of the snapshot, and what that was made from; 0 and nothing where there is none.
    pub fn snapshot(&self) -> (u64, &str) {
        (self.snapshots.manifest.tick, &self.snapshots.manifest.binding)
    }

    /// As [`Snapshots::rewrite`].
    pub fn rewrite(
        &mut self,
        keep: impl FnMut(&[u8]) -> Result<bool, Malformed>,
        letter: impl FnMut(Vec<u8>) -> Vec<u8>,
    ) -> Result<(), durable::Error> {
        self.snapshots.rewrite(&self.journal, keep, letter)
    }

    /// Writes what comes after it.
    pub fn durable(&self, referred: Arc<dyn Referred>, fsync: Fsync, no_room: NoRoom) -> Result<Arc<Durable>, Error> {
        let durable = Durable::new(Arc::clone(&self.journal), referred, fsync, no_room);
        durable.map(Arc::new).map_err(|e| Error::Start(e.to_string()))
    }

    /// Feeds the engine what is there, and has it kept small from then on; gives what the last tick was made from, empty where there is
    /// none. `look` is told each step first, and ends the recovery with false: then there is nothing to give.
    pub fn recover(self, engine: &mut Engine, durable: &Durable, mut look: impl FnMut(Step) -> bool) -> Result<Option<String>, Error> {
        let snapshot = &self.snapshots.manifest;
        let mut binding = snapshot.binding.clone();
        engine.recover_tally(&snapshot.tally);
        if snapshot.tick > 0 && !self.versions(engine, &mut look)? {
            return Ok(None);
        }
        let mut ticks = Ticks::after(&self.journal, snapshot.tick);
        while let Some(tick) = ticks.next_whole()? {
            tick.binding().clone_into(&mut binding);
            if !look(Step { tick: tick.number, binding: Some(&binding) }) {
                return Ok(None);
            }
            engine.recover(tick)?;
        }
        engine.recovered(ticks.last)?;
        durable.keep_small(self.snapshots).map_err(|e| Error::Start(e.to_string()))?;
        Ok(Some(binding))
    }

    /// Feeds the snapshot, some versions a tick: what is not new need not be done at once. False where `look` said so.
    fn versions(&self, engine: &mut Engine, look: &mut impl FnMut(Step) -> bool) -> Result<bool, Error> {
        let (last, past) = (self.snapshots.manifest.tick, &self.snapshots.manifest.past);
        let mut tick = last.saturating_sub(self.snapshots.versions() / VERSIONS_A_TICK + 1).max(1);
        let (mut versions, mut count) = (vec![], 0);
        let mut snapshot = self.snapshots.read()?;
        while let Some(version) = snapshot.version()? {
            stored::slice(version, &mut versions);
            count += 1;
            if count % VERSIONS_A_BATCH == 0 {
                if !look(Step { tick, binding: None }) {
                    return Ok(false);
                }
                engine.recover_versions(tick, std::mem::take(&mut versions), past)?;
            }
            if count % VERSIONS_A_TICK == 0 {
                tick = (tick + 1).min(last);
            }
        }
        // The last part has the snapshot's own tick: who hears that it has closed has all of it.
        if !look(Step { tick: last, binding: None }) {
            return Ok(false);
        }
        engine.recover_versions(last, versions, past)?;
        while let Some(letter) = snapshot.letter()? {
            engine.recover_letter(last, serde_json::from_slice(&letter).expect("checked by its sum"));
        }
        Ok(true)
    }
}
