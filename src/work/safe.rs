//! How far the work is safe in all processes: snapshots go so far and no farther.
//!
//! ```text
//!   process 1:  every worker has closed t --fsync of its frames--> Kept(t) --> process 0: the least of all --Safe(t)--> recovery points
//! ```
//!
//! Where messages are sealed, snapshots are made together (`engine::snapshot::together`):
//!
//! ```text
//!   process 0:  its frames fill a segment, and all have taken the one before --Want(t)--> each makes one up to t --Took(t)--> process 0
//! ```
//!
//! (Messages are spread evenly, and so are frames: the segment of one speaks for all.)
//!
//! A tick closes nowhere before the frames of all workers are written, but what is written goes with the power of its machine: a snapshot that
//! holds a tick which another process has lost would be of a time that never was.
//!
//! With `--shared` a tick is safe where it is in the store (`state::shared`): there, too, no snapshot may be ahead of another process's frames. And a
//! process has taken a snapshot once that is in the store: there, too, all have one of the same tick.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::words::Word;
use crate::cli::Error;
use crate::cluster::Links;
use crate::engine::Frontiers;
use crate::engine::durable::{self, Durable};
use crate::engine::snapshot::together::Together;

use super::state::Mirror;

/// What processes have said, each of itself.
pub(super) struct Safe {
    kept: Vec<AtomicU64>,
    /// Of all.
    all: AtomicU64,
    /// Which snapshot is wanted of all, and which each has made, where they are made together.
    wanted: AtomicU64,
    took: Vec<AtomicU64>,
    own: OnceLock<Own>,
}

/// This process's ticks.
pub(super) struct Own {
    pub frontiers: Arc<Frontiers>,
    pub durable: Arc<Durable>,
    /// Where snapshots are made together.
    pub together: Option<Arc<Together>>,
    /// There is much to adopt: the first snapshot does not wait for more to do.
    pub adopts: bool,
    /// Ships what is kept to a store.
    pub mirror: Option<Arc<Mirror>>,
}

impl Safe {
    pub fn new(processes: usize) -> Safe {
        let none = || (0..processes).map(|_| AtomicU64::new(0)).collect();
        Safe { kept: none(), all: AtomicU64::new(0), wanted: AtomicU64::new(0), took: none(), own: OnceLock::new() }
    }

    /// Another process has these ticks on its disk.
    pub fn kept(&self, process: usize, tick: u64) {
        self.kept[process].fetch_max(tick, Ordering::AcqRel);
    }

    /// All processes have them.
    pub fn all(&self, tick: u64) {
        self.all.fetch_max(tick, Ordering::AcqRel);
    }

    /// A snapshot of the ticks up to this one is wanted of all.
    pub fn want(&self, tick: u64) {
        self.wanted.fetch_max(tick, Ordering::AcqRel);
    }

    /// A process has it.
    pub fn took(&self, process: usize, tick: u64) {
        self.took[process].fetch_max(tick, Ordering::AcqRel);
    }

    /// This process's ticks are kept from now on.
    pub fn keep(&self, own: Own) {
        assert!(self.own.set(own).is_ok(), "kept once");
    }

    /// All processes have said that they have the ticks up to this one; 0: one has said nothing yet.
    pub fn least(&self) -> u64 {
        least(&self.kept)
    }

    /// Makes safe what has closed, says so, and has snapshots made up to what all have. Now and then.
    pub fn look(&self, links: &Links) -> Result<(), durable::Error> {
        let Some(Own { frontiers, durable, together, adopts, mirror }) = self.own.get() else { return Ok(()) };
        let me = links.party.process;
        // First how far it is, then whether all of that was written: a tick whose frame could not be has closed, too.
        let closed = mirror.as_ref().map_or_else(|| frontiers.frontier().saturating_sub(1), |mirror| mirror.shipped());
        if closed > self.kept[me].load(Ordering::Acquire) && !durable.is_recovering() && !durable.has_failed() {
            durable.sync()?;
            self.kept(me, closed);
            if me > 0 {
                links.say(0, &Word::Kept(closed).encode());
            }
        }
        // Until its manifest is there, what is in the store is of the generation before.
        if me == 0 && mirror.as_ref().is_none_or(|mirror| mirror.is_committed()) {
            let least = self.least();
            if least > self.all.load(Ordering::Acquire) {
                self.all(least);
                links.say_all(&Word::Safe(least).encode());
            }
        }
        durable.set_recovery_point(self.all.load(Ordering::Acquire));
        if let Some(together) = together {
            let is_first = self.wanted() == 0;
            self.take(together, durable.is_full() || (is_first && *adopts), links);
        }
        Ok(())
    }

    /// Has the snapshot made that is wanted, and says when it is; process 0 says which is.
    fn take(&self, together: &Together, has_work: bool, links: &Links) {
        let me = links.party.process;
        if me == 0
            && has_work
            && let Some(next) = self.next()
        {
            self.want(next);
            links.say_all(&Word::Want(next).encode());
        }
        together.want(self.wanted());
        let took = together.took();
        if took > self.took[me].load(Ordering::Acquire) {
            self.took(me, took);
            if me > 0 {
                links.say(0, &Word::Took(took).encode());
            }
        }
    }

    pub fn wanted(&self) -> u64 {
        self.wanted.load(Ordering::Acquire)
    }

    /// The snapshot that may be wanted next; none before all have the last one.
    pub fn next(&self) -> Option<u64> {
        let (all, wanted) = (self.all.load(Ordering::Acquire), self.wanted());
        (all > wanted && least(&self.took) == wanted).then_some(all)
    }
}

fn least(of: &[AtomicU64]) -> u64 {
    of.iter().map(|of| of.load(Ordering::Acquire)).min().unwrap_or(0)
}

/// What went wrong with what was to be kept.
pub(super) fn not_kept(e: durable::Error) -> Error {
    Error::failed("the state could not be kept", e)
}
