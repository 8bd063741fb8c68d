//! A row as text: TSV fields and JSON objects.

use std::borrow::Cow;
use std::io::{self, Write};

use eddy_schemas::{Cell, View};

use super::{Failure, Row};

/// `\`, tab, line feed and carriage return are written `\\ \t \n \r`.
fn escape(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// A cell as a TSV field; texts are not here.
pub(super) fn escaped(cell: Cell) -> Cow<'static, str> {
    match cell {
        Cell::Null | Cell::Text(_) => Cow::Borrowed(""),
        Cell::Int(n) => Cow::Owned(n.to_string()),
        Cell::Key(name) => escape(Cow::Borrowed(name.as_str())),
        Cell::Display(name) => escape(Cow::Borrowed(name.bare())),
        Cell::Id(id) => escape(Cow::Owned(id.to_string())),
    }
}

pub(super) fn header(view: &View, out: &mut impl Write) -> io::Result<()> {
    let names: Vec<&str> = view.all_columns().map(|column| column.name).collect();
    writeln!(out, "{}", names.join("\t"))
}

impl Row<'_> {
    pub(super) fn tsv(&self, out: &mut impl Write) -> Result<(), Failure> {
        for (at, cell) in self.cells.iter().enumerate() {
            if at > 0 {
                out.write_all(b"\t")?;
            }
            match *cell {
                Cell::Text(place) => out.write_all(escape(self.texts.text(place)?.into()).as_bytes())?,
                Cell::Int(n) => write!(out, "{n}")?,
                other => out.write_all(escaped(other).as_bytes())?,
            }
        }
        Ok(out.write_all(b"\n")?)
    }

    pub(super) fn json(&self, out: &mut impl Write) -> Result<(), Failure> {
        let mut object = serde_json::Map::new();
        for (column, cell) in self.view.all_columns().zip(self.cells) {
            object.insert(column.name.to_owned(), cell_json(*cell, self.texts)?);
        }
        serde_json::to_writer(&mut *out, &object).map_err(io::Error::from)?;
        Ok(out.write_all(b"\n")?)
    }
}

/// A cell as JSON.
fn cell_json(cell: Cell, texts: &dyn crate::texts::Texts) -> Result<serde_json::Value, crate::texts::Error> {
    Ok(match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Int(n) => n.into(),
        Cell::Key(name) => name.as_str().into(),
        Cell::Display(name) => name.bare().into(),
        Cell::Id(id) => id.to_string().into(),
        Cell::Text(place) => texts.text(place)?.into(),
    })
}
