//! Days on which a user posted in a community, as they come and go: what windows, states and cohorts of users are made of.
//!
//! ```text
//!   others   F . . p . . . d . . n      each change of d says where F is, and which days lie around d: one bit a day
//! ```
//!
//! It is said where the community is. Views sum up what follows from a change and keep nothing of the user: the days are kept here, once.
//!
//! # Invariants
//! 1. Each change is said with the user's other days as they are at that change, so sums over a history of changes depend on its end alone.
//! 2. Day, previous and next are within [`AROUND`] of each other or have nothing to do with each other: no window is longer than half of it.

use std::ops::Range;

use eddy_schemas::Name;

use crate::batch::Batches;
use crate::calendar;
use crate::fold::{Fold, Nothing, fold};
use crate::inputs::Updates;
use crate::map::Map;
use crate::sorted::SortedBag;
use crate::streams::distinct::{Transition, distinct};

/// Days before and after a day that are told with it.
const AROUND: i32 = 64;
/// Days after a user's first that are told.
const AFTER_FIRST: i32 = 31;

/// A user came to have a live message on a day in a community (`diff` 1), or has none any more (-1).
#[derive(Clone, Copy, Debug)]
pub struct PosterDay {
    pub community: Name,
    pub day: i32,
    pub diff: i8,
    /// The first of the user's other days there.
    pub other_first: Option<i32>,
    /// Bit n: n + 1 days after that first; none where it stays the first.
    after_first: u32,
    /// Bit n: an other day, `day` - 64 + n.
    around: u128,
}

impl PosterDay {
    fn new(community: Name, day: i32, diff: i8, others: &SortedBag<i32>) -> Self {
        let near = |start: i32, length: i32| others.from(&start).take_while(move |at| *at < start + length).map(move |at| at - start);
        let other_first = others.first();
        let moves = other_first.filter(|first| day < *first);
        PosterDay {
            community,
            day,
            diff,
            other_first,
            after_first: moves.map_or(0, |first| near(first + 1, AFTER_FIRST).fold(0, |bits, at| bits | 1 << at)),
            around: near(day - AROUND, 2 * AROUND).fold(0, |bits, at| bits | 1 << at),
        }
    }

    /// Whether the user's first day there is (or was) this one.
    pub fn is_first(&self) -> bool {
        self.other_first.is_none_or(|first| self.day < first)
    }

    /// Whether the user also posted so many days after this one.
    pub fn posted_after(&self, days: i32) -> bool {
        self.around & 1 << (AROUND + days) != 0
    }

    /// The same for the first of the other days, where this day comes before it.
    pub fn posted_after_first(&self, days: i32) -> bool {
        self.after_first & 1 << (days - 1) != 0
    }

    /// The latest other day up to `day`, not too far back.
    fn latest(&self, day: i32) -> Option<i32> {
        let kept = self.around & (u128::MAX >> (2 * AROUND - 1 - self.bit(day)));
        (kept != 0).then(|| self.day - AROUND + kept.ilog2() as i32)
    }

    /// The earliest other day from `day`, not too far ahead.
    fn earliest(&self, day: i32) -> Option<i32> {
        let kept = self.around & (u128::MAX << self.bit(day));
        (kept != 0).then(|| self.day - AROUND + kept.trailing_zeros() as i32)
    }

    fn bit(&self, day: i32) -> i32 {
        let bit = day - self.day + AROUND;
        assert!((0..2 * AROUND).contains(&bit), "windows are not longer than what is told");
        bit
    }

    /// The days whose windows of `length` days hold this day and none of the others.
    pub fn covers(&self, length: i32) -> Range<i32> {
        let (previous, next) = (self.latest(self.day), self.earliest(self.day));
        previous.map_or(self.day, |at| self.day.max(at + length))..next.map_or(self.day + length, |at| at.min(self.day + length))
    }

    /// Those days of a range, no longer than `length`, whose windows of `length` days hold one of the others.
    pub fn covered(&self, range: Range<i32>, length: i32) -> [Range<i32>; 2] {
        // What is before reaches into the range; what begins in it reaches to its end.
        let reached = self.latest(range.start).map_or(range.start, |at| (at + length).clamp(range.start, range.end));
        let begun = self.earliest(range.start + 1).map_or(range.end, |at| at.clamp(reached, range.end));
        [range.start..reached, begun..range.end]
    }
}

/// A user of a community.
type Poster = (Name, Name);

#[derive(Default)]
struct State {
    days: Map<Poster, SortedBag<i32>>,
    said: Vec<PosterDay>,
}

impl Fold for State {
    type Main = Transition<Poster, i32>;
    type Aside = Nothing;
    type Out = PosterDay;

    fn fetch(&self, pair: &Transition<Poster, i32>, step: usize) {
        if let Some(days) = self.days.fetch(&pair.left, step) {
            days.fetch();
        }
    }

    fn main(&mut self, Transition { left: poster, right: day, diff }: &Transition<Poster, i32>) {
        let slot = self.days.slot(*poster);
        let days = self.days.at_mut(slot);
        if *diff < 0 {
            assert!(days.remove(day), "retractions follow assertions");
        }
        self.said.push(PosterDay::new(poster.0, *day, *diff, days));
        if *diff > 0 {
            days.insert(*day);
        } else if days.is_empty() {
            self.days.remove(slot);
        }
    }

    fn at_once(&mut self, out: &mut Vec<PosterDay>) {
        out.append(&mut self.said);
    }

    fn close(&mut self, _out: &mut Vec<PosterDay>) {}
}

/// The days of users. All versions in a community must meet on one worker.
pub fn poster_days<'scope>(versions: Updates<'scope>) -> Batches<'scope, PosterDay> {
    let days = distinct(versions, "PosterDayPairs", |version| {
        let day = i32::try_from(calendar::day(version.created_at?)).expect("times are within a century");
        Some(((version.community?, version.user?), day))
    });
    fold(days, "PosterDays", State::default())
}
