//! Runs of a snapshot: written once, read from their beginning.
//!
//! ```text
//!   run:   { crc32 | length | kind | payload }*        kind 1: versions, sorted by their ids (`stored::order`)      2: a dead letter
//!                                                           3: sealed sums, sorted by kind and key, after everything else
//! ```
//!
//! # Invariants
//! 1. Versions stand before letters, letters before sums; sums begin where `sums_at` says.
//! 2. It has its name once it is whole and on disk, and does not change any more.

use std::cmp::Ordering;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eddy_schemas::stored;
use eddy_schemas::sums::{self, Fact};
use serde::{Deserialize, Serialize};

use super::{Error, at, damaged};
use crate::files::{Files, Open, Stream};

/// About how much a block of a run holds.
const BLOCK_BYTES: usize = 64 << 10;

const VERSIONS: u8 = 1;
const LETTER: u8 = 2;
pub(super) const SUMS: u8 = 3;

/// A run, as `snapshot.json` names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub number: u64,
    pub bytes: u64,
    pub versions: u64,
    /// Where its sealed sums begin, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums_at: Option<u64>,
}

pub(super) fn run_name(number: u64) -> String {
    format!("run-{number:08}")
}

/// Writes a run beside its place.
pub(super) struct Writer {
    files: Arc<dyn Files>,
    file: BufWriter<Stream>,
    new: PathBuf,
    path: PathBuf,
    block: Vec<u8>,
    run: Run,
}

impl Writer {
    pub(super) fn new(files: Arc<dyn Files>, dir: &Path, number: u64) -> Result<Self, Error> {
        let (new, path) = (dir.join(format!(".new-{}", run_name(number))), dir.join(run_name(number)));
        let file = files.open(&new, Open::New).map_err(at(&new))?;
        let file = BufWriter::with_capacity(1 << 20, Stream::new(file));
        Ok(Writer { files, file, new, path, block: vec![], run: Run { number, bytes: 0, versions: 0, sums_at: None } })
    }

    /// `row`: without its length.
    pub(super) fn version(&mut self, row: &[u8]) -> Result<(), Error> {
        stored::slice(row, &mut self.block);
        self.run.versions += 1;
        if self.block.len() >= BLOCK_BYTES { self.versions_end() } else { Ok(()) }
    }

    fn versions_end(&mut self) -> Result<(), Error> {
        self.block_end(VERSIONS)
    }

    fn block_end(&mut self, kind: u8) -> Result<(), Error> {
        let block = std::mem::take(&mut self.block);
        if !block.is_empty() {
            self.write(kind, &block)?;
        }
        self.block = block;
        self.block.clear();
        Ok(())
    }

    /// After all versions and letters, in order.
    pub(super) fn fact(&mut self, fact: Fact) -> Result<(), Error> {
        if self.run.sums_at.is_none() {
            self.versions_end()?;
            self.run.sums_at = Some(self.run.bytes);
        }
        sums::fact(fact, &mut self.block);
        if self.block.len() >= BLOCK_BYTES { self.block_end(SUMS) } else { Ok(()) }
    }

    /// After all versions.
    pub(super) fn letter(&mut self, letter: &[u8]) -> Result<(), Error> {
        self.versions_end()?;
        self.write(LETTER, letter)
    }

    fn write(&mut self, kind: u8, payload: &[u8]) -> Result<(), Error> {
        let head = head(kind, payload);
        self.run.bytes += (head.len() + payload.len()) as u64;
        self.file.write_all(&head).and_then(|()| self.file.write_all(payload)).map_err(at(&self.new))
    }

    pub(super) fn end(mut self) -> Result<Run, Error> {
        self.block_end(if self.run.sums_at.is_some() { SUMS } else { VERSIONS })?;
        let Writer { files, file, new, path, run, .. } = self;
        let end = || {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.file.sync()?;
            files.rename(&new, &path)?;
            // Who names it relies on its name.
            files.sync_folder(path.parent().expect("it is in the snapshots' folder"))
        };
        end().map_err(at(&new))?;
        Ok(run)
    }
}

fn head(kind: u8, payload: &[u8]) -> [u8; 9] {
    let length = u32::try_from(payload.len()).expect("blocks are short").to_le_bytes();
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length);
    sum.update(&[kind]);
    sum.update(payload);
    let mut head = [kind; 9];
    head[..4].copy_from_slice(&sum.finalize().to_le_bytes());
    head[4..8].copy_from_slice(&length);
    head
}

/// Reads a run, block by block.
pub(super) struct Reader {
    file: BufReader<Stream>,
    pub path: PathBuf,
    bytes: u64,
    left: u64,
    pub kind: u8,
    pub block: Vec<u8>,
    /// Where the current version stands in the block, without its length.
    row: std::ops::Range<usize>,
    /// Of its id ([`stored::order`]).
    pub order: u64,
}

impl Reader {
    pub(super) fn new(files: &dyn Files, dir: &Path, run: &Run) -> Result<Self, Error> {
        let mut reader = Self::open(files, dir, run, 0, run.sums_at.unwrap_or(run.bytes))?;
        reader.advance()?;
        Ok(reader)
    }

    /// Of its blocks from `start` to `end`.
    pub(super) fn open(files: &dyn Files, dir: &Path, run: &Run, start: u64, end: u64) -> Result<Self, Error> {
        let path = dir.join(run_name(run.number));
        let file = files.open(&path, Open::Read).map_err(at(&path))?;
        if file.size().map_err(at(&path))? != run.bytes || start > end {
            return Err(damaged(&path, "its length is another"));
        }
        let file = BufReader::with_capacity(256 << 10, Stream::from(file, start));
        Ok(Reader { file, path, bytes: end, left: end - start, kind: VERSIONS, block: vec![], row: 0..0, order: 0 })
    }

    /// The current version; none where there is no more.
    pub(super) fn row(&self) -> Option<&[u8]> {
        (self.kind == VERSIONS && !self.row.is_empty()).then(|| &self.block[self.row.clone()])
    }

    /// The id of the current version.
    pub(super) fn id(&self) -> &[u8] {
        stored::id(&self.block[self.row.clone()]).expect("looked at when it was met")
    }

    /// By the ids of the current versions.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order).then_with(|| self.id().cmp(other.id()))
    }

    /// Goes on to the next version.
    pub(super) fn advance(&mut self) -> Result<(), Error> {
        if self.kind == VERSIONS && self.row.end == self.block.len() && !self.fill()? {
            self.row = 0..0;
            self.block.clear();
            return Ok(());
        }
        if self.kind == VERSIONS {
            let rest = &self.block[self.row.end..];
            let version = stored::split(rest).and_then(|(row, after)| Ok((row, after, stored::order(stored::id(row)?)?)));
            let (row, after, order) = version.map_err(|_| self.damaged("a version is none"))?;
            let end = self.block.len() - after.len();
            (self.row, self.order) = (end - row.len()..end, order);
        }
        Ok(())
    }

    /// The next dead letter; after all versions.
    pub(super) fn letter(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.kind != LETTER {
            return Ok(None);
        }
        let letter = std::mem::take(&mut self.block);
        if !self.fill()? {
            self.kind = VERSIONS;
        }
        Ok(Some(letter))
    }

    /// Reads the next block; false at the end.
    pub(super) fn fill(&mut self) -> Result<bool, Error> {
        if self.left == 0 {
            return Ok(false);
        }
        let mut read = [0; 9];
        self.file.read_exact(&mut read).map_err(at(&self.path))?;
        let length = u32::from_le_bytes(read[4..8].try_into().expect("four bytes"));
        // (Also the bound of what a broken length can cost.)
        if u64::from(length) + read.len() as u64 > self.left {
            return Err(self.damaged("the length of a block cannot be true"));
        }
        self.block.resize(length as usize, 0);
        self.file.read_exact(&mut self.block).map_err(at(&self.path))?;
        if head(read[8], &self.block) != read {
            return Err(self.damaged("the checksum of a block is wrong"));
        }
        self.left -= u64::from(length) + read.len() as u64;
        (self.kind, self.row) = (read[8], 0..0);
        Ok(true)
    }

    /// In the block that comes next.
    fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged { path: self.path.clone(), at: self.bytes - self.left, what }
    }
}
