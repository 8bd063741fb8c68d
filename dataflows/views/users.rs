//! `users`: what each user wrote, over all communities.
//!
//! Sums, the extremes of created_at (either end may be retracted until it is sealed) and two distinct counts (from shared
//! transitions).

use eddy_schemas::rows::{Users, UsersKey};
use eddy_schemas::sums::Kind;
use eddy_schemas::{Name, Version};
use timely::dataflow::operators::Concat;

use crate::batch::{Batches, map};
use crate::calendar::Second;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::sums::Teller;
use crate::times::Times;

pub type Row = Users;

#[derive(Default)]
struct User {
    messages: i64,
    characters: i64,
    score: i64,
    edited: i64,
    conversations: i64,
    communities: i64,
    times: Times,
}

impl Group<Name> for User {
    type Row = Users;

    fn fetch(&self) {
        self.times.fetch();
    }

    fn row(&self, _: &Name) -> Option<Users> {
        Some(Users {
            messages: self.messages,
            characters: self.characters,
            score: self.score,
            edited: self.edited,
            first_at: self.times.first()?.get(),
            last_at: self.times.last()?.get(),
            conversations: self.conversations,
            communities: self.communities,
        })
    }

    fn is_empty(&self) -> bool {
        self.messages == 0 && self.conversations == 0 && self.communities == 0
    }
}

/// A user's distinct counts move.
#[derive(Clone, Copy, Debug)]
struct Distinct {
    user: Name,
    conversations: i8,
    communities: i8,
}

#[derive(Default)]
struct State {
    users: Groups<Name, User>,
    sums: Teller,
}

impl State {
    fn new(sums: Teller) -> State {
        let mut state = State { sums, ..State::default() };
        state.sums.restore(Kind::Users, |key, left| {
            let user = state.users.touch(key.name()?);
            for sum in [&mut user.messages, &mut user.characters, &mut user.score, &mut user.edited] {
                *sum = left.int()?;
            }
            user.times.restore(left.maybe_int()?, left.maybe_int()?);
            Ok(())
        });
        state
    }

    fn seal(&mut self, user: Name, created_at: i64, version: &Version) {
        self.users.touch(user).times.seal(Second::new(created_at));
        self.sums.say(
            Kind::Users,
            |key| key.name(user),
            |left| {
                let left = left.int(1).int(version.characters.into()).int(version.score.unwrap_or(0)).int(version.edited.into());
                left.maybe_int(Some(created_at)).maybe_int(Some(created_at))
            },
        );
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Distinct;
    type Out = RowChange<Users>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(user) = update.version.user {
            self.users.fetch(&user, step);
        }
    }

    fn fetch_aside(&self, distinct: &Distinct, step: usize) {
        self.users.fetch(&distinct.user, step);
    }

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(user), Some(created_at)) = (version.user, version.created_at) else { return };
        if update.is_sealed() && version.is_live() {
            self.seal(user, created_at, version);
        }
        if live == 0 {
            return;
        }
        let user = self.users.touch(user);
        user.messages += live;
        user.characters += live * i64::from(version.characters);
        user.score += live * version.score.unwrap_or(0);
        user.edited += live * i64::from(version.edited);
        user.times.change(Second::new(created_at), live);
    }

    fn aside(&mut self, distinct: &Distinct) {
        let user = self.users.touch(distinct.user);
        user.conversations += i64::from(distinct.conversations);
        user.communities += i64::from(distinct.communities);
    }

    fn close(&mut self, out: &mut Vec<RowChange<Users>>) {
        self.users.close(|user, _, row| out.push(RowChange { key: UsersKey { user }, row }));
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Users>> {
    let conversations =
        map(inputs.user_conversations(), |pair| Distinct { user: pair.left, conversations: pair.diff, communities: 0 });
    let communities =
        map(inputs.user_communities(), |pair| Distinct { user: pair.left, conversations: 0, communities: pair.diff });
    fold_with(inputs.by_user(), conversations.concat(communities), "Users", State::new(inputs.teller()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn no_time_of_a_sealed_message_is_held() {
        let mut state = State::default();
        sealed::all(&mut state, |_| {});
        let user = state.users.get(&Name::of("reddit:sealed0")).expect("it keeps what was given");
        assert_eq!((user.times.held(), user.messages), (0, sealed::MESSAGES / 5));
        assert_eq!(user.row(&Name::of("reddit:sealed0")).map(|row| row.first_at), Some(0));
    }
}
