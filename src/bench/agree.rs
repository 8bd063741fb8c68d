//! Whether the engine's tables say what the floor's say, row for row.
//!
//! ```text
//!   users.tsv, 9 columns --the floor's columns, without `reddit:`--> lines, sorted ==? authors.tsv, sorted
//! ```

use std::fs;
use std::path::Path;

use super::Error;

/// A table of the floor, and where eddy has the same numbers.
pub struct Pair {
    floor: &'static str,
    pub view: &'static str,
    /// Columns of the view, in the floor's order; the first is the key.
    columns: &'static [&'static str],
}

pub const PAIRS: [Pair; 3] = [
    Pair { floor: "authors.tsv", view: "users", columns: &["user", "messages", "characters", "last_at"] },
    Pair { floor: "threads.tsv", view: "conversations", columns: &["conversation", "messages", "participants"] },
    Pair { floor: "hours.tsv", view: "user_hours", columns: &["user", "hour", "messages"] },
];

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Table { path: path.to_owned(), source })
}

/// The view's rows as the floor writes them. Rows without live messages are not the floor's business.
fn projected(table: &str, columns: &[&str]) -> Vec<String> {
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let at: Vec<usize> =
        columns.iter().map(|column| header.iter().position(|name| name == column).expect("a column of the view")).collect();
    let messages = header.iter().position(|name| *name == "messages").expect("each of these views counts messages");
    let mut rows: Vec<String> = lines
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|fields| fields[messages] != "0")
        .map(|fields| {
            let row = at.iter().map(|at| fields[*at]).collect::<Vec<_>>().join("\t");
            row.strip_prefix("reddit:").unwrap_or(&row).to_owned()
        })
        .collect();
    rows.sort_unstable();
    rows
}

/// Compares those tables of two folders whose view is in `views`; gives how many rows were equal.
pub fn compare(floor: &Path, eddy: &Path, views: &[&str]) -> Result<u64, Error> {
    let mut equal = 0;
    for pair in PAIRS.iter().filter(|pair| views.contains(&pair.view) && floor.join(pair.floor).exists()) {
        let (expected, got) = (read(&floor.join(pair.floor))?, read(&eddy.join(format!("{}.tsv", pair.view)))?);
        let mut expected: Vec<&str> = expected.lines().collect();
        expected.sort_unstable();
        let got = projected(&got, pair.columns);
        if let Some(at) = (0..expected.len().max(got.len())).find(|at| expected.get(*at).copied() != got.get(*at).map(String::as_str)) {
            return Err(Error::Differ {
                view: pair.view,
                floor: expected.get(at).map(|row| (*row).to_owned()),
                eddy: got.get(at).cloned(),
                rows: (expected.len(), got.len()),
            });
        }
        equal += expected.len() as u64;
    }
    Ok(equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_rows_without_messages_left_out() {
        let table = "conversation\tcommunity\tmessages\tparticipants\nreddit:t3_b\tx\t2\t1\nreddit:t3_a\tx\t3\t2\nreddit:t3_c\tx\t0\t0\n";
        assert_eq!(projected(table, PAIRS[1].columns), ["t3_a\t3\t2", "t3_b\t2\t1"]);
    }

    #[test]
    fn a_row_that_differs_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("threads.tsv"), "t3_a\t3\t2\n").expect("room");
        fs::write(folder.path().join("conversations.tsv"), "conversation\tmessages\tparticipants\nreddit:t3_a\t3\t3\n").expect("room");
        let error = compare(folder.path(), folder.path(), &["conversations"]).expect_err("3 is not 2");
        assert!(error.to_string().contains(r"t3_a\t3\t3"), "{error}");
        assert_eq!(compare(folder.path(), folder.path(), &["users"]).expect("nothing to compare"), 0);
    }
}
