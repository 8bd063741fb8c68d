//! Pause points: places between two steps where a test can have the process stop, as if the machine had frozen it just there. In debug
//! builds only: a release build has none.
//!
//! ```text
//!   EDDY_PAUSE=framed:12     the 12th time that it comes to `framed` the process sends itself SIGSTOP, and goes on at SIGCONT
//! ```

/// The process has come to a point.
#[cfg(not(debug_assertions))]
pub fn at(_point: &str) {}

/// The process has come to a point.
#[cfg(debug_assertions)]
pub fn at(point: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ASKED: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let asked = std::env::var("EDDY_PAUSE").ok()?;
        let (point, time) = asked.split_once(':').unwrap_or((&asked, "1"));
        Some((point.to_owned(), time.parse().ok()?))
    });
    static TIMES: AtomicU64 = AtomicU64::new(0);
    if let Some((asked, time)) = &*ASKED
        && asked == point
        && TIMES.fetch_add(1, Ordering::Relaxed) + 1 == *time
    {
        // It stops all threads.
        let _ = signal_hook::low_level::raise(signal_hook::consts::SIGSTOP);
    }
}
