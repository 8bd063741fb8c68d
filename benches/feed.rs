//! A timely worker on this thread with some views, fed tick by tick; and updates to feed it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eddy::bench::Kind;
use eddy::bench::lines::Lines;
use eddy::engine::Counts;
use eddy::engine::ingest::Ingest;
use eddy::texts::{Error, Texts};
use eddy_dataflows::batch::Batch;
use eddy_dataflows::calendar::Second;
use eddy_dataflows::fold::Fold;
use eddy_dataflows::views::{self, Definition};
use eddy_dataflows::{Inputs, Moment, Outputs, Update};
use eddy_schemas::parse::{Context, Parsed, Parser};
use eddy_schemas::{Place, Version};
use timely::dataflow::operators::Input;

/// Reads no texts: no version here ties with another.
pub struct NoTexts;

impl Texts for NoTexts {
    fn text(&self, place: Place) -> Result<String, Error> {
        Err(Error { place, what: "there are no texts here".into() })
    }
}

pub fn context() -> Context {
    Context { place: Place::default(), received_at_ms: None, now: i64::MAX / 2 }
}

/// Lines of W2, as `eddy bench` writes them.
pub fn lines(records: usize) -> Vec<Vec<u8>> {
    let mut lines = Lines::new(Kind::W2);
    let line = |_| {
        let mut line = vec![];
        lines.write(&mut line);
        line.pop();
        line
    };
    (0..records).map(line).collect()
}

pub fn versions(lines: &[Vec<u8>]) -> Vec<Version> {
    let mut parser = Parser::default();
    let read = |line: &Vec<u8>| match parser.parse(line, &context()) {
        Parsed::Version(version, _) => version,
        other => panic!("a line of W2 is a version, not {other:?}"),
    };
    lines.iter().map(read).collect()
}

/// What the engine makes of versions.
pub fn updates(versions: &[Version]) -> Vec<Update> {
    let mut ingest = Ingest::new(Arc::new(NoTexts), Arc::new(Counts::default()));
    let mut updates = vec![];
    versions.iter().for_each(|version| ingest.main(version));
    ingest.at_once(&mut updates);
    updates
}

/// Feeds each tick, waits until its rows are out, and tells how long that took. `next` gives none at the end. The watermark is the greatest
/// created_at so far.
pub fn run(
    views: Vec<&'static Definition>,
    mut next: impl FnMut() -> Option<Vec<Update>> + Send + Sync + 'static,
    mut took: impl FnMut(Duration) + Send + Sync + 'static,
) {
    timely::execute_directly(move |worker| {
        let (mut input, mut moments, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (input, versions) = scope.new_input::<Batch<Update>>();
            let (moments, of_moments) = scope.new_input::<Batch<Moment>>();
            let mut rows = Outputs::new(Rc::new(|_tick, changes| drop(std::hint::black_box(changes))));
            views::build(&views, &Inputs::new(scope, versions, of_moments), &mut rows);
            (input, moments, rows.probe)
        });
        let mut watermark = None;
        while let Some(updates) = next() {
            let greatest = updates.iter().filter_map(|update| update.version.created_at).max();
            let started = Instant::now();
            if greatest > watermark {
                watermark = greatest;
                moments.send_batch(&mut Batch::new(greatest.map(|at| Moment { watermark: Second::new(at) }).into_iter().collect()));
            }
            input.send_batch(&mut Batch::new(updates));
            input.advance_to(input.time() + 1);
            moments.advance_to(*input.time());
            while probe.less_than(input.time()) {
                worker.step();
            }
            took(started.elapsed());
        }
    });
}
