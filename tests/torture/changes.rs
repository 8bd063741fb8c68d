//! What a changelog says.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::path::Path;

use eddy_schemas::View;
use serde_json::Value;

use crate::oracle::Tables;

/// A changelog, read from its start.
pub struct Folded {
    /// Every line, without the view's order.
    pub lines: BTreeSet<(&'static str, String)>,
    /// The last row of each key.
    pub tables: Tables,
}

/// A field as it stands in a table.
pub fn field(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

impl Folded {
    /// Each line is whole, stands there once, and a view's ticks do not go back.
    pub fn read(folder: &Path) -> Folded {
        let mut folded = Folded { lines: BTreeSet::new(), tables: Tables::new() };
        for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view) {
            let (mut rows, mut last, mut keys) = (BTreeMap::new(), 0, BTreeSet::new());
            for line in text(folder, view.name).lines() {
                let change: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
                let (key, tick) = (change["key"].to_string(), change["tick"].as_u64().expect("a tick"));
                assert!(tick >= last, "{}: tick {tick} after {last}", view.name);
                if tick > last {
                    keys.clear();
                }
                last = tick;
                assert!(keys.insert(key.clone()), "{}: {key} changes twice in tick {tick}", view.name);
                assert!(folded.lines.insert((view.name, line.to_owned())), "twice: {line}");
                match &change["row"] {
                    Value::Null => assert!(rows.remove(&key).is_some(), "{}: what was not there is gone: {line}", view.name),
                    row => drop(rows.insert(key, view.all_columns().map(|column| field(&row[column.name])).collect::<Vec<_>>())),
                }
            }
            let mut table: Vec<_> = rows.into_values().collect();
            table.sort_by(|a, b| a[..view.key.len()].cmp(&b[..view.key.len()]));
            folded.tables.insert(view.name, table);
        }
        folded
    }
}

/// A row's columns, as one number.
pub fn hash(view: &View, row: &Value) -> u64 {
    let fields: Vec<_> = view.all_columns().map(|column| field(&row[column.name])).collect();
    foldhash::fast::FixedState::default().hash_one(fields)
}

/// What a changelog says that rows were at each tick.
pub struct Timeline {
    /// Of each view and key: from which tick on, and what; none: nothing.
    rows: BTreeMap<&'static str, BTreeMap<String, Vec<(u64, Option<u64>)>>>,
    /// Of each view: how many rows there were from each tick on.
    counts: BTreeMap<&'static str, BTreeMap<u64, usize>>,
}

impl Timeline {
    pub fn read(folder: &Path) -> Timeline {
        let mut timeline = Timeline { rows: BTreeMap::new(), counts: BTreeMap::new() };
        for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view) {
            let (mut rows, mut counts, mut live) = (BTreeMap::<String, Vec<(u64, Option<u64>)>>::new(), BTreeMap::new(), 0);
            for line in text(folder, view.name).lines() {
                let change: Value = serde_json::from_str(line).expect("JSON");
                let (tick, row) = (change["tick"].as_u64().expect("a tick"), &change["row"]);
                let of_key = rows.entry(change["key"].to_string()).or_default();
                live -= usize::from(of_key.last().is_some_and(|(_, row)| row.is_some()));
                live += usize::from(!row.is_null());
                of_key.push((tick, (!row.is_null()).then(|| hash(view, row))));
                counts.insert(tick, live);
            }
            timeline.rows.insert(view.name, rows);
            timeline.counts.insert(view.name, counts);
        }
        timeline
    }

    pub fn row(&self, view: &str, key: &str, tick: u64) -> Option<u64> {
        let of_key = self.rows[view].get(key)?;
        let after = of_key.partition_point(|(at, _)| *at <= tick);
        of_key[..after].last()?.1
    }

    pub fn rows(&self, view: &str, tick: u64) -> usize {
        self.counts[view].range(..=tick).next_back().map_or(0, |(_, rows)| *rows)
    }
}

/// All of a view's files, in order.
fn text(folder: &Path, view: &str) -> String {
    let files = std::fs::read_dir(folder).expect("a changelog").map(|entry| entry.expect("an entry").path());
    let of_view = |path: &std::path::PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{view}.")));
    let mut files: Vec<_> = files.filter(of_view).collect();
    files.sort();
    files.iter().map(|path| std::fs::read_to_string(path).expect("text")).collect()
}
