//! Snapshots: what frames said, made small, so that neither the disk nor a restart grows with the history.
//!
//! ```text
//!   journal of frames:  [ sealed | sealed | active ]        snapshot.json: up to which tick, its binding and tally, which runs
//!                         \_______/ newest version of each id, sorted
//!                             v
//!   runs:  run-7   run-8   run-9            too many: the small ones are merged into one, the newest version of an id wins
//!
//!   run:   { crc32 | length | kind | payload }*        kind 1: versions, sorted by their ids (`stored::order`)      2: a dead letter
//! ```
//!
//! Made beside the work, from the disk: nobody waits for it.
//!
//! # Invariants
//! 1. `snapshot.json` names whole runs that are on disk, and all that the ticks up to its own left. It is replaced at once.
//! 2. Frames go only after the snapshot that has them is named.
//! 3. A run holds an id once, unless nobody can tell which version wins (`adopt`); that of a later run wins.
//! 4. Its tick is at or before the recovery point: what comes after is fed tick by tick.

pub mod adopt;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use eddy_schemas::frame::{self, Head, Tally};
use eddy_schemas::stored::{self, Malformed};
use serde::{Deserialize, Serialize};

use super::durable::{Error, Share, Ticks};
use crate::files::{self, Files, Open, Stream};
use crate::journal::Journal;
use crate::{pause, record};

/// Of `snapshot.json` and of runs. What is newer is refused.
const FORMAT: u32 = 2;
/// Runs that may be there before some are merged.
const RUNS_MAX: usize = 8;
/// About how much a block of a run holds.
const BLOCK_BYTES: usize = 64 << 10;

const VERSIONS: u8 = 1;
const LETTER: u8 = 2;

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
}

/// The snapshots in a folder.
pub struct Snapshots {
    files: Arc<dyn Files>,
    dir: PathBuf,
    pub manifest: Manifest,
    share: Share,
    to_adopt: Vec<adopt::Source>,
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
        let manifest = record::read_in(&*files, &path, FORMAT)?.unwrap_or_default();
        // A killed process may have named a snapshot and not have come to sync that: what it does not name goes only after it.
        files.sync_folder(dir).map_err(at(dir))?;
        let snapshots = Snapshots { files, dir: dir.to_owned(), manifest, share: Share::WHOLE, to_adopt: vec![] };
        snapshots.sweep().map_err(at(dir))?;
        Ok(snapshots)
    }

    /// Those of a journal that is one of several.
    pub fn among(self, share: Share) -> Snapshots {
        Snapshots { share, ..self }
    }

    /// Of the next run: no run has it, not even one of a snapshot that was named and may not be.
    fn number(&self) -> Result<u64, Error> {
        let names = self.files.names(&self.dir).map_err(at(&self.dir))?;
        let there = names.iter().filter_map(|name| name.strip_prefix("run-")?.parse().ok());
        Ok(there.chain(self.manifest.runs.iter().map(|run| run.number)).max().unwrap_or(0) + 1)
    }

    /// Removes runs that are not named.
    fn sweep(&self) -> io::Result<()> {
        for name in self.files.names(&self.dir)? {
            let named = self.manifest.runs.iter().any(|run| name == run_name(run.number));
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

    /// The newest version of each message, then the dead letters.
    pub fn read(&self) -> Result<Merge, Error> {
        Merge::new(&*self.files, &self.dir, &self.manifest.runs)
    }

    /// Makes a snapshot of the ticks up to `upto` in the journal's sealed segments, if there are any, and lets go of their frames.
    pub fn take(&mut self, journal: &Journal, upto: u64) -> Result<(), Error> {
        self.adopt()?;
        while self.take_some(journal, upto)? {}
        Ok(())
    }

    /// The same of about a segment's ticks, which are in memory meanwhile; false where there are none.
    fn take_some(&mut self, journal: &Journal, upto: u64) -> Result<bool, Error> {
        let mut ticks = Ticks::until(journal, journal.sealed_end(), self.manifest.tick, upto).among(self.share.journals);
        let mut next = self.manifest.clone();
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
        if next.tick == self.manifest.tick {
            return Ok(false);
        }
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, self.number()?)?;
        for row in newest(&frames).map_err(|_| damaged(journal.path(), "a frame is none"))? {
            run.version(row)?;
        }
        for letter in letters {
            run.letter(&serde_json::to_vec(&letter).expect("a dead letter is JSON"))?;
        }
        next.runs.push(run.end()?);
        next.needed = Some(ticks.needed());
        self.publish(next)?;
        // If we crash here, the frames are there twice; those up to the snapshot's tick are left out.
        journal.truncate_before(ticks.needed())?;
        self.merge()?;
        Ok(true)
    }

    /// Makes one run of all that is there, the journal's ticks too, as [`rewrite_runs`](Self::rewrite_runs) does. What it leaves out is in no
    /// file any more. External sinks that have not got all of it must be made anew.
    pub fn rewrite(
        &mut self,
        journal: &Journal,
        keep: impl FnMut(&[u8]) -> Result<bool, Malformed>,
        letter: impl FnMut(Vec<u8>) -> Vec<u8>,
    ) -> Result<(), Error> {
        journal.roll()?;
        self.take(journal, u64::MAX)?;
        // What is left of the journal are frames of ticks that were never whole.
        self.manifest.needed = Some(journal.range().end);
        self.rewrite_runs(keep, letter)?;
        journal.truncate_before(journal.range().end)?;
        Ok(())
    }

    /// Makes one run of all runs: of the versions that `keep` says, and of dead letters as `letter` makes them.
    pub fn rewrite_runs(
        &mut self,
        mut keep: impl FnMut(&[u8]) -> Result<bool, Malformed>,
        mut letter: impl FnMut(Vec<u8>) -> Vec<u8>,
    ) -> Result<(), Error> {
        let mut next = self.manifest.clone();
        let mut merge = Merge::new(&*self.files, &self.dir, &next.runs)?;
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, self.number()?)?;
        while let Some(row) = merge.version()? {
            if keep(row).map_err(|_| damaged(&self.dir, "a version is none"))? {
                run.version(row)?;
            }
        }
        while let Some(read) = merge.letter()? {
            run.letter(&letter(read))?;
        }
        next.runs = vec![run.end()?];
        self.publish(next)
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
        let mut merge = Merge::new(&*self.files, &self.dir, &runs[first..])?;
        let mut run = Writer::new(Arc::clone(&self.files), &self.dir, self.number()?)?;
        while let Some(row) = merge.version()? {
            run.version(row)?;
        }
        while let Some(letter) = merge.letter()? {
            run.letter(&letter)?;
        }
        next.runs.truncate(first);
        next.runs.push(run.end()?);
        self.publish(next)
    }

    /// Names another snapshot, and removes the runs that it does not name.
    fn publish(&mut self, next: Manifest) -> Result<(), Error> {
        let path = self.dir.join("snapshot.json");
        pause::at("snapshot");
        record::write_in(&*self.files, &path, FORMAT, &next).map_err(at(&path))?;
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
        Ok(Writer { files, file, new, path, block: vec![], run: Run { number, bytes: 0, versions: 0 } })
    }

    /// `row`: without its length.
    fn version(&mut self, row: &[u8]) -> Result<(), Error> {
        stored::slice(row, &mut self.block);
        self.run.versions += 1;
        if self.block.len() >= BLOCK_BYTES { self.versions_end() } else { Ok(()) }
    }

    fn versions_end(&mut self) -> Result<(), Error> {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            self.write(VERSIONS, &block)?;
        }
        self.block = block;
        self.block.clear();
        Ok(())
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
        self.versions_end()?;
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
        let path = dir.join(run_name(run.number));
        let file = files.open(&path, Open::Read).map_err(at(&path))?;
        if file.size().map_err(at(&path))? != run.bytes {
            return Err(damaged(&path, "its length is another"));
        }
        let mut reader = Reader {
            file: BufReader::with_capacity(256 << 10, Stream::new(file)),
            path,
            bytes: run.bytes,
            left: run.bytes,
            kind: VERSIONS,
            block: vec![],
            row: 0..0,
            order: 0,
        };
        reader.advance()?;
        Ok(reader)
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
}

impl Merge {
    fn new(files: &dyn Files, dir: &Path, runs: &[Run]) -> Result<Self, Error> {
        let runs = runs.iter().map(|run| Reader::new(files, dir, run)).collect::<Result<_, _>>()?;
        Ok(Merge { runs, row: vec![] })
    }

    /// The newest version of the next id, encoded, without its length.
    pub fn version(&mut self) -> Result<Option<&[u8]>, Error> {
        let mut next: Option<usize> = None;
        for (number, run) in self.runs.iter().enumerate() {
            // Of equal ids the last: that of the newest run.
            if run.row().is_some() && next.is_none_or(|least| run.compare(&self.runs[least]) != Ordering::Greater) {
                next = Some(number);
            }
        }
        let Some(newest) = next else { return Ok(None) };
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
        Ok(Some(&self.row))
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
