//! The partitions of the log as the driver sees them: which ones the watermark waits for.
//!
//! ```text
//!   brought something, or its source is stalled  --> active: waited for        nothing for a bound --> idle: left out
//! ```
//!
//! How long a partition has been silent is told by the monotonic clock: a clock that jumps makes nobody idle.
//!
//! # Invariants
//! 1. A partition whose source is stalled is never idle: what it holds back is still to come. It is visible as stalled, and so is why the
//!    watermark stands.

use serde::Serialize;

/// How a partition is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    Active,
    /// It has brought nothing for longer than the bound.
    Idle,
    /// Its source cannot bring what it has.
    Stalled,
}

#[derive(Clone, Copy)]
struct Partition {
    /// Monotonic milliseconds.
    brought_ms: i64,
    stalled: bool,
}

/// All partitions, by their numbers.
pub struct Partitions {
    idle_after_ms: i64,
    partitions: Vec<(u32, Partition)>,
}

impl Partitions {
    /// At the start each is waited for.
    pub fn new(numbers: impl IntoIterator<Item = u32>, idle_after_ms: i64, monotonic_ms: i64) -> Self {
        let partition = Partition { brought_ms: monotonic_ms, stalled: false };
        Partitions { idle_after_ms, partitions: numbers.into_iter().map(|number| (number, partition)).collect() }
    }

    /// Records came from this partition.
    pub fn brought(&mut self, number: u32, monotonic_ms: i64) {
        if let Some((_, partition)) = self.partitions.iter_mut().find(|(known, _)| *known == number) {
            partition.brought_ms = monotonic_ms;
        }
    }

    /// Sources of all partitions are, or are no longer, stalled. Having been is not silence.
    pub fn stalled(&mut self, stalled: bool, monotonic_ms: i64) {
        for (_, partition) in &mut self.partitions {
            if partition.stalled && !stalled {
                partition.brought_ms = monotonic_ms;
            }
            partition.stalled = stalled;
        }
    }

    pub fn all(&self, monotonic_ms: i64) -> impl Iterator<Item = (u32, Activity)> + '_ {
        self.partitions.iter().map(move |(number, partition)| {
            let activity = if partition.stalled {
                Activity::Stalled
            } else if monotonic_ms - partition.brought_ms > self.idle_after_ms {
                Activity::Idle
            } else {
                Activity::Active
            };
            (*number, activity)
        })
    }

    /// Those that the watermark waits for.
    pub fn active(&self, monotonic_ms: i64) -> Vec<u32> {
        self.all(monotonic_ms).filter(|(_, activity)| *activity != Activity::Idle).map(|(number, _)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_partition_is_idle_until_it_brings_something() {
        let mut partitions = Partitions::new([3, 5], 1_000, 0);
        partitions.brought(3, 900);
        assert_eq!(partitions.active(1_000), [3, 5]);
        assert_eq!(partitions.active(1_001), [3]);
        assert_eq!(partitions.active(5_000), [0; 0]);
        partitions.brought(5, 5_000);
        assert_eq!(partitions.active(5_000), [5]);
    }

    #[test]
    fn a_stalled_partition_is_seen_and_waited_for() {
        let mut partitions = Partitions::new([0], 1_000, 0);
        partitions.stalled(true, 10);
        assert_eq!(partitions.all(90_000).collect::<Vec<_>>(), [(0, Activity::Stalled)]);
        assert_eq!(partitions.active(90_000), [0]);
        partitions.stalled(false, 90_000);
        assert_eq!(partitions.all(91_000).collect::<Vec<_>>(), [(0, Activity::Active)]);
        assert_eq!(partitions.all(91_001).collect::<Vec<_>>(), [(0, Activity::Idle)]);
    }
}
