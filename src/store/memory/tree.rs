//! The rows of a view: leaves in a tree, in the order of their keys.
//!
//! ```text
//!   leaves { 0 -> leaf, 3f.. -> leaf, 9a.. -> leaf }     a leaf holds the keys from its own bound up to the next one's
//! ```
//!
//! # Invariants
//! 1. There is always a leaf bounded by 0, so every key has a leaf.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::leaf::{At, Entry, Key, LEAF_BYTES_MAX, Leaf, pad};

pub struct Tree {
    /// Bytes of a key.
    width: usize,
    leaves: BTreeMap<Key, Leaf>,
    rows: u64,
}

impl Tree {
    pub fn new(width: usize) -> Tree {
        Tree { width, leaves: BTreeMap::from([(pad(&[]), Leaf::default())]), rows: 0 }
    }

    /// Rows held.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        let (_, leaf) = self.leaves.range(..=pad(key)).next_back().expect("there is a leaf for every key");
        match leaf.find(key) {
            At::Held { entry, .. } => Some(entry),
            At::Free(_) => None,
        }
    }

    /// Puts a row in place of what the key has.
    pub fn put(&mut self, entry: &Entry) {
        let (bound, leaf) = self.leaf_mut(entry.key);
        let before = leaf.len();
        let is_new = match leaf.find(entry.key) {
            At::Held { start, end, .. } => {
                leaf.put(start, end, entry);
                false
            }
            At::Free(at) => {
                leaf.put(at, at, entry);
                true
            }
        };
        let after = leaf.len();
        if after < before {
            self.shrunk(bound, after);
        } else if after > LEAF_BYTES_MAX {
            let width = self.width;
            if let Some((bound, later)) = self.leaf_mut(entry.key).1.split(width) {
                self.leaves.insert(bound, later);
            }
        }
        self.rows += u64::from(is_new);
    }

    /// Takes the key's row out, if it has one.
    pub fn remove(&mut self, key: &[u8]) {
        let (bound, leaf) = self.leaf_mut(key);
        let At::Held { start, end, .. } = leaf.find(key) else { return };
        leaf.remove(start, end);
        let after = leaf.len();
        self.shrunk(bound, after);
        self.rows -= 1;
    }

    fn leaf_mut(&mut self, key: &[u8]) -> (Key, &mut Leaf) {
        let (bound, leaf) = self.leaves.range_mut(..=pad(key)).next_back().expect("there is a leaf for every key");
        (*bound, leaf)
    }

    /// Joins a small leaf with the next where both fit; an empty one goes.
    fn shrunk(&mut self, bound: Key, len: usize) {
        if len >= LEAF_BYTES_MAX / 4 {
            return;
        }
        let next = self.leaves.range((Bound::Excluded(bound), Bound::Unbounded)).next();
        let fits = next.filter(|(_, leaf)| leaf.len() + len <= LEAF_BYTES_MAX * 3 / 4).map(|(bound, _)| *bound);
        if let Some(next) = fits {
            let later = self.leaves.remove(&next).expect("just seen");
            self.leaves.get_mut(&bound).expect("just seen").append(&later);
        } else if len == 0 && bound != pad(&[]) {
            self.leaves.remove(&bound);
        }
    }

    /// Rows whose key starts with `prefix`, after a key.
    pub fn scan<'a>(&'a self, prefix: &'a [u8], after: Option<&'a [u8]>) -> impl Iterator<Item = Entry<'a>> {
        let from = after.unwrap_or(prefix);
        let (start, width) = (pad(from), self.width);
        let (first, _) = self.leaves.range(..=start).next_back().expect("there is a leaf for every key");
        self.leaves
            .range(*first..)
            .flat_map(move |(_, leaf)| {
                let mut at = 0;
                std::iter::from_fn(move || {
                    let (entry, next) = leaf.entry(at, width)?;
                    at = next;
                    Some(entry)
                })
            })
            .skip_while(move |entry| if after.is_some() { entry.key <= from } else { entry.key < from })
            .take_while(move |entry| entry.key.starts_with(prefix))
    }
}
