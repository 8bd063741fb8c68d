//! The recovery point: the least of what the sinks have that are not rebuilt after a restart.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::engine::durable::Durable;

/// A sink's place among them.
pub type Number = usize;

/// The topic of dead letters, which the sink thread appends to.
pub const LETTERS: Number = 0;

pub struct Uppers {
    durable: Option<Arc<Durable>>,
    /// Of the dead letters, then of each changelog.
    of: Mutex<Vec<u64>>,
}

impl Uppers {
    /// `changelogs`: what each has.
    pub fn new(durable: Option<Arc<Durable>>, changelogs: impl Iterator<Item = u64>) -> Uppers {
        let uppers = Uppers { durable, of: Mutex::new(std::iter::once(0).chain(changelogs).collect()) };
        uppers.set(LETTERS, 0);
        uppers
    }

    /// A sink has everything up to this tick.
    pub fn set(&self, sink: Number, tick: u64) {
        let mut of = self.of.lock();
        of[sink] = of[sink].max(tick);
        if let Some(durable) = &self.durable {
            durable.set_recovery_point(of.iter().copied().min().unwrap_or(0));
        }
    }
}
