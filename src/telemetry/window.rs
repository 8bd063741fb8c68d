//! Sliding windows over the last seconds, in atomics.
//!
//! ```text
//!   slot 0 | slot 1 | ... | slot n     each: which stretch of time it counts (epoch), and its counts
//! ```
//!
//! A slot is cleared by whoever first counts in a new stretch of time. Counts that race with that clearing may be lost: a
//! handful of some thousands, in what is shown to people. Totals are counted elsewhere and lose nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

struct Slot {
    /// Number of the stretch, from 1; 0: never used.
    epoch: AtomicU64,
    counts: Box<[AtomicU64]>,
}

struct Ring {
    slots: Box<[Slot]>,
    slot_ms: u64,
}

impl Ring {
    fn new(window: Duration, slots: u64, counts: usize) -> Self {
        let slot = || Slot { epoch: AtomicU64::new(0), counts: (0..counts).map(|_| AtomicU64::new(0)).collect() };
        // one more than the window holds: the newest is still filling
        Ring { slots: (0..=slots).map(|_| slot()).collect(), slot_ms: (window.as_millis() as u64 / slots).max(1) }
    }

    fn epoch(&self, now: Duration) -> u64 {
        now.as_millis() as u64 / self.slot_ms + 1
    }

    fn add(&self, now: Duration, count: usize, n: u64) {
        let epoch = self.epoch(now);
        let slot = &self.slots[(epoch % self.slots.len() as u64) as usize];
        let held = slot.epoch.load(Relaxed);
        if held < epoch && slot.epoch.compare_exchange(held, epoch, Relaxed, Relaxed).is_ok() {
            slot.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        slot.counts[count].fetch_add(n, Relaxed);
    }

    /// Slots that still count at `now`.
    fn live(&self, now: Duration) -> impl Iterator<Item = &Slot> {
        let epoch = self.epoch(now);
        let oldest = (epoch + 1).saturating_sub(self.slots.len() as u64).max(1);
        self.slots.iter().filter(move |slot| (oldest..=epoch).contains(&slot.epoch.load(Relaxed)))
    }
}

/// Something a second: over a window, and in each of the last sixty seconds.
pub struct Rate {
    ring: Ring,
    window: Duration,
    minute: Ring,
}

impl Rate {
    pub fn new(window: Duration) -> Self {
        Rate { ring: Ring::new(window, 20, 1), window, minute: Ring::new(Duration::from_secs(60), 60, 1) }
    }

    /// `now`: since the start.
    pub fn add(&self, now: Duration, n: u64) {
        self.ring.add(now, 0, n);
        self.minute.add(now, 0, n);
    }

    /// Each of the last sixty whole seconds, oldest first.
    pub fn by_second(&self, now: Duration) -> Vec<u64> {
        let epoch = self.minute.epoch(now);
        let mut seconds = vec![0; 60];
        for slot in self.minute.live(now) {
            let age = epoch.saturating_sub(slot.epoch.load(Relaxed)) as usize;
            if (1..=60).contains(&age) {
                seconds[60 - age] = slot.counts[0].load(Relaxed);
            }
        }
        seconds
    }

    /// The window reaches back to the start of its oldest slot.
    pub fn per_second(&self, now: Duration) -> f64 {
        let n: u64 = self.ring.live(now).map(|slot| slot.counts[0].load(Relaxed)).sum();
        let filling_ms = now.as_millis() as u64 % self.ring.slot_ms;
        let reach = self.window + Duration::from_millis(filling_ms);
        n as f64 / reach.min(now).as_secs_f64().max(0.1)
    }
}

/// Buckets of durations: exact to 32 us, then 16 to each doubling, to 2^41 us (25 days).
const BUCKETS: usize = 32 + 36 * 16;

fn bucket(us: u64) -> usize {
    if us < 32 {
        return us as usize;
    }
    let us = us.min((1 << 41) - 1);
    let doubling = us.ilog2();
    32 + (doubling as usize - 5) * 16 + ((us >> (doubling - 4)) & 15) as usize
}

/// The greatest duration of a bucket: what it tells is never below the truth.
fn upper_us(bucket: usize) -> u64 {
    if bucket < 32 {
        return bucket as u64;
    }
    let (doubling, part) = ((bucket - 32) / 16 + 5, (bucket - 32) as u64 % 16);
    ((16 + part + 1) << (doubling - 4)) - 1
}

/// Durations over a window.
pub struct Latencies(Ring);

impl Latencies {
    pub fn new(window: Duration) -> Self {
        Latencies(Ring::new(window, 30, BUCKETS))
    }

    /// `now`: since the start.
    pub fn add(&self, now: Duration, took: Duration, n: u64) {
        self.0.add(now, bucket(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)), n);
    }

    /// Nearest-rank quantiles in seconds, and of how many. `None`: nothing in the window.
    pub fn quantiles<const N: usize>(&self, now: Duration, quantiles: [f64; N]) -> Option<([f64; N], u64)> {
        let mut counts = vec![0u64; BUCKETS];
        for slot in self.0.live(now) {
            counts.iter_mut().zip(&slot.counts).for_each(|(sum, n)| *sum += n.load(Relaxed));
        }
        let all: u64 = counts.iter().sum();
        let at = |quantile: f64| {
            let rank = ((all as f64 * quantile).ceil() as u64).max(1);
            let mut below = 0;
            let found = counts.iter().position(|n| {
                below += n;
                below >= rank
            });
            upper_us(found.unwrap_or(BUCKETS - 1)) as f64 / 1e6
        };
        (all > 0).then(|| (quantiles.map(at), all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_bucket_holds_what_is_within_a_sixteenth_of_its_upper_end() {
        for us in (0..10_000).chain([1 << 20, (1 << 30) + 12_345, (1 << 41) - 1]) {
            let upper = upper_us(bucket(us));
            assert!(us <= upper && upper as f64 <= us as f64 * 1.0625, "{us} -> {upper}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let latencies = Latencies::new(s(60));
        latencies.add(s(1), s(9), 1);
        latencies.add(s(50), Duration::from_micros(10), 1);
        assert_eq!(latencies.quantiles(s(55), [0.5]).map(|(_, n)| n), Some(2));
        assert_eq!(latencies.quantiles(s(70), [0.5, 0.99]), Some(([1e-5, 1e-5], 1)));
        assert_eq!(latencies.quantiles(s(200), [0.5]), None);
    }

    #[test]
    fn a_steady_rate_is_told_as_it_is() {
        let rate = Rate::new(s(5));
        assert_eq!(rate.per_second(s(0)), 0.0);
        for ms in 0..20_000 {
            rate.add(Duration::from_millis(ms), 3);
        }
        let told = rate.per_second(s(20));
        assert!((2950.0..=3050.0).contains(&told), "{told}");
        assert_eq!(rate.per_second(s(40)), 0.0);
        let seconds = rate.by_second(s(30));
        assert_eq!((seconds.len(), seconds[29], seconds[30], seconds[49], seconds[50]), (60, 0, 3000, 3000, 0));
    }
}
