//! A slab: values at stable `u32` places, in chunks that never move.
//!
//! ```text
//!   chunks --> [1024 values] [1024 values] [1024 values: 300 used]
//!   free   --> places given back, handed out again last in, first out
//! ```
//!
//! # Invariants
//! 1. Growing adds one chunk and copies nothing, so memory has no doubling peak and no event pays for the others.
//! 2. A place is handed out to one owner at a time. (Links between nodes rely on this.)

use std::ops::{Index, IndexMut};

const CHUNK_BITS: u32 = 10;
const CHUNK: usize = 1 << CHUNK_BITS;

/// Places stay below this: the owners keep flags above it and depths, bounded by it, never overflow an `i32`.
pub(super) const PLACES_MAX: u32 = 1 << 29;

pub(super) struct Slab<T> {
    chunks: Vec<Box<[T; CHUNK]>>,
    free: Vec<u32>,
    used: u32,
}

impl<T: Copy> Slab<T> {
    pub(super) const fn new() -> Self {
        Slab { chunks: Vec::new(), free: Vec::new(), used: 0 }
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self[place] = value;
            return place;
        }
        let place = self.used;
        assert!(place < PLACES_MAX, "slab is full: {PLACES_MAX} places are in use");
        if place as usize == self.chunks.len() * CHUNK {
            let chunk: Result<Box<[T; CHUNK]>, _> = vec![value; CHUNK].into_boxed_slice().try_into();
            self.chunks.push(chunk.ok().expect("a chunk has CHUNK values"));
        }
        self.used += 1;
        self[place] = value;
        place
    }

    /// Gives `place` back. When nothing is in use any more the memory goes back too.
    pub(super) fn remove(&mut self, place: u32) {
        self.free.push(place);
        if self.free.len() == self.used as usize {
            *self = Slab::new();
        }
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, place: u32) -> &T {
        &self.chunks[(place >> CHUNK_BITS) as usize][place as usize & (CHUNK - 1)]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, place: u32) -> &mut T {
        &mut self.chunks[(place >> CHUNK_BITS) as usize][place as usize & (CHUNK - 1)]
    }
}
