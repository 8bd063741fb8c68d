//! What workers say of sealed messages, until a snapshot has it.
//!
//! ```text
//!   operators --Sums, a tick--> worker: the tick has closed --> D/sums/part-n: { crc32 | length | tick | facts }*
//!                                                                   \--ticks up to a snapshot's--> its run     (snapshot.rs)
//!   operators <--Sums---------- worker, when it is built <-------------------------------------- runs of the snapshot
//! ```
//!
//! # Invariants
//! 1. Parts are of one process: what they have beyond the snapshot is said again by the frames after it. So nothing here is synced, and a start
//!    throws away what it finds.
//! 2. No snapshot goes beyond the ticks whose facts all workers have handed over.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use eddy_dataflows::Sums;
use parking_lot::Mutex;

use super::durable::Error;
use super::snapshot::Left;
use crate::files::{self, File, Files, Open};

/// A part is not appended to any more when it has so many bytes.
const PART_BYTES: u64 = 16 << 20;
/// Facts are written in pieces of about so many bytes.
const PIECE_BYTES: usize = 8 << 20;
const HEAD_BYTES: usize = 16;

/// Facts that no snapshot has yet, on disk.
pub struct Said {
    files: Arc<dyn Files>,
    dir: PathBuf,
    parts: Mutex<VecDeque<Part>>,
}

#[derive(Clone)]
struct Part {
    number: u64,
    file: Arc<dyn File>,
    bytes: u64,
    /// The greatest in it.
    tick: u64,
}

impl Said {
    /// Throws away what an earlier process has left.
    pub fn new(files: Arc<dyn Files>, dir: &Path) -> io::Result<Said> {
        files.make_folder(dir)?;
        clear(&*files, dir)?;
        Ok(Said { files, dir: dir.into(), parts: Mutex::default() })
    }

    fn append(&self, tick: u64, facts: &[u8]) -> io::Result<()> {
        let mut parts = self.parts.lock();
        if parts.back().is_none_or(|part| part.bytes >= PART_BYTES) {
            let number = parts.back().map_or(0, |part| part.number + 1);
            let file = self.files.open(&self.path(number), Open::New)?;
            parts.push_back(Part { number, file, bytes: 0, tick });
        }
        let part = parts.back_mut().expect("one was just made");
        let mut record = head(tick, facts).to_vec();
        record.extend_from_slice(facts);
        // Where this fails the next one is written over it.
        part.file.write_at(&record, part.bytes)?;
        part.bytes += record.len() as u64;
        part.tick = part.tick.max(tick);
        Ok(())
    }

    /// The facts of ticks after `after` up to `upto`, piece by piece in the order in which they were said.
    pub fn read(&self, after: u64, upto: u64, mut each: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let parts: Vec<Part> = self.parts.lock().iter().cloned().collect();
        for part in parts {
            let failed = |source| Error::Snapshot { path: self.path(part.number).display().to_string(), source };
            let (mut at, mut bytes) = (0, vec![]);
            while at < part.bytes {
                let mut read = [0; HEAD_BYTES];
                files::read_exact_at(&*part.file, &mut read, at).map_err(failed)?;
                let length = u32::from_le_bytes(read[4..8].try_into().expect("four bytes"));
                let tick = u64::from_le_bytes(read[8..].try_into().expect("eight bytes"));
                if at + HEAD_BYTES as u64 + u64::from(length) > part.bytes {
                    return Err(failed(damaged()));
                }
                if after < tick && tick <= upto {
                    bytes.resize(length as usize, 0);
                    files::read_exact_at(&*part.file, &mut bytes, at + HEAD_BYTES as u64).map_err(failed)?;
                    if head(tick, &bytes) != read {
                        return Err(failed(damaged()));
                    }
                    each(&bytes)?;
                }
                at += HEAD_BYTES as u64 + u64::from(length);
            }
        }
        Ok(())
    }

    /// A snapshot has the ticks up to this one.
    pub fn let_go(&self, upto: u64) -> io::Result<()> {
        let mut parts = self.parts.lock();
        while parts.len() > 1 && parts[0].tick <= upto {
            self.files.remove(&self.path(parts[0].number))?;
            parts.pop_front();
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("part-{number:08}"))
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what was written is not what is there")
}

fn head(tick: u64, facts: &[u8]) -> [u8; HEAD_BYTES] {
    let length = u32::try_from(facts.len()).expect("pieces are short").to_le_bytes();
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length);
    sum.update(&tick.to_le_bytes());
    sum.update(facts);
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&sum.finalize().to_le_bytes());
    head[4..8].copy_from_slice(&length);
    head[8..].copy_from_slice(&tick.to_le_bytes());
    head
}

/// Removes the parts in a folder.
pub fn clear(files: &dyn Files, dir: &Path) -> io::Result<()> {
    for name in files.names(dir)?.iter().filter(|name| name.starts_with("part-")) {
        files.remove(&dir.join(name))?;
    }
    Ok(())
}

/// The workers' ends of it.
pub struct Book {
    pub said: Said,
    /// None: nothing was sealed yet.
    left: Option<Left>,
    handed: Mutex<Handed>,
}

#[derive(Default)]
struct Handed {
    /// By worker of this process: facts of ticks below this are here.
    frontiers: Vec<u64>,
    /// What could not be written yet, by worker.
    waiting: Vec<VecDeque<(u64, Vec<u8>)>>,
}

impl Book {
    pub fn new(said: Said, left: Option<Left>) -> Book {
        Book { said, left, handed: Mutex::default() }
    }

    /// What a worker's operators are restored from, and say to; so many workers are of this process.
    pub fn worker(&self, worker: usize, workers: usize, here: usize) -> Result<Rc<Sums>, Error> {
        let mut handed = self.handed.lock();
        handed.frontiers.resize(here, 0);
        handed.waiting.resize_with(here, VecDeque::new);
        drop(handed);
        let Some(left) = &self.left else { return Ok(Rc::default()) };
        Ok(Rc::new(Sums::restored(left.of(worker, workers)?, left.ticks)))
    }

    /// The ticks of a worker of this process below `frontier` have closed, and this is what was said in them. Where it cannot be written it waits,
    /// and is tried again the next time.
    pub fn hand(&self, worker: usize, frontier: Option<u64>, said: BTreeMap<u64, Vec<u8>>) -> io::Result<()> {
        let mut handed = self.handed.lock();
        let waiting = &mut handed.waiting[worker];
        waiting.extend(said);
        while let Some((tick, facts)) = waiting.front() {
            pieces(facts).try_for_each(|piece| self.said.append(*tick, piece))?;
            waiting.pop_front();
        }
        handed.frontiers[worker] = frontier.unwrap_or(u64::MAX);
        Ok(())
    }

    /// Facts of all ticks up to this one are there.
    pub fn upto(&self) -> u64 {
        self.handed.lock().frontiers.iter().copied().min().unwrap_or(0).saturating_sub(1)
    }
}

/// Facts in whole ones.
fn pieces(mut facts: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (all, mut rest) = (facts, facts);
        while !rest.is_empty() && all.len() - rest.len() < PIECE_BYTES {
            rest = eddy_schemas::sums::split(rest).expect("an operator has written it").1;
        }
        facts = rest;
        (!all.is_empty()).then(|| &all[..all.len() - rest.len()])
    })
}
