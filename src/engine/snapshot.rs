//! Snapshots: what frames said, made small, so that neither the disk nor a restart grows with the history.
//!
//! ```text
//!   journal of frames:  [ sealed | sealed | active ]        snapshot.json: up to which tick, its binding and tally, which runs
//!                         \_______/ newest version of each id, sorted
//!                             v
//!   runs:  run-7   run-8   run-9            too many: the small ones are merged into one, the newest version of an id wins
//! ```
//!
//! Made beside the work, from the disk: nobody waits for it.
//!
//! # Invariants
//! 1. `snapshot.json` names whole runs that are on disk, and all that the ticks up to its own left. It is replaced at once.
//! 2. Frames go only after the snapshot that has them is named.
//! 3. A run holds an id once, unless nobody can tell which version wins (`adopt`); that of a later run wins.
//! 4. Its tick is at or before the recovery point: what comes after is fed tick by tick.
//! 5. A version of a message that was sealed is not given; it goes where no older run may have another version of it, since that one would
//!    come back.
//! 6. With versions go all facts of sealed messages up to its tick, and none of later ones.
//! 7. Of several processes that seal messages all have one of the same tick (`together`).

pub mod adopt;
mod draft;
mod edit;
mod left;
mod merge;
mod named;
mod run;
#[cfg(test)]
mod tests;
pub mod together;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eddy_dataflows::Keep;
use eddy_schemas::frame::{self, Head, Tally};
use eddy_schemas::stored::Malformed;
use eddy_schemas::sums::Now;
use serde::{Deserialize, Serialize};

use super::durable::Error;
use super::sums::Said;
use super::ticks::{Share, Ticks};
use crate::files::{self, Files};
use crate::journal::Journal;
use crate::{pause, record};
use draft::Draft;
pub use edit::{Edit, edited};
pub use left::Left;
pub use merge::Merge;
pub use named::{Named, named};
use run::{Run, Writer, run_name};

/// Of `snapshot.json` and of runs: 3 where messages are sealed, else 2. What is newer or older is refused.
const FORMATS: std::ops::RangeInclusive<u32> = 2..=3;
/// Runs that may be there before some are merged.
const RUNS_MAX: usize = 8;

/// What the state was at the end of a tick.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    pub tick: u64,
    pub binding: String,
    pub tally: Tally,
    #[serde(default)]
    pub past: Past,
    /// It holds what other states left (`adopt`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// The first frame of later ticks; frames before it are let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    needed: Option<u64>,
    /// Oldest first.
    runs: Vec<Run>,
    /// The one before it, from which all is there (`together`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Box<Manifest>>,
}

/// Event time so far; none: frames did not keep it yet (format 1).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Past {
    #[serde(default)]
    pub time: Option<frame::Time>,
    /// The greatest created_at read of each partition.
    #[serde(default)]
    pub greatest: Option<BTreeMap<u32, i64>>,
}

impl Past {
    fn add(&mut self, head: &Head) {
        self.time = head.time.or(self.time);
        for (partition, at) in head.greatest.iter().flatten() {
            let greatest = self.greatest.get_or_insert_default().entry(*partition).or_insert(*at);
            *greatest = (*at).max(*greatest);
        }
    }
}

impl Manifest {
    /// Those of the one before it, too.
    fn all_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().chain(self.before.iter().flat_map(|before| &before.runs))
    }

    fn add(&mut self, head: &Head, share: Share) -> Result<(), Malformed> {
        self.tally.add(&head.tally);
        self.past.add(head);
        if head.binding.is_empty() { Ok(()) } else { (share.bind)(&mut self.binding, &head.binding) }
    }
}

/// The snapshots in a folder.
pub struct Snapshots {
    files: Arc<dyn Files>,
    dir: PathBuf,
    pub manifest: Manifest,
    share: Share,
    to_adopt: Vec<adopt::Source>,
    /// How long what stays, where messages are sealed.
    keep: Option<Keep>,
    /// Whose they are, where several processes make them together.
    here: Option<together::Here>,
    /// What has been adopted, until all processes have done so.
    adopted: Vec<adopt::Source>,
    /// Of the next run.
    draft: Draft,
}

impl Snapshots {
    /// Opens what is there; removes what a crash has left.
    pub fn open(dir: &Path) -> Result<Snapshots, Error> {
        Self::open_in(files::disk(), dir)
    }

    /// The same among other files than the disk's.
    pub fn open_in(files: Arc<dyn Files>, dir: &Path) -> Result<Snapshots, Error> {
        files.make_folder(dir).map_err(at(dir))?;
        let path = dir.join("snapshot.json");
        let manifest = record::read_since(&*files, &path, FORMATS)?.unwrap_or_default();
        // A killed process may have named a snapshot and not have come to sync that: what it does not name goes only after it.
        files.sync_folder(dir).map_err(at(dir))?;
        let snapshots = Snapshots::with(files, dir, manifest);
        snapshots.sweep().map_err(at(dir))?;
        Ok(snapshots)
    }

    fn with(files: Arc<dyn Files>, dir: &Path, manifest: Manifest) -> Snapshots {
        let (dir, share, to_adopt, adopted, draft) = (dir.to_owned(), Share::WHOLE, vec![], vec![], Draft::default());
        Snapshots { files, dir, manifest, share, to_adopt, keep: None, here: None, adopted, draft }
    }

    /// Those of a journal that is one of several.
    pub fn among(self, share: Share) -> Snapshots {
        Snapshots { share, ..self }
    }

    /// Messages are sealed, and what they left comes with the ticks.
    pub fn sealing(self, keep: Keep) -> Snapshots {
        Snapshots { keep: Some(keep), ..self }
    }

    /// What sealed messages have left, from the tick `tick` on.
    pub fn left(&self, tick: u64) -> Left {
        let runs = self.manifest.runs.iter().map(|run| (self.dir.clone(), run.clone())).collect();
        Left { files: Arc::clone(&self.files), runs, now: self.now(&self.manifest), ticks: (tick, self.manifest.tick) }
    }

    /// What was created before is sealed.
    fn sealed_before(&self, as_of: &Manifest) -> Option<i64> {
        self.keep.and(as_of.past.time)?.sealed_before
    }

    fn now(&self, as_of: &Manifest) -> Option<Now> {
        let (keep, time) = (self.keep?, as_of.past.time?);
        Some(Now { watermark: time.watermark, hours_s: keep.hours_s, days_s: keep.days_s })
    }

    /// Of the next run: no run has it, not even one of a snapshot that was named and may not be.
    fn number(&self) -> Result<u64, Error> {
        let names = self.files.names(&self.dir).map_err(at(&self.dir))?;
        let there = names.iter().filter_map(|name| name.strip_prefix("run-")?.parse().ok());
        Ok(there.chain(self.manifest.all_runs().map(|run| run.number)).max().unwrap_or(0) + 1)
    }

    /// Removes runs that are not named.
    fn sweep(&self) -> io::Result<()> {
        for name in self.files.names(&self.dir)? {
            let named = self.manifest.all_runs().any(|run| name == run_name(run.number));
            if (name.starts_with("run-") && !named) || name.starts_with(".new-") {
                self.files.remove(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// The frames of the ticks after the snapshot are there: none was let go for a later snapshot, which is lost.
    pub fn check(&self, journal: &Journal) -> Result<(), Error> {
        let needed = self.manifest.needed.or((self.manifest.tick == 0).then_some(0));
        if needed.is_some_and(|needed| needed < journal.range().start) {
            return Err(damaged(&self.dir.join("snapshot.json"), "it is older than the frames that are left"));
        }
        Ok(())
    }

    /// How many versions its runs hold, some of them of one message.
    pub fn versions(&self) -> u64 {
        self.manifest.runs.iter().map(|run| run.versions).sum()
    }

    /// The newest version of each message that is not sealed, then the dead letters.
    pub fn read(&self) -> Result<Merge, Error> {
        Merge::new(&*self.files, &self.dir, &self.manifest.runs, self.sealed_before(&self.manifest))
    }

    /// Makes a snapshot of the ticks up to `upto` in the journal's sealed segments, if there are any, and lets go of their frames. `said`: what
    /// sealed messages left in them.
    pub fn take(&mut self, journal: &Journal, upto: u64, said: Option<&Said>) -> Result<(), Error> {
        self.adopt()?;
        while self.take_some(journal, upto, said)? {}
        Ok(())
    }

    /// The same of about a segment's ticks; false where there are none.
    fn take_some(&mut self, journal: &Journal, upto: u64, said: Option<&Said>) -> Result<bool, Error> {
        let mut next = self.manifest.clone();
        if !self.add_ticks(journal, &mut next, upto, said)? {
            return Ok(false);
        }
        let needed = next.needed.expect("told with the ticks");
        self.publish(next)?;
        // If we crash here, the frames are there twice; those up to the snapshot's tick are left out.
        journal.truncate_before(needed)?;
        if let Some(said) = said {
            said.let_go(self.manifest.tick).map_err(at(&self.dir))?;
        }
        self.merge()?;
        Ok(true)
    }

    /// Adds a run of the next ticks, about a segment's, which are in memory meanwhile; false where there are none.
    fn add_ticks(&mut self, journal: &Journal, next: &mut Manifest, upto: u64, said: Option<&Said>) -> Result<bool, Error> {
        let after = next.tick;
        let mut ticks = Ticks::until(journal, journal.sealed_end(), after, upto).among(self.share.journals);
        // (What an error has left.)
        self.draft.clear();
        while self.draft.bytes() < journal.segment_bytes()
            && let Some(tick) = ticks.next_whole()?
        {
            next.tick = tick.number;
            for frame in tick.frames {
                next.add(&frame.head, self.share).map_err(|_| damaged(journal.path(), "a binding is not one"))?;
                self.draft.add(frame).map_err(|_| damaged(journal.path(), "a frame is none"))?;
            }
        }
        if next.tick == after {
            return Ok(false);
        }
        if let Some(said) = said {
            said.read(after, next.tick, |facts| self.draft.sums.add(facts).map_err(draft::no_sum))?;
        }
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, self.number()?)?;
        self.draft.write(&mut run)?;
        next.runs.push(run.end()?);
        next.needed = Some(ticks.needed());
        Ok(true)
    }

    /// Makes all that is there anew, as [`rewrite_runs`](Self::rewrite_runs) does. What it leaves out is in no file any more. External sinks that
    /// have not got all of it must be made anew.
    ///
    /// Where messages are sealed the ticks after the snapshot stay frames, since what those seal is known only once they are fed; else they are
    /// made part of it.
    pub fn rewrite(&mut self, journal: &Journal, edit: &mut dyn Edit) -> Result<(), Error> {
        if self.keep.is_some() {
            // If we crash here, some frames are edited and some not: the same once more edits the rest.
            journal.rewrite(|number, frame| edited(journal, number, frame, edit))?;
            return self.rewrite_runs(edit);
        }
        journal.roll()?;
        self.take(journal, u64::MAX, None)?;
        // What is left of the journal are frames of ticks that were never whole.
        self.manifest.needed = Some(journal.range().end);
        self.rewrite_runs(edit)?;
        journal.truncate_before(journal.range().end)?;
        Ok(())
    }

    /// Makes one run of all runs, of what `edit` leaves; and one of those of the snapshot before it.
    pub fn rewrite_runs(&mut self, edit: &mut dyn Edit) -> Result<(), Error> {
        let mut next = self.manifest.clone();
        next.runs = vec![self.rewritten(edit)?];
        if let Some(before) = &mut next.before {
            let mut of = Snapshots::with(Arc::clone(&self.files), &self.dir, (**before).clone());
            of.keep = self.keep;
            before.runs = vec![of.rewritten(edit)?];
        }
        self.publish(next)
    }

    fn rewritten(&self, edit: &mut dyn Edit) -> Result<Run, Error> {
        let mut merge = self.read()?;
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, self.number()?)?;
        while let Some(row) = merge.version()? {
            if edit.version(row).map_err(|_| damaged(&self.dir, "a version is none"))? {
                run.version(row)?;
            }
        }
        while let Some(read) = merge.letter()? {
            run.letter(&edit.letter(read))?;
        }
        let mut sums = self.left(0).merge(true)?;
        while let Some(fact) = sums.next()? {
            if edit.fact(fact).map_err(|_| damaged(&self.dir, "a sealed sum is none"))? {
                run.fact(fact)?;
            }
        }
        run.end()
    }

    /// Merges the newest runs, as long as each is not much larger than those after it, where there are too many.
    fn merge(&mut self) -> Result<(), Error> {
        let runs = &self.manifest.runs;
        if runs.len() <= RUNS_MAX {
            return Ok(());
        }
        let (mut first, mut bytes) = (runs.len() - 1, runs[runs.len() - 1].bytes);
        while first > 0 && (runs[first - 1].bytes < 2 * bytes || runs.len() - first < RUNS_MAX / 2) {
            first -= 1;
            bytes += runs[first].bytes;
        }
        let mut next = self.manifest.clone();
        // What an older run may bring back must stay.
        let is_all = first == 0;
        let mut merge = Merge::new(&*self.files, &self.dir, &runs[first..], self.sealed_before(&self.manifest).filter(|_| is_all))?;
        let mut sums = self.left(0).since(first).merge(is_all)?;
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, self.number()?)?;
        while let Some(row) = merge.version()? {
            run.version(row)?;
        }
        while let Some(letter) = merge.letter()? {
            run.letter(&letter)?;
        }
        while let Some(fact) = sums.next()? {
            run.fact(fact)?;
        }
        next.runs.truncate(first);
        next.runs.push(run.end()?);
        self.publish(next)
    }

    /// Names another snapshot, and removes the runs that it does not name.
    fn publish(&mut self, next: Manifest) -> Result<(), Error> {
        let path = self.dir.join("snapshot.json");
        pause::at("snapshot");
        let format = if self.keep.is_some() { *FORMATS.end() } else { *FORMATS.start() };
        record::write_in(&*self.files, &path, format, &next).map_err(at(&path))?;
        pause::at("named");
        self.manifest = next;
        self.sweep().map_err(at(&self.dir))
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Snapshot { path: path.clone(), source }
}

fn damaged(path: &Path, what: &'static str) -> Error {
    Error::Damaged { path: path.into(), at: 0, what }
}
