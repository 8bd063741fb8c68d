//! Rows as bytes that another process can read: names and ids written out.
//!
//! ```text
//!   cell: 0 = null | 1, then by its column's kind: a number, a name, an id (`stored.rs`), or a place (8 bytes)
//! ```

use crate::parse::known::Known;
use crate::row::{Cell, Column, Kind};
use crate::stored::{self, Malformed, Reader, varint, zigzag};
use crate::{MessageId, Place};

/// Appends a cell.
pub fn write(cell: Cell, out: &mut Vec<u8>) {
    out.push(u8::from(cell != Cell::Null));
    match cell {
        Cell::Null => {}
        Cell::Int(n) => varint(zigzag(n), out),
        Cell::Key(name) | Cell::Display(name) => stored::name(name, out),
        Cell::Id(id) => id.store(out),
        Cell::Text(place) => out.extend_from_slice(&place.0.to_le_bytes()),
    }
}

/// Reads one back, of the same column.
pub fn read(column: &Column, reader: &mut Reader, known: &mut Known) -> Result<Cell, Malformed> {
    if reader.byte()? == 0 {
        return Ok(Cell::Null);
    }
    Ok(match column.kind {
        Kind::Int => Cell::Int(reader.number()?),
        Kind::Key => Cell::Key(reader.name(known)?),
        Kind::Display => Cell::Display(reader.name(known)?),
        Kind::Id => Cell::Id(MessageId::load(reader, known)?),
        Kind::Text => Cell::Text(Place(u64::from_le_bytes(reader.bytes()?))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;
    use crate::row::Display;
    use crate::row::column;

    #[test]
    fn cells_read_back_in_their_columns() {
        let columns = [
            column::<Option<i64>>("n", ""),
            column::<Option<Name>>("k", ""),
            column::<Option<Display>>("d", ""),
            column::<Option<MessageId>>("i", ""),
            column::<Place>("t", ""),
        ];
        for n in [i64::MIN, -1, 0, i64::MAX] {
            let name = Name::of("telegram:-5");
            let id = MessageId::telegram(name, n);
            let full = [Cell::Int(n), Cell::Key(name), Cell::Display(Name::of(":é")), Cell::Id(id), Cell::Text(Place(n as u64))];
            for cells in [full, [Cell::Null; 5]] {
                let mut bytes = vec![];
                cells.iter().for_each(|cell| write(*cell, &mut bytes));
                let (mut reader, mut known) = (Reader::new(&bytes), Known::default());
                let back: Result<Vec<Cell>, Malformed> = columns.iter().map(|column| read(column, &mut reader, &mut known)).collect();
                assert_eq!((back, reader.left()), (Ok(cells.to_vec()), 0));
            }
        }
    }
}
