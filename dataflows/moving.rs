//! Sums that follow the day: what holds on a range of days counts from its first to its last, with nobody looking in between.
//!
//! ```text
//!   add(key, 10..40, +1)      today 12: +1 at once, -1 due on 40       today 5: +1 due on 10, -1 on 40       today 41: nothing
//! ```
//!
//! # Invariants
//! 1. What is due is later than today. So a day that moves on costs what is due then, and one that stays costs nothing.
//! 2. Until the first day is known it is before all others: nothing counts yet.

use std::hash::Hash;
use std::ops::Range;

use hashbrown::HashMap;

use crate::Moment;
use crate::calendar::{self, Calendar};

/// Before any watermark.
pub const BEFORE: i32 = i32::MIN;

/// The day of a moment, since 1970.
pub fn day_of(moment: &Moment) -> i32 {
    i32::try_from(calendar::day(moment.watermark.get())).expect("times are within a century")
}

type Sums<const N: usize> = [i32; N];

/// What becomes of sums by key as the day moves.
pub struct Moving<K, const N: usize> {
    pub today: i32,
    ahead: Calendar<HashMap<K, Sums<N>, foldhash::fast::FixedState>>,
}

impl<K, const N: usize> Default for Moving<K, N> {
    fn default() -> Self {
        Moving { today: BEFORE, ahead: Calendar::default() }
    }
}

impl<K: Copy + Eq + Hash, const N: usize> Moving<K, N> {
    /// `sums` count on the days of `range`. Gives them where today is one.
    pub fn add(&mut self, key: K, range: Range<i32>, sums: Sums<N>) -> Option<Sums<N>> {
        if range.is_empty() || range.end <= self.today {
            return None;
        }
        let counts = range.start <= self.today;
        if !counts {
            self.change(range.start, key, sums);
        }
        self.change(range.end, key, sums.map(|sum| -sum));
        counts.then_some(sums)
    }

    fn change(&mut self, day: i32, key: K, sums: Sums<N>) {
        let due = self.ahead.at(day.into());
        let held = due.entry(key).or_insert([0; N]);
        held.iter_mut().zip(sums).for_each(|(held, sum)| *held += sum);
        if *held == [0; N] {
            due.remove(&key);
        }
    }

    /// It is `day` now: says what changes by that. False where it was already.
    pub fn advance(&mut self, day: i32, mut say: impl FnMut(K, Sums<N>)) -> bool {
        if day <= self.today {
            return false;
        }
        self.today = day;
        while let Some((_, due)) = self.ahead.due(day.into()) {
            due.into_iter().for_each(|(key, sums)| say(key, sums));
        }
        true
    }
}
