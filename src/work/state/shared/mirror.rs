//! The thread that ships, beside the work.
//!
//! ```text
//!   each second:  every worker has closed t --> what is written goes to disk --> Shipper --> this process has shipped t --> `safe`
//!                                                                               process 0, once all have shipped: commit, sweep
//! ```
//!
//! A store that cannot be reached stops nothing: it is tried again, and meanwhile no snapshot is made, so that the frames wait in D. That is said
//! once, and when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Error, Shipper};
use crate::cli::{self, chain, say};
use crate::cluster::{Left, Links};
use crate::engine::Frontiers;
use crate::engine::durable::Durable;
use crate::journal::Journal;
use crate::work::safe::{Safe, not_kept};

/// Between two passes: about how far the mirror lags where the store is fast enough.
const SHIP_EVERY: Duration = Duration::from_secs(1);
/// Until the generation is in the store: what is lost before that is all that it did.
const SHIP_FIRST: Duration = Duration::from_millis(100);
/// After a pass that failed.
const SHIP_AGAIN: Duration = Duration::from_secs(3);
/// How often who waits looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a process has shipped.
pub(in crate::work) struct Mirror {
    url: String,
    /// Ticks up to this one are in the store.
    shipped: AtomicU64,
    /// The manifest is, too. (In process 0.)
    is_committed: AtomicBool,
    /// Nothing of older ones is.
    is_swept: AtomicBool,
    pieces: Arc<AtomicU64>,
    to_ship: Mutex<Option<(Shipper, Arc<Journal>)>>,
    standing: Mutex<Standing>,
    moved: Condvar,
}

#[derive(Default)]
struct Standing {
    /// Nothing more is written.
    ending: bool,
    /// All of that is in the store.
    is_whole: bool,
    /// Since when it lags, and why.
    lags: Option<(Instant, String)>,
}

/// What is told how far the work is.
#[derive(Clone)]
pub(in crate::work) struct Work {
    pub frontiers: Arc<Frontiers>,
    pub durable: Arc<Durable>,
    pub safe: Arc<Safe>,
    pub links: Arc<Links>,
}

impl Mirror {
    pub fn new(shipper: Shipper, journal: Arc<Journal>) -> Mirror {
        Mirror {
            url: shipper.shared.url.clone(),
            shipped: AtomicU64::new(0),
            is_committed: AtomicBool::new(false),
            is_swept: AtomicBool::new(false),
            pieces: Arc::clone(&shipper.pieces),
            to_ship: Mutex::new(Some((shipper, journal))),
            standing: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    /// Ships from now on.
    pub fn start(self: &Arc<Self>, work: Work) -> std::io::Result<()> {
        let mirror = Arc::clone(self);
        let (mut shipper, journal) = self.to_ship.lock().take().expect("started once");
        let run = move || {
            let (mut wait, mut ending) = (Duration::ZERO, false);
            loop {
                ending = mirror.wait(wait, ending);
                let shipped = mirror.pass(&mut shipper, &journal, &work);
                // Whoever was frozen in its last pass has to hear what happened meanwhile.
                let shipped = shipped.and_then(|is_whole| if ending { shipper.check().map(|()| is_whole) } else { Ok(is_whole) });
                wait = match shipped {
                    Ok(is_whole) => {
                        mirror.goes_on(is_whole && ending);
                        if is_whole { SHIP_EVERY } else { SHIP_FIRST }
                    }
                    Err(Error::Ends(error)) => work.links.leave(&Left::Failed(error)),
                    Err(error) => {
                        mirror.lags(&chain(&error));
                        SHIP_AGAIN
                    }
                };
            }
        };
        std::thread::Builder::new().name("eddy-ship".into()).spawn(run).map(drop)
    }

    /// Waits so long, or until it hears of the end; tells whether that has come.
    fn wait(&self, long: Duration, knew: bool) -> bool {
        let until = Instant::now() + long;
        let mut standing = self.standing.lock();
        while standing.ending == knew && !self.moved.wait_until(&mut standing, until).timed_out() {}
        standing.ending
    }

    /// Ships what is there now; false where there is more to do.
    fn pass(&self, shipper: &mut Shipper, journal: &Journal, work: &Work) -> Result<bool, Error> {
        // First how far it is, then all that was written.
        let closed = work.frontiers.frontier().saturating_sub(1);
        if work.durable.is_recovering() || work.durable.has_failed() {
            return Ok(false);
        }
        work.durable.sync().map_err(|e| Error::Ends(not_kept(e)))?;
        if !shipper.ship(journal)? {
            return Ok(false);
        }
        self.shipped.fetch_max(closed, Ordering::AcqRel);
        if closed == 0 {
            return Ok(false);
        }
        if work.links.party.process > 0 {
            return Ok(true);
        }
        work.safe.kept(0, closed);
        if work.safe.least() == 0 {
            return Ok(false);
        }
        if !self.is_committed() {
            shipper.commit()?;
            self.is_committed.store(true, Ordering::Release);
        }
        if !self.is_swept.load(Ordering::Relaxed) {
            shipper.sweep()?;
            self.is_swept.store(true, Ordering::Relaxed);
        }
        Ok(true)
    }

    fn goes_on(&self, is_whole: bool) {
        let mut standing = self.standing.lock();
        standing.is_whole |= is_whole;
        if let Some((since, _)) = standing.lags.take() {
            say(&format!("eddy: the mirror in {} goes on, after {} s", self.url, since.elapsed().as_secs()));
        }
        self.moved.notify_all();
    }

    fn lags(&self, why: &str) {
        let mut standing = self.standing.lock();
        if standing.lags.is_none() {
            say(&format!("eddy: the mirror in {} lags, and the work goes on: {why}", self.url));
        }
        let since = standing.lags.take().map_or_else(Instant::now, |(since, _)| since);
        standing.lags = Some((since, why.into()));
    }

    /// Ticks up to this one are in the store.
    pub fn shipped(&self) -> u64 {
        self.shipped.load(Ordering::Acquire)
    }

    /// The store has this generation.
    pub fn is_committed(&self) -> bool {
        self.is_committed.load(Ordering::Acquire)
    }

    /// Nothing more is written: waits until all is shipped. Where for `stalled_max` no piece has gone, no longer.
    pub fn finish(&self, stalled_max: Duration, look: &mut dyn FnMut() -> Result<(), cli::Error>) -> Result<(), cli::Error> {
        let (mut pieces, mut moved_at) = (self.pieces.load(Ordering::Relaxed), Instant::now());
        let mut standing = self.standing.lock();
        standing.ending = true;
        self.moved.notify_all();
        while !standing.is_whole {
            self.moved.wait_for(&mut standing, LOOK_EVERY);
            let now = self.pieces.load(Ordering::Relaxed);
            if now != std::mem::replace(&mut pieces, now) {
                moved_at = Instant::now();
            }
            if moved_at.elapsed() > stalled_max {
                let why = standing.lags.take().map_or("other processes have not shipped theirs".into(), |(_, why)| why);
                let what = format!("the work is done and its state is in --data-dir, but the mirror in {} lags: {why}", self.url);
                return Err(cli::Error::Failed { what: format!("{what}; the same command again ships the rest"), source: None });
            }
            look()?;
        }
        Ok(())
    }
}
