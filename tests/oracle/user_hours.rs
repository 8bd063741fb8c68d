//! `user_hours`: user, hour -> messages. Live messages of the user in that hour (UTC) since 1970.

use super::{Held, Row, group, hour, live};

pub const COLUMNS: &[&str] = &["user", "hour", "messages"];

pub fn rows(held: &Held) -> Vec<Row> {
    group(live(held), |m| Some((m.user.as_deref()?, hour(m))))
        .into_iter()
        .map(|((user, hour), messages)| vec![user.to_owned(), hour.to_string(), messages.len().to_string()])
        .collect()
}
