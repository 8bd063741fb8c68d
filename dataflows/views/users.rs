//! `users`: what each user wrote, over all communities.
//!
//! Sums, the extremes of created_at (either end may be retracted until it is sealed) and two distinct counts (from shared
//! transitions).

use eddy_schemas::Name;
use eddy_schemas::rows::{Users, UsersKey};
use timely::dataflow::operators::Concat;

use crate::batch::{Batches, map};
use crate::calendar::Second;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
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
struct State(Groups<Name, User>);

impl Fold for State {
    type Main = Update;
    type Aside = Distinct;
    type Out = RowChange<Users>;

    fn fetch(&self, update: &Update, step: usize) {
        if let Some(user) = update.version.user {
            self.0.fetch(&user, step);
        }
    }

    fn fetch_aside(&self, distinct: &Distinct, step: usize) {
        self.0.fetch(&distinct.user, step);
    }

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(user), Some(created_at)) = (version.user, version.created_at) else { return };
        if update.is_sealed() && version.is_live() {
            self.0.touch(user).times.seal(Second::new(created_at));
        }
        if live == 0 {
            return;
        }
        let user = self.0.touch(user);
        user.messages += live;
        user.characters += live * i64::from(version.characters);
        user.score += live * version.score.unwrap_or(0);
        user.edited += live * i64::from(version.edited);
        user.times.change(Second::new(created_at), live);
    }

    fn aside(&mut self, distinct: &Distinct) {
        let user = self.0.touch(distinct.user);
        user.conversations += i64::from(distinct.conversations);
        user.communities += i64::from(distinct.communities);
    }

    fn close(&mut self, out: &mut Vec<RowChange<Users>>) {
        self.0.close(|user, _, row| out.push(RowChange { key: UsersKey { user }, row }));
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Users>> {
    let conversations =
        map(inputs.user_conversations(), |pair| Distinct { user: pair.left, conversations: pair.diff, communities: 0 });
    let communities =
        map(inputs.user_communities(), |pair| Distinct { user: pair.left, conversations: 0, communities: pair.diff });
    fold_with(inputs.by_user(), conversations.concat(communities), "Users", State::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn no_time_of_a_sealed_message_is_held() {
        let mut state = State::default();
        sealed::all(&mut state, |_| {});
        let user = state.0.get(&Name::of("reddit:sealed0")).expect("it keeps what was given");
        assert_eq!((user.times.held(), user.messages), (0, sealed::MESSAGES / 5));
        assert_eq!(user.row(&Name::of("reddit:sealed0")).map(|row| row.first_at), Some(0));
    }
}
