//! The order of a table's rows: bytewise by the key's columns as they stand in the TSV.
//!
//! ```text
//!   key (reddit:spez, 482136)  -->  rank of the name (32 bits) | digits of the number, left-aligned (70 bits)  -->  sort
//! ```
//!
//! Sorting the texts of a million rows would read each some twenty times. So each key becomes a number that sorts as its text does:
//! a name or an id is its rank among the column's, an integer its decimal digits.

use eddy_schemas::row::Kind;
use eddy_schemas::{Cell, Changes, codec};
use hashbrown::HashMap;
use rayon::prelude::*;

use super::text;

/// The last change of each key that has a row, in the order of the table.
pub(super) struct Order(Vec<(u128, u64)>);

const RANK_BITS: u32 = 32;
const INTEGER_BITS: u32 = 70;

impl Order {
    pub(super) fn new(changes: &Changes) -> Self {
        let key = changes.view.key;
        let bits: u32 = key.iter().map(|column| if column.kind == Kind::Int { INTEGER_BITS } else { RANK_BITS }).sum();
        assert!(bits <= u128::BITS, "a wider key needs a wider sort");
        let places: Vec<u64> = changes.places().map(|(place, _)| place).collect();
        let cells = |place| codec::key_cells(key, changes.at(place).key);
        let column = |at| places.iter().map(move |place| handle(cells(*place).nth(at).expect("a cell a column")));
        let ranks: Vec<Ranks> = key.iter().enumerate().map(|(at, of)| Ranks::new(of.kind, column(at))).collect();
        let number = |place| {
            let add = |number, (cell, ranks): (Cell, &Ranks)| match cell {
                Cell::Int(n) => number << INTEGER_BITS | digits(n),
                _ => number << RANK_BITS | u128::from(ranks.of(handle(cell))),
            };
            (cells(place).zip(&ranks).fold(0, add), place)
        };
        let mut orders: Vec<(u128, u64)> = places.into_par_iter().map(number).collect();
        // Places ascend with time, so the last of a key comes last.
        orders.par_sort_unstable();
        let mut last = 0;
        for at in 0..orders.len() {
            let is_last = at + 1 == orders.len() || orders[at].0 != orders[at + 1].0;
            if is_last && changes.at(orders[at].1).row.is_some() {
                orders[last] = orders[at];
                last += 1;
            }
        }
        orders.truncate(last);
        Order(orders)
    }

    /// Where the rows stand in the changes.
    pub(super) fn places(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|(_, place)| *place)
    }
}

fn handle(cell: Cell) -> u64 {
    match cell {
        Cell::Key(name) | Cell::Display(name) => u64::from(name.index()),
        Cell::Id(id) => id.bits(),
        Cell::Null | Cell::Int(_) | Cell::Text(_) => unreachable!("keys are names, ids and integers"),
    }
}

/// Each distinct handle's place among all of a column, by text.
enum Ranks {
    /// Integers sort without.
    None,
    /// By the name's number.
    Names(Vec<u32>),
    Ids(HashMap<u64, u32, foldhash::fast::FixedState>),
}

impl Ranks {
    fn new(kind: Kind, handles: impl Iterator<Item = u64>) -> Self {
        match kind {
            Kind::Int => Ranks::None,
            Kind::Id => {
                let mut ranks: HashMap<u64, u32, foldhash::fast::FixedState> = handles.map(|handle| (handle, 0)).collect();
                for (rank, handle) in sorted(kind, ranks.keys().copied()).into_iter().enumerate() {
                    ranks.insert(handle, rank as u32);
                }
                Ranks::Ids(ranks)
            }
            Kind::Key | Kind::Display => {
                let mut ranks = vec![];
                for handle in handles.map(|handle| handle as usize) {
                    if ranks.len() <= handle {
                        ranks.resize(handle + 1, 0);
                    }
                    ranks[handle] = 1;
                }
                let met = (0..ranks.len() as u64).filter(|handle| ranks[*handle as usize] > 0);
                for (rank, handle) in sorted(kind, met).into_iter().enumerate() {
                    ranks[handle as usize] = rank as u32;
                }
                Ranks::Names(ranks)
            }
            Kind::Text => unreachable!("keys hold no texts"),
        }
    }

    fn of(&self, handle: u64) -> u32 {
        match self {
            Ranks::None => unreachable!("an integer needs no rank"),
            Ranks::Names(ranks) => ranks[handle as usize],
            Ranks::Ids(ranks) => ranks[&handle],
        }
    }
}

/// Distinct handles in the order of their texts.
fn sorted(kind: Kind, handles: impl Iterator<Item = u64>) -> Vec<u64> {
    let (mut texts, mut all) = (Vec::new(), Vec::new());
    for handle in handles {
        let start = texts.len();
        text::handle(kind, handle, &mut texts);
        all.push((start, texts.len(), handle));
    }
    all.par_sort_unstable_by(|a, b| texts[a.0..a.1].cmp(&texts[b.0..b.1]));
    all.into_iter().map(|(_, _, handle)| handle).collect()
}

/// A number of [`INTEGER_BITS`] bits that sorts as the decimal text of `n` does.
fn digits(n: i64) -> u128 {
    let magnitude = n.unsigned_abs();
    let length = magnitude.checked_ilog10().map_or(1, |log| log + 1);
    // 19 digits fit in 64 bits, and so do all of an i64's.
    let aligned = u128::from(magnitude) * 10u128.pow(19 - length);
    // `-` sorts before every digit; `1` before `10`.
    u128::from(n >= 0) << 69 | aligned << 5 | u128::from(length)
}

#[cfg(test)]
mod tests {
    use super::{INTEGER_BITS, digits};

    #[test]
    fn numbers_sort_as_their_texts() {
        let mut numbers = vec![0, 1, 9, 10, 11, 99, 100, 101, 1_000, -1, -10, -9, i64::MAX, i64::MIN, 123, 12, 1_234];
        numbers.sort_by_key(|n| n.to_string());
        let by_text = numbers.clone();
        numbers.sort_by_key(|n| digits(*n));
        assert_eq!(numbers, by_text);
        assert!(numbers.iter().all(|n| digits(*n) >> INTEGER_BITS == 0));
    }
}
