//! Snapshots that several processes make together, where messages are sealed: there is always a tick of which all have one.
//!
//! ```text
//!   process 1 holds message m of ada:     snapshot of 100 | m is sealed in 110 ............| snapshot of 120
//!   process 0 has ada's sums:             snapshot of 100 | ... in 110: users ada: +1 .....|  (not made yet)
//!
//!   snapshot.json of process 1:           { 120, before: { 100 } }; the runs of both, the frames after 100
//! ```
//!
//! What a message leaves is said by other workers than the one that holds it. A message that is sealed by 120 and sums as of 100 would be of no
//! time: m would have left nothing. So a restart goes on from a tick of which every process has a snapshot, and from the frames after it.
//!
//! The first snapshot of a start adopts what earlier ones left, each process what its workers have now, out of all there is (`adopt`).
//!
//! # Invariants
//! 1. Another snapshot is wanted only when all processes have the one before. So that, or the one that is being made, is what all have; its
//!    runs, the frames after it, and before the first what is adopted, stay until then. Where the state is mirrored, a process has a snapshot once
//!    its mirror has: so the same is true of all mirrors together.
//! 2. All have the same ticks: each worker writes a frame of every tick, and what is wanted is on the disks of all.
//! 3. A message, and a key of sealed sums, is in the snapshot of one process. (Nothing would tell in what order two of them came to be.)

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eddy_schemas::parse::known::Known;
use eddy_schemas::stored;
use eddy_schemas::sums::Sorted;

use super::adopt::{Ahead, Source, greatest};
use super::draft::no_sum;
use super::left::Left;
use super::run::Writer;
use super::{Error, Manifest, Said, Snapshots, damaged};
use crate::journal::Journal;

/// What a process is asked for, and has made.
#[derive(Default)]
pub struct Together {
    /// A snapshot of the ticks up to this one.
    wanted: AtomicU64,
    made: AtomicU64,
    /// Of what was made, what the mirror has; none: there is no mirror.
    mirrored: Option<AtomicU64>,
    /// Frames before this one stood in segments that it looked at.
    looked_at: AtomicU64,
}

impl Together {
    /// Of a process whose state is mirrored.
    pub fn mirrored() -> Together {
        Together { mirrored: Some(AtomicU64::new(0)), ..Together::default() }
    }

    /// All processes have these ticks on their disks, and the snapshot that was wanted before.
    pub fn want(&self, upto: u64) {
        self.wanted.fetch_max(upto, Ordering::AcqRel);
    }

    /// What was wanted last, and is made.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Acquire)
    }

    /// What was wanted last, and this process has.
    pub fn took(&self) -> u64 {
        self.mirrored.as_ref().unwrap_or(&self.made).load(Ordering::Acquire)
    }

    /// The mirror has what was made.
    pub fn mirror(&self, made: u64) {
        if let Some(mirrored) = &self.mirrored {
            mirrored.store(made, Ordering::Release);
        }
    }

    pub(crate) fn looked_at(&self) -> u64 {
        self.looked_at.load(Ordering::Acquire)
    }

    /// One is wanted, of ticks whose facts are there.
    pub(crate) fn is_wanted(&self, facts_upto: u64) -> bool {
        let wanted = self.wanted.load(Ordering::Acquire);
        self.made() < wanted && wanted <= facts_upto
    }

    /// `make` gives where the segments ended that it looked at.
    pub(crate) fn make(&self, make: impl FnOnce(u64) -> Result<u64, Error>) -> Result<(), Error> {
        let wanted = self.wanted.load(Ordering::Acquire);
        self.looked_at.store(make(wanted)?, Ordering::Release);
        self.made.store(wanted, Ordering::Release);
        Ok(())
    }
}

/// A process among all, each with as many workers.
#[derive(Clone, Copy, Debug)]
pub struct Here {
    pub process: usize,
    pub processes: usize,
    pub workers: usize,
}

impl Here {
    /// One of its workers has what goes this way.
    fn has(self, route: u64) -> bool {
        let worker = route % (self.processes * self.workers) as u64;
        worker / self.workers as u64 == self.process as u64
    }
}

impl Snapshots {
    /// Those of one of several processes that make them together.
    pub fn here(self, here: Here) -> Snapshots {
        Snapshots { here: Some(here), ..self }
    }

    /// The snapshot of this tick, which all have: the last, or the one before; 0: none is.
    pub(super) fn of(mut self, tick: u64) -> Result<Snapshots, Error> {
        let manifest = std::mem::take(&mut self.manifest);
        self.manifest = match manifest {
            _ if tick == 0 => Manifest::default(),
            last if last.tick == tick => Manifest { before: None, ..last },
            Manifest { before: Some(before), .. } if before.tick == tick => *before,
            _ => return Err(damaged(&self.dir.join("snapshot.json"), "it is of another tick than those of other processes")),
        };
        Ok(self)
    }

    /// Makes a snapshot of the ticks up to `upto`; gives where the segments ended that it looked at. All processes have the last one.
    pub fn take_together(&mut self, journal: &Journal, upto: u64, said: Option<&Said>) -> Result<u64, Error> {
        let last = self.settle(journal)?;
        let mut next = if self.to_adopt.is_empty() { last.clone() } else { self.adopt_here(said)? };
        // Frames of these ticks may stand in the open segment.
        journal.roll()?;
        let end = journal.sealed_end();
        while self.add_ticks(journal, &mut next, upto, said)? {}
        if next.tick > last.tick {
            next.before = (last.tick > 0).then(|| Box::new(last));
            self.publish(next)?;
            // If we crash here, others may not have theirs: the one before is there, and so are the frames after it.
            self.adopted.append(&mut self.to_adopt);
            said.map_or(Ok(()), |said| said.let_go(self.manifest.tick)).map_err(super::at(&self.dir))?;
        }
        Ok(end)
    }

    /// What is older than the last snapshot goes: all processes have that. Gives it.
    fn settle(&mut self, journal: &Journal) -> Result<Manifest, Error> {
        // And what one left that could not be made: it is tried again and again.
        self.sweep().map_err(super::at(&self.dir))?;
        if self.manifest.before.is_some() {
            self.publish(Manifest { before: None, ..self.manifest.clone() })?;
        }
        if self.manifest.tick > 0 {
            self.adopted.drain(..).for_each(|source| source.remove());
            journal.truncate_before(self.manifest.needed.unwrap_or(0))?;
            self.merge()?;
        }
        Ok(self.manifest.clone())
    }

    /// Makes a snapshot, which is not named yet, of what this process's workers have of all sources.
    fn adopt_here(&self, said: Option<&Said>) -> Result<Manifest, Error> {
        let mut next = Manifest { adopted: true, needed: Some(0), ..Manifest::default() };
        let since = self.to_adopt.iter().map(|source| source.snapshots.manifest.tick).max().unwrap_or(0);
        let (mut number, mut layers) = (self.number()?, BTreeMap::<u64, Vec<Ahead>>::new());
        for source in &self.to_adopt {
            let (mut one, mut merge) = (source.snapshots.manifest.clone(), source.snapshots.read()?);
            // What the frames say may be newer than what was sealed.
            merge.sealed_before = None;
            self.add_frames(source, &mut one, &mut merge, &mut number)?;
            next.adopt(&one, source)?;
            layers.entry(source.layer).or_default().push(Ahead::of(merge, source)?);
        }
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, number)?;
        self.versions_here(&mut layers, &next, &mut run)?;
        for ahead in layers.values_mut().flatten().filter(|ahead| ahead.is_mine) {
            while let Some(letter) = ahead.merge.letter()? {
                run.letter(&letter)?;
            }
        }
        self.facts_here(&next, &mut run)?;
        next.runs = vec![run.end()?];
        if let Some(said) = said {
            // What the frames of the sources sealed was said again by this process's workers.
            let mut sums = Sorted::default();
            said.read(since, next.tick, |facts| sums.add(facts).map_err(no_sum))?;
            let mut run = Writer::new(Arc::clone(&self.files), &self.dir, self.number()?)?;
            sums.facts().map_err(no_sum)?.try_for_each(|fact| run.fact(fact))?;
            next.runs.push(run.end()?);
        }
        Ok(next)
    }

    fn versions_here(&self, layers: &mut BTreeMap<u64, Vec<Ahead>>, next: &Manifest, run: &mut Writer) -> Result<(), Error> {
        let (here, mut known) = (self.here.expect("made together"), Known::default());
        let sealed_before = self.sealed_before(next);
        let malformed = |_| damaged(&self.dir, "a version is none");
        while let Some(id) = layers.values().flatten().filter_map(Ahead::key).min().map(|(_, id)| id.to_vec()) {
            let mut rows = vec![];
            // A later layer has what came to win since.
            for layer in layers.values_mut() {
                let mut of_layer = vec![];
                greatest(layer, &id, |row| {
                    of_layer.push(row.to_vec());
                    Ok(())
                })?;
                rows = if of_layer.is_empty() { rows } else { of_layer };
            }
            if !here.has(stored::route(&id, &mut known).map_err(malformed)?) {
                continue;
            }
            for row in rows {
                if stored::at(&row).map_err(malformed)?.is_none_or(|at| Some(at) >= sealed_before) {
                    run.version(&row)?;
                }
            }
        }
        Ok(())
    }

    /// Those of the sources' snapshots.
    fn facts_here(&self, next: &Manifest, run: &mut Writer) -> Result<(), Error> {
        let (here, mut known) = (self.here.expect("made together"), Known::default());
        let Some(left) = left(&self.to_adopt, (0, 0)) else { return Ok(()) };
        let mut sums = Left { now: self.now(next), ..left }.merge(true)?;
        while let Some(fact) = sums.next()? {
            if here.has(fact.route(&mut known).map_err(|_| damaged(&self.dir, "a sealed sum is none"))?) {
                run.fact(fact)?;
            }
        }
        Ok(())
    }
}

/// What sealed messages have left by the tick of the sources' snapshots; none where they have none. (Each key is in one of them.)
pub fn left(sources: &[Source], ticks: (u64, u64)) -> Option<Left> {
    let all = sources.iter().filter(|source| source.is_together()).map(|source| source.snapshots.left(ticks.0));
    all.reduce(|all, one| Left { runs: [all.runs, one.runs].concat(), ..all }).map(|left| Left { ticks, ..left })
}
