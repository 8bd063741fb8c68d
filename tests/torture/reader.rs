//! Somebody who reads rows all the time, over restarts: none goes back.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::process::{Place, get};

/// The last that was seen of each row, and of all.
#[derive(Default)]
pub struct Seen(Mutex<(u64, BTreeMap<(&'static str, String), (u64, Value)>)>);

/// Reads until told; gives how many answers had rows.
pub fn poll(place: &Place, seen: &Seen, done: &AtomicBool) -> u64 {
    let mut answers = 0;
    while !done.load(Ordering::Relaxed) {
        for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view) {
            let Some(address) = place.address() else { continue };
            match get(&address, &format!("/v1/views/{}?limit=300", view.name)) {
                Some((200, page)) => {
                    answers += 1;
                    seen.check(view, &page);
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
    fn check(&self, view: &'static eddy_schemas::View, page: &Value) {
        let (last, rows) = &mut *self.0.lock().expect("no panic");
        let tick = page["as_of"].as_u64().unwrap_or(0);
        assert!(tick >= *last, "an answer as of {tick} after one as of {last}");
        *last = tick;
        for row in page["rows"].as_array().expect("rows") {
            let as_of = row["as_of"].as_u64().expect("a tick");
            assert!(as_of <= tick, "{row} as of {tick}");
            let key: Vec<_> = view.key.iter().map(|column| &row[column.name]).collect();
            let key = (view.name, serde_json::to_string(&key).expect("JSON"));
            if let Some((before, then)) = rows.get(&key) {
                assert!(as_of >= *before, "{}: {row} after {then}", view.name);
                assert!(as_of > *before || row == then, "{}: two rows as of one tick: {row} and {then}", view.name);
            }
            rows.insert(key, (as_of, row.clone()));
        }
    }
}
