//! Event time in the units that views use, and what is due when.
//!
//! ```text
//!   Calendar:   bucket 19,700: T    bucket 19,703: T    ...        due(19,702) takes the first out
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

/// Seconds of an hour, a day.
pub const HOUR_S: i64 = 3_600;
pub const DAY_S: i64 = 86_400;

pub fn hour(seconds: i64) -> i64 {
    seconds.div_euclid(HOUR_S)
}

pub fn day(seconds: i64) -> i64 {
    seconds.div_euclid(DAY_S)
}

/// A time in 32 bits, ordered: 1935 to 2071. Parsers refuse what lies outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Second(u32);

/// 1935-12-22.
const EPOCH: i64 = -(1 << 30);
/// Times that a [`Second`] can hold.
pub const SECONDS: std::ops::RangeInclusive<i64> = EPOCH..=EPOCH + u32::MAX as i64;

impl Second {
    pub const MIN: Second = Second(0);
    pub const MAX: Second = Second(u32::MAX);

    pub fn new(seconds: i64) -> Second {
        Second(u32::try_from(seconds - EPOCH).expect("parsers refuse times outside 1935 to 2071"))
    }

    /// The second after this one.
    pub fn next(self) -> Option<Second> {
        self.0.checked_add(1).map(Second)
    }

    pub fn get(self) -> i64 {
        i64::from(self.0) + EPOCH
    }
}

/// Due work in buckets of one unit of time (a day, a minute: whoever keeps it says), released bucket by bucket.
///
/// # Contract
/// - **Cost.** That nothing is due costs a look at the first bucket, whatever waits. What is due costs what is in it: time that jumps goes
///   from bucket to bucket, never through empty ones.
/// - **Bound.** A bucket is there while it has something; what it may hold is its keeper's affair.
#[derive(Debug)]
pub struct Calendar<T> {
    buckets: BTreeMap<i64, T>,
}

impl<T> Default for Calendar<T> {
    fn default() -> Self {
        Calendar { buckets: BTreeMap::new() }
    }
}

impl<T: Default> Calendar<T> {
    /// What is due at `bucket`, to be added to.
    pub fn at(&mut self, bucket: i64) -> &mut T {
        self.buckets.entry(bucket).or_default()
    }

    /// Takes something out of a bucket that has it; the bucket goes when `take` says that it is empty now.
    pub fn take(&mut self, bucket: i64, take: impl FnOnce(&mut T) -> bool) {
        if let Entry::Occupied(mut entry) = self.buckets.entry(bucket)
            && take(entry.get_mut())
        {
            entry.remove();
        }
    }

    /// Takes the earliest bucket out, if it is due by `now`.
    pub fn due(&mut self, now: i64) -> Option<(i64, T)> {
        let first = self.buckets.first_entry().filter(|first| *first.key() <= now)?;
        #[cfg(test)]
        crate::work::add();
        Some(first.remove_entry())
    }

    /// How many buckets wait.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Calendar;

    #[test]
    fn buckets_come_due_in_order_and_once() {
        let mut calendar: Calendar<Vec<&str>> = Calendar::default();
        calendar.at(7).push("b");
        calendar.at(-3).push("a");
        calendar.at(7).push("c");
        calendar.at(1 << 40).push("far");
        assert_eq!(calendar.due(-4), None);
        assert_eq!(calendar.due(6), Some((-3, vec!["a"])));
        assert_eq!(calendar.due(6), None);
        assert_eq!(calendar.due(1 << 39), Some((7, vec!["b", "c"])));
        assert_eq!((calendar.due(1 << 39), calendar.len()), (None, 1));
    }

    #[test]
    fn an_emptied_bucket_goes() {
        let mut calendar: Calendar<Vec<u8>> = Calendar::default();
        calendar.at(1).extend([1, 2]);
        let mut take = |item| {
            calendar.take(1, |bucket| {
                bucket.retain(|held| *held != item);
                bucket.is_empty()
            })
        };
        take(1);
        take(2);
        // Of what is not there nothing is taken.
        take(3);
        assert!(calendar.is_empty());
    }
}
