//! Interned strings: a [`Name`] is four bytes and stands for one string of this process.
//!
//! ```text
//!   "reddit:spez" --hash--> shard --probe--> 17        17 --> "reddit:spez"   (no lock to read)
//! ```
//!
//! # Invariants
//! 1. Equal strings have equal names for the life of the process: comparing names compares strings for equality.
//! 2. The order of names is the order of arrival and means nothing; order by [`Name::as_str`].
//! 3. A name never moves or dies. Memory is the sum of the distinct strings, plus 48 bytes each.

use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;
use std::sync::{LazyLock, Mutex, RwLock};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::route;

/// Shards keep workers that intern at the same time out of each other's way.
const SHARDS: usize = 64;
/// Strings are copied into arenas of this size, so that a short one costs its bytes and no allocation.
const ARENA_BYTES: usize = 4 << 10;

/// A string of this process, by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(NonZeroU32);

struct Names {
    /// The string stands beside its name: looking one up reads no other table.
    shards: Vec<RwLock<HashTable<(Name, &'static str)>>>,
    strings: boxcar::Vec<&'static str>,
    arenas: Vec<Mutex<&'static mut [u8]>>,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let names = Names {
        shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        strings: boxcar::Vec::new(),
        arenas: (0..SHARDS).map(|_| Mutex::new(&mut [][..])).collect(),
    };
    names.strings.push(""); // index 0 is no name: `Option<Name>` costs nothing
    names
});

fn hash(prefix: &str, rest: &str) -> u64 {
    let mut hasher = FixedState::with_seed(0x65_64_64_79).build_hasher();
    hasher.write(prefix.as_bytes());
    hasher.write(rest.as_bytes());
    hasher.finish()
}

impl Name {
    /// The name of `prefix` followed by `rest`. Split the same string at the same place everywhere: `prefix` is a platform
    /// such as `"reddit:"`, so that the hot path need not join the two.
    pub fn new(prefix: &'static str, rest: &str) -> Name {
        let names = &*NAMES;
        let hash = hash(prefix, rest);
        let at = (hash >> 57) as usize % SHARDS;
        let same =
            |(_, string): &(Name, &str)| string.len() == prefix.len() + rest.len() && string.ends_with(rest) && string.starts_with(prefix);
        if let Some((name, _)) = names.shards[at].read().expect("no panic while interning").find(hash, same) {
            return *name;
        }
        let mut shard = names.shards[at].write().expect("no panic while interning");
        if let Some((name, _)) = shard.find(hash, same) {
            return *name;
        }
        let string = names.store(at, prefix, rest);
        let index = u32::try_from(names.strings.push(string)).expect("fewer than 2^32 distinct names");
        let name = Name(NonZeroU32::new(index).expect("index 0 is taken"));
        shard.insert_unique(hash, (name, string), |(_, string)| {
            let (prefix, rest) = split(string);
            self::hash(prefix, rest)
        });
        name
    }

    /// The name of a whole key, such as `reddit:spez`.
    pub fn of(key: &str) -> Name {
        let (prefix, rest) = split(key);
        Name::new(prefix, rest)
    }

    /// The name of a whole key if this process has met it.
    pub fn find(key: &str) -> Option<Name> {
        let (prefix, rest) = split(key);
        let hash = hash(prefix, rest);
        let shard = NAMES.shards[(hash >> 57) as usize % SHARDS].read().expect("no panic while interning");
        shard.find(hash, |(_, string)| *string == key).map(|(name, _)| *name)
    }

    pub fn as_str(self) -> &'static str {
        NAMES.strings[self.0.get() as usize]
    }

    /// The string after its platform: `spez` of `reddit:spez`, `John Smith` of `:John Smith`.
    pub fn bare(self) -> &'static str {
        let string = self.as_str();
        string.find(':').map_or(string, |i| &string[i + 1..])
    }

    pub fn index(self) -> u32 {
        self.0.get()
    }

    pub fn from_index(index: u32) -> Option<Name> {
        NonZeroU32::new(index).map(Name)
    }

    /// Spreads names over workers, of whatever process. Not a persistent hash.
    #[inline]
    pub fn route(self) -> u64 {
        if route::is_by_text() { route::of(self.as_str()) } else { crate::id::mix(u64::from(self.0.get())) }
    }
}

/// Every string that `new` is given has one of these prefixes, or none before its first colon.
fn split(key: &str) -> (&'static str, &str) {
    for prefix in [REDDIT, TELEGRAM, DISPLAY] {
        if let Some(rest) = key.strip_prefix(prefix) {
            return (prefix, rest);
        }
    }
    ("", key)
}

/// Prefix of Reddit's users and communities.
pub const REDDIT: &str = "reddit:";
/// Prefix of Telegram's users and communities.
pub const TELEGRAM: &str = "telegram:";
/// Prefix of display names, which are no keys.
pub const DISPLAY: &str = ":";

impl Names {
    /// Copies a string to where it stays for the life of the process.
    fn store(&self, shard: usize, prefix: &str, rest: &str) -> &'static str {
        let bytes = prefix.len() + rest.len();
        let mut arena = self.arenas[shard].lock().expect("no panic while interning");
        if arena.len() < bytes {
            *arena = Box::leak(vec![0; bytes.max(ARENA_BYTES)].into_boxed_slice());
        }
        let (taken, left) = std::mem::take(&mut *arena).split_at_mut(bytes);
        *arena = left;
        taken[..prefix.len()].copy_from_slice(prefix.as_bytes());
        taken[prefix.len()..].copy_from_slice(rest.as_bytes());
        std::str::from_utf8(taken).expect("two strings joined are a string")
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Name::of(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_one_name_however_they_are_split() {
        let name = Name::new(REDDIT, "spez");
        assert_eq!(name, Name::of("reddit:spez"));
        assert_eq!(name.as_str(), "reddit:spez");
        assert_eq!(name.bare(), "spez");
        assert_eq!(Name::find("reddit:spez"), Some(name));
        assert_eq!(Name::find("reddit:never met"), None);
    }

    #[test]
    fn names_survive_growth_and_threads() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..20_000).map(|i| Name::new(TELEGRAM, &i.to_string())).collect::<Vec<_>>())).collect();
        let all: Vec<_> = threads.into_iter().map(|t| t.join().expect("no panic")).collect();
        assert!(all.iter().all(|names| *names == all[0]));
        assert_eq!(all[0][777].as_str(), "telegram:777");
    }
}
