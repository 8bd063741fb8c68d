//! `user_states`: community -> new, returning, resurrected, churned, dormant. Each user with a live message
//! there is in one of them, by the day of the first, F, and by whether there is one in the 30 days that end
//! with the day of the watermark (now) and in the 30 before those (before).

use super::{Held, Row, days_of_users};

pub const COLUMNS: &[&str] = &["community", "new", "returning", "resurrected", "churned", "dormant"];

pub fn rows(held: &Held) -> Vec<Row> {
    let Some(today) = held.today() else { return vec![] };
    let mut rows = vec![];
    for (community, users) in days_of_users(held) {
        let mut states = [0; 5];
        for posted in users.values() {
            let in_days = |from: i64, to: i64| posted.range(today + from..=today + to).next().is_some();
            let first_now = posted.first().is_some_and(|first| *first >= today - 29);
            let state = match (in_days(-29, 0), in_days(-59, -30)) {
                (true, _) if first_now => 0,
                (true, true) => 1,
                (true, false) => 2,
                (false, true) => 3,
                (false, false) => 4,
            };
            states[state] += 1;
        }
        rows.push([community.to_owned()].into_iter().chain(states.map(|users| users.to_string())).collect());
    }
    rows
}
