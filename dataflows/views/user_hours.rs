//! `user_hours`: messages of each user by hour of created_at, as long as hours are kept.

use eddy_schemas::Name;
use eddy_schemas::rows::{UserHours, UserHoursKey};
use eddy_schemas::sums::Kind;

use crate::batch::Batches;
use crate::calendar;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Moment, Update};
use crate::outputs::RowChange;
use crate::sums::Teller;
use crate::until::Until;

pub type Row = UserHours;

/// Hours fit in 32 bits: half the memory of the largest map there is.
type Key = (Name, i32);

#[derive(Default)]
struct Count(u32);

impl Group<Key> for Count {
    type Row = UserHours;
    fn row(&self, _: &Key) -> Option<UserHours> {
        (self.0 > 0).then_some(UserHours { messages: i64::from(self.0) })
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

fn key(update: &Update) -> Option<Key> {
    let version = &update.version;
    let (user, created_at) = version.user.zip(version.created_at).filter(|_| version.is_live())?;
    Some((user, i32::try_from(calendar::hour(created_at)).expect("times are within a century")))
}

struct State {
    hours: Groups<Key, Count>,
    rows: Until<Name>,
    sums: Teller,
}

impl State {
    fn new(rows: Until<Name>, sums: Teller) -> State {
        let mut state = State { hours: Groups::default(), rows, sums };
        state.sums.restore(Kind::UserHours, |key, left| {
            let (hour, user) = (key.int()? as i32, key.name()?);
            state.rows.add(hour, user);
            state.hours.touch((user, hour)).0 = left.int()? as u32;
            Ok(())
        });
        state
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Moment;
    type Out = RowChange<UserHours>;

    fn fetch(&self, update: &Update, step: usize) {
        let Some(key) = key(update) else { return };
        self.hours.fetch(&key, step);
    }

    fn main(&mut self, update: &Update) {
        let Some(key) = key(update).filter(|(_, hour)| !self.rows.has_passed(*hour)) else { return };
        if update.is_sealed() {
            return self.sums.say(Kind::UserHours, |out| out.int(key.1.into()).name(key.0), |left| left.int(1));
        }
        if self.rows.is_on() && self.hours.get(&key).is_none() {
            self.rows.add(key.1, key.0);
        }
        let count = &mut self.hours.touch(key).0;
        *count = count.checked_add_signed(i32::from(update.diff)).expect("retractions follow assertions");
    }

    fn aside(&mut self, moment: &Moment) {
        self.rows.pass(moment.watermark.get());
    }

    fn close(&mut self, out: &mut Vec<RowChange<UserHours>>) {
        while let Some((hour, users)) = self.rows.next_passed() {
            users.into_iter().for_each(|user| self.hours.touch((user, hour)).0 = 0);
        }
        self.hours.close(|(user, hour), _, row| out.push(RowChange { key: UserHoursKey { user, hour: i64::from(hour) }, row }));
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<UserHours>> {
    let state = State::new(Until::hours(inputs.keep.hours_s), inputs.teller());
    fold_with(inputs.by_user(), inputs.moments(), "UserHours", state)
}
