//! Who answers whom: live messages joined with the author of the message they answer, in the same conversation.
//!
//! ```text
//!   seats: (conversation, message) -> its author, live or tombstone | authors of its live answers
//! ```
//!
//! An answer looks up its parent's author; an author that comes, goes or changes meets all answers so far.

use eddy_schemas::{ConversationId, MessageId, Name, Version};
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
    /// Authors of its live answers.
    waiting: SortedBag<Name>,
}

#[derive(Default)]
struct Answers {
    seats: Map<Seat, Held>,
    /// Answers since they were last said.
    said: Vec<Answer>,
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
            let slot = self.seats.slot(parent);
            let seat = self.seats.at_mut(slot);
            seat.waiting.change(user, diff);
            if let Some(author) = seat.author {
                say(&mut self.said, user, author, diff);
            } else if seat.waiting.is_empty() {
                self.seats.remove(slot);
            }
        }
        let Some(author) = version.user else { return };
        let slot = self.seats.slot((version.conversation, version.id));
        let seat = self.seats.at_mut(slot);
        seat.author = Some(author).filter(|_| diff > 0);
        seat.waiting.iter().for_each(|user| say(&mut self.said, user, author, diff));
        if seat.author.is_none() && seat.waiting.is_empty() {
            self.seats.remove(slot);
        }
    }

    fn leave(&mut self) {
        if let Some(left) = self.left.take() {
            self.change(&left, -1);
        }
    }
}

fn say(said: &mut Vec<Answer>, user: Name, to_user: Name, diff: i64) {
    if user != to_user {
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
        out.append(&mut self.said);
    }
}

/// Answers as they come and go. All versions in a conversation must meet on one worker.
pub fn answers_of<'scope>(versions: Updates<'scope>) -> Batches<'scope, Answer> {
    fold(versions, "Answers", Answers::default())
}
