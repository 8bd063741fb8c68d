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

use eddy_schemas::sums::Kind;
use eddy_schemas::{ConversationId, MessageId, Name, Version};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::inputs::{Update, Updates};
use crate::map::Map;
use crate::sorted::SortedBag;
use crate::sums::Teller;

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
    /// Those of `taken` that this tick changes: before (none: it comes back after a restart), and as they are.
    changed: HashMap<Seat, (Option<Version>, Option<Version>), foldhash::fast::FixedState>,
    /// What this tick seals. It waits for the last update: until then answers may still come.
    sealed: Vec<Version>,
    /// Answers since they were last said.
    said: Vec<Answer>,
    /// A version that left; most often the next update is its successor, and neither author nor parent changes.
    left: Option<Version>,
    sums: Teller,
}

/// What a version answers, and who does so.
fn answers(version: &Version) -> Option<(Seat, Option<Name>)> {
    Some(((version.conversation, version.parent?), version.user.filter(|_| version.is_live())))
}

impl Answers {
    fn new(sums: Teller) -> Answers {
        let mut state = Answers { sums, ..Answers::default() };
        state.sums.restore(Kind::Answers, |key, known| {
            state.taken.insert((key.id()?, key.id()?), known.maybe_name()?);
            Ok(())
        });
        state
    }

    fn take(&mut self, seat: Seat, author: Option<Name>) {
        self.taken.insert(seat, author);
        self.sums.say(Kind::Answers, |key| key.id(seat.0).id(seat.1), |known| known.maybe_name(author));
    }

    /// Whom an answer answers that has taken that; it has not any more.
    fn let_go(&mut self, seat: Seat) -> Option<Option<Name>> {
        let author = self.taken.remove(&seat)?;
        self.sums.say(Kind::Answers, |key| key.id(seat.0).id(seat.1), |ended| ended);
        Some(author)
    }

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
        if let Some((seat, user)) = answers(version) {
            let to_user = match self.let_go((conversation, parent)) {
                Some(author) => author,
                None => self.wait(seat, (version.id, user), -1),
            };
            if let Some((user, to_user)) = user.zip(to_user).filter(|(user, to_user)| user != to_user) {
                self.sums.say(Kind::Replies, |key| key.name(user).name(to_user), |left| left.int(1));
            }
        } else {
            self.let_go((conversation, parent));
        }
        let Some(slot) = self.seats.find(&(conversation, parent)) else { return };
        let Held { author, waiting } = self.seats.remove(slot);
        waiting.iter().for_each(|(answer, _)| self.take((conversation, answer), author));
    }

    /// An answer that has taken something changes.
    fn retake(&mut self, seat: Seat, old: Option<&Version>, new: Option<&Version>) {
        old.into_iter().for_each(|old| self.change(old, -1));
        if new.is_none_or(|new| old.is_some_and(|old| new.parent != old.parent)) {
            self.let_go(seat);
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
            let asserted = update.diff > 0;
            self.changed.entry(seat).or_insert(((!asserted).then_some(*version), None)).1 = asserted.then_some(*version);
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
        changed.iter().for_each(|(seat, (old, new))| self.retake(*seat, old.as_ref(), new.as_ref()));
        // Most answers are younger than what they answer: those that go in one tick need not take anything first.
        std::mem::take(&mut self.sealed).iter().rev().for_each(|version| self.seal(version));
        out.append(&mut self.said);
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

/// Answers as they come and go. All versions in a conversation must meet on one worker.
pub fn answers_of<'scope>(versions: Updates<'scope>, sums: Teller) -> Batches<'scope, Answer> {
    fold(versions, "Answers", Answers::new(sums))
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
