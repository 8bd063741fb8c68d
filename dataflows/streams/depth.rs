//! Reply depth of each conversation, under late parents, deletions and cycles.
//!
//! The rules are `interface.md`'s: a submission is 0, a message without a held parent in its conversation 1, any other its
//! parent's + 1, or what that was when it was sealed; tombstones keep their place but are not counted; what is on a cycle or hangs off one has no depth. [`Forest`] keeps it at a cost that
//! does not grow with the conversation.

#[cfg(test)]
mod iterate;

use eddy_schemas::stored::Malformed;
use eddy_schemas::sums::Kind;
use eddy_schemas::{ConversationId, MessageId, Version};
use hashbrown::HashMap;

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::forest::{Forest, Seat};
use crate::inputs::{Update, Updates};
use crate::sums::Teller;

/// The depth of what a conversation holds is now this, and that of what has been sealed since it was said last.
#[derive(Clone, Copy, Debug)]
pub struct DepthChange {
    pub conversation: ConversationId,
    pub depth: Option<u32>,
    pub sealed: Option<u32>,
}

struct Depth {
    forest: Forest,
    /// A version that left; most often the next update is its successor in the same seat, and nothing moves.
    left: Option<Version>,
    /// Messages with a sealed parent that this tick changes, as they are: what they are at its end decides whether they keep their depth.
    changed: HashMap<(ConversationId, MessageId), Option<Version>, foldhash::fast::FixedState>,
    /// What this tick seals. It waits for the last update: until then answers may still come.
    sealed: Vec<Version>,
    /// What messages have from sealed parents that come back after a restart: that parent, and their depth.
    restored: HashMap<(ConversationId, MessageId), (MessageId, Option<u32>), foldhash::fast::FixedState>,
    sums: Teller,
}

impl Depth {
    fn set(&mut self, conversation: ConversationId, message: MessageId, seat: Option<Seat>) {
        self.forest.set(conversation.bits(), message.bits(), seat);
    }

    fn leave(&mut self) {
        if let Some(left) = self.left.take() {
            self.set(left.conversation, left.id, None);
        }
    }

    /// Seals what waits for it; gives the greatest depth of each conversation's.
    fn seal(&mut self) -> HashMap<ConversationId, u32, foldhash::fast::FixedState> {
        let mut deepest = HashMap::default();
        // Most messages are younger than what they answer: those that go in one tick need not take a depth first.
        for version in std::mem::take(&mut self.sealed).into_iter().rev() {
            let conversation = version.conversation;
            if self.forest.is_taken(conversation.bits(), version.id.bits()) {
                self.say_let_go(conversation, version.id);
            }
            let (sums, parent) = (&mut self.sums, version.id);
            let say_taken = |child: u64, depth: Option<u32>| {
                let child = MessageId::from_bits(child).expect("it was one");
                let depth = depth.map(i64::from);
                sums.say(Kind::Depths, |key| key.id(conversation).id(child), |known| known.id(parent).maybe_int(depth));
            };
            if let Some(depth) = self.forest.seal(conversation.bits(), parent.bits(), say_taken).filter(|_| version.is_live()) {
                let deepest = deepest.entry(conversation).or_insert(depth);
                *deepest = depth.max(*deepest);
            }
        }
        deepest
    }

    fn say_let_go(&mut self, conversation: ConversationId, message: MessageId) {
        self.sums.say(Kind::Depths, |key| key.id(conversation).id(message), |ended| ended);
    }

    /// Sets a message that has its depth from a sealed parent, as it is at the end of the tick.
    fn change(&mut self, conversation: ConversationId, message: MessageId, version: Option<&Version>) {
        let was_taken = self.forest.is_taken(conversation.bits(), message.bits());
        self.set(conversation, message, version.map(seat));
        if was_taken && !self.forest.is_taken(conversation.bits(), message.bits()) {
            self.say_let_go(conversation, message);
        }
    }

    /// A message comes back after a restart: whether it has its depth from a sealed parent.
    fn restore(&mut self, version: &Version) -> bool {
        let (conversation, message) = (version.conversation, version.id);
        let Some((parent, depth)) = self.restored.remove(&(conversation, message)) else { return false };
        self.forest.set_taken(conversation.bits(), message.bits(), seat(version), parent.bits(), depth);
        true
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
        let version = &update.version;
        self.forest.fetch(version.conversation.bits(), version.id.bits(), version.parent.map(MessageId::bits), step);
    }

    fn main(&mut self, update: &Update) {
        let version = &update.version;
        if update.is_sealed() {
            self.sealed.push(*version);
            return;
        }
        if self.forest.is_taken(version.conversation.bits(), version.id.bits()) {
            self.changed.insert((version.conversation, version.id), (update.diff > 0).then_some(*version));
            return;
        }
        if update.diff < 0 {
            self.leave();
            self.left = Some(*version);
            return;
        }
        if !self.restored.is_empty() && self.restore(version) {
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
                    let (conversation, message) = (version.conversation.bits(), version.id.bits());
                    return self.forest.set_live(conversation, message, new.live);
                }
            }
            _ => self.leave(),
        }
        self.set(version.conversation, version.id, Some(seat(version)));
    }

    fn close(&mut self, out: &mut Vec<DepthChange>) {
        self.leave();
        for ((conversation, message), version) in std::mem::take(&mut self.changed) {
            self.change(conversation, message, version.as_ref());
        }
        let mut deepest = self.seal();
        self.forest.end(|conversation, before, depth| {
            let conversation = MessageId::from_bits(conversation).expect("it was one");
            let sealed = if deepest.is_empty() { None } else { deepest.remove(&conversation) };
            if depth != before || sealed.is_some() {
                out.push(DepthChange { conversation, depth, sealed });
            }
        });
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

impl Depth {
    fn new(mut sums: Teller) -> Depth {
        let mut restored = HashMap::default();
        sums.restore(Kind::Depths, |key, known| {
            let depth = |depth: i64| u32::try_from(depth).map_err(|_| Malformed);
            restored.insert((key.id()?, key.id()?), (known.id()?, known.maybe_int()?.map(depth).transpose()?));
            Ok(())
        });
        Depth { forest: Forest::new(), left: None, changed: HashMap::default(), sealed: vec![], restored, sums }
    }
}

/// The depth of each conversation as it changes. All versions in a conversation must meet on one worker.
pub fn depth<'scope>(versions: Updates<'scope>, sums: Teller) -> Batches<'scope, DepthChange> {
    fold(versions, "Depth", Depth::new(sums))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn nothing_of_sealed_messages_is_held() {
        let mut state = Depth::new(Teller::default());
        sealed::all(&mut state, |state| assert_eq!(state.forest.len() as i64, sealed::MESSAGES));
        assert!(state.forest.is_empty() && state.forest.depth(MessageId::submission("0").bits()).is_none());
    }

    #[test]
    fn a_conversation_is_said_once_though_its_last_message_is_sealed_as_another_comes() {
        let (mut state, mut out) = (Depth::new(Teller::default()), vec![]);
        let [first, second] = [7, 14].map(sealed::version);
        state.main(&Update { version: first, diff: 1 });
        state.close(&mut out);
        out.clear();
        state.main(&Update { version: first, diff: 0 });
        state.main(&Update { version: second, diff: 1 });
        state.close(&mut out);
        let said: Vec<_> = out.iter().map(|change| (change.conversation, change.depth, change.sealed)).collect();
        assert_eq!(said, [(first.conversation, Some(2), Some(1))], "the second answers the first, which was at depth 1");
    }
}
