//! What makes ticks outlive the process: the frames of all workers for a tick are in the journal before the tick closes.
//!
//! ```text
//!   Parse --Mark: end of tick, its tally--> Ingest --closing(tick)--> frame: head | versions that came to win --> journal
//!                                                                                        (schemas/frame.rs)
//!   after a restart:  journal --Ticks--> whole ticks, in order --> Engine::recover --> each as its own tick, with its number
//! ```
//!
//! # Invariants
//! 1. Ingest holds a tick open until its frame is written: no sink is told that a tick has closed which a killed process could lose.
//! 2. What a frame refers to (texts) is written before it.
//! 3. After a frame could not be written none is, unless that one is: there is never one that lacks those before it.
//! 4. Frames after the recovery point stay: no snapshot has them.
//! 5. What operators keep of sealed messages is no part of frames, since those give it again; only snapshots hold it (`sums.rs`).
//! 6. Where several processes seal messages, none makes a snapshot by itself (`snapshot::together`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use eddy_schemas::control::DeadLetter;
use eddy_schemas::frame::{self, Head, Tally};
use eddy_schemas::stored::Malformed;
use parking_lot::Mutex;
use tracing::warn;

use super::snapshot::Snapshots;
use super::snapshot::together::Together;
use super::sums::Book;
use super::watermark::{Greatest, Time};
use crate::cli::chain;
use crate::journal::{self, Journal};
use crate::spool::Spool;
use crate::{pause, record};

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
    #[error("{} is damaged at byte {at}: {what}", .path.display())]
    Damaged { path: PathBuf, at: u64, what: &'static str },
    #[error("{} is damaged at byte {at}: frames of ticks up to {until} were there", .path.display())]
    Lacks { path: PathBuf, at: u64, until: u64 },
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error("the state in {folder} has {before}, and is asked for {now}: give what it was begun with, or another --data-dir")]
    Retention { folder: String, before: String, now: String },
    #[error("what the state refers to could not be written")]
    Referred(#[source] io::Error),
}

impl Error {
    /// The state is not what was written, and stays so: it can be made anew.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Error::Journal(journal::Error::Corrupt { .. })
                | Error::Frame { source: frame::Error::Malformed(_), .. }
                | Error::Rows { .. }
                | Error::Damaged { .. }
                | Error::Lacks { .. }
                | Error::Record(record::Error::Damaged { .. })
        )
    }

    /// Trying again may help: there was no room. (A journal that cannot be tried again says so the next time.)
    fn is_transient(&self) -> bool {
        matches!(self, Error::Journal(journal::Error::Io { .. }) | Error::Referred(_))
    }
}

/// What frames refer to and do not hold.
pub trait Referred: Send + Sync {
    /// Makes it safe against a killed process.
    fn flush(&self) -> io::Result<()>;
    /// Makes what was flushed safe against a power cut.
    fn sync(&self) -> io::Result<()>;
}

impl Referred for Vec<Arc<Spool>> {
    fn flush(&self) -> io::Result<()> {
        self.iter().try_for_each(|spool| spool.flush())
    }

    fn sync(&self) -> io::Result<()> {
        self.iter().try_for_each(|spool| spool.sync())
    }
}

/// Told why a frame waits, and when it does not any more.
pub type Waiting = Box<dyn Fn(Option<&Error>) + Send + Sync>;

/// What becomes of a frame for which there is no room.
pub enum NoRoom {
    /// It ends the work.
    Fails,
    /// It waits, and with it the work, until there is room again.
    Waits(Waiting),
}

/// When frames are made safe against a power cut. Against a killed process they are safe at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fsync {
    /// At most this long after they are written.
    Within(Duration),
    /// Before the tick closes.
    Tick,
    /// When [`Durable::sync`] is called; and snapshots are made when [`Durable::take_snapshot`] is. Nothing is done beside the work.
    Asked,
}

/// What a worker's parser says at the end of a tick.
#[derive(Clone, Debug, Default)]
pub struct Mark {
    /// What the tick was made from; the first worker's only.
    pub binding: String,
    /// What was read, ignored and dead.
    pub tally: Tally,
    pub letters: Vec<DeadLetter>,
    /// The greatest created_at that was read of each partition.
    pub greatest: Greatest,
    /// What decides the time of the tick; the first worker's only.
    pub time: Option<Time>,
}

/// The journal of frames, open for writing.
pub struct Durable {
    journal: Arc<Journal>,
    referred: Arc<dyn Referred>,
    fsync: Fsync,
    no_room: NoRoom,
    ending: AtomicBool,
    recovering: AtomicBool,
    /// Every sink that is not rebuilt has all of the ticks up to this one.
    recovery_point: Arc<AtomicU64>,
    failed: Arc<Failure>,
    /// Threads beside the work.
    syncer: Option<Beside>,
    snapshots: Mutex<Option<Beside>>,
    /// Who makes snapshots where no thread does.
    asked: Mutex<Option<Keeper>>,
    /// What is said of sealed messages; none: none ever is.
    book: Option<Arc<Book>>,
    /// Snapshots are made when all processes make one.
    together: Option<Arc<Together>>,
}

/// Makes snapshots.
struct Keeper {
    journal: Arc<Journal>,
    referred: Arc<dyn Referred>,
    recovery_point: Arc<AtomicU64>,
    snapshots: Snapshots,
    book: Option<Arc<Book>>,
    together: Option<Arc<Together>>,
}

impl Keeper {
    /// There is something to make one of.
    fn has_work(&self) -> bool {
        if let Some(together) = &self.together {
            return together.is_wanted(self.book.as_ref().map_or(u64::MAX, |book| book.upto()));
        }
        self.snapshots.has_to_adopt() || self.journal.sealed_end() > self.journal.range().start
    }

    fn take(&mut self) -> Result<(), Error> {
        let book = self.book.as_ref();
        // What a snapshot refers to has no frames that could be read again.
        self.referred.sync().map_err(Error::Referred)?;
        if let Some(together) = &self.together {
            return together.make(|upto| self.snapshots.take_together(&self.journal, upto, book.map(|book| &book.said)));
        }
        let upto = self.recovery_point.load(Ordering::Acquire).min(book.map_or(u64::MAX, |book| book.upto()));
        self.snapshots.take(&self.journal, upto, book.map(|book| &book.said))
    }
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

    /// It has happened, and who found it says why.
    fn has_been_told(&self) {
        self.happened.store(true, Ordering::Release);
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
/// After a frame for which there was no room.
const FRAME_AGAIN: Duration = Duration::from_millis(100);

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
    pub fn new(journal: Arc<Journal>, referred: Arc<dyn Referred>, fsync: Fsync, no_room: NoRoom) -> io::Result<Durable> {
        let failed = Arc::<Failure>::default();
        let mut syncer = None;
        if let Fsync::Within(within) = fsync {
            let (journal, referred, failed) = (Arc::clone(&journal), Arc::clone(&referred), Arc::clone(&failed));
            let work = move || {
                if let Err(e) = sync(&journal, &*referred) {
                    failed.set(e);
                }
            };
            syncer = Some(beside("eddy-sync", within, work)?);
        }
        Ok(Durable {
            journal,
            referred,
            fsync,
            no_room,
            ending: AtomicBool::new(false),
            recovering: AtomicBool::new(true),
            recovery_point: Arc::new(AtomicU64::new(u64::MAX)),
            failed,
            syncer,
            snapshots: Mutex::default(),
            asked: Mutex::default(),
            book: None,
            together: None,
        })
    }

    /// What workers say of sealed messages goes into snapshots, too.
    pub fn keeping(mut self, book: Option<Book>) -> Durable {
        self.book = book.map(Arc::new);
        self
    }

    /// Snapshots are made when [`Together`] says that all processes make one.
    pub fn together_with(mut self, together: Arc<Together>) -> Durable {
        self.together = Some(together);
        self
    }

    /// What is said of sealed messages, where any are.
    pub fn book(&self) -> Option<&Arc<Book>> {
        self.book.as_ref()
    }

    /// Every sink that is not rebuilt after a restart has, durably, what the ticks up to this one changed. Without such sinks it need not
    /// be told; with them it is, before [`keep_small`](Self::keep_small).
    pub fn set_recovery_point(&self, tick: u64) {
        self.recovery_point.store(tick, Ordering::Release);
    }

    /// Frames have filled a segment of the journal since the last snapshot was made.
    pub fn is_full(&self) -> bool {
        self.together.as_ref().is_some_and(|together| self.journal.sealed_end() > together.looked_at())
    }

    /// Makes snapshots from now on, beside the work, whenever a segment of the journal is sealed.
    pub fn keep_small(&self, snapshots: Snapshots) -> io::Result<()> {
        let (journal, referred, recovery_point) = (Arc::clone(&self.journal), Arc::clone(&self.referred), Arc::clone(&self.recovery_point));
        let (book, together) = (self.book.clone(), self.together.clone());
        let mut keeper = Keeper { journal, referred, recovery_point, snapshots, book, together };
        if self.fsync == Fsync::Asked {
            *self.asked.lock() = Some(keeper);
            return Ok(());
        }
        let (mut not_before, mut has_failed) = (Instant::now(), false);
        let work = move || {
            if !keeper.has_work() || Instant::now() < not_before {
                return;
            }
            not_before = Instant::now();
            let made = keeper.take();
            let failed_before = std::mem::replace(&mut has_failed, made.is_err());
            match made {
                // Whatever is left waits for a sink.
                Ok(()) if keeper.has_work() => not_before += SNAPSHOT_LOOK,
                Ok(()) => {}
                Err(e) => {
                    // The frames stay until one can be made. That it is tried again and again is told once.
                    if !failed_before {
                        warn!(error = %chain(&e), "no snapshot could be made");
                    }
                    not_before += SNAPSHOT_AGAIN;
                }
            }
        };
        *self.snapshots.lock() = Some(beside("eddy-snapshot", SNAPSHOT_LOOK, work)?);
        Ok(())
    }

    /// Makes a snapshot, where nothing is done beside the work ([`Fsync::Asked`]) and there is something to make it of.
    pub fn take_snapshot(&self) -> Result<(), Error> {
        self.asked.lock().as_mut().filter(|keeper| keeper.has_work()).map_or(Ok(()), Keeper::take)
    }

    /// What is there has been fed: from now on frames are written.
    pub fn recovered(&self) {
        self.recovering.store(false, Ordering::Release);
    }

    pub fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::Acquire)
    }

    /// Writes a frame, unless one failed before.
    pub fn write(&self, head: &Head, rows: &[u8]) {
        let (mut waited, mut bytes) = (false, vec![]);
        head.encode(&mut bytes);
        while !self.has_failed() {
            match (self.try_write([&bytes, rows]), &self.no_room) {
                (Ok(()), no_room) => {
                    if let NoRoom::Waits(tell) = no_room
                        && waited
                    {
                        tell(None);
                    }
                    if let Some((call, _)) = &*self.snapshots.lock() {
                        // It may be at it already.
                        let _ = call.try_send(());
                    }
                    return;
                }
                (Err(e), NoRoom::Waits(tell)) if e.is_transient() && !self.ending.load(Ordering::Acquire) => {
                    tell(Some(&e));
                    waited = true;
                    std::thread::sleep(FRAME_AGAIN);
                }
                (Err(e), _) => self.failed.set(e),
            }
        }
    }

    fn try_write(&self, frame: [&[u8]; 2]) -> Result<(), Error> {
        self.referred.flush().map_err(Error::Referred)?;
        pause::at("frame");
        self.journal.append_parts(std::iter::once(frame))?;
        pause::at("framed");
        if self.fsync == Fsync::Tick { sync(&self.journal, &*self.referred) } else { Ok(()) }
    }

    /// Nothing waits for room any more.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// Says that the rows of a frame were not what this eddy writes.
    pub fn malformed(&self, malformed: Malformed) {
        self.fail(Error::Rows { path: self.journal.path().display().to_string(), source: malformed });
    }

    /// Nothing is written any more.
    pub fn fail(&self, why: Error) {
        self.failed.set(why);
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
        // What it may have lost is not written again: so nothing is any more.
        sync(&self.journal, &*self.referred).inspect_err(|_| self.failed.has_been_told())
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

/// In this order: no frame on disk may refer to what is not.
fn sync(journal: &Journal, referred: &dyn Referred) -> Result<(), Error> {
    referred.sync().map_err(Error::Referred)?;
    Ok(journal.sync()?)
}
