//! Counts by reason, for few reasons: a linear search over slots that are written once, no lock.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use prometheus::{IntCounter, IntCounterVec, Opts};

use super::letters::cut;

/// Distinct reasons kept apart; what comes after them counts as [`OTHER`]. Reasons are names in the code (`stale`,
/// `kind:t5`), but a kind is what a record says it is, so a foreign producer could make up any number of them.
pub const CAP: usize = 64;
/// The reason of what is beyond the cap.
pub const OTHER: &str = "other";
/// A reason is cut here: it becomes a label.
const REASON_BYTES_MAX: usize = 64;

/// Counts by reason.
pub struct Reasons {
    vec: IntCounterVec,
    slots: [OnceLock<(String, IntCounter)>; CAP],
}

impl Reasons {
    pub fn new(name: &str, help: &str) -> Self {
        let vec = IntCounterVec::new(Opts::new(name, help), &["reason"]).expect("the name is a constant");
        Reasons { vec, slots: [const { OnceLock::new() }; CAP] }
    }

    pub fn collector(&self) -> IntCounterVec {
        self.vec.clone()
    }

    pub fn add(&self, reason: &str, n: u64) {
        let reason = cut(reason, REASON_BYTES_MAX);
        for slot in &self.slots {
            // two that race for an empty slot: one fills it, the other sees whose it is and goes on
            let (name, counter) = slot.get_or_init(|| (reason.to_owned(), self.vec.with_label_values(&[reason])));
            if name == reason {
                return counter.inc_by(n);
            }
        }
        self.vec.with_label_values(&[OTHER]).inc_by(n);
    }

    pub fn counts(&self) -> BTreeMap<String, u64> {
        let known = self.slots.iter().map_while(OnceLock::get).map(|(name, counter)| (name.clone(), counter.get()));
        let mut counts: BTreeMap<String, u64> = known.collect();
        if counts.len() == CAP {
            counts.insert(OTHER.to_owned(), self.vec.with_label_values(&[OTHER]).get());
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_beyond_the_cap_count_as_other() {
        let reasons = Reasons::new("n_total", "n");
        for i in 0..1000 {
            reasons.add(&format!("kind:{i}"), 1);
        }
        let counts = reasons.counts();
        assert_eq!(counts.values().sum::<u64>(), 1000);
        assert_eq!(counts[OTHER], 1000 - CAP as u64);
        assert_eq!(counts.len(), CAP + 1);
    }

    #[test]
    fn threads_that_race_lose_no_count() {
        let reasons = Reasons::new("n_total", "n");
        std::thread::scope(|scope| {
            for t in 0..4 {
                let reasons = &reasons;
                scope.spawn(move || (0..1000).for_each(|i| reasons.add(["a", "b", "c"][(i + t) % 3], 1)));
            }
        });
        assert_eq!(reasons.counts().values().sum::<u64>(), 4000);
    }
}
