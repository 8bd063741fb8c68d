//! State by key, with the rows that it had when the tick began.
//!
//! ```text
//!   map: key --> slot [ group | touched ]        touched: [ slot, row before ]*
//! ```
//!
//! # Invariants
//! 1. A key is in `touched` at most once a tick, with the row it had before its first change in that tick.
//! 2. A key whose group is empty at the end of a tick has no slot afterwards.

use std::hash::Hash;

use crate::map::Map;

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

#[derive(Default)]
struct Touchable<G> {
    group: G,
    touched: bool,
}

/// A map from keys to groups that knows what changed since the last `close`.
pub struct Groups<K, G: Group<K>> {
    map: Map<K, Touchable<G>>,
    touched: Vec<(u32, Option<G::Row>)>,
}

impl<K, G: Group<K>> Default for Groups<K, G> {
    fn default() -> Self {
        Groups { map: Map::default(), touched: vec![] }
    }
}

impl<K: Hash + Eq + Copy, G: Group<K>> Groups<K, G> {
    pub fn get(&self, key: &K) -> Option<&G> {
        Some(&self.map.get(key)?.group)
    }

    /// Asks for the memory that `touch` will want, a step at a time (0, 1, 2): the key's place in the index, the group that it names, what
    /// that refers to.
    #[inline]
    pub fn fetch(&self, key: &K, step: usize) {
        if let Some(touchable) = self.map.fetch(key, step) {
            touchable.group.fetch();
        }
    }

    /// The group of `key`, made where there is none, about to be changed.
    pub fn touch(&mut self, key: K) -> &mut G {
        #[cfg(test)]
        crate::work::add();
        let slot = self.map.slot(key);
        let touchable = self.map.at_mut(slot);
        if !touchable.touched {
            touchable.touched = true;
            self.touched.push((slot, touchable.group.row(&key)));
        }
        &mut touchable.group
    }

    /// Changes every group.
    pub fn touch_each(&mut self, mut change: impl FnMut(&mut G)) {
        for (slot, (key, touchable)) in self.map.iter_mut().enumerate() {
            #[cfg(test)]
            crate::work::add();
            // An untouched slot without a group is a free one (invariant 2).
            if !touchable.touched {
                if touchable.group.is_empty() {
                    continue;
                }
                touchable.touched = true;
                self.touched.push((slot as u32, touchable.group.row(key)));
            }
            change(&mut touchable.group);
        }
    }

    /// Whether any key was touched since the last `close`.
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Ends the tick: says each key whose row is not what it was, with the row before and now.
    pub fn close(&mut self, mut say: impl FnMut(K, Option<G::Row>, Option<G::Row>)) {
        for next in 0..self.touched.len() {
            // Slots were touched all over memory: ask for those to come, first themselves, then what they refer to.
            if let Some(&(ahead, _)) = self.touched.get(next + 2 * AHEAD) {
                self.map.fetch_slot(ahead);
            }
            if let Some(&(ahead, _)) = self.touched.get(next + AHEAD) {
                self.map.at(ahead).group.fetch();
            }
            let (slot, old) = self.touched[next];
            let key = self.map.key(slot);
            let touchable = self.map.at_mut(slot);
            touchable.touched = false;
            let new = touchable.group.row(&key);
            if touchable.group.is_empty() {
                self.map.remove(slot);
            }
            if old != new {
                say(key, old, new);
            }
        }
        self.touched.clear();
        // A tick that was larger than most need not be remembered.
        self.touched.shrink_to(TOUCHED_KEPT);
    }

    /// Every group, and defaults where there are none any more, with the keys of both.
    pub fn iter(&self) -> impl Iterator<Item = (K, &G)> {
        self.map.iter().map(|(key, touchable)| (*key, &touchable.group))
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}
