//! A leaf: some rows next to each other in the order of their keys, and nothing between them.
//!
//! ```text
//!   key (fixed width) | varint tick | varint length | row | key | ...
//! ```
//!
//! Leaves are looked through from the start: some dozens of rows in one or two kilobytes are quicker walked than an offset
//! for each would be kept. A leaf grows by an eighth, not by doubling: most of memory is leaves.

use std::cmp::Ordering;

/// The longest key: three numbers.
pub const KEY_BYTES_MAX: usize = 24;
/// A longer leaf is split.
pub const LEAF_BYTES_MAX: usize = 2 << 10;

/// A key filled up with zeros: keys of one view have the same length, so the order stays.
pub type Key = [u8; KEY_BYTES_MAX];

pub fn pad(key: &[u8]) -> Key {
    let mut padded = [0; KEY_BYTES_MAX];
    padded[..key.len()].copy_from_slice(key);
    padded
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub key: &'a [u8],
    /// Of the row's last change.
    pub tick: u64,
    pub row: &'a [u8],
}

#[derive(Default)]
pub struct Leaf(Vec<u8>);

/// Where a key is, or would be.
pub enum At<'a> {
    Held { start: usize, entry: Entry<'a>, end: usize },
    Free(usize),
}

impl Leaf {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The entry at a place, and the place after it.
    #[inline]
    pub fn entry(&self, at: usize, width: usize) -> Option<(Entry<'_>, usize)> {
        let bytes = &self.0[..];
        if at >= bytes.len() {
            return None;
        }
        let mut next = at + width;
        let key = &bytes[at..next];
        let tick = varint(bytes, &mut next);
        let len = varint(bytes, &mut next) as usize;
        let row = &bytes[next..next + len];
        next += len;
        Some((Entry { key, tick, row }, next))
    }

    pub fn find(&self, key: &[u8]) -> At<'_> {
        let mut start = 0;
        while let Some((entry, end)) = self.entry(start, key.len()) {
            match entry.key.cmp(key) {
                Ordering::Less => start = end,
                Ordering::Equal => return At::Held { start, entry, end },
                Ordering::Greater => break,
            }
        }
        At::Free(start)
    }

    /// Puts an entry in place of the bytes from `start` to `end`.
    pub fn put(&mut self, start: usize, end: usize, entry: &Entry) {
        let mut head = [0; KEY_BYTES_MAX + 20];
        let mut n = entry.key.len();
        head[..n].copy_from_slice(entry.key);
        put_varint(entry.tick, &mut head, &mut n);
        put_varint(entry.row.len() as u64, &mut head, &mut n);
        let at = self.resize(start, end, n + entry.row.len());
        at[..n].copy_from_slice(&head[..n]);
        at[n..].copy_from_slice(entry.row);
    }

    pub fn remove(&mut self, start: usize, end: usize) {
        self.resize(start, end, 0);
        if self.0.len() < self.0.capacity() / 2 {
            self.0.shrink_to(self.0.len() + self.0.len() / 8);
        }
    }

    /// Makes the bytes from `start` to `end` so many, and gives them.
    fn resize(&mut self, start: usize, end: usize, bytes: usize) -> &mut [u8] {
        let (old, len) = (end - start, self.0.len());
        if bytes > old {
            let more = bytes - old;
            if len + more > self.0.capacity() {
                self.0.reserve_exact(more + len / 8);
            }
            self.0.resize(len + more, 0);
            self.0.copy_within(end..len, end + more);
        } else {
            self.0.copy_within(end.., start + bytes);
            self.0.truncate(len - (old - bytes));
        }
        &mut self.0[start..start + bytes]
    }

    /// Moves the later half into a leaf of its own, which starts with the key given; `None` for a single entry.
    pub fn split(&mut self, width: usize) -> Option<(Key, Leaf)> {
        let mut at = 0;
        while let Some((_, next)) = self.entry(at, width) {
            if next > self.0.len() / 2 && at > 0 {
                break;
            }
            at = next;
        }
        if at >= self.0.len() {
            return None;
        }
        let later = Leaf(self.0[at..].to_vec());
        self.0.truncate(at);
        self.0.shrink_to(at + at / 8);
        Some((pad(&later.0[..width]), later))
    }

    /// Takes what a leaf of greater keys holds.
    pub fn append(&mut self, later: &Leaf) {
        self.0.reserve_exact(later.0.len());
        self.0.extend_from_slice(&later.0);
    }
}

#[inline]
fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut n, mut shift) = (0, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        n |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return n;
        }
        shift += 7;
    }
}

fn put_varint(mut n: u64, out: &mut [u8], at: &mut usize) {
    while n >= 128 {
        out[*at] = n as u8 | 128;
        n >>= 7;
        *at += 1;
    }
    out[*at] = n as u8;
    *at += 1;
}
