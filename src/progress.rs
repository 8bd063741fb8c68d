//! How far the engine has come: what of the log the store shows.
//!
//! ```text
//!   log     0 1 2 3 4 5 6 7 8 9     (one partition)
//!   bound             ^ offset 5    as of tick t the store shows records 0..5, and no other
//! ```

use crate::log::Partition;

/// A tick that has closed, and the records it covers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bound {
    /// Milliseconds since 1970; 0 before the first.
    pub tick: u64,
    /// For each partition, the first offset that is not covered. A partition that is not named is covered up to 0.
    pub offsets: Vec<(Partition, u64)>,
    /// Event time up to which records are taken to be in, seconds; none before the first.
    pub watermark: Option<i64>,
}

impl Bound {
    /// The first offset of `partition` that is not covered.
    pub fn offset(&self, partition: Partition) -> u64 {
        self.offsets.iter().find(|(p, _)| *p == partition).map_or(0, |(_, offset)| *offset)
    }

    /// The record at `offset` is shown.
    pub fn covers(&self, partition: Partition, offset: u64) -> bool {
        offset < self.offset(partition)
    }
}

/// What the engine says of itself. The truth check and the bot rely on it.
///
/// # Contract
/// - **Visible**: when `closed` has returned a bound, the store that belongs to it has applied the bound's tick.
/// - **Exact**: what that store gives back as of the bound's tick is a function of just the records below the bound's offsets and of its
///   watermark; so is a
///   row that it gives back later and that has not changed since (its `as_of` is at or below the tick).
/// - **In time**: the tick is at or after the time at which any of those records was received, by the clock of this process.
/// - **Monotonic**: neither the tick nor an offset ever goes back.
pub trait Progress: Send + Sync {
    fn closed(&self) -> Bound;
}
