//! Texts of messages, read again from the log.
//!
//! ```text
//!   Place { input, offset } --> partitions()[input], offset --read--> one record --parse--> its text
//! ```

use std::sync::Arc;

use eddy_schemas::Place;
use eddy_schemas::parse::{Context, Parsed, parse};

use super::{Log, Partition, Record};
use crate::texts::{Error, Texts};

/// A place's input is the partition's position in [`Log::partitions`].
pub struct LogTexts {
    log: Arc<dyn Log>,
    partitions: Vec<Partition>,
}

impl LogTexts {
    pub fn new(log: Arc<dyn Log>) -> LogTexts {
        LogTexts { partitions: log.partitions(), log }
    }

    fn record(&self, place: Place) -> Result<Record, String> {
        let partition = self.partitions.get(place.input() as usize).ok_or("there is no such partition")?;
        let records = self.log.read(*partition, place.offset(), 1).map_err(|e| e.to_string())?;
        records.into_iter().next().ok_or_else(|| "the log ends before it".into())
    }
}

impl Texts for LogTexts {
    fn text(&self, place: Place) -> Result<String, Error> {
        let error = |what| Error { place, what };
        let record = self.record(place).map_err(error)?;
        // It was read before, so it is not from the future: no clock is needed to say so again.
        let context = Context { place, received_at_ms: Some(record.received_at_ms), now: i64::MAX / 4 };
        match parse(&record.value, &context) {
            Parsed::Version(_, Some(text)) => Ok(text.into_owned()),
            Parsed::Version(_, None) => Err(error("the record has no text".into())),
            Parsed::Ignored(why) | Parsed::Dead(why) => Err(error(format!("the record is not a message any more: {why}"))),
        }
    }
}
