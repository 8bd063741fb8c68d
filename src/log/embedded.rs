//! The log in files of this machine: one [`journal`](crate::journal) a partition.
//!
//! ```text
//!   folder:  manifest.json { format, hash, partitions: { "eddy.reddit": 8, ... } }
//!            eddy.reddit.0/   eddy.reddit.1/   ...   eddy.control.0/   ...                              journals
//!   frame:   received_at_ms i64 | length of the key u32 | key | value            (its number is the offset)
//! ```
//!
//! # Invariants
//! 1. The manifest is written after the journals of all its partitions were made: a missing journal is lost data, not an
//!    unfinished start, and is refused.
//! 2. The manifest wins over the configuration: partitions are counted once, when the log is made. (Keys and places rely
//!    on it.)

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Append, Appends, Counts, Error, Log, Partition, Record, Routes, Topic};
use crate::journal::{self, Cut, Journal, Lock};

const FORMAT: u32 = 1;
const HASH: &str = "crc32";
const HEAD_BYTES: usize = 12;

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    hash: String,
    partitions: BTreeMap<String, u32>,
}

pub struct Embedded {
    topics: [Vec<Journal>; Topic::ALL.len()],
    appends: Appends,
    /// Two processes must not both make the log: the journals' locks come too late for that.
    _lock: Lock,
}

impl Embedded {
    /// Opens the log in a folder, or makes it with so many partitions.
    pub fn open(dir: &Path, counts: Counts, config: &journal::Config) -> Result<Embedded, Error> {
        fs::create_dir_all(dir).map_err(|source| journal::Error::Io { path: dir.into(), what: "make the folder", source })?;
        let lock = Lock::take(dir)?;
        let path = dir.join("manifest.json");
        let mut manifest = Manifest::read(&path)?;
        let known = manifest.partitions.len();
        let mut topics = Topic::ALL.map(|_| vec![]);
        for topic in Topic::ALL {
            let held = manifest.partitions.get(topic.name()).copied();
            let count = held.unwrap_or(counts.of(topic));
            for number in 0..count {
                let journal = dir.join(format!("{}.{number}", topic.name()));
                if held.is_some() && !journal.is_dir() {
                    let what = format!("it names {}, which is not there: restore it from a backup", journal.display());
                    return Err(Error::Manifest { path: path.display().to_string(), what });
                }
                topics[topic as usize].push(Journal::open(&journal, config.clone())?);
            }
            manifest.partitions.insert(topic.name().into(), count);
        }
        if manifest.partitions.len() > known {
            // If we crash before this is done, the journals made above are empty, and the next start makes them again.
            manifest.write(dir, &path).map_err(|source| journal::Error::Io { path, what: "write", source })?;
        }
        Ok(Embedded { topics, appends: Appends::default(), _lock: lock })
    }

    /// What opening had to cut off of which partition.
    pub fn cuts(&self) -> impl Iterator<Item = (Partition, &Cut)> {
        let cuts = |topic: Topic| {
            let journals = (0..).zip(&self.topics[topic as usize]);
            journals.filter_map(move |(number, journal)| Some((Partition { topic, number }, journal.cut()?)))
        };
        Topic::ALL.into_iter().flat_map(cuts)
    }

    /// Retention: drops whole segments of records below an offset; gives the first offset still held.
    pub fn truncate_before(&self, partition: Partition, offset: u64) -> Result<u64, Error> {
        Ok(self.journal(partition)?.truncate_before(offset)?)
    }

    /// Replaces keys and values of records for good, as `change` says (none: it stays); offsets stay. Gives how many were replaced.
    pub fn rewrite(&self, mut change: impl FnMut(Topic, &[u8], &[u8]) -> Option<(Vec<u8>, Vec<u8>)>) -> Result<u64, Error> {
        let mut changed = 0;
        for topic in Topic::ALL {
            for journal in &self.topics[topic as usize] {
                changed += journal.rewrite(|_, frame| {
                    let bad = || Error::Manifest {
                        path: journal.path().display().to_string(),
                        what: "its frames are no records of a log".into(),
                    };
                    let (received_at_ms, rest) = frame.split_first_chunk().ok_or_else(bad)?;
                    let (length, rest) = rest.split_first_chunk().ok_or_else(bad)?;
                    let (key, value) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(bad)?;
                    Ok::<_, Error>(change(topic, key, value).map(|(key, value)| {
                        let record = Append { key, value, received_at_ms: i64::from_le_bytes(*received_at_ms) };
                        [&head(&record)[..], &record.key, &record.value].concat()
                    }))
                })?;
            }
        }
        Ok(changed)
    }

    fn journal(&self, partition: Partition) -> Result<&Journal, Error> {
        self.topics[partition.topic as usize].get(partition.number as usize).ok_or(Error::NoPartition(partition))
    }
}

impl Manifest {
    fn read(path: &Path) -> Result<Manifest, Error> {
        let bad = |what: String| Error::Manifest { path: path.display().to_string(), what };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Manifest { format: FORMAT, hash: HASH.into(), partitions: BTreeMap::new() });
            }
            Err(e) => return Err(bad(e.to_string())),
        };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        let unknown = manifest.partitions.keys().find(|name| !Topic::ALL.iter().any(|topic| topic.name() == *name));
        if manifest.format > FORMAT || manifest.hash != HASH || unknown.is_some() {
            return Err(bad("it was written by a newer eddy: use that".into()));
        }
        if manifest.partitions.values().any(|&count| count == 0 || count >= 1 << 16) {
            return Err(bad("a topic has from 1 to 65,535 partitions".into()));
        }
        Ok(manifest)
    }

    fn write(&self, dir: &Path, path: &Path) -> io::Result<()> {
        let temporary: PathBuf = path.with_extension("tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()
    }
}

impl Log for Embedded {
    fn partitions(&self) -> Vec<Partition> {
        let of = |topic: Topic| (0..self.topics[topic as usize].len() as u32).map(move |number| Partition { topic, number });
        Topic::ALL.into_iter().flat_map(of).collect()
    }

    fn append(&self, topic: Topic, records: &[Append]) -> Result<Vec<(Partition, u64)>, Error> {
        let journals = &self.topics[topic as usize];
        let mut routes = Routes::new(topic, journals.len() as u32, records);
        for (number, journal) in (0..).zip(journals) {
            let of = &routes.of[number as usize];
            if of.is_empty() {
                continue;
            }
            let heads: Vec<_> = of.iter().map(|&at| head(&records[at])).collect();
            let parts = of.iter().zip(&heads).map(|(&at, head)| [&head[..], &records[at].key, &records[at].value]);
            let range = journal.append_parts(parts)?;
            self.appends.add(of.len());
            routes.went(number, range.start);
        }
        Ok(routes.gone)
    }

    fn read(&self, partition: Partition, offset: u64, bytes_max: usize) -> Result<Vec<Record>, Error> {
        let journal = self.journal(partition)?;
        let chunk = match journal.read(offset, bytes_max) {
            Err(journal::Error::OutOfRange { held, .. }) => return Err(Error::OutOfRange { partition, offset, held }),
            chunk => chunk?,
        };
        let bad = || Error::Manifest { path: journal.path().display().to_string(), what: "its frames are no records of a log".into() };
        let (mut records, mut bytes) = (Vec::with_capacity(chunk.len()), 0);
        for (offset, frame) in chunk.iter() {
            let record = record(offset, frame).ok_or_else(bad)?;
            bytes += record.value.len();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        Ok(records)
    }

    fn end(&self, partition: Partition) -> u64 {
        self.journal(partition).map_or(0, |journal| journal.range().end)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        self.appends.wait(seen, timeout)
    }

    fn sync(&self) -> Result<(), Error> {
        for journal in self.topics.iter().flatten() {
            journal.sync()?;
        }
        Ok(())
    }
}

fn head(record: &Append) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&record.received_at_ms.to_le_bytes());
    let key = u32::try_from(record.key.len()).unwrap_or(u32::MAX); // the journal refuses such frames
    head[8..].copy_from_slice(&key.to_le_bytes());
    head
}

fn record(offset: u64, frame: &[u8]) -> Option<Record> {
    let (received_at_ms, rest) = frame.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    let value = rest.get(u32::from_le_bytes(*key) as usize..)?.to_vec();
    Some(Record { offset, value, received_at_ms: i64::from_le_bytes(*received_at_ms) })
}
