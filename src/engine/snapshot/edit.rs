//! Editing: what somebody who is forgotten left goes from versions, dead letters and sealed sums.

use eddy_schemas::frame::Head;
use eddy_schemas::stored::{self, Malformed};
use eddy_schemas::sums::Fact;

use super::Error;
use crate::journal::Journal;

/// What goes when a snapshot is made anew.
pub trait Edit {
    /// Whether a version stays.
    fn version(&mut self, row: &[u8]) -> Result<bool, Malformed>;
    /// What becomes of a dead letter.
    fn letter(&mut self, letter: Vec<u8>) -> Vec<u8>;
    /// Whether a fact of sealed messages stays.
    fn fact(&mut self, fact: Fact) -> Result<bool, Malformed>;
}

/// A frame as an edit leaves it; none where that is as it was.
pub fn edited(journal: &Journal, number: u64, frame: &[u8], edit: &mut dyn Edit) -> Result<Option<Vec<u8>>, Error> {
    let path = || journal.path().display().to_string();
    let (mut head, mut rest) = Head::decode(frame).map_err(|source| Error::Frame { path: path(), number, source })?;
    let (mut rows, mut is_changed) = (vec![], false);
    let malformed = |source| Error::Rows { path: path(), source };
    while !rest.is_empty() {
        let (row, after) = stored::split(rest).map_err(malformed)?;
        if edit.version(row).map_err(malformed)? {
            stored::slice(row, &mut rows);
        } else {
            is_changed = true;
        }
        rest = after;
    }
    for letter in &mut head.letters {
        let before = serde_json::to_vec(letter).expect("a dead letter is JSON");
        let edited = edit.letter(before.clone());
        is_changed |= edited != before;
        *letter = serde_json::from_slice(&edited).expect("a dead letter stays one");
    }
    if !is_changed {
        return Ok(None);
    }
    let mut edited = vec![];
    head.encode(&mut edited);
    edited.extend_from_slice(&rows);
    Ok(Some(edited))
}
