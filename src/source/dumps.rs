//! Dump files in, blocks of raw records out.
//!
//! ```text
//!   FILE... --> Input: open, tell the kind, decompress --> buffer of the stream
//!                                                            |
//!        only ordinary ndjson lines in it ------------------>| the buffer itself          Places::Lines
//!        an envelope, a pretty-printed or a broken line ---->| Document cuts records out  Places::Each
//!                                                            v
//!                                                   Block { bytes, place, rejected }
//! ```
//!
//! Whether a line is ordinary is told by its first and last bytes and by two words (`lines`); that costs a fraction of reading
//! it, and the buffer that was read into is the one handed out. Everything else goes through `document`, which is told nothing
//! but bytes and finds listings, `getUpdates` answers and Telegram Desktop exports by their structure, however they are
//! laid out.
//!
//! # Invariants
//! 1. A block holds records of one input only, in the order of the file; the blocks of an input come in order. (An answer comes
//!    after the message it answers.)
//! 2. No record has a line feed inside, and each ends with one, but for the last of an input. (The parser splits at line feeds.)
//! 3. `Places::Each` has one place a record of the block. (Dead letters say where a record stood.)
//! 4. Memory is bounded by the limits, not by the input: a few blocks for lines, and for documents what the open records hold and what
//!    may be read again, which is one record as a rule and a dozen of the greatest size at worst. (See `values::TEXT_RECORDS_MAX` and
//!    `document::RESUME_RECORDS_MAX`.)
//! 5. Where the blocks are cut does not change which records come out, nor their places. (A replay gives the same result whatever
//!    the size of its reads.)
//!
//! # What is given when a file breaks off
//! An archive that ends early or is corrupt gives every whole record before the break, then [`Error::Read`]. What stood unfinished
//! at the break (the last line, the record a document was in) is not a record and is not rejected either: the error speaks
//! for it. A plain file that ends inside a document is a different thing, since nothing else would tell of it: what was
//! complete is given and the rest is rejected as `incomplete`, unless a line of it begins a record: `document` says how lines after a
//! broken one are told from its continuation. A last line that merely lacks its line feed is a record.

mod document;
mod input;
mod json;
mod kind;
mod lines;
mod members;
mod output;
mod reader;
#[cfg(test)]
mod tests;
mod values;

pub use input::Error;
pub use reader::Reader;

/// Bytes of a rejected record that are kept.
pub const RAW_BYTES_MAX: usize = 64 << 10;

/// A run of whole records of one input, in order, without their compression or envelope.
#[derive(Debug)]
pub struct Block {
    /// Which of the inputs, from 0.
    pub input: u32,
    /// Records, each ended by a line feed (the last of an input perhaps not). Lines of white space are not records.
    pub bytes: Vec<u8>,
    /// Where each record stood.
    pub place: Places,
    /// Records refused for their size or shape; they stood among those of this block.
    pub rejected: Vec<Rejected>,
}

/// Where the records of a block stood in the decompressed stream; lines count from 1, offsets from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// The block is a stretch of the stream, byte for byte: `bytes[0]` stood at `offset`, the n-th line (from 0) is line `line` + n.
    Lines { line: u64, offset: u64 },
    /// The line and offset of each record's first byte.
    Each(Vec<(u64, u64)>),
}

/// A record that the framing itself refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    pub line: u64,
    pub offset: u64,
    /// `too_long`, `too_deep`, `incomplete` (the file ended inside it) or `malformed` (broken off, in an envelope or where not all of
    /// it is kept: else the parser says why).
    pub reason: &'static str,
    /// Its first bytes, at most [`RAW_BYTES_MAX`].
    pub raw: Vec<u8>,
    /// Its length in the stream, which may be far more.
    pub raw_bytes: u64,
}

/// Bounds of what is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest record; a longer one is rejected as `too_long`.
    pub record_bytes_max: usize,
    /// About how much one block holds. A block outgrows it where a single record does.
    pub block_bytes: usize,
    /// Deepest nesting of a record that is cut out of a document; a deeper one is rejected as `too_deep`.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { record_bytes_max: 16 << 20, block_bytes: 256 << 10, depth_max: 256 }
    }
}
