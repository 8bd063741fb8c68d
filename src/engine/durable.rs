//! What makes ticks outlive the process: the frames of all workers for a tick are in the journal before the tick closes.
//!
//! ```text
//!   Parse --Mark: end of tick, its tally--> Ingest --closing(tick)--> frame: head | versions that came to win --> journal
//!                                                                                        (schemas/frame.rs)
//!   after a restart:  journal --Frames--> whole ticks, in order --> Engine::recover --> each as its own tick, with its number
//! ```
//!
//! # Invariants
//! 1. Ingest holds a tick open until its frame is written: no sink is told that a tick has closed which a killed process could lose.
//! 2. What a frame refers to (texts) is written before it.
//! 3. After a frame could not be written none is: there is never one that lacks those before it.
//! 4. A tick counts if the frames of all its workers are there. One that does not was never told to anybody; its number is not used
//!    again.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use eddy_dataflows::calendar::Second;
use eddy_schemas::control::DeadLetter;
use eddy_schemas::frame::{self, Head, Tally};
use eddy_schemas::stored::Malformed;
use parking_lot::Mutex;
use tracing::warn;

use super::snapshot::Snapshots;
use crate::cli::chain;
use crate::journal::{self, Journal};
use crate::record;
use crate::spool::Spool;

/// Bytes of frames read at once.
const READ_BYTES: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error("the state in {path}, frame {number}: {source}")]
    Frame { path: String, number: u64, source: frame::Error },
    #[error("the state in {path}: {source}")]
    Rows { path: String, source: Malformed },
    #[error("the snapshot {path}")]
    Snapshot { path: String, source: io::Error },
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error("the texts of the state could not be written")]
    Texts(#[source] io::Error),
}

/// When frames are made safe against a power cut. Against a killed process they are safe at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fsync {
    /// At most this long after they are written.
    Within(Duration),
    /// Before the tick closes.
    Tick,
    /// When [`Durable::sync`] is called.
    Asked,
}

/// What a worker's parser says at the end of a tick.
#[derive(Debug, Default)]
pub struct Mark {
    /// What the tick was made from; the first worker's only.
    pub binding: String,
    /// What was read, ignored and dead.
    pub tally: Tally,
    pub letters: Vec<DeadLetter>,
    /// The greatest created_at that was read.
    pub greatest: Option<Second>,
}

/// The journal of frames, open for writing.
pub struct Durable {
    journal: Arc<Journal>,
    /// What frames refer to.
    texts: Vec<Arc<Spool>>,
    fsync: Fsync,
    recovering: AtomicBool,
    failed: Arc<Failure>,
    /// Threads beside the work.
    syncer: Option<Beside>,
    snapshots: Mutex<Option<Beside>>,
}

/// Why nothing is written any more. Once it has happened it stays so, though it is told only once.
#[derive(Default)]
struct Failure {
    happened: AtomicBool,
    why: Mutex<Option<Error>>,
}

impl Failure {
    fn set(&self, error: Error) {
        let mut why = self.why.lock();
        if !self.happened.swap(true, Ordering::AcqRel) {
            *why = Some(error);
        }
    }

    fn happened(&self) -> bool {
        self.happened.load(Ordering::Acquire)
    }
}

/// A thread, and what calls it.
type Beside = (Sender<()>, JoinHandle<()>);

/// How often it is looked, at least, whether there are frames to make a snapshot of.
const SNAPSHOT_LOOK: Duration = Duration::from_secs(1);
/// After a snapshot that could not be made.
const SNAPSHOT_AGAIN: Duration = Duration::from_secs(10);

/// Calls `work` each time that `every` has passed or a message comes, until the sender is dropped.
fn beside(name: &str, every: Duration, mut work: impl FnMut() + Send + 'static) -> io::Result<Beside> {
    let (call, called) = bounded::<()>(1);
    let run = move || {
        while !called.recv_timeout(every).is_err_and(|e| e.is_disconnected()) {
            work();
        }
    };
    Ok((call, std::thread::Builder::new().name(name.into()).spawn(run)?))
}

impl Durable {
    /// Goes on where a journal ends. Until [`Durable::recovered`] nothing is written: what comes has been written before.
    pub fn new(journal: Arc<Journal>, texts: Vec<Arc<Spool>>, fsync: Fsync) -> io::Result<Durable> {
        let failed = Arc::<Failure>::default();
        let mut syncer = None;
        if let Fsync::Within(within) = fsync {
            let (journal, texts, failed) = (Arc::clone(&journal), texts.clone(), Arc::clone(&failed));
            let work = move || {
                if let Err(e) = sync(&journal, &texts) {
                    failed.set(e);
                }
            };
            syncer = Some(beside("eddy-sync", within, work)?);
        }
        Ok(Durable { journal, texts, fsync, recovering: AtomicBool::new(true), failed, syncer, snapshots: Mutex::default() })
    }

    /// Makes snapshots from now on, beside the work, whenever a segment of the journal is sealed.
    pub fn keep_small(&self, mut snapshots: Snapshots) -> io::Result<()> {
        let (journal, mut not_before) = (Arc::clone(&self.journal), Instant::now());
        let work = move || {
            if journal.sealed_end() == journal.range().start || Instant::now() < not_before {
                return;
            }
            if let Err(e) = snapshots.take(&journal) {
                // The frames stay until one can be made.
                warn!(error = %chain(&e), "no snapshot could be made");
                not_before = Instant::now() + SNAPSHOT_AGAIN;
            }
        };
        *self.snapshots.lock() = Some(beside("eddy-snapshot", SNAPSHOT_LOOK, work)?);
        Ok(())
    }

    /// What is there has been fed: from now on frames are written.
    pub fn recovered(&self) {
        self.recovering.store(false, Ordering::Release);
    }

    pub fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::Acquire)
    }

    /// Writes a frame, unless one failed before.
    pub fn write(&self, frame: &[u8]) {
        if self.has_failed() {
            return;
        }
        match self.try_write(frame) {
            Err(e) => self.failed.set(e),
            Ok(()) => {
                if let Some((call, _)) = &*self.snapshots.lock() {
                    // It may be at it already.
                    let _ = call.try_send(());
                }
            }
        }
    }

    fn try_write(&self, frame: &[u8]) -> Result<(), Error> {
        self.texts.iter().try_for_each(|texts| texts.flush()).map_err(Error::Texts)?;
        self.journal.append(&[frame])?;
        if self.fsync == Fsync::Tick { sync(&self.journal, &self.texts) } else { Ok(()) }
    }

    /// Says that the rows of a frame were not what this eddy writes.
    pub fn fail(&self, malformed: Malformed) {
        self.failed.set(Error::Rows { path: self.journal.path().display().to_string(), source: malformed });
    }

    pub fn has_failed(&self) -> bool {
        self.failed.happened()
    }

    /// An error says why nothing is written any more: what has closed since is not durable, and must not be told. It is given once.
    pub fn check(&self) -> Result<(), Error> {
        self.failed.why.lock().take().map_or(Ok(()), Err)
    }

    /// Makes everything written safe against a power cut; or says why it is not all there, as `check` does.
    pub fn sync(&self) -> Result<(), Error> {
        self.check()?;
        sync(&self.journal, &self.texts)
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        for (call, thread) in self.syncer.take().into_iter().chain(self.snapshots.get_mut().take()) {
            drop(call);
            // It does not panic; if it did, there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Texts first: no frame on disk may refer to what is not.
fn sync(journal: &Journal, texts: &[Arc<Spool>]) -> Result<(), Error> {
    texts.iter().try_for_each(|texts| texts.sync()).map_err(Error::Texts)?;
    Ok(journal.sync()?)
}

/// A tick as it was decided.
#[derive(Debug)]
pub struct Tick {
    pub number: u64,
    /// Of all its workers.
    pub frames: Vec<Frame>,
}

#[derive(Debug)]
pub struct Frame {
    pub head: Head,
    /// Its versions, encoded.
    pub rows: Vec<u8>,
}

impl Tick {
    /// What it was made from.
    pub fn binding(&self) -> &str {
        self.frames.iter().find(|frame| frame.head.worker == 0).map_or("", |frame| &frame.head.binding)
    }
}

/// Reads whole ticks from a journal, in order.
pub struct Ticks<'a> {
    journal: &'a Journal,
    /// Frames that were read, by number.
    frames: VecDeque<(u64, Frame)>,
    /// The frame to be read next.
    next: u64,
    /// Frames from this number on are left alone.
    end: u64,
    /// Ticks up to this one are left out: a snapshot has them.
    after: u64,
    /// Ticks that lack frames, and the number of the first of those.
    open: BTreeMap<u64, (u64, Vec<Frame>)>,
    /// The greatest tick met, whole or not.
    pub last: u64,
}

impl<'a> Ticks<'a> {
    /// Of all frames, after this tick.
    pub fn after(journal: &'a Journal, after: u64) -> Self {
        Self::until(journal, u64::MAX, after)
    }

    /// Of the frames before `end`, after this tick.
    pub fn until(journal: &'a Journal, end: u64, after: u64) -> Self {
        Ticks { journal, frames: VecDeque::new(), next: journal.range().start, end, after, open: BTreeMap::new(), last: after }
    }

    /// The first frame of a tick that was not whole yet; those before it have been given.
    pub fn needed(&self) -> u64 {
        let open = self.open.values().map(|(number, _)| *number).min();
        open.unwrap_or(self.end).min(self.end)
    }

    /// The next whole tick; none at the end.
    pub fn next_whole(&mut self) -> Result<Option<Tick>, Error> {
        loop {
            let Some((number, frame)) = self.frames.pop_front() else {
                if !self.fill()? {
                    return Ok(None);
                }
                continue;
            };
            let (tick, workers) = (frame.head.tick, frame.head.workers as usize);
            self.last = self.last.max(tick);
            if tick <= self.after {
                continue;
            }
            let (_, frames) = self.open.entry(tick).or_insert_with(|| (number, vec![]));
            frames.push(frame);
            if frames.len() == workers {
                let (_, frames) = self.open.remove(&tick).expect("it was just there");
                // Older ones lack what a crash has cut off: a worker writes its frames in order.
                self.open = self.open.split_off(&tick);
                return Ok(Some(Tick { number: tick, frames }));
            }
        }
    }

    /// Reads more frames; false at the end.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.next >= self.end {
            return Ok(false);
        }
        let chunk = self.journal.read(self.next, READ_BYTES)?;
        for (number, bytes) in chunk.iter().take_while(|(number, _)| *number < self.end) {
            let path = || self.journal.path().display().to_string();
            let (head, rows) = Head::decode(bytes).map_err(|source| Error::Frame { path: path(), number, source })?;
            self.frames.push_back((number, Frame { head, rows: rows.to_vec() }));
        }
        self.next = chunk.next();
        Ok(!chunk.is_empty())
    }
}
