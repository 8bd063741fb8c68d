//! The winning version of every message, compact: what a worker keeps of its messages.
//!
//! ```text
//!   index: hash of id --> slot     held: [ 80 bytes ]*, some of them free     rare: [ what few messages have ]*
//! ```
//!
//! # Invariants
//! 1. `get` gives back exactly what `set` was given.
//! 2. A message has one slot until it is removed: tombstones are remembered, so that an older version that comes later stays dead.

use eddy_dataflows::calendar::Second;
use eddy_dataflows::index::{Index, tag};
use eddy_schemas::{ConversationId, MessageId, Name, Place, Version, prefetch};

/// What most messages have.
struct Held {
    id: MessageId,
    conversation: ConversationId,
    parent: Option<MessageId>,
    place: Place,
    version: i64,
    text_hash: u64,
    created_at: Second,
    score: i32,
    community: Option<Name>,
    user: Option<Name>,
    characters: u32,
    /// 1 + index of the rest; 0: there is none.
    rare: u32,
    flags: u16,
}

const TOMBSTONE: u16 = 1;
const EDITED: u16 = 2;
const BOT: u16 = 4;
const HAS_TIME: u16 = 8;
const HAS_TEXT: u16 = 16;
const HAS_SCORE: u16 = 32;
const ASKS: u16 = 64;
/// The slot holds no message.
const FREE: u16 = 1 << 15;

/// What few messages have.
#[derive(Clone, Copy, PartialEq, Default)]
struct Rare {
    edited_at: Option<i64>,
    update_id: Option<i64>,
    user_name: Option<Name>,
    community_name: Option<Name>,
    /// A score beyond 32 bits.
    score: Option<i64>,
}

/// All messages of one worker.
#[derive(Default)]
pub struct State {
    index: Index,
    held: Vec<Held>,
    rare: Vec<Rare>,
    free: Vec<u32>,
    free_slots: Vec<u32>,
}

impl State {
    pub fn len(&self) -> usize {
        self.held.len() - self.free_slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks for the memory that `find` and `get` will want.
    #[inline]
    pub fn fetch(&self, id: MessageId, step: usize) {
        let tag = tag(id.spread());
        if step == 0 {
            self.index.fetch(tag);
        } else if let Some(slot) = self.index.guess(tag) {
            prefetch(&self.held[slot as usize]);
        }
    }

    /// Asks for the texts of the names that most messages have. (Where they stand is read now: what one waits for, the next need not wait for.)
    #[inline]
    pub fn fetch_names(&self, slot: u32) {
        let held = &self.held[slot as usize];
        for name in [held.community, held.user].into_iter().flatten() {
            name.as_str().as_bytes().first().inspect(|first| prefetch(*first));
        }
    }

    /// The slot of a message, if it is held.
    pub fn find(&self, id: MessageId) -> Option<u32> {
        self.index.find(tag(id.spread()), |slot| self.held[slot as usize].id == id)
    }

    /// Whether the held version has this version number: the cheap look before `get`.
    pub fn version(&self, slot: u32) -> i64 {
        self.held[slot as usize].version
    }

    pub fn get(&self, slot: u32) -> Version {
        let held = &self.held[slot as usize];
        let rare = held.rare.checked_sub(1).map(|at| self.rare[at as usize]).unwrap_or_default();
        let flag = |bit| held.flags & bit != 0;
        Version {
            id: held.id,
            conversation: held.conversation,
            parent: held.parent,
            community: held.community,
            user: held.user,
            user_name: rare.user_name,
            community_name: rare.community_name,
            created_at: flag(HAS_TIME).then(|| held.created_at.get()),
            edited_at: rare.edited_at,
            score: rare.score.or(flag(HAS_SCORE).then_some(i64::from(held.score))),
            version: held.version,
            update_id: rare.update_id,
            characters: held.characters,
            text_hash: flag(HAS_TEXT).then_some(held.text_hash),
            place: held.place,
            tombstone: flag(TOMBSTONE),
            edited: flag(EDITED),
            bot: flag(BOT),
            asks: flag(ASKS),
        }
    }

    /// Holds a message that was not held; gives its slot.
    pub fn insert(&mut self, version: &Version) -> u32 {
        let packed = self.pack(version, 0);
        let slot = match self.free_slots.pop() {
            Some(slot) => {
                self.held[slot as usize] = packed;
                slot
            }
            None => {
                self.held.push(packed);
                u32::try_from(self.held.len() - 1).expect("fewer than 2^32 messages a worker")
            }
        };
        self.index.insert(tag(version.id.spread()), slot);
        slot
    }

    /// Replaces the version of a held message.
    pub fn set(&mut self, slot: u32, version: &Version) {
        let rare = self.held[slot as usize].rare;
        self.held[slot as usize] = self.pack(version, rare);
    }

    /// The version in a slot, if there is one.
    pub fn held(&self, slot: u32) -> Option<Version> {
        (self.held[slot as usize].flags & FREE == 0).then(|| self.get(slot))
    }

    /// Says when a tombstone without a time arrived; false where there is none in the slot, or it is known.
    pub fn arrive(&mut self, slot: u32, at: i64) -> bool {
        let is_timeless = self.held(slot).is_some_and(|version| version.at().is_none());
        if is_timeless {
            self.held[slot as usize].place = Place::arrival(at);
        }
        is_timeless
    }

    /// Forgets a message; its slot is another's from then on.
    pub fn remove(&mut self, slot: u32) {
        let Held { id, rare, .. } = self.held[slot as usize];
        self.keep(Rare::default(), rare);
        self.index.remove(tag(id.spread()), slot);
        (self.held[slot as usize].rare, self.held[slot as usize].flags) = (0, FREE);
        self.free_slots.push(slot);
    }

    fn pack(&mut self, version: &Version, rare: u32) -> Held {
        let small = version.score.map(i32::try_from);
        let wide = version.score.filter(|_| matches!(small, Some(Err(_))));
        let rest = Rare {
            edited_at: version.edited_at,
            update_id: version.update_id,
            user_name: version.user_name,
            community_name: version.community_name,
            score: wide,
        };
        let mut flags = 0;
        for (bit, set) in [
            (TOMBSTONE, version.tombstone),
            (EDITED, version.edited),
            (BOT, version.bot),
            (ASKS, version.asks),
            (HAS_TIME, version.created_at.is_some()),
            (HAS_TEXT, version.text_hash.is_some()),
            (HAS_SCORE, matches!(small, Some(Ok(_)))),
        ] {
            flags |= if set { bit } else { 0 };
        }
        Held {
            id: version.id,
            conversation: version.conversation,
            parent: version.parent,
            place: version.place,
            version: version.version,
            text_hash: version.text_hash.unwrap_or(0),
            created_at: version.created_at.map_or(Second::MIN, Second::new),
            score: small.and_then(Result::ok).unwrap_or(0),
            community: version.community,
            user: version.user,
            characters: version.characters,
            rare: self.keep(rest, rare),
            flags,
        }
    }

    fn keep(&mut self, rest: Rare, slot: u32) -> u32 {
        if rest == Rare::default() {
            if slot > 0 {
                self.free.push(slot);
            }
            return 0;
        }
        let slot = match (slot, self.free.pop()) {
            (0, Some(free)) => free,
            (0, None) => {
                self.rare.push(rest);
                return u32::try_from(self.rare.len()).expect("fewer than 2^32 messages a worker");
            }
            (slot, unused) => {
                self.free.extend(unused);
                slot
            }
        };
        self.rare[slot as usize - 1] = rest;
        slot
    }
}
