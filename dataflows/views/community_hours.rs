//! `community_hours`: messages and distinct users of each community by hour of created_at, as long as hours are kept.
//!
//! Who the users of an hour are is forgotten once all of it is sealed: nobody new can come.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityHours, CommunityHoursKey};

use crate::batch::Batches;
use crate::calendar::{self, Second};
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Keep, Moment, Update};
use crate::map::Map;
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
    posters: Map<(Key, Name), u32>,
    open: Until<(Name, Name)>,
}

fn key(update: &Update) -> Option<Key> {
    let version = &update.version;
    let (community, created_at) = version.community.zip(version.created_at).filter(|_| update.live() != 0)?;
    Some((community, i32::try_from(calendar::hour(created_at)).expect("times are within a century")))
}

impl Fold for State {
    type Main = Update;
    type Aside = Moment;
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
        let (community, live) = (key.0, update.live());
        let came = update.version.user.map_or(0, |user| self.posters.count((key, user), live));
        if came > 0 {
            self.open.add(key.1, (community, update.version.user.expect("who came")));
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
        while let Some((hour, communities)) = self.rows.next_passed() {
            communities.into_iter().for_each(|community| *self.hours.touch((community, hour)) = Hour::default());
        }
        while let Some((hour, users)) = self.open.next_passed() {
            for (community, user) in users {
                if let Some(slot) = self.posters.find(&((community, hour), user)) {
                    self.posters.remove(slot);
                }
            }
        }
        self.hours.close(|(community, hour), _, row| {
            out.push(RowChange { key: CommunityHoursKey { community, hour: i64::from(hour) }, row });
        });
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityHours>> {
    let Keep { messages_s, hours_s, .. } = inputs.keep;
    let (rows, open) = (Until::hours(hours_s), Until::hours(messages_s.map(|_| 0)));
    let state = State { hours: Groups::default(), rows, posters: Map::default(), open };
    fold_with(inputs.by_community(), inputs.moments(), "CommunityHours", state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn posters_of_sealed_hours_are_not_held() {
        let (rows, open) = (Until::hours(None), Until::hours(Some(0)));
        let mut state = State { hours: Groups::default(), rows, posters: Map::default(), open };
        let sealed_before = Some(Second::new(sealed::MESSAGES * calendar::HOUR_S));
        sealed::all(&mut state, |state| {
            assert_eq!(state.posters.len() as i64, sealed::MESSAGES);
            state.aside(&Moment { watermark: Second::MAX, sealed_before });
        });
        // The last hour has just ended.
        assert_eq!((state.posters.len(), state.hours.len() as i64), (1, sealed::MESSAGES));
    }
}
