//! A shard: leaves in a tree, and the deleted keys that are still remembered.
//!
//! ```text
//!   leaves { 0 -> leaf, 3f.. -> leaf, 9a.. -> leaf }     a leaf holds the keys from its own bound up to the next one's
//!   graves [ (tick, key), ... ]                          deletions in the order they came, until they are settled
//! ```
//!
//! # Invariants
//! 1. There is always a leaf bounded by 0, so every key has a leaf.
//! 2. Each tombstone has a grave with its key and tick. Graves without a tombstone are weeded out when they are more than
//!    half, so both are bounded by the deletions since the settled tick.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::leaf::{At, Entry, Key, LEAF_BYTES_MAX, Leaf, pad};

pub struct Shard {
    /// Bytes of a key.
    width: usize,
    leaves: BTreeMap<Key, Leaf>,
    graves: VecDeque<(u64, Key)>,
    tombstones: usize,
}

impl Shard {
    pub fn new(width: usize) -> Shard {
        Shard { width, leaves: BTreeMap::from([(pad(&[]), Leaf::default())]), graves: VecDeque::new(), tombstones: 0 }
    }

    pub fn tombstones(&self) -> usize {
        self.tombstones
    }

    fn leaf(&self, key: &Key) -> &Leaf {
        self.leaves.range(..=*key).next_back().expect("there is a leaf for every key").1
    }

    pub fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        match self.leaf(&pad(key)).find(key) {
            At::Held { entry, .. } if entry.row.is_some() => Some(entry),
            _ => None,
        }
    }

    /// Applies a change if it is newer; gives by how much the number of rows changed.
    pub fn apply(&mut self, tick: u64, key: &[u8], row: Option<&[u8]>) -> i64 {
        let padded = pad(key);
        let (bound, leaf) = self.leaves.range_mut(..=padded).next_back().expect("there is a leaf for every key");
        let (start, end, before) = match leaf.find(key) {
            At::Held { entry, .. } if entry.tick >= tick => return 0,
            At::Held { start, entry, end } => (start, end, Some(entry.row.is_some())),
            At::Free(start) => (start, start, None),
        };
        let length = leaf.len();
        leaf.put(start, end, &Entry { key, tick, row });
        let (grown, bound) = (leaf.len() >= length, *bound);
        if grown && leaf.len() > LEAF_BYTES_MAX {
            if let Some((bound, later)) = leaf.split(self.width) {
                self.leaves.insert(bound, later);
            }
        } else if !grown && leaf.len() < LEAF_BYTES_MAX / 4 {
            self.merge(bound);
        }
        self.tombstones -= usize::from(before == Some(false));
        if row.is_none() {
            self.tombstones += 1;
            self.bury(tick, padded);
        }
        i64::from(row.is_some()) - i64::from(before == Some(true))
    }

    fn bury(&mut self, tick: u64, key: Key) {
        self.graves.push_back((tick, key));
        if self.graves.len() > 64 + 2 * self.tombstones {
            let graves = std::mem::take(&mut self.graves);
            self.graves = graves.into_iter().filter(|(tick, key)| self.is_dead(key, *tick)).collect();
        }
    }

    fn is_dead(&self, key: &Key, tick: u64) -> bool {
        let held = self.leaf(key).find(&key[..self.width]);
        matches!(held, At::Held { entry, .. } if entry.row.is_none() && entry.tick == tick)
    }

    /// Forgets up to so many deletions at or below a tick; whether there may be more. A grave above the tick hides those that
    /// came after it until it is settled itself.
    pub fn settle(&mut self, tick: u64, most: usize) -> bool {
        for _ in 0..most {
            match self.graves.front() {
                Some((died, _)) if *died <= tick => {}
                _ => {
                    if self.graves.len() < self.graves.capacity() / 4 {
                        self.graves.shrink_to_fit();
                    }
                    return false;
                }
            }
            let (died, key) = self.graves.pop_front().expect("it is at the front");
            self.forget(died, &key);
        }
        true
    }

    fn forget(&mut self, tick: u64, key: &Key) {
        let (bound, leaf) = self.leaves.range_mut(..=*key).next_back().expect("there is a leaf for every key");
        let (start, end) = match leaf.find(&key[..self.width]) {
            At::Held { start, entry, end } if entry.row.is_none() && entry.tick == tick => (start, end),
            _ => return, // it came back, or died again later
        };
        leaf.remove(start, end);
        let (bound, small) = (*bound, leaf.len() < LEAF_BYTES_MAX / 4);
        self.tombstones -= 1;
        if small {
            self.merge(bound);
        }
    }

    /// Joins a small leaf with the next where both fit; an empty one goes.
    fn merge(&mut self, bound: Key) {
        let len = self.leaves[&bound].len();
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
            .filter(|entry| entry.row.is_some())
    }
}
