//! Dead letters to their topic, each once.
//!
//! ```text
//!   tick closes: its letters --not in the topic yet?--> append          (a letter is known by its partition and offset)
//! ```
//!
//! A frame holds the letters of its tick, and they are appended after it is written. So one that a killed process has appended is said
//! again by its frame after the restart, and is found in the topic; one that it has not appended is appended then.

use std::collections::BTreeSet;
use std::sync::Arc;

use eddy_schemas::control::DeadLetter;

use crate::log::{self, Append, Log, Partition, Topic};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

pub struct Letters {
    log: Arc<dyn Log>,
    /// Where the topic is read next, should an append have failed.
    end: u64,
    /// Letters in the topic that may be said again.
    known: BTreeSet<(String, u64)>,
}

const TOPIC: Partition = Partition { topic: Topic::DeadLetters, number: 0 };

impl Letters {
    /// Letters that will be said stand, if at all, at `from` or later.
    pub fn new(log: Arc<dyn Log>, from: u64) -> Result<Letters, log::Error> {
        // A power cut may have taken the last of them, which then are said again.
        let end = from.min(log.end(TOPIC));
        let mut letters = Letters { log, end, known: BTreeSet::new() };
        letters.look()?;
        Ok(letters)
    }

    /// Learns what has come to stand in the topic.
    fn look(&mut self) -> Result<(), log::Error> {
        loop {
            let records = self.log.read(TOPIC, self.end, READ_BYTES)?;
            let Some(last) = records.last() else { return Ok(()) };
            self.end = last.offset + 1;
            // Whatever else stands there is somebody else's.
            let letters = records.iter().filter_map(|record| serde_json::from_slice::<DeadLetter>(&record.value).ok());
            self.known.extend(letters.map(|letter| (letter.file, letter.offset)));
        }
    }

    /// Appends the letters of a tick that are not there. After an error some may be: the same letters are to be appended again.
    pub fn append(&mut self, letters: &[DeadLetter], now_ms: i64) -> Result<(), log::Error> {
        self.look()?;
        let is_new = |letter: &&DeadLetter| !self.known.contains(&(letter.file.clone(), letter.offset));
        let record = |letter: &DeadLetter| {
            let value = serde_json::to_vec(letter).expect("a dead letter is JSON");
            Append { key: letter.file.clone().into_bytes(), value, received_at_ms: now_ms }
        };
        let records: Vec<_> = letters.iter().filter(is_new).map(record).collect();
        self.log.append(TOPIC.topic, &records)?;
        // They are not said a third time.
        for letter in letters {
            self.known.remove(&(letter.file.clone(), letter.offset));
        }
        self.end = self.log.end(TOPIC);
        Ok(())
    }
}
