//! The watermark: event time up to which records are taken to be in, the same on every worker at the end of a tick.
//!
//! ```text
//!   Parse: greatest created_at of a tick --> worker 0: the greatest so far --> every worker: Moment, where it moved
//! ```

use eddy_dataflows::Moment;
use eddy_dataflows::batch::{Batches, map, route};
use eddy_dataflows::calendar::Second;
use eddy_dataflows::fold::{Fold, Nothing, fold};
use eddy_dataflows::inputs::Moments;

/// The greatest created_at so far, and what was told of it.
struct Watermark {
    workers: u64,
    greatest: Option<Second>,
    told: Option<Second>,
}

impl Fold for Watermark {
    type Main = Option<Second>;
    type Aside = Nothing;
    /// To which worker, and what.
    type Out = (u64, Second);

    fn main(&mut self, greatest: &Option<Second>) {
        self.greatest = self.greatest.max(*greatest);
    }

    fn close(&mut self, out: &mut Vec<(u64, Second)>) {
        if let Some(watermark) = self.greatest.filter(|_| self.greatest != self.told) {
            self.told = self.greatest;
            out.extend((0..self.workers).map(|worker| (worker, watermark)));
        }
    }
}

/// `greatest`: of what each worker read in a tick.
pub fn moments(greatest: Batches<'_, Option<Second>>, workers: usize) -> Moments<'_> {
    let here = route(greatest, "ToWatermark", |_| 0);
    let told = fold(here, "Watermark", Watermark { workers: workers as u64, greatest: None, told: None });
    map(route(told, "Moments", |(worker, _)| *worker), |(_, watermark)| Moment { watermark: *watermark })
}
