//! Who answers whom: live messages joined with the author of the message they answer, in the same conversation.
//!
//! ```text
//!   held:    (conversation, message) -> author, live or tombstone
//!   answers: (conversation, parent)  -> those that name it, with their authors where they are live
//!   taken:   (conversation, answer)  -> whom it answers for as long as it names its parent, which is sealed
//! ```
//!
//! An answer looks up its parent's author; an author that comes, goes or changes meets all answers so far. A parent that is sealed leaves
//! its author with the answers that are there; those that come later find nobody. What an answer is at the end of a tick decides whether it
//! has kept that, whatever it was in between.

use eddy_schemas::{ConversationId, MessageId, Name, Version};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::inputs::{Update, Updates};
use crate::sorted::SortedBag;

/// `user` gave (+) or took back (-) answers to `to_user`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub user: Name,
    pub to_user: Name,
    pub diff: i64,
}

type Seat = (ConversationId, MessageId);

#[derive(Default)]
struct Answers {
    held: HashMap<Seat, Name, foldhash::fast::FixedState>,
    answers: HashMap<Seat, SortedBag<(MessageId, Option<Name>)>, foldhash::fast::FixedState>,
    taken: HashMap<Seat, Option<Name>, foldhash::fast::FixedState>,
    /// Those of `taken` that this tick changes: before, and as they are.
    changed: HashMap<Seat, (Version, Option<Version>), foldhash::fast::FixedState>,
    /// What this tick seals. It waits for the last update: until then answers may still come.
    sealed: Vec<Version>,
    /// This tick's net answers.
    net: HashMap<(Name, Name), i64, foldhash::fast::FixedState>,
    /// A version that left; most often the next update is its successor, and neither author nor parent changes.
    left: Option<Version>,
}

/// What a version answers, and who does so.
fn answers(version: &Version) -> Option<(Seat, Option<Name>)> {
    Some(((version.conversation, version.parent?), version.user.filter(|_| version.is_live())))
}

impl Answers {
    fn change(&mut self, version: &Version, diff: i64) {
        let seat = (version.conversation, version.id);
        if let Some(&to_user) = self.taken.get(&seat) {
            self.say(answers(version).and_then(|(_, user)| user), to_user, diff);
        } else if let Some((parent, user)) = answers(version) {
            self.wait(parent, (version.id, user), diff);
            self.say(user, self.held.get(&parent).copied(), diff);
        }
        let Some(author) = version.user else { return };
        if diff > 0 {
            self.held.insert(seat, author);
        } else {
            self.held.remove(&seat);
        }
        if let Some(waiting) = self.answers.remove(&seat) {
            waiting.iter().for_each(|(_, user)| self.say(user, Some(author), diff));
            self.answers.insert(seat, waiting);
        }
    }

    fn wait(&mut self, parent: Seat, answer: (MessageId, Option<Name>), diff: i64) {
        let waiting = self.answers.entry(parent).or_default();
        waiting.change(answer, diff);
        if waiting.is_empty() {
            self.answers.remove(&parent);
        }
    }

    /// Forgets a message, and leaves its author with those that answer it.
    fn seal(&mut self, version: &Version) {
        let (conversation, parent) = (version.conversation, version.id);
        if self.taken.remove(&(conversation, parent)).is_none()
            && let Some((seat, user)) = answers(version)
        {
            self.wait(seat, (version.id, user), -1);
        }
        let to_user = self.held.remove(&(conversation, parent));
        for (answer, _) in self.answers.remove(&(conversation, parent)).iter().flat_map(SortedBag::iter) {
            self.taken.insert((conversation, answer), to_user);
        }
    }

    fn say(&mut self, user: Option<Name>, to_user: Option<Name>, diff: i64) {
        if let Some(pair) = user.zip(to_user).filter(|(user, to_user)| user != to_user) {
            *self.net.entry(pair).or_default() += diff;
        }
    }

    /// An answer that has taken something changes.
    fn retake(&mut self, seat: Seat, old: &Version, new: Option<&Version>) {
        self.change(old, -1);
        if new.is_none_or(|new| new.parent != old.parent) {
            self.taken.remove(&seat);
        }
        new.into_iter().for_each(|new| self.change(new, 1));
    }

    fn leave(&mut self) {
        if let Some(left) = self.left.take() {
            self.change(&left, -1);
        }
    }
}

impl Fold for Answers {
    type Main = Update;
    type Aside = Nothing;
    type Out = Answer;

    fn main(&mut self, update: &Update) {
        let version = &update.version;
        if update.is_sealed() {
            self.sealed.push(*version);
            return;
        }
        let seat = (version.conversation, version.id);
        if !self.taken.is_empty() && self.taken.contains_key(&seat) {
            self.changed.entry(seat).or_insert((*version, None)).1 = (update.diff > 0).then_some(*version);
            return;
        }
        if update.diff < 0 {
            self.leave();
            self.left = Some(*version);
            return;
        }
        let same = |left: &Version| {
            (left.id, left.conversation, left.user) == (version.id, version.conversation, version.user) && answers(left) == answers(version)
        };
        if self.left.as_ref().is_some_and(same) {
            self.left = None;
            return;
        }
        self.leave();
        self.change(version, 1);
    }

    fn close(&mut self, out: &mut Vec<Answer>) {
        self.leave();
        let changed = std::mem::take(&mut self.changed);
        changed.iter().for_each(|(seat, (old, new))| self.retake(*seat, old, new.as_ref()));
        std::mem::take(&mut self.sealed).iter().for_each(|version| self.seal(version));
        let net = self.net.drain().filter(|(_, diff)| *diff != 0);
        out.extend(net.map(|((user, to_user), diff)| Answer { user, to_user, diff }));
    }
}

/// Answers as they come and go. All versions in a conversation must meet on one worker.
pub fn answers_of<'scope>(versions: Updates<'scope>) -> Batches<'scope, Answer> {
    fold(versions, "Answers", Answers::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn nothing_of_sealed_messages_is_held() {
        let mut state = Answers::default();
        sealed::all(&mut state, |state| assert_eq!(state.held.len() as i64, sealed::MESSAGES));
        assert!(state.held.is_empty() && state.answers.is_empty() && state.taken.is_empty());
    }
}
