//! Rows as text, and what they should be.

use std::collections::BTreeMap;

use eddy::texts::Texts;
use eddy_dataflows::views::Definition;
use eddy_schemas::{Cell, View, codec};

use crate::oracle::Tables;

/// Key and row of each view, encoded.
#[derive(Clone, Default)]
pub struct Rows(pub BTreeMap<&'static str, BTreeMap<Vec<u8>, Vec<u8>>>);

/// Views of the winning versions alone.
pub fn views() -> Vec<&'static Definition> {
    let names = [
        "users",
        "conversations",
        "communities",
        "user_hours",
        "community_hours",
        "community_days",
        "sessions",
        "top_users",
        "replies",
        "messages",
        "user_names",
        "community_names",
    ];
    names.iter().map(|name| eddy_dataflows::views::find(name).expect("a view")).collect()
}

impl Rows {
    pub fn set(&mut self, view: &'static str, key: &[u8], row: Option<&[u8]>) {
        let rows = self.0.entry(view).or_default();
        match row {
            Some(row) => drop(rows.insert(key.to_vec(), row.to_vec())),
            None => drop(rows.remove(key)),
        }
    }

    /// The first difference from what the oracle has.
    pub fn difference(&self, views: &[&'static Definition], oracle: &Tables, texts: &dyn Texts) -> Option<String> {
        let empty = BTreeMap::new();
        views.iter().find_map(|definition| {
            let view = definition.view;
            let got = table(view, self.0.get(view.name).unwrap_or(&empty), texts);
            let expected = &oracle[view.name];
            if got == *expected {
                return None;
            }
            let missing = expected.iter().find(|row| !got.contains(row));
            let extra = got.iter().find(|row| !expected.contains(row));
            Some(format!("view {}: not there {missing:?}, there {extra:?}", view.name))
        })
    }
}

fn table(view: &View, rows: &BTreeMap<Vec<u8>, Vec<u8>>, texts: &dyn Texts) -> Vec<Vec<String>> {
    let row = |(key, row): (&Vec<u8>, &Vec<u8>)| {
        let mut cells = vec![];
        codec::decode_key(view.key, key, &mut cells);
        codec::decode_row(view.columns, row, &mut cells);
        cells.into_iter().map(|cell| field(cell, texts)).collect()
    };
    let mut table: Vec<Vec<String>> = rows.iter().map(row).collect();
    table.sort_by(|a, b| a[..view.key.len()].cmp(&b[..view.key.len()]));
    table
}

fn field(cell: Cell, texts: &dyn Texts) -> String {
    let text = match cell {
        Cell::Null => String::new(),
        Cell::Int(n) => n.to_string(),
        Cell::Key(name) => name.as_str().to_owned(),
        Cell::Display(name) => name.bare().to_owned(),
        Cell::Id(id) => id.to_string(),
        Cell::Text(place) => texts.text(place).expect("texts can be read again"),
    };
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}
