//! What the running engine says about itself: counters, freshness, rates, states; read by `/metrics`, `/health` and the page.
//!
//! ```text
//!   source, engine, sinks --atomics--> Telemetry --snapshot--> page, health
//!                                                --encode----> Prometheus text
//! ```
//!
//! # Invariants
//! 1. Updating takes no lock but for [`Telemetry::state`] and [`Telemetry::letter`], which are rare.
//! 2. Labels are bounded: a reason beyond the first [`reasons::CAP`] counts as `other`; users and chats are never labels.
//! 3. read = applied + ignored + dead letters once what was read has been decided on; nothing here makes that true, it shows
//!    when it is not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use eddy_dataflows::Keep;
use eddy_schemas::control::DeadLetter;
use parking_lot::Mutex;
use prometheus::process_collector::ProcessCollector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use serde::Serialize;

use crate::engine::partitions::Activity;

pub mod histogram;
pub mod letters;
pub mod reasons;
pub mod states;
pub mod window;

pub use letters::Letter;
pub use states::{Component, State};

use histogram::Histogram;
use letters::Letters;
use reasons::Reasons;
use states::States;
use window::{Latencies, Rate};

/// The component that `/readyz` waits for.
pub const ENGINE: &str = "engine";
/// The others that `/health` tells of.
pub const LOG: &str = "log";
pub const LETTERS: &str = "dead_letters";
pub const JOURNAL: &str = "state";
pub const CHANGELOG: &str = "changelog";
pub const STORE: &str = "store";
pub const SOURCE: &str = "source";
pub const BOT: &str = "bot";
pub const TRUTH: &str = "truth";

/// Freshness is told over this long.
const FRESHNESS_WINDOW: Duration = Duration::from_secs(60);
/// The ingest rate is told over this long.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Freshness from a millisecond to a minute: what an operator alerts on lies in the middle.
const FRESHNESS_BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// The goal of a commit is 20 ms.
const COMMIT_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.5, 5.0];
const REQUEST_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

/// One process's telemetry.
pub struct Telemetry {
    started: Instant,
    registry: Registry,
    read: IntCounter,
    applied: IntCounter,
    ignored: Reasons,
    dead_letters: Reasons,
    letters: Letters,
    tick: AtomicU64,
    tick_gauge: prometheus::Gauge,
    messages_live: IntGauge,
    watermark: IntGauge,
    watermark_lag: prometheus::Gauge,
    partitions: Mutex<Vec<Partition>>,
    keep: Mutex<Keep>,
    partition_active: IntGaugeVec,
    fresh: Histogram,
    fresh_window: Latencies,
    commits: Histogram,
    fresh_quantiles: prometheus::GaugeVec,
    rate: Rate,
    states: States,
    component_ready: IntGaugeVec,
    view_rows: IntGaugeVec,
    requests: HistogramVec,
    encoding: Mutex<()>,
}

/// Freshness of the last minute, seconds; nearest rank, at most 6.25 % above the truth.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Freshness {
    pub p50_s: f64,
    pub p99_s: f64,
    pub records: u64,
}

/// A partition of the log, and how it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Partition {
    pub name: String,
    pub state: Activity,
}

/// Everything at one moment (not one instant: counters move while they are read).
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Snapshot {
    pub ready: bool,
    /// Records read a second, over the last five.
    pub rate: f64,
    /// Records read in each of the last sixty whole seconds, oldest first.
    pub rates: Vec<u64>,
    /// None while nothing became visible in the last minute.
    pub freshness: Option<Freshness>,
    pub read: u64,
    pub applied: u64,
    pub ignored: BTreeMap<String, u64>,
    pub dead_letters: BTreeMap<String, u64>,
    pub messages_live: i64,
    /// Event time up to which records are taken to be in, seconds since 1970; 0 before there is any.
    pub watermark: i64,
    pub partitions: Vec<Partition>,
    pub retention: Keep,
    pub components: Vec<Component>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    pub fn new() -> Self {
        let registry = Registry::new();
        let telemetry = Telemetry {
            started: Instant::now(),
            read: counter("eddy_records_read_total", "Records read, counted before parsing."),
            applied: counter("eddy_records_applied_total", "Records that became the winning version on arrival."),
            ignored: Reasons::new("eddy_records_ignored_total", "Records that were understood and change nothing, by reason."),
            dead_letters: Reasons::new("eddy_dead_letters_total", "Records that could not be read, by reason."),
            letters: Letters::default(),
            tick: AtomicU64::new(0),
            tick_gauge: valid(prometheus::Gauge::new("eddy_tick_closed_timestamp_seconds", "The last tick that closed.")),
            messages_live: valid(IntGauge::new("eddy_messages_live", "Live messages held.")),
            watermark: valid(IntGauge::new("eddy_watermark_timestamp_seconds", "Event time up to which records are taken to be in.")),
            watermark_lag: valid(prometheus::Gauge::new(
                "eddy_watermark_lag_seconds",
                "How far the watermark was behind the clock when it was told.",
            )),
            partitions: Mutex::default(),
            keep: Mutex::default(),
            partition_active: valid(IntGaugeVec::new(
                Opts::new(
                    "eddy_partition_state",
                    "1 for what a partition is: active, idle (not waited for), stalled (its source brings nothing).",
                ),
                &["partition", "state"],
            )),
            fresh: valid(Histogram::new(
                "eddy_freshness_seconds",
                "From a record's append to its rows being visible in the store.",
                &FRESHNESS_BUCKETS,
            )),
            fresh_window: Latencies::new(FRESHNESS_WINDOW),
            commits: valid(Histogram::new(
                "eddy_tick_commit_seconds",
                "From a tick's records being taken from the log to its frames being written and its rows visible.",
                &COMMIT_BUCKETS,
            )),
            fresh_quantiles: valid(prometheus::GaugeVec::new(
                Opts::new("eddy_freshness_last_minute_seconds", "Nearest-rank quantiles of freshness over the last 60 s."),
                &["quantile"],
            )),
            rate: Rate::new(RATE_WINDOW),
            states: States::default(),
            component_ready: valid(IntGaugeVec::new(Opts::new("eddy_component_ready", "1 while the component is ready."), &["component"])),
            view_rows: valid(IntGaugeVec::new(Opts::new("eddy_view_rows", "Rows of each view in the store."), &["view"])),
            requests: valid(HistogramVec::new(
                HistogramOpts::new("eddy_http_request_seconds", "From a request's head to its answer's, by route and class of status.")
                    .buckets(REQUEST_BUCKETS.to_vec()),
                &["route", "status"],
            )),
            encoding: Mutex::new(()),
            registry,
        };
        telemetry.register();
        telemetry
    }

    fn register(&self) {
        let info = valid(IntGauge::with_opts(
            Opts::new("eddy_build_info", "Facts of the build; always 1.")
                .const_label("version", env!("CARGO_PKG_VERSION"))
                .const_label("os", std::env::consts::OS)
                .const_label("arch", std::env::consts::ARCH),
        ));
        info.set(1);
        let collectors: [Box<dyn prometheus::core::Collector>; 17] = [
            Box::new(info),
            Box::new(self.read.clone()),
            Box::new(self.applied.clone()),
            Box::new(self.ignored.collector()),
            Box::new(self.dead_letters.collector()),
            Box::new(self.tick_gauge.clone()),
            Box::new(self.messages_live.clone()),
            Box::new(self.watermark.clone()),
            Box::new(self.watermark_lag.clone()),
            Box::new(self.partition_active.clone()),
            Box::new(self.fresh.clone()),
            Box::new(self.commits.clone()),
            Box::new(self.fresh_quantiles.clone()),
            Box::new(self.component_ready.clone()),
            Box::new(self.view_rows.clone()),
            Box::new(self.requests.clone()),
            Box::new(ProcessCollector::for_self()),
        ];
        for collector in collectors {
            self.registry.register(collector).expect("names differ: they stand above");
        }
    }

    /// Records were read (before parsing).
    pub fn read(&self, records: u64) {
        self.read.inc_by(records);
        self.rate.add(self.started.elapsed(), records);
    }

    /// Records became winning versions.
    pub fn applied(&self, records: u64) {
        self.applied.inc_by(records);
    }

    /// Records were understood and change nothing. `reason` such as `stale` or `kind:t5`.
    pub fn ignored(&self, reason: &str, records: u64) {
        self.ignored.add(reason, records);
    }

    /// Records could not be read.
    pub fn dead(&self, reason: &str, records: u64) {
        self.dead_letters.add(reason, records);
    }

    /// Records were read by an earlier process: they count, but not as what is read now.
    pub fn read_before(&self, records: u64) {
        self.read.inc_by(records);
    }

    /// Keeps a dead letter among the last ones, cut short.
    pub fn letter(&self, letter: &DeadLetter) {
        self.letters.push(letter);
    }

    /// The last dead letters, newest first.
    pub fn letters(&self, limit: usize) -> Vec<Letter> {
        self.letters.last(limit)
    }

    /// A tick has closed: reads show it.
    pub fn closed(&self, tick: u64) {
        let before = self.tick.fetch_max(tick, Ordering::AcqRel);
        self.tick_gauge.set(before.max(tick) as f64 / 1000.0);
    }

    /// The last tick that closed, milliseconds since 1970; 0 before the first.
    pub fn tick(&self) -> u64 {
        self.tick.load(Ordering::Acquire)
    }

    /// Live messages held now.
    pub fn messages_live(&self, messages: i64) {
        self.messages_live.set(messages);
    }

    /// The watermark is here, as of this time of the clock.
    pub fn watermark(&self, seconds: i64, now_ms: i64) {
        self.watermark.set(seconds);
        self.watermark_lag.set(now_ms as f64 / 1000.0 - seconds as f64);
    }

    /// How long messages and rows stay.
    pub fn keeps(&self, keep: Keep) {
        *self.keep.lock() = keep;
    }

    /// How the log's partitions are.
    pub fn partitions(&self, all: Vec<(String, Activity)>) {
        let mut partitions = self.partitions.lock();
        let same = |before: &Partition, (name, activity): &(String, Activity)| before.name == *name && before.state == *activity;
        if partitions.len() == all.len() && partitions.iter().zip(&all).all(|(before, now)| same(before, now)) {
            return;
        }
        for (name, activity) in &all {
            for (state, label) in [(Activity::Active, "active"), (Activity::Idle, "idle"), (Activity::Stalled, "stalled")] {
                self.partition_active.with_label_values(&[name.as_str(), label]).set(i64::from(*activity == state));
            }
        }
        *partitions = all.into_iter().map(|(name, state)| Partition { name, state }).collect();
    }

    /// `records` became visible in the store, `after` their append.
    pub fn fresh(&self, after: Duration, records: u64) {
        self.fresh_window.add(self.started.elapsed(), after, records);
        self.fresh.add(after, records);
    }

    /// A tick of the log was committed, `after` its records were taken.
    pub fn committed(&self, after: Duration) {
        self.commits.add(after, 1);
    }

    /// A component came into a state. A failure stays visible as its last error after it is ready again.
    pub fn state(&self, component: &'static str, state: State) {
        self.component_ready.with_label_values(&[component]).set(i64::from(state == State::Ready));
        self.states.set(component, state);
    }

    /// The engine has restored its state and closed its first tick.
    pub fn is_ready(&self) -> bool {
        self.states.is_ready(ENGINE)
    }

    /// The first component that does not do its work, and why; of an engine that has failed whoever ends tells.
    pub fn failure(&self) -> Option<(&'static str, String)> {
        self.states.failures().find(|(component, _)| *component != ENGINE)
    }

    /// Rows of a view, for `/metrics`.
    pub fn view_rows(&self, view: &'static str, rows: u64) {
        self.view_rows.with_label_values(&[view]).set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// A request was answered. `route` is the route's pattern, never the path.
    pub fn request(&self, route: &str, status: u16, took: Duration) {
        let class = ["0xx", "1xx", "2xx", "3xx", "4xx", "5xx"][usize::from(status / 100).min(5)];
        self.requests.with_label_values(&[route, class]).observe(took.as_secs_f64());
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn snapshot(&self) -> Snapshot {
        let now = self.started.elapsed();
        Snapshot {
            ready: self.is_ready(),
            rate: self.rate.per_second(now),
            rates: self.rate.by_second(now),
            freshness: self.fresh_window.quantiles(now, [0.5, 0.99]).map(|([p50_s, p99_s], records)| Freshness { p50_s, p99_s, records }),
            read: self.read.get(),
            applied: self.applied.get(),
            ignored: self.ignored.counts(),
            dead_letters: self.dead_letters.counts(),
            messages_live: self.messages_live.get(),
            watermark: self.watermark.get(),
            partitions: self.partitions.lock().clone(),
            retention: *self.keep.lock(),
            components: self.states.all(),
        }
    }

    /// The Prometheus text format, 0.0.4.
    pub fn encode(&self) -> String {
        let _one_at_a_time = self.encoding.lock();
        self.fresh_quantiles.reset();
        if let Some(freshness) = self.snapshot().freshness {
            self.fresh_quantiles.with_label_values(&["0.5"]).set(freshness.p50_s);
            self.fresh_quantiles.with_label_values(&["0.99"]).set(freshness.p99_s);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("what was registered encodes")
    }
}

fn counter(name: &str, help: &str) -> IntCounter {
    valid(IntCounter::new(name, help))
}

fn valid<T>(made: prometheus::Result<T>) -> T {
    made.expect("names and labels are constants that the text format allows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let telemetry = Telemetry::new();
        telemetry.read(10);
        telemetry.applied(6);
        telemetry.ignored("stale", 3);
        let letter = DeadLetter {
            file: "eddy.reddit/0".into(),
            line: 0,
            offset: 7,
            reason: "json".into(),
            raw: "é".repeat(4000),
            raw_base64: false,
            raw_bytes: 8000,
        };
        telemetry.dead("json", 1);
        telemetry.letter(&letter);
        telemetry.closed(2_000);
        telemetry.closed(1_000);
        telemetry.committed(Duration::from_millis(3));
        telemetry.fresh(Duration::from_millis(20), 99);
        telemetry.fresh(Duration::from_secs(3), 1);
        let snapshot = telemetry.snapshot();
        assert_eq!(snapshot.read, snapshot.applied + snapshot.ignored["stale"] + snapshot.dead_letters["json"]);
        assert_eq!(telemetry.tick(), 2_000, "ticks do not go back");
        let freshness = snapshot.freshness.expect("a hundred records became visible");
        assert!((0.02..0.0213).contains(&freshness.p50_s) && (0.02..0.0213).contains(&freshness.p99_s), "{freshness:?}");
        assert_eq!(freshness.records, 100);
        assert!(telemetry.letters(5)[0].raw.len() <= letters::RAW_BYTES_MAX);
        let text = telemetry.encode();
        for line in [
            "eddy_records_read_total 10",
            "eddy_records_ignored_total{reason=\"stale\"} 3",
            "eddy_dead_letters_total{reason=\"json\"} 1",
            "eddy_tick_closed_timestamp_seconds 2",
            "eddy_build_info{",
            "process_resident_memory_bytes ",
            "eddy_freshness_seconds_bucket{le=\"0.025\"} 99",
            "eddy_freshness_seconds_count 100",
            "eddy_tick_commit_seconds_bucket{le=\"0.005\"} 1",
            "eddy_freshness_last_minute_seconds{quantile=\"0.5\"} 0.02",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_failure_stays_visible_when_it_is_over() {
        let telemetry = Telemetry::new();
        assert!(!telemetry.is_ready());
        telemetry.state(ENGINE, State::Failed("the disk is full".into()));
        telemetry.state(ENGINE, State::Ready);
        assert!(telemetry.is_ready());
        let components = telemetry.snapshot().components;
        assert_eq!(components[0].state, State::Ready);
        assert_eq!(components[0].last_error.as_ref().map(|e| e.message.as_str()), Some("the disk is full"));
    }
}
