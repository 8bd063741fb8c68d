//! Rows as a table for people: a header, columns aligned, one line a row.

use std::borrow::Cow;
use std::io::Write;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::server::View;

/// Columns of the terminal that a text may take where texts are cut.
const TEXT_WIDTH_MAX: usize = 60;

pub struct Table {
    columns: Vec<Column>,
}

struct Column {
    name: String,
    is_number: bool,
    /// Cells are cut to this width.
    cut: Option<usize>,
    width: usize,
}

impl Table {
    /// A table that is wide enough for `rows`. `cut`: long texts are cut; keys never are, they are there to be copied.
    pub fn new(view: &View, rows: &[Value], cut: bool) -> Table {
        let columns = view.key.iter().chain(&view.columns).map(|column| {
            let mut column = Column {
                name: column.name.clone(),
                is_number: column.kind == "int",
                cut: (cut && column.kind == "text").then_some(TEXT_WIDTH_MAX),
                width: 0,
            };
            let cells = rows.iter().map(|row| column.cell(row).width()).max();
            column.width = column.name.width().max(cells.unwrap_or(0));
            column
        });
        Table { columns: columns.collect() }
    }

    /// Writes rows, also others than it was made for: then a long cell moves what is behind it.
    pub fn write(&self, header: bool, rows: &[Value], out: &mut impl Write) -> std::io::Result<()> {
        if header {
            self.line(|column| column.name.as_str().into(), out)?;
        }
        rows.iter().try_for_each(|row| self.line(|column| column.cell(row), out))
    }

    fn line<'r>(&'r self, cell: impl Fn(&'r Column) -> Cow<'r, str>, out: &mut impl Write) -> std::io::Result<()> {
        let mut line = String::new();
        for (i, column) in self.columns.iter().enumerate() {
            let cell = cell(column);
            let pad = column.width.saturating_sub(cell.width());
            line.push_str(if i > 0 { "  " } else { "" });
            if column.is_number {
                line.extend(std::iter::repeat_n(' ', pad));
            }
            line.push_str(&cell);
            if !column.is_number {
                line.extend(std::iter::repeat_n(' ', pad));
            }
        }
        writeln!(out, "{}", line.trim_end())
    }
}

impl Column {
    fn cell<'r>(&self, row: &'r Value) -> Cow<'r, str> {
        let cell = match &row[&self.name] {
            Value::Null => Cow::Borrowed("-"),
            Value::String(text) => printable(text),
            other => other.to_string().into(),
        };
        match self.cut {
            Some(width) if cell.width() > width => cut(&cell, width).into(),
            _ => cell,
        }
    }
}

/// What people write may hold anything: what ends a line, moves the cursor or turns the direction of writing is spelled out.
fn printable(text: &str) -> Cow<'_, str> {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(|c: char| c == '\\' || c.is_control() || turns(c)) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | '\n' | '\t' | '\r' => out.extend(c.escape_default()),
            c if c.is_control() || turns(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.into()
}

/// As much as fits, and `…`.
fn cut(text: &str, width: usize) -> String {
    let mut used = 1;
    let fits = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used <= width
    });
    let mut out: String = fits.collect();
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(rows: &[Value], cut: bool) -> String {
        let column = |name, kind| json!({ "name": name, "kind": kind });
        let view = json!({ "name": "v", "key": [column("who", "key")], "columns": [column("n", "int"), column("text", "text")] });
        let view: View = serde_json::from_value(view).expect("a view");
        let mut out = vec![];
        Table::new(&view, rows, cut).write(true, rows, &mut out).expect("a vector takes it");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows = [
            json!({ "who": "reddit:a", "n": 12345, "text": "x", "as_of": 1 }),
            json!({ "who": "reddit:日本", "n": -7, "text": null, "as_of": 1 }),
        ];
        assert_eq!(shown(&rows, true), "who              n  text\nreddit:a     12345  x\nreddit:日本     -7  -\n");
        assert_eq!(shown(&[], true), "who  n  text\n");
    }

    #[test]
    fn a_text_cannot_write_on_the_terminal() {
        let rows = [json!({ "who": "a", "n": 1, "text": "a\nb\t\u{1b}[2J\u{202e}\\ \u{9b}é" })];
        assert_eq!(shown(&rows, true), "who  n  text\na    1  a\\nb\\t\\u{1b}[2J\\u{202e}\\\\ \\u{9b}é\n");
    }

    #[test]
    fn long_texts_are_cut_only_where_asked() {
        let rows = [json!({ "who": "w".repeat(100), "n": 1, "text": "日".repeat(100) })];
        let line = shown(&rows, true);
        assert!(line.contains(&"w".repeat(100)) && line.contains(&format!("  {}…", "日".repeat(29))), "{line}");
        assert!(!line.contains(&"日".repeat(30)));
        assert!(shown(&rows, false).contains(&"日".repeat(100)));
    }
}
