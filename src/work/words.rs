//! What processes say to each other about the job.
//!
//! ```text
//!   kind 1 | a number (8 bytes), JSON, or a view's name (length 1) and rows (`eddy_schemas::cells`)
//! ```

use std::collections::BTreeSet;

use eddy_schemas::control::DeadLetter;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::counts::Snapshot;

pub(super) enum Word {
    /// From 0: this generation has begun.
    Begin(u64),
    /// To 0: this process has made what others read; from 0: all have.
    Made,
    /// To 0: whatever this process needs of the others is open, and what it had to recover is.
    Ready,
    /// From 0: ticks before this one have ended, and it is open.
    Open(u64),
    /// To 0: so many more records are on their way in the open tick.
    Sent(u64),
    /// To 0: its files are at their end.
    Read,
    /// To 0: this process has the ticks up to this one on its disk.
    Kept(u64),
    /// From 0: all processes have.
    Safe(u64),
    /// From 0: all have the snapshot that was wanted before, and shall make one of the ticks up to this one.
    Want(u64),
    /// To 0: this process has it.
    Took(u64),
    /// From 0: the open tick ends, and no other follows.
    Close,
    /// To 0: a record that could not be read.
    Dead(DeadLetter),
    /// To 0: rows of a view, as they are at the end.
    Rows { view: String, rows: Vec<u8> },
    /// To 0, after all rows: its part of the summary.
    Ended(Part),
    /// From 0: the tables stand.
    Over,
}

/// What one process did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Part {
    pub counts: Snapshot,
    /// Files that could not be read to their end.
    pub incomplete: BTreeSet<String>,
    pub peak_rss_bytes: Option<u64>,
}

impl Word {
    pub fn encode(&self) -> Vec<u8> {
        let json = |kind, value: Result<Vec<u8>, serde_json::Error>| [&[kind], &value.expect("plain data")[..]].concat();
        let number = |kind, n: u64| [&[kind], &n.to_le_bytes()[..]].concat();
        match self {
            Word::Begin(generation) => number(b'b', *generation),
            Word::Made => vec![b'm'],
            Word::Ready => vec![b'r'],
            Word::Open(tick) => number(b'o', *tick),
            Word::Sent(records) => number(b's', *records),
            Word::Read => vec![b'e'],
            Word::Kept(tick) => number(b'k', *tick),
            Word::Safe(tick) => number(b'a', *tick),
            Word::Want(tick) => number(b'w', *tick),
            Word::Took(tick) => number(b'n', *tick),
            Word::Close => vec![b'c'],
            Word::Dead(letter) => json(b'd', serde_json::to_vec(letter)),
            Word::Rows { view, rows } => {
                let length = u8::try_from(view.len()).expect("names of views are short");
                [&[b't', length], view.as_bytes(), rows].concat()
            }
            Word::Ended(part) => json(b'p', serde_json::to_vec(part)),
            Word::Over => vec![b'x'],
        }
    }

    /// None where it is no word.
    pub fn decode(bytes: &[u8]) -> Option<Word> {
        fn json<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
            serde_json::from_slice(body).ok()
        }
        let (kind, body) = bytes.split_first()?;
        let number = || body.try_into().ok().map(u64::from_le_bytes);
        Some(match kind {
            b'b' => Word::Begin(number()?),
            b'm' => Word::Made,
            b'r' => Word::Ready,
            b'o' => Word::Open(number()?),
            b's' => Word::Sent(number()?),
            b'e' => Word::Read,
            b'k' => Word::Kept(number()?),
            b'a' => Word::Safe(number()?),
            b'w' => Word::Want(number()?),
            b'n' => Word::Took(number()?),
            b'c' => Word::Close,
            b'd' => Word::Dead(json(body)?),
            b't' => {
                let (length, rest) = body.split_first()?;
                let (view, rows) = rest.split_at_checked(usize::from(*length))?;
                Word::Rows { view: std::str::from_utf8(view).ok()?.into(), rows: rows.into() }
            }
            b'p' => Word::Ended(json(body)?),
            b'x' => Word::Over,
            _ => return None,
        })
    }
}
