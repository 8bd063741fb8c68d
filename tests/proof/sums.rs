//! What a view's rows come to: how many they are, and the sum of a hash of each. Whoever changes one row changes both by that row.

use std::fmt;

/// A field of a row. Texts are long, and stand here as their hash; null and the empty text are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field<'a> {
    Null,
    Int(i64),
    Name(u64, &'a str),
    Text(u64),
}

/// 0 is the hash of nothing.
pub fn hash(text: &str) -> u64 {
    hash_bytes(text.as_bytes())
}

pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = 0;
    for chunk in bytes.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash ^ u64::from_le_bytes(bytes) ^ (chunk.len() as u64) << 56);
    }
    hash
}

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 32)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 32)
}

impl<'a> Field<'a> {
    pub fn name(text: &'a str) -> Field<'a> {
        if text.is_empty() { Field::Null } else { Field::Name(hash(text), text) }
    }

    pub fn or_null(n: Option<i64>) -> Field<'a> {
        n.map_or(Field::Null, Field::Int)
    }

    fn hash(&self) -> u64 {
        match self {
            Field::Null => 0,
            Field::Int(n) => mix(*n as u64 ^ 0x5bd1_e995_0000_0001),
            Field::Name(hash, _) | Field::Text(hash) => *hash,
        }
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Field::Null => Ok(()),
            Field::Int(n) => write!(f, "{n}"),
            Field::Name(_, name) => write!(f, "{}", name.escape_default()),
            Field::Text(hash) => write!(f, "#{hash:016x}"),
        }
    }
}

pub fn row(fields: &[Field]) -> u64 {
    fields.iter().fold(0, |hash, field| mix(hash.rotate_left(17) ^ field.hash()))
}

/// As one line, for people.
pub fn text(fields: &[Field]) -> String {
    fields.iter().map(Field::to_string).collect::<Vec<_>>().join("\t")
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Sum {
    pub rows: u64,
    pub sum: u64,
}

impl Sum {
    pub fn add(&mut self, row: u64) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(row);
    }

    pub fn remove(&mut self, row: u64) {
        self.rows -= 1;
        self.sum = self.sum.wrapping_sub(row);
    }

    pub fn join(&mut self, other: Sum) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// Of each view, in the order of `eddy_dataflows::VIEWS`.
pub type Sums = Vec<Sum>;

#[test]
fn sums_of_rows_tell_rows_apart() {
    let rows: [&[Field]; 7] = [
        &[Field::Int(1), Field::Int(2)],
        &[Field::Int(2), Field::Int(1)],
        &[Field::Null, Field::Int(2)],
        &[Field::name("a"), Field::Int(2)],
        &[Field::name("ab"), Field::Null],
        &[Field::name("a\0"), Field::Int(2)],
        &[Field::Int(0), Field::Int(2)],
    ];
    let hashes: std::collections::BTreeSet<_> = rows.iter().map(|fields| row(fields)).collect();
    assert_eq!(hashes.len(), rows.len());
    let mut sum = Sum::default();
    rows.iter().for_each(|fields| sum.add(row(fields)));
    rows.iter().rev().for_each(|fields| sum.remove(row(fields)));
    assert_eq!(sum, Sum::default());
}
