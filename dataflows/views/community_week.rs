//! `community_week`: messages of the 28 days before the watermark's, by hour of the week.
//!
//! ```text
//!   days    ... | D-28  ..  D-1 | D  D+1 ...        window: by the day on which they leave       ahead: by the day on which they enter
//! ```
//!
//! Messages of one day and hour are one count: when the watermark's day moves, counts enter and leave, whatever the number of messages.
//! Those before the window count no more, ever: the watermark only grows.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityWeek, CommunityWeekKey};
use eddy_schemas::sums::{Kind, MONTH_DAYS};
use hashbrown::HashMap;

use crate::batch::Batches;
use crate::calendar::{self, Calendar, HOUR_S};
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Moment, Update};
use crate::moving::{BEFORE, day_of};
use crate::outputs::RowChange;
use crate::sums::Teller;

pub type Row = CommunityWeek;

/// A community and an hour of the week.
type Key = (Name, u8);
/// Messages of one day.
type Day = HashMap<Key, i32, foldhash::fast::FixedState>;

const DAYS: i32 = MONTH_DAYS as i32;
const HOURS: i64 = 168;
/// 1970 began with a Thursday.
const FIRST_MONDAY: i64 = 4 * 24;

#[derive(Default)]
struct Sum(i64);

impl Group<Key> for Sum {
    type Row = CommunityWeek;
    fn row(&self, _: &Key) -> Option<CommunityWeek> {
        (self.0 != 0).then_some(CommunityWeek { messages: self.0 })
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

struct State {
    today: i32,
    hours: Groups<Key, Sum>,
    window: Calendar<Day>,
    ahead: Calendar<Day>,
    sums: Teller,
}

impl State {
    fn new(mut sums: Teller) -> State {
        let (hours, window, ahead) = (Groups::default(), Calendar::default(), Calendar::default());
        let mut state = State { today: BEFORE, hours, window, ahead, sums: Teller::default() };
        sums.restore(Kind::CommunityWeek, |key, left| {
            let (hour, community) = (key.int()?, key.name()?);
            state.add(community, hour, left.int()?);
            Ok(())
        });
        State { sums, ..state }
    }

    /// Messages of a community in an hour since 1970 come or go.
    fn add(&mut self, community: Name, hour: i64, messages: i64) {
        let day = day(hour);
        let leaves = day + DAYS + 1;
        if leaves <= self.today {
            return;
        }
        let key = (community, (hour - FIRST_MONDAY).rem_euclid(HOURS) as u8);
        let counts = if day < self.today {
            self.hours.touch(key).0 += messages;
            self.window.at(leaves.into())
        } else {
            self.ahead.at((day + 1).into())
        };
        let count = counts.entry(key).or_default();
        *count += messages as i32;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// The day of an hour.
fn day(hour: i64) -> i32 {
    i32::try_from(calendar::day(hour * HOUR_S)).expect("times are within a century")
}

impl Fold for State {
    type Main = Update;
    type Aside = Moment;
    type Out = RowChange<CommunityWeek>;

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(community), Some(created_at), true) = (version.community, version.created_at, version.is_live()) else { return };
        let hour = calendar::hour(created_at);
        if live != 0 {
            self.add(community, hour, live);
        } else if day(hour) + DAYS + 1 > self.today {
            self.sums.say(Kind::CommunityWeek, |key| key.int(hour).name(community), |left| left.int(1));
        }
    }

    fn aside(&mut self, moment: &Moment) {
        let today = day_of(moment);
        if today <= self.today {
            return;
        }
        self.today = today;
        while let Some((_, counts)) = self.window.due(today.into()) {
            counts.into_iter().for_each(|(key, count)| self.hours.touch(key).0 -= i64::from(count));
        }
        while let Some((entered, counts)) = self.ahead.due(today.into()) {
            let leaves = entered + i64::from(DAYS);
            if leaves > today.into() {
                counts.iter().for_each(|(key, count)| self.hours.touch(*key).0 += i64::from(*count));
                *self.window.at(leaves) = counts;
            }
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityWeek>>) {
        self.hours.close(|(community, hour), _, row| {
            out.push(RowChange { key: CommunityWeekKey { community, hour_of_week: i64::from(hour) }, row });
        });
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityWeek>> {
    fold_with(inputs.by_community(), inputs.moments(), "CommunityWeek", State::new(inputs.teller()))
}
