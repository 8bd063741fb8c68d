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
//! # Where reading resumes
//! That a line was broken is found out late: what follows may go on with it for a while. Lines are taken back then.
//! - A line *begins a record* unless it is blank, starts with a closing bracket, a comma or a colon, or is indented deeper than the
//!   line the document starts on. (Nothing but the layout tells the lines of a document from those of a dump.)
//! - A document that breaks, or that the input ends in, ends before the first line that begins a record behind the last one given,
//!   and reading resumes there. Where there is no such line, a document that breaks on the first token of a line ends before that
//!   line; else with the line it breaks on, or the input.
//! - What is open there is refused: the document, and each value in it that begins such a line itself.
//! - An envelope that begins a line where another's record is due breaks the other.
//! - Lines are taken back from at most [`RESUME_RECORDS_MAX`] records of the greatest size: those that go on with an unclosed one for
//!   longer are a part of it.
//! - Any other line is an element of an envelope that was cut off just behind a comma, and given as that. It is the same record.
//!
//! # Invariants
//! 1. While nothing has been cut and nothing is over its length, `text` is the document so far, byte for byte. (A broken line is given
//!    as it stood.)
//! 2. `text` is at most [`super::values::TEXT_RECORDS_MAX`] records of the greatest size.
//! 3. Nothing recurses; there are at most [`super::values::FRAMES_MAX`] frames. What is nested deeper is not looked into.

use super::Limits;
use super::json::{DEPTH_MAX, Lexer, Token};
use super::members::{Frame, Key, Kind, Position, Role};
use super::output::Output;
use super::values::Chat;

/// A longer key is none we know; a longer chat name would be repeated with every message.
const WORD_BYTES_MAX: usize = 4 << 10;

/// How far back a line may be read again, in records of the greatest size: a broken line, the next, and what shows it.
const RESUME_RECORDS_MAX: u64 = 2;

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
    /// The document was found broken at this byte, and ended before a line that was taken for a part of it.
    Broken(usize, Resume),
}

/// The start of a line that begins a record, though it was taken for a part of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resume {
    pub line: u64,
    pub offset: u64,
    /// Where the last line before it ended that is not blank.
    before: u64,
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
    /// The first line since then that begins a record.
    pub(super) next_line: Option<Resume>,
    /// Where the last line that begins a record does.
    pub(super) line_start: Option<u64>,
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
            next_line: None,
            line_start: None,
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

    /// Ready for a document, from `offset` on `line`.
    pub fn begin(&mut self, line: u64, offset: u64) {
        self.lexer.restart(line, offset);
        self.phase = Phase::Value;
        self.frames.clear();
        self.text.clear();
        // One great record should not be paid for by all that follow.
        self.text.shrink_to(1 << 20);
        self.blank.clear();
        self.cut = false;
        self.next_line = None;
        self.line_start = None;
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
        self.lexer.base = base;
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
    pub fn finish(&mut self, end: u64, whole: bool, output: &mut Output) -> Option<Resume> {
        // A line feed ends numbers and lines; anything else is as unfinished as before.
        let mut last: &[u8] = b"\n";
        while whole && !last.is_empty() && (self.phase != Phase::Value || !self.lexer.is_inside_token()) {
            match self.feed(last, end, output) {
                Fed::Ended(_) | Fed::EndedInLine(_) => return None,
                Fed::Broken(_, resume) => return Some(resume),
                Fed::Full(used) => last = &last[used..],
                Fed::More => break,
            }
        }
        self.base = end;
        self.from = 0;
        let mut resume = None;
        if self.phase == Phase::Value && !self.frames.is_empty() {
            resume = self.resume(end);
            match resume {
                Some(resume) => self.give_up(resume.before, "malformed", output),
                None if whole => self.give_up(end, "incomplete", output),
                None => {}
            }
        }
        output.release(self.chat.members());
        resume
    }

    /// Where reading would resume if the document were to break at `end`.
    pub fn resume(&self, end: u64) -> Option<Resume> {
        self.next_line.filter(|resume| end - resume.offset <= self.resume_bytes_max())
    }

    /// How much of the stream before its place it may want again.
    pub fn resume_bytes_max(&self) -> u64 {
        RESUME_RECORDS_MAX.saturating_mul(self.limits.record_bytes_max as u64)
    }

    fn see_line(&mut self, offset: u64) {
        self.line_start = Some(offset);
        if self.resume(offset).is_none() {
            self.next_line = Some(Resume { line: self.lexer.line, offset, before: self.lexer.line_end });
        }
    }

    fn value(&mut self, piece: &[u8], at: &mut usize, output: &mut Output) -> Option<Fed> {
        while self.phase == Phase::Value {
            let token = self.lexer.next(piece, at);
            if let Some(offset) = self.lexer.line_begun {
                self.lexer.line_begun = None;
                self.see_line(offset);
            }
            match token {
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
                Token::ObjectOpen | Token::ScalarOpen => self.open(token, piece, *at - 1),
                Token::ArrayOpen => {
                    self.open(token, piece, *at - 1);
                    if self.is_line_of_its_own(token) {
                        return self.broken(piece, *at, output);
                    }
                }
                Token::ScalarClose => {
                    if let Some(scalar) = self.word_end(piece, *at) {
                        self.scalar(&scalar);
                        self.word = scalar;
                        if self.is_line_of_its_own(token) {
                            return self.broken(piece, *at, output);
                        }
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

    /// Whether the value on top turns out to be an envelope that begins a line where a record is due.
    fn is_line_of_its_own(&self, token: Token) -> bool {
        let Some(top) = self.frames.last() else { return false };
        let depth = self.lexer.depth();
        let is_envelope = match token {
            Token::ArrayOpen if top.depth == depth => true,
            // (A message has a date; a chat has none.)
            Token::ArrayOpen => top.depth + 1 == depth && top.key == Key::Messages && !top.has(Key::Date),
            _ => top.kind == Kind::Listing || top.has(Key::Ok),
        };
        is_envelope && top.is_part_of_envelope() && self.next_line.is_some_and(|line| line.offset == top.offset)
    }

    /// What stands at `at` cannot follow what came before.
    fn broken(&mut self, piece: &[u8], at: usize, output: &mut Output) -> Option<Fed> {
        let end = self.base + at as u64;
        if self.frames.is_empty() {
            self.frames.push(Frame::new(Role::Value(Position::Root), 1, 0, 0, self.lexer.line, end));
            self.from = at;
        }
        self.keep_to(piece, at);
        let resume = self.resume(end);
        let ends_before = self.lexer.line_is_fresh && !self.is_one_line();
        if !self.cut && resume.is_none() && !ends_before {
            self.fold_to(0);
            self.phase = Phase::BadLine;
            return None;
        }
        let (end, fed) = match resume {
            Some(resume) => (resume.before, Some(Fed::Broken(at, resume))),
            None if ends_before => (self.lexer.line_end, Some(Fed::EndedInLine(at))),
            None => (end, None),
        };
        let is_too_deep = resume.is_none() && self.lexer.depth() >= DEPTH_MAX;
        self.give_up(end, if is_too_deep { "too_deep" } else { "malformed" }, output);
        output.release(self.chat.members());
        self.phase = Phase::Skip;
        fed
    }

    fn is_one_line(&self) -> bool {
        self.frames.first().is_some_and(|root| root.line == self.lexer.line)
    }
}
