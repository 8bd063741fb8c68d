//! Upserts: of all versions of a message the greatest wins, whatever the order of arrival. What came to win in a tick is written to the
//! tick's frame before the tick closes, where the state is durable.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use eddy_dataflows::Update;
use eddy_dataflows::fold::Fold;
use eddy_schemas::frame::{Head, Tally};
use eddy_schemas::{Place, Version, stored};

use super::Counts;
use super::durable::{Durable, Mark};
use super::state::State;
use crate::texts::Texts;

/// Room that is kept from tick to tick.
const CHANGED_KEPT: usize = 1 << 16;
const BUFFER_BYTES_KEPT: usize = 16 << 20;

/// One worker's share of the messages.
pub struct Ingest {
    state: State,
    out: Vec<Update>,
    texts: Arc<dyn Texts>,
    counts: Arc<Counts>,
    /// Since the last batch.
    tally: Tally,
    live: i64,
    held: u64,
    frames: Option<Frames>,
}

/// What the open tick's frame will say.
struct Frames {
    durable: Arc<Durable>,
    head: Head,
    /// The driver has ended the tick. (One that closes without has only been given up.)
    ended: bool,
    /// Slots whose winner changed, some of them more than once.
    changed: Vec<u32>,
    buffer: Vec<u8>,
}

impl Ingest {
    pub fn new(texts: Arc<dyn Texts>, counts: Arc<Counts>) -> Self {
        Ingest { state: State::default(), out: vec![], texts, counts, tally: Tally::default(), live: 0, held: 0, frames: None }
    }

    /// As [`new`](Self::new), with its frames kept; `worker` of `workers`.
    pub fn durable(texts: Arc<dyn Texts>, counts: Arc<Counts>, durable: Arc<Durable>, worker: usize, workers: usize) -> Self {
        let head = Head { worker: worker as u32, workers: workers as u32, ..Head::default() };
        let frames = Some(Frames { durable, head, ended: false, changed: vec![], buffer: vec![] });
        Ingest { frames, ..Ingest::new(texts, counts) }
    }

    fn win(&mut self, slot: u32, old: Option<Version>, new: &Version) {
        self.tally.applied += 1;
        self.live += i64::from(new.is_live());
        if let Some(frames) = &mut self.frames {
            frames.changed.push(slot);
        }
        if let Some(old) = old {
            self.live -= i64::from(old.is_live());
            self.out.push(Update { version: old, diff: -1 });
        }
        self.out.push(Update { version: *new, diff: 1 });
    }
}

impl Frames {
    fn count(&mut self, tally: &Tally) {
        self.head.tally.applied += tally.applied;
        self.head.tally.stale += tally.stale;
        self.head.tally.repeated += tally.repeated;
    }

    /// Writes the frame of a tick, unless it is there already, and starts the next.
    fn write(&mut self, tick: u64, state: &State) {
        let Head { worker, workers, .. } = self.head;
        let head = std::mem::replace(&mut self.head, Head { worker, workers, ..Head::default() });
        if std::mem::take(&mut self.ended) && !self.durable.is_recovering() {
            Head { tick, ..head }.encode(&mut self.buffer);
            self.changed.sort_unstable();
            self.changed.dedup();
            for &slot in &self.changed {
                stored::version(&state.get(slot), &mut self.buffer);
            }
            self.durable.write(&self.buffer);
        }
        self.changed.clear();
        self.buffer.clear();
        // A tick that was larger than most need not be remembered.
        self.changed.shrink_to(CHANGED_KEPT);
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
    }
}

impl Fold for Ingest {
    type Main = Version;
    type Aside = Mark;
    type Out = Update;

    fn fetch(&self, new: &Version, step: usize) {
        if step < 2 {
            self.state.fetch(new.id, step);
        }
    }

    fn main(&mut self, new: &Version) {
        let Some(slot) = self.state.find(new.id) else {
            let slot = self.state.insert(new);
            self.held += 1;
            self.win(slot, None, new);
            return;
        };
        if new.version < self.state.version(slot) {
            self.tally.stale += 1;
            return;
        }
        let old = self.state.get(slot);
        let texts = &self.texts;
        // A text that cannot be read again ties with any other: it is as good as gone for everyone.
        let mut text = |place: Place| texts.text(place).unwrap_or_default();
        match new.order(&old, &mut text) {
            Ordering::Less => self.tally.stale += 1,
            Ordering::Equal => self.tally.repeated += 1,
            Ordering::Greater => {
                self.state.set(slot, new);
                self.win(slot, Some(old), new);
            }
        }
    }

    fn at_once(&mut self, out: &mut Vec<Update>) {
        out.append(&mut self.out);
        let tally = std::mem::take(&mut self.tally);
        self.counts.live.fetch_add(std::mem::take(&mut self.live), Relaxed);
        self.counts.held.fetch_add(std::mem::take(&mut self.held), Relaxed);
        if let Some(frames) = &mut self.frames {
            if frames.durable.is_recovering() {
                // It was counted when it was first applied, and its frame says so.
                return;
            }
            frames.count(&tally);
        }
        self.counts.add(&tally);
    }

    fn aside(&mut self, mark: &Mark) {
        if let Some(frames) = &mut self.frames {
            frames.ended = true;
            frames.head.binding.clone_from(&mark.binding);
            frames.head.letters.clone_from(&mark.letters);
            let tally = &mut frames.head.tally;
            (tally.read, tally.ignored, tally.dead) = (mark.tally.read, mark.tally.ignored.clone(), mark.tally.dead.clone());
        }
    }

    fn closing(&mut self, tick: u64) {
        if let Some(frames) = &mut self.frames {
            frames.write(tick, &self.state);
        }
    }

    fn close(&mut self, _: &mut Vec<Update>) {}
}
