//! Which lines are ordinary ndjson, told without parsing them.
//!
//! An ordinary line is an object that stands on it whole and wraps nothing: the parser can have it as it is. The test looks at its ends
//! and its first key, and only where the key could start a wrapper is anything searched for in it. A doubt is no harm: the
//! other way, [`super::document`], gives the same answer for any line, only slower.
//!
//! Known limit: a line that starts with `{"` and ends with `}` is taken for a whole object. Where it is not (two objects on one line, or
//! an object broken over lines just after a `}` and begun with its key on the first) the parser makes dead letters of it.

use memchr::memchr_iter;
use memchr::memmem::Finder;

/// Finds what is not an ordinary line. Holds prepared searches.
#[derive(Debug)]
pub(super) struct Lines {
    listing: Finder<'static>,
    messages: Finder<'static>,
    /// Lines longer than this are left to the document reader, which needs no room for them.
    long: usize,
}

/// The leading lines that are ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub bytes: usize,
    pub lines: u64,
}

impl Lines {
    pub fn new(long: usize) -> Self {
        Lines { listing: Finder::new(b"\"Listing\""), messages: Finder::new(b"\"messages\""), long }
    }

    /// How much of `bytes` is ordinary lines. It starts at the start of a line and ends with a line feed or the input.
    pub fn ordinary(&self, bytes: &[u8]) -> Run {
        let mut run = Run { bytes: 0, lines: 0 };
        for end in memchr_iter(b'\n', bytes) {
            if !self.is_ordinary(&bytes[run.bytes..end]) {
                return self.without_listing(bytes, run);
            }
            run = Run { bytes: end + 1, lines: run.lines + 1 };
        }
        if run.bytes < bytes.len() && self.is_ordinary(&bytes[run.bytes..]) {
            run.bytes = bytes.len();
        }
        self.without_listing(bytes, run)
    }

    /// A listing can hide behind any first key, but not without its kind. One search for all the lines costs less than a look
    /// at each.
    fn without_listing(&self, bytes: &[u8], run: Run) -> Run {
        let Some(found) = self.listing.find(&bytes[..run.bytes]) else {
            return run;
        };
        let start = memchr::memrchr(b'\n', &bytes[..found]).map_or(0, |end| end + 1);
        Run { bytes: start, lines: memchr_iter(b'\n', &bytes[..start]).count() as u64 }
    }

    fn is_ordinary(&self, line: &[u8]) -> bool {
        if looks_whole(line) { line.len() <= self.long && !self.may_wrap(line) } else { line.is_empty() || is_blank(line) }
    }

    /// Whether the first key is one that the answer of `getUpdates`, a batch of more comments or a chat export starts with.
    fn may_wrap(&self, line: &[u8]) -> bool {
        let key = &line[2..];
        let starts = |name: &[u8]| key.starts_with(name) && key.get(name.len()) == Some(&b'"');
        match key[0] {
            b'o' => starts(b"ok"),
            b'r' => starts(b"result"),
            b'j' => starts(b"json"),
            b'n' => starts(b"name") && self.has_messages(line),
            b't' => starts(b"type") && self.has_messages(line),
            b'i' => starts(b"id") && self.has_messages(line),
            b'm' => starts(b"messages"),
            b'c' => (starts(b"chats") || starts(b"contacts")) && self.has_messages(line),
            b'a' => starts(b"about") && self.has_messages(line),
            b'l' => starts(b"left_chats") && self.has_messages(line),
            b'p' => (starts(b"personal_information") || starts(b"profile_pictures")) && self.has_messages(line),
            b's' => (starts(b"sessions") || starts(b"stories")) && self.has_messages(line),
            _ => false,
        }
    }

    fn has_messages(&self, line: &[u8]) -> bool {
        self.messages.find(line).is_some()
    }
}

/// Whether a line that starts with `bytes` may be ordinary, as far as they tell.
pub(super) fn may_be_ordinary(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(u8::is_ascii_whitespace) || bytes.starts_with(b"{\"") || bytes == b"{"
}

/// White space is no record.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// Whether a line looks like an object that stands on it whole.
pub(super) fn looks_whole(line: &[u8]) -> bool {
    matches!(line, [b'{', b'"', .., b'}'] | [b'{', b'"', .., b'}', b'\r'])
}
