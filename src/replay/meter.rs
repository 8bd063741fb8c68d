//! What a person sees while a replay runs: a bar on a terminal, plain lines elsewhere; always on stderr.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::{counted, say};
use crate::engine::counts::Snapshot;

/// Plain lines come this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub enum Meter {
    Bar(ProgressBar),
    Lines { started: Instant, last: Mutex<Instant> },
    Nothing,
}

impl Meter {
    /// Whatever suits stderr.
    pub fn stderr() -> Self {
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Meter::Lines { started: now, last: Mutex::new(now) };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Meter::Bar(bar)
    }

    /// Of a pipe nobody knows how much is left, so nothing is said of it.
    pub fn begin(&self, total: Option<u64>) {
        let Meter::Bar(bar) = self else { return };
        let template = if total.is_some() { "{bar:24} {bytes}/{total_bytes}  ETA {eta}  {msg}" } else { "{bytes} read  {msg}" };
        bar.set_style(ProgressStyle::with_template(template).expect("a template that was tried"));
        if let Some(total) = total {
            bar.set_length(total);
        }
        bar.tick();
    }

    pub fn show(&self, bytes: u64, total: Option<u64>, counts: &Snapshot) {
        match self {
            Meter::Nothing => {}
            Meter::Bar(bar) => {
                bar.set_position(bytes);
                let rate = counts.read as f64 / bar.elapsed().as_secs_f64().max(1e-3);
                bar.set_message(format!("{rate:.0} records/s  {}", by_reason(counts)));
            }
            Meter::Lines { started, last } => {
                let mut last = last.lock().expect("no panic while showing");
                if last.elapsed() < LINE_EVERY {
                    return;
                }
                *last = Instant::now();
                let seconds = started.elapsed().as_secs_f64();
                let left = total.filter(|total| bytes > 0 && *total >= bytes).map(|total| seconds * (total - bytes) as f64 / bytes as f64);
                let eta = left.map(|left| format!(", {left:.0} s left")).unwrap_or_default();
                say(&format!("{} read, {:.0} records/s{eta}; {}", counts.read, counts.read as f64 / seconds, by_reason(counts)));
            }
        }
    }

    pub fn warn(&self, message: &str) {
        match self {
            Meter::Bar(bar) => bar.suspend(|| say(&format!("eddy: {message}"))),
            _ => say(&format!("eddy: {message}")),
        }
    }

    pub fn done(&self, counts: &Snapshot) {
        match self {
            Meter::Nothing => {}
            Meter::Bar(bar) => {
                bar.finish_and_clear();
                say(&format!("{} read; {}", counts.read, by_reason(counts)));
            }
            Meter::Lines { .. } => say(&format!("{} read; {}", counts.read, by_reason(counts))),
        }
    }
}

/// `12 applied, 3 ignored (2 stale, 1 kind:more), 1 dead letter (json)`.
fn by_reason(counts: &Snapshot) -> String {
    let listed = |reasons: &std::collections::BTreeMap<String, u64>| {
        let some: Vec<String> = reasons.iter().filter(|(_, n)| **n > 0).map(|(reason, n)| format!("{n} {reason}")).collect();
        if some.is_empty() { String::new() } else { format!(" ({})", some.join(", ")) }
    };
    format!(
        "{} applied, {} ignored{}, {}{}",
        counts.applied,
        counts.ignored.values().sum::<u64>(),
        listed(&counts.ignored),
        counted(counts.dead_letters(), "dead letter"),
        listed(&counts.dead)
    )
}
