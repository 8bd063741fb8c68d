//! Cuts records out of a document that arrives in pieces, with bounded memory.
//!
//! ```text
//!   text    [{"kind":"Listing","data":{"children":[ {"kind":"t1","data":{"body":"..","replies": {.. {"kind":"t1",..
//!            ^ root (array)                         ^ element: a record, once it closes         ^   ^ element
//!   frames  Value Array Value       Data      Array Value                Data                 Value Data Array Value
//! ```
//!
//! The bytes of the values still open lie one behind the other in `text`; a frame says where its value starts. When a value
//! closes it is known what it is. A record is given and its text cut off; what is none stays, as part of what encloses it.
//! A document that nothing was cut from is therefore still there whole at its end, and is itself the record. One that records
//! came out of is an envelope, and what is left of it is dropped.
//!
//! # Choices
//! - An answer comes after the message it answers, though it closes first: it is held meanwhile ([`Output::hold`]).
//! - Members of an array that has given records are given too, whatever they are, for the parser to refuse: nothing is dropped but the
//!   envelope. Those that came before the first record of it are given together, as an array.
//! - What a chat is called is remembered, and messages wait for it where it follows them.
//!
//! # Invariants
//! 1. While nothing has been cut and nothing is over its length, `text` is the document so far, byte for byte. (A broken line is
//!    found out late; reading resumes on the next from these bytes.)
//! 2. `text` is at most [`super::values::TEXT_RECORDS_MAX`] records of the greatest size.
//! 3. Nothing recurses; there are at most [`super::values::FRAMES_MAX`] frames. What is nested deeper is not looked into.

use super::json::{DEPTH_MAX, Lexer, Token};
use super::lines;
use super::members::{Frame, Position, Role};
use super::output::Output;
use super::values::{Chat, head};
use super::{Limits, RAW_BYTES_MAX, Rejected};

/// A longer key is none we know; a longer chat name would be repeated with every message.
const WORD_BYTES_MAX: usize = 4 << 10;

/// What has become of a piece.
#[derive(Debug)]
pub(super) enum Fed {
    /// Used up.
    More,
    /// The output wants to be taken first; the rest of the piece comes again.
    Full(usize),
    /// The document ended before this byte of the piece, and its line with it.
    Ended(usize),
    /// The document ended before this byte, which starts another on the same line.
    EndedInLine(usize),
    /// Its first line was broken; the lines after it were taken for its continuation.
    Rewind(usize, Rewind),
}

/// Lines that were taken for a part of a document and are not, as bytes of the stream.
#[derive(Debug)]
pub(super) struct Rewind {
    pub text: Vec<u8>,
    pub line: u64,
    pub offset: u64,
    /// The first of them is part of a record and has been rejected; otherwise it is a record.
    pub first_is_rejected: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the value.
    Value,
    /// After it, on its last line; `whole` when it is itself the record.
    Tail { whole: bool },
    /// In a line that is not JSON, the record.
    BadLine,
    /// In the rest of a line that was given up.
    Skip,
}

pub(super) struct Document {
    pub(super) limits: Limits,
    pub(super) lexer: Lexer,
    pub(super) phase: Phase,
    pub(super) frames: Vec<Frame>,
    pub(super) text: Vec<u8>,
    /// Something was cut out of `text`.
    pub(super) cut: bool,
    /// The frame that records are held for.
    pub(super) holder: Option<usize>,
    pub(super) chat: Chat,
    /// The key or the scalar being read, and where in the piece it goes on.
    word: Vec<u8>,
    word_at: usize,
    reading: bool,
    /// Where the document or line ends, in `text` and in the stream.
    pub(super) whole: (usize, u64),
    /// White space after the document that is no longer in the piece.
    blank: Vec<u8>,
    /// First byte of the piece not yet in `text`.
    pub(super) from: usize,
    /// Offset of the piece in the stream.
    pub(super) base: u64,
}

impl Document {
    pub fn new(limits: Limits) -> Self {
        Document {
            limits,
            lexer: Lexer::new(),
            phase: Phase::Value,
            frames: Vec::new(),
            text: Vec::new(),
            cut: false,
            holder: None,
            chat: Chat::default(),
            word: Vec::new(),
            word_at: 0,
            reading: false,
            whole: (0, 0),
            blank: Vec::new(),
            from: 0,
            base: 0,
        }
    }

    /// Ready for a document that starts on `line`.
    pub fn begin(&mut self, line: u64) {
        self.lexer.restart(line);
        self.phase = Phase::Value;
        self.frames.clear();
        self.text.clear();
        // One great record should not be paid for by all that follow.
        self.text.shrink_to(1 << 20);
        self.blank.clear();
        self.cut = false;
        self.holder = None;
        self.chat = Chat::default();
        self.reading = false;
    }

    /// The line reached.
    pub fn line(&self) -> u64 {
        self.lexer.line
    }

    /// Bytes of room it has taken.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.text.capacity() + self.frames.capacity() * size_of::<Frame>()
    }

    /// Goes on with `piece`, which stands at `base` of the stream.
    pub fn feed(&mut self, piece: &[u8], base: u64, output: &mut Output) -> Fed {
        self.from = 0;
        self.word_at = 0;
        self.base = base;
        let mut at = 0;
        loop {
            let fed = match self.phase {
                Phase::Value => self.value(piece, &mut at, output),
                Phase::Tail { whole } => self.tail(piece, &mut at, whole, output),
                Phase::BadLine => self.bad_line(piece, &mut at, output),
                Phase::Skip => self.skip(piece, &mut at),
            };
            if let Some(fed) = fed {
                return fed;
            }
        }
    }

    /// The input is over: `whole` unless it broke off. Gives what can be given.
    pub fn finish(&mut self, end: u64, whole: bool, output: &mut Output) -> Option<Rewind> {
        // A line feed ends numbers and lines; anything else is as unfinished as before.
        let mut last: &[u8] = b"\n";
        while whole && !last.is_empty() && (self.phase != Phase::Value || !self.lexer.is_inside_token()) {
            match self.feed(last, end, output) {
                Fed::Ended(_) | Fed::EndedInLine(_) => return None,
                Fed::Rewind(_, rewind) => return Some(rewind),
                Fed::Full(used) => last = &last[used..],
                Fed::More => break,
            }
        }
        self.base = end;
        self.from = 0;
        let mut rewind = None;
        if self.phase == Phase::Value && !self.frames.is_empty() {
            rewind = self.rewind_record(end, output);
            if rewind.is_none() && whole {
                self.give_up(end, "incomplete", output);
            }
        }
        output.release(self.chat.members());
        rewind
    }

    fn value(&mut self, piece: &[u8], at: &mut usize, output: &mut Output) -> Option<Fed> {
        while self.phase == Phase::Value {
            match self.lexer.next(piece, at) {
                Token::More => {
                    self.leave(piece, *at);
                    return Some(Fed::More);
                }
                Token::KeyOpen => {
                    if self.frames.last().is_some_and(|top| top.depth == self.lexer.depth()) {
                        self.read(*at);
                    }
                }
                Token::KeyClose => {
                    if let Some(name) = self.word_end(piece, *at - 1) {
                        self.key(&name);
                        self.word = name;
                    }
                }
                token @ (Token::ObjectOpen | Token::ArrayOpen | Token::ScalarOpen) => self.open(token, piece, *at - 1),
                Token::ScalarClose => {
                    if let Some(scalar) = self.word_end(piece, *at) {
                        self.scalar(&scalar);
                        self.word = scalar;
                    }
                    self.close(piece, *at, output);
                }
                Token::Close => self.close(piece, *at, output),
                Token::Broken => return self.broken(piece, *at, output),
            }
            if self.phase == Phase::Value && output.is_full() {
                self.leave(piece, *at);
                return Some(Fed::Full(*at));
            }
        }
        None
    }

    /// Takes what is needed of the piece before it is gone.
    fn leave(&mut self, piece: &[u8], at: usize) {
        if self.reading {
            self.word.extend_from_slice(&piece[self.word_at.min(at)..at]);
            self.word.truncate(WORD_BYTES_MAX + 1);
        }
        self.word_at = at;
        self.keep_to(piece, at);
    }

    /// From here on the key or scalar is remembered.
    pub(super) fn read(&mut self, at: usize) {
        self.reading = true;
        self.word.clear();
        self.word_at = at;
    }

    /// The key or scalar that was remembered, up to `end`; none if none was or it is too long.
    fn word_end(&mut self, piece: &[u8], end: usize) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.reading) {
            return None;
        }
        let mut word = std::mem::take(&mut self.word);
        word.extend_from_slice(&piece[self.word_at.min(end)..end]);
        if word.len() > WORD_BYTES_MAX {
            word.clear();
        }
        Some(word)
    }

    /// The line ends, or the next document starts on it, or it was not a document after all but a broken line.
    fn tail(&mut self, piece: &[u8], at: &mut usize, whole: bool, output: &mut Output) -> Option<Fed> {
        while let Some(&byte) = piece.get(*at) {
            match byte {
                b' ' | b'\t' | b'\r' => *at += 1,
                b'\n' => {
                    if whole {
                        self.give_whole(output);
                    }
                    *at += 1;
                    return Some(self.line_end(*at));
                }
                byte => {
                    let root_is_container = self.frames.first().is_some_and(|root| root.deepest > 0);
                    let starts_another = matches!(byte, b'{' | b'[') && root_is_container;
                    if whole && !starts_another && self.is_one_line() {
                        let blank = std::mem::take(&mut self.blank);
                        self.keep(&blank);
                        self.phase = Phase::BadLine;
                        return None;
                    }
                    if whole {
                        self.give_whole(output);
                    }
                    return Some(Fed::EndedInLine(*at));
                }
            }
        }
        // No part of the record, unless the line turns out to be broken.
        if self.blank.len() <= self.limits.record_bytes_max {
            self.blank.extend_from_slice(&piece[self.from..]);
        }
        Some(Fed::More)
    }

    fn bad_line(&mut self, piece: &[u8], at: &mut usize, output: &mut Output) -> Option<Fed> {
        let end = memchr::memchr(b'\n', &piece[*at..]).map(|found| *at + found);
        *at = end.unwrap_or(piece.len());
        self.keep_to(piece, *at);
        if end.is_none() {
            return Some(Fed::More);
        }
        self.whole = (self.text.len(), self.base + *at as u64);
        self.give_whole(output);
        *at += 1;
        Some(self.line_end(*at))
    }

    fn skip(&mut self, piece: &[u8], at: &mut usize) -> Option<Fed> {
        match memchr::memchr(b'\n', &piece[*at..]) {
            None => Some(Fed::More),
            Some(found) => {
                *at += found + 1;
                Some(self.line_end(*at))
            }
        }
    }

    fn line_end(&mut self, at: usize) -> Fed {
        self.lexer.line += 1;
        Fed::Ended(at)
    }

    /// What stands at `at` cannot follow what came before.
    fn broken(&mut self, piece: &[u8], at: usize, output: &mut Output) -> Option<Fed> {
        if self.frames.is_empty() {
            let offset = self.base + at as u64;
            self.frames.push(Frame::new(Role::Value(Position::Root), 1, 0, 0, self.lexer.line, offset));
            self.from = at;
        }
        self.keep_to(piece, at);
        if !self.cut && self.is_one_line() {
            self.frames.truncate(1);
            self.phase = Phase::BadLine;
            return None;
        }
        if self.is_verbatim() {
            return Some(Fed::Rewind(at, self.rewind()));
        }
        let end = self.base + at as u64;
        let rewind = self.rewind_record(end, output);
        if rewind.is_none() {
            let reason = if self.lexer.depth() >= DEPTH_MAX { "too_deep" } else { "malformed" };
            self.give_up(end, reason, output);
        }
        output.release(self.chat.members());
        if let Some(rewind) = rewind {
            return Some(Fed::Rewind(at, rewind));
        }
        if self.lexer.line_is_fresh && !self.is_one_line() {
            return Some(Fed::EndedInLine(at));
        }
        self.phase = Phase::Skip;
        None
    }

    /// `text` is the document so far.
    fn is_verbatim(&self) -> bool {
        !self.cut && self.frames.first().is_some_and(|root| root.over.is_none())
    }

    fn is_one_line(&self) -> bool {
        self.frames.first().is_some_and(|root| root.line == self.lexer.line)
    }

    fn rewind(&mut self) -> Rewind {
        let (line, offset) = self.frames.first().map_or((1, 0), |root| (root.line, root.offset));
        Rewind { text: std::mem::take(&mut self.text), line, offset, first_is_rejected: false }
    }

    /// A document stops at `end` inside a record. Where the next line looks like a record, the line the unfinished one starts on was
    /// broken, and the lines after it are none of it.
    fn rewind_record(&mut self, end: u64, output: &mut Output) -> Option<Rewind> {
        let frame = &self.frames[self.unfinished()?];
        let (line, offset) = (frame.line, frame.offset);
        let text = &self.text[frame.start..];
        // (A line feed may have been added at the end.)
        let is_verbatim = frame.over.is_none() && text.len() as u64 >= end - offset;
        if !is_verbatim || !next_line_is_a_record(text) {
            return None;
        }
        let first_is_rejected = self.cut;
        if first_is_rejected {
            let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let raw_bytes = first.len() as u64;
            output.reject(Rejected { line, offset, reason: "malformed", raw: head(first, RAW_BYTES_MAX), raw_bytes });
        }
        Some(Rewind { text: text.to_vec(), line, offset, first_is_rejected })
    }
}

/// Whether the second line of a document that does not end looks like a record, so that the first was a broken one.
fn next_line_is_a_record(text: &[u8]) -> bool {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.nth(1).is_some_and(lines::looks_whole)
}
