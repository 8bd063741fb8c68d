//! What a tick was made from, as its frame says it: how far each partition had been read.
//!
//! ```text
//!   { "offsets": { "eddy.reddit/0": 5, ... }, "dead_letters": 2 }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::engine::recovery::Kept;
use crate::log::Partition;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Binding {
    /// The first offset of each partition that is not covered; 0 where it is not named.
    pub offsets: BTreeMap<String, u64>,
    /// Where the topic of dead letters ended when the tick began: those of it and later ones stand there or after.
    pub dead_letters: u64,
}

impl Binding {
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers are JSON")
    }

    pub fn offset(&self, partition: Partition) -> u64 {
        self.offsets.get(&partition.name()).copied().unwrap_or(0)
    }
}

/// Of a text; that of no tick is empty.
pub fn read(kept: &Kept, text: &str) -> Result<Binding, Error> {
    if text.is_empty() {
        return Ok(Binding::default());
    }
    serde_json::from_str(text).map_err(|_| Error::Foreign(kept.path().display().to_string()))
}
