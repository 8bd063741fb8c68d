//! Raw records to versions: what the platforms emit, read once, on the worker.

use std::borrow::Cow;

use crate::{Place, Version};

/// What one raw record turned out to be.
#[derive(Debug)]
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

/// Reads one record.
pub fn parse<'a>(_raw: &'a [u8], _context: &Context) -> Parsed<'a> {
    Parsed::Dead(Cow::Borrowed("json"))
}
