//! Records cut out of documents, put together again as lines.
//!
//! ```text
//!   emit() --> bytes, places                      (at once)
//!          \-> held, until an enclosing record or the chat's name is known --> release(): in order of offset
//! ```
//!
//! # Invariants
//! 1. `places` has one entry a line of `bytes`.
//! 2. What is held is bounded: at [`Output::record_bytes_max`] it is released as it is, so a thread of answers greater than a record may
//!    come before the message it answers, and a chat that great whose name follows its messages goes without.

use super::lines::is_blank;
use super::{Block, Places, RAW_BYTES_MAX, Rejected};

/// A record inside a document: its text and where it stood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut<'a> {
    pub text: &'a [u8],
    pub line: u64,
    pub offset: u64,
    /// A message of a chat export, which needs its chat said.
    pub of_chat: bool,
}

#[derive(Debug)]
struct Held {
    line: u64,
    offset: u64,
    start: usize,
    end: usize,
    of_chat: bool,
}

#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    places: Vec<(u64, u64)>,
    rejected: Vec<Rejected>,
    held: Vec<Held>,
    held_bytes: Vec<u8>,
    record_bytes_max: usize,
    /// A block of this size is handed on.
    full_bytes: usize,
}

impl Output {
    pub fn new(full_bytes: usize, record_bytes_max: usize) -> Self {
        Output {
            bytes: Vec::new(),
            places: Vec::new(),
            rejected: Vec::new(),
            held: Vec::new(),
            held_bytes: Vec::new(),
            record_bytes_max,
            full_bytes,
        }
    }

    /// Adds one record now; line feeds between its tokens become spaces.
    pub fn emit(&mut self, cut: Cut, chat: &[u8]) {
        if cut.of_chat {
            self.bytes.extend_from_slice(b"{\"desktop_export\":{\"chat\":{");
            self.bytes.extend_from_slice(chat);
            self.bytes.extend_from_slice(b"},\"message\":");
        }
        extend_unbroken(&mut self.bytes, cut.text);
        if cut.of_chat {
            self.bytes.extend_from_slice(b"}}");
        }
        self.bytes.push(b'\n');
        self.places.push((cut.line, cut.offset));
    }

    /// Adds one record that has to wait for what encloses it. `chat` is what is known of the chat by now.
    pub fn hold(&mut self, cut: Cut, chat: &[u8]) {
        let start = self.held_bytes.len();
        self.held_bytes.extend_from_slice(cut.text);
        let end = self.held_bytes.len();
        self.held.push(Held { line: cut.line, offset: cut.offset, start, end, of_chat: cut.of_chat });
        // Entries count too: a million empty records are not small.
        if end + self.held.len() * size_of::<Held>() > self.record_bytes_max {
            self.release(chat);
        }
    }

    /// Adds all that was held, in the order of the document. (A record starts before those it encloses.)
    pub fn release(&mut self, chat: &[u8]) {
        if self.held.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.held_bytes);
        let mut held = std::mem::take(&mut self.held);
        held.sort_unstable_by_key(|held| held.offset);
        for held in held.drain(..) {
            let Held { line, offset, start, end, of_chat } = held;
            self.emit(Cut { text: &bytes[start..end], line, offset, of_chat }, chat);
        }
        self.held = held;
        self.held_bytes = bytes;
        self.held_bytes.clear();
    }

    /// Adds lines as they stand, complete with their line feeds but perhaps the last. `line` and `offset` are those of the first.
    pub fn lines(&mut self, bytes: &[u8], line: u64, offset: u64) {
        let (mut line, mut start) = (line, 0);
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |found| start + found);
            let (text, offset) = (&bytes[start..end], offset + start as u64);
            if text.len() > self.record_bytes_max {
                let raw = text[..text.len().min(RAW_BYTES_MAX)].to_vec();
                self.reject(Rejected { line, offset, reason: "too_long", raw, raw_bytes: text.len() as u64 });
            } else if !is_blank(text) {
                self.bytes.extend_from_slice(text);
                self.bytes.push(b'\n');
                self.places.push((line, offset));
            }
            (line, start) = (line + 1, end + 1);
        }
    }

    pub fn reject(&mut self, rejected: Rejected) {
        debug_assert!(rejected.raw.len() <= RAW_BYTES_MAX);
        self.rejected.push(rejected);
    }

    /// Whether it is time to hand on a block. (Rejected records weigh what they keep.)
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= self.full_bytes || self.rejected.len() * RAW_BYTES_MAX >= self.full_bytes.max(1 << 20)
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty() && self.rejected.is_empty()
    }

    /// Bytes of room it has taken.
    #[cfg(test)]
    pub fn room(&self) -> usize {
        self.bytes.capacity() + self.held_bytes.capacity() + self.held.capacity() * size_of::<Held>()
    }

    /// What has gathered, as a block; `spare` is used for the next.
    pub fn take(&mut self, input: u32, spare: Option<Vec<u8>>) -> Block {
        let mut next = spare.unwrap_or_default();
        next.clear();
        Block {
            input,
            bytes: std::mem::replace(&mut self.bytes, next),
            place: Places::Each(std::mem::take(&mut self.places)),
            rejected: std::mem::take(&mut self.rejected),
        }
    }
}

/// Appends `text` with its line feeds turned into spaces.
fn extend_unbroken(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut start = bytes.len();
    bytes.extend_from_slice(text);
    while let Some(found) = memchr::memchr(b'\n', &bytes[start..]) {
        bytes[start + found] = b' ';
        start += found + 1;
    }
}
