//! Each view alone, and all of them: a timely worker on one thread, fed what the engine makes of W2's records.
//!
//!     cargo bench --bench benches -- views
//!
//! 100,000 updates in ten ticks, from nothing: popular authors and threads (Zipf 1.05), edits, deletes. `distinct` and the depth of
//! replies are in the views that show them (`users`, `conversations`). How cost grows with a group is in `growth`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use criterion::{Criterion, Throughput};
use eddy_dataflows::views::Definition;
use eddy_dataflows::{Update, VIEWS};

use crate::feed;

const UPDATES: usize = 100_000;
const TICKS: usize = 10;

fn once(views: Vec<&'static Definition>, ticks: &[Vec<Update>]) -> Duration {
    let mut left: Vec<Vec<Update>> = ticks.iter().rev().cloned().collect();
    let sum = Arc::new(Mutex::new(Duration::ZERO));
    let total = Arc::clone(&sum);
    feed::run(views, move || left.pop(), move |took| *total.lock().expect("one thread") += took);
    *sum.lock().expect("one thread")
}

pub fn benches(criterion: &mut Criterion) {
    let mut updates = feed::updates(&feed::versions(&feed::lines(UPDATES)));
    updates.truncate(UPDATES);
    let ticks: Vec<Vec<Update>> = updates.chunks(UPDATES / TICKS).map(<[_]>::to_vec).collect();
    let mut group = criterion.benchmark_group("views");
    group.throughput(Throughput::Elements(UPDATES as u64));
    let each = VIEWS.iter().map(|definition| (definition.view.name, vec![definition]));
    for (name, views) in each.chain([("all", VIEWS.iter().collect())]) {
        group.bench_function(name, |b| b.iter_custom(|times| (0..times).map(|_| once(views.clone(), &ticks)).sum()));
    }
    group.finish();
}
