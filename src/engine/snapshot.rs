//! Snapshots: what frames said, made small, so that neither the disk nor a restart grows with the history.
//!
//! ```text
//!   journal of frames:  [ sealed | sealed | active ]        snapshot.json: up to which tick, its binding and tally, which runs
//!                         \_______/ newest version of each id, sorted
//!                             v
//!   runs:  run-7   run-8   run-9            too many: the small ones are merged into one, the newest version of an id wins
//!
//!   run:   { crc32 | length | kind | payload }*        kind 1: versions, sorted by their ids (`stored::order`)      2: a dead letter
//!                                                           3: sealed sums, sorted by kind and key, after everything else
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
mod edit;
mod left;
mod named;
#[cfg(test)]
mod tests;
pub mod together;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use eddy_dataflows::Keep;
use eddy_schemas::frame::{self, Head, Tally};
use eddy_schemas::stored::{self, Malformed};
use eddy_schemas::sums::{self, Fact, Now};
use serde::{Deserialize, Serialize};

use super::durable::{Error, Share, Ticks};
use super::sums::Said;
use crate::files::{self, Files, Open, Stream};
use crate::journal::Journal;
use crate::{pause, record};
pub use edit::{Edit, edited};
pub use left::Left;
use left::{Facts, Sorted};
pub use named::{Named, named};

/// Of `snapshot.json` and of runs: 3 where messages are sealed, else 2. What is newer or older is refused.
const FORMATS: std::ops::RangeInclusive<u32> = 2..=3;
/// Runs that may be there before some are merged.
const RUNS_MAX: usize = 8;
/// About how much a block of a run holds.
const BLOCK_BYTES: usize = 64 << 10;

const VERSIONS: u8 = 1;
const LETTER: u8 = 2;
const SUMS: u8 = 3;

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

/// Oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    number: u64,
    bytes: u64,
    versions: u64,
    /// Where its sealed sums begin, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sums_at: Option<u64>,
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
        let (share, to_adopt, adopted) = (Share::WHOLE, vec![], vec![]);
        Snapshots { files, dir: dir.to_owned(), manifest, share, to_adopt, keep: None, here: None, adopted }
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
    fn add_ticks(&self, journal: &Journal, next: &mut Manifest, upto: u64, said: Option<&Said>) -> Result<bool, Error> {
        let after = next.tick;
        let mut ticks = Ticks::until(journal, journal.sealed_end(), after, upto).among(self.share.journals);
        let (mut frames, mut letters) = (vec![], vec![]);
        let mut bytes = 0;
        while bytes < journal.segment_bytes()
            && let Some(tick) = ticks.next_whole()?
        {
            next.tick = tick.number;
            for frame in tick.frames {
                next.add(&frame.head, self.share).map_err(|_| damaged(journal.path(), "a binding is not one"))?;
                letters.extend(frame.head.letters);
                bytes += frame.rows.len();
                frames.push(frame.rows);
            }
        }
        if next.tick == after {
            return Ok(false);
        }
        let mut sums = Sorted::default();
        if let Some(said) = said {
            said.read(after, next.tick, |facts| sums.add(facts))?;
        }
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, self.number()?)?;
        for row in newest(&frames).map_err(|_| damaged(journal.path(), "a frame is none"))? {
            run.version(row)?;
        }
        for letter in letters {
            run.letter(&serde_json::to_vec(&letter).expect("a dead letter is JSON"))?;
        }
        for fact in Facts(&sums.end()?) {
            run.fact(fact)?;
        }
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

fn run_name(number: u64) -> String {
    format!("run-{number:08}")
}

fn at(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Snapshot { path: path.clone(), source }
}

fn damaged(path: &Path, what: &'static str) -> Error {
    Error::Damaged { path: path.into(), at: 0, what }
}

/// The last version of each id in some frames' rows, by id.
fn newest(frames: &[Bytes]) -> Result<Vec<&[u8]>, Malformed> {
    /// Where a row stands: the frame's number, then the place in it.
    const OFFSET_BITS: u32 = 40;
    let row = |place: u64| stored::split(&frames[(place >> OFFSET_BITS) as usize][(place & ((1 << OFFSET_BITS) - 1)) as usize..]);
    let mut all = vec![];
    for (number, frame) in frames.iter().enumerate() {
        let mut rest = frame.as_ref();
        while !rest.is_empty() {
            let (row, after) = stored::split(rest)?;
            all.push((stored::order(stored::id(row)?)?, (number as u64) << OFFSET_BITS | (frame.len() - rest.len()) as u64));
            rest = after;
        }
    }
    let row = |place| row(place).expect("read above").0;
    let id = |place| stored::id(row(place)).expect("read above");
    // This order tells nearly all ids apart; of one id the version that came last comes first.
    let by_id = |a: &(u64, u64), b: &(u64, u64)| a.0.cmp(&b.0).then_with(|| id(a.1).cmp(id(b.1))).then(b.1.cmp(&a.1));
    all.sort_unstable_by(by_id);
    all.dedup_by(|earlier, last| earlier.0 == last.0 && id(earlier.1) == id(last.1));
    Ok(all.into_iter().map(|(_, place)| row(place)).collect())
}

/// Writes a run beside its place.
struct Writer {
    files: Arc<dyn Files>,
    file: BufWriter<Stream>,
    new: PathBuf,
    path: PathBuf,
    block: Vec<u8>,
    run: Run,
}

impl Writer {
    fn new(files: Arc<dyn Files>, dir: &Path, number: u64) -> Result<Self, Error> {
        let (new, path) = (dir.join(format!(".new-{}", run_name(number))), dir.join(run_name(number)));
        let file = files.open(&new, Open::New).map_err(at(&new))?;
        let file = BufWriter::with_capacity(1 << 20, Stream::new(file));
        Ok(Writer { files, file, new, path, block: vec![], run: Run { number, bytes: 0, versions: 0, sums_at: None } })
    }

    /// `row`: without its length.
    fn version(&mut self, row: &[u8]) -> Result<(), Error> {
        stored::slice(row, &mut self.block);
        self.run.versions += 1;
        if self.block.len() >= BLOCK_BYTES { self.versions_end() } else { Ok(()) }
    }

    fn versions_end(&mut self) -> Result<(), Error> {
        self.block_end(VERSIONS)
    }

    fn block_end(&mut self, kind: u8) -> Result<(), Error> {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            self.write(kind, &block)?;
        }
        self.block = block;
        self.block.clear();
        Ok(())
    }

    /// After all versions and letters, in order.
    fn fact(&mut self, fact: Fact) -> Result<(), Error> {
        if self.run.sums_at.is_none() {
            self.versions_end()?;
            self.run.sums_at = Some(self.run.bytes);
        }
        sums::fact(fact, &mut self.block);
        if self.block.len() >= BLOCK_BYTES { self.block_end(SUMS) } else { Ok(()) }
    }

    /// After all versions.
    fn letter(&mut self, letter: &[u8]) -> Result<(), Error> {
        self.versions_end()?;
        self.write(LETTER, letter)
    }

    fn write(&mut self, kind: u8, payload: &[u8]) -> Result<(), Error> {
        let head = head(kind, payload);
        self.run.bytes += (head.len() + payload.len()) as u64;
        self.file.write_all(&head).and_then(|()| self.file.write_all(payload)).map_err(at(&self.new))
    }

    fn end(mut self) -> Result<Run, Error> {
        self.block_end(if self.run.sums_at.is_some() { SUMS } else { VERSIONS })?;
        let Writer { files, file, new, path, run, .. } = self;
        let end = || {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.file.sync()?;
            files.rename(&new, &path)?;
            // Who names it relies on its name.
            files.sync_folder(path.parent().expect("it is in the snapshots' folder"))
        };
        end().map_err(at(&new))?;
        Ok(run)
    }
}

fn head(kind: u8, payload: &[u8]) -> [u8; 9] {
    let length = u32::try_from(payload.len()).expect("blocks are short").to_le_bytes();
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length);
    sum.update(&[kind]);
    sum.update(payload);
    let mut head = [kind; 9];
    head[..4].copy_from_slice(&sum.finalize().to_le_bytes());
    head[4..8].copy_from_slice(&length);
    head
}

/// Reads a run, block by block.
struct Reader {
    file: BufReader<Stream>,
    path: PathBuf,
    bytes: u64,
    left: u64,
    kind: u8,
    block: Vec<u8>,
    /// Where the current version stands in the block, without its length.
    row: std::ops::Range<usize>,
    /// Of its id ([`stored::order`]).
    order: u64,
}

impl Reader {
    fn new(files: &dyn Files, dir: &Path, run: &Run) -> Result<Self, Error> {
        let mut reader = Self::open(files, dir, run, 0, run.sums_at.unwrap_or(run.bytes))?;
        reader.advance()?;
        Ok(reader)
    }

    /// Of its blocks from `start` to `end`.
    fn open(files: &dyn Files, dir: &Path, run: &Run, start: u64, end: u64) -> Result<Self, Error> {
        let path = dir.join(run_name(run.number));
        let file = files.open(&path, Open::Read).map_err(at(&path))?;
        if file.size().map_err(at(&path))? != run.bytes || start > end {
            return Err(damaged(&path, "its length is another"));
        }
        let file = BufReader::with_capacity(256 << 10, Stream::from(file, start));
        Ok(Reader { file, path, bytes: end, left: end - start, kind: VERSIONS, block: vec![], row: 0..0, order: 0 })
    }

    /// The current version; none where there is no more.
    fn row(&self) -> Option<&[u8]> {
        (self.kind == VERSIONS && !self.row.is_empty()).then(|| &self.block[self.row.clone()])
    }

    /// The id of the current version.
    fn id(&self) -> &[u8] {
        stored::id(&self.block[self.row.clone()]).expect("looked at when it was met")
    }

    /// By the ids of the current versions.
    fn compare(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order).then_with(|| self.id().cmp(other.id()))
    }

    /// Goes on to the next version.
    fn advance(&mut self) -> Result<(), Error> {
        if self.kind == VERSIONS && self.row.end == self.block.len() && !self.fill()? {
            self.row = 0..0;
            self.block.clear();
            return Ok(());
        }
        if self.kind == VERSIONS {
            let rest = &self.block[self.row.end..];
            let version = stored::split(rest).and_then(|(row, after)| Ok((row, after, stored::order(stored::id(row)?)?)));
            let (row, after, order) = version.map_err(|_| self.damaged("a version is none"))?;
            let end = self.block.len() - after.len();
            (self.row, self.order) = (end - row.len()..end, order);
        }
        Ok(())
    }

    /// The next dead letter; after all versions.
    fn letter(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.kind != LETTER {
            return Ok(None);
        }
        let letter = std::mem::take(&mut self.block);
        if !self.fill()? {
            self.kind = VERSIONS;
        }
        Ok(Some(letter))
    }

    /// Reads the next block; false at the end.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.left == 0 {
            return Ok(false);
        }
        let mut read = [0; 9];
        self.file.read_exact(&mut read).map_err(at(&self.path))?;
        let length = u32::from_le_bytes(read[4..8].try_into().expect("four bytes"));
        // (Also the bound of what a broken length can cost.)
        if u64::from(length) + read.len() as u64 > self.left {
            return Err(self.damaged("the length of a block cannot be true"));
        }
        self.block.resize(length as usize, 0);
        self.file.read_exact(&mut self.block).map_err(at(&self.path))?;
        if head(read[8], &self.block) != read {
            return Err(self.damaged("the checksum of a block is wrong"));
        }
        self.left -= u64::from(length) + read.len() as u64;
        (self.kind, self.row) = (read[8], 0..0);
        Ok(true)
    }

    /// In the block that comes next.
    fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged { path: self.path.clone(), at: self.bytes - self.left, what }
    }
}

/// Runs side by side, oldest first.
pub struct Merge {
    runs: Vec<Reader>,
    row: Vec<u8>,
    /// Of messages that were created before nothing is given.
    sealed_before: Option<i64>,
}

impl Merge {
    fn new(files: &dyn Files, dir: &Path, runs: &[Run], sealed_before: Option<i64>) -> Result<Self, Error> {
        let runs = runs.iter().map(|run| Reader::new(files, dir, run)).collect::<Result<_, _>>()?;
        Ok(Merge { runs, row: vec![], sealed_before })
    }

    /// The newest version of the next id, encoded, without its length.
    pub fn version(&mut self) -> Result<Option<&[u8]>, Error> {
        while self.next_id()? {
            let at = stored::at(&self.row).map_err(|_| damaged(Path::new("of a snapshot"), "a version"))?;
            if at.is_none_or(|at| Some(at) >= self.sealed_before) {
                return Ok(Some(&self.row));
            }
        }
        Ok(None)
    }

    fn next_id(&mut self) -> Result<bool, Error> {
        let mut next: Option<usize> = None;
        for (number, run) in self.runs.iter().enumerate() {
            // Of equal ids the last: that of the newest run.
            if run.row().is_some() && next.is_none_or(|least| run.compare(&self.runs[least]) != Ordering::Greater) {
                next = Some(number);
            }
        }
        let Some(newest) = next else { return Ok(false) };
        self.row.clear();
        self.row.extend_from_slice(self.runs[newest].row().expect("it has a version"));
        let (order, id) = (self.runs[newest].order, stored::id(&self.row).expect("looked at when it was met"));
        for (number, run) in self.runs.iter_mut().enumerate() {
            // (The newest may have another that is as good: `adopt`.)
            while run.row().is_some() && run.order == order && run.id() == id {
                run.advance()?;
                if number == newest {
                    break;
                }
            }
        }
        Ok(true)
    }

    /// The next dead letter, as JSON; after all versions.
    pub fn letter(&mut self) -> Result<Option<Vec<u8>>, Error> {
        for run in &mut self.runs {
            if let Some(letter) = run.letter()? {
                return Ok(Some(letter));
            }
        }
        Ok(None)
    }
}
