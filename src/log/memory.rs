//! A log in memory: for tests, and for runs that need not be resumed.
//!
//! ```text
//!   partition:  starts [0, 132, 140, ...] (chunk and place in it)     chunks of 1 MiB:  length | received_at | value | length | ...
//! ```
//!
//! A record costs its value and 20 bytes. Keys are not kept. With [`Faults`] it behaves as a log across a network may:
//! reads come short, and calls fail for a while.

use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{Append, Appends, Counts, Error, Log, Partition, Record, Routes, Topic};

const CHUNK_BYTES: usize = 1 << 20;
const HEAD_BYTES: usize = 12;

/// How often what goes wrong, by a seed.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub seed: u64,
    /// One call in so many fails without having done anything; 0: none.
    pub errors_one_in: u32,
    /// One append in so many fails after it has appended a first part of the records; 0: none.
    pub partial_one_in: u32,
    /// One read in so many gives fewer records than it could, but at least one; 0: none.
    pub short_one_in: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("a fault that the test asked for")]
struct Fault;

#[derive(Default)]
struct Records {
    chunks: Vec<Vec<u8>>,
    /// Chunk in the upper half, place in the lower.
    starts: Vec<u64>,
}

impl Records {
    fn push(&mut self, record: &Append) {
        let bytes = HEAD_BYTES + record.value.len();
        if self.chunks.last().is_none_or(|chunk| chunk.len() + bytes > chunk.capacity()) {
            // The first chunk is small: most partitions of most tests stay nearly empty.
            let capacity = if self.chunks.is_empty() { 4 << 10 } else { CHUNK_BYTES };
            self.chunks.push(Vec::with_capacity(capacity.max(bytes)));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        self.starts.push((number as u64) << 32 | chunk.len() as u64);
        chunk.extend_from_slice(&u32::try_from(record.value.len()).expect("records below 4 GiB").to_le_bytes());
        chunk.extend_from_slice(&record.received_at_ms.to_le_bytes());
        chunk.extend_from_slice(&record.value);
    }

    fn get(&self, offset: u64) -> Record {
        let start = self.starts[offset as usize];
        let bytes = &self.chunks[(start >> 32) as usize][start as u32 as usize..];
        let (len, rest) = bytes.split_first_chunk().expect("pushed whole");
        let (received_at_ms, rest) = rest.split_first_chunk().expect("pushed whole");
        Record { offset, value: rest[..u32::from_le_bytes(*len) as usize].to_vec(), received_at_ms: i64::from_le_bytes(*received_at_ms) }
    }
}

pub struct Memory {
    counts: Counts,
    topics: [Vec<RwLock<Records>>; Topic::ALL.len()],
    appends: Appends,
    faults: Option<(Faults, Mutex<Xoshiro256PlusPlus>)>,
}

impl Memory {
    pub fn new(counts: Counts) -> Memory {
        let topics = Topic::ALL.map(|topic| (0..counts.of(topic)).map(|_| RwLock::default()).collect());
        Memory { counts, topics, appends: Appends::default(), faults: None }
    }

    pub fn with_faults(counts: Counts, faults: Faults) -> Memory {
        let random = Xoshiro256PlusPlus::seed_from_u64(faults.seed);
        Memory { faults: Some((faults, Mutex::new(random))), ..Memory::new(counts) }
    }

    /// A number below `below` when the fault happens that happens once in so many times.
    fn fault(&self, one_in: impl Fn(&Faults) -> u32, below: usize) -> Option<usize> {
        let (faults, random) = self.faults.as_ref()?;
        let one_in = one_in(faults);
        let mut random = random.lock();
        (one_in > 0 && below > 0 && random.random_range(0..one_in) == 0).then(|| random.random_range(0..below))
    }

    fn records(&self, partition: Partition) -> Option<&RwLock<Records>> {
        self.topics[partition.topic as usize].get(partition.number as usize)
    }
}

fn unavailable() -> Error {
    Error::Unavailable(Box::new(Fault))
}

impl Log for Memory {
    fn partitions(&self) -> Vec<Partition> {
        let of = |topic| (0..self.counts.of(topic)).map(move |number| Partition { topic, number });
        Topic::ALL.into_iter().flat_map(of).collect()
    }

    fn append(&self, topic: Topic, records: &[Append]) -> Result<Vec<(Partition, u64)>, Error> {
        if self.fault(|faults| faults.errors_one_in, 1).is_some() {
            return Err(unavailable());
        }
        let kept = self.fault(|faults| faults.partial_one_in, records.len());
        let part = &records[..kept.unwrap_or(records.len())];
        let mut routes = Routes::new(topic, self.counts.of(topic), part);
        for (number, partition) in (0..).zip(&self.topics[topic as usize]) {
            if routes.of[number as usize].is_empty() {
                continue;
            }
            let mut held = partition.write();
            let first = held.starts.len() as u64;
            for &at in &routes.of[number as usize] {
                held.push(&part[at]);
            }
            drop(held);
            routes.went(number, first);
        }
        self.appends.add(part.len());
        if kept.is_some() { Err(unavailable()) } else { Ok(routes.gone) }
    }

    fn read(&self, partition: Partition, offset: u64, bytes_max: usize) -> Result<Vec<Record>, Error> {
        let held = self.records(partition).ok_or(Error::NoPartition(partition))?;
        if self.fault(|faults| faults.errors_one_in, 1).is_some() {
            return Err(unavailable());
        }
        let held = held.read();
        let end = held.starts.len() as u64;
        if offset > end {
            return Err(Error::OutOfRange { partition, offset, held: 0..end });
        }
        let (mut records, mut bytes) = (vec![], 0);
        for offset in offset..end {
            let record = held.get(offset);
            bytes += record.value.len();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        drop(held);
        if let Some(less) = self.fault(|faults| faults.short_one_in, records.len()) {
            records.truncate(less.max(1));
        }
        Ok(records)
    }

    fn end(&self, partition: Partition) -> u64 {
        self.records(partition).map_or(0, |records| records.read().starts.len() as u64)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.appends.wait(seen, timeout)
    }

    fn sync(&self) -> Result<(), Error> {
        Ok(())
    }
}
