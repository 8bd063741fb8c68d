//! Recovery: what the durable state holds goes through a new engine, and is kept small from then on.
//!
//! ```text
//!   D/snapshots --versions, some a tick, up to the snapshot's tick--> Engine
//!   D/state ------later frames: each tick as it was, with its number--> Engine --recovered--> new ticks
//!
//!   D/retention.json   what is sealed when, and for which views: where anything is
//! ```
//!
//! # Invariants
//! 1. A tick after the snapshot is fed by itself: a key that came and went between two of them is said to have gone.
//! 2. Where messages are sealed, what they left comes before the snapshot's versions, and is said with the first of them. Retention and views are
//!    those that the state was begun with: facts of others are not there.
//! 3. Ticks of the snapshot's parts are at or below its own, so nothing that comes later has a number of theirs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eddy_dataflows::Keep;
use eddy_dataflows::views::Definition;
use eddy_schemas::stored;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::durable::{Durable, Fsync, NoRoom, Referred};
use super::snapshot::{Edit, Snapshots};
use super::sums::{Book, Said};
use super::ticks::Ticks;
use super::{Engine, Error, durable};
use crate::cli::duration::text as duration;
use crate::files::{self, Files};
use crate::journal::{self, Journal};
use crate::record;

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

/// Of `retention.json`. What is newer is refused.
const FORMAT: u32 = 1;

/// What a state that seals messages was begun with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retention {
    views: Vec<String>,
    messages_s: i64,
    hours_s: Option<i64>,
    days_s: Option<i64>,
}

impl Retention {
    /// None where every message is kept.
    pub fn of(views: &[&'static Definition], keep: Keep) -> Option<Retention> {
        let mut views: Vec<String> = views.iter().map(|definition| definition.view.name.to_owned()).collect();
        views.sort_unstable();
        keep.messages_s.map(|messages_s| Retention { views, messages_s, hours_s: keep.hours_s, days_s: keep.days_s })
    }

    pub fn keep(&self) -> Keep {
        Keep { messages_s: Some(self.messages_s), hours_s: self.hours_s, days_s: self.days_s }
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join("retention.json")
    }

    /// That of a folder; none where it keeps every message.
    fn read(files: &dyn Files, folder: &Path) -> Result<Option<Retention>, durable::Error> {
        Ok(record::read_in(files, &Self::path(folder), FORMAT)?)
    }

    /// The folder's from now on, if it is that or the folder has none yet; true where it had none.
    fn agree(files: &dyn Files, folder: &Path, now: Option<&Retention>) -> Result<bool, durable::Error> {
        let before = Self::read(files, folder)?;
        Self::check(folder, before.as_ref(), now)?;
        let Some(now) = now.filter(|_| before.is_none()) else { return Ok(false) };
        let path = Self::path(folder);
        let failed = |source| durable::Error::Snapshot { path: path.display().to_string(), source };
        record::write_in(files, &path, FORMAT, now).map_err(failed)?;
        Ok(true)
    }

    /// An error where a state that was begun with one shall go on with another, or without.
    pub fn check(folder: &Path, before: Option<&Retention>, now: Option<&Retention>) -> Result<(), durable::Error> {
        if before.is_none() || before == now {
            return Ok(());
        }
        let (folder, is_of_views) = (folder.display().to_string(), before.map(Retention::keep) == now.map(Retention::keep));
        let text = |retention: Option<&Retention>| match retention {
            None => "no retention".to_owned(),
            Some(retention) if is_of_views => format!("the views {}", retention.views.join(", ")),
            Some(retention) => retention.text(),
        };
        Err(durable::Error::Retention { folder, before: text(before), now: text(now) })
    }

    /// As the flags are written.
    fn text(&self) -> String {
        let time = |seconds: Option<i64>| seconds.map_or_else(|| "none".to_owned(), duration);
        let [messages, hours, days] = [Some(self.messages_s), self.hours_s, self.days_s].map(time);
        format!("--retention {messages} --keep-hours {hours} --keep-days {days}")
    }
}

/// An opened state that has not been fed to an engine yet.
pub struct Kept {
    files: Arc<dyn Files>,
    folder: PathBuf,
    journal: Arc<Journal>,
    snapshots: Snapshots,
    /// Messages are sealed.
    seals: bool,
}

/// What is about to be fed.
pub struct Step<'a> {
    pub tick: u64,
    /// What the tick was made from; none: it is a part of the snapshot, and of the tick that this names.
    pub binding: Option<&'a str>,
}

impl Kept {
    /// Opens or makes a state that seals messages as `retention` says.
    pub fn open(config: &Config, retention: Option<&Retention>) -> Result<Kept, durable::Error> {
        Self::open_in(&files::disk(), config, retention)
    }

    /// Opens a state to change what it holds, whatever its retention is.
    pub fn open_to_edit(config: &Config) -> Result<Kept, durable::Error> {
        let files = files::disk();
        let retention = Retention::read(&*files, &config.folder)?;
        Self::open_in(&files, config, retention.as_ref())
    }

    /// As [`open`](Self::open), among other files than the disk's.
    pub fn open_in(files: &Arc<dyn Files>, config: &Config, retention: Option<&Retention>) -> Result<Kept, durable::Error> {
        let segments = journal::Config { segment_bytes: config.snapshot_bytes, ..journal::Config::default() };
        let journal = Arc::new(Journal::open_in(Arc::clone(files), &config.folder.join("state"), segments)?);
        let snapshots = Snapshots::open_in(Arc::clone(files), &config.folder.join("snapshots"))?;
        snapshots.check(&journal)?;
        // The journal's lock is ours: so is all of the folder.
        let begins = Retention::agree(&**files, &config.folder, retention)?;
        let snapshots = match retention {
            Some(retention) => snapshots.sealing(retention.keep()),
            None => snapshots,
        };
        let kept = Kept { files: Arc::clone(files), folder: config.folder.clone(), journal, snapshots, seals: retention.is_some() };
        if let Some(retention) = retention.filter(|_| begins && !kept.is_new()) {
            let (folder, retention) = (kept.folder.display(), retention.text());
            warn!(%folder, retention, "messages of this state were kept for ever: from now on they are sealed, which cannot be taken back");
        }
        Ok(kept)
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
    pub fn rewrite(&mut self, edit: &mut dyn Edit) -> Result<(), durable::Error> {
        if self.seals {
            drop(self.said()?);
        }
        self.snapshots.rewrite(&self.journal, edit)
    }

    /// Where facts of this process go; those of an earlier one are gone.
    fn said(&self) -> Result<Said, durable::Error> {
        let dir = self.folder.join("sums");
        Said::new(Arc::clone(&self.files), &dir).map_err(|source| durable::Error::Snapshot { path: dir.display().to_string(), source })
    }

    /// Of the snapshot's parts.
    fn first_tick(&self) -> u64 {
        self.snapshots.manifest.tick.saturating_sub(self.snapshots.versions() / VERSIONS_A_TICK).max(1)
    }

    /// Writes what comes after it.
    pub fn durable(&self, referred: Arc<dyn Referred>, fsync: Fsync, no_room: NoRoom) -> Result<Arc<Durable>, Error> {
        let book = if self.seals { Some(Book::new(self.said()?, Some(self.snapshots.left(self.first_tick())))) } else { None };
        let durable = Durable::new(Arc::clone(&self.journal), referred, fsync, no_room);
        durable.map(|durable| Arc::new(durable.keeping(book))).map_err(|e| Error::Start(e.to_string()))
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
        let mut tick = self.first_tick();
        let (mut versions, mut count) = (vec![], 0);
        // What sealed messages left is said in this one, also where no version is.
        if !look(Step { tick, binding: None }) {
            return Ok(false);
        }
        engine.recover_versions(tick, vec![], past)?;
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
