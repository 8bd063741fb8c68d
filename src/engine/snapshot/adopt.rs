//! Adopting: a snapshot begins with what other states hold, such as those of an earlier cluster's processes, which then can go.
//!
//! ```text
//!   source: D/old-000001/process-0   runs | frames after them --newest of each id-->\
//!   source: D/old-000001/process-1   runs | frames after them ---------------------->  greatest version of each id --> one run, named
//! ```
//!
//! Within a state what came later won. Between two states nothing tells what came later, since a message may have moved from one to the other
//! and back: there the greater version number wins, as it does everywhere; of equal ones both stay, and whoever reads them decides, who has
//! their texts. (Where messages are sealed each process adopts its workers' messages out of all sources, and they have an order: `together`.)
//!
//! # Invariants
//! 1. A source goes only after the snapshot that holds it is named. Where that cannot be named any more, since its folder has been taken by
//!    somebody else, nothing goes.
//! 2. All that is adopted is of ticks before this state's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eddy_dataflows::Keep;
use eddy_schemas::stored;

use super::draft::Draft;
use super::run::{Reader, Writer};
use super::{Error, Manifest, Merge, Snapshots, damaged};
use crate::engine::ticks::{Share, Ticks};
use crate::files::Files;
use crate::journal::{self, Journal};
use crate::record;

/// Bytes of frames that are sorted at once: with a large tick they have room in a draft.
const FRAMES_BYTES: usize = 24 << 20;

/// A state that is read where it stands, and changes no more: its folder holds `state` and `snapshots`.
pub struct Source {
    files: Arc<dyn Files>,
    folder: PathBuf,
    pub snapshots: Snapshots,
    journal: Option<Journal>,
    share: Share,
    /// Ticks up to this one count.
    until: u64,
    /// Of those with an order: where this one has a message, it is as of later than in those of lesser layers.
    pub layer: u64,
    /// What is counted, and dead letters, are this process's to carry on.
    pub is_mine: bool,
}

impl Source {
    /// Looks at what is in a folder; ticks count up to `until`.
    pub fn look(files: &Arc<dyn Files>, folder: &Path, share: Share, until: u64) -> Result<Source, Error> {
        let (state, snapshots) = (folder.join("state"), folder.join("snapshots"));
        let manifest = record::read_since(&**files, &snapshots.join("snapshot.json"), super::FORMATS)?.unwrap_or_default();
        let snapshots = Snapshots::with(Arc::clone(files), &snapshots, manifest).among(share);
        let journal = Journal::look_in(Arc::clone(files), &state, journal::Config::default())?;
        if let Some(journal) = &journal {
            snapshots.check(journal)?;
        }
        Ok(Source { files: Arc::clone(files), folder: folder.to_owned(), snapshots, journal, share, until, layer: 0, is_mine: true })
    }

    /// Goes on from the snapshot of this tick, which all of its generation have; 0: they have none. `layer`: the generation.
    pub fn together(self, tick: u64, layer: u64) -> Result<Source, Error> {
        let snapshots = self.snapshots.of(tick)?;
        self.journal.iter().try_for_each(|journal| snapshots.check(journal))?;
        Ok(Source { snapshots, layer, ..self })
    }

    /// Messages are sealed.
    pub fn sealing(self, keep: Keep) -> Source {
        Source { snapshots: self.snapshots.sealing(keep), ..self }
    }

    /// It was made together with others, and has a snapshot.
    pub fn is_together(&self) -> bool {
        self.layer > 0 && self.snapshots.manifest.tick > 0
    }

    /// Its ticks after the snapshot; none where it has no frames.
    pub fn ticks(&self) -> Option<Ticks<'_>> {
        let journal = self.journal.as_ref()?;
        Some(Ticks::until(journal, u64::MAX, self.snapshots.manifest.tick, self.until).among(self.share.journals))
    }

    /// Its last tick was this one: an error where it must have had more.
    pub fn check_end(&self, last: u64) -> Result<(), Error> {
        if last == self.until { Ok(()) } else { Err(self.lacks(self.until)) }
    }

    /// Frames up to this tick must have been there.
    pub fn lacks(&self, until: u64) -> Error {
        let cut = self.journal.as_ref().and_then(Journal::cut);
        let (path, at) = cut.map_or_else(|| (self.folder.join("state"), 0), |cut| (cut.path.clone(), cut.at));
        Error::Lacks { path, at, until }
    }

    /// It is not needed any more. Its texts are.
    pub(super) fn remove(&self) {
        for folder in ["state", "snapshots", "sums"].iter().filter(|_| self.is_mine) {
            // What is left is removed by the next who takes these folders.
            let _ = self.files.remove_folder(&self.folder.join(folder));
        }
    }
}

impl Manifest {
    pub(super) fn adopt(&mut self, other: &Manifest, source: &Source) -> Result<(), Error> {
        if source.is_mine {
            self.tally.add(&other.tally);
        }
        for (partition, at) in other.past.greatest.iter().flatten() {
            let greatest = self.past.greatest.get_or_insert_default().entry(*partition).or_insert(*at);
            *greatest = (*at).max(*greatest);
        }
        // Watermarks do not go back.
        self.past.time = self.past.time.into_iter().chain(other.past.time).max_by_key(|time| time.watermark);
        self.tick = self.tick.max(other.tick);
        let bound = if other.binding.is_empty() { Ok(()) } else { (source.share.bind)(&mut self.binding, &other.binding) };
        bound.map_err(|_| damaged(&source.folder, "a binding is not one"))
    }
}

impl Snapshots {
    /// What is to be adopted before the next snapshot is made. Nothing has been made yet.
    pub fn adopting(self, to_adopt: Vec<Source>) -> Snapshots {
        assert!(to_adopt.is_empty() || self.manifest.tick == 0, "what is adopted comes first");
        Snapshots { to_adopt, ..self }
    }

    /// One state alone may stay where it is until there is more to do.
    pub fn has_to_adopt(&self) -> bool {
        self.to_adopt.len() > 1
    }

    pub(super) fn adopt(&mut self) -> Result<(), Error> {
        if self.to_adopt.is_empty() {
            return Ok(());
        }
        let mut next = Manifest { adopted: true, ..Manifest::default() };
        let (mut number, mut merges) = (self.number()?, vec![]);
        for source in &self.to_adopt {
            let mut one = source.snapshots.manifest.clone();
            let mut merge = source.snapshots.read()?;
            self.add_frames(source, &mut one, &mut merge, &mut number)?;
            next.adopt(&one, source)?;
            merges.push(Ahead::of(merge, source)?);
        }
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, number)?;
        while let Some(id) = merges.iter().filter_map(Ahead::key).min().map(|(_, id)| id.to_vec()) {
            greatest(&mut merges, &id, |row| run.version(row))?;
        }
        for Ahead { merge, .. } in &mut merges {
            while let Some(letter) = merge.letter()? {
                run.letter(&letter)?;
            }
        }
        next.runs = vec![run.end()?];
        next.needed = Some(0);
        self.publish(next)?;
        // If we crash here, the sources are removed by whoever begins next.
        self.to_adopt.drain(..).for_each(|source| source.remove());
        Ok(())
    }

    /// Makes runs, which no manifest names, of a source's frames after its snapshot.
    pub(super) fn add_frames(&self, source: &Source, manifest: &mut Manifest, merge: &mut Merge, number: &mut u64) -> Result<(), Error> {
        let Some(mut ticks) = source.ticks() else { return source.check_end(manifest.tick) };
        let mut draft = Draft::default();
        loop {
            let tick = ticks.next_whole()?;
            let ended = tick.is_none();
            for frame in tick.into_iter().flat_map(|tick| tick.frames) {
                manifest.tick = frame.head.tick;
                manifest.add(&frame.head, source.share).map_err(|_| damaged(&source.folder, "a binding is not one"))?;
                draft.add(frame).map_err(|_| damaged(&source.folder, "a frame is none"))?;
            }
            if draft.bytes() >= FRAMES_BYTES || (ended && !draft.is_empty()) {
                let mut run = Writer::new(Arc::clone(&self.files), &self.dir, *number)?;
                *number += 1;
                draft.write(&mut run)?;
                merge.runs.push(Reader::new(&*self.files, &self.dir, &run.end()?)?);
            }
            if ended {
                return source.check_end(manifest.tick);
            }
        }
    }
}

/// A state's versions, the next of which is known.
pub(super) struct Ahead {
    pub merge: Merge,
    pub is_mine: bool,
    row: Option<Vec<u8>>,
}

impl Ahead {
    pub fn of(merge: Merge, source: &Source) -> Result<Self, Error> {
        let mut ahead = Ahead { merge, is_mine: source.is_mine, row: None };
        ahead.advance()?;
        Ok(ahead)
    }

    fn advance(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let next = self.merge.version()?.map(<[u8]>::to_vec);
        Ok(std::mem::replace(&mut self.row, next))
    }

    /// By which runs are sorted.
    pub fn key(&self) -> Option<(u64, &[u8])> {
        let id = stored::id(self.row.as_deref()?).ok()?;
        Some((stored::order(id).ok()?, id))
    }

    /// The next version, if it is of this message.
    fn next_of(&mut self, id: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let is_of = self.row.as_deref().is_some_and(|row| stored::id(row) == Ok(id));
        if is_of { self.advance() } else { Ok(None) }
    }
}

/// Gives the greatest versions of a message, each once; there is more than one where their texts have to decide.
pub(super) fn greatest(merges: &mut [Ahead], id: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut rows: Vec<(i64, Vec<u8>)> = vec![];
    for ahead in merges {
        while let Some(row) = ahead.next_of(id)? {
            let number = stored::number(&row).map_err(|_| damaged(Path::new("a snapshot"), "a version is none"))?;
            rows.push((number, row));
        }
    }
    rows.sort();
    rows.dedup();
    let most = rows.last().map(|(number, _)| *number);
    rows.iter().filter(|(number, _)| Some(*number) == most).try_for_each(|(_, row)| each(row))
}
