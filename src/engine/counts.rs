//! Counts that must add up: read = applied + ignored (by reason) + dead letters (by reason).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use eddy_schemas::frame::Tally;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Ticks whose watermark is remembered: more than wait for any sink.
const WATERMARKS_MAX: usize = 1 << 12;

/// Counts of one engine, over all workers.
#[derive(Default)]
pub struct Counts {
    pub read: AtomicU64,
    pub applied: AtomicU64,
    pub stale: AtomicU64,
    pub repeated: AtomicU64,
    /// Live messages now.
    pub live: AtomicI64,
    /// Ids held, tombstones among them.
    pub held: AtomicI64,
    /// Event time up to which records are taken to be in, seconds since 1970, as of each of the last ticks.
    watermarks: Mutex<BTreeMap<u64, i64>>,
    ignored: Mutex<BTreeMap<String, u64>>,
    dead: Mutex<BTreeMap<String, u64>>,
}

/// A consistent-enough copy: exact when the engine is at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub read: u64,
    pub applied: u64,
    pub ignored: BTreeMap<String, u64>,
    pub dead: BTreeMap<String, u64>,
    pub live: i64,
    pub held: i64,
    pub watermark: Option<i64>,
}

impl Counts {
    /// Adds what one worker did in one tick.
    pub fn add(&self, tally: &Tally) {
        self.read.fetch_add(tally.read, Relaxed);
        self.applied.fetch_add(tally.applied, Relaxed);
        self.stale.fetch_add(tally.stale, Relaxed);
        self.repeated.fetch_add(tally.repeated, Relaxed);
        for (counts, reasons) in [(&self.ignored, &tally.ignored), (&self.dead, &tally.dead)] {
            if !reasons.is_empty() {
                let mut counts = counts.lock();
                reasons.iter().for_each(|(reason, count)| *counts.entry(reason.clone()).or_default() += count);
            }
        }
    }

    /// The watermark as of a tick.
    pub fn reached(&self, tick: u64, watermark: i64) {
        let mut watermarks = self.watermarks.lock();
        watermarks.insert(tick, watermark);
        if watermarks.len() > WATERMARKS_MAX {
            watermarks.pop_first();
        }
    }

    /// The watermark as of a tick that not so many others have closed since; none before the first.
    pub fn watermark_at(&self, tick: u64) -> Option<i64> {
        self.watermarks.lock().range(..=tick).next_back().map(|(_, watermark)| *watermark)
    }

    pub fn snapshot(&self) -> Snapshot {
        let mut ignored = self.ignored.lock().clone();
        ignored.insert("stale".into(), self.stale.load(Relaxed));
        ignored.insert("repeated".into(), self.repeated.load(Relaxed));
        Snapshot {
            read: self.read.load(Relaxed),
            applied: self.applied.load(Relaxed),
            ignored,
            dead: self.dead.lock().clone(),
            live: self.live.load(Relaxed),
            held: self.held.load(Relaxed),
            watermark: self.watermarks.lock().last_key_value().map(|(_, watermark)| *watermark),
        }
    }
}

impl Snapshot {
    /// Adds the counts of another process.
    pub fn add(&mut self, other: &Snapshot) {
        self.read += other.read;
        self.applied += other.applied;
        self.live += other.live;
        self.held += other.held;
        for (to, from) in [(&mut self.ignored, &other.ignored), (&mut self.dead, &other.dead)] {
            from.iter().for_each(|(reason, count)| *to.entry(reason.clone()).or_default() += count);
        }
    }

    pub fn dead_letters(&self) -> u64 {
        self.dead.values().sum()
    }

    /// Nothing was lost and nothing counted twice.
    pub fn adds_up(&self) -> bool {
        self.read == self.applied + self.ignored.values().sum::<u64>() + self.dead_letters()
    }
}
