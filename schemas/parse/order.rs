//! The keys of the records before, by their place in the record: records of a dump mostly have the same keys in the same
//! order, and often the same values under those that nobody reads.
//!
//! ```text
//!   line:    ... "author_flair_text":null,"body":"so ...
//!   known:       "author_flair_text":null,              the entry as before: skipped whole
//!                "author_flair_text":                   the key as before: its meaning is known, the value is next
//! ```
//!
//! # Invariants
//! 1. What is known was read and checked in full before, so finding the same bytes at the start of an entry is as good as
//!    reading them again.
//! 2. Only entries that are skipped are known whole.
//! 3. Nothing here changes what a record means, only how fast it is read.

use super::scan::Meaning;

/// What is longer, with quotes, colon and comma, is read anew each time.
pub(super) const BYTES_MAX: usize = 32;
/// Keys after so many are read anew each time.
const KEYS_MAX: usize = 128;
/// An entry whose value changed so often is not tried whole again.
const CHANGES_MAX: u8 = 16;

type Bytes = [u8; BYTES_MAX];

/// The keys of the records before. The default remembers none.
#[derive(Debug, Default)]
pub(super) struct Order {
    keys: Vec<Known>,
    remembers: bool,
}

/// An entry as it was written, from the first quote of its key.
#[derive(Clone, Debug)]
struct Known {
    bytes: Bytes,
    /// A bit for each byte up to the value.
    key: u32,
    /// A bit for each byte up to the next key.
    entry: u32,
    key_bytes: u8,
    /// 0 where only the key is known.
    entry_bytes: u8,
    meaning: Meaning,
    /// The key, the value was another last time. Twice, and that takes the place: now and then a record is different.
    missed: bool,
    changed: bool,
    changes: u8,
}

/// What stands at the start of an entry.
pub(super) enum Found {
    /// An entry to skip, of so many bytes with its comma.
    Entry(usize),
    /// A key, of so many bytes with its colon.
    Key(usize, Meaning),
    Nothing,
}

impl Order {
    pub fn new() -> Order {
        Order { keys: Vec::new(), remembers: true }
    }

    /// What is known of the entry that starts at `at`, the `nth` of its record.
    #[inline(always)]
    pub fn find(&mut self, nth: usize, line: &[u8], at: usize) -> Found {
        let (Some(known), Some(rest)) = (self.keys.get_mut(nth), line.get(at..)) else { return Found::Nothing };
        let differs = match rest.first_chunk() {
            Some(start) => differs(start, &known.bytes),
            None => differs(&padded(rest), &known.bytes),
        };
        if differs & known.entry == 0 && known.entry_bytes > 0 {
            known.changed = false;
            Found::Entry(usize::from(known.entry_bytes))
        } else if differs & known.key == 0 {
            known.missed = false;
            Found::Key(usize::from(known.key_bytes), known.meaning)
        } else {
            Found::Nothing
        }
    }

    /// Remembers a key that was not found: `written` from its first quote to before the value.
    #[cold]
    pub fn learn_key(&mut self, nth: usize, written: &[u8], meaning: Meaning) {
        if !self.remembers || written.len() > BYTES_MAX || nth > self.keys.len() || nth >= KEYS_MAX {
            return;
        }
        match self.keys.get_mut(nth) {
            Some(before) if !before.missed => before.missed = true,
            Some(before) => *before = Known::new(written, meaning),
            None => self.keys.push(Known::new(written, meaning)),
        }
    }

    /// Remembers an entry whose key was found and whose value was skipped: `written` up to the next key.
    #[inline(always)]
    pub fn learn_entry(&mut self, nth: usize, written: &[u8]) {
        if let Some(known) = self.keys.get_mut(nth)
            && known.changes < CHANGES_MAX
            && written.len() <= BYTES_MAX
        {
            known.learn_entry(written);
        }
    }
}

impl Known {
    fn new(key: &[u8], meaning: Meaning) -> Known {
        let (bytes, bits) = (padded(key), bits(key.len()));
        Known {
            bytes,
            key: bits,
            entry: bits,
            key_bytes: key.len() as u8,
            entry_bytes: 0,
            meaning,
            missed: false,
            changed: false,
            changes: 0,
        }
    }

    #[cold]
    fn learn_entry(&mut self, written: &[u8]) {
        if self.entry_bytes > 0 && !self.changed {
            self.changed = true;
            return;
        }
        self.changed = false;
        self.changes += 1;
        (self.bytes, self.entry) = (padded(written), bits(written.len()));
        self.entry_bytes = if self.changes < CHANGES_MAX { written.len() as u8 } else { 0 };
    }
}

/// At most [`BYTES_MAX`] bytes, followed by zeroes.
fn padded(written: &[u8]) -> Bytes {
    let mut bytes = [0; BYTES_MAX];
    bytes[..written.len()].copy_from_slice(written);
    bytes
}

/// A bit for each of so many bytes, from the lowest.
fn bits(bytes: usize) -> u32 {
    u32::try_from((1u64 << bytes) - 1).expect("at most 32 bytes")
}

/// A bit for each byte that is another.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn differs(a: &Bytes, b: &Bytes) -> u32 {
    use std::arch::x86_64::*;
    // SAFETY: SSE2 is part of x86_64; the loads are unaligned and of the 32 bytes that `a` and `b` are.
    unsafe {
        let half = |bytes: &Bytes, at: usize| _mm_loadu_si128(bytes.as_ptr().add(at).cast());
        let same = |at| _mm_movemask_epi8(_mm_cmpeq_epi8(half(a, at), half(b, at))) as u32;
        !(same(0) | same(16) << 16)
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn differs(a: &Bytes, b: &Bytes) -> u32 {
    a.iter().zip(b).enumerate().map(|(at, (a, b))| u32::from(a != b) << at).sum()
}
