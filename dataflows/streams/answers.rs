//! Who answers whom: live messages joined with the author of the message they answer, in the same conversation.
//!
//! ```text
//!   held:    (conversation, message) -> author, live or tombstone
//!   waiting: (conversation, parent)  -> authors of its live answers
//! ```
//!
//! An answer looks up its parent's author; an author that comes, goes or changes meets all answers so far.

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
    answers: HashMap<Seat, SortedBag<Name>, foldhash::fast::FixedState>,
    /// This tick's net answers.
    net: HashMap<(Name, Name), i64, foldhash::fast::FixedState>,
    /// A version that left; most often the next update is its successor, and neither author nor parent changes.
    left: Option<Version>,
}

fn answers(version: &Version) -> Option<(Seat, Name)> {
    let parent = version.parent.filter(|_| version.is_live())?;
    Some(((version.conversation, parent), version.user?))
}

impl Answers {
    fn change(&mut self, version: &Version, diff: i64) {
        if let Some((parent, user)) = answers(version) {
            let waiting = self.answers.entry(parent).or_default();
            waiting.change(user, diff);
            if waiting.is_empty() {
                self.answers.remove(&parent);
            }
            if let Some(&to_user) = self.held.get(&parent) {
                self.say(user, to_user, diff);
            }
        }
        let seat = (version.conversation, version.id);
        let Some(author) = version.user else { return };
        if diff > 0 {
            self.held.insert(seat, author);
        } else {
            self.held.remove(&seat);
        }
        if let Some(waiting) = self.answers.remove(&seat) {
            waiting.iter().for_each(|user| self.say(user, author, diff));
            self.answers.insert(seat, waiting);
        }
    }

    fn say(&mut self, user: Name, to_user: Name, diff: i64) {
        if user != to_user {
            *self.net.entry((user, to_user)).or_default() += diff;
        }
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
        let net = self.net.drain().filter(|(_, diff)| *diff != 0);
        out.extend(net.map(|((user, to_user), diff)| Answer { user, to_user, diff }));
    }
}

/// Answers as they come and go. All versions in a conversation must meet on one worker.
pub fn answers_of<'scope>(versions: Updates<'scope>) -> Batches<'scope, Answer> {
    fold(versions, "Answers", Answers::default())
}
