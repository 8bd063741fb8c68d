//! Who is to be forgotten: a list that tells a user when it meets one, and names none.
//!
//! ```text
//!   D/forgotten.json     a random key, and HMAC-SHA-256(key, user) of each          user: the key in lower case, `reddit:ada`
//!   version.user --> [ asked before? a bit of its number ] --> hash, look
//! ```
//!
//! # Invariants
//! 1. Once a user is on the list it stays: nothing removes it, and a replayed old record stays dead.
//! 2. The file names nobody. (Who has the file can still ask it of a name, as eddy does.)

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use eddy_schemas::Name;
use eddy_schemas::scrub::Person;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::record;

/// Of the file. What is newer is refused.
const FORMAT: u32 = 1;
const FILE: &str = "forgotten.json";

/// The users that a folder's eddy has been told to forget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    key: [u8; 32],
    users: BTreeSet<[u8; 32]>,
}

impl Forgotten {
    /// The list of a data folder; empty where it has none.
    pub fn read(dir: &Path) -> Result<Forgotten, record::Error> {
        Ok(record::read(&dir.join(FILE), FORMAT)?.unwrap_or_default())
    }

    /// Puts a user on the list, on disk; tells whether it is new there.
    pub fn add(&mut self, dir: &Path, person: &Person) -> io::Result<bool> {
        if self.users.is_empty() {
            File::open("/dev/urandom")?.read_exact(&mut self.key)?;
        }
        let is_new = self.users.insert(self.hash(&person.key()));
        record::write(&dir.join(FILE), FORMAT, self)?;
        Ok(is_new)
    }

    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether the user of this key (`reddit:NAME`, `telegram:ID`) is on it.
    pub fn has(&self, user: &str) -> bool {
        !self.is_empty() && Person::of(user).is_some_and(|person| self.users.contains(&self.hash(&person.key())))
    }

    fn hash(&self, user: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length will do");
        mac.update(user.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// Asks the list of users by name, each once. One for each thread.
#[derive(Default)]
pub struct Asked {
    /// Two bits a name: it was asked, it is on the list.
    answers: Vec<u8>,
}

impl Asked {
    /// Whether this user is to be forgotten.
    #[inline]
    pub fn has(&mut self, forgotten: &Forgotten, user: Option<Name>) -> bool {
        match user {
            Some(user) if !forgotten.is_empty() => self.ask(forgotten, user),
            _ => false,
        }
    }

    fn ask(&mut self, forgotten: &Forgotten, user: Name) -> bool {
        let at = user.index() as usize;
        if at >= self.answers.len() {
            self.answers.resize(at + at / 2 + 1, 0);
        }
        if self.answers[at] == 0 {
            self.answers[at] = 1 + u8::from(forgotten.has(user.as_str()));
        }
        self.answers[at] == 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_knows_users_in_any_case_and_names_none() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut list = Forgotten::read(dir.path()).expect("none there");
        let person = Person::of("reddit:Ada_L").expect("a key");
        assert!(!list.has("reddit:ada_l"));
        assert!(list.add(dir.path(), &person).expect("room"));
        assert!(!list.add(dir.path(), &person).expect("room"), "it is there already");
        let list = Forgotten::read(dir.path()).expect("a list");
        assert!(list.has("reddit:aDA_l") && !list.has("reddit:ada") && !list.has("telegram:1"));
        let bytes = std::fs::read(dir.path().join(FILE)).expect("a file");
        assert!(!person.is_mentioned(&bytes));
    }

    #[test]
    fn a_name_is_asked_once_and_answered_alike() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut list = Forgotten::default();
        list.add(dir.path(), &Person::of("telegram:77").expect("a key")).expect("room");
        let mut asked = Asked::default();
        for _ in 0..2 {
            assert!(asked.has(&list, Some(Name::of("telegram:77"))));
            assert!(!asked.has(&list, Some(Name::of("telegram:78"))));
            assert!(!asked.has(&list, None));
        }
    }
}
