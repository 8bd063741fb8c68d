//! The pieces under the engine, each alone, on one thread. One binary: linking is what costs here.
//!
//!     cargo bench --bench benches                   all of them, two minutes
//!     cargo bench --bench benches -- parse          those with `parse` in their name
//!
//! Each module says which shapes it takes and why.

mod feed;
mod ingest;
mod parse;
mod structures;
mod tables;
mod views;

use std::time::Duration;

use criterion::Criterion;

fn main() {
    // Short on purpose: these are looked at side by side, not kept.
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .configure_from_args();
    parse::benches(&mut criterion);
    ingest::benches(&mut criterion);
    structures::benches(&mut criterion);
    views::benches(&mut criterion);
    tables::benches(&mut criterion);
    criterion.final_summary();
}
