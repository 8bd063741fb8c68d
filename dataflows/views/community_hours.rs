//! `community_hours`: messages and distinct users of each community by hour of created_at, as long as hours are kept.
//!
//! Who the users of an hour are is forgotten once all of it is sealed: nobody new can come.

use eddy_schemas::Name;
use eddy_schemas::rows::{CommunityHours, CommunityHoursKey};
use eddy_schemas::sums::Kind;

use crate::batch::Batches;
use crate::calendar::{self, Second};
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Keep, Moment, Update};
use crate::map::Map;
use crate::outputs::RowChange;
use crate::sums::Teller;
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
    /// Live messages of a user in an hour of a community, and whether it was said that a sealed one is among them.
    posters: Map<(Key, Name), u32>,
    open: Until<(Name, Name)>,
    /// Users of messages that this tick seals. They wait for its end: then their hours may be sealed as a whole.
    sealed: Vec<(Key, Name)>,
    sums: Teller,
}

const SAID: u32 = 1 << 31;

impl State {
    fn new(rows: Until<Name>, open: Until<(Name, Name)>, sums: Teller) -> State {
        let (hours, posters, sealed) = (Groups::default(), Map::default(), vec![]);
        let mut state = State { hours, rows, posters, open, sealed, sums };
        state.sums.restore(Kind::CommunityHours, |key, left| {
            let (hour, community) = (key.int()? as i32, key.name()?);
            state.rows.add(hour, community);
            let of_hour = state.hours.touch((community, hour));
            (of_hour.messages, of_hour.posters) = (left.int()?, left.int()?);
            Ok(())
        });
        state.sums.restore(Kind::HourPosters, |key, _| {
            let (hour, community, user) = (key.int()? as i32, key.name()?, key.name()?);
            // One message stands for all that were sealed.
            let slot = state.posters.slot(((community, hour), user));
            *state.posters.at_mut(slot) = SAID | 1;
            state.open.add(hour, (community, user));
            state.rows.add(hour, community);
            state.hours.touch((community, hour)).posters += 1;
            Ok(())
        });
        state
    }

    fn say(&mut self, (community, hour): Key, messages: i64, posters: i64) {
        if !self.rows.has_passed(hour) {
            let sums = &mut self.sums;
            sums.say(Kind::CommunityHours, |key| key.int(hour.into()).name(community), |left| left.int(messages).int(posters));
        }
    }

    /// Says that a user has written in an hour (or, where that is in its sum by now, no more).
    fn say_poster(&mut self, (community, hour): Key, user: Name, is_there: bool) {
        self.sums.say(
            Kind::HourPosters,
            |key| key.int(hour.into()).name(community).name(user),
            |known| if is_there { known.int(1) } else { known },
        );
    }

    /// A message is sealed.
    fn seal(&mut self, key: Key, user: Option<Name>) {
        self.say(key, 1, 0);
        self.sealed.extend(user.filter(|_| self.sums.is_on()).map(|user| (key, user)));
    }

    /// Users of an hour of which all is sealed now.
    fn settle(&mut self, key: Key, user: Name) {
        let Some(slot) = self.posters.find(&(key, user)) else { return };
        let count = self.posters.remove(slot);
        self.say(key, 0, 1);
        if count & SAID != 0 {
            self.say_poster(key, user, false);
        }
    }

    fn note(&mut self, key: Key, user: Name) {
        // Where its hour is settled it is not there any more.
        let Some(slot) = self.posters.find(&(key, user)) else { return };
        let count = self.posters.at_mut(slot);
        if *count & SAID == 0 {
            *count |= SAID;
            self.say_poster(key, user, true);
        }
    }
}

fn key(update: &Update) -> Option<Key> {
    let version = &update.version;
    let (community, created_at) = version.community.zip(version.created_at).filter(|_| version.is_live())?;
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
        if update.is_sealed() {
            return self.seal(key, update.version.user);
        }
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
            users.into_iter().for_each(|(community, user)| self.settle((community, hour), user));
        }
        std::mem::take(&mut self.sealed).into_iter().for_each(|(key, user)| self.note(key, user));
        self.hours.close(|(community, hour), _, row| {
            out.push(RowChange { key: CommunityHoursKey { community, hour: i64::from(hour) }, row });
        });
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<CommunityHours>> {
    let Keep { messages_s, hours_s, .. } = inputs.keep;
    let (rows, open) = (Until::hours(hours_s), Until::hours(messages_s.map(|_| 0)));
    let state = State::new(rows, open, inputs.teller());
    fold_with(inputs.by_community(), inputs.moments(), "CommunityHours", state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn posters_of_sealed_hours_are_not_held() {
        let (rows, open) = (Until::hours(None), Until::hours(Some(0)));
        let mut state = State::new(rows, open, Teller::default());
        let sealed_before = Some(Second::new(sealed::MESSAGES * calendar::HOUR_S));
        sealed::all(&mut state, |state| {
            assert_eq!(state.posters.len() as i64, sealed::MESSAGES);
            state.aside(&Moment { watermark: Second::MAX, sealed_before });
        });
        // The last hour has just ended.
        assert_eq!((state.posters.len(), state.hours.len() as i64), (1, sealed::MESSAGES));
    }
}
