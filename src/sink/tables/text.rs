//! A row as text: TSV fields and JSON objects.

use eddy_schemas::row::Kind;
use eddy_schemas::{Cell, MessageId, Name, View};

use crate::texts::{Error, Texts};

/// `\`, tab, line feed and carriage return are written `\\ \t \n \r`.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    // Most texts hold none of these. Asked of every byte without a way out, that is what the compiler makes wide instructions of.
    let special = |byte: &u8| u8::from(*byte == b'\\') | u8::from(byte.wrapping_sub(b'\t') <= b'\r' - b'\t');
    if rest.iter().fold(0, |any, byte| any | special(byte)) == 0 {
        out.extend_from_slice(rest);
        return;
    }
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

/// `texts` has those of the row's cells, in order.
pub(super) fn tsv<'a>(cells: &[Cell], mut texts: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
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
            Cell::Text(_) => escape(texts.next().expect("a text a cell"), out),
        }
    }
    out.push(b'\n');
}

/// As [`tsv`].
pub(super) fn json<'a>(view: &View, cells: &[Cell], mut texts: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    for (at, (column, cell)) in view.all_columns().zip(cells).enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        string(column.name, out);
        out.push(b':');
        match *cell {
            Cell::Text(_) => string(texts.next().expect("a text a cell"), out),
            cell => short(cell, out),
        }
    }
    out.extend_from_slice(b"}\n");
}

/// A cell as JSON text.
pub fn write(cell: Cell, texts: &dyn Texts, out: &mut Vec<u8>) -> Result<(), Error> {
    match cell {
        Cell::Text(place) => string(&texts.text(place)?, out),
        cell => short(cell, out),
    }
    Ok(())
}

/// Any cell but a text.
fn short(cell: Cell, out: &mut Vec<u8>) {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Int(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        Cell::Key(name) => string(name.as_str(), out),
        Cell::Display(name) => string(name.bare(), out),
        Cell::Id(id) => string(&id.to_string(), out),
        Cell::Text(_) => unreachable!("texts are read apart"),
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string serializes and a vector takes it");
}
