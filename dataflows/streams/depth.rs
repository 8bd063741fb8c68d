//! Reply depth of each conversation, under late parents, deletions and cycles.
//!
//! The rules are `interface.md`'s: a submission is 0, a message without a held parent in its conversation 1, any other its
//! parent's + 1; tombstones keep their place but are not counted; what is on a cycle or hangs off one has no depth. [`Forest`] keeps it at a cost that
//! does not grow with the conversation.

#[cfg(test)]
mod iterate;

use eddy_schemas::{ConversationId, Version};
use hashbrown::HashMap;

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::forest::{Forest, Seat};
use crate::inputs::{Update, Updates};

/// A conversation's depth is now this.
#[derive(Clone, Copy, Debug)]
pub struct DepthChange {
    pub conversation: ConversationId,
    pub depth: Option<u32>,
}

struct Depth {
    forest: Forest,
    /// Conversations touched in this tick, with the depth before.
    touched: HashMap<ConversationId, Option<u32>, foldhash::fast::FixedState>,
    /// A version that left; most often the next update is its successor in the same seat, and nothing moves.
    left: Option<Version>,
}

impl Depth {
    fn touch(&mut self, conversation: ConversationId) {
        self.touched.entry(conversation).or_insert_with(|| self.forest.depth(conversation.bits()));
    }

    fn set(&mut self, version: &Version, seat: Option<Seat>) {
        self.touch(version.conversation);
        self.forest.set(version.conversation.bits(), version.id.bits(), seat);
    }

    fn leave(&mut self) {
        if let Some(left) = self.left.take() {
            self.set(&left, None);
        }
    }
}

fn seat(version: &Version) -> Seat {
    Seat { parent: version.parent.map(|id| id.bits()), submission: version.id.is_submission(), live: version.is_live() }
}

impl Fold for Depth {
    type Main = Update;
    type Aside = Nothing;
    type Out = DepthChange;

    fn fetch(&self, update: &Update, step: usize) {
        self.forest.fetch(update.version.conversation.bits(), update.version.id.bits(), step);
    }

    fn main(&mut self, update: &Update) {
        let version = &update.version;
        if update.diff < 0 {
            self.leave();
            self.left = Some(*version);
            return;
        }
        match self.left {
            Some(left) if (left.id, left.conversation) == (version.id, version.conversation) => {
                self.left = None;
                let (old, new) = (seat(&left), seat(version));
                if old == new {
                    return;
                }
                if old == (Seat { live: old.live, ..new }) {
                    self.touch(version.conversation);
                    let (conversation, message) = (version.conversation.bits(), version.id.bits());
                    return self.forest.set_live(conversation, message, new.live);
                }
            }
            _ => self.leave(),
        }
        self.set(version, Some(seat(version)));
    }

    fn close(&mut self, out: &mut Vec<DepthChange>) {
        self.leave();
        for (conversation, old) in self.touched.drain() {
            let depth = self.forest.depth(conversation.bits());
            if depth != old {
                out.push(DepthChange { conversation, depth });
            }
        }
    }
}

/// The depth of each conversation as it changes. All versions in a conversation must meet on one worker.
pub fn depth<'scope>(versions: Updates<'scope>) -> Batches<'scope, DepthChange> {
    let state = Depth { forest: Forest::new(), touched: HashMap::default(), left: None };
    fold(versions, "Depth", state)
}
