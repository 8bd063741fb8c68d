//! The facts of every message below the bound: 48 bytes each.
//!
//! ```text
//!   number --> slot (chunks of 4,096)        user --> latest slot --> earlier slot --> ...
//!                                            conversation --> latest slot --> earlier slot --> ...
//!                                            message --> latest answer --> earlier answer --> ...
//! ```
//!
//! A conversation that a submission opens starts in the submission's own slot; the chats' topics, a few, have a list.
//!
//! # Invariants
//! 1. A slot holds the winning version of its message among the facts applied.
//! 2. A message is in the chain of its conversation from its first version on, and in that of its user from the first version that
//!    names one, and so in that of what it answers; it stays there (the slot itself says whether it still is theirs).

use std::sync::Arc;

use crate::source::synthetic::Fact;
use crate::source::synthetic::fact::{ASKS, TOMBSTONE};
use crate::source::synthetic::world::{NONE, SANDBOX, TOPICS, World};

const CHUNK: usize = 4096;

#[derive(Clone, Copy)]
pub struct Slot {
    pub user: u32,
    pub conversation: u32,
    pub parent: u32,
    pub created_at: u32,
    pub edited_at: u32,
    pub text_hash: u32,
    before_of_user: u32,
    before_of_conversation: u32,
    latest_answer: u32,
    before_of_parent: u32,
    pub characters: u16,
    pub score: i16,
    version: u8,
    pub community: u8,
    pub flags: u8,
    state: u8,
}

/// A version has been applied.
const HELD: u8 = 1;
/// It is in its user's chain.
const OF_USER: u8 = 2;
/// It is in its parent's chain.
const OF_PARENT: u8 = 4;

const EMPTY: Slot = Slot {
    user: NONE,
    conversation: NONE,
    parent: NONE,
    created_at: 0,
    edited_at: 0,
    text_hash: 0,
    before_of_user: NONE,
    before_of_conversation: NONE,
    latest_answer: NONE,
    before_of_parent: NONE,
    characters: 0,
    score: 0,
    version: 0,
    community: 0,
    flags: 0,
    state: 0,
};

impl Slot {
    pub fn is_held(&self) -> bool {
        self.state & HELD != 0
    }

    pub fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub fn is_live(&self) -> bool {
        self.is_held() && !self.is(TOMBSTONE)
    }
}

/// Slots by number, in chunks, so that growth copies nothing and holes cost nothing.
#[derive(Default)]
struct Slots(Vec<Option<Box<[Slot]>>>);

impl Slots {
    fn get(&self, at: usize) -> &Slot {
        self.0.get(at / CHUNK).and_then(Option::as_ref).map_or(&EMPTY, |chunk| &chunk[at % CHUNK])
    }

    fn get_mut(&mut self, at: usize) -> &mut Slot {
        if self.0.len() <= at / CHUNK {
            self.0.resize_with(at / CHUNK + 1, || None);
        }
        let chunk = self.0[at / CHUNK].get_or_insert_with(|| vec![EMPTY; CHUNK].into_boxed_slice());
        &mut chunk[at % CHUNK]
    }
}

/// All facts, as of a bound.
pub struct Facts {
    pub world: Arc<World>,
    made: Slots,
    typed: Slots,
    /// Latest message of each user, and their live messages.
    users: Vec<(u32, u32)>,
    /// Latest message of each topic.
    topics: Vec<u32>,
    /// Numbers below this have been seen.
    made_end: u32,
    typed_end: u32,
    live: u64,
    users_live: u64,
    /// The greatest created_at of any version.
    latest_at: Option<u32>,
}

impl Facts {
    pub fn new(world: Arc<World>) -> Self {
        assert_eq!(size_of::<Slot>(), 48, "the demo's memory counts on it");
        Facts {
            topics: vec![NONE; world.communities.len() * 16],
            world,
            made: Slots::default(),
            typed: Slots::default(),
            users: Vec::new(),
            made_end: 0,
            typed_end: SANDBOX,
            live: 0,
            users_live: 0,
            latest_at: None,
        }
    }

    pub fn slot(&self, message: u32) -> &Slot {
        if message == NONE {
            &EMPTY
        } else if message >= SANDBOX {
            self.typed.get((message - SANDBOX) as usize)
        } else {
            self.made.get(message as usize)
        }
    }

    fn slot_mut(&mut self, message: u32) -> &mut Slot {
        if message >= SANDBOX {
            self.typed_end = self.typed_end.max(message + 1);
            self.typed.get_mut((message - SANDBOX) as usize)
        } else {
            self.made_end = self.made_end.max(message + 1);
            self.made.get_mut(message as usize)
        }
    }

    /// Applies one version; gives whether it won.
    pub fn apply(&mut self, fact: &Fact) -> bool {
        self.latest_at = self.latest_at.max((fact.created_at > 0).then_some(fact.created_at));
        let held = *self.slot(fact.message);
        if held.is_held() && fact.version <= held.version {
            return false;
        }
        let mut slot = Slot {
            user: fact.user,
            conversation: fact.conversation,
            parent: fact.parent,
            created_at: fact.created_at,
            edited_at: fact.edited_at,
            text_hash: fact.text_hash,
            characters: fact.characters,
            score: fact.score,
            version: fact.version,
            community: fact.community,
            flags: fact.flags,
            state: held.state | HELD,
            ..held
        };
        self.count(&held, false);
        if !held.is_held() && fact.message != fact.conversation {
            let latest = self.latest_of_conversation(fact.conversation);
            slot.before_of_conversation = std::mem::replace(latest, fact.message);
        }
        if fact.user != NONE && held.state & OF_USER == 0 {
            slot.state |= OF_USER;
            let latest = &mut self.user_mut(fact.user).0;
            slot.before_of_user = std::mem::replace(latest, fact.message);
        }
        if fact.parent != NONE && held.state & OF_PARENT == 0 {
            slot.state |= OF_PARENT;
            let latest = &mut self.slot_mut(fact.parent).latest_answer;
            slot.before_of_parent = std::mem::replace(latest, fact.message);
        }
        *self.slot_mut(fact.message) = slot;
        self.count(&slot, true);
        true
    }

    fn count(&mut self, slot: &Slot, plus: bool) {
        if !slot.is_live() {
            return;
        }
        self.live = if plus { self.live + 1 } else { self.live - 1 };
        if slot.user != NONE {
            let live = &mut self.user_mut(slot.user).1;
            *live = if plus { *live + 1 } else { *live - 1 };
            match (*live, plus) {
                (1, true) => self.users_live += 1,
                (0, false) => self.users_live -= 1,
                _ => {}
            }
        }
    }

    fn user_mut(&mut self, user: u32) -> &mut (u32, u32) {
        let at = user as usize;
        if self.users.len() <= at {
            self.users.resize(at + 1, (NONE, 0));
        }
        &mut self.users[at]
    }

    /// Where the chain of a conversation starts. The submission's own slot does not hold itself: it is added when the chain is read.
    fn latest_of_conversation(&mut self, conversation: u32) -> &mut u32 {
        if conversation >= TOPICS {
            return &mut self.topics[(conversation - TOPICS) as usize];
        }
        &mut self.slot_mut(conversation).before_of_conversation
    }

    /// Live messages, and users with one.
    pub fn live(&self) -> (u64, u64) {
        (self.live, self.users_live)
    }

    /// Live messages of a user.
    pub fn live_of(&self, user: u32) -> u32 {
        self.users.get(user as usize).map_or(0, |(_, live)| *live)
    }

    /// A user of whom a message is or was known.
    pub fn has_user(&self, user: u32) -> bool {
        self.users.get(user as usize).is_some_and(|(latest, _)| *latest != NONE)
    }

    /// One more than the greatest user, message made, message typed.
    pub fn ends(&self) -> (u32, u32, u32) {
        (self.users.len() as u32, self.made_end, self.typed_end)
    }

    /// The messages of a user, latest first, also those that are not theirs any more.
    pub fn of_user(&self, user: u32) -> impl Iterator<Item = u32> + '_ {
        let latest = self.users.get(user as usize).map_or(NONE, |(latest, _)| *latest);
        std::iter::successors((latest != NONE).then_some(latest), |m| Some(self.slot(*m).before_of_user).filter(|m| *m != NONE))
    }

    /// The greatest created_at of any version so far.
    pub fn latest_at(&self) -> Option<u32> {
        self.latest_at
    }

    /// What has answered a message, latest first, also where it is not held, or answers another by now.
    pub fn of_parent(&self, parent: u32) -> impl Iterator<Item = u32> + '_ {
        let some = |message: u32| Some(message).filter(|message| *message != NONE);
        std::iter::successors(some(self.slot(parent).latest_answer), move |m| some(self.slot(*m).before_of_parent))
    }

    /// Whether a message is one that waits for a response: a submission, or one of a chat that answers nothing and asks.
    pub fn is_post(&self, message: u32) -> bool {
        let slot = self.slot(message);
        let is_submission = message == slot.conversation && slot.conversation < TOPICS;
        slot.is_live() && (is_submission || slot.conversation >= TOPICS && slot.parent == NONE && slot.is(ASKS))
    }

    /// Seconds from a post to another message, where that is a response to it; of a submission it is one of the same conversation, else
    /// an answer.
    pub fn responds(&self, post: u32, message: u32) -> Option<u32> {
        let (of, slot) = (self.slot(post), self.slot(message));
        let fits = slot.is_live() && slot.conversation == of.conversation && (of.conversation < TOPICS || slot.parent == post);
        let is_another = slot.user != NONE && slot.user != of.user;
        (fits && is_another).then(|| slot.created_at.checked_sub(of.created_at)).flatten()
    }

    /// The messages held of a conversation.
    pub fn of_conversation(&self, conversation: u32) -> impl Iterator<Item = u32> + '_ {
        let (own, latest) = if conversation >= TOPICS {
            (None, self.topics.get((conversation - TOPICS) as usize).copied().unwrap_or(NONE))
        } else {
            let slot = self.slot(conversation);
            let own = (slot.is_held() && slot.conversation == conversation).then_some(conversation);
            // The slot of a comment is no start of a conversation, whatever its chain.
            let starts = !slot.is_held() || own.is_some();
            (own, if starts { slot.before_of_conversation } else { NONE })
        };
        let chain = std::iter::successors((latest != NONE).then_some(latest), |m| {
            Some(self.slot(*m).before_of_conversation).filter(|m| *m != NONE)
        });
        own.into_iter().chain(chain)
    }
}
