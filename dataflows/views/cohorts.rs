//! `cohorts`: the users whose first live message in a community is on a day, and how many of them posted 1, 7 and 30 days later.
//!
//! Those sums change with the users' days alone. The watermark decides from when they are shown: each cohort waits in the calendar for
//! the next day that is over, three times in all.

use eddy_schemas::Name;
use eddy_schemas::rows::{Cohorts, CohortsKey};
use eddy_schemas::sums::Kind;
use hashbrown::{HashMap, HashSet};

use crate::batch::Batches;
use crate::calendar::Calendar;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Moment};
use crate::moving::{BEFORE, day_of};
use crate::outputs::RowChange;
use crate::streams::poster_days::PosterDay;
use crate::sums::Teller;
use crate::until::Until;

pub type Row = Cohorts;

type Key = (Name, i32);

const AFTER: [i32; 3] = [1, 7, 30];

#[derive(Default)]
struct Cohort {
    size: i32,
    posted: [i32; AFTER.len()],
    /// How many of them are shown.
    shown: u8,
}

impl Group<Key> for Cohort {
    type Row = Cohorts;
    fn row(&self, _: &Key) -> Option<Cohorts> {
        let posted = |at: usize| (at < usize::from(self.shown)).then_some(i64::from(self.posted[at]));
        (self.size > 0).then(|| Cohorts { size: i64::from(self.size), d1: posted(0), d7: posted(1), d30: posted(2) })
    }
    fn is_empty(&self) -> bool {
        self.size == 0 && self.posted == [0; AFTER.len()]
    }
}

struct State {
    today: i32,
    cohorts: Groups<Key, Cohort>,
    rows: Until<Name>,
    /// Cohorts by the day on which more of them is shown.
    ahead: Calendar<HashSet<Key, foldhash::fast::FixedState>>,
    /// What users gave whose days are let go in this tick: it is there already.
    let_go: HashMap<Key, [i32; AFTER.len()], foldhash::fast::FixedState>,
    sums: Teller,
}

impl State {
    fn new(rows: Until<Name>, mut sums: Teller) -> State {
        let (cohorts, ahead, let_go) = (Groups::default(), Calendar::default(), HashMap::default());
        let mut state = State { today: BEFORE, cohorts, rows, ahead, let_go, sums: Teller::default() };
        sums.restore(Kind::Cohorts, |key, left| {
            let (day, community) = (key.int()? as i32, key.name()?);
            let posted = [left.int()? as i32, left.int()? as i32, left.int()? as i32];
            state.touch((community, day), |cohort| cohort.posted = posted);
            Ok(())
        });
        State { sums, ..state }
    }

    fn say_let_go(&mut self) {
        for ((community, day), posted) in std::mem::take(&mut self.let_go) {
            if !self.rows.has_passed(day) {
                self.sums.say(
                    Kind::Cohorts,
                    |key| key.int(day.into()).name(community),
                    |left| posted.into_iter().fold(left, |left, posted| left.int(posted.into())),
                );
            }
        }
    }

    /// Changes a cohort as it is today, unless it has left.
    fn touch(&mut self, key: Key, change: impl FnOnce(&mut Cohort)) {
        if self.rows.has_passed(key.1) {
            return;
        }
        let is_new = self.cohorts.get(&key).is_none();
        let shown = if is_new { self.wait(key) } else { shown(key, self.today) };
        if is_new {
            self.rows.add(key.1, key.0);
        }
        let cohort = self.cohorts.touch(key);
        cohort.shown = shown as u8;
        change(cohort);
    }

    /// Puts a cohort where more of it is shown; says how much is today.
    fn wait(&mut self, key: Key) -> usize {
        let shown = shown(key, self.today);
        if let Some(after) = AFTER.get(shown) {
            self.ahead.at(i64::from(key.1 + after + 1)).insert(key);
        }
        shown
    }
}

/// How many of the days after a cohort's are over.
fn shown((_, day): Key, today: i32) -> usize {
    AFTER.into_iter().filter(|after| day + after < today).count()
}

impl Fold for State {
    type Main = PosterDay;
    type Aside = Moment;
    type Out = RowChange<Cohorts>;

    fn main(&mut self, day: &PosterDay) {
        let diff = i32::from(day.diff);
        let PosterDay { community, other_first, .. } = *day;
        let mut joins = |first: i32, diff: i32, posted: &dyn Fn(i32) -> bool| {
            self.touch((community, first), |cohort| {
                cohort.size += diff;
                AFTER.into_iter().zip(&mut cohort.posted).filter(|(after, _)| posted(*after)).for_each(|(_, count)| *count += diff);
            });
        };
        match other_first {
            Some(first) if first < day.day => {
                let at = AFTER.iter().position(|after| first + after == day.day);
                if let Some(at) = at.filter(|_| day.is_let_go()) {
                    self.let_go.entry((community, first)).or_default()[at] += 1;
                } else if let Some(at) = at {
                    self.touch((community, first), |cohort| cohort.posted[at] += diff);
                }
            }
            _ => {
                joins(day.day, diff, &|after| day.posted_after(after));
                if let Some(first) = other_first {
                    joins(first, -diff, &|after| day.posted_after_first(after));
                }
            }
        }
    }

    fn aside(&mut self, moment: &Moment) {
        self.rows.pass(moment.watermark.get());
        let today = day_of(moment);
        if today <= self.today {
            return;
        }
        self.today = today;
        while let Some((_, due)) = self.ahead.due(today.into()) {
            for key in due {
                if self.cohorts.get(&key).is_some() {
                    self.cohorts.touch(key).shown = self.wait(key) as u8;
                }
            }
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<Cohorts>>) {
        while let Some((day, communities)) = self.rows.next_passed() {
            communities.into_iter().for_each(|community| *self.cohorts.touch((community, day)) = Cohort::default());
        }
        self.say_let_go();
        // Before any watermark nothing is said; what was touched is said with the first.
        if self.today != BEFORE {
            self.cohorts.close(|(community, day), _, row| out.push(RowChange { key: CohortsKey { community, day: i64::from(day) }, row }));
        }
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Cohorts>> {
    let state = State::new(Until::days(inputs.keep.days_s), inputs.teller());
    fold_with(inputs.poster_days(), inputs.moments(), "Cohorts", state)
}
