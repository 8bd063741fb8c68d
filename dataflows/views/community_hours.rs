//! `community_hours`: messages and distinct users of each community by hour of created_at.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityHours, CommunityHoursKey};
use hashbrown::HashMap;

use crate::batch::Batches;
use crate::calendar;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
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
    posters: HashMap<(Key, Name), u32, foldhash::fast::FixedState>,
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<CommunityHours>;

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(community), Some(created_at), true) = (version.community, version.created_at, live != 0) else { return };
        let key = (community, i32::try_from(calendar::hour(created_at)).expect("times are within a century"));
        let hour = self.hours.touch(key);
        hour.messages += live;
        if let Some(user) = version.user {
            hour.posters += count(&mut self.posters, (key, user), live);
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityHours>>) {
        self.hours.close(|(community, hour), _, row| {
            out.push(RowChange { key: CommunityHoursKey { community, hour: i64::from(hour) }, row });
        });
    }
}

/// Adds to a count; +1 where the key came into being, -1 where it ended, else 0.
pub(super) fn count<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32, foldhash::fast::FixedState>, key: K, diff: i64) -> i64 {
    match counts.entry(key) {
        hashbrown::hash_map::Entry::Vacant(entry) => {
            entry.insert(1);
            assert_eq!(diff, 1, "retractions follow assertions");
            1
        }
        hashbrown::hash_map::Entry::Occupied(entry) if *entry.get() == 1 && diff < 0 => {
            entry.remove();
            -1
        }
        hashbrown::hash_map::Entry::Occupied(mut entry) => {
            *entry.get_mut() = entry.get().checked_add_signed(diff as i32).expect("counts stay below 2^32");
            0
        }
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityHours>> {
    fold(inputs.by_community(), "CommunityHours", State::default())
}
