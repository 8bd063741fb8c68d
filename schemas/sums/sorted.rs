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
use crate::empty;
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
    spans: Vec<Span>,
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
struct Span {
    kind: Kind,
    /// The value comes after the key.
    key: u32,
    value: u32,
    end: u32,
}

impl Span {
    fn of(self, piece: &[u8]) -> Fact<'_> {
        Fact { kind: self.kind, key: &piece[self.key as usize..self.value as usize], value: &piece[self.value as usize..self.end as usize] }
    }
}

impl Sorted {
    fn by(piece_bytes: usize) -> Sorted {
        let (known, piece, spans) = (Known::default(), vec![], vec![]);
        Sorted { piece_bytes, known, piece, spans, merged: vec![], next: vec![], value: vec![], newer: vec![] }
    }

    /// Whole facts, which come after those before.
    ///
    /// # Errors
    /// What is no fact, or a value that is not as its kind says, of these or of those before; then it is of no use until `clear`.
    pub fn add(&mut self, facts: &[u8]) -> Result<(), Malformed> {
        self.piece.extend_from_slice(facts);
        if self.piece.len() >= self.merged.len().clamp(self.piece_bytes, PIECE_BYTES_MAX) { self.merge() } else { Ok(()) }
    }

    /// By kind and key, each key once.
    pub fn facts(&mut self) -> Result<Facts<'_>, Malformed> {
        self.merge()?;
        Ok(Facts(&self.merged))
    }

    /// Throws away what has come. The room of each of its few lists stays, where it is not larger than this.
    pub fn clear(&mut self, room_bytes_max: usize) {
        empty(&mut self.spans, room_bytes_max);
        for bytes in [&mut self.piece, &mut self.merged, &mut self.next] {
            empty(bytes, room_bytes_max);
        }
    }

    fn merge(&mut self) -> Result<(), Malformed> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.sort()?;
        let (piece, mut spans) = (self.piece.as_slice(), self.spans.as_slice());
        let mut before = Facts(&self.merged).peekable();
        self.next.clear();
        loop {
            let come = spans.first().map(|span| span.of(piece));
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
                spans = &spans[1..];
            }
            while let Some((span, rest)) = spans.split_first() {
                let come = span.of(piece);
                if (come.kind, come.key) != (first.kind, first.key) {
                    break;
                }
                self.newer.clear();
                merge(come.kind, &self.value, come.value, &mut self.known, &mut self.newer)?;
                std::mem::swap(&mut self.value, &mut self.newer);
                spans = rest;
            }
            fact(Fact { value: &self.value, ..first }, &mut self.next);
        }
        std::mem::swap(&mut self.merged, &mut self.next);
        self.piece.clear();
        Ok(())
    }

    /// Finds where the piece's facts stand, in order.
    fn sort(&mut self) -> Result<(), Malformed> {
        self.spans.clear();
        let mut rest = self.piece.as_slice();
        while !rest.is_empty() {
            let (Fact { kind, key, value }, after) = split(rest)?;
            let end = self.piece.len() - after.len();
            let short = |at: usize| u32::try_from(at).expect("pieces are short");
            self.spans.push(Span { kind, key: short(end - value.len() - key.len()), value: short(end - value.len()), end: short(end) });
            rest = after;
        }
        let piece = self.piece.as_slice();
        self.spans.sort_unstable_by(|a, b| order(&a.of(piece), &b.of(piece)).then(a.key.cmp(&b.key)));
        Ok(())
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

    #[test]
    fn after_an_error_it_is_of_use_once_it_is_cleared() {
        // Its value lacks columns.
        let broken = [5, 1, 2, b'x', b'y', 1];
        let facts = |sorted: &mut Sorted| Ok::<_, Malformed>(sorted.facts()?.map(|one| one.value.to_vec()).collect::<Vec<_>>());
        let mut sorted = Sorted::by(0);
        sorted.add(&broken).expect("one of its key is not looked into");
        assert!(sorted.add(&broken).is_err());
        sorted.clear(1 << 10);
        assert_eq!(facts(&mut sorted), Ok(vec![]));
        sorted.add(&users(2, 10, 30)).expect("a fact");
        assert_eq!(facts(&mut sorted).map(|all| all.len()), Ok(1));
    }

    #[test]
    fn room_that_is_larger_than_told_is_given_back() {
        let mut sorted = Sorted::default();
        let facts = users(2, 10, 30).repeat(1_000);
        for (room_bytes_max, stays) in [(1 << 20, true), (1_000, false)] {
            sorted.add(&facts).expect("facts");
            sorted.facts().expect("facts");
            sorted.clear(room_bytes_max);
            assert_eq!((sorted.piece.capacity() > 0, sorted.spans.capacity() > 0), (stays, stays));
        }
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
