//! `community_days`: each day of a community, with the distinct users of the 1, 7 and 30 days that end with it.
//!
//! ```text
//!   days on which a user posted:   p . . . d . . n        wau: d newly covers days max(d, p+7) ..= min(d+6, n-1)
//! ```
//!
//! When a user's day comes or goes, only the days that its window covers and its neighbours' windows do not are touched: at most 30,
//! however many users and messages there are. (The days of users are kept in `streams/poster_days.rs`.)

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityDays, CommunityDaysKey};

use crate::batch::Batches;
use crate::calendar;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::streams::poster_days::PosterDay;

pub type Row = CommunityDays;

type Key = (Name, i32);
const WEEK: i32 = 7;
const MONTH: i32 = 30;

#[derive(Default)]
struct Day {
    messages: i64,
    posters: i64,
    new_posters: i64,
    wau: i64,
    mau: i64,
}

impl Group<Key> for Day {
    type Row = CommunityDays;
    fn row(&self, _: &Key) -> Option<CommunityDays> {
        (self.messages > 0).then_some(CommunityDays {
            messages: self.messages,
            posters: self.posters,
            new_posters: self.new_posters,
            wau: self.wau,
            mau: self.mau,
        })
    }
    /// Days without a message keep their windows: a message may still come.
    fn is_empty(&self) -> bool {
        self.messages == 0 && self.mau == 0
    }
}

#[derive(Default)]
struct State(Groups<Key, Day>);

fn key(update: &Update) -> Option<Key> {
    let version = &update.version;
    let (community, created_at) = version.community.zip(version.created_at).filter(|_| update.live() != 0)?;
    Some((community, i32::try_from(calendar::day(created_at)).expect("times are within a century")))
}

impl Fold for State {
    type Main = Update;
    type Aside = PosterDay;
    type Out = RowChange<CommunityDays>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(key) = key(update) {
            self.0.fetch(&key, step);
        }
    }

    fn fetch_aside(&self, day: &PosterDay, step: usize) {
        self.0.fetch(&(day.community, day.day), step);
    }

    fn main(&mut self, update: &Update) {
        if let Some(key) = key(update) {
            self.0.touch(key).messages += update.live();
        }
    }

    fn aside(&mut self, day: &PosterDay) {
        let (community, diff) = (day.community, i64::from(day.diff));
        self.0.touch((community, day.day)).posters += diff;
        if day.is_first() {
            self.0.touch((community, day.day)).new_posters += diff;
            if let Some(first) = day.other_first {
                self.0.touch((community, first)).new_posters -= diff;
            }
        }
        day.covers(WEEK).for_each(|at| self.0.touch((community, at)).wau += diff);
        day.covers(MONTH).for_each(|at| self.0.touch((community, at)).mau += diff);
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityDays>>) {
        self.0.close(|(community, day), _, row| {
            out.push(RowChange { key: CommunityDaysKey { community, day: i64::from(day) }, row });
        });
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityDays>> {
    fold_with(inputs.by_community(), inputs.poster_days(), "CommunityDays", State::default())
}
