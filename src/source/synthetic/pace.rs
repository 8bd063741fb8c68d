//! Pace: events per second, evenly, from the generator to the log.
//!
//! ```text
//!   clock --> what is due since the last round (at most a quarter second's worth) --> batch --> accept --> log
//! ```
//!
//! # Invariants
//! 1. What was missed while the log or the machine was slow is not caught up beyond [`BURST_MS`].
//! 2. At rate 0 the thread sleeps until the rate changes; after [`Control::new`]'s `events_max` events, until it is told to stop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Event, Fact, Synthetic};
use crate::log::{self, Topic};

/// The most that is caught up after a pause, milliseconds of the rate.
pub const BURST_MS: u64 = 250;
/// Records appended at once.
pub const BATCH_MAX: usize = 1024;
/// Rounds are at least this far apart.
const ROUND: Duration = Duration::from_millis(10);
/// How long a round waits when the reader is behind.
const BEHIND: Duration = Duration::from_millis(25);
/// The greatest rate, events per second.
pub const RATE_MAX: u32 = 1_000_000;

/// Steers a running source from other threads.
pub struct Control {
    events_max: u64,
    wanted: Mutex<Wanted>,
    changed: Condvar,
    emitted: AtomicU64,
    without_effect: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct Wanted {
    rate: u32,
    stop: bool,
}

impl Control {
    /// `rate` events per second; 0: none. After `events_max` of them there are no more.
    pub fn new(rate: u32, events_max: u64) -> Self {
        let wanted = Wanted { rate: rate.min(RATE_MAX), stop: false };
        Control {
            events_max,
            wanted: Mutex::new(wanted),
            changed: Condvar::new(),
            emitted: AtomicU64::new(0),
            without_effect: AtomicU64::new(0),
        }
    }

    pub fn rate(&self) -> u32 {
        self.wanted.lock().rate
    }

    pub fn set_rate(&self, rate: u32) {
        self.wanted.lock().rate = rate.min(RATE_MAX);
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.wanted.lock().stop = true;
        self.changed.notify_all();
    }

    /// Events appended so far.
    pub fn emitted(&self) -> u64 {
        self.emitted.load(Ordering::Relaxed)
    }

    /// All events that there may be have been appended.
    pub fn is_at_end(&self) -> bool {
        self.emitted() >= self.events_max
    }

    /// Those of them that change nothing: repeated, broken, of no consequence.
    pub fn without_effect(&self) -> u64 {
        self.without_effect.load(Ordering::Relaxed)
    }

    /// Sleeps for `pause`, or until the rate changes or `stop`.
    fn sleep(&self, pause: Option<Duration>) {
        let mut wanted = self.wanted.lock();
        if wanted.stop {
            return;
        }
        match pause {
            Some(pause) => _ = self.changed.wait_for(&mut wanted, pause),
            None if wanted.rate == 0 || self.is_at_end() => self.changed.wait(&mut wanted),
            None => {}
        }
    }
}

/// Where events go.
///
/// # Contract
/// - **In order**: events of one topic are appended in the order given.
/// - **Told with it**: whoever keeps the truth has heard of an event by the time that anyone can read it.
pub trait Accept: Send + Sync {
    fn accept(&self, events: Vec<Event>, now_ms: i64) -> Result<(), log::Error>;
    /// Readers are so far behind that the source had better wait.
    fn is_full(&self) -> bool {
        false
    }
}

/// Records by topic, each in order, and for each the facts of its records.
pub fn by_topic(events: Vec<Event>, now_ms: i64) -> ([(Topic, Vec<log::Append>); 2], [Vec<Option<Fact>>; 2]) {
    let mut records = [(Topic::Reddit, Vec::new()), (Topic::Telegram, Vec::new())];
    let mut facts = [Vec::new(), Vec::new()];
    for event in events {
        let at = usize::from(event.topic != Topic::Reddit);
        records[at].1.push(log::Append { key: event.key, value: event.value, received_at_ms: now_ms });
        facts[at].push(event.fact);
    }
    (records, facts)
}

/// Straight to the log, with no truth kept.
impl Accept for std::sync::Arc<dyn log::Log> {
    fn accept(&self, events: Vec<Event>, now_ms: i64) -> Result<(), log::Error> {
        for (topic, records) in by_topic(events, now_ms).0 {
            self.append(topic, &records)?;
        }
        Ok(())
    }
}

/// Runs until told to stop, on a thread of its own; gives the number of events. `now_ms` is the clock, milliseconds since 1970.
pub fn run(mut synthetic: Synthetic, to: &dyn Accept, control: &Control, now_ms: &dyn Fn() -> i64) -> Result<u64, log::Error> {
    let (mut last, mut owed) = (Instant::now(), 0.0f64);
    loop {
        let Wanted { rate, stop } = *control.wanted.lock();
        if stop {
            return Ok(control.emitted());
        }
        if rate == 0 || control.is_at_end() {
            control.sleep(None);
            (last, owed) = (Instant::now(), 0.0);
            continue;
        }
        if to.is_full() {
            control.sleep(Some(BEHIND));
            continue;
        }
        let now = Instant::now();
        let burst = (f64::from(rate) * BURST_MS as f64 / 1000.0).max(1.0);
        owed = (owed + (now - last).as_secs_f64() * f64::from(rate)).min(burst);
        last = now;
        let left = usize::try_from(control.events_max - control.emitted()).unwrap_or(usize::MAX);
        let batch = (owed as usize).min(BATCH_MAX).min(left);
        if batch > 0 {
            owed -= batch as f64;
            let at = now_ms();
            let events: Vec<_> = (0..batch).map(|_| synthetic.next(at)).collect();
            let idle = events.iter().filter(|e| e.fact.is_none()).count() as u64;
            to.accept(events, at)?;
            control.emitted.fetch_add(batch as u64, Ordering::Relaxed);
            control.without_effect.fetch_add(idle, Ordering::Relaxed);
        }
        if owed < 1.0 {
            let until_next = Duration::from_secs_f64((1.0 - owed) / f64::from(rate));
            control.sleep(Some(until_next.max(ROUND).saturating_sub(now.elapsed())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::sync::Arc;

    #[derive(Default)]
    struct Counted(AtomicU64);

    impl Accept for Counted {
        fn accept(&self, events: Vec<Event>, _: i64) -> Result<(), log::Error> {
            self.0.fetch_add(events.len() as u64, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn the_rate_is_kept_and_none_is_none() {
        let (to, control) = (Arc::new(Counted::default()), Arc::new(Control::new(0, u64::MAX)));
        let thread = {
            let (to, control) = (to.clone(), control.clone());
            std::thread::spawn(move || {
                run(Synthetic::new(1, Config::default()), &*to, &control, &|| 1_800_000_000_000).expect("no log, no error")
            })
        };
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(to.0.load(Ordering::Relaxed), 0);
        control.set_rate(1000);
        let from = Instant::now();
        while to.0.load(Ordering::Relaxed) < 200 {
            assert!(from.elapsed() < Duration::from_secs(20), "200 events at 1000 a second");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(from.elapsed() > Duration::from_millis(100), "not faster than the rate");
        control.stop();
        assert_eq!(thread.join().expect("no panic"), to.0.load(Ordering::Relaxed));
    }
    #[test]
    fn it_rests_after_so_many_events_and_still_stops() {
        let (to, control) = (Arc::new(Counted::default()), Arc::new(Control::new(RATE_MAX, 1500)));
        let thread = {
            let (to, control) = (to.clone(), control.clone());
            std::thread::spawn(move || run(Synthetic::new(1, Config::default()), &*to, &control, &|| 1_800_000_000_000))
        };
        let from = Instant::now();
        while !control.is_at_end() {
            assert!(from.elapsed() < Duration::from_secs(20), "1500 events at a million a second");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(60));
        assert!(!thread.is_finished());
        control.stop();
        assert_eq!(thread.join().expect("no panic").expect("no log, no error"), 1500);
        assert_eq!(to.0.load(Ordering::Relaxed), 1500);
    }
}
