//! Raw records to versions: what the platforms emit, read once, on the worker.
//!
//! ```text
//!           +-- scan: bare Reddit objects, one pass, wanted fields only --+
//!   raw ----|        gives up on anything unusual                         |--> rules (reddit, telegram, export) --> Parsed
//!           +-- full: serde_json, every shape ----------------------------+
//! ```
//!
//! # Invariants
//! 1. Every record has one outcome, and none panics: a version, ignored by name, or a dead letter by name.
//! 2. What the full parse refuses, the scan never accepts; where the scan accepts, both give equal outcomes. Both hand the
//!    same `Fields` to the same rules, so this is a property of reading alone (`tests`, and `fuzz/`).
//! 3. A record is UTF-8 and JSON by RFC 8259, nested at most [`DEPTH_MAX`] deep. What is skipped is checked against the
//!    grammar and for nothing else: a lone surrogate or `1e999` in a field that nobody reads is no one's business; in a
//!    field that is read it makes the record a `json` dead letter.
//! 4. Of repeated keys the last one counts. A field that matters and has a wrong type makes a dead letter that names it; null is
//!    the same as missing, except for `seq`.

use std::borrow::Cow;

use crate::{Place, Version};

mod cursor;
mod export;
mod full;
pub mod known;
mod order;
mod reddit;
mod scan;
mod telegram;
#[cfg(test)]
mod tests;
mod text;
mod value;

use text::Text;
pub use text::text_hash;

/// Records nested deeper are the dead letter `too_deep`.
pub const DEPTH_MAX: usize = 256;

/// Seconds that a record's time may be ahead of [`Context::now`].
const AHEAD_MAX_S: i64 = 86_400;

/// What one raw record turned out to be.
#[derive(Debug, PartialEq)]
pub enum Parsed<'a> {
    /// One version of a message and its text (`None`: a deletion has none).
    Version(Version, Option<Cow<'a, str>>),
    /// Understood, and of no consequence: the name of the reason, such as `kind:t5` or `no_conversation`.
    Ignored(Cow<'static, str>),
    /// Not understood: the name of the reason, such as `json` or `created_utc`.
    Dead(Cow<'static, str>),
}

/// What is known about a record besides its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Where the record can be read again.
    pub place: Place,
    /// The `received_at` header of the log, milliseconds.
    pub received_at_ms: Option<i64>,
    /// Seconds; records created more than a day after it are `future`.
    pub now: i64,
}

/// Reads record after record: keeps the buffer that texts with escapes are written to, names and keys met lately, and the
/// configured names of bots. One for each thread.
#[derive(Debug)]
pub struct Parser {
    text: String,
    known: known::Known,
    order: order::Order,
    bots: Vec<String>,
}

impl Parser {
    /// `bots`: names of Reddit accounts that are programs, in any case.
    pub fn new(bots: impl IntoIterator<Item = String>) -> Parser {
        Parser { text: String::new(), known: known::Known::new(), order: order::Order::new(), bots: bots.into_iter().collect() }
    }

    /// Reads one record. The text borrows from the record, or from this parser where it had to be put together.
    pub fn parse<'a>(&'a mut self, raw: &'a [u8], context: &Context) -> Parsed<'a> {
        match self.read(raw, context) {
            Ok((version, text)) => Parsed::Version(version, text.map(|text| text.into_cow(&self.text))),
            Err(rejected) => rejected.into(),
        }
    }

    fn read<'a>(&mut self, raw: &'a [u8], context: &Context) -> Read<'a> {
        let line = utf8(raw)?;
        let mut fields = reddit::Fields::default();
        if scan::fields(line, &mut self.order, &mut fields).is_some() {
            match reddit::read(None, &mut fields, context, self) {
                Err(Rejected::Unclear) => {}
                read => return read,
            }
        }
        full::read(line, context, self)
    }

    /// The text of a record, as [`Parser::parse`] gives it; `None` where it gives none. For records that are read again for their
    /// text: names, ids and hashes are left out.
    pub fn text<'a>(&'a mut self, raw: &'a [u8], context: &Context) -> Option<Cow<'a, str>> {
        let line = utf8(raw).ok()?;
        let mut fields = reddit::Fields::default();
        if scan::fields(line, &mut self.order, &mut fields).is_some() {
            match reddit::read_text(None, &mut fields, context, &mut self.text) {
                Err(Rejected::Unclear) => {}
                Err(_) => return None,
                Ok(text) => return text.map(|text| text.into_cow(&self.text)),
            }
        }
        let (_, text) = full::read(line, context, self).ok()?;
        text.map(|text| text.into_cow(&self.text))
    }

    /// For one record.
    fn once() -> Parser {
        Parser { text: String::new(), known: known::Known::default(), order: order::Order::default(), bots: Vec::new() }
    }

    fn is_bot(&self, author: &str) -> bool {
        self.bots.iter().any(|bot| bot.eq_ignore_ascii_case(author))
    }

    /// As [`Parser::parse`] gives it, but free of the parser.
    fn finish(self, read: Read<'_>) -> Parsed<'_> {
        match read {
            Ok((version, text)) => Parsed::Version(
                version,
                text.map(|text| match text {
                    Text::Line(text) => Cow::Borrowed(text),
                    Text::Scratch => Cow::Owned(self.text),
                    Text::Owned(text) => Cow::Owned(text),
                }),
            ),
            Err(rejected) => rejected.into(),
        }
    }
}

impl Default for Parser {
    fn default() -> Self {
        Parser::new([])
    }
}

/// Reads one record. [`Parser::parse`] does the same, faster.
pub fn parse<'a>(raw: &'a [u8], context: &Context) -> Parsed<'a> {
    let mut parser = Parser::once();
    let read = parser.read(raw, context);
    parser.finish(read)
}

/// Reads one record without the scan. What [`parse`] has to agree with; for tests and fuzzing.
pub fn parse_full<'a>(raw: &'a [u8], context: &Context) -> Parsed<'a> {
    let mut parser = Parser::once();
    let read = utf8(raw).and_then(|line| full::read(line, context, &mut parser));
    parser.finish(read)
}

/// Reads one record with the scan alone; `None` where it gives up. For tests and fuzzing.
pub fn parse_scan<'a>(raw: &'a [u8], context: &Context) -> Option<Parsed<'a>> {
    let mut parser = Parser::once();
    let mut fields = reddit::Fields::default();
    scan::fields(utf8(raw).ok()?, &mut parser.order, &mut fields)?;
    match reddit::read(None, &mut fields, context, &mut parser) {
        Err(Rejected::Unclear) => None,
        read => Some(parser.finish(read)),
    }
}

fn utf8(raw: &[u8]) -> Result<&str, Rejected> {
    if raw.is_ascii() {
        // SAFETY: ASCII is UTF-8. (Most records are ASCII, and asking costs a third of a full check.)
        return Ok(unsafe { std::str::from_utf8_unchecked(raw) });
    }
    std::str::from_utf8(raw).map_err(|_| Rejected::Dead("utf8"))
}

type Read<'a> = Result<(Version, Option<Text<'a>>), Rejected>;

/// Why a record is no version.
#[derive(Debug)]
enum Rejected {
    Ignored(&'static str),
    Dead(&'static str),
    /// The scan handed over an escape that it does not decide: the full parse does.
    Unclear,
}

impl From<Rejected> for Parsed<'_> {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Ignored(reason) => Parsed::Ignored(Cow::Borrowed(reason)),
            Rejected::Dead(reason) => Parsed::Dead(Cow::Borrowed(reason)),
            Rejected::Unclear => Parsed::Dead(Cow::Borrowed("json")),
        }
    }
}
