//! `community_week`: community, hour_of_week -> messages. Live messages (a message without a user counts) of
//! the 28 days before the day of the watermark, by hour from Monday 00:00 UTC, 0 to 167; a row where
//! there are any.

use super::{Held, Row, day, group, hour, live};

pub const COLUMNS: &[&str] = &["community", "hour_of_week", "messages"];

/// 1970 began on a Thursday: three days after a Monday.
const FIRST_HOUR: i64 = 3 * 24;

pub fn rows(held: &Held) -> Vec<Row> {
    let Some(today) = held.today() else { return vec![] };
    let window = live(held).filter(|m| (today - 28..today).contains(&day(m)));
    group(window, |m| Some((m.community.as_deref()?, (hour(m) + FIRST_HOUR).rem_euclid(168))))
        .into_iter()
        .map(|((community, hour), messages)| vec![community.to_owned(), hour.to_string(), messages.len().to_string()])
        .collect()
}
