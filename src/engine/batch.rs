//! What workers are sent.

use bytes::Bytes;

use super::watermark::Greatest;
use crate::log;
use crate::source::dumps::Block;

/// Some work of one tick.
pub enum Batch {
    Raw(Raw),
    /// From the state: the versions of one frame, encoded, and the greatest created_at that was read for it; none: it was not kept.
    Frame {
        versions: Bytes,
        greatest: Option<Greatest>,
    },
}

/// Raw records of one input, in order.
pub enum Raw {
    /// From a dump; `rereadable` where its lines can be read again where they stand.
    Dump { block: Block, rereadable: bool, partition: u32 },
    /// From the log: `input` is the partition's number among all partitions.
    Log { input: u32, records: Vec<log::Record> },
}

/// About the bytes of a dump's record. (`--help` of --tick-records-max says it.)
const RECORD_BYTES: usize = 800;

/// All files of a replay are one partition: they are read one after another. (Where several processes read them side by side each is one.)
pub const DUMPS: u32 = 0;

impl Raw {
    /// Of which partition the watermark is told.
    pub fn partition(&self) -> u32 {
        match self {
            Raw::Dump { partition, .. } => *partition,
            Raw::Log { input, .. } => *input,
        }
    }

    /// About how many records: for ticks that close by count.
    pub fn records_about(&self) -> usize {
        match self {
            // Counting lines would read the block twice.
            Raw::Dump { block, .. } => block.bytes.len() / RECORD_BYTES + 1,
            Raw::Log { records, .. } => records.len(),
        }
    }
}
