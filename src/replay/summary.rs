//! The summary of a replay: one line of JSON.

use std::time::Duration;

use serde_json::json;

use crate::engine::counts::Snapshot;

/// What a replay did.
pub struct Summary {
    pub counts: Snapshot,
    /// Rows of each view.
    pub views: Vec<(&'static str, u64)>,
    pub elapsed: Duration,
    /// Of all processes.
    pub workers: usize,
    pub processes: usize,
    /// Of all processes together; none where a kernel does not tell.
    pub peak_rss_bytes: Option<u64>,
    /// Files that could not be read to their end.
    pub incomplete: Vec<String>,
}

impl Summary {
    pub fn json(&self) -> serde_json::Value {
        let seconds = self.elapsed.as_secs_f64();
        json!({
            "read": self.counts.read,
            "applied": self.counts.applied,
            "ignored": self.counts.ignored,
            "dead_letters": self.counts.dead_letters(),
            "views": self.views.iter().map(|(name, rows)| ((*name).to_owned(), json!(rows))).collect::<serde_json::Map<_, _>>(),
            "seconds": (seconds * 1e3).round() / 1e3,
            "records_per_second": (self.counts.read as f64 / seconds.max(1e-9)).round(),
            "workers": self.workers,
            "processes": self.processes,
            "peak_rss_bytes": self.peak_rss_bytes,
            "incomplete": self.incomplete,
        })
    }
}

/// The most memory that this process ever had, as the kernel counts it; none where it does not tell.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}
