//! Rows as JSON: one object, columns in the view's order, then `as_of`.

use std::io::Write;

use eddy_schemas::{Kind, View};

use crate::sink::tables::text;
use crate::store::Stored;
use crate::texts::{self, Texts};

/// A row of this view needs the log to be read.
pub fn has_text(view: &View) -> bool {
    view.columns.iter().any(|column| column.kind == Kind::Text)
}

pub fn write(view: &View, stored: &Stored, texts: &dyn Texts, out: &mut Vec<u8>) -> Result<(), texts::Error> {
    out.push(b'{');
    for (column, cell) in view.all_columns().zip(&stored.cells) {
        string(column.name, out);
        out.push(b':');
        text::write(*cell, texts, out)?;
        out.push(b',');
    }
    write!(out, "\"as_of\":{}}}", stored.as_of).expect("a vector takes what it is given");
    Ok(())
}

pub fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string serializes and a vector takes it");
}
