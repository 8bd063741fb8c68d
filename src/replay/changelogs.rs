//! The changelogs of a replay: what each tick changed, once its frames are on disk.
//!
//! ```text
//!   Changes --> [ open ticks ] --closed by all workers--> [ at most TICKS_AT_ONCE ] --fsync of frames--> lines --> upper --> recovery point
//! ```
//!
//! They are written by the thread that takes what comes out, so a slow one slows the replay.
//!
//! # Invariants
//! 1. Only ticks whose frames are on disk are written: what has left the machine is never undone.
//! 2. A tick that the replay did not end, because it was given up, is not written, whatever its workers have said of it.
//! 3. A changelog that lacks ticks which the state cannot tell one by one any more gets all rows as of the snapshot's tick first.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eddy_dataflows::views::Definition;
use eddy_schemas::{Cell, Changes};

use super::ReplayTexts;
use super::state::REBUILD;
use crate::cli::{Error, chain};
use crate::engine::durable::Durable;
use crate::sink::changelog::{self, Changelog, Config, Tick};
use crate::sink::list::{self, List};
use crate::sink::tables::Table;
use crate::store::Stored;

/// Closed ticks that are written together.
const TICKS_AT_ONCE: usize = 64;
/// Rows that are written together where all are.
const ROWS_AT_ONCE: usize = 1 << 12;

/// What was asked for.
#[derive(Clone, Default, Debug)]
pub struct Wanted {
    pub folders: Vec<PathBuf>,
    /// Those that the state had and shall not have any more.
    pub dropped: Vec<PathBuf>,
    pub file_bytes: u64,
    /// Of the last after each write, for tests.
    pub rest: Duration,
}

impl Wanted {
    /// Opens them. Where there is no durable state they are new, and nobody's after this replay.
    pub fn open(&self, state: Option<&PathBuf>) -> Result<Vec<Changelog>, Error> {
        if state.is_none() && self.folders.is_empty() {
            return Ok(vec![]);
        }
        let refused = |e: &dyn std::error::Error, advice: Option<&str>| Error::Usage(format!("{}{}", chain(e), advice.unwrap_or_default()));
        let list = match state {
            Some(folder) => List::agree(folder, &self.folders, &self.dropped),
            None => List::new(&self.folders),
        };
        let list: List = list.map_err(|e: list::Error| refused(&e, e.is_damage().then_some(REBUILD)))?;
        let last = list.changelogs.len().saturating_sub(1);
        let config = |(number, folder): (usize, &PathBuf)| Config {
            folder: folder.clone(),
            state: list.state.clone(),
            file_bytes: self.file_bytes,
            rest: if number == last { self.rest } else { Duration::ZERO },
        };
        let anew = "; remove its folder: it is written anew, whole";
        let open = |config: Config| Changelog::open(&config).map_err(|e| refused(&e, e.is_damage().then_some(anew)));
        list.changelogs.iter().enumerate().map(config).map(open).collect()
    }
}

/// All of them, behind what comes out of the engine.
pub struct Changelogs<'a> {
    logs: Vec<Changelog>,
    texts: &'a ReplayTexts,
    durable: Option<&'a Durable>,
    /// The replay has ended every tick that it began.
    whole: &'a AtomicBool,
    /// Ticks up to this one cannot be told one by one.
    snapshot: u64,
    /// Rows as of that tick, where a changelog lacks it.
    rows: Option<Vec<Table>>,
    frontiers: Vec<Option<u64>>,
    open: BTreeMap<u64, Vec<Changes>>,
    closed: Vec<Tick>,
}

impl<'a> Changelogs<'a> {
    pub fn new(
        logs: Vec<Changelog>,
        views: &[&'static Definition],
        workers: usize,
        snapshot: u64,
        texts: &'a ReplayTexts,
        durable: Option<&'a Durable>,
        whole: &'a AtomicBool,
    ) -> Self {
        let lacks = logs.iter().any(|log| log.upper() < snapshot);
        let rows = lacks.then(|| views.iter().map(|definition| Table::new(definition.view)).collect());
        let changelogs = Changelogs {
            logs,
            texts,
            durable,
            whole,
            snapshot,
            rows,
            frontiers: vec![Some(0); workers],
            open: BTreeMap::new(),
            closed: vec![],
        };
        changelogs.tell();
        changelogs
    }

    /// What a worker changed in a tick.
    pub fn take(&mut self, tick: u64, changes: &Changes) {
        if self.logs.is_empty() {
        } else if tick > self.snapshot {
            let mut kept = Changes::new(changes.view);
            kept.append(changes);
            self.open.entry(tick).or_default().push(kept);
        } else if let Some(rows) = &mut self.rows {
            rows.iter_mut().find(|table| table.view().name == changes.view.name).expect("views that were asked for").append(changes);
        }
    }

    /// How far a worker has come. `more`: something else is there to be taken.
    pub fn close(&mut self, worker: usize, frontier: Option<u64>, more: bool) -> Result<(), Error> {
        if self.logs.is_empty() {
            return Ok(());
        }
        self.frontiers[worker] = frontier;
        let frontier = self.frontiers.iter().map(|frontier| frontier.unwrap_or(u64::MAX)).min().unwrap_or(u64::MAX);
        if frontier == u64::MAX && !self.whole.load(Ordering::Acquire) {
            return Ok(());
        }
        if frontier > self.snapshot
            && let Some(rows) = self.rows.take()
        {
            self.write(|log, texts, snapshot| if log.upper() < snapshot { all(log, &rows, snapshot, texts) } else { Ok(()) })?;
        }
        let later = self.open.split_off(&frontier);
        let closed = std::mem::replace(&mut self.open, later);
        self.closed.extend(closed.into_iter().map(|(tick, changes)| Tick { tick, changes: Arc::new(changes) }));
        // (What the frontier says of ticks without changes is no tick that the state has: the next one with changes says it.)
        if self.closed.is_empty() || more && self.closed.len() < TICKS_AT_ONCE && frontier < u64::MAX {
            return Ok(());
        }
        let closed = std::mem::take(&mut self.closed);
        self.write(|log, texts, _| log.write(&closed, texts))
    }

    fn write(&mut self, mut write: impl FnMut(&mut Changelog, &ReplayTexts, u64) -> Result<(), changelog::Error>) -> Result<(), Error> {
        if let Some(durable) = self.durable {
            durable.sync().map_err(|e| Error::failed("the state could not be kept", e))?;
            if durable.has_failed() {
                return Ok(());
            }
        }
        for log in &mut self.logs {
            write(log, self.texts, self.snapshot).map_err(|e| Error::failed("a changelog could not be written", e))?;
            log.rest();
        }
        self.tell();
        Ok(())
    }

    /// The state need not keep what all of them have.
    fn tell(&self) {
        if let (Some(durable), Some(upper)) = (self.durable, self.logs.iter().map(Changelog::upper).min()) {
            durable.set_recovery_point(upper);
        }
    }
}

/// Writes every row of every view, and that whatever else was told of before is gone.
fn all(log: &mut Changelog, tables: &[Table], tick: u64, texts: &ReplayTexts) -> Result<(), changelog::Error> {
    log.begin()?;
    for table in tables {
        let view = table.view();
        let mut gone = log.keys(view)?;
        let (mut rows, mut failed) = (Vec::with_capacity(ROWS_AT_ONCE), None);
        table.each(|cells: &[Cell]| {
            rows.push(Stored { cells: cells.to_vec(), as_of: tick });
            if rows.len() == ROWS_AT_ONCE && failed.is_none() {
                failed = log.rows(view, tick, &rows, &mut gone, texts).err();
                rows.clear();
            }
        });
        failed.map_or(Ok(()), Err)?;
        log.rows(view, tick, &rows, &mut gone, texts)?;
        log.gone(view, tick, &gone)?;
    }
    log.commit(tick)
}
