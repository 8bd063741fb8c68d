//! A place in a line of JSON, and the ways to move on from there: each checks what it passes against the whole grammar (RFC
//! 8259), as serde_json does, and is `None` where that does not hold.
//!
//! Places are ASCII: a line that is cut at them is cut into strings.

use super::text::escape;

/// A place in a line.
pub(super) struct Cursor<'a> {
    pub line: &'a str,
    pub bytes: &'a [u8],
    pub at: usize,
}

/// What lies between two quotes.
#[derive(Clone, Copy)]
pub(super) struct Quoted {
    pub start: usize,
    pub end: usize,
    pub escaped: bool,
}

impl<'a> Cursor<'a> {
    pub fn new(line: &'a str) -> Cursor<'a> {
        Cursor { line, bytes: line.as_bytes(), at: 0 }
    }

    #[inline(always)]
    pub fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    pub fn eat(&mut self, byte: u8) -> Option<()> {
        (self.byte()? == byte).then(|| self.at += 1)
    }

    #[inline(always)]
    pub fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    /// A key without escapes, its colon and what space follows.
    #[inline(always)]
    pub fn plain_key(&mut self) -> Option<Quoted> {
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
    pub fn next(&mut self) -> Option<bool> {
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

    /// At least one digit.
    #[inline(always)]
    pub fn digits(&mut self) -> Option<()> {
        let first = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        (self.at > first).then_some(())
    }

    #[inline(always)]
    pub fn literal(&mut self, literal: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(literal).then(|| self.at += literal.len())
    }

    /// A value that nobody wants.
    #[inline(always)]
    pub fn skip(&mut self) -> Option<()> {
        match self.byte()? {
            b'{' | b'[' => self.skip_nested(),
            _ => self.skip_scalar(),
        }
    }

    #[inline(always)]
    pub fn skip_scalar(&mut self) -> Option<()> {
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
    pub fn skip_number(&mut self) -> Option<()> {
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
    pub fn skip_nested(&mut self) -> Option<()> {
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
    pub fn skip_key(&mut self) -> Option<()> {
        self.eat(b'"')?;
        self.quoted()?;
        self.space();
        self.eat(b':')?;
        self.space();
        Some(())
    }

    /// The inside of a string whose first quote is behind; moves past the last one.
    #[inline(always)]
    pub fn quoted(&mut self) -> Option<Quoted> {
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
    pub fn quoted_escaped(&mut self, start: usize) -> Option<Quoted> {
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
    // The rest is shorter than a chunk: look at the line's last chunk, and not at what of it is behind.
    let Some(chunk) = bytes.last_chunk() else {
        let rest = bytes.get(at..)?;
        return rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|found| at + found);
    };
    let behind = at - (bytes.len() - chunk.len());
    let found = if behind < chunk.len() { special(chunk) >> behind } else { 0 };
    (found != 0).then(|| at + found.trailing_zeros() as usize)
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
