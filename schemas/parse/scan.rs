//! The scan: bare Reddit objects in one pass.
//!
//! Of a dump's thirty-odd fields about ten are read. The scan walks the line once, skips what is not wanted by its key, and
//! gives up wherever it would have to think: escaped or repeated keys, escapes in short fields, odd numbers, nesting deeper
//! than 62, and whatever is not JSON. What it skips it checks against the whole grammar (RFC 8259), as serde_json does.
//!
//! Records of a dump mostly have the same keys in the same order, so [`Order`] remembers, for each place in that order, how the
//! key was written last and what it meant. Where the bytes are the same again, a key costs one comparison of 32 bytes.
//!
//! # Invariants
//! 1. [`fields`] accepts only what the full parse accepts, and finds the same values (see `super`).
//! 2. The line is UTF-8; places where it is cut are ASCII, so every cut is a string.

use super::reddit::{Fields, escape};
use super::value::Value;

/// The fields of a bare Reddit object; `None` where the full parse has to look.
pub(super) fn fields<'a>(line: &'a str, order: &mut Order) -> Option<Fields<'a>> {
    let mut scan = Scan { line, bytes: line.as_bytes(), at: 0 };
    let mut fields = Fields::default();
    scan.space();
    scan.eat(b'{')?;
    scan.space();
    if scan.byte()? == b'}' {
        scan.at += 1;
    } else {
        let mut nth = 0;
        loop {
            let meaning = scan.key(order, nth)?;
            scan.field(meaning, &mut fields)?;
            if !scan.next()? {
                break;
            }
            nth += 1;
        }
    }
    scan.space();
    (scan.at == line.len()).then_some(fields)
}

/// Keys longer than this, with quotes and colon, are read anew each time.
const KEY_BYTES: usize = 32;
/// Keys after this many are read anew each time.
const KEYS_MAX: usize = 128;

/// The keys of the last records, by their place in the record.
#[derive(Debug, Default)]
pub(super) struct Order {
    keys: Vec<Known>,
    remembers: bool,
}

/// A key as it was written, from its first quote to before the value.
#[derive(Clone, Debug)]
struct Known {
    words: [u64; KEY_BYTES / 8],
    /// Ones where the key has bytes.
    masks: [u64; KEY_BYTES / 8],
    length: usize,
    meaning: Meaning,
}

impl Order {
    pub fn new() -> Order {
        Order { keys: Vec::new(), remembers: true }
    }

    #[inline(always)]
    fn find(&self, nth: usize, line: &[u8], at: usize) -> Option<(usize, Meaning)> {
        let known = self.keys.get(nth)?;
        let bytes = line.get(at..at + KEY_BYTES)?;
        let mut differs = 0;
        for (at, word) in bytes.chunks_exact(8).enumerate() {
            differs |= (u64::from_le_bytes(word.try_into().ok()?) ^ known.words[at]) & known.masks[at];
        }
        (differs == 0).then_some((known.length, known.meaning))
    }

    #[cold]
    fn learn(&mut self, nth: usize, written: &[u8], meaning: Meaning) {
        if !self.remembers || written.len() > KEY_BYTES || nth > self.keys.len() || nth >= KEYS_MAX {
            return;
        }
        let (mut bytes, mut ones) = ([0; KEY_BYTES], [0; KEY_BYTES]);
        bytes[..written.len()].copy_from_slice(written);
        ones[..written.len()].fill(0xff);
        let words = |bytes: [u8; KEY_BYTES]| {
            let mut words = [0; KEY_BYTES / 8];
            for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
            }
            words
        };
        let known = Known { words: words(bytes), masks: words(ones), length: written.len(), meaning };
        match self.keys.get_mut(nth) {
            Some(key) => *key = known,
            None => self.keys.push(known),
        }
    }
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

    /// A key that is the `nth` of the record; moves to before its value.
    #[inline(always)]
    fn key(&mut self, order: &mut Order, nth: usize) -> Option<Meaning> {
        if let Some((length, meaning)) = order.find(nth, self.bytes, self.at) {
            self.at += length;
            return Some(meaning);
        }
        self.new_key(order, nth)
    }

    #[inline(never)]
    fn new_key(&mut self, order: &mut Order, nth: usize) -> Option<Meaning> {
        let start = self.at;
        let Quoted { start: first, end, .. } = self.plain_key()?;
        let meaning = meaning(&self.bytes[first..end]);
        order.learn(nth, &self.bytes[start..self.at], meaning);
        Some(meaning)
    }

    /// A key without escapes, its colon and what space follows.
    #[inline(always)]
    fn plain_key(&mut self) -> Option<Quoted> {
        self.eat(b'"')?;
        let key = self.quoted()?;
        if key.escaped {
            return None;
        }
        self.space();
        self.eat(b':')?;
        self.space();
        Some(key)
    }

    /// Whether another entry follows; moves to before its key, or past the object's end.
    #[inline(always)]
    fn next(&mut self) -> Option<bool> {
        self.space();
        let byte = self.byte()?;
        self.at += 1;
        match byte {
            b',' => {
                self.space();
                Some(true)
            }
            b'}' => Some(false),
            _ => None,
        }
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

/// What a key of the record means to the scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
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
