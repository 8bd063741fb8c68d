//! A row as text: TSV fields and JSON objects.

use eddy_schemas::row::Kind;
use eddy_schemas::{Cell, MessageId, Name, View};

use crate::texts::{Error, Texts};

/// `\`, tab, line feed and carriage return are written `\\ \t \n \r`.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'\\' => b"\\\\",
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            _ => b"\\r",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

fn id(id: MessageId, out: &mut Vec<u8>) {
    match id.as_name() {
        // Only ids of unusual text can hold anything to be escaped.
        Some(name) => escape(name.as_str(), out),
        None => id.write(out),
    }
}

/// The text of a handle (a name's number or an id's bits) as a field.
pub(super) fn handle(kind: Kind, handle: u64, out: &mut Vec<u8>) {
    let name = || u32::try_from(handle).ok().and_then(Name::from_index).expect("a name's number");
    match kind {
        Kind::Key => escape(name().as_str(), out),
        Kind::Display => escape(name().bare(), out),
        Kind::Id => id(MessageId::from_bits(handle).expect("an id's bits"), out),
        Kind::Int | Kind::Text => unreachable!("integers and texts have no handles"),
    }
}

pub(super) fn header(view: &View, out: &mut Vec<u8>) {
    let names: Vec<&str> = view.all_columns().map(|column| column.name).collect();
    out.extend_from_slice(names.join("\t").as_bytes());
    out.push(b'\n');
}

pub(super) fn tsv(cells: &[Cell], texts: &dyn Texts, out: &mut Vec<u8>) -> Result<(), Error> {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        match *cell {
            Cell::Null => {}
            Cell::Int(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Cell::Key(name) => escape(name.as_str(), out),
            Cell::Display(name) => escape(name.bare(), out),
            Cell::Id(key) => id(key, out),
            Cell::Text(place) => escape(&texts.text(place)?, out),
        }
    }
    out.push(b'\n');
    Ok(())
}

pub(super) fn json(view: &View, cells: &[Cell], texts: &dyn Texts, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut object = serde_json::Map::new();
    for (column, cell) in view.all_columns().zip(cells) {
        object.insert(column.name.to_owned(), value(*cell, texts)?);
    }
    serde_json::to_writer(&mut *out, &object).expect("memory takes whatever is written");
    out.push(b'\n');
    Ok(())
}

/// A cell as JSON.
pub fn value(cell: Cell, texts: &dyn Texts) -> Result<serde_json::Value, Error> {
    Ok(match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Int(n) => n.into(),
        Cell::Key(name) => name.as_str().into(),
        Cell::Display(name) => name.bare().into(),
        Cell::Id(id) => id.to_string().into(),
        Cell::Text(place) => texts.text(place)?.into(),
    })
}

/// A cell as JSON text.
pub fn write(cell: Cell, texts: &dyn Texts, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut string = |text: &str| serde_json::to_writer(&mut *out, text).expect("a string serializes and a vector takes it");
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Int(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        Cell::Key(name) => string(name.as_str()),
        Cell::Display(name) => string(name.bare()),
        Cell::Id(id) => string(&id.to_string()),
        Cell::Text(place) => string(&texts.text(place)?),
    }
    Ok(())
}
