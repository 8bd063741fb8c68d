//! Pace: a share of one core, in short slices.

use std::time::{Duration, Instant};

/// The longest slice of work.
const SLICE: Duration = Duration::from_millis(4);
/// The longest pause after one.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Works for a slice, then sleeps for as long as the share demands. Time on the clock counts as work: on a busy machine it works less.
pub struct Pace {
    share: f64,
    since: Instant,
    worked: Duration,
}

impl Pace {
    /// `share` of a core, above 0; 1 and more: no pauses.
    pub fn new(share: f64) -> Self {
        Pace { share: share.max(0.001), since: Instant::now(), worked: Duration::ZERO }
    }

    pub fn set_share(&mut self, share: f64) {
        self.share = share.max(0.001);
    }

    /// This much of the slice was no work of its own.
    pub fn forgive(&mut self, time: Duration) {
        self.since = (self.since + time).min(Instant::now());
    }

    /// Time worked so far.
    pub fn worked(&self) -> Duration {
        self.worked + self.since.elapsed()
    }

    /// Call often: costs a look at the clock, and a pause when the slice is over.
    pub async fn breathe(&mut self) {
        if self.since.elapsed() >= SLICE {
            self.pause().await;
        }
    }

    /// Pauses for what has been worked since the last pause.
    pub async fn pause(&mut self) {
        let slice = self.since.elapsed();
        self.worked += slice;
        if self.share < 1.0 {
            tokio::time::sleep(slice.mul_f64(1.0 / self.share - 1.0).min(PAUSE_MAX)).await;
        } else {
            tokio::task::yield_now().await;
        }
        self.since = Instant::now();
    }

    /// Sleeps; that is no work.
    pub async fn sleep(&mut self, pause: Duration) {
        self.worked += self.since.elapsed();
        tokio::time::sleep(pause).await;
        self.since = Instant::now();
    }
}
