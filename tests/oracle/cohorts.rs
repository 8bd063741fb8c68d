//! `cohorts`: community, day -> size, d1, d7, d30. Users whose first live message in the community is on that
//! day, and how many of them have one there on the day 1, 7, 30 days after it; empty while that later day is
//! not over (the day of the watermark is not past it).

use super::{Held, Row, days_of_users, show};
use std::collections::{BTreeMap, BTreeSet};

pub const COLUMNS: &[&str] = &["community", "day", "size", "d1", "d7", "d30"];

pub fn rows(held: &Held) -> Vec<Row> {
    let Some(today) = held.today() else { return vec![] };
    let mut rows = vec![];
    for (community, users) in days_of_users(held) {
        let mut cohorts: BTreeMap<i64, Vec<&BTreeSet<i64>>> = BTreeMap::new();
        for posted in users.values() {
            cohorts.entry(*posted.first().expect("a day at least")).or_default().push(posted);
        }
        for (day, cohort) in cohorts {
            let back = |after: i64| (today > day + after).then(|| cohort.iter().filter(|posted| posted.contains(&(day + after))).count());
            rows.push(vec![community.to_owned(), day.to_string(), cohort.len().to_string(), show(back(1)), show(back(7)), show(back(30))]);
        }
    }
    rows
}
