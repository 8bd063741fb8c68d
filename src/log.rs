//! The log: where raw records wait, in order, and can be read again.
//!
//! ```text
//!   append(topic, [key, value]) --hash of the key--> partition --> offset 0, 1, 2, ...      read(partition, offset)
//! ```
//!
//! Members: [`memory`] (tests, with faults on demand), [`embedded`] (files of this machine). The same suite runs against
//! each (`contract`).

pub mod embedded;
pub mod memory;
pub mod texts;

#[cfg(test)]
mod contract;

use std::ops::Range;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

pub use embedded::Embedded;
pub use memory::Memory;

/// What is written where (`interface.md`, Topics).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Topic {
    Reddit,
    Telegram,
    Control,
    DeadLetters,
}

impl Topic {
    /// New topics go to the end: places in durable state count partitions in this order.
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

impl Partition {
    /// `topic/partition`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.topic.name(), self.number)
    }
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
    #[error("{partition:?} holds no offset {offset}: it holds {} to {}", .held.start, .held.end)]
    OutOfRange { partition: Partition, offset: u64, held: Range<u64> },
    #[error("the log has no {0:?}")]
    NoPartition(Partition),
    #[error("the log cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the log's manifest {path} cannot be used: {what}")]
    Manifest { path: String, what: String },
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
}

impl Error {
    /// Trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unavailable(_))
    }
}

/// An append-only log of partitions.
///
/// # Contract
/// - **Order**: offsets of a partition count from 0 without gaps, in the order of appends; records of one key share a partition.
/// - **Read your writes**: a record can be read when `append` has returned.
/// - **Errors of appends**: after one, a first part of each partition's records may have been appended, in order. Appending again may
///   then repeat records, which ingest ignores.
/// - **Stable**: reading an offset gives the same bytes for ever, also after a reopen, for every record whose `append` returned
///   (embedded: against a killed process at once, against a power cut after `sync`), until retention drops it: then, and beyond
///   the end, it is `OutOfRange`, which says what is held. Reading at the end itself gives nothing.
/// - **Torn tails are cut**: what a crash left half written at the end is dropped at reopen and said; records before it stay.
/// - **Bounded reads**: `read` gives at least one record where there is one, and stops before it passes `bytes_max` otherwise. It may
///   give fewer than would fit.
/// - **Fixed partitions**: `partitions` never changes, and lists topics in the order of [`Topic::ALL`]: places count on it.
/// - **Waits wake**: `wait` returns at once when something was appended after `seen` was returned, and soon after the next append
///   otherwise; without one, after `timeout`, with `seen` as it was.
pub trait Log: Send + Sync {
    /// Every partition there is.
    fn partitions(&self) -> Vec<Partition>;
    /// Appends in order; gives where each record went.
    fn append(&self, topic: Topic, records: &[Append]) -> Result<Vec<(Partition, u64)>, Error>;
    /// Records from `offset` on; empty at the end.
    fn read(&self, partition: Partition, offset: u64, bytes_max: usize) -> Result<Vec<Record>, Error>;
    /// The offset that the next record of the partition will have; 0 where there is no such partition.
    fn end(&self, partition: Partition) -> u64;
    /// Waits until something was appended anywhere since `seen` (a count of appends that it returned before; 0 at first).
    /// To miss nothing: wait with a timeout of 0, read, then wait with what it returned.
    fn wait(&self, seen: u64, timeout: Duration) -> u64;
    /// Makes what was appended safe against a power cut.
    fn sync(&self) -> Result<(), Error>;
}

/// Partitions of each topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    pub reddit: u32,
    pub telegram: u32,
}

impl Default for Counts {
    fn default() -> Self {
        Counts { reddit: 8, telegram: 8 }
    }
}

impl Counts {
    /// Control records are one sequence; dead letters are few.
    pub fn of(self, topic: Topic) -> u32 {
        match topic {
            Topic::Reddit => self.reddit.max(1),
            Topic::Telegram => self.telegram.max(1),
            Topic::Control | Topic::DeadLetters => 1,
        }
    }
}

/// The partition of a key: its CRC-32 (IEEE) modulo the number of partitions, as librdkafka's `consistent` partitioner has
/// it, so that other producers can agree with eddy's. It is part of the format: changing it would part a key's records.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    crc32fast::hash(key) % partitions
}

/// Which records go to which partition, and where each went. Members append partition by partition.
struct Routes {
    topic: Topic,
    /// Of each partition, the records' places in the call.
    of: Vec<Vec<usize>>,
    gone: Vec<(Partition, u64)>,
}

impl Routes {
    fn new(topic: Topic, partitions: u32, records: &[Append]) -> Routes {
        let mut of = vec![vec![]; partitions as usize];
        for (at, record) in records.iter().enumerate() {
            of[partition_of(&record.key, partitions) as usize].push(at);
        }
        Routes { topic, of, gone: vec![(Partition { topic, number: 0 }, 0); records.len()] }
    }

    /// The records of a partition went to offsets from `first` on.
    fn went(&mut self, number: u32, first: u64) {
        for (&at, offset) in self.of[number as usize].iter().zip(first..) {
            self.gone[at] = (Partition { topic: self.topic, number }, offset);
        }
    }
}

/// Counts appends, and wakes who waits for the next.
#[derive(Default)]
struct Appends {
    count: Mutex<u64>,
    more: Condvar,
}

impl Appends {
    fn add(&self, records: usize) {
        *self.count.lock() += records as u64;
        self.more.notify_all();
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let deadline = Instant::now().checked_add(timeout);
        let mut count = self.count.lock();
        while *count <= seen {
            match deadline {
                Some(deadline) if self.more.wait_until(&mut count, deadline).timed_out() => break,
                Some(_) => {}
                None => self.more.wait(&mut count),
            }
        }
        *count
    }
}
