//! Recovery of a process's share: the snapshots that it is to feed, then the ticks after them, each with its number.
//!
//! Which worker has a message now is the exchange's affair: frames and snapshots say nothing of who reads them. In what order snapshots and
//! frames of different processes come is of no matter either, since the greater version wins; ticks are fed in the order of their numbers. What
//! sealed messages left is not fed: each process takes what its workers have of it out of all snapshots, before the first version comes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use eddy_schemas::stored;

use super::{Manifest, State, unreadable};
use crate::cli::Error;
use crate::engine::durable;
use crate::engine::snapshot::adopt::Source;
use crate::engine::snapshot::{Left, Past, Snapshots, together};
use crate::engine::ticks::{Tick, Ticks};
use crate::engine::{self, Engine};

/// Versions of a snapshot that are fed at once, and in one tick.
const VERSIONS_A_BATCH: u64 = 1 << 12;
const VERSIONS_A_TICK: u64 = 1 << 16;

impl State {
    /// What a process is to feed; where messages are sealed all there is, some of it to be fed by others.
    pub fn sources(&self, process: usize) -> Result<Vec<Source>, Error> {
        let (Manifest { processes, .. }, keep) = (&self.manifest, self.manifest.keep());
        let is_mine = |number: usize| number % processes == process;
        let held = self.manifest.held().into_iter().enumerate().filter(|(number, _)| keep.is_some() || is_mine(*number));
        let look = |(number, held): (usize, super::Held)| {
            let mut source = held.look(&self.files, &self.folder)?;
            source.is_mine = is_mine(number);
            Ok::<_, durable::Error>(keep.into_iter().fold(source, Source::sealing))
        };
        held.map(look).collect::<Result<_, _>>().map_err(|e| unreadable(&e))
    }

    /// What sealed messages have left: in which ticks it comes back, the same in all processes.
    pub fn left(&self, sources: &[Source]) -> Option<Left> {
        let manifests = sources.iter().filter(|source| source.is_together()).map(|source| &source.snapshots);
        let last = manifests.clone().map(|snapshots| snapshots.manifest.tick).max()?;
        let versions = manifests.map(Snapshots::versions).sum();
        together::left(sources, (first_tick(last, versions), last))
    }

    /// Feeds what a process's share of the state holds, and waits until all processes have done so.
    pub fn recover(&self, sources: &[Source], engine: &mut Engine) -> Result<(), Error> {
        self.feed(sources, engine).map_err(|e| match e {
            engine::Error::Durable(e) => unreadable(&e),
            e => Error::failed("the state could not be read", e),
        })
    }

    fn feed(&self, sources: &[Source], engine: &mut Engine) -> Result<(), engine::Error> {
        let mine = || sources.iter().filter(|source| source.is_mine);
        let mut sides = mine().map(Side::new).collect::<Result<Vec<_>, _>>()?;
        let snapshots = || mine().filter(|source| source.snapshots.manifest.tick > 0);
        let first = sides.iter().filter_map(|side| side.next.as_ref()).map(|tick| tick.number).min();
        let mut parts = None;
        if let Some(left) = self.left(sources) {
            let (tick, last) = left.ticks;
            // What sealed messages left is said in this one, also where no version is.
            engine.recover_versions(tick, vec![], &Past { time: self.manifest.time, greatest: Some(BTreeMap::new()) })?;
            parts = Some(Parts { tick, last, count: 0 });
        } else if let Some(last) = snapshots().map(|source| source.snapshots.manifest.tick).chain(first).min() {
            let versions = snapshots().map(|source| source.snapshots.versions()).sum();
            // Ticks before all that come after them; the last is as of all of it.
            parts = Some(Parts { tick: first_tick(last, versions), last: last.max(1), count: 0 });
        }
        if let Some(mut parts) = parts {
            snapshots().try_for_each(|source| parts.feed(source, self.manifest.time, engine))?;
        }
        while let Some(tick) = next(&mut sides)? {
            engine.recover(tick)?;
        }
        // Even who had nothing to read says that these ticks are over. Nothing is decided in this one: no frame would say it.
        let last = self.manifest.until() + 1;
        engine.recover_versions(last, vec![], &Past::default())?;
        engine.recovered(last)
    }
}

/// Of a snapshot's parts, where so many versions are in ticks up to this one.
fn first_tick(last: u64, versions: u64) -> u64 {
    last.saturating_sub(versions / VERSIONS_A_TICK + 1).max(1)
}

/// Where parts of snapshots go.
struct Parts {
    tick: u64,
    last: u64,
    count: u64,
}

impl Parts {
    fn feed(&mut self, source: &Source, time: Option<eddy_schemas::frame::Time>, engine: &mut Engine) -> Result<(), engine::Error> {
        let manifest = &source.snapshots.manifest;
        engine.recover_tally(&manifest.tally);
        // That of the earliest: who has a later snapshot does not go ahead of those who have frames before it.
        let past = Past { time, greatest: manifest.past.greatest.clone() };
        let (mut snapshot, mut versions) = (source.snapshots.read()?, vec![]);
        while let Some(version) = snapshot.version()? {
            stored::slice(version, &mut versions);
            self.count += 1;
            if self.count.is_multiple_of(VERSIONS_A_BATCH) {
                engine.recover_versions(self.tick, std::mem::take(&mut versions), &past)?;
            }
            if self.count.is_multiple_of(VERSIONS_A_TICK) {
                self.tick = (self.tick + 1).min(self.last);
            }
        }
        engine.recover_versions(self.tick, versions, &past)?;
        while let Some(letter) = snapshot.letter()? {
            engine.recover_letter(self.tick, serde_json::from_slice(&letter).expect("checked by its sum"));
        }
        Ok(())
    }
}

/// The ticks of one source, the next of which is known.
struct Side<'a> {
    source: &'a Source,
    ticks: Option<Ticks<'a>>,
    next: Option<Tick>,
    last: u64,
}

impl<'a> Side<'a> {
    fn new(source: &'a Source) -> Result<Self, durable::Error> {
        let mut side = Side { source, ticks: source.ticks(), next: None, last: source.snapshots.manifest.tick };
        side.advance()?;
        Ok(side)
    }

    /// Gives the next tick, and goes on to the one after it.
    fn advance(&mut self) -> Result<Option<Tick>, durable::Error> {
        let after = self.ticks.as_mut().map_or(Ok(None), Ticks::next_whole)?;
        match &after {
            Some(tick) => self.last = tick.number,
            None => self.source.check_end(self.last)?,
        }
        Ok(std::mem::replace(&mut self.next, after))
    }
}

/// The next tick, with its frames in all sources.
fn next(sides: &mut [Side]) -> Result<Option<Tick>, durable::Error> {
    let number = |side: &Side| side.next.as_ref().map(|tick| tick.number);
    let Some(least) = sides.iter().filter_map(number).min() else { return Ok(None) };
    let mut whole = Tick { number: least, frames: vec![] };
    for side in sides.iter_mut().filter(|side| number(side) == Some(least)) {
        whole.frames.extend(side.advance()?.into_iter().flat_map(|tick| tick.frames));
    }
    Ok(Some(whole))
}

impl super::Held {
    /// Its folder has been taken: nothing changes in it any more.
    pub fn look(&self, files: &Arc<dyn crate::files::Files>, folder: &Path) -> Result<Source, durable::Error> {
        self.look_in(files, &super::taken_folder(folder, self.generation))
    }

    /// The same where its generation's folder is.
    pub fn look_in(&self, files: &Arc<dyn crate::files::Files>, generation: &Path) -> Result<Source, durable::Error> {
        let folder = super::process_folder(generation, self.process);
        let source = Source::look(files, &folder, super::position::share(self.processes), self.until)?;
        match self.snapshot {
            None => Ok(source),
            Some(tick) => source.together(tick, self.generation),
        }
    }
}
