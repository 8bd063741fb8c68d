//! Somebody who reads rows all the time, over restarts: none goes back, and each is what the changelog says that it was then.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::changes::{self, Timeline};
use super::process::{Place, get};

/// Answers that are kept, to be compared in the end: one of so many, and of rows so many at most.
const KEPT_EVERY: u64 = 5;
const ROWS_KEPT_MAX: usize = 3_000_000;
/// Rows of a page.
const LIMIT: usize = 300;

/// What was read.
#[derive(Default)]
pub struct Seen(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// The last tick, and the last that was seen of each row.
    tick: u64,
    rows: BTreeMap<(&'static str, String), (u64, Value)>,
    pages: Vec<Page>,
    rows_kept: usize,
}

/// The first rows of a view, as of a tick; all of them, where there are fewer than were asked for.
pub struct Page {
    pub view: &'static str,
    pub tick: u64,
    pub is_all: bool,
    /// By key: a row's columns, hashed.
    pub rows: Vec<(String, u64)>,
}

/// Reads until told; gives how many answers had rows.
pub fn poll(place: &Place, seen: &Seen, done: &AtomicBool) -> u64 {
    let mut answers = 0;
    while !done.load(Ordering::Relaxed) {
        for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view) {
            let Some(address) = place.address() else { continue };
            match get(&address, &format!("/v1/views/{}?limit={LIMIT}", view.name)) {
                Some((200, page)) => {
                    answers += 1;
                    seen.check(view, &page, answers);
                }
                Some((503, problem)) => assert_eq!(problem["status"], 503, "a problem says why: {problem}"),
                Some((status, body)) => panic!("{status}: {body}"),
                // It was just killed.
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    answers
}

impl Seen {
    fn check(&self, view: &'static eddy_schemas::View, page: &Value, number: u64) {
        let kept = &mut *self.0.lock().expect("no panic");
        let tick = page["as_of"].as_u64().unwrap_or(0);
        assert!(tick >= kept.tick, "an answer as of {tick} after one as of {}", kept.tick);
        kept.tick = tick;
        let mut rows = vec![];
        for row in page["rows"].as_array().expect("rows") {
            let as_of = row["as_of"].as_u64().expect("a tick");
            assert!(as_of <= tick, "{row} as of {tick}");
            let key: Vec<_> = view.key.iter().map(|column| &row[column.name]).collect();
            let key = serde_json::to_string(&key).expect("JSON");
            rows.push((key.clone(), changes::hash(view, row)));
            if let Some((before, then)) = kept.rows.get(&(view.name, key.clone())) {
                assert!(as_of >= *before, "{}: {row} after {then}", view.name);
                assert!(as_of > *before || row == then, "{}: two rows as of one tick: {row} and {then}", view.name);
            }
            kept.rows.insert((view.name, key), (as_of, row.clone()));
        }
        if number.is_multiple_of(KEPT_EVERY) && kept.rows_kept < ROWS_KEPT_MAX {
            kept.rows_kept += rows.len();
            kept.pages.push(Page { view: view.name, tick, is_all: page["next"].is_null(), rows });
        }
    }

    /// Each answer that was kept had the rows of its tick, and no others; gives how many answers and rows there were.
    pub fn agree_with(&self, timeline: &Timeline, again: &str) -> (usize, usize) {
        let kept = self.0.lock().expect("no panic");
        for page in &kept.pages {
            for (key, row) in &page.rows {
                let told = timeline.row(page.view, key, page.tick);
                assert!(
                    told == Some(*row),
                    "{}: {key} as of {} is not the row that the changelog has ({told:?})\n{again}",
                    page.view,
                    page.tick
                );
            }
            let all = timeline.rows(page.view, page.tick);
            let enough = if page.is_all { page.rows.len() == all } else { page.rows.len() == LIMIT && LIMIT <= all };
            assert!(enough, "{}: {} rows as of {}, the changelog has {all}\n{again}", page.view, page.rows.len(), page.tick);
        }
        (kept.pages.len(), kept.rows_kept)
    }
}
