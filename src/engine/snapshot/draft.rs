//! What a run of some ticks is made of, in memory while it is made.
//!
//! ```text
//!   frames --add--> rows as they came, and where each stands --write--> the last version of each id, by id | dead letters | sealed sums
//! ```
//!
//! # Invariants
//! 1. Each row that has a place is a whole one, of one frame.
//! 2. After `write` and `clear` nothing has been added. At most six lists keep room, [`ROOM_BYTES_MAX`] each.

use std::path::Path;

use eddy_schemas::control::DeadLetter;
use eddy_schemas::empty;
use eddy_schemas::stored::{self, Malformed};
use eddy_schemas::sums::Sorted;

use super::run::Writer;
use super::{Error, damaged};
use crate::engine::ticks::Frame;

/// The room of a list stays where it is not larger: enough for the default of `--snapshot-bytes`, and what a large tick has more.
const ROOM_BYTES_MAX: usize = 32 << 20;

/// Versions and dead letters of frames, and what was said of sealed messages. Its room stays for the next run: one snapshot after the other must
/// not take memory from the system and give it back.
#[derive(Default)]
pub(super) struct Draft {
    /// Of all frames, one after the other.
    rows: Vec<u8>,
    /// Ids' orders and where the rows stand.
    places: Vec<(u64, u64)>,
    letters: Vec<DeadLetter>,
    letters_bytes: usize,
    pub sums: Sorted,
}

impl Draft {
    /// After those before; an error where it is no frame of whole rows.
    pub fn add(&mut self, frame: Frame) -> Result<(), Malformed> {
        // At once, so that it is not copied while it grows. Room that is not written to costs nothing.
        self.rows.reserve(ROOM_BYTES_MAX.saturating_sub(self.rows.len()));
        let mut rest = frame.rows.as_ref();
        while !rest.is_empty() {
            let (row, after) = stored::split(rest)?;
            let place = self.rows.len() + (frame.rows.len() - rest.len());
            self.places.push((stored::order(stored::id(row)?)?, place as u64));
            rest = after;
        }
        self.rows.extend_from_slice(&frame.rows);
        self.letters_bytes += frame.head.letters.iter().map(|letter| size_of::<DeadLetter>() + letter.raw.len()).sum::<usize>();
        self.letters.extend(frame.head.letters);
        Ok(())
    }

    /// About what its versions and letters take.
    pub fn bytes(&self) -> usize {
        self.rows.len() + self.letters_bytes
    }

    /// It has no version and no letter.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Writes it, and empties it.
    pub fn write(&mut self, run: &mut Writer) -> Result<(), Error> {
        self.sort();
        for (_, place) in &self.places {
            run.version(row(&self.rows, *place))?;
        }
        for letter in self.letters.drain(..) {
            run.letter(&serde_json::to_vec(&letter).expect("a dead letter is JSON"))?;
        }
        self.sums.facts().map_err(no_sum)?.try_for_each(|fact| run.fact(fact))?;
        self.clear();
        Ok(())
    }

    /// Throws away what has been added.
    pub fn clear(&mut self) {
        empty(&mut self.rows, ROOM_BYTES_MAX);
        empty(&mut self.places, ROOM_BYTES_MAX);
        empty(&mut self.letters, 0);
        self.letters_bytes = 0;
        self.sums.clear(ROOM_BYTES_MAX);
    }

    /// Leaves the last version of each id, by id.
    fn sort(&mut self) {
        let Draft { rows, places, .. } = self;
        let id = |place| stored::id(row(rows, place)).expect("read when it was added");
        // This order tells nearly all ids apart; of one id the version that came last comes first.
        let by_id = |a: &(u64, u64), b: &(u64, u64)| a.0.cmp(&b.0).then_with(|| id(a.1).cmp(id(b.1))).then(b.1.cmp(&a.1));
        places.sort_unstable_by(by_id);
        places.dedup_by(|earlier, last| earlier.0 == last.0 && id(earlier.1) == id(last.1));
    }
}

fn row(rows: &[u8], place: u64) -> &[u8] {
    stored::split(&rows[place as usize..]).expect("read when it was added").0
}

/// Of what was said of sealed messages.
pub(super) fn no_sum(_: Malformed) -> Error {
    damaged(Path::new("of sealed messages"), "a sum")
}
