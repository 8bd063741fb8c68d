//! Upserts: of all versions of a message the greatest wins, whatever the order of arrival. What came to win in a tick is written to the
//! tick's frame before the tick closes, where the state is durable. Then what has become too old is sealed: it leaves, and views are told.
//!
//! ```text
//!   version --created before what is sealed?--> ignored
//!              \--> State: slot --> calendar: created_at --[ end of a tick that moved sealed-before ]--> Update { diff: 0 }
//! ```
//!
//! # Invariants
//! 1. A record is judged by what was sealed at the end of the tick before: the order of those in one tick does not matter.
//! 2. Nothing is held that was created before what is sealed, once a tick has ended.
//! 3. A tombstone without a time counts as created when it arrived: at the watermark of its tick, or the first one there is.

use std::cmp::Ordering;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use eddy_dataflows::calendar::Second;
use eddy_dataflows::fold::Fold;
use eddy_dataflows::{Moment, Update};
use eddy_schemas::frame::{Head, Tally};
use eddy_schemas::{Place, Version, stored};

use super::due::Due;
use super::durable::{Durable, Mark};
use super::state::State;
use super::{Counts, watermark};
use crate::texts::Texts;

/// Why a record is ignored that is older than what is sealed.
const SEALED: &str = "sealed";

/// Room that is kept from tick to tick.
const CHANGED_KEPT: usize = 1 << 16;
/// Bytes of rows in a frame; a tick with more has several of a worker.
const FRAME_BYTES: usize = 256 << 10;
/// Rows whose names are asked for together, so that they wait for memory together.
const FETCHED: usize = 32;

/// What the end of a tick brings.
#[derive(Clone, Debug)]
pub enum Ended {
    Mark(Mark),
    At(Moment),
}

/// One worker's share of the messages.
pub struct Ingest {
    state: State,
    out: Vec<Update>,
    /// What was created before is ignored.
    sealed_before: Option<Second>,
    /// As of the open tick.
    moment: Option<Moment>,
    sealing: Option<Sealing>,
    texts: Arc<dyn Texts>,
    counts: Arc<Counts>,
    /// Since the last batch.
    tally: Tally,
    live: i64,
    held: i64,
    frames: Option<Frames>,
}

/// What is to be sealed, and when.
#[derive(Default)]
struct Sealing {
    /// Slots. One is a hint, there for each time that a message has had: the slot may have another time by then, or another message.
    due: Due,
    /// Slots of tombstones without a time that arrived before there was a watermark, or in this tick.
    timeless: Vec<u32>,
}

/// What the open tick's frame will say.
struct Frames {
    durable: Arc<Durable>,
    head: Head,
    /// The driver has ended the tick. (One that closes without has only been given up.)
    ended: bool,
    /// Records that were ignored since they are older than what is sealed.
    sealed: u64,
    /// Slots whose winner changed, some of them more than once.
    changed: Vec<u32>,
    buffer: Vec<u8>,
}

impl Ingest {
    pub fn new(texts: Arc<dyn Texts>, counts: Arc<Counts>) -> Self {
        Ingest {
            state: State::default(),
            out: vec![],
            sealed_before: None,
            moment: None,
            sealing: None,
            texts,
            counts,
            tally: Tally::default(),
            live: 0,
            held: 0,
            frames: None,
        }
    }

    /// Seals what is told to be too old. (Whoever does not is never told.)
    pub fn sealing(self) -> Self {
        Ingest { sealing: Some(Sealing::default()), ..self }
    }

    /// As [`new`](Self::new), with its frames kept; `worker` of `workers`.
    pub fn durable(texts: Arc<dyn Texts>, counts: Arc<Counts>, durable: Arc<Durable>, worker: usize, workers: usize) -> Self {
        let head = Head { worker: worker as u32, workers: workers as u32, ..Head::default() };
        let frames = Some(Frames { durable, head, ended: false, sealed: 0, changed: vec![], buffer: vec![] });
        Ingest { frames, ..Ingest::new(texts, counts) }
    }

    fn win(&mut self, slot: u32, old: Option<Version>, new: &Version) {
        self.tally.applied += 1;
        self.live += i64::from(new.is_live());
        if let Some(frames) = &mut self.frames {
            frames.changed.push(slot);
        }
        if let Some(sealing) = &mut self.sealing {
            match new.at() {
                Some(at) if old.as_ref().and_then(Version::at) == Some(at) => {}
                Some(at) => sealing.due.add(at, slot),
                None => sealing.timeless.push(slot),
            }
        }
        if let Some(old) = old {
            self.live -= i64::from(old.is_live());
            self.out.push(Update { version: old, diff: -1 });
        }
        self.out.push(Update { version: *new, diff: 1 });
    }
}

impl Ingest {
    /// Gives tombstones without a time that of their arrival.
    fn arrive(&mut self, watermark: Second) {
        let Some(sealing) = &mut self.sealing else { return };
        for slot in sealing.timeless.drain(..) {
            // It may have been superseded since.
            if self.state.arrive(slot, watermark.get()) {
                sealing.due.add(watermark.get(), slot);
                self.frames.iter_mut().for_each(|frames| frames.changed.push(slot));
            }
        }
        // A tick that was larger than most need not be remembered.
        sealing.timeless.shrink_to(CHANGED_KEPT);
    }

    /// Takes out what was created before.
    fn seal(&mut self, before: Second, out: &mut Vec<Update>) {
        let Some(sealing) = &mut self.sealing else { return };
        let (mut live, mut held) = (0, 0);
        while let Some(slots) = sealing.due.before(before.get(), |slot| self.state.held(slot)?.at()) {
            for slot in slots {
                let Some(version) = self.state.held(slot).filter(|version| version.at().is_some_and(|at| at < before.get())) else {
                    continue;
                };
                self.state.remove(slot);
                held += 1;
                live += i64::from(version.is_live());
                out.push(Update { version, diff: 0 });
            }
        }
        self.counts.live.fetch_sub(live, Relaxed);
        self.counts.held.fetch_sub(held, Relaxed);
    }
}

impl Frames {
    fn count(&mut self, tally: &Tally) {
        self.head.tally.applied += tally.applied;
        self.head.tally.stale += tally.stale;
        self.head.tally.repeated += tally.repeated;
        self.sealed += tally.ignored.get(SEALED).copied().unwrap_or(0);
    }

    /// Writes the frame of a tick, unless it is there already, and starts the next.
    fn write(&mut self, tick: u64, state: &State) {
        let Head { worker, workers, .. } = self.head;
        let mut head = std::mem::replace(&mut self.head, Head { worker, workers, ..Head::default() });
        if let Some(sealed) = NonZeroU64::new(std::mem::take(&mut self.sealed)) {
            head.tally.ignored.insert(SEALED.to_owned(), sealed.get());
        }
        if std::mem::take(&mut self.ended) && !self.durable.is_recovering() {
            self.changed.sort_unstable();
            self.changed.dedup();
            for slots in self.changed.chunks(FETCHED) {
                slots.iter().for_each(|slot| state.fetch_names(*slot));
                for &slot in slots {
                    if self.buffer.len() >= FRAME_BYTES {
                        self.durable.write(&Head::part(tick, worker, workers), &self.buffer);
                        self.buffer.clear();
                    }
                    stored::version(&state.get(slot), &mut self.buffer);
                }
            }
            self.durable.write(&Head { tick, ..head }, &self.buffer);
        }
        self.changed.clear();
        self.buffer.clear();
        // A tick that was larger than most need not be remembered.
        self.changed.shrink_to(CHANGED_KEPT);
    }
}

impl Fold for Ingest {
    type Main = Version;
    type Aside = Ended;
    type Out = Update;

    fn fetch(&self, new: &Version, step: usize) {
        if step < 2 {
            self.state.fetch(new.id, step);
        }
    }

    fn main(&mut self, new: &Version) {
        if let (Some(before), Some(at)) = (self.sealed_before, new.created_at)
            && at < before.get()
        {
            *self.tally.ignored.entry(SEALED.to_owned()).or_default() += 1;
            return;
        }
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

    fn aside(&mut self, ended: &Ended) {
        let mark = match ended {
            Ended::Mark(mark) => mark,
            Ended::At(moment) => {
                self.moment = Some(*moment);
                return;
            }
        };
        if let Some(frames) = &mut self.frames {
            frames.ended = true;
            frames.head.binding.clone_from(&mark.binding);
            frames.head.letters.clone_from(&mark.letters);
            frames.head.greatest = Some(mark.greatest.iter().map(|(partition, at)| (*partition, at.get())).collect());
            let tally = &mut frames.head.tally;
            (tally.read, tally.ignored, tally.dead) = (mark.tally.read, mark.tally.ignored.clone(), mark.tally.dead.clone());
        }
    }

    fn closing(&mut self, tick: u64) {
        if let Some(moment) = self.moment {
            self.arrive(moment.watermark);
            self.counts.reached(tick, moment.watermark.get());
        }
        if let Some(frames) = &mut self.frames {
            frames.head.time = self.moment.map(watermark::kept);
            frames.write(tick, &self.state);
        }
    }

    fn close(&mut self, out: &mut Vec<Update>) {
        let before = self.moment.and_then(|moment| moment.sealed_before);
        if let Some(moved) = before.filter(|_| before != self.sealed_before) {
            self.sealed_before = before;
            self.seal(moved, out);
        }
    }
}
