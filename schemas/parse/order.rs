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

type Words = [u64; BYTES_MAX / 8];

/// The keys of the records before. The default remembers none.
#[derive(Debug, Default)]
pub(super) struct Order {
    keys: Vec<Known>,
    remembers: bool,
}

/// An entry as it was written, from the first quote of its key.
#[derive(Clone, Debug)]
struct Known {
    words: Words,
    /// Ones in the bytes up to the value.
    key: Words,
    /// Ones in the bytes up to the next key.
    entry: Words,
    key_bytes: usize,
    /// 0 where only the key is known.
    entry_bytes: usize,
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
        let start = match rest.first_chunk() {
            Some(start) => words(start),
            None => padded(rest).0,
        };
        let (mut key, mut entry) = (0, 0);
        for (at, word) in start.into_iter().enumerate() {
            let differs = word ^ known.words[at];
            key |= differs & known.key[at];
            entry |= differs & known.entry[at];
        }
        if entry == 0 && known.entry_bytes > 0 {
            known.changed = false;
            Found::Entry(known.entry_bytes)
        } else if key == 0 {
            known.missed = false;
            Found::Key(known.key_bytes, known.meaning)
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
        let (words, ones) = padded(key);
        Known { words, key: ones, entry: ones, key_bytes: key.len(), entry_bytes: 0, meaning, missed: false, changed: false, changes: 0 }
    }

    #[cold]
    fn learn_entry(&mut self, written: &[u8]) {
        if self.entry_bytes > 0 && !self.changed {
            self.changed = true;
            return;
        }
        self.changed = false;
        self.changes += 1;
        (self.words, self.entry) = padded(written);
        self.entry_bytes = if self.changes < CHANGES_MAX { written.len() } else { 0 };
    }
}

#[inline(always)]
fn words(bytes: &[u8; BYTES_MAX]) -> Words {
    let mut words = [0; BYTES_MAX / 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// At most [`BYTES_MAX`] bytes, followed by zeroes; and ones where the bytes are.
fn padded(written: &[u8]) -> (Words, Words) {
    let (mut bytes, mut ones) = ([0; BYTES_MAX], [0; BYTES_MAX]);
    bytes[..written.len()].copy_from_slice(written);
    ones[..written.len()].fill(0xff);
    (words(&bytes), words(&ones))
}
