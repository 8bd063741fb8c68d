//! `community_activity`: the distinct users of the 1, 7 and 30 days that end with the watermark's.
//!
//! A user's day makes new users of those days whose windows hold no other day of that user (`community_days.rs` has the picture). All of
//! them follow each other: a count that begins with the first and ends after the last, due when the watermark gets there. So neither
//! messages nor days cost by the number of users; a new day costs a row of each community that has one, since each says the day.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityActivity, CommunityActivityKey};

use crate::batch::Batches;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Moment};
use crate::moving::{Moving, day_of};
use crate::outputs::RowChange;
use crate::streams::poster_days::PosterDay;

pub type Row = CommunityActivity;

/// Distinct users of a day, a week, a month.
const LENGTHS: [i32; 3] = [1, 7, 30];

#[derive(Default)]
struct Activity {
    as_of_day: i32,
    posters: [i32; LENGTHS.len()],
}

impl Activity {
    fn add(&mut self, today: i32, posters: [i32; LENGTHS.len()]) {
        self.as_of_day = today;
        self.posters.iter_mut().zip(posters).for_each(|(held, diff)| *held += diff);
    }
}

impl Group<Name> for Activity {
    type Row = CommunityActivity;
    fn row(&self, _: &Name) -> Option<CommunityActivity> {
        let [dau, wau, mau] = self.posters.map(i64::from);
        (mau > 0).then_some(CommunityActivity { as_of_day: i64::from(self.as_of_day), dau, wau, mau })
    }
    fn is_empty(&self) -> bool {
        self.posters == [0; LENGTHS.len()]
    }
}

#[derive(Default)]
struct State {
    communities: Groups<Name, Activity>,
    ahead: Moving<Name, { LENGTHS.len() }>,
}

impl Fold for State {
    type Main = PosterDay;
    type Aside = Moment;
    type Out = RowChange<CommunityActivity>;

    fn main(&mut self, day: &PosterDay) {
        // What it gave has ended by now.
        if day.is_let_go() {
            return;
        }
        for (at, length) in LENGTHS.into_iter().enumerate() {
            let mut posters = [0; LENGTHS.len()];
            posters[at] = i32::from(day.diff);
            if let Some(posters) = self.ahead.add(day.community, day.covers(length), posters) {
                self.communities.touch(day.community).add(self.ahead.today, posters);
            }
        }
    }

    fn aside(&mut self, moment: &Moment) {
        let today = day_of(moment);
        let communities = &mut self.communities;
        if self.ahead.advance(today, |community, posters| communities.touch(community).add(today, posters)) {
            communities.touch_each(|activity| activity.as_of_day = today);
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityActivity>>) {
        self.communities.close(|community, _, row| out.push(RowChange { key: CommunityActivityKey { community }, row }));
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityActivity>> {
    fold_with(inputs.poster_days(), inputs.moments(), "CommunityActivity", State::default())
}
