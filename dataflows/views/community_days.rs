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
use eddy_schemas::sums::Kind;
use hashbrown::HashMap;
use timely::dataflow::operators::Concat;

use crate::batch::{Batches, map};
use crate::calendar;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Moment, Update};
use crate::outputs::RowChange;
use crate::streams::poster_days::PosterDay;
use crate::sums::Teller;
use crate::until::Until;

pub type Row = CommunityDays;

type Key = (Name, i32);
const WEEK: i32 = 7;
const MONTH: i32 = 30;

#[derive(Clone, Copy, Default)]
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
    /// What users gave whose days are let go in this tick: it is there already.
    let_go: HashMap<Key, Day, foldhash::fast::FixedState>,
    sums: Teller,
}

impl State {
    fn new(rows: Until<Name>, sums: Teller) -> State {
        let mut state = State { days: Groups::default(), rows, let_go: HashMap::default(), sums };
        state.sums.restore(Kind::CommunityDays, |key, left| {
            let (day, community) = (key.int()? as i32, key.name()?);
            state.rows.add(day, community);
            let day = state.days.touch((community, day));
            for sum in [&mut day.messages, &mut day.posters, &mut day.wau, &mut day.mau] {
                *sum = left.int()?;
            }
            Ok(())
        });
        state
    }

    fn say(&mut self, (community, day): Key, left: Day) {
        if !self.rows.has_passed(day) {
            self.sums.say(
                Kind::CommunityDays,
                |key| key.int(day.into()).name(community),
                |out| out.int(left.messages).int(left.posters).int(left.wau).int(left.mau),
            );
        }
    }

    /// A user's day that is not the first there is let go.
    fn let_go(&mut self, day: &PosterDay) {
        let gave = &mut self.let_go;
        let key = |at: i32| (day.community, at);
        gave.entry(key(day.day)).or_default().posters += 1;
        day.covers(WEEK).for_each(|at| gave.entry(key(at)).or_default().wau += 1);
        day.covers(MONTH).for_each(|at| gave.entry(key(at)).or_default().mau += 1);
    }

    fn touch(&mut self, community: Name, day: i32, change: impl FnOnce(&mut Day)) {
        if self.rows.has_passed(day) {
            return;
        }
        if self.rows.is_on() && self.days.get(&(community, day)).is_none() {
            self.rows.add(day, community);
        }
        change(self.days.touch((community, day)));
    }

    fn day(&mut self, day: &PosterDay) {
        if day.is_let_go() {
            return self.let_go(day);
        }
        let (community, diff) = (day.community, i64::from(day.diff));
        self.touch(community, day.day, |day| day.posters += diff);
        if day.is_first() {
            self.touch(community, day.day, |day| day.new_posters += diff);
            if let Some(first) = day.other_first {
                self.touch(community, first, |day| day.new_posters -= diff);
            }
        }
        day.covers(WEEK).for_each(|at| self.touch(community, at, |day| day.wau += diff));
        day.covers(MONTH).for_each(|at| self.touch(community, at, |day| day.mau += diff));
    }
}

/// What other operators say.
enum Told {
    Day(PosterDay),
    At(Moment),
}

fn key(update: &Update) -> Option<Key> {
    let version = &update.version;
    let (community, created_at) = version.community.zip(version.created_at).filter(|_| version.is_live())?;
    Some((community, i32::try_from(calendar::day(created_at)).expect("times are within a century")))
}

impl Fold for State {
    type Main = Update;
    type Aside = Told;
    type Out = RowChange<CommunityDays>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(key) = key(update) {
            self.days.fetch(&key, step);
        }
    }

    fn fetch_aside(&self, told: &Told, step: usize) {
        if let Told::Day(day) = told {
            self.days.fetch(&(day.community, day.day), step);
        }
    }

    fn main(&mut self, update: &Update) {
        if let Some((community, day)) = key(update) {
            if update.is_sealed() {
                return self.say((community, day), Day { messages: 1, ..Day::default() });
            }
            self.touch(community, day, |day| day.messages += update.live());
        }
    }

    fn aside(&mut self, told: &Told) {
        match told {
            Told::Day(day) => self.day(day),
            Told::At(moment) => self.rows.pass(moment.watermark.get()),
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityDays>>) {
        while let Some((day, communities)) = self.rows.next_passed() {
            communities.into_iter().for_each(|community| *self.days.touch((community, day)) = Day::default());
        }
        std::mem::take(&mut self.let_go).into_iter().for_each(|(key, gave)| self.say(key, gave));
        self.days.close(|(community, day), _, row| {
            out.push(RowChange { key: CommunityDaysKey { community, day: i64::from(day) }, row });
        });
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityDays>> {
    let told = map(inputs.poster_days(), |day| Told::Day(*day)).concat(map(inputs.moments(), |moment| Told::At(*moment)));
    let state = State::new(Until::days(inputs.keep.days_s), inputs.teller());
    fold_with(inputs.by_community(), told, "CommunityDays", state)
}
