//! A hash map whose memory can be asked for ahead of its use ([`crate::index`]).
//!
//! ```text
//!   index: hash --> slot        slots: [ key | value ]*        free: slots without a key
//! ```
//!
//! # Invariants
//! 1. A key keeps its slot until it is removed; a slot whose key was removed holds the default value.

use std::hash::{BuildHasher, Hash};

use eddy_schemas::prefetch;
use foldhash::fast::FixedState;

use crate::index::{self, Index};

const HASHER: FixedState = FixedState::with_seed(0x67_72_6f_75);

#[inline]
fn tag<K: Hash>(key: &K) -> u32 {
    index::tag(HASHER.hash_one(key))
}

/// A map from keys to values.
pub struct Map<K, V> {
    index: Index,
    slots: Vec<(K, V)>,
    free: Vec<u32>,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Map { index: Index::new(), slots: vec![], free: vec![] }
    }
}

impl<K: Hash + Eq + Copy, V: Default> Map<K, V> {
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Asks for the memory that `slot` will want, a step at a time: the key's place in the index (0), the slot that it names (1). The
    /// value, most often, when both are there (2).
    #[inline]
    pub fn fetch(&self, key: &K, step: usize) -> Option<&V> {
        let tag = tag(key);
        if step == 0 {
            self.index.fetch(tag);
            return None;
        }
        let (key, value) = &self.slots[self.index.guess(tag)? as usize];
        if step == 1 {
            prefetch(key);
            prefetch(value);
            return None;
        }
        Some(value)
    }

    #[inline]
    pub fn find(&self, key: &K) -> Option<u32> {
        self.find_tag(tag(key), key)
    }

    #[inline]
    fn find_tag(&self, tag: u32, key: &K) -> Option<u32> {
        self.index.find(tag, |slot| self.slots[slot as usize].0 == *key)
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        Some(self.at(self.find(key)?))
    }

    /// The slot of `key`, made where there is none.
    #[inline]
    pub fn slot(&mut self, key: K) -> u32 {
        let tag = tag(&key);
        match self.find_tag(tag, &key) {
            Some(slot) => slot,
            None => self.insert(tag, key),
        }
    }

    fn insert(&mut self, tag: u32, key: K) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize].0 = key;
                slot
            }
            None => {
                self.slots.push((key, V::default()));
                u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 keys a worker")
            }
        };
        self.index.insert(tag, slot);
        slot
    }

    /// Asks for a slot's memory.
    #[inline]
    pub fn fetch_slot(&self, slot: u32) {
        let (key, value) = &self.slots[slot as usize];
        prefetch(key);
        prefetch(value);
    }

    #[inline]
    pub fn key(&self, slot: u32) -> K {
        self.slots[slot as usize].0
    }

    #[inline]
    pub fn at(&self, slot: u32) -> &V {
        &self.slots[slot as usize].1
    }

    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> &mut V {
        &mut self.slots[slot as usize].1
    }

    /// Takes the key of a slot out, with its value.
    pub fn remove(&mut self, slot: u32) -> V {
        let (key, value) = &mut self.slots[slot as usize];
        let (tag, value) = (tag(key), std::mem::take(value));
        self.index.remove(tag, slot);
        self.free.push(slot);
        value
    }

    /// All values that are there, and defaults where keys were removed, with the keys of both.
    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.slots.iter()
    }

    /// As `iter`, in the order of their slots, which are counted from 0. A default must stay one.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut (K, V)> {
        self.slots.iter_mut()
    }
}

impl<K: Hash + Eq + Copy> Map<K, u32> {
    /// Adds to a count; +1 where the key came into being, -1 where it ended, else 0.
    pub fn count(&mut self, key: K, diff: i64) -> i64 {
        let slot = self.slot(key);
        let count = self.at_mut(slot);
        let was = *count;
        *count = count.checked_add_signed(diff as i32).expect("retractions follow assertions");
        match (was, *count) {
            (0, _) => 1,
            (_, 0) => {
                self.remove(slot);
                -1
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Map;

    #[test]
    fn counts_are_those_of_a_map() {
        for seed in 1..20u64 {
            let (mut map, mut model, mut state) = (Map::<u64, u32>::default(), BTreeMap::<u64, u32>::new(), seed);
            for _ in 0..5_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = state >> 33 & 0x3f;
                let held = model.get(&key).copied().unwrap_or(0);
                let up = held == 0 || state >> 60 < 8;
                let expected = match (held, up) {
                    (0, _) => 1,
                    (1, false) => -1,
                    _ => 0,
                };
                assert_eq!(map.count(key, if up { 1 } else { -1 }), expected, "seed {seed}");
                let now = if up { held + 1 } else { held - 1 };
                model.insert(key, now);
                model.retain(|_, count| *count > 0);
                assert_eq!((map.len(), map.get(&key).copied()), (model.len(), model.get(&key).copied()), "seed {seed}");
            }
            let mut all: Vec<(u64, u32)> = map.iter().copied().filter(|(_, count)| *count > 0).collect();
            all.sort_unstable();
            assert_eq!(all, model.into_iter().collect::<Vec<_>>(), "seed {seed}");
        }
    }
}
