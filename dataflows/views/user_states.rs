//! `user_states`: the users of a community by what they did in the last 30 days and in the 30 before.
//!
//! ```text
//!   now      days that a window of 30 from each of the user's days covers      ...ddd---------ddd------
//!   before   the same 30 days later                                            ......   bbb
//!   new      the first of those windows
//! ```
//!
//! The five states are sums of `now`, `before`, `both` and `new`, and each of these holds on ranges of days. A user's day that comes or goes
//! changes a few ranges; as the watermark's day moves, those that begin or end are due ([`Moving`]): no user is looked at.

use std::ops::Range;

use eddy_schemas::Name;
use eddy_schemas::rows::{UserStates, UserStatesKey};

use crate::batch::Batches;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Moment};
use crate::moving::{BEFORE as UNKNOWN, Moving, day_of};
use crate::outputs::RowChange;
use crate::streams::poster_days::PosterDay;

pub type Row = UserStates;

const MONTH: i32 = 30;
/// What is summed up.
const NOW: usize = 0;
const BEFORE: usize = 1;
const BOTH: usize = 2;
const NEW: usize = 3;
type Sums = [i32; 4];

#[derive(Default)]
struct Community {
    users: i64,
    sums: Sums,
}

impl Community {
    fn add(&mut self, sums: Sums) {
        self.sums.iter_mut().zip(sums).for_each(|(held, diff)| *held += diff);
    }
}

impl Group<Name> for Community {
    type Row = UserStates;
    fn row(&self, _: &Name) -> Option<UserStates> {
        let sum = |at: usize| i64::from(self.sums[at]);
        (self.users > 0).then(|| UserStates {
            new: sum(NEW),
            returning: sum(BOTH),
            // A new user posted in no month before.
            resurrected: sum(NOW) - sum(BOTH) - sum(NEW),
            churned: sum(BEFORE) - sum(BOTH),
            dormant: self.users - sum(NOW) - sum(BEFORE) + sum(BOTH),
        })
    }
    fn is_empty(&self) -> bool {
        self.users == 0 && self.sums == Sums::default()
    }
}

#[derive(Default)]
struct State {
    communities: Groups<Name, Community>,
    ahead: Moving<Name, 4>,
}

fn later(range: &Range<i32>, days: i32) -> Range<i32> {
    range.start + days..range.end + days
}

impl Fold for State {
    type Main = PosterDay;
    type Aside = Moment;
    type Out = RowChange<UserStates>;

    fn main(&mut self, day: &PosterDay) {
        // What it gave has ended by now.
        if day.is_let_go() {
            return;
        }
        let diff = i32::from(day.diff);
        let mut hold = |sum: usize, range: Range<i32>, diff: i32| {
            let mut sums = Sums::default();
            sums[sum] = diff;
            if let Some(sums) = self.ahead.add(day.community, range, sums) {
                self.communities.touch(day.community).add(sums);
            }
        };
        let fresh = day.covers(MONTH);
        if !fresh.is_empty() {
            let (earlier, after) = (later(&fresh, -MONTH), later(&fresh, MONTH));
            day.covered(earlier, MONTH).iter().for_each(|range| hold(BOTH, later(range, MONTH), diff));
            day.covered(after.clone(), MONTH).into_iter().for_each(|range| hold(BOTH, range, diff));
            hold(NOW, fresh, diff);
            hold(BEFORE, after, diff);
        }
        if day.is_first() {
            hold(NEW, day.day..day.day + MONTH, diff);
            match day.other_first {
                Some(first) => hold(NEW, first..first + MONTH, -diff),
                None => self.communities.touch(day.community).users += i64::from(diff),
            }
        }
    }

    fn aside(&mut self, moment: &Moment) {
        let communities = &mut self.communities;
        self.ahead.advance(day_of(moment), |community, sums| communities.touch(community).add(sums));
    }

    fn close(&mut self, out: &mut Vec<RowChange<UserStates>>) {
        // Before any watermark nothing is said; what was touched is said with the first.
        if self.ahead.today != UNKNOWN {
            self.communities.close(|community, _, row| out.push(RowChange { key: UserStatesKey { community }, row }));
        }
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<UserStates>> {
    fold_with(inputs.poster_days(), inputs.moments(), "UserStates", State::default())
}
