//! The watermark: event time up to which records are taken to be in, the same on every worker at the end of a tick.
//!
//! ```text
//!   driver: which partitions count, or what was told before a restart --> end of tick --\
//!   Parse: greatest created_at that a worker read of each partition ---------------------+--> worker 0: Watermark
//!                                                                                               |
//!                      Ingest (frame, sealing), views  <-- every worker: Moment, where it moved <--/
//! ```
//!
//! # Invariants
//! 1. It is the least, over the partitions that count, of the greatest created_at read of each; it waits for one that has brought nothing yet.
//!    Where nobody counts, since all there is has been read or has been silent for too long, it is the greatest of all.
//! 2. It never goes back, and never beyond the tick: a tick is the clock as its frame binds it.
//! 3. What a frame says is what it was: a tick that is told again decides nothing, whatever the clock says now.
//! 4. The sealed-before time follows at the retention's distance. What a tick says of it holds for the records of the next one: so it does
//!    not matter in which order those of one tick come.

use std::collections::BTreeMap;

use eddy_dataflows::Moment;
use eddy_dataflows::batch::{Batches, map, route};
use eddy_dataflows::calendar::Second;
use eddy_dataflows::fold::{Fold, Nothing, fold};
use eddy_dataflows::inputs::Moments;
use eddy_schemas::frame;
use serde::{Deserialize, Serialize};

/// The greatest created_at of some partitions, by their numbers.
pub type Greatest = BTreeMap<u32, Second>;

/// A moment as frames keep it.
pub fn kept(moment: Moment) -> frame::Time {
    frame::Time { watermark: moment.watermark.get(), sealed_before: moment.sealed_before.map(Second::get) }
}

/// A moment as frames have kept it; none where the times are none.
pub fn told(time: frame::Time) -> Option<Moment> {
    let sealed_before = time.sealed_before.and_then(Second::of);
    Second::of(time.watermark).map(|watermark| Moment { watermark, sealed_before })
}

/// What frames have kept of partitions.
pub fn noted(greatest: &BTreeMap<u32, i64>) -> Greatest {
    greatest.iter().filter_map(|(partition, at)| Some((*partition, Second::of(*at)?))).collect()
}

/// What decides the time of a tick.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Time {
    /// These partitions count, of those that the driver reads; the others have been idle for too long, or are at their end. Some that are read
    /// one after another count as one: the greatest of them.
    Now { active: Vec<Vec<u32>> },
    /// Nobody is waited for: all partitions are at their end, or have brought nothing for too long. What comes after all is late, or in time, by
    /// what it is then.
    AllIn,
    /// It was decided before; none: there was none yet.
    Told(Option<Moment>),
}

/// What a worker says at the end of a tick.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Of what it read in this tick.
    pub greatest: Greatest,
    /// What its driver said: the first worker's of each process only.
    pub time: Option<Time>,
}

/// The event time of everything so far.
struct Watermark {
    workers: u64,
    retention_s: Option<i64>,
    greatest: Greatest,
    time: Option<Time>,
    tick: u64,
    moment: Option<Moment>,
}

impl Watermark {
    fn greatest_of(&self, partitions: &[u32]) -> Option<Second> {
        partitions.iter().filter_map(|partition| self.greatest.get(partition).copied()).max()
    }

    fn next(&self, time: Time) -> Option<Moment> {
        let least = match time {
            // What was told was decided with all that is known here: it does not go back either.
            Time::Told(moment) => return moment.or(self.moment),
            // None is least: of a partition that has brought nothing.
            Time::Now { active } => active.iter().map(|one| self.greatest_of(one)).min().flatten(),
            Time::AllIn => self.greatest.values().copied().max(),
        };
        let clock = i64::try_from(self.tick / 1_000).ok().and_then(Second::of).unwrap_or(Second::MAX);
        let reached = least.map(|least| least.min(clock));
        let watermark = reached.max(self.moment.map(|moment| moment.watermark))?;
        let sealed = self.retention_s.and_then(|retention_s| Second::of(watermark.get() - retention_s));
        Some(Moment { watermark, sealed_before: sealed.max(self.moment.and_then(|moment| moment.sealed_before)) })
    }
}

impl Fold for Watermark {
    type Main = Report;
    type Aside = Nothing;
    /// To which worker, and what.
    type Out = (u64, Moment);

    fn main(&mut self, report: &Report) {
        for (partition, at) in &report.greatest {
            let greatest = self.greatest.entry(*partition).or_insert(*at);
            *greatest = (*at).max(*greatest);
        }
        if let Some(time) = &report.time {
            self.time = Some(match (self.time.take(), time) {
                // Each of several drivers says it of what it reads.
                (Some(Time::Now { active: others }), Time::Now { active }) => Time::Now { active: [&others[..], active].concat() },
                (_, time) => time.clone(),
            });
        }
    }

    fn closing(&mut self, tick: u64) {
        self.tick = tick;
    }

    fn close(&mut self, out: &mut Vec<(u64, Moment)>) {
        // A tick without an end has only been given up.
        let Some(time) = self.time.take() else { return };
        let moment = self.next(time);
        if let Some(moved) = moment.filter(|_| moment != self.moment) {
            self.moment = moment;
            out.extend((0..self.workers).map(|worker| (worker, moved)));
        }
    }
}

/// Each tick's time where it is not that of the tick before, on every worker.
pub fn moments(reports: Batches<'_, Report>, retention_s: Option<i64>, workers: usize) -> Moments<'_> {
    let here = route(reports, "ToWatermark", |_| 0);
    let state = Watermark { workers: workers as u64, retention_s, greatest: Greatest::new(), time: None, tick: 0, moment: None };
    let told = fold(here, "Watermark", state);
    map(route(told, "Moments", |(worker, _)| *worker), |(_, moment)| *moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(active: &[u32]) -> Time {
        Time::Now { active: active.iter().map(|partition| vec![*partition]).collect() }
    }

    struct Bench(Watermark);

    impl Bench {
        fn new(retention_s: Option<i64>) -> Bench {
            Bench(Watermark { workers: 1, retention_s, greatest: Greatest::new(), time: None, tick: 0, moment: None })
        }

        /// A tick at this second, of which these partitions brought that.
        fn tick(&mut self, clock: i64, active: &[u32], brought: &[(u32, i64)]) -> Option<i64> {
            self.end(clock, each(active), brought)
        }

        fn end(&mut self, clock: i64, time: Time, brought: &[(u32, i64)]) -> Option<i64> {
            let greatest = brought.iter().map(|(partition, at)| (*partition, Second::new(*at))).collect();
            self.0.main(&Report { greatest, time: Some(time) });
            self.0.closing(clock as u64 * 1_000 + 999);
            self.0.close(&mut vec![]);
            self.0.moment.map(|moment| moment.watermark.get())
        }

        fn sealed_before(&self) -> Option<i64> {
            self.0.moment?.sealed_before.map(Second::get)
        }
    }

    #[test]
    fn it_is_the_least_over_partitions_that_count() {
        let mut bench = Bench::new(None);
        assert_eq!(bench.tick(1_000, &[0, 1], &[(0, 500)]), None, "the other may bring anything");
        assert_eq!(bench.tick(1_001, &[0, 1], &[(1, 300)]), Some(300));
        assert_eq!(bench.tick(1_002, &[0, 1], &[(0, 700), (1, 200)]), Some(300), "the greatest of each");
        assert_eq!(bench.tick(1_003, &[0, 1], &[(1, 600)]), Some(600));
        assert_eq!(bench.tick(1_004, &[0], &[]), Some(700), "an idle one is left out");
        assert_eq!(bench.tick(1_005, &[0, 1], &[(1, 650)]), Some(700), "it never goes back");
        assert_eq!(bench.tick(1_006, &[], &[(0, 900)]), Some(700), "nobody counts: nothing moves");
    }

    #[test]
    fn it_waits_for_what_any_driver_reads_until_all_are_through() {
        let mut bench = Bench::new(None);
        let says = |bench: &mut Bench, active: &[u32], brought: &[(u32, i64)]| {
            let greatest = brought.iter().map(|(partition, at)| (*partition, Second::new(*at))).collect();
            bench.0.main(&Report { greatest, time: Some(each(active)) });
        };
        says(&mut bench, &[0], &[(0, 300)]);
        assert_eq!(bench.tick(1_000, &[1], &[(1, 700)]), Some(300), "the other has older ones");
        says(&mut bench, &[], &[(0, 400)]);
        assert_eq!(bench.tick(1_001, &[1], &[(1, 600)]), Some(700), "it was the slowest, and has no more");
        says(&mut bench, &[0], &[(0, 900)]);
        assert_eq!(bench.tick(1_002, &[1], &[]), Some(700));
        assert_eq!(bench.end(1_003, Time::AllIn, &[]), Some(900), "the greatest of all");
    }

    #[test]
    fn whoever_goes_on_after_all_were_silent_takes_nothing_back() {
        let mut bench = Bench::new(Some(100));
        assert_eq!(bench.tick(1_000, &[0, 1], &[(0, 500)]), None);
        assert_eq!(bench.end(1_001, Time::AllIn, &[]), Some(500));
        assert_eq!(bench.tick(1_002, &[1], &[(1, 450)]), Some(500), "it is older, and in time");
        assert_eq!(bench.sealed_before(), Some(400));
        assert_eq!(bench.tick(1_003, &[0, 1], &[(0, 800)]), Some(500), "it is the other that is waited for");
        assert_eq!(bench.end(1_004, Time::AllIn, &[(1, 5_000)]), Some(1_004), "nor is it beyond the clock then");
    }

    #[test]
    fn of_files_that_are_read_one_after_another_the_greatest_counts() {
        let mut bench = Bench::new(None);
        let one = |active: &[u32]| Time::Now { active: vec![active.to_vec()] };
        assert_eq!(bench.end(1_000, one(&[7]), &[]), None, "it has brought nothing yet");
        assert_eq!(bench.end(1_001, one(&[7, 8]), &[(7, 300), (8, 100)]), Some(300), "the second begins before the end of the first");
        assert_eq!(bench.end(1_002, one(&[8]), &[(8, 200)]), Some(300));
        assert_eq!(bench.end(1_003, one(&[8]), &[(8, 350)]), Some(350));
    }

    #[test]
    fn it_never_goes_beyond_the_tick() {
        let mut bench = Bench::new(None);
        // Up to a day ahead is no `future` yet.
        assert_eq!(bench.tick(1_000, &[0], &[(0, 80_000)]), Some(1_000));
        assert_eq!(bench.tick(2_500, &[0], &[]), Some(2_500), "it follows the clock up to what was read");
        assert_eq!(bench.tick(90_000, &[0], &[]), Some(80_000));
    }

    #[test]
    fn what_was_told_is_not_decided_again() {
        let mut bench = Bench::new(Some(60));
        let told = Moment { watermark: Second::new(700), sealed_before: Some(Second::new(600)) };
        assert_eq!(bench.end(10, Time::Told(Some(told)), &[(0, 5_000)]), Some(700));
        assert_eq!(bench.sealed_before(), Some(600));
        assert_eq!(bench.end(11, Time::Told(None), &[]), Some(700));
        assert_eq!(bench.tick(6_000, &[0], &[]), Some(5_000), "what was read then counts from now on");
    }

    #[test]
    fn sealing_follows_and_never_goes_back() {
        let mut bench = Bench::new(Some(3_600));
        bench.tick(100_000, &[0], &[(0, 50_030)]);
        assert_eq!(bench.sealed_before(), Some(46_430));
        bench.tick(100_001, &[0], &[(0, 50_031)]);
        assert_eq!(bench.sealed_before(), Some(46_431));
        bench.0.retention_s = Some(7_200);
        bench.tick(100_002, &[0], &[(0, 50_100)]);
        assert_eq!(bench.sealed_before(), Some(46_431), "a longer retention brings nothing back");
        bench.0.retention_s = None;
        bench.tick(100_003, &[0], &[(0, 90_000)]);
        assert_eq!(bench.sealed_before(), Some(46_431));
    }
}
