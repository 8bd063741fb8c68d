//! A histogram that counts many records of one duration in one step: the crate's own takes one value a call, and a tick
//! makes thousands of records visible at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus::Counter;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily, MetricType};

/// Seconds, by bucket, weighted.
#[derive(Clone)]
pub struct Histogram(Arc<Inner>);

struct Inner {
    desc: Desc,
    upper_s: &'static [f64],
    /// One a bucket, and one for what is above them all.
    counts: Box<[AtomicU64]>,
    sum_s: Counter,
}

impl Histogram {
    /// `upper_s` ascends.
    pub fn new(name: &str, help: &str, upper_s: &'static [f64]) -> prometheus::Result<Self> {
        Ok(Histogram(Arc::new(Inner {
            desc: Desc::new(name.into(), help.into(), vec![], Default::default())?,
            upper_s,
            counts: (0..=upper_s.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_s: Counter::new("sum", "seconds")?,
        })))
    }

    pub fn add(&self, took: Duration, n: u64) {
        let s = took.as_secs_f64();
        let bucket = self.0.upper_s.partition_point(|upper| *upper < s);
        self.0.counts[bucket].fetch_add(n, Relaxed);
        self.0.sum_s.inc_by(s * n as f64);
    }
}

impl Collector for Histogram {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut below = 0;
        let mut buckets = Vec::with_capacity(self.0.upper_s.len());
        for (upper, count) in self.0.upper_s.iter().zip(&self.0.counts) {
            below += count.load(Relaxed);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*upper);
            bucket.set_cumulative_count(below);
            buckets.push(bucket);
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(below + self.0.counts[self.0.upper_s.len()].load(Relaxed));
        histogram.set_sample_sum(self.0.sum_s.get());
        histogram.set_bucket(buckets);
        let mut metric = proto::Metric::default();
        metric.set_histogram(histogram);
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(vec![metric]);
        vec![family]
    }
}
