//! `community_activity`: community -> as_of_day, dau, wau, mau. Distinct posters in the 1, 7, 30 days that end
//! with the day of the watermark, `as_of_day`; a row while mau is not 0.

use super::{Held, Row, days_of_users};

pub const COLUMNS: &[&str] = &["community", "as_of_day", "dau", "wau", "mau"];

pub fn rows(held: &Held) -> Vec<Row> {
    let Some(today) = held.today() else { return vec![] };
    let mut rows = vec![];
    for (community, users) in days_of_users(held) {
        let posters = |days: i64| users.values().filter(|posted| posted.range(today - days + 1..=today).next().is_some()).count();
        if posters(30) > 0 {
            rows.push(vec![
                community.to_owned(),
                today.to_string(),
                posters(1).to_string(),
                posters(7).to_string(),
                posters(30).to_string(),
            ]);
        }
    }
    rows
}
