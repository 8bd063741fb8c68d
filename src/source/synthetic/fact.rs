//! What one record says of one message, in numbers: what the truth is made of.

/// One version of a message as its generator knows it. [`super::World`] gives the texts of the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fact {
    pub message: u32,
    pub conversation: u32,
    /// [`super::world::NONE`]: nobody.
    pub user: u32,
    /// [`super::world::NONE`]: it answers nothing.
    pub parent: u32,
    /// Seconds; 0 where the record names no time.
    pub created_at: u32,
    /// Seconds; 0 where the record names none.
    pub edited_at: u32,
    /// [`hash`] of the text.
    pub text_hash: u32,
    /// Unicode scalar values of the text.
    pub characters: u16,
    pub score: i16,
    /// Versions of a message count from 0; the greatest wins.
    pub version: u8,
    pub community: u8,
    pub flags: u8,
}

/// The message has ended.
pub const TOMBSTONE: u8 = 1;
/// This version is an edit.
pub const EDITED: u8 = 2;
/// The record has a score.
pub const SCORED: u8 = 4;
/// The record names its community.
pub const PLACED: u8 = 8;
/// The user goes by another name than at first.
pub const RENAMED: u8 = 16;
/// The text asks ([`asks`]).
pub const ASKS: u8 = 32;

impl Fact {
    pub fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Whether a text asks: a question mark, then white space, a closing quote or bracket, or nothing. (Of those marks and quotes that people and
/// the words here write.)
pub fn asks(text: &str) -> bool {
    text.match_indices(['?', '？']).any(|(at, mark)| {
        let next = text[at + mark.len()..].chars().next();
        next.is_none_or(|next| next.is_whitespace() || ")]}\"'".contains(next))
    })
}

/// FNV-1a of a text.
pub fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
