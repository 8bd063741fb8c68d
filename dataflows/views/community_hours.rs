//! `community_hours`: messages and distinct users of each community by hour of created_at.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityHours, CommunityHoursKey};

use crate::batch::Batches;
use crate::calendar;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::map::Map;
use crate::outputs::RowChange;

pub type Row = CommunityHours;

type Key = (Name, i32);

#[derive(Default)]
struct Hour {
    messages: i64,
    posters: i64,
}

impl Group<Key> for Hour {
    type Row = CommunityHours;
    fn row(&self, _: &Key) -> Option<CommunityHours> {
        (self.messages > 0).then_some(CommunityHours { messages: self.messages, posters: self.posters })
    }
    fn is_empty(&self) -> bool {
        self.messages == 0
    }
}

#[derive(Default)]
struct State {
    hours: Groups<Key, Hour>,
    /// Live messages of a user in an hour of a community.
    posters: Map<(Key, Name), u32>,
}

fn key(update: &Update) -> Option<Key> {
    let version = &update.version;
    let (community, created_at) = version.community.zip(version.created_at).filter(|_| update.live() != 0)?;
    Some((community, i32::try_from(calendar::hour(created_at)).expect("times are within a century")))
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<CommunityHours>;

    fn fetch(&self, update: &Update, step: usize) {
        let Some(key) = key(update) else { return };
        self.hours.fetch(&key, step);
        if let Some(user) = update.version.user {
            self.posters.fetch(&(key, user), step);
        }
    }

    fn main(&mut self, update: &Update) {
        let Some(key) = key(update) else { return };
        let live = update.live();
        let hour = self.hours.touch(key);
        hour.messages += live;
        if let Some(user) = update.version.user {
            hour.posters += self.posters.count((key, user), live);
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityHours>>) {
        self.hours.close(|(community, hour), _, row| {
            out.push(RowChange { key: CommunityHoursKey { community, hour: i64::from(hour) }, row });
        });
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityHours>> {
    fold(inputs.by_community(), "CommunityHours", State::default())
}
