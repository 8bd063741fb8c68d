//! What views are built from: groups, sorted bags, the forest of replies.
//!
//!     cargo bench --bench benches -- 'groups|bag|forest'
//!
//! - `groups/few`: a tick touches 1,000 keys a hundred times each: busy communities. `groups/many`: a tick touches 100,000 keys
//!   once each, of 200,000 held: users. Between them is what a cache miss costs.
//! - `bag/ascending`: times as they come; `bag/random`: late ones; `bag/count`: how many in a range, of 100,000.
//! - `forest/in order`: each reply's parent is one of the latest; `forest/late`: the same, newest first, so that every parent is
//!   missing at first; `forest/chain`: one reply under the other, 100,000 deep; `forest/move`: an answer in a deep chain goes and
//!   comes back, which moves everything below it.

use criterion::{BatchSize, Criterion, Throughput};
use eddy_dataflows::forest::{Forest, Seat};
use eddy_dataflows::groups::{Group, Groups};
use eddy_dataflows::sorted::SortedBag;
use eddy_schemas::id::mix;

const EVENTS: u64 = 100_000;

#[derive(Default)]
struct Sum(i64);

impl Group<u64> for Sum {
    type Row = i64;
    fn row(&self, _: &u64) -> Option<i64> {
        (self.0 > 0).then_some(self.0)
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

fn groups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("groups");
    group.throughput(Throughput::Elements(EVENTS));
    for (name, keys) in [("few", 1_000), ("many", 200_000)] {
        let mut sums: Groups<u64, Sum> = Groups::default();
        (0..keys).for_each(|key| sums.touch(key).0 += 1);
        sums.close(|_, _, _| {});
        group.bench_function(name, |b| {
            b.iter(|| {
                (0..EVENTS).for_each(|n| sums.touch(mix(n) % keys).0 += 1);
                let mut rows = 0;
                sums.close(|_, _, _| rows += 1);
                rows
            });
        });
    }
    group.finish();
}

fn bags(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("bag");
    group.throughput(Throughput::Elements(EVENTS));
    let fill = |item: fn(u64) -> u64| {
        let mut bag = SortedBag::new();
        (0..EVENTS).for_each(|n| bag.insert(item(n)));
        bag
    };
    group.bench_function("ascending", |b| b.iter_with_large_drop(|| fill(|n| n)));
    group.bench_function("random", |b| b.iter_with_large_drop(|| fill(mix)));
    let bag = fill(mix);
    group.bench_function("count", |b| b.iter(|| (0..EVENTS).map(|n| bag.count_range(&mix(n), &u64::MAX)).sum::<usize>()));
    group.finish();
}

fn seat(parent: Option<u64>) -> Option<Seat> {
    Some(Seat { parent, submission: false, live: true })
}

/// A message's parent among the sixteen before it; the first has none.
fn recent(n: u64) -> Option<u64> {
    (n > 1).then(|| n - 1 - mix(n) % (n - 1).min(16))
}

fn forests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forest");
    group.throughput(Throughput::Elements(EVENTS));
    let grow = |messages: &mut dyn Iterator<Item = u64>, parent: fn(u64) -> Option<u64>| {
        let mut forest = Forest::new();
        messages.for_each(|n| forest.set(1, n, seat(parent(n))));
        forest.end(|_, _, _| {});
        forest
    };
    group.bench_function("in order", |b| b.iter_with_large_drop(|| grow(&mut (1..=EVENTS), recent)));
    group.bench_function("late", |b| b.iter_with_large_drop(|| grow(&mut (1..=EVENTS).rev(), recent)));
    let above = |n: u64| (n > 1).then(|| n - 1);
    group.bench_function("chain", |b| b.iter_with_large_drop(|| grow(&mut (1..=EVENTS), above)));
    let chain = || grow(&mut (1..=EVENTS), above);
    group.bench_function("move", |b| {
        let moves = |forest: &mut Forest| {
            for n in (0..EVENTS / 2).map(|n| 1 + mix(n) % EVENTS) {
                forest.set(1, n, None);
                forest.set(1, n, seat(above(n)));
            }
            forest.depth(1)
        };
        b.iter_batched_ref(chain, moves, BatchSize::PerIteration);
    });
    group.finish();
}

pub fn benches(criterion: &mut Criterion) {
    groups(criterion);
    bags(criterion);
    forests(criterion);
}
