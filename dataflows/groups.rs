//! State by key, with the rows that it had when the tick began.
//!
//! ```text
//!   index: hash --> slot        slots: [ key | group | touched ]        touched: [ slot, row before ]
//! ```
//!
//! # Invariants
//! 1. A key is in `touched` at most once a tick, with the row it had before its first change in that tick.
//! 2. A key whose group is empty at the end of a tick has no slot afterwards.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

use crate::index::{self, Index, prefetch};

const HASHER: FixedState = FixedState::with_seed(0x67_72_6f_75);

/// How many slots ahead `close` asks for memory.
const AHEAD: usize = 8;
/// Room for touched keys that is kept from tick to tick.
const TOUCHED_KEPT: usize = 1 << 16;

/// What is kept for one key, and the row that follows from it.
pub trait Group<K>: Default {
    type Row: Copy + PartialEq;
    /// Asks for memory outside the group that `row` and changes will want.
    fn fetch(&self) {}
    /// The row of the key as it stands; `None`: it has none.
    fn row(&self, key: &K) -> Option<Self::Row>;
    /// Nothing is left to remember.
    fn is_empty(&self) -> bool;
}

struct Slot<K, G> {
    key: K,
    group: G,
    touched: bool,
}

/// A map from keys to groups that knows what changed since the last `close`.
pub struct Groups<K, G: Group<K>> {
    index: Index,
    slots: Vec<Slot<K, G>>,
    free: Vec<u32>,
    touched: Vec<(u32, Option<G::Row>)>,
}

impl<K, G: Group<K>> Default for Groups<K, G> {
    fn default() -> Self {
        Groups { index: Index::new(), slots: vec![], free: vec![], touched: vec![] }
    }
}

#[inline]
fn tag<K: Hash>(key: &K) -> u32 {
    index::tag(HASHER.hash_one(key))
}

impl<K: Hash + Eq + Copy, G: Group<K>> Groups<K, G> {
    pub fn get(&self, key: &K) -> Option<&G> {
        let slot = self.index.find(tag(key), |slot| self.slots[slot as usize].key == *key)?;
        Some(&self.slots[slot as usize].group)
    }

    /// Asks for the memory that `touch` will want, a step at a time (0, 1, 2): the key's place in the index, the group that it names, what
    /// that refers to.
    #[inline]
    pub fn fetch(&self, key: &K, step: usize) {
        let tag = tag(key);
        if step == 0 {
            return self.index.fetch(tag);
        }
        let Some(slot) = self.index.guess(tag).map(|slot| &self.slots[slot as usize]) else { return };
        if step == 1 {
            prefetch(&slot.key);
            prefetch(&slot.touched);
        } else {
            slot.group.fetch();
        }
    }

    /// The group of `key`, made where there is none, about to be changed.
    pub fn touch(&mut self, key: K) -> &mut G {
        #[cfg(test)]
        crate::work::add();
        let tag = tag(&key);
        let at = match self.index.find(tag, |slot| self.slots[slot as usize].key == key) {
            Some(at) => at,
            None => self.insert(tag, key),
        };
        let slot = &mut self.slots[at as usize];
        if !slot.touched {
            slot.touched = true;
            self.touched.push((at, slot.group.row(&slot.key)));
        }
        &mut slot.group
    }

    /// Changes every group.
    pub fn touch_each(&mut self, mut change: impl FnMut(&mut G)) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            #[cfg(test)]
            crate::work::add();
            // An untouched slot without a group is a free one (invariant 2).
            if !slot.touched {
                if slot.group.is_empty() {
                    continue;
                }
                slot.touched = true;
                self.touched.push((at as u32, slot.group.row(&slot.key)));
            }
            change(&mut slot.group);
        }
    }

    fn insert(&mut self, tag: u32, key: K) -> u32 {
        let slot = Slot { key, group: G::default(), touched: false };
        let at = match self.free.pop() {
            Some(at) => {
                self.slots[at as usize] = slot;
                at
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 keys a worker")
            }
        };
        self.index.insert(tag, at);
        at
    }

    /// Ends the tick: says each key whose row is not what it was, with the row before and now.
    pub fn close(&mut self, mut say: impl FnMut(K, Option<G::Row>, Option<G::Row>)) {
        for next in 0..self.touched.len() {
            // Slots were touched all over memory: ask for those to come, first themselves, then what they refer to.
            if let Some(&(ahead, _)) = self.touched.get(next + 2 * AHEAD) {
                prefetch(&self.slots[ahead as usize].key);
                prefetch(&self.slots[ahead as usize].touched);
            }
            if let Some(&(ahead, _)) = self.touched.get(next + AHEAD) {
                self.slots[ahead as usize].group.fetch();
            }
            let (at, old) = self.touched[next];
            let slot = &mut self.slots[at as usize];
            slot.touched = false;
            let new = slot.group.row(&slot.key);
            let key = slot.key;
            if slot.group.is_empty() {
                slot.group = G::default();
                self.index.remove(tag(&key), at);
                self.free.push(at);
            }
            if old != new {
                say(key, old, new);
            }
        }
        self.touched.clear();
        // A tick that was larger than most need not be remembered.
        self.touched.shrink_to(TOUCHED_KEPT);
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}
