//! Counts that must add up: read = applied + ignored (by reason) + dead letters (by reason).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

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
    pub held: AtomicU64,
    ignored: Mutex<BTreeMap<Cow<'static, str>, u64>>,
    dead: Mutex<BTreeMap<Cow<'static, str>, u64>>,
}

/// A consistent-enough copy: exact when the engine is at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub read: u64,
    pub applied: u64,
    pub ignored: BTreeMap<String, u64>,
    pub dead: BTreeMap<String, u64>,
    pub live: i64,
    pub held: u64,
}

impl Counts {
    pub fn ignore(&self, reason: Cow<'static, str>, count: u64) {
        *self.ignored.lock().entry(reason).or_default() += count;
    }

    pub fn dead(&self, reason: Cow<'static, str>) {
        *self.dead.lock().entry(reason).or_default() += 1;
    }

    pub fn snapshot(&self) -> Snapshot {
        let copy = |counts: &Mutex<BTreeMap<Cow<'static, str>, u64>>| {
            counts.lock().iter().map(|(reason, count)| (reason.to_string(), *count)).collect::<BTreeMap<_, _>>()
        };
        let mut ignored = copy(&self.ignored);
        ignored.insert("stale".into(), self.stale.load(Relaxed));
        ignored.insert("repeated".into(), self.repeated.load(Relaxed));
        Snapshot {
            read: self.read.load(Relaxed),
            applied: self.applied.load(Relaxed),
            ignored,
            dead: copy(&self.dead),
            live: self.live.load(Relaxed),
            held: self.held.load(Relaxed),
        }
    }
}

impl Snapshot {
    pub fn dead_letters(&self) -> u64 {
        self.dead.values().sum()
    }

    /// Nothing was lost and nothing counted twice.
    pub fn adds_up(&self) -> bool {
        self.read == self.applied + self.ignored.values().sum::<u64>() + self.dead_letters()
    }
}
