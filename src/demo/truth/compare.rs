//! Rows that must be there against rows that are.

use eddy_schemas::Cell;

use super::VIEWS;
use super::expected::{Row, same};
use crate::store::Stored;

/// What differs.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    pub view: usize,
    /// Of the row that is wrong or should not be; `None`: it is the row that is missing.
    pub as_of: Option<u64>,
    pub detail: String,
}

/// Compares the rows of one entity, of the views that were read; gives what differs and how many rows were compared, by view.
pub fn compare(expected: &[Row], stored: &[(usize, Vec<Stored>)]) -> (Vec<Difference>, Vec<(usize, u64)>) {
    let (mut differences, mut checked) = (Vec::new(), Vec::new());
    for (view, rows) in stored {
        let keys = VIEWS[*view].key.len();
        let mut wanted: Vec<&Row> = expected.iter().filter(|row| row.view == *view).collect();
        let mut there: Vec<&Stored> = rows.iter().collect();
        wanted.sort_by_cached_key(|row| order(&row.cells[..keys]));
        there.sort_by_cached_key(|row| order(&row.cells[..keys]));
        checked.push((*view, wanted.len().max(there.len()) as u64));
        let (mut wanted, mut there) = (wanted.into_iter().peekable(), there.into_iter().peekable());
        loop {
            let by_key = match (wanted.peek(), there.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(w), Some(t)) => order(&w.cells[..keys]).cmp(&order(&t.cells[..keys])),
            };
            let row = if by_key.is_le() { wanted.next() } else { None };
            let found = if by_key.is_ge() { there.next() } else { None };
            differences.extend(difference(*view, row, found));
        }
    }
    (differences, checked)
}

fn difference(view: usize, row: Option<&Row>, found: Option<&Stored>) -> Option<Difference> {
    let columns: Vec<_> = VIEWS[view].all_columns().collect();
    let keys = VIEWS[view].key.len();
    let name = |cells: &[Cell]| format!("{} {}", VIEWS[view].name, cells[..keys].iter().map(show).collect::<Vec<_>>().join(" "));
    let rest = |cells: &[Cell]| {
        let rest = columns.iter().zip(cells).skip(keys);
        rest.map(|(column, cell)| format!("{} {}", column.name, show(cell))).collect::<Vec<_>>().join(", ")
    };
    match (row, found) {
        (Some(row), None) => {
            let detail = format!("{}: there is no row; it should say {}", name(&row.cells), rest(&row.cells));
            Some(Difference { view, as_of: None, detail })
        }
        (None, Some(found)) => {
            let detail = format!("{}: there should be no row; it says {} (as of {})", name(&found.cells), rest(&found.cells), found.as_of);
            Some(Difference { view, as_of: Some(found.as_of), detail })
        }
        (Some(row), Some(found)) => {
            let wrong: Vec<String> = columns
                .iter()
                .enumerate()
                .filter_map(|(at, column)| {
                    let (wanted, there) = (row.cells.get(at)?, found.cells.get(at).unwrap_or(&Cell::Null));
                    let or = row.or.filter(|_| at + 1 == columns.len());
                    let fits = same(wanted, there, column.kind) || or.is_some_and(|or| same(&or, there, column.kind));
                    (!fits).then(|| format!("{} is {}, should be {}", column.name, show(there), show(wanted)))
                })
                .collect();
            let detail = || format!("{}: {} (as of {})", name(&found.cells), wrong.join("; "), found.as_of);
            (!wrong.is_empty()).then(|| Difference { view, as_of: Some(found.as_of), detail: detail() })
        }
        (None, None) => None,
    }
}

/// An order of keys, whatever.
fn order(cells: &[Cell]) -> Vec<(u8, i64)> {
    cells
        .iter()
        .map(|cell| match cell {
            Cell::Null => (0, 0),
            Cell::Int(n) => (1, *n),
            Cell::Key(name) => (2, i64::from(name.index())),
            Cell::Display(name) => (3, i64::from(name.index())),
            Cell::Id(id) => (4, id.bits() as i64),
            Cell::Text(place) => (5, place.0 as i64),
        })
        .collect()
}

pub fn show(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Int(n) => n.to_string(),
        Cell::Key(name) => name.as_str().into(),
        Cell::Display(name) => format!("\"{}\"", name.bare()),
        Cell::Id(id) => id.to_string(),
        Cell::Text(place) => format!("the text at {}:{}", place.input(), place.offset()),
    }
}
