//! How far the work is safe in all processes: snapshots go so far and no farther.
//!
//! ```text
//!   process 1:  every worker has closed t --fsync of its frames--> Kept(t) --> process 0: the least of all --Safe(t)--> recovery points
//! ```
//!
//! A tick closes nowhere before the frames of all workers are written, but what is written goes with the power of its machine: a snapshot that
//! holds a tick which another process has lost would be of a time that never was.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::words::Word;
use crate::cli::Error;
use crate::cluster::Links;
use crate::engine::Frontiers;
use crate::engine::durable::{self, Durable};

/// What processes have said, each of itself.
pub(super) struct Safe {
    kept: Vec<AtomicU64>,
    /// Of all.
    all: AtomicU64,
    own: OnceLock<(Arc<Frontiers>, Arc<Durable>)>,
}

impl Safe {
    pub fn new(processes: usize) -> Safe {
        Safe { kept: (0..processes).map(|_| AtomicU64::new(0)).collect(), all: AtomicU64::new(0), own: OnceLock::new() }
    }

    /// Another process has these ticks on its disk.
    pub fn kept(&self, process: usize, tick: u64) {
        self.kept[process].fetch_max(tick, Ordering::AcqRel);
    }

    /// All processes have them.
    pub fn all(&self, tick: u64) {
        self.all.fetch_max(tick, Ordering::AcqRel);
    }

    /// This process's ticks are kept from now on.
    pub fn keep(&self, frontiers: Arc<Frontiers>, durable: Arc<Durable>) {
        assert!(self.own.set((frontiers, durable)).is_ok(), "kept once");
    }

    /// Makes safe what has closed, says so, and has snapshots made up to what all have. Now and then.
    pub fn look(&self, links: &Links) -> Result<(), durable::Error> {
        let Some((frontiers, durable)) = self.own.get() else { return Ok(()) };
        let me = links.party.process;
        // First how far it is, then whether all of that was written: a tick whose frame could not be has closed, too.
        let closed = frontiers.frontier().saturating_sub(1);
        if closed > self.kept[me].load(Ordering::Acquire) && !durable.is_recovering() && !durable.has_failed() {
            durable.sync()?;
            self.kept(me, closed);
            if me > 0 {
                links.say(0, &Word::Kept(closed).encode());
            }
        }
        if me == 0 {
            let least = self.kept.iter().map(|kept| kept.load(Ordering::Acquire)).min().unwrap_or(0);
            if least > self.all.load(Ordering::Acquire) {
                self.all(least);
                links.say_all(&Word::Safe(least).encode());
            }
        }
        durable.set_recovery_point(self.all.load(Ordering::Acquire));
        Ok(())
    }
}

/// What went wrong with what was to be kept.
pub(super) fn not_kept(e: durable::Error) -> Error {
    Error::failed("the state could not be kept", e)
}
