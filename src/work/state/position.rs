//! How far files have been read: what ticks are made from.

use std::collections::{BTreeMap, BTreeSet};

use eddy_schemas::stored::Malformed;
use serde::{Deserialize, Serialize};

use crate::engine::ticks::Share;

/// How far a file has been read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Reached {
    /// So many blocks of it are in.
    Blocks(u64),
    End,
}

/// How far the files have come; in a frame's binding, those that moved in its tick.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    files: BTreeMap<u32, Reached>,
    /// Files that could not be read to their end.
    pub incomplete: BTreeSet<String>,
}

impl Position {
    /// Blocks of a file that are in.
    pub fn blocks(&self, file: u32) -> u64 {
        match self.files.get(&file) {
            Some(Reached::Blocks(blocks)) => *blocks,
            _ => 0,
        }
    }

    pub fn is_at_end_of(&self, file: u32) -> bool {
        self.files.get(&file) == Some(&Reached::End)
    }

    pub fn set(&mut self, file: u32, reached: Reached) {
        self.files.insert(file, reached);
    }

    /// The files that it says something of.
    pub fn files(&self) -> impl Iterator<Item = u32> {
        self.files.keys().copied()
    }

    /// Files only go on, so the farther of two is the later.
    pub fn add(&mut self, later: Position) {
        for (file, reached) in later.files {
            let farthest = self.files.entry(file).or_insert(reached);
            *farthest = reached.max(*farthest);
        }
        self.incomplete.extend(later.incomplete);
    }

    /// Of a binding; that of no tick is empty.
    pub fn of(binding: &str) -> Result<Position, Malformed> {
        if binding.is_empty() { Ok(Position::default()) } else { serde_json::from_str(binding).map_err(|_| Malformed) }
    }

    /// Empty where nothing has moved.
    pub fn binding(&self) -> String {
        if *self == Position::default() { String::new() } else { serde_json::to_string(self).expect("a position is JSON") }
    }
}

/// The journal of one of so many processes.
pub(crate) fn share(processes: usize) -> Share {
    let bind = |so_far: &mut String, later: &str| {
        let mut position = Position::of(so_far)?;
        position.add(Position::of(later)?);
        *so_far = position.binding();
        Ok(())
    };
    Share { journals: processes as u32, bind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_only_go_on() {
        let at = |reached| {
            let mut position = Position::default();
            position.set(7, reached);
            position
        };
        let mut position = at(Reached::Blocks(5));
        position.add(at(Reached::Blocks(3)));
        assert_eq!(position.blocks(7), 5);
        position.add(Position::of(&at(Reached::End).binding()).expect("what was written"));
        position.add(at(Reached::Blocks(9)));
        assert!(position.is_at_end_of(7) && !position.is_at_end_of(8));
        assert_eq!(Position::default().binding(), "");
        assert_eq!(Position::of("no position"), Err(Malformed));
    }
}
