//! What a changelog says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

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

/// All of a view's files, in order.
fn text(folder: &Path, view: &str) -> String {
    let files = std::fs::read_dir(folder).expect("a changelog").map(|entry| entry.expect("an entry").path());
    let of_view = |path: &std::path::PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{view}.")));
    let mut files: Vec<_> = files.filter(of_view).collect();
    files.sort();
    files.iter().map(|path| std::fs::read_to_string(path).expect("text")).collect()
}
