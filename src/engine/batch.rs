//! Raw records on their way to a worker.

use crate::log;
use crate::source::dumps::Block;

/// Some records of one input, in order.
pub enum Batch {
    /// From a dump; `rereadable` where its lines can be read again where they stand.
    Dump { block: Block, rereadable: bool },
    /// From the log: `input` is the partition's number among all partitions.
    Log { input: u32, records: Vec<log::Record> },
}

impl Batch {
    /// About how many records: for ticks that close by count.
    pub fn records_about(&self) -> usize {
        match self {
            // Counting lines would read the block twice; dumps' records are some hundred bytes.
            Batch::Dump { block, .. } => block.bytes.len() / 800 + 1,
            Batch::Log { records, .. } => records.len(),
        }
    }
}
