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
//! 2. Of a day that is sealed it is not known any more how much was written, since that does not change; of one that is so long ago that no
//!    day to come tells of it nothing is, but for the user's first.
//! 3. A day that is so long ago is let go (`diff` 0), where sums are kept: then each view says what it gave, as things are. In the order in
//!    which days go, what they gave adds up to what there is without those that stay.
//! 4. Day, previous and next are within [`AROUND`] of each other or have nothing to do with each other: no window is longer than half of it.

use std::ops::Range;

use eddy_schemas::Name;
use eddy_schemas::sums::Kind;

use crate::batch::Batches;
use crate::calendar::{self, DAY_S};
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Keep, Moment, Moments, Update, Updates};
use crate::map::Map;
use crate::sorted::SortedBag;
use crate::sums::Teller;
use crate::until::Until;

/// Days before and after a day that are told with it.
const AROUND: i32 = 64;
/// Days after a user's first that are told.
const AFTER_FIRST: i32 = 31;

/// A user came to have a live message on a day in a community (`diff` 1), has none any more (-1), or the day is told no more (0).
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

    /// The day stays as it is, for ever, and is not told any more.
    pub fn is_let_go(&self) -> bool {
        self.diff == 0
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

/// Live messages of a user on a day of a community, and whether it was said that a sealed one is among them.
#[derive(Default)]
struct Count(u32);

const SAID: u32 = 1 << 31;

impl<K> Group<K> for Count {
    type Row = ();
    fn row(&self, _: &K) -> Option<()> {
        (self.0 > 0).then_some(())
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

struct State {
    counts: Groups<(Poster, i32), Count>,
    days: Map<Poster, SortedBag<i32>>,
    /// Days that messages may still come to or leave; days that such a day tells of.
    open: Until<Poster>,
    told: Until<Poster>,
    sums: Teller,
}

fn key(update: &Update) -> Option<(Poster, i32)> {
    let version = &update.version;
    let (true, Some(community), Some(user)) = (version.is_live(), version.community, version.user) else { return None };
    let day = i32::try_from(calendar::day(version.created_at?)).expect("times are within a century");
    Some(((community, user), day))
}

impl State {
    fn new(keep: Keep, sums: Teller) -> State {
        let days = |after: i32| Until::days(keep.messages_s.map(|_| i64::from(after) * DAY_S));
        let mut state = State { counts: Groups::default(), days: Map::default(), open: days(0), told: days(AROUND), sums };
        state.sums.restore(Kind::PosterDays, |key, _| {
            let (poster, day) = ((key.name()?, key.name()?), key.int()? as i32);
            // One message stands for all that were sealed.
            state.counts.touch((poster, day)).0 = SAID | 1;
            Ok(())
        });
        state
    }

    /// Says that a day is told (or no more).
    fn say(&mut self, (community, user): Poster, day: i32, is_told: bool) {
        self.sums.say(
            Kind::PosterDays,
            |key| key.name(community).name(user).int(day.into()),
            |known| if is_told { known.int(1) } else { known },
        );
    }

    fn change(&mut self, poster: Poster, day: i32, diff: i8, out: &mut Vec<PosterDay>) {
        let slot = self.days.slot(poster);
        let days = self.days.at_mut(slot);
        if diff < 0 {
            assert!(days.remove(&day), "retractions follow assertions");
        }
        out.push(PosterDay::new(poster.0, day, diff, days));
        if diff > 0 {
            days.insert(day);
            self.open.add(day, poster);
        } else if days.is_empty() {
            self.days.remove(slot);
        }
    }

    fn forget(&mut self, out: &mut Vec<PosterDay>) {
        while let Some((day, posters)) = self.open.next_passed() {
            for poster in posters {
                self.counts.forget(&(poster, day));
                self.told.add(day, poster);
            }
        }
        while let Some((day, posters)) = self.told.next_passed() {
            for poster in posters {
                // It may have come and gone before it was sealed.
                if let Some(slot) = self.days.find(&poster).filter(|slot| self.days.at(*slot).first() != Some(day)) {
                    let days = self.days.at_mut(slot);
                    // One that came and went before it was sealed is not there.
                    if days.remove(&day) && self.sums.is_on() {
                        out.push(PosterDay::new(poster.0, day, 0, days));
                        self.say(poster, day, false);
                    }
                }
            }
        }
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Moment;
    type Out = PosterDay;

    fn fetch(&self, update: &Update, step: usize) {
        let Some(key) = key(update) else { return };
        self.counts.fetch(&key, step);
    }

    fn main(&mut self, update: &Update) {
        if let Some(key) = key(update) {
            let count = &mut self.counts.touch(key).0;
            *count = count.checked_add_signed(i32::from(update.diff)).expect("retractions follow assertions");
            if update.is_sealed() && self.sums.is_on() && *count & SAID == 0 {
                *count |= SAID;
                self.say(key.0, key.1, true);
            }
        }
    }

    fn aside(&mut self, moment: &Moment) {
        if let Some(sealed_before) = moment.sealed_before {
            self.open.pass(sealed_before.get());
            self.told.pass(sealed_before.get());
        }
    }

    fn close(&mut self, out: &mut Vec<PosterDay>) {
        let mut moved = vec![];
        self.counts.close(|(poster, day), _, new| moved.push((poster, day, if new.is_some() { 1 } else { -1 })));
        moved.into_iter().for_each(|(poster, day, diff)| self.change(poster, day, diff, out));
        self.forget(out);
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

/// The days of users. All versions in a community must meet on one worker.
pub fn poster_days<'scope>(versions: Updates<'scope>, moments: Moments<'scope>, keep: Keep, sums: Teller) -> Batches<'scope, PosterDay> {
    fold_with(versions, moments, "PosterDays", State::new(keep, sums))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn of_sealed_days_each_first_and_what_windows_reach_is_held() {
        let mut state = State::new(Keep { messages_s: Some(0), ..Keep::default() }, Teller::default());
        let sealed_before = Some(crate::calendar::Second::new(500 * DAY_S));
        sealed::all(&mut state, |state| state.aside(&Moment { watermark: crate::calendar::Second::MAX, sealed_before }));
        assert!(state.counts.is_empty());
        assert!(state.days.len() == 5 && state.days.iter().all(|(_, days)| days.len() == 1));
    }
}
