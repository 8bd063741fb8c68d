//! `community_days`: each day of a community, with the distinct users of the 1, 7 and 30 days that end with it.
//!
//! ```text
//!   days on which a user posted:   p . . . d . . n        wau: d newly covers days max(d, p+7) ..= min(d+6, n-1)
//! ```
//!
//! When a user's day comes or goes, only the days that its window covers and its neighbours' windows do not are touched: at most 30,
//! however many users and messages there are.
//!
//! Of a day that is sealed it need not be known any more who wrote how much, and of one that no window to come reaches who wrote at all,
//! but for each user's first.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityDays, CommunityDaysKey};
use hashbrown::HashMap;

use super::community_hours::count;
use crate::batch::Batches;
use crate::calendar::{self, DAY_S, Second};
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Keep, Moment, Update};
use crate::outputs::RowChange;
use crate::sorted::SortedBag;
use crate::until::Until;

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

struct State {
    days: Groups<Key, Day>,
    rows: Until<Name>,
    /// Live messages of a user on a day of a community.
    posts: HashMap<(Key, Name), u32, foldhash::fast::FixedState>,
    /// Days on which a user posted in a community.
    active: HashMap<(Name, Name), SortedBag<i32>, foldhash::fast::FixedState>,
    /// Days that messages may still come to or leave; days that windows of such days reach.
    open: Until<(Name, Name)>,
    reached: Until<(Name, Name)>,
}

impl State {
    fn touch(&mut self, community: Name, day: i32, change: impl FnOnce(&mut Day)) {
        if self.rows.has_passed(day) {
            return;
        }
        if self.rows.is_on() && self.days.get(&(community, day)).is_none() {
            self.rows.add(day, community);
        }
        change(self.days.touch((community, day)));
    }

    fn forget(&mut self) {
        while let Some((day, communities)) = self.rows.next() {
            communities.into_iter().for_each(|community| *self.days.touch((community, day)) = Day::default());
        }
        while let Some((day, users)) = self.open.next() {
            for (community, user) in users {
                if self.posts.remove(&((community, day), user)).is_some() {
                    self.reached.add(day, (community, user));
                }
            }
        }
        while let Some((day, users)) = self.reached.next() {
            for key in users {
                let days = self.active.get_mut(&key).expect("sealed days stay");
                if days.first() != Some(day) {
                    days.remove(&day);
                }
            }
        }
    }

    /// A user's day came into being (`diff` 1) or ended (-1): `days` are the user's other days.
    fn day(&mut self, community: Name, user: Name, day: i32, diff: i64) {
        let others = self.active.entry((community, user)).or_default();
        if diff < 0 {
            others.remove(&day);
        }
        let (previous, next) = (others.before(&day), others.after(&day));
        if diff > 0 {
            others.insert(day);
        } else if others.is_empty() {
            self.active.remove(&(community, user));
        }
        self.touch(community, day, |day| day.posters += diff);
        if previous.is_none() {
            self.touch(community, day, |day| day.new_posters += diff);
            if let Some(next) = next {
                self.touch(community, next, |day| day.new_posters -= diff);
            }
        }
        let uncovered = |length: i32| previous.map_or(day, |p| day.max(p + length))..next.map_or(day + length, |n| n.min(day + length));
        uncovered(WEEK).for_each(|at| self.touch(community, at, |day| day.wau += diff));
        uncovered(MONTH).for_each(|at| self.touch(community, at, |day| day.mau += diff));
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Moment;
    type Out = RowChange<CommunityDays>;

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(community), Some(created_at), true) = (version.community, version.created_at, live != 0) else { return };
        let day = i32::try_from(calendar::day(created_at)).expect("times are within a century");
        self.touch(community, day, |day| day.messages += live);
        if let Some(user) = version.user {
            let came = count(&mut self.posts, ((community, day), user), live);
            if came > 0 {
                self.open.add(day, (community, user));
            }
            if came != 0 {
                self.day(community, user, day, came);
            }
        }
    }

    fn aside(&mut self, moment: &Moment) {
        self.rows.pass(moment.watermark.get());
        let sealed = moment.sealed_before.map_or(i64::MIN / 2, Second::get);
        self.open.pass(sealed);
        self.reached.pass(sealed);
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityDays>>) {
        self.forget();
        self.days.close(|(community, day), _, row| {
            out.push(RowChange { key: CommunityDaysKey { community, day: i64::from(day) }, row });
        });
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityDays>> {
    let Keep { messages_s, days_s, .. } = inputs.keep;
    let state = State {
        days: Groups::default(),
        rows: Until::days(days_s),
        posts: HashMap::default(),
        active: HashMap::default(),
        open: Until::days(messages_s.map(|_| 0)),
        reached: Until::days(messages_s.map(|_| i64::from(MONTH) * DAY_S)),
    };
    fold_with(inputs.by_community(), inputs.moments(), "CommunityDays", state)
}
