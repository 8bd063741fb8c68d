//! The scan: bare Reddit objects in one pass.
//!
//! Of a dump's thirty-odd fields about ten are read. The scan walks the line once, skips what is not wanted by its key, and
//! gives up wherever it would have to think: escaped or repeated keys, escapes in short fields, odd numbers, nesting deeper
//! than 62, and whatever is not JSON. What it skips it checks against the whole grammar (RFC 8259), as serde_json does.
//!
//! # Invariants
//! 1. [`fields`] accepts only what the full parse accepts, and finds the same values (see `super`).
//! 2. The line is UTF-8; places where it is cut are ASCII, so every cut is a string.

use super::reddit::{Fields, escape};
use super::value::Value;

/// The fields of a bare Reddit object; `None` where the full parse has to look.
pub(super) fn fields(line: &str) -> Option<Fields<'_>> {
    let mut scan = Scan { line, bytes: line.as_bytes(), at: 0 };
    let mut fields = Fields::default();
    scan.space();
    scan.entries(|scan, key| scan.field(key, &mut fields))?;
    scan.space();
    (scan.at == line.len()).then_some(fields)
}

/// A place in a line.
struct Scan<'a> {
    line: &'a str,
    bytes: &'a [u8],
    at: usize,
}

/// What lies between two quotes.
#[derive(Clone, Copy)]
struct Quoted {
    start: usize,
    end: usize,
    escaped: bool,
}

impl<'a> Scan<'a> {
    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.byte()? == byte).then(|| self.at += 1)
    }

    #[inline(always)]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// An object; `entry` reads each value, told its key (which has no escapes).
    #[inline(always)]
    fn entries(&mut self, mut entry: impl FnMut(&mut Self, Quoted) -> Option<()>) -> Option<()> {
        self.eat(b'{')?;
        self.space();
        if self.byte()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.eat(b'"')?;
            let key = self.quoted()?;
            if key.escaped {
                return None;
            }
            self.space();
            self.eat(b':')?;
            self.space();
            entry(self, key)?;
            self.space();
            let byte = self.byte()?;
            self.at += 1;
            match byte {
                b',' => self.space(),
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// One entry of the record.
    #[inline(always)]
    fn field(&mut self, key: Quoted, fields: &mut Fields<'a>) -> Option<()> {
        let length = key.end - key.start;
        if length >= 16 || WANTED & 1 << length == 0 {
            return self.skip();
        }
        let start = word(self.bytes, key.start, length);
        let rest = if length > 8 { word(self.bytes, key.start + 8, length - 8) } else { 0 };
        let (field, long) = match (start, rest) {
            key::OP => (&mut fields.op, false),
            key::SEQ => (&mut fields.seq, false),
            key::ID => (&mut fields.id, false),
            key::LINK_ID => (&mut fields.link_id, false),
            key::PARENT_ID => (&mut fields.parent_id, false),
            key::AUTHOR => (&mut fields.author, false),
            key::SUBREDDIT => (&mut fields.subreddit, false),
            key::SCORE => (&mut fields.score, false),
            key::EDITED => (&mut fields.edited, false),
            key::CREATED_UTC => (&mut fields.created_utc, false),
            key::RETRIEVED_ON => (&mut fields.retrieved_on, false),
            key::RETRIEVED_UTC => (&mut fields.retrieved_utc, false),
            key::BODY => (&mut fields.body, true),
            key::TITLE => (&mut fields.title, true),
            key::SELFTEXT => (&mut fields.selftext, true),
            key::META => return self.meta(fields),
            // Another shape, or one that only the full parse tells apart.
            key::KIND | key::DATA | key::UPDATE_ID | key::DESKTOP_EXPORT => return None,
            _ => return self.skip(),
        };
        if *field != Value::Missing {
            return None;
        }
        *field = self.value(long)?;
        Some(())
    }

    /// `_meta`: an object that may hold a time of retrieval.
    fn meta(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        if fields.retrieved_2nd_on != Value::Missing {
            return None;
        }
        let field = &mut fields.retrieved_2nd_on;
        self.entries(|scan, key| {
            if &scan.bytes[key.start..key.end] != b"retrieved_2nd_on" {
                return scan.skip();
            }
            if *field != Value::Missing {
                return None;
            }
            *field = scan.value(false)?;
            Some(())
        })
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

    /// At least one digit.
    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        (self.at > first).then_some(())
    }

    #[inline(always)]
    fn literal(&mut self, literal: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(literal).then(|| self.at += literal.len())
    }

    /// A value that nobody wants.
    #[inline(always)]
    fn skip(&mut self) -> Option<()> {
        match self.byte()? {
            b'{' | b'[' => self.skip_nested(),
            _ => self.skip_scalar(),
        }
    }

    #[inline(always)]
    fn skip_scalar(&mut self) -> Option<()> {
        match self.byte()? {
            b'"' => {
                self.at += 1;
                self.quoted().map(|_| ())
            }
            b'n' => self.literal(b"null"),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'-' | b'0'..=b'9' => self.skip_number(),
            _ => None,
        }
    }

    #[inline(always)]
    fn skip_number(&mut self) -> Option<()> {
        if self.byte()? == b'-' {
            self.at += 1;
        }
        if self.byte()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// An array or object, without recursion: `open` has a bit for each bracket, 1 for an object, the innermost lowest.
    fn skip_nested(&mut self) -> Option<()> {
        let mut open = 1u64;
        loop {
            // At a value.
            match self.byte()? {
                bracket @ (b'{' | b'[') => {
                    if open >> 62 != 0 {
                        return None;
                    }
                    self.at += 1;
                    self.space();
                    let object = bracket == b'{';
                    open = open << 1 | u64::from(object);
                    let closing = if object { b'}' } else { b']' };
                    if self.byte()? != closing {
                        if object {
                            self.skip_key()?;
                        }
                        continue;
                    }
                    self.at += 1;
                    open >>= 1;
                }
                _ => self.skip_scalar()?,
            }
            // After a value.
            loop {
                if open == 1 {
                    return Some(());
                }
                self.space();
                let byte = self.byte()?;
                self.at += 1;
                match (byte, open & 1) {
                    (b',', object) => {
                        self.space();
                        if object == 1 {
                            self.skip_key()?;
                        }
                        break;
                    }
                    (b'}', 1) | (b']', 0) => open >>= 1,
                    _ => return None,
                }
            }
        }
    }

    /// A key and its colon; the value is next.
    fn skip_key(&mut self) -> Option<()> {
        self.eat(b'"')?;
        self.quoted()?;
        self.space();
        self.eat(b':')?;
        self.space();
        Some(())
    }

    /// The inside of a string whose first quote is behind; moves past the last one.
    #[inline(always)]
    fn quoted(&mut self) -> Option<Quoted> {
        let start = self.at;
        self.at = plain(self.bytes, self.at)?;
        if self.bytes[self.at] == b'"' {
            self.at += 1;
            return Some(Quoted { start, end: self.at - 1, escaped: false });
        }
        self.quoted_escaped(start)
    }

    /// Gives up on surrogates that do not pair up: what it accepts can be unescaped.
    #[inline(never)]
    fn quoted_escaped(&mut self, start: usize) -> Option<Quoted> {
        loop {
            match self.bytes[self.at] {
                b'"' => break,
                b'\\' => self.at += escape(&self.bytes[self.at..])?.1,
                _ => return None, // a control character
            }
            self.at = plain(self.bytes, self.at)?;
        }
        self.at += 1;
        Some(Quoted { start, end: self.at - 1, escaped: true })
    }
}

/// The place of the next quote, backslash or control character at or after `at`.
#[inline(always)]
fn plain(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(chunk) = bytes.get(at..at + 16) {
        let found = special(chunk.try_into().ok()?);
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += 16;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|found| at + found)
}

/// A bit for each byte that is a quote, a backslash or a control character.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn special(chunk: &[u8; 16]) -> u32 {
    use std::arch::x86_64::*;
    // SAFETY: SSE2 is part of x86_64; the load is unaligned and of the 16 bytes that `chunk` is.
    unsafe {
        let bytes = _mm_loadu_si128(chunk.as_ptr().cast());
        let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
        let backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), controls)) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn special(chunk: &[u8; 16]) -> u32 {
    let bit = |(at, byte): (usize, &u8)| u32::from(matches!(byte, b'"' | b'\\' | 0..0x20)) << at;
    chunk.iter().enumerate().map(bit).sum()
}

/// `length` bytes (1 to 8 of them) as a number.
#[inline(always)]
fn word(bytes: &[u8], at: usize, length: usize) -> u64 {
    let length = length.min(8);
    match bytes.get(at..at + 8) {
        Some(chunk) => u64::from_le_bytes(chunk.try_into().unwrap_or_default()) & (!0 >> (64 - 8 * length)),
        None => bytes[at..at + length].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// A bit for each length that a wanted key has.
const WANTED: u32 = {
    let lengths = [2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14];
    let (mut bits, mut at) = (0, 0);
    while at < lengths.len() {
        bits |= 1 << lengths[at];
        at += 1;
    }
    bits
};

/// Wanted keys, as `field` sees them. No key holds a zero byte, so the length need not be compared.
mod key {
    const fn key(name: &str) -> (u64, u64) {
        let (name, mut words, mut at) = (name.as_bytes(), [0; 2], 0);
        while at < name.len() {
            words[at / 8] |= (name[at] as u64) << (8 * (at % 8));
            at += 1;
        }
        (words[0], words[1])
    }
    pub const OP: (u64, u64) = key("op");
    pub const SEQ: (u64, u64) = key("seq");
    pub const ID: (u64, u64) = key("id");
    pub const LINK_ID: (u64, u64) = key("link_id");
    pub const PARENT_ID: (u64, u64) = key("parent_id");
    pub const AUTHOR: (u64, u64) = key("author");
    pub const SUBREDDIT: (u64, u64) = key("subreddit");
    pub const BODY: (u64, u64) = key("body");
    pub const TITLE: (u64, u64) = key("title");
    pub const SELFTEXT: (u64, u64) = key("selftext");
    pub const SCORE: (u64, u64) = key("score");
    pub const EDITED: (u64, u64) = key("edited");
    pub const CREATED_UTC: (u64, u64) = key("created_utc");
    pub const RETRIEVED_ON: (u64, u64) = key("retrieved_on");
    pub const RETRIEVED_UTC: (u64, u64) = key("retrieved_utc");
    pub const META: (u64, u64) = key("_meta");
    pub const KIND: (u64, u64) = key("kind");
    pub const DATA: (u64, u64) = key("data");
    pub const UPDATE_ID: (u64, u64) = key("update_id");
    pub const DESKTOP_EXPORT: (u64, u64) = key("desktop_export");
}
