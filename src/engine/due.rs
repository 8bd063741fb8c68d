//! When slots are due: by minutes while they wait, by seconds in the minute that is being sealed.
//!
//! ```text
//!   minutes:  28,401,002: [slot slot ...]   28,401,003: [...]   ...        four bytes a slot that waits
//!   seconds:  of the minute that has begun to be due: 1,704,060,061: [slot ...]   1,704,060,062: [...]
//! ```
//!
//! With one bucket a second a slot that waits would cost many times its four bytes where messages are few; with minutes alone all of a minute
//! would be sealed in one tick, and whoever reads would wait for it.
//!
//! # Invariants
//! 1. Whatever is due before a second comes out once that is asked for, at most once for each time it was added, and nothing in between is lost.
//! 2. A slot that is asked for when its minute begins goes to the second that it has by then: one that has none, or is of another minute, goes
//!    nowhere, since it was added for that one, too.

use eddy_dataflows::calendar::{Calendar, MINUTE_S};

#[derive(Default)]
pub struct Due {
    minutes: Calendar<Vec<u32>>,
    /// Of minutes up to `begun`.
    seconds: Calendar<Vec<u32>>,
    begun: Option<i64>,
}

fn minute(at: i64) -> i64 {
    at.div_euclid(MINUTE_S)
}

impl Due {
    /// A slot is due after this second.
    pub fn add(&mut self, at: i64, slot: u32) {
        let bucket = if Some(minute(at)) <= self.begun { self.seconds.at(at) } else { self.minutes.at(minute(at)) };
        bucket.push(slot);
    }

    /// Some of the slots that are due before this second, until there are none. `now_at` says what second a slot has by now.
    pub fn before(&mut self, second: i64, now_at: impl Fn(u32) -> Option<i64>) -> Option<Vec<u32>> {
        if let Some(slots) = self.seconds.due(second - 1) {
            return Some(slots.1);
        }
        let (begins, slots) = self.minutes.due(minute(second))?;
        self.begun = Some(begins);
        if begins < minute(second) {
            return Some(slots);
        }
        for slot in slots {
            if let Some(at) = now_at(slot).filter(|at| minute(*at) == begins) {
                self.seconds.at(at).push(slot);
            }
        }
        self.seconds.due(second - 1).map(|(_, slots)| slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(due: &mut Due, second: i64, at: &[i64]) -> Vec<u32> {
        let mut slots: Vec<u32> = std::iter::from_fn(|| due.before(second, |slot| at.get(slot as usize).copied())).flatten().collect();
        slots.sort_unstable();
        slots
    }

    #[test]
    fn slots_come_due_by_the_second() {
        let at = [-1, 0, 59, 60, 61, 61, 119, 7_200];
        let mut due = Due::default();
        (0..).zip(at).for_each(|(slot, at)| due.add(at, slot));
        assert!(all(&mut due, -1, &at).is_empty());
        assert_eq!(all(&mut due, 0, &at), [0]);
        assert_eq!(all(&mut due, 61, &at), [1, 2, 3], "a second is not due before it is over");
        due.add(61, 8);
        due.add(118, 9);
        assert_eq!(all(&mut due, 62, &at), [4, 5, 8], "also what comes while its minute is being sealed");
        assert!(all(&mut due, 118, &at).is_empty());
        assert_eq!(all(&mut due, 7_200, &at), [6, 9], "a jump takes all on its way");
        assert_eq!(all(&mut due, 7_201, &at), [7]);
    }

    #[test]
    fn a_slot_that_has_another_time_by_then_waits_for_that() {
        let mut due = Due::default();
        due.add(70, 0);
        due.add(100, 0);
        due.add(70, 1);
        due.add(500, 1);
        assert!(all(&mut due, 90, &[100, 500]).is_empty());
        assert_eq!(all(&mut due, 101, &[100, 500]), [0, 0], "it was added twice: whoever takes it out does so once");
        assert_eq!(all(&mut due, 501, &[100, 500]), [1]);
    }
}
