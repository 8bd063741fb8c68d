//! `community_days`: community, day -> messages, posters, new_posters, wau, mau.
//!
//! A row for each day (UTC) with a live message in the community. `posters`: its distinct users;
//! `new_posters`: those whose first live message in the community is on that day; `wau`, `mau`: distinct
//! posters in the 7, 30 days that end with that day.

use super::{Held, Message, Row, day, group, live};
use std::collections::{BTreeMap, BTreeSet};

pub const COLUMNS: &[&str] = &["community", "day", "messages", "posters", "new_posters", "wau", "mau"];

pub fn rows(held: &Held) -> Vec<Row> {
    let mut rows = vec![];
    for (community, messages) in group(live(held), |m| m.community.as_deref()) {
        let days: BTreeMap<i64, Vec<&Message>> = group(messages.into_iter(), |m| Some(day(m)));
        // Users who posted on the days from..=to.
        let posters = |from: i64, to: i64| -> BTreeSet<&String> {
            days.range(from..=to).flat_map(|(_, messages)| messages).filter_map(|m| m.user.as_ref()).collect()
        };
        let mut seen: BTreeSet<&String> = BTreeSet::new();
        for (&day, messages) in &days {
            let today = posters(day, day);
            let new = today.difference(&seen).count();
            rows.push(vec![
                community.to_owned(),
                day.to_string(),
                messages.len().to_string(),
                today.len().to_string(),
                new.to_string(),
                posters(day - 6, day).len().to_string(),
                posters(day - 29, day).len().to_string(),
            ]);
            seen.extend(today);
        }
    }
    rows
}
