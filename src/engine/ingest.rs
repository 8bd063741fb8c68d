//! Upserts: of all versions of a message the greatest wins, whatever the order of arrival.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use eddy_dataflows::Update;
use eddy_dataflows::fold::{Fold, Nothing};
use eddy_schemas::{Place, Version};

use super::Counts;
use super::state::State;
use crate::texts::Texts;

/// One worker's share of the messages.
pub struct Ingest {
    state: State,
    out: Vec<Update>,
    texts: Arc<dyn Texts>,
    counts: Arc<Counts>,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    applied: u64,
    stale: u64,
    repeated: u64,
    live: i64,
    held: u64,
}

impl Ingest {
    pub fn new(texts: Arc<dyn Texts>, counts: Arc<Counts>) -> Self {
        Ingest { state: State::default(), out: vec![], texts, counts, tally: Tally::default() }
    }

    fn win(&mut self, old: Option<Version>, new: &Version) {
        self.tally.applied += 1;
        self.tally.live += i64::from(new.is_live());
        if let Some(old) = old {
            self.tally.live -= i64::from(old.is_live());
            self.out.push(Update { version: old, diff: -1 });
        }
        self.out.push(Update { version: *new, diff: 1 });
    }
}

impl Fold for Ingest {
    type Main = Version;
    type Aside = Nothing;
    type Out = Update;

    fn fetch(&self, new: &Version, step: usize) {
        if step < 2 {
            self.state.fetch(new.id, step);
        }
    }

    fn main(&mut self, new: &Version) {
        let Some(slot) = self.state.find(new.id) else {
            self.state.insert(new);
            self.tally.held += 1;
            self.win(None, new);
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
                self.win(Some(old), new);
            }
        }
    }

    fn at_once(&mut self, out: &mut Vec<Update>) {
        out.append(&mut self.out);
        let tally = std::mem::take(&mut self.tally);
        self.counts.applied.fetch_add(tally.applied, Relaxed);
        self.counts.stale.fetch_add(tally.stale, Relaxed);
        self.counts.repeated.fetch_add(tally.repeated, Relaxed);
        self.counts.live.fetch_add(tally.live, Relaxed);
        self.counts.held.fetch_add(tally.held, Relaxed);
    }

    fn close(&mut self, _: &mut Vec<Update>) {}
}
