//! Who answers whom: live messages joined with the author of the message they answer, in the same conversation.
//!
//! ```text
//!   seats: (conversation, message) -> its author, live or tombstone | those that name it, with their authors where they are live
//!   taken: (conversation, answer)  -> whom it answers for as long as it names its parent, which is sealed
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
use crate::map::Map;
use crate::sorted::SortedBag;

/// `user` gave (+) or took back (-) answers to `to_user`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Answer {
    pub user: Name,
    pub to_user: Name,
    pub diff: i64,
}

type Seat = (ConversationId, MessageId);

/// What is known of a seat.
#[derive(Default)]
struct Held {
    /// Of the message that is there, live or tombstone.
    author: Option<Name>,
    /// Those that name it, with their authors where they are live.
    waiting: SortedBag<(MessageId, Option<Name>)>,
}

#[derive(Default)]
struct Answers {
    seats: Map<Seat, Held>,
    taken: HashMap<Seat, Option<Name>, foldhash::fast::FixedState>,
    /// Those of `taken` that this tick changes: before, and as they are.
    changed: HashMap<Seat, (Version, Option<Version>), foldhash::fast::FixedState>,
    /// What this tick seals. It waits for the last update: until then answers may still come.
    sealed: Vec<Version>,
    /// Answers since they were last said.
    said: Vec<Answer>,
    /// A version that left; most often the next update is its successor, and neither author nor parent changes.
    left: Option<Version>,
}

/// What a version answers, and who does so.
fn answers(version: &Version) -> Option<(Seat, Option<Name>)> {
    Some(((version.conversation, version.parent?), version.user.filter(|_| version.is_live())))
}

impl Answers {
    fn change(&mut self, version: &Version, diff: i64) {
        let id = (version.conversation, version.id);
        if let Some(&to_user) = self.taken.get(&id).filter(|_| !self.taken.is_empty()) {
            say(&mut self.said, answers(version).and_then(|(_, user)| user), to_user, diff);
        } else if let Some((parent, user)) = answers(version) {
            let author = self.wait(parent, (version.id, user), diff);
            say(&mut self.said, user, author, diff);
        }
        let Some(author) = version.user else { return };
        let slot = self.seats.slot(id);
        let seat = self.seats.at_mut(slot);
        seat.author = Some(author).filter(|_| diff > 0);
        seat.waiting.iter().for_each(|(_, user)| say(&mut self.said, user, Some(author), diff));
        self.sweep(slot);
    }

    /// An answer comes or goes; gives the author whom it answers.
    fn wait(&mut self, parent: Seat, answer: (MessageId, Option<Name>), diff: i64) -> Option<Name> {
        let slot = self.seats.slot(parent);
        let seat = self.seats.at_mut(slot);
        seat.waiting.change(answer, diff);
        let author = seat.author;
        self.sweep(slot);
        author
    }

    fn sweep(&mut self, slot: u32) {
        let seat = self.seats.at(slot);
        if seat.author.is_none() && seat.waiting.is_empty() {
            self.seats.remove(slot);
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
        let Some(slot) = self.seats.find(&(conversation, parent)) else { return };
        let Held { author, waiting } = self.seats.remove(slot);
        self.taken.extend(waiting.iter().map(|(answer, _)| ((conversation, answer), author)));
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

fn say(said: &mut Vec<Answer>, user: Option<Name>, to_user: Option<Name>, diff: i64) {
    if let Some((user, to_user)) = user.zip(to_user).filter(|(user, to_user)| user != to_user) {
        said.push(Answer { user, to_user, diff });
    }
}

impl Fold for Answers {
    type Main = Update;
    type Aside = Nothing;
    type Out = Answer;

    fn fetch(&self, update: &Update, step: usize) {
        let version = &update.version;
        for message in version.parent.into_iter().chain([version.id]) {
            if let Some(held) = self.seats.fetch(&(version.conversation, message), step) {
                held.waiting.fetch();
            }
        }
    }

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

    fn at_once(&mut self, out: &mut Vec<Answer>) {
        out.append(&mut self.said);
    }

    fn close(&mut self, out: &mut Vec<Answer>) {
        self.leave();
        let changed = std::mem::take(&mut self.changed);
        changed.iter().for_each(|(seat, (old, new))| self.retake(*seat, old, new.as_ref()));
        std::mem::take(&mut self.sealed).iter().for_each(|version| self.seal(version));
        out.append(&mut self.said);
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
        sealed::all(&mut state, |state| assert_eq!(state.seats.len() as i64, sealed::MESSAGES));
        assert!(state.seats.is_empty() && state.taken.is_empty());
    }
}
