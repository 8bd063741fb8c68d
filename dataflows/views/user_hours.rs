//! `user_hours`: messages of each user by hour of created_at.

use eddy_schemas::Name;
use eddy_schemas::rows::{UserHours, UserHoursKey};

use crate::batch::Batches;
use crate::calendar;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;

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

#[derive(Default)]
struct State(Groups<Key, Count>);

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<UserHours>;

    fn fetch(&self, update: &Update, step: usize) {
        let Some(key) = key(update) else { return };
        self.0.fetch(&key, step);
    }

    fn main(&mut self, update: &Update) {
        if let Some(key) = key(update) {
            let count = &mut self.0.touch(key).0;
            *count = count.checked_add_signed(i32::from(update.diff)).expect("retractions follow assertions");
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<UserHours>>) {
        self.0.close(|(user, hour), _, row| out.push(RowChange { key: UserHoursKey { user, hour: i64::from(hour) }, row }));
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<UserHours>> {
    fold(inputs.by_user(), "UserHours", State::default())
}
