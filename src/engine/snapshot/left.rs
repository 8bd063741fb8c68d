//! Sealed sums of a snapshot: read back and merged over runs.
//!
//! ```text
//!   a run's, by kind and key --SumsReader, SumsMerge--> each key once --> Left: a worker's share
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eddy_schemas::parse::known::Known;
use eddy_schemas::sums::{self, Fact, Kind, Now};

use super::run::{Reader, Run, SUMS};
use super::{Error, damaged};
use crate::files::Files;

/// What sealed messages have left, as a snapshot has it.
pub struct Left {
    pub(super) files: Arc<dyn Files>,
    /// Oldest first, each with its folder.
    pub(super) runs: Vec<(PathBuf, Run)>,
    pub(super) now: Option<Now>,
    /// In which it is to be said again, and the last of those that bring back messages.
    pub ticks: (u64, u64),
}

impl Left {
    /// The share of a worker, by kind, checked.
    pub fn of(&self, worker: usize, workers: usize) -> Result<BTreeMap<Kind, Vec<u8>>, Error> {
        let (mut of, mut known) = (BTreeMap::<Kind, Vec<u8>>::new(), Known::default());
        let mut merge = self.merge(true)?;
        while let Some(fact) = merge.next()? {
            let checked = fact.walk(&mut known, |_| {}).and_then(|()| fact.route(&mut known));
            let route = checked.map_err(|_| damaged(self.dir(), "a sealed sum is none"))?;
            if route % workers as u64 == worker as u64 {
                sums::fact(fact, of.entry(fact.kind).or_default());
            }
        }
        Ok(of)
    }

    /// For messages.
    fn dir(&self) -> &Path {
        self.runs.first().map_or(Path::new("of no snapshot"), |(dir, _)| dir)
    }

    /// Without the oldest runs.
    pub(super) fn since(self, first: usize) -> Left {
        Left { runs: self.runs[first..].to_vec(), ..self }
    }

    /// `is_all`: there is nothing older that a fact may end.
    pub(super) fn merge(&self, is_all: bool) -> Result<SumsMerge, Error> {
        let reader = |(dir, run): &(PathBuf, Run)| Some(SumsReader::new(&*self.files, dir, run, run.sums_at?));
        let runs = self.runs.iter().filter_map(reader).collect::<Result<_, _>>()?;
        let (known, dir) = (Known::default(), self.dir().to_owned());
        Ok(SumsMerge { runs, now: self.now, is_all, known, dir, kind: None, key: vec![], value: vec![], newer: vec![] })
    }
}

/// Reads the sealed sums of a run.
struct SumsReader {
    reader: Reader,
    /// The current fact and what comes after it, in the block.
    at: usize,
    next: usize,
}

impl SumsReader {
    fn new(files: &dyn Files, dir: &Path, run: &Run, at: u64) -> Result<Self, Error> {
        let reader = Reader::open(files, dir, run, at, run.bytes)?;
        let mut reader = SumsReader { reader, at: 0, next: 0 };
        reader.advance()?;
        Ok(reader)
    }

    fn fact(&self) -> Option<Fact<'_>> {
        let (fact, _) = (self.at < self.next).then(|| sums::split(&self.reader.block[self.at..]).expect("split before"))?;
        Some(fact)
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.at = self.next;
        if self.at == self.reader.block.len() {
            (self.at, self.next) = (0, 0);
            if !self.reader.fill()? {
                self.reader.block.clear();
                return Ok(());
            }
            if self.reader.kind != SUMS {
                return Err(damaged(&self.reader.path, "the order of blocks"));
            }
        }
        let block = &self.reader.block;
        let (_, after) = sums::split(&block[self.at..]).map_err(|_| damaged(&self.reader.path, "a sealed sum"))?;
        self.next = block.len() - after.len();
        Ok(())
    }
}

/// Sealed sums of some runs, oldest first; each key once.
pub(super) struct SumsMerge {
    runs: Vec<SumsReader>,
    now: Option<Now>,
    is_all: bool,
    known: Known,
    dir: PathBuf,
    kind: Option<Kind>,
    key: Vec<u8>,
    value: Vec<u8>,
    newer: Vec<u8>,
}

impl SumsMerge {
    pub(super) fn next(&mut self) -> Result<Option<Fact<'_>>, Error> {
        loop {
            if !self.merge_next()? {
                return Ok(None);
            }
            let fact = Fact { kind: self.kind.expect("merged"), key: &self.key, value: &self.value };
            let left = self.now.as_ref().map(|now| fact.has_left(now)).transpose();
            let left = left.map_err(|_| damaged(&self.dir, "a sealed sum is none"))?.unwrap_or(false);
            if !(left || self.is_all && fact.is_end()) {
                break;
            }
        }
        Ok(self.kind.map(|kind| Fact { kind, key: &self.key, value: &self.value }))
    }

    /// Merges the facts of the next key; false at the end.
    fn merge_next(&mut self) -> Result<bool, Error> {
        let Some(first) = self.runs.iter().filter_map(SumsReader::fact).min_by_key(|fact| (fact.kind, fact.key)) else { return Ok(false) };
        self.key.clear();
        self.key.extend_from_slice(first.key);
        let kind = first.kind;
        self.kind = Some(kind);
        let mut is_first = true;
        for run in &mut self.runs {
            let Some(fact) = run.fact().filter(|fact| fact.kind == kind && fact.key == self.key) else { continue };
            self.newer.clear();
            if std::mem::take(&mut is_first) {
                self.newer.extend_from_slice(fact.value);
            } else {
                let merged = sums::merge(kind, &self.value, fact.value, &mut self.known, &mut self.newer);
                merged.map_err(|_| damaged(&self.dir, "a sealed sum is none"))?;
            }
            std::mem::swap(&mut self.value, &mut self.newer);
            run.advance()?;
        }
        Ok(true)
    }
}
