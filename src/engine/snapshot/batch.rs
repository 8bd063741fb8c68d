//! What a run of some ticks is made of, in memory while it is made.

use std::path::Path;

use eddy_schemas::control::DeadLetter;
use eddy_schemas::stored::{self, Malformed};
use eddy_schemas::sums::{Sorted, empty};

use super::run::Writer;
use super::{Error, damaged};
use crate::engine::ticks::Frame;

/// The room of each of its few lists stays where it is not larger: enough for a segment of `eddy run`.
const ROOM_BYTES_MAX: usize = 32 << 20;

/// Versions and dead letters of frames, and what was said of sealed messages. Its room stays for the next run, so that making one takes nothing
/// from the system and gives nothing back.
#[derive(Default)]
pub(super) struct Batch {
    /// Of all frames, one after the other.
    rows: Vec<u8>,
    /// Where they stand, by id.
    places: Vec<(u64, u64)>,
    letters: Vec<DeadLetter>,
    pub sums: Sorted,
}

impl Batch {
    /// After those before.
    pub fn add(&mut self, frame: Frame) {
        // At once: growing would copy it and take twice as much meanwhile. What is not written to costs nothing.
        self.rows.reserve(ROOM_BYTES_MAX.saturating_sub(self.rows.len()));
        self.rows.extend_from_slice(&frame.rows);
        self.letters.extend(frame.head.letters);
    }

    /// Of the frames' rows.
    pub fn bytes(&self) -> usize {
        self.rows.len()
    }

    /// Nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.letters.is_empty()
    }

    /// Writes what has been added since, whose frames stand in `path`.
    pub fn write(&mut self, run: &mut Writer, path: &Path) -> Result<(), Error> {
        self.sort().map_err(|_| damaged(path, "a frame is none"))?;
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

    /// What has been added since the last run.
    pub fn clear(&mut self) {
        empty(&mut self.rows, ROOM_BYTES_MAX);
        empty(&mut self.places, ROOM_BYTES_MAX);
        self.letters.clear();
        self.sums.clear(ROOM_BYTES_MAX);
    }

    /// Places of the last version of each id, by id.
    fn sort(&mut self) -> Result<(), Malformed> {
        let Batch { rows, places, .. } = self;
        places.clear();
        let mut rest = rows.as_slice();
        while !rest.is_empty() {
            let (row, after) = stored::split(rest)?;
            places.push((stored::order(stored::id(row)?)?, (rows.len() - rest.len()) as u64));
            rest = after;
        }
        let id = |place| stored::id(row(rows, place)).expect("read above");
        // This order tells nearly all ids apart; of one id the version that came last comes first.
        let by_id = |a: &(u64, u64), b: &(u64, u64)| a.0.cmp(&b.0).then_with(|| id(a.1).cmp(id(b.1))).then(b.1.cmp(&a.1));
        places.sort_unstable_by(by_id);
        places.dedup_by(|earlier, last| earlier.0 == last.0 && id(earlier.1) == id(last.1));
        Ok(())
    }
}

fn row(rows: &[u8], place: u64) -> &[u8] {
    stored::split(&rows[place as usize..]).expect("split before").0
}

/// Of what was said of sealed messages.
pub(super) fn no_sum(_: Malformed) -> Error {
    damaged(Path::new("of sealed messages"), "a sum")
}
