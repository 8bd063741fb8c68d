//! Sorts facts as they come and merges those of one key, a piece at a time.
//!
//! ```text
//!   facts as they were said --> [ piece ] --sort--> merged with what came before: each key once, by kind and key
//! ```
//!
//! # Invariants
//! 1. Facts of one key merge in the order in which they came.
//! 2. What is in memory at once is a few times what the facts come to, or a few pieces, however many come.

use std::cmp::Ordering;

use super::{Fact, Facts, Kind, fact, merge, split};
use crate::parse::known::Known;
use crate::stored::Malformed;

/// Facts that came are merged when they are so many bytes, or as many as those before them came to: so each is looked at a few times only.
const PIECE_BYTES: usize = 2 << 20;
/// But no more: where each of them stands is kept in half as much again.
const PIECE_BYTES_MAX: usize = 64 << 20;

/// What many facts come to. Its room stays for those of another time.
pub struct Sorted {
    piece_bytes: usize,
    known: Known,
    /// As they came.
    piece: Vec<u8>,
    places: Vec<Place>,
    /// Those before, each key once.
    merged: Vec<u8>,
    next: Vec<u8>,
    value: Vec<u8>,
    newer: Vec<u8>,
}

impl Default for Sorted {
    fn default() -> Self {
        Sorted::by(PIECE_BYTES)
    }
}

/// Where a fact stands in a piece.
#[derive(Clone, Copy)]
struct Place {
    kind: Kind,
    /// The value comes after the key.
    key: u32,
    value: u32,
    end: u32,
}

impl Place {
    fn of(self, piece: &[u8]) -> Fact<'_> {
        Fact { kind: self.kind, key: &piece[self.key as usize..self.value as usize], value: &piece[self.value as usize..self.end as usize] }
    }
}

impl Sorted {
    fn by(piece_bytes: usize) -> Sorted {
        let (known, piece, places) = (Known::default(), vec![], vec![]);
        Sorted { piece_bytes, known, piece, places, merged: vec![], next: vec![], value: vec![], newer: vec![] }
    }

    /// Whole facts, which come after those before.
    ///
    /// # Errors
    /// What is no fact, or a value that is not as its kind says, of these or of those before. Nothing is of use any more then.
    pub fn add(&mut self, facts: &[u8]) -> Result<(), Malformed> {
        self.piece.extend_from_slice(facts);
        if self.piece.len() >= self.merged.len().clamp(self.piece_bytes, PIECE_BYTES_MAX) { self.merge() } else { Ok(()) }
    }

    /// By kind and key, each key once.
    pub fn facts(&mut self) -> Result<Facts<'_>, Malformed> {
        self.merge()?;
        Ok(Facts(&self.merged))
    }

    /// Nothing has come. The room of each of its few lists stays, where it is not larger than this.
    pub fn clear(&mut self, room_bytes_max: usize) {
        empty(&mut self.places, room_bytes_max);
        for bytes in [&mut self.piece, &mut self.merged, &mut self.next] {
            empty(bytes, room_bytes_max);
        }
    }

    fn merge(&mut self) -> Result<(), Malformed> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.sort()?;
        let (piece, mut places) = (self.piece.as_slice(), self.places.as_slice());
        let mut before = Facts(&self.merged).peekable();
        self.next.clear();
        loop {
            let come = places.first().map(|place| place.of(piece));
            let order = match (before.peek(), &come) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(come)) => order(before, come),
            };
            if order == Ordering::Less {
                fact(before.next().expect("peeked at"), &mut self.next);
                continue;
            }
            let first = come.expect("it is not after all that came");
            self.value.clear();
            if let Some(before) = before.next_if(|_| order == Ordering::Equal) {
                self.value.extend_from_slice(before.value);
            } else {
                self.value.extend_from_slice(first.value);
                places = &places[1..];
            }
            while let Some((place, rest)) = places.split_first() {
                let come = place.of(piece);
                if (come.kind, come.key) != (first.kind, first.key) {
                    break;
                }
                self.newer.clear();
                merge(come.kind, &self.value, come.value, &mut self.known, &mut self.newer)?;
                std::mem::swap(&mut self.value, &mut self.newer);
                places = rest;
            }
            fact(Fact { value: &self.value, ..first }, &mut self.next);
        }
        std::mem::swap(&mut self.merged, &mut self.next);
        self.piece.clear();
        Ok(())
    }

    /// The piece's places.
    fn sort(&mut self) -> Result<(), Malformed> {
        self.places.clear();
        let mut rest = self.piece.as_slice();
        while !rest.is_empty() {
            let (Fact { kind, key, value }, after) = split(rest)?;
            let end = self.piece.len() - after.len();
            let [key, value, end] = [end - value.len() - key.len(), end - value.len(), end].map(u32::try_from);
            let (Ok(key), Ok(value), Ok(end)) = (key, value, end) else { return Err(Malformed) };
            self.places.push(Place { kind, key, value, end });
            rest = after;
        }
        let piece = self.piece.as_slice();
        self.places.sort_unstable_by(|a, b| order(&a.of(piece), &b.of(piece)).then(a.key.cmp(&b.key)));
        Ok(())
    }
}

/// Empties a list. Its room stays, where it is not larger than this.
pub fn empty<T>(list: &mut Vec<T>, room_bytes_max: usize) {
    list.clear();
    if list.capacity() * size_of::<T>() > room_bytes_max {
        *list = vec![];
    }
}

fn order(a: &Fact, b: &Fact) -> Ordering {
    (a.kind, a.key).cmp(&(b.kind, b.key))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::tests::{names, some, users};
    use super::*;

    /// What facts come to, in pieces of so many bytes.
    fn by(piece_bytes: usize, facts: &[&[u8]]) -> Vec<u8> {
        let mut sorted = Sorted::by(piece_bytes);
        // Of another time.
        sorted.add(&names(1, 2, ":c")).expect("a fact");
        sorted.clear(8);
        facts.iter().for_each(|facts| sorted.add(facts).expect("facts"));
        let mut out = vec![];
        sorted.facts().expect("facts").for_each(|one| fact(one, &mut out));
        out
    }

    #[test]
    fn facts_of_a_key_become_one() {
        assert_eq!(by(0, &[&users(2, 10, 30), &users(1, 40, 40), &users(4, 5, 6)]), users(7, 5, 40));
        assert_eq!(by(0, &[&names(20, 12, ":b"), &names(20, 7, ":a")]), names(20, 7, ":a"), "ids compare as texts do");
        assert_eq!(by(0, &[]), [0; 0]);
    }

    #[test]
    fn what_is_no_fact_is_an_error() {
        let mut whole = users(2, 10, 30);
        whole.pop();
        let mut sorted = Sorted::default();
        sorted.add(&whole).expect("not looked at yet");
        assert!(sorted.facts().is_err());
    }

    proptest! {
        #[test]
        fn facts_come_to_the_same_in_any_pieces(order in proptest::collection::vec(0..11usize, 0..60), piece_bytes in 0..400usize) {
            let bytes = some();
            let (mut each, mut rest) = (vec![], bytes.as_slice());
            while !rest.is_empty() {
                let (_, after) = split(rest).expect("a fact");
                each.push(&rest[..rest.len() - after.len()]);
                rest = after;
            }
            let facts: Vec<&[u8]> = order.iter().map(|at| each[*at]).collect();
            let at_once = by(1 << 20, &[&facts.concat()]);
            prop_assert_eq!(&by(piece_bytes, &facts), &at_once);
            let keys: BTreeSet<(Kind, &[u8])> = facts.iter().map(|one| split(one).expect("a fact").0).map(|one| (one.kind, one.key)).collect();
            prop_assert!(Facts(&at_once).map(|one| (one.kind, one.key)).eq(keys), "each key once, in order");
        }
    }
}
