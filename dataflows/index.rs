//! From hashes to slots: the one random look into memory that finding a key costs, and that can be asked for ahead of time.
//!
//! ```text
//!   entries: [ tag 32 | slot + 1 32 ]*      home of a tag: its highest bits      0 = empty
//! ```
//!
//! A library's table would do; this one is here for three things, each measured on two million keys out of cache: growing
//! doubles the table in place, in order (the home is the top of the tag, so order is kept), and never looks at a key; a tag that does not match
//! saves the look at the key; and [`Index::fetch`] lets a batch wait for many misses at once rather than for one after another.
//!
//! # Invariants
//! 1. An entry stands at its home or after it, with no empty entry between (removal closes gaps).
//! 2. At most three quarters of the entries are taken.

use eddy_schemas::prefetch;

/// Slots by tag. Whoever owns the slots compares keys.
#[derive(Default)]
pub struct Index {
    entries: Vec<u64>,
    len: usize,
    /// 32 - log2(entries).
    shift: u32,
}

const ENTRIES_MIN: usize = 8;

/// The tag of a 64-bit hash.
#[inline]
pub fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Index {
    pub const fn new() -> Self {
        Index { entries: Vec::new(), len: 0, shift: 32 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn home(&self, tag: u32) -> usize {
        (tag >> self.shift) as usize
    }

    /// Asks for the memory that `find` will look at first.
    #[inline]
    pub fn fetch(&self, tag: u32) {
        if !self.entries.is_empty() {
            prefetch(&self.entries[self.home(tag)]);
        }
    }

    /// The first slot with this tag: most often the one that `find` will give. For fetching what is in it.
    #[inline]
    pub fn guess(&self, tag: u32) -> Option<u32> {
        self.find(tag, |_| true)
    }

    /// The slot with this tag that `is` the key.
    #[inline]
    pub fn find(&self, tag: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        let mask = self.entries.len() - 1;
        let mut at = self.home(tag);
        loop {
            let entry = self.entries[at];
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == tag && is(entry as u32 - 1) {
                return Some(entry as u32 - 1);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a slot whose key is not there yet.
    pub fn insert(&mut self, tag: u32, slot: u32) {
        if (self.len + 1) * 4 > self.entries.len() * 3 {
            self.grow();
        }
        self.place(u64::from(tag) << 32 | u64::from(slot.checked_add(1).expect("fewer than 2^32 - 1 slots")));
        self.len += 1;
    }

    fn place(&mut self, entry: u64) {
        let mask = self.entries.len() - 1;
        let mut at = self.home((entry >> 32) as u32);
        while self.entries[at] != 0 {
            at = (at + 1) & mask;
        }
        self.entries[at] = entry;
    }

    /// Doubles the table where it stands: what is large is most often not copied by the allocator, but gets other pages behind those that it has.
    fn grow(&mut self) {
        let old = self.entries.len();
        let entries = (old * 2).max(ENTRIES_MIN);
        assert!(entries <= 1 << 31, "an index holds at most 1.6 billion keys");
        self.entries.resize(entries, 0);
        self.shift = 32 - entries.trailing_zeros();
        // Backwards: all at or after `at` has moved already, so an entry whose new home is not before `at` takes the place of nothing that has
        // not. The few others (near the front, or around the end) wait for the last.
        let mut late = vec![];
        for at in (0..old).rev() {
            let entry = std::mem::take(&mut self.entries[at]);
            if entry == 0 {
                continue;
            }
            let home = self.home((entry >> 32) as u32);
            match self.entries[home..].iter().position(|entry| *entry == 0).filter(|_| home >= at) {
                Some(free) => self.entries[home + free] = entry,
                None => late.push(entry),
            }
        }
        late.into_iter().for_each(|entry| self.place(entry));
    }

    fn shrink(&mut self) {
        let entries = self.entries.len() / 4;
        let old = std::mem::replace(&mut self.entries, vec![0; entries]);
        self.shift = 32 - entries.trailing_zeros();
        old.into_iter().filter(|entry| *entry != 0).for_each(|entry| self.place(entry));
    }

    /// Takes a slot out, which must be there.
    pub fn remove(&mut self, tag: u32, slot: u32) {
        let mask = self.entries.len() - 1;
        let wanted = u64::from(tag) << 32 | (u64::from(slot) + 1);
        let mut gap = self.home(tag);
        while self.entries[gap] != wanted {
            assert!(self.entries[gap] != 0, "a slot that is removed is in the index");
            gap = (gap + 1) & mask;
        }
        self.entries[gap] = 0;
        let mut at = (gap + 1) & mask;
        while self.entries[at] != 0 {
            let home = self.home((self.entries[at] >> 32) as u32);
            // The entry may move back to the gap unless its home lies after the gap.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.entries.swap(gap, at);
                gap = at;
            }
            at = (at + 1) & mask;
        }
        self.len -= 1;
        if self.entries.len() > 1 << 12 && self.len * 8 < self.entries.len() {
            // A peak that has passed is not kept for ever.
            self.shrink();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Tags with few distinct values, at both ends: long runs, wrap-around, collisions.
    fn check(seed: u64, spread: u32) {
        let (mut index, mut model, mut state) = (Index::new(), BTreeMap::new(), seed);
        for step in 0..6_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let near = (state >> 40) as u32 % spread.max(1);
            let tag = match step % 2 {
                _ if spread == 0 => (state >> 32) as u32,
                0 => u32::MAX - near,
                _ => near,
            };
            if !model.is_empty() && state % 5 < 2 {
                let (&slot, &tag) = model.iter().nth((state >> 33) as usize % model.len()).expect("not empty");
                index.remove(tag, slot);
                model.remove(&slot);
            } else {
                index.insert(tag, step);
                model.insert(step, tag);
            }
            if step % 50 == 0 {
                for (&slot, &tag) in &model {
                    assert_eq!(index.find(tag, |found| found == slot), Some(slot), "seed {seed}");
                }
                assert_eq!(index.len(), model.len());
            }
        }
    }

    /// Invariant 1.
    fn is_whole(index: &Index) {
        let mask = index.entries.len() - 1;
        for (at, entry) in index.entries.iter().enumerate().filter(|(_, entry)| **entry != 0) {
            let mut home = index.home((entry >> 32) as u32);
            while home != at {
                assert!(index.entries[home] != 0, "a gap at {home} before {at} of {}", index.entries.len());
                home = (home + 1) & mask;
            }
        }
        assert_eq!(index.entries.iter().filter(|entry| **entry != 0).count(), index.len());
    }

    #[test]
    fn an_index_grows_and_shrinks_around_both_ends() {
        let ways: [fn(u32) -> u32; 5] =
            [|_| 0, |_| u32::MAX, |n| if n % 2 == 0 { 0 } else { u32::MAX }, |n| n.wrapping_mul(0x9e37_79b9), |n| n << 24];
        for (way, tag) in ways.into_iter().enumerate() {
            // Of equal tags each is looked at before the next.
            let most = if way == 3 { 5_000 } else { 700 };
            let mut index = Index::new();
            for slot in 0..most {
                let before = index.entries.len();
                index.insert(tag(slot), slot);
                if index.entries.len() != before {
                    is_whole(&index);
                }
            }
            let large = index.entries.len();
            (400..most).for_each(|slot| index.remove(tag(slot), slot));
            assert_eq!(index.entries.len() < large, way == 3, "only what is large shrinks");
            is_whole(&index);
            (400..most).for_each(|slot| index.insert(tag(slot), slot));
            is_whole(&index);
            assert!((0..most).all(|slot| index.find(tag(slot), |found| found == slot) == Some(slot)), "way {way}");
            assert_eq!(index.find(1, |_| true).is_some(), (0..most).any(|slot| tag(slot) == 1), "way {way}");
        }
    }

    #[test]
    fn an_index_finds_what_a_map_finds() {
        (0..8).for_each(|seed| check(seed, [0, 3, 40, 5_000][seed as usize % 4]));
    }
}
