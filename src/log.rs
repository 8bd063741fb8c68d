//! The log: where raw records wait, in order, and can be read again.
//!
//! ```text
//!   append(topic, [key, value]) --hash of the key--> partition --> offset 0, 1, 2, ...      read(partition, offset)
//! ```

use std::time::Duration;

/// What is written where (`interface.md`, Topics).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Topic {
    Reddit,
    Telegram,
    Control,
    DeadLetters,
}

impl Topic {
    pub const ALL: [Topic; 4] = [Topic::Reddit, Topic::Telegram, Topic::Control, Topic::DeadLetters];

    pub fn name(self) -> &'static str {
        match self {
            Topic::Reddit => "eddy.reddit",
            Topic::Telegram => "eddy.telegram",
            Topic::Control => "eddy.control",
            Topic::DeadLetters => "eddy.deadletters",
        }
    }
}

/// One partition of one topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Partition {
    pub topic: Topic,
    pub number: u32,
}

/// A record to be appended.
#[derive(Clone, Debug)]
pub struct Append {
    /// Records of one key stay in one partition, in order.
    pub key: Vec<u8>,
    /// What the platform sent.
    pub value: Vec<u8>,
    /// Header `received_at`, milliseconds since 1970.
    pub received_at_ms: i64,
}

/// A record as it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub offset: u64,
    pub value: Vec<u8>,
    pub received_at_ms: i64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{partition:?} holds no offset {offset}: it ends at {end}")]
    OutOfRange { partition: Partition, offset: u64, end: u64 },
    #[error("the log at {path} could not be {what}")]
    Io { path: String, what: &'static str, source: std::io::Error },
    #[error("the log at {path} is damaged at byte {at}: {what}")]
    Corrupt { path: String, at: u64, what: String },
}

/// An append-only log of partitions.
///
/// # Contract
/// - **Order**: offsets of a partition count from 0 without gaps, in the order of appends; records of one key share a partition.
/// - **Read your writes**: a record can be read when `append` has returned.
/// - **Stable**: reading an offset gives the same bytes for ever, also after a reopen, for every record whose `append` returned
///   (embedded: against a killed process at once, against a power cut after `sync`).
/// - **Torn tails are cut**: what a crash left half written at the end is dropped at reopen and said; records before it stay.
/// - **Bounded reads**: `read` gives at least one record where there is one, and stops before it passes `bytes_max` otherwise.
pub trait Log: Send + Sync {
    /// Every partition there is.
    fn partitions(&self) -> Vec<Partition>;
    /// Appends in order; gives where each record went.
    fn append(&self, topic: Topic, records: &[Append]) -> Result<Vec<(Partition, u64)>, Error>;
    /// Records from `offset` on; empty at the end.
    fn read(&self, partition: Partition, offset: u64, bytes_max: usize) -> Result<Vec<Record>, Error>;
    /// The offset that the next record of the partition will have.
    fn end(&self, partition: Partition) -> u64;
    /// Waits until something was appended anywhere since `seen` (a count of appends that it returned before; 0 at first).
    fn wait(&self, seen: u64, timeout: Duration) -> u64;
    /// Makes what was appended safe against a power cut.
    fn sync(&self) -> Result<(), Error>;
}
