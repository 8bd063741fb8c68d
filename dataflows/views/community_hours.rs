//! `community_hours`: messages and distinct users of each community by hour of created_at, as long as hours are kept.
//!
//! Who the users of an hour are is forgotten once all of it is sealed: nobody new can come.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityHours, CommunityHoursKey};
use hashbrown::HashMap;

use crate::batch::Batches;
use crate::calendar::{self, Second};
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Keep, Moment, Update};
use crate::outputs::RowChange;
use crate::until::Until;

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

struct State {
    hours: Groups<Key, Hour>,
    rows: Until<Name>,
    /// Live messages of a user in an hour of a community.
    posters: HashMap<(Key, Name), u32, foldhash::fast::FixedState>,
    open: Until<(Name, Name)>,
}

impl Fold for State {
    type Main = Update;
    type Aside = Moment;
    type Out = RowChange<CommunityHours>;

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(community), Some(created_at), true) = (version.community, version.created_at, live != 0) else { return };
        let key = (community, i32::try_from(calendar::hour(created_at)).expect("times are within a century"));
        let came = version.user.map_or(0, |user| count(&mut self.posters, (key, user), live));
        if came > 0 {
            self.open.add(key.1, (community, version.user.expect("who came")));
        }
        if self.rows.has_passed(key.1) {
            return;
        }
        if self.rows.is_on() && self.hours.get(&key).is_none() {
            self.rows.add(key.1, community);
        }
        let hour = self.hours.touch(key);
        hour.messages += live;
        hour.posters += came;
    }

    fn aside(&mut self, moment: &Moment) {
        self.rows.pass(moment.watermark.get());
        self.open.pass(moment.sealed_before.map_or(i64::MIN / 2, Second::get));
    }

    fn close(&mut self, out: &mut Vec<RowChange<CommunityHours>>) {
        while let Some((hour, communities)) = self.rows.next() {
            communities.into_iter().for_each(|community| *self.hours.touch((community, hour)) = Hour::default());
        }
        while let Some((hour, users)) = self.open.next() {
            for (community, user) in users {
                self.posters.remove(&((community, hour), user));
            }
        }
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
    let Keep { messages_s, hours_s, .. } = inputs.keep;
    let (rows, open) = (Until::hours(hours_s), Until::hours(messages_s.map(|_| 0)));
    let state = State { hours: Groups::default(), rows, posters: HashMap::default(), open };
    fold_with(inputs.by_community(), inputs.moments(), "CommunityHours", state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn posters_of_sealed_hours_are_not_held() {
        let (rows, open) = (Until::hours(None), Until::hours(Some(0)));
        let mut state = State { hours: Groups::default(), rows, posters: HashMap::default(), open };
        let sealed_before = Some(Second::new(sealed::MESSAGES * calendar::HOUR_S));
        sealed::all(&mut state, |state| {
            assert_eq!(state.posters.len() as i64, sealed::MESSAGES);
            state.aside(&Moment { watermark: Second::MAX, sealed_before });
        });
        // The last hour has just ended.
        assert_eq!((state.posters.len(), state.hours.len() as i64), (1, sealed::MESSAGES));
    }
}
