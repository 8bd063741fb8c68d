//! Names that one worker met lately, so that most need no lock and no far memory.
//!
//! ```text
//!   "spez" --hash of its ends--> 32 bytes: | name | length | s p e z ... |     else: Name::new
//! ```
//!
//! A cache of fixed size, one entry a place; a newcomer takes the place of what was there.

use crate::name::REDDIT;
use crate::{Name, prefetch};

/// 2^16 entries of 32 bytes, 2 MiB. What a miss costs (a lock, and three looks into far memory) is more than what the places push out of a
/// core's own cache: 4 % of W2's CPU, against 2^12.
const PLACES_LOG2: u32 = 16;
/// Longer names are not kept: Reddit's have at most 23 bytes.
const BYTES_MAX: usize = 27;

#[derive(Clone, Copy)]
#[repr(align(32))]
struct Entry {
    name: Option<Name>,
    length: u8,
    bytes: [u8; BYTES_MAX],
}

/// The names of Reddit's users and communities. The default keeps none.
#[derive(Default)]
pub struct Known(Vec<Entry>);

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("places", &self.0.len()).finish()
    }
}

impl Known {
    pub fn new() -> Known {
        Known(vec![Entry { name: None, length: 0, bytes: [0; BYTES_MAX] }; 1 << PLACES_LOG2])
    }

    /// Asks for the memory that `name` will look at.
    #[inline]
    pub fn fetch(&self, name: &str) {
        if !name.is_empty() && !self.0.is_empty() {
            prefetch(&self.0[place(name.as_bytes()) & (self.0.len() - 1)]);
        }
    }

    /// What `Name::new(REDDIT, name)` gives.
    #[inline]
    pub fn name(&mut self, name: &str) -> Name {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > BYTES_MAX || self.0.is_empty() {
            return Name::new(REDDIT, name);
        }
        let place = place(bytes) & (self.0.len() - 1);
        let entry = &mut self.0[place];
        if let Some(known) = entry.name
            && usize::from(entry.length) == bytes.len()
            && same(&entry.bytes[..bytes.len()], bytes)
        {
            return known;
        }
        let new = Name::new(REDDIT, name);
        entry.name = Some(new);
        entry.length = bytes.len() as u8;
        entry.bytes[..bytes.len()].copy_from_slice(bytes);
        new
    }
}

/// The first and the last `N` bytes; they may overlap.
#[inline(always)]
fn ends<const N: usize>(bytes: &[u8]) -> Option<([u8; N], [u8; N])> {
    Some((*bytes.first_chunk()?, *bytes.last_chunk()?))
}

/// Spreads names by their ends and length.
#[inline(always)]
fn place(bytes: &[u8]) -> usize {
    let (first, last) = if let Some((first, last)) = ends(bytes) {
        (u64::from_le_bytes(first), u64::from_le_bytes(last))
    } else if let Some((first, last)) = ends(bytes) {
        (u64::from(u32::from_le_bytes(first)), u64::from(u32::from_le_bytes(last)))
    } else {
        (u64::from(bytes[0]), u64::from(bytes[bytes.len() - 1]) << 8 | u64::from(bytes[bytes.len() / 2]))
    };
    crate::id::mix(first ^ last.rotate_left(29) ^ bytes.len() as u64) as usize
}

/// Equal, for two of the same length of 1 to 32 bytes.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    if let (Some(a), Some(b)) = (ends::<16>(a), ends::<16>(b)) {
        a == b
    } else if let (Some(a), Some(b)) = (ends::<8>(a), ends::<8>(b)) {
        a == b
    } else if let (Some(a), Some(b)) = (ends::<4>(a), ends::<4>(b)) {
        a == b
    } else {
        a == b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_whether_or_not_it_is_known() {
        let mut known = Known::new();
        for _ in 0..3 {
            for length in 0..40 {
                for n in 0..300 {
                    let name: String = format!("{n}").repeat(40).chars().take(length).collect();
                    assert_eq!(known.name(&name), Name::new(REDDIT, &name));
                    let changed = name.replacen('1', "2", 1);
                    assert_eq!(known.name(&changed), Name::new(REDDIT, &changed));
                }
            }
        }
    }
}
