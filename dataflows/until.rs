//! What is kept by hour or day, until that has passed.
//!
//! ```text
//!   [ passed | first | ... ]        add(unit, key) --> calendar --[ pass ]--> next_passed: the keys of a unit that has passed
//! ```
//!
//! # Invariants
//! 1. `first` never goes back; what is added to a unit that has passed is given back at once.

use crate::calendar::{Calendar, DAY_S, HOUR_S};

/// Keys by the hour or day that they are kept for.
pub struct Until<K> {
    /// What passes, and by so many seconds later than it ends; none: nothing ever does.
    keep_s: Option<i64>,
    unit_s: i64,
    first: i64,
    due: Calendar<Vec<K>>,
}

impl<K> Until<K> {
    pub fn hours(keep_s: Option<i64>) -> Self {
        Until { keep_s, unit_s: HOUR_S, first: i64::MIN, due: Calendar::default() }
    }

    pub fn days(keep_s: Option<i64>) -> Self {
        Until { unit_s: DAY_S, ..Self::hours(keep_s) }
    }

    /// Time has come to `now`: what ended more than so long before has passed.
    pub fn pass(&mut self, now: i64) {
        if let Some(keep_s) = self.keep_s {
            // The last unit that may stay ends at `now - keep_s` or after it.
            self.first = self.first.max(-(keep_s - now).div_euclid(self.unit_s) - 1);
        }
    }

    pub fn has_passed(&self, unit: i32) -> bool {
        i64::from(unit) < self.first
    }

    /// Keeps a key until the unit has passed. It may be given back more than once if it is added more than once.
    pub fn add(&mut self, unit: i32, key: K) {
        if self.is_on() {
            self.due.at(i64::from(unit)).push(key);
        }
    }

    /// Whether anything passes at all.
    pub fn is_on(&self) -> bool {
        self.keep_s.is_some()
    }

    /// The keys of a unit that has passed, the earliest first.
    pub fn next_passed(&mut self) -> Option<(i32, Vec<K>)> {
        let (unit, keys) = self.due.due(self.first.checked_sub(1)?)?;
        Some((i32::try_from(unit).expect("added as such"), keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_passes_once_it_has_ended_so_long_ago() {
        let mut until = Until::hours(Some(60));
        until.add(2, 'a');
        until.pass(3 * HOUR_S + 60);
        assert!(!until.has_passed(2) && until.next_passed().is_none());
        until.pass(3 * HOUR_S + 61);
        assert!(until.has_passed(2) && !until.has_passed(3));
        until.pass(0);
        assert_eq!(until.next_passed(), Some((2, vec!['a'])));
        assert_eq!(until.next_passed(), None);
    }

    #[test]
    fn nothing_passes_that_is_kept_for_ever() {
        let mut until = Until::days(None);
        until.add(0, ());
        until.pass(1 << 40);
        assert!(!until.has_passed(0) && until.next_passed().is_none());
    }
}
