//! `community_days`: each day of a community, with the distinct users of the 1, 7 and 30 days that end with it.
//!
//! ```text
//!   days on which a user posted:   p . . . d . . n        wau: d newly covers days max(d, p+7) ..= min(d+6, n-1)
//! ```
//!
//! When a user's day comes or goes, only the days that its window covers and its neighbours' windows do not are touched: at most 30,
//! however many users and messages there are.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityDays, CommunityDaysKey};

use crate::batch::Batches;
use crate::calendar;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::map::Map;
use crate::outputs::RowChange;
use crate::sorted::SortedBag;

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
struct State {
    days: Groups<Key, Day>,
    /// Live messages of a user on a day of a community.
    posts: Map<(Key, Name), u32>,
    /// Days on which a user posted in a community.
    active: Map<(Name, Name), SortedBag<i32>>,
}

impl State {
    /// A user's day came into being (`diff` 1) or ended (-1): `days` are the user's other days.
    fn day(&mut self, community: Name, user: Name, day: i32, diff: i64) {
        let slot = self.active.slot((community, user));
        let others = self.active.at_mut(slot);
        if diff < 0 {
            others.remove(&day);
        }
        let (previous, next) = (others.before(&day), others.after(&day));
        if diff > 0 {
            others.insert(day);
        } else if others.is_empty() {
            self.active.remove(slot);
        }
        self.days.touch((community, day)).posters += diff;
        if previous.is_none() {
            self.days.touch((community, day)).new_posters += diff;
            if let Some(next) = next {
                self.days.touch((community, next)).new_posters -= diff;
            }
        }
        let uncovered = |length: i32| previous.map_or(day, |p| day.max(p + length))..next.map_or(day + length, |n| n.min(day + length));
        uncovered(WEEK).for_each(|at| self.days.touch((community, at)).wau += diff);
        uncovered(MONTH).for_each(|at| self.days.touch((community, at)).mau += diff);
    }
}

fn key(update: &Update) -> Option<Key> {
    let version = &update.version;
    let (community, created_at) = version.community.zip(version.created_at).filter(|_| update.live() != 0)?;
    Some((community, i32::try_from(calendar::day(created_at)).expect("times are within a century")))
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<CommunityDays>;

    fn fetch(&self, update: &Update, step: usize) {
        let Some(key) = key(update) else { return };
        self.days.fetch(&key, step);
        if let Some(user) = update.version.user {
            self.posts.fetch(&(key, user), step);
        }
    }

    fn main(&mut self, update: &Update) {
        let Some(key) = key(update) else { return };
        let live = update.live();
        self.days.touch(key).messages += live;
        if let Some(user) = update.version.user {
            let came = self.posts.count((key, user), live);
            if came != 0 {
                self.day(key.0, user, key.1, came);
            }
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityDays>>) {
        self.days.close(|(community, day), _, row| {
            out.push(RowChange { key: CommunityDaysKey { community, day: i64::from(day) }, row });
        });
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityDays>> {
    fold(inputs.by_community(), "CommunityDays", State::default())
}
