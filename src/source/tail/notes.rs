//! Notes of what is being appended, so that a restart finishes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
pub use super::growing::Position;
use crate::journal::{self, Journal};

/// Notes that stay, at least: after a power cut the last ones may speak of what the log has lost.
const NOTES_MIN: u64 = 1_000;

/// One batch.
#[derive(Clone, Serialize, Deserialize)]
pub struct Note {
    pub path: PathBuf,
    pub from: u64,
    pub to: u64,
    /// Of all files, once the batch is in the log.
    pub positions: Vec<Position>,
    /// Of the log's partitions, before it.
    pub ends: BTreeMap<String, u64>,
}

pub struct Notes {
    journal: Journal,
    /// As they were found.
    found: Vec<Note>,
}

impl Notes {
    pub fn open(folder: &Path) -> Result<Notes, Error> {
        let config = journal::Config { segment_bytes: 1 << 20, ..journal::Config::default() };
        let journal = Journal::open(folder, config)?;
        let mut found = vec![];
        journal.replay(journal.range().start, |_, bytes| {
            found.push(serde_json::from_slice(bytes).map_err(|_| Error::Damaged(folder.into()))?);
            Ok::<_, Error>(())
        })?;
        Ok(Notes { journal, found })
    }

    /// The last note of a batch before which the log held no more than it does.
    pub fn last(&self, ends: &BTreeMap<String, u64>) -> Option<Note> {
        let holds = |note: &&Note| note.ends.iter().all(|(partition, end)| ends.get(partition).is_some_and(|now| now >= end));
        self.found.iter().rev().find(holds).cloned()
    }

    pub fn write(&mut self, note: &Note) -> Result<(), journal::Error> {
        self.found.clear();
        let numbers = self.journal.append(&[serde_json::to_vec(note).expect("paths that are UTF-8 are JSON")])?;
        if numbers.end.is_multiple_of(NOTES_MIN) {
            self.journal.truncate_before(numbers.end - NOTES_MIN)?;
        }
        Ok(())
    }
}
