//! A hash index from a key to a place in a slab: 5 bytes a slot, the key itself stays in the slab.
//!
//! ```text
//!   hash --> ROUTE --> shard 0   [....]          weight 64
//!                      shard 1   [....]          weight 65
//!                      ...
//!                      shard 63  [........]      weight 127, doubles first
//! ```
//!
//! # Invariants
//! 1. A key's shard depends on its hash alone. The hash is seeded with a constant: runs repeat.
//! 2. Shards hold unequal shares, so they double at different times. One table that doubles is between 7/8 and 7/16
//!    full, and holds up the event that doubles it; 64 that double in turn are always about 2/3 full together, and
//!    none holds up an event for long.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

const SHARDS: usize = 64;
const ROUTE_LEN: usize = SHARDS * SHARDS + SHARDS * (SHARDS - 1) / 2;

/// Shard `i` has `SHARDS + i` of the slots.
static ROUTE: [u8; ROUTE_LEN] = {
    let mut route = [0; ROUTE_LEN];
    let (mut shard, mut slot) = (0, 0);
    while shard < SHARDS {
        let end = slot + SHARDS + shard;
        while slot < end {
            route[slot] = shard as u8;
            slot += 1;
        }
        shard += 1;
    }
    route
};

pub(super) struct Index {
    shards: Vec<HashTable<u32>>,
}

/// The hash of message `message` within the conversation at place `conversation`, or of anything else made of two words.
#[inline]
pub(super) fn hash(conversation: u32, message: u64) -> u64 {
    FixedState::with_seed(0x5eed_eddd).hash_one((conversation, message))
}

/// Bits 24 to 55 choose the shard: hashbrown takes the top seven as a tag and the low ones as the slot.
#[inline]
fn shard(hash: u64) -> usize {
    let bits = hash >> 24 & 0xffff_ffff;
    usize::from(ROUTE[((bits * ROUTE_LEN as u64) >> 32) as usize])
}

impl Index {
    pub(super) const fn new() -> Self {
        Index { shards: Vec::new() }
    }

    /// The place for which `is_key` holds, if there is one under `hash`.
    #[inline]
    pub(super) fn get(&self, hash: u64, mut is_key: impl FnMut(u32) -> bool) -> Option<u32> {
        self.shards.get(shard(hash))?.find(hash, |&place| is_key(place)).copied()
    }

    /// The place for which `is_key` holds, else the one that `make` gives, and whether it is that one. `rehash` gives the
    /// hash of a place that is there.
    #[inline]
    pub(super) fn get_or_insert<S>(
        &mut self,
        slab: &mut S,
        hash: u64,
        is_key: impl Fn(&S, u32) -> bool,
        rehash: impl Fn(&S, u32) -> u64,
        make: impl FnOnce(&mut S) -> u32,
    ) -> (u32, bool) {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARDS, HashTable::new);
        }
        match self.shards[shard(hash)].entry(hash, |&place| is_key(slab, place), |&place| rehash(slab, place)) {
            Entry::Occupied(entry) => (*entry.get(), false),
            Entry::Vacant(entry) => {
                let place = make(slab);
                entry.insert(place);
                (place, true)
            }
        }
    }

    /// Takes `place` out. A shard that is left an eighth full shrinks, so that a passing peak is not kept for ever.
    pub(super) fn remove(&mut self, hash: u64, place: u32, rehash: impl Fn(u32) -> u64) {
        let table = &mut self.shards[shard(hash)];
        let entry = table.find_entry(hash, |&found| found == place);
        entry.expect("a place that is removed is in the index").remove();
        if table.capacity() > 16 && table.len() * 8 < table.capacity() {
            table.shrink_to(table.len() * 2, |&place| rehash(place));
        }
    }
}
