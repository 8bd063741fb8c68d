//! Versions of a snapshot, merged over its runs.

use std::cmp::Ordering;
use std::path::Path;

use eddy_schemas::stored;

use super::run::{Reader, Run};
use super::{Error, damaged};
use crate::files::Files;

/// Runs side by side, oldest first.
pub struct Merge {
    pub(super) runs: Vec<Reader>,
    row: Vec<u8>,
    /// Of messages that were created before nothing is given.
    pub(super) sealed_before: Option<i64>,
}

impl Merge {
    pub(super) fn new(files: &dyn Files, dir: &Path, runs: &[Run], sealed_before: Option<i64>) -> Result<Self, Error> {
        let runs = runs.iter().map(|run| Reader::new(files, dir, run)).collect::<Result<_, _>>()?;
        Ok(Merge { runs, row: vec![], sealed_before })
    }

    /// The newest version of the next id, encoded, without its length.
    pub fn version(&mut self) -> Result<Option<&[u8]>, Error> {
        while self.next_id()? {
            let at = stored::at(&self.row).map_err(|_| damaged(Path::new("of a snapshot"), "a version"))?;
            if at.is_none_or(|at| Some(at) >= self.sealed_before) {
                return Ok(Some(&self.row));
            }
        }
        Ok(None)
    }

    fn next_id(&mut self) -> Result<bool, Error> {
        let mut next: Option<usize> = None;
        for (number, run) in self.runs.iter().enumerate() {
            // Of equal ids the last: that of the newest run.
            if run.row().is_some() && next.is_none_or(|least| run.compare(&self.runs[least]) != Ordering::Greater) {
                next = Some(number);
            }
        }
        let Some(newest) = next else { return Ok(false) };
        self.row.clear();
        self.row.extend_from_slice(self.runs[newest].row().expect("it has a version"));
        let (order, id) = (self.runs[newest].order, stored::id(&self.row).expect("looked at when it was met"));
        for (number, run) in self.runs.iter_mut().enumerate() {
            // (The newest may have another that is as good: `adopt`.)
            while run.row().is_some() && run.order == order && run.id() == id {
                run.advance()?;
                if number == newest {
                    break;
                }
            }
        }
        Ok(true)
    }

    /// The next dead letter, as JSON; after all versions.
    pub fn letter(&mut self) -> Result<Option<Vec<u8>>, Error> {
        for run in &mut self.runs {
            if let Some(letter) = run.letter()? {
                return Ok(Some(letter));
            }
        }
        Ok(None)
    }
}
