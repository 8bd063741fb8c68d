//! Which version of a message wins: `engine::ingest`, without timely around it.
//!
//!     cargo bench --bench benches -- ingest
//!
//! - `w2`: 200,000 versions as they come, 97 % of them new messages: a replay's mix.
//! - `again`: the same versions once more: each is found and is a repeat or stale. What a restart or a second copy costs.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use eddy::engine::Counts;
use eddy::engine::ingest::Ingest;
use eddy_dataflows::fold::Fold;
use eddy_schemas::Version;

use crate::feed::{self, NoTexts};

const VERSIONS: usize = 200_000;
/// As many as timely hands over at once.
const BATCH: usize = 1_024;

fn apply(ingest: &mut Ingest, versions: &[Version]) {
    let mut out = vec![];
    for batch in versions.chunks(BATCH) {
        batch.iter().for_each(|version| ingest.main(version));
        ingest.at_once(&mut out);
        std::hint::black_box(&out);
        out.clear();
    }
}

pub fn benches(criterion: &mut Criterion) {
    let versions = feed::versions(&feed::lines(VERSIONS));
    let new = || Ingest::new(Arc::new(NoTexts), Arc::new(Counts::default()));
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(VERSIONS as u64));
    group.bench_function("w2", |b| {
        b.iter_batched_ref(new, |ingest| apply(ingest, &versions), BatchSize::PerIteration);
    });
    let mut full = new();
    apply(&mut full, &versions);
    group.bench_function("again", |b| b.iter(|| apply(&mut full, &versions)));
    group.finish();
}
