//! Bytes of keys and rows inside this process: compact, order-preserving for keys.
//!
//! ```text
//!   key: Int -> 8 bytes, sign flipped, big endian;  Key, Display -> 4 bytes;  Id -> 8 bytes, big endian
//!   row: each cell: 0 = null, else 1 + varint(zigzag(Int)), varint(name), 8 bytes id, 8 bytes place
//! ```
//!
//! Keys sort by first column, then the next, integers as numbers; names and ids by their handle, which is a stable but
//! otherwise meaningless order. Handles are good in this process only: what is durable or leaves it writes text.

use crate::row::{Cell, Column, Kind};
use crate::{MessageId, Name, Place};

/// Appends the key's bytes.
pub fn encode_key(cells: &[Cell], out: &mut Vec<u8>) {
    for cell in cells {
        match *cell {
            Cell::Int(n) => out.extend_from_slice(&((n as u64) ^ (1 << 63)).to_be_bytes()),
            Cell::Key(name) | Cell::Display(name) => out.extend_from_slice(&name.index().to_be_bytes()),
            Cell::Id(id) => out.extend_from_slice(&id.bits().to_be_bytes()),
            Cell::Null | Cell::Text(_) => unreachable!("keys hold no nulls and no texts"),
        }
    }
}

/// Reads a key back. The bytes must come from [`encode_key`] with the same columns.
pub fn key_cells(columns: &[Column], mut bytes: &[u8]) -> impl Iterator<Item = Cell> {
    columns.iter().map(move |column| match column.kind {
        Kind::Int => Cell::Int((u64::from_be_bytes(take(&mut bytes)) ^ (1 << 63)) as i64),
        Kind::Key => Cell::Key(name(u32::from_be_bytes(take(&mut bytes)))),
        Kind::Display => Cell::Display(name(u32::from_be_bytes(take(&mut bytes)))),
        Kind::Id => Cell::Id(id(u64::from_be_bytes(take(&mut bytes)))),
        Kind::Text => unreachable!("keys hold no texts"),
    })
}

/// Reads a key back, as [`key_cells`] does.
pub fn decode_key(columns: &[Column], bytes: &[u8], out: &mut Vec<Cell>) {
    out.extend(key_cells(columns, bytes));
}

/// Appends the row's bytes (the columns after the key).
pub fn encode_row(cells: &[Cell], out: &mut Vec<u8>) {
    for cell in cells {
        match *cell {
            Cell::Null => out.push(0),
            Cell::Int(n) => varint(u128::from(zigzag(n)) + 1, out),
            Cell::Key(name) | Cell::Display(name) => varint(u128::from(name.index()), out),
            Cell::Id(id) => out.extend_from_slice(&id.bits().to_be_bytes()),
            Cell::Text(place) => out.extend_from_slice(&place.0.to_be_bytes()),
        }
    }
}

/// Reads a row back. The bytes must come from [`encode_row`] with the same columns.
pub fn decode_row(columns: &[Column], mut bytes: &[u8], out: &mut Vec<Cell>) {
    for column in columns {
        out.push(match column.kind {
            Kind::Int => match unvarint(&mut bytes) {
                0 => Cell::Null,
                n => Cell::Int(unzigzag((n - 1) as u64)),
            },
            Kind::Key | Kind::Display => match unvarint(&mut bytes) {
                0 => Cell::Null,
                n if column.kind == Kind::Key => Cell::Key(name(n as u32)),
                n => Cell::Display(name(n as u32)),
            },
            Kind::Id if bytes[0] == 0 => {
                bytes = &bytes[1..];
                Cell::Null
            }
            Kind::Id => Cell::Id(id(u64::from_be_bytes(take(&mut bytes)))),
            Kind::Text => Cell::Text(Place(u64::from_be_bytes(take(&mut bytes)))),
        });
    }
    debug_assert!(bytes.is_empty(), "a row has just its columns");
}

fn name(index: u32) -> Name {
    Name::from_index(index).expect("encoded from a name")
}

fn id(bits: u64) -> MessageId {
    MessageId::from_bits(bits).expect("encoded from an id")
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (head, rest) = bytes.split_first_chunk().expect("encoded with these columns");
    *bytes = rest;
    *head
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}

fn varint(mut n: u128, out: &mut Vec<u8>) {
    while n >= 128 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
}

fn unvarint(bytes: &mut &[u8]) -> u128 {
    let (mut n, mut shift) = (0, 0);
    loop {
        let [byte] = take(bytes);
        n |= u128::from(byte & 127) << shift;
        if byte < 128 {
            return n;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::column;

    #[test]
    fn rows_read_back() {
        let columns = [
            column::<Option<i64>>("n", ""),
            column::<Option<Name>>("k", ""),
            column::<Option<MessageId>>("i", ""),
            column::<Place>("t", ""),
        ];
        for n in [None, Some(0), Some(-1), Some(i64::MIN), Some(i64::MAX)] {
            for present in [false, true] {
                let cells = vec![
                    n.map_or(Cell::Null, Cell::Int),
                    if present { Cell::Key(Name::of("reddit:a")) } else { Cell::Null },
                    if present { Cell::Id(MessageId::comment("c1")) } else { Cell::Null },
                    Cell::Text(Place::new(3, 77)),
                ];
                let (mut bytes, mut back) = (vec![], vec![]);
                encode_row(&cells, &mut bytes);
                decode_row(&columns, &bytes, &mut back);
                assert_eq!(back, cells);
            }
        }
    }

    #[test]
    fn keys_sort_as_numbers() {
        let mut keys: Vec<Vec<u8>> = [5i64, -3, i64::MAX, 0, i64::MIN, 300]
            .map(|n| {
                let mut bytes = vec![];
                encode_key(&[Cell::Int(n)], &mut bytes);
                bytes
            })
            .to_vec();
        keys.sort();
        let columns = [column::<i64>("n", "")];
        let back: Vec<_> = keys
            .iter()
            .map(|bytes| {
                let mut cells = vec![];
                decode_key(&columns, bytes, &mut cells);
                cells[0]
            })
            .collect();
        assert_eq!(back, [i64::MIN, -3, 0, 5, 300, i64::MAX].map(Cell::Int));
    }
}
