//! A tick's changes of one view, encoded: what a worker hands to stores and sinks.
//!
//! ```text
//!   bytes: { key_len u16 | key | row_len u16 + 1, or 0 = gone | row }*
//! ```
//!
//! # Invariants
//! 1. Each key stands at most once in the changes that one worker makes for one view and tick.
//! 2. A key that is new and gone within the tick does not stand at all.

use crate::codec;
use crate::row::{Cell, Row, View};

/// Changes of one view.
#[derive(Clone, Debug)]
pub struct Changes {
    pub view: &'static View,
    bytes: Vec<u8>,
    count: usize,
}

/// One change, still encoded ([`codec`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    pub key: &'a [u8],
    /// The row as it is now; `None`: the key has no row any more.
    pub row: Option<&'a [u8]>,
}

impl Changes {
    pub fn new(view: &'static View) -> Self {
        Changes { view, bytes: Vec::new(), count: 0 }
    }

    /// Adds a change. `scratch` saves an allocation a call.
    pub fn push<R: Row>(&mut self, key: &R::Key, row: Option<&R>, scratch: &mut Vec<Cell>) {
        scratch.clear();
        R::key_cells(key, scratch);
        self.section(|out| codec::encode_key(scratch, out), 0);
        match row {
            None => self.bytes.extend_from_slice(&0u16.to_le_bytes()),
            Some(row) => {
                scratch.clear();
                row.cells(scratch);
                self.section(|out| codec::encode_row(scratch, out), 1);
            }
        }
        self.count += 1;
    }

    /// Adds a change that is encoded already.
    pub fn push_encoded(&mut self, key: &[u8], row: Option<&[u8]>) {
        self.section(|out| out.extend_from_slice(key), 0);
        match row {
            None => self.bytes.extend_from_slice(&0u16.to_le_bytes()),
            Some(row) => self.section(|out| out.extend_from_slice(row), 1),
        }
        self.count += 1;
    }

    fn section(&mut self, write: impl FnOnce(&mut Vec<u8>), plus: usize) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        write(&mut self.bytes);
        let len = u16::try_from(self.bytes.len() - at - 2 + plus).expect("keys and rows are short: texts are places");
        self.bytes[at..at + 2].copy_from_slice(&len.to_le_bytes());
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Adds all changes of another set of the same view.
    pub fn append(&mut self, other: &Changes) {
        self.bytes.extend_from_slice(&other.bytes);
        self.count += other.count;
    }

    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        self.places().map(|(_, change)| change)
    }

    /// Changes with where each stands, for [`Changes::at`].
    pub fn places(&self) -> impl Iterator<Item = (u64, Change<'_>)> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let at = self.bytes.len() - rest.len();
            (!rest.is_empty()).then(|| (at as u64, read(&mut rest)))
        })
    }

    /// The memory where the change at a place begins, to be asked for ahead.
    pub fn start(&self, place: u64) -> &u8 {
        &self.bytes[place as usize]
    }

    /// The change that stands at a place that `places` gave.
    pub fn at(&self, place: u64) -> Change<'_> {
        read(&mut &self.bytes[place as usize..])
    }
}

fn read<'a>(rest: &mut &'a [u8]) -> Change<'a> {
    let key_len = usize::from(length(rest));
    let (key, after) = rest.split_at(key_len);
    *rest = after;
    let row = match length(rest) {
        0 => None,
        n => {
            let (row, after) = rest.split_at(usize::from(n) - 1);
            *rest = after;
            Some(row)
        }
    };
    Change { key, row }
}

fn length(bytes: &mut &[u8]) -> u16 {
    let (head, rest) = bytes.split_first_chunk().expect("sections are whole");
    *bytes = rest;
    u16::from_le_bytes(*head)
}
