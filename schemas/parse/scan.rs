//! The scan: bare Reddit objects in one pass.
//!
//! Of a dump's thirty-odd fields about ten are read. The scan walks the line once, skips what is not wanted by its key, and
//! gives up wherever it would have to think: escaped or repeated keys, escapes in short fields, odd numbers, nesting deeper
//! than 62, and whatever is not JSON.
//! What it skips it checks against the whole grammar ([`super::cursor`]).
//!
//! What the records before had in the same place is skipped by comparing ([`super::order`]).
//!
//! # Invariants
//! 1. [`fields`] accepts only what the full parse accepts, and finds the same values (see `super`).
//! 2. The line is UTF-8; places where it is cut are ASCII, so every cut is a string.

use super::cursor::{Cursor, Quoted};
use super::order::{Found, Order};
use super::reddit::Fields;
use super::value::Value;

/// Fills the fields of a bare Reddit object; `None` where the full parse has to look.
pub(super) fn fields<'a>(line: &'a str, order: &mut Order, fields: &mut Fields<'a>) -> Option<()> {
    let mut scan = Cursor::new(line);
    scan.space();
    scan.eat(b'{')?;
    scan.space();
    if scan.byte()? == b'}' {
        scan.at += 1;
    } else {
        let mut nth = 0;
        while scan.entry(nth, order, fields)? {
            nth += 1;
        }
    }
    scan.space();
    (scan.at == line.len()).then_some(())
}

impl<'a> Cursor<'a> {
    /// The `nth` entry of the record; whether another follows.
    #[inline(always)]
    fn entry(&mut self, nth: usize, order: &mut Order, fields: &mut Fields<'a>) -> Option<bool> {
        let start = self.at;
        match order.find(nth, self.bytes, start) {
            Found::Entry(length) => {
                self.at += length;
                Some(true)
            }
            Found::Key(length, Meaning::Skip) => {
                self.at += length;
                self.skip()?;
                let more = self.next()?;
                if more {
                    order.learn_entry(nth, &self.bytes[start..self.at]);
                }
                Some(more)
            }
            Found::Key(length, meaning) => {
                self.at += length;
                self.field(meaning, fields)?;
                self.next()
            }
            Found::Nothing => self.new_entry(nth, order, fields),
        }
    }

    #[inline(never)]
    fn new_entry(&mut self, nth: usize, order: &mut Order, fields: &mut Fields<'a>) -> Option<bool> {
        let start = self.at;
        let key = self.plain_key()?;
        let meaning = meaning(&self.bytes[key.start..key.end]);
        order.learn_key(nth, &self.bytes[start..self.at], meaning);
        self.field(meaning, fields)?;
        self.next()
    }

    /// One entry of the record.
    #[inline(always)]
    fn field(&mut self, meaning: Meaning, fields: &mut Fields<'a>) -> Option<()> {
        let (field, long) = match meaning {
            Meaning::Skip => return self.skip(),
            Meaning::Op => (&mut fields.op, false),
            Meaning::Seq => (&mut fields.seq, false),
            Meaning::Id => (&mut fields.id, false),
            Meaning::LinkId => (&mut fields.link_id, false),
            Meaning::ParentId => (&mut fields.parent_id, false),
            Meaning::Author => (&mut fields.author, false),
            Meaning::Subreddit => (&mut fields.subreddit, false),
            Meaning::Score => (&mut fields.score, false),
            Meaning::Edited => (&mut fields.edited, false),
            Meaning::CreatedUtc => (&mut fields.created_utc, false),
            Meaning::RetrievedOn => (&mut fields.retrieved_on, false),
            Meaning::RetrievedUtc => (&mut fields.retrieved_utc, false),
            Meaning::Body => (&mut fields.body, true),
            Meaning::Title => (&mut fields.title, true),
            Meaning::Selftext => (&mut fields.selftext, true),
            Meaning::Meta => return self.meta(fields),
            Meaning::GiveUp => return None,
        };
        if !matches!(field, Value::Missing) {
            return None;
        }
        *field = self.value(long)?;
        Some(())
    }

    /// `_meta`: an object that may hold a time of retrieval.
    fn meta(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        if !matches!(fields.retrieved_2nd_on, Value::Missing) {
            return None;
        }
        self.eat(b'{')?;
        self.space();
        if self.byte()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.plain_key()?;
            if &self.bytes[key.start..key.end] != b"retrieved_2nd_on" {
                self.skip()?;
            } else if matches!(fields.retrieved_2nd_on, Value::Missing) {
                fields.retrieved_2nd_on = self.value(false)?;
            } else {
                return None;
            }
            if !self.next()? {
                return Some(());
            }
        }
    }

    /// A wanted value. Escapes are kept as they stand in fields that may be `long`.
    #[inline(always)]
    fn value(&mut self, long: bool) -> Option<Value<'a>> {
        match self.byte()? {
            b'"' => {
                self.at += 1;
                let Quoted { start, end, escaped } = self.quoted()?;
                let text = self.line.get(start..end)?;
                match (escaped, long) {
                    (false, _) => Some(Value::Text(text)),
                    (true, true) => Some(Value::Raw(text)),
                    (true, false) => None,
                }
            }
            b'n' => self.literal(b"null").map(|()| Value::Null),
            b't' => self.literal(b"true").map(|()| Value::Bool(true)),
            b'f' => self.literal(b"false").map(|()| Value::Bool(false)),
            b'-' | b'0'..=b'9' => self.plain_number(),
            _ => None,
        }
    }

    /// A number that cannot be read in two ways: an integer of at most 18 digits, or at most 10 digits, a dot and at most 5 (so that
    /// the whole seconds of it are the digits before the dot, however it is rounded).
    #[inline(always)]
    fn plain_number(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        let negative = self.bytes[start] == b'-';
        self.at += usize::from(negative);
        let first = self.at;
        let mut n = 0i64;
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            n = n.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || digits > 18 || (self.bytes[first] == b'0' && (digits > 1 || negative)) {
            return None;
        }
        match self.byte() {
            Some(b'.') => {}
            Some(b'e' | b'E') => return None,
            _ => return Some(Value::Int(if negative { -n } else { n })),
        }
        self.at += 1;
        let dot = self.at;
        self.digits()?;
        if negative || digits > 10 || self.at - dot > 5 || matches!(self.byte(), Some(b'e' | b'E')) {
            return None;
        }
        Some(Value::Float(self.line.get(start..self.at)?.parse().ok()?))
    }
}

/// What a key of the record means to the scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    Skip,
    /// Another shape, or one that only the full parse tells apart.
    GiveUp,
    Op,
    Seq,
    Id,
    LinkId,
    ParentId,
    Author,
    Subreddit,
    Score,
    Edited,
    CreatedUtc,
    RetrievedOn,
    RetrievedUtc,
    Body,
    Title,
    Selftext,
    Meta,
}

fn meaning(key: &[u8]) -> Meaning {
    match key {
        b"op" => Meaning::Op,
        b"seq" => Meaning::Seq,
        b"id" => Meaning::Id,
        b"link_id" => Meaning::LinkId,
        b"parent_id" => Meaning::ParentId,
        b"author" => Meaning::Author,
        b"subreddit" => Meaning::Subreddit,
        b"score" => Meaning::Score,
        b"edited" => Meaning::Edited,
        b"created_utc" => Meaning::CreatedUtc,
        b"retrieved_on" => Meaning::RetrievedOn,
        b"retrieved_utc" => Meaning::RetrievedUtc,
        b"body" => Meaning::Body,
        b"title" => Meaning::Title,
        b"selftext" => Meaning::Selftext,
        b"_meta" => Meaning::Meta,
        b"kind" | b"data" | b"update_id" | b"desktop_export" => Meaning::GiveUp,
        _ => Meaning::Skip,
    }
}
