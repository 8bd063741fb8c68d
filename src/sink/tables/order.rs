//! The order of a table's rows: bytewise by the key's columns as they stand in the TSV.
//!
//! ```text
//!   key (reddit:spez, 482136)  -->  rank of the name (32 bits) | digits of the number, left-aligned (70 bits)  -->  sort
//! ```
//!
//! Sorting the texts of a million rows would read each some twenty times. So each key becomes a number that sorts as its text does:
//! a name or an id is its rank among the column's, an integer its decimal digits, and Reddit's ids, where nothing else is in the column,
//! their base-36 digits.

use eddy_schemas::id::TEXT_ORDER_BITS;
use eddy_schemas::row::Kind;
use eddy_schemas::{Cell, Changes, MessageId, codec};
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
        let (mut marks, mut handles) = (Vec::with_capacity(changes.len()), Vec::with_capacity(changes.len() * key.len()));
        for (place, change) in changes.places() {
            // Whether there is a row is asked of every key: the lowest bit answers it without another look.
            marks.push(place << 1 | u64::from(change.row.is_some()));
            handles.extend(codec::key_cells(key, change.key).map(handle));
        }
        let column = |at| handles.iter().skip(at).step_by(key.len()).copied();
        let ranks: Vec<Ranks> = key.iter().enumerate().map(|(at, of)| Ranks::new(of.kind, key.len() == 1, column(at))).collect();
        assert!(ranks.iter().map(Ranks::bits).sum::<u32>() <= u128::BITS, "a wider key needs a wider sort");
        let number = |handles: &[u64]| {
            let add = |number, (handle, ranks): (&u64, &Ranks)| number << ranks.bits() | ranks.of(*handle);
            handles.iter().zip(&ranks).fold(0, add)
        };
        let mut orders: Vec<(u128, u64)> = handles.par_chunks(key.len()).map(number).zip(marks).collect();
        drop((ranks, handles));
        // Places ascend with time, so the last of a key comes last.
        orders.par_sort_unstable();
        let mut last = 0;
        for at in 0..orders.len() {
            let (number, mark) = orders[at];
            let is_last = at + 1 == orders.len() || number != orders[at + 1].0;
            if is_last && mark & 1 == 1 {
                orders[last] = (number, mark >> 1);
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
        Cell::Int(n) => n as u64,
        Cell::Key(name) | Cell::Display(name) => u64::from(name.index()),
        Cell::Id(id) => id.bits(),
        Cell::Null | Cell::Text(_) => unreachable!("keys are names, ids and integers"),
    }
}

fn reddit_order(handle: u64) -> Option<u64> {
    MessageId::from_bits(handle).and_then(MessageId::text_order)
}

/// Each distinct handle's place among all of a column, by text.
enum Ranks {
    /// Integers sort without.
    Integers,
    /// So do Reddit's ids by themselves, if there is room for them.
    Reddit,
    /// By the name's number.
    Names(Vec<u32>),
    Ids(HashMap<u64, u32, foldhash::fast::FixedState>),
}

impl Ranks {
    fn new(kind: Kind, is_alone: bool, mut handles: impl Iterator<Item = u64> + Clone) -> Self {
        match kind {
            Kind::Int => Ranks::Integers,
            Kind::Id if is_alone && handles.clone().all(|handle| reddit_order(handle).is_some()) => Ranks::Reddit,
            Kind::Id => {
                let mut ranks: HashMap<u64, u32, foldhash::fast::FixedState> = handles.map(|handle| (handle, 0)).collect();
                for (rank, handle) in sorted(kind, ranks.keys().copied()).into_iter().enumerate() {
                    ranks.insert(handle, rank as u32);
                }
                Ranks::Ids(ranks)
            }
            Kind::Key | Kind::Display => {
                let mut ranks = vec![];
                for handle in handles.by_ref().map(|handle| handle as usize) {
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

    fn bits(&self) -> u32 {
        match self {
            Ranks::Integers => INTEGER_BITS,
            Ranks::Reddit => TEXT_ORDER_BITS,
            Ranks::Names(_) | Ranks::Ids(_) => RANK_BITS,
        }
    }

    fn of(&self, handle: u64) -> u128 {
        match self {
            Ranks::Integers => digits(handle as i64),
            Ranks::Reddit => u128::from(reddit_order(handle).expect("asked of all")),
            Ranks::Names(ranks) => u128::from(ranks[handle as usize]),
            Ranks::Ids(ranks) => u128::from(ranks[&handle]),
        }
    }
}

/// Bytes of a text that are compared as one number.
const HEAD_BYTES: usize = 16;

/// Distinct handles in the order of their texts.
fn sorted(kind: Kind, handles: impl Iterator<Item = u64>) -> Vec<u64> {
    let (mut texts, mut all) = (Vec::new(), Vec::new());
    for handle in handles {
        let start = texts.len();
        text::handle(kind, handle, &mut texts);
        all.push((0u128, start, texts.len(), handle));
    }
    // What they all begin with (a platform) tells none from another; what follows tells nearly all, without a look at the text.
    let first = all.first().map_or(&[][..], |(_, start, end, _)| &texts[*start..*end]);
    let common = |length: usize, (_, start, ..): &(u128, usize, usize, u64)| {
        first[..length].iter().zip(&texts[*start..]).take_while(|(a, b)| a == b).count()
    };
    let common = all.iter().fold(first.len(), common);
    for (head, start, end, _) in &mut all {
        let rest = &texts[(*start + common).min(*end)..*end];
        let mut bytes = [0; HEAD_BYTES];
        let length = rest.len().min(HEAD_BYTES);
        bytes[..length].copy_from_slice(&rest[..length]);
        *head = u128::from_be_bytes(bytes);
    }
    all.par_sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| texts[a.1..a.2].cmp(&texts[b.1..b.2])));
    all.into_iter().map(|(.., handle)| handle).collect()
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
