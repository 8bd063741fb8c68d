//! `user_names`: user -> name. Telegram: @username, else first and last name; Reddit: the name itself;
//! as the winning version of the live message with the greatest created_at, then id, has it.
//!
//! OPEN: "then id" is the message's identity, bytewise. OPEN: where that message has no name (a desktop
//! export's `from` may be null) the row is there, with an empty name.

use super::{Held, Row, group, live, show};

pub const COLUMNS: &[&str] = &["user", "name"];

pub fn rows(held: &Held) -> Vec<Row> {
    group(live(held), |m| m.user.as_deref())
        .into_iter()
        .map(|(user, messages)| {
            let last = messages.iter().max_by_key(|m| (m.at(), &m.id)).unwrap();
            vec![user.to_owned(), show(last.user_name.as_ref())]
        })
        .collect()
}
