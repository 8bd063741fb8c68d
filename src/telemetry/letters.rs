//! The last dead letters, for people to look at: a bounded ring of short copies.

use std::collections::VecDeque;

use eddy_schemas::control::DeadLetter;
use parking_lot::Mutex;
use serde::Serialize;

use super::states::now_ms;

/// Dead letters kept; the oldest leaves.
const LETTERS_MAX: usize = 100;
/// Of each record this much is kept; the whole is in the topic `eddy.deadletters`.
pub const RAW_BYTES_MAX: usize = 400;

/// The first `bytes_max` bytes of a text, or a few less: it is cut between characters.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let at = (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..at.unwrap_or(0)]
}

/// A dead letter, cut short.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Letter {
    pub at_ms: u64,
    pub file: String,
    pub line: u64,
    pub offset: u64,
    pub reason: String,
    pub raw: String,
    pub raw_bytes: u64,
}

#[derive(Default)]
pub struct Letters(Mutex<VecDeque<Letter>>);

impl Letters {
    pub fn push(&self, letter: &DeadLetter) {
        let cut = Letter {
            at_ms: now_ms(),
            file: letter.file.clone(),
            line: letter.line,
            offset: letter.offset,
            reason: letter.reason.clone(),
            raw: cut(&letter.raw, RAW_BYTES_MAX).to_owned(),
            raw_bytes: letter.raw_bytes,
        };
        let mut letters = self.0.lock();
        if letters.len() == LETTERS_MAX {
            letters.pop_front();
        }
        letters.push_back(cut);
    }

    /// Newest first.
    pub fn last(&self, limit: usize) -> Vec<Letter> {
        self.0.lock().iter().rev().take(limit).cloned().collect()
    }
}
