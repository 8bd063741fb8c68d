//! The order of a table's rows: bytewise by the key's columns as they stand in the TSV.
//!
//! Sorting texts of a million rows would read each some twenty times. So each key column becomes a number that sorts as its text does:
//! a name or id its rank among the column's, an integer its digits, left-aligned.

use eddy_schemas::row::Kind;
use eddy_schemas::{Cell, View, codec};
use hashbrown::HashMap;

use super::{Live, text};

/// Keys have at most this many columns.
const COLUMNS_MAX: usize = 2;

/// Indexes of `live` in the order of the table.
pub(super) fn sorted(view: &View, live: &[Live<'_>]) -> Vec<usize> {
    assert!(view.key.len() <= COLUMNS_MAX, "a wider key needs a wider sort");
    let mut orders: Vec<([u128; COLUMNS_MAX], u32)> = (0..live.len()).map(|at| ([0; COLUMNS_MAX], at as u32)).collect();
    let mut cells = vec![];
    for (column, described) in view.key.iter().enumerate() {
        let mut cell_of = |at: usize| {
            cells.clear();
            codec::decode_key(view.key, live[at].key, &mut cells);
            cells[column]
        };
        if described.kind == Kind::Int {
            for (order, at) in &mut orders {
                let Cell::Int(n) = cell_of(*at as usize) else { unreachable!("an Int column") };
                order[column] = digits(n);
            }
        } else {
            let ranks = ranks((0..live.len()).map(&mut cell_of));
            for (order, at) in &mut orders {
                order[column] = u128::from(ranks[&handle(cell_of(*at as usize))]);
            }
        }
    }
    orders.sort_unstable();
    orders.into_iter().map(|(_, at)| at as usize).collect()
}

fn handle(cell: Cell) -> u64 {
    match cell {
        Cell::Key(name) | Cell::Display(name) => u64::from(name.index()),
        Cell::Id(id) => id.bits(),
        Cell::Null | Cell::Int(_) | Cell::Text(_) => unreachable!("keys are names, ids and integers"),
    }
}

/// Each distinct cell's place among all, by text.
fn ranks(cells: impl Iterator<Item = Cell>) -> HashMap<u64, u32, foldhash::fast::FixedState> {
    let mut distinct: HashMap<u64, u32, foldhash::fast::FixedState> = HashMap::default();
    let mut all = vec![];
    for cell in cells {
        if distinct.insert(handle(cell), 0).is_none() {
            all.push(cell);
        }
    }
    // Ids are numbers inside; names are strings already.
    match all.first() {
        Some(Cell::Id(_)) => all.sort_by_cached_key(|cell| text::escaped(*cell)),
        _ => all.sort_by(|a, b| text::escaped(*a).cmp(&text::escaped(*b))),
    }
    for (rank, cell) in all.into_iter().enumerate() {
        distinct.insert(handle(cell), rank as u32);
    }
    distinct
}

/// A number that sorts as the decimal text of `n` does.
fn digits(n: i64) -> u128 {
    let magnitude = n.unsigned_abs();
    let length = magnitude.checked_ilog10().map_or(1, |log| log + 1);
    let aligned = u128::from(magnitude) * 10u128.pow(20 - length);
    // `-` sorts before every digit.
    u128::from(n >= 0) << 120 | aligned << 8 | u128::from(length)
}

#[cfg(test)]
mod tests {
    use super::digits;

    #[test]
    fn numbers_sort_as_their_texts() {
        let mut numbers = vec![0, 1, 9, 10, 11, 99, 100, 101, 1_000, -1, -10, -9, i64::MAX, i64::MIN, 123, 12, 1_234];
        numbers.sort_by_key(|n| n.to_string());
        let by_text = numbers.clone();
        numbers.sort_by_key(|n| digits(*n));
        assert_eq!(numbers, by_text);
    }
}
