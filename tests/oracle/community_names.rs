//! `community_names`: community -> name. Telegram: the chat's title; Reddit: the name itself; as the
//! winning version of the live message with the greatest created_at, then id, has it.
//!
//! OPEN: "then id" is the message's identity, bytewise. OPEN: where that message has no title (a private
//! chat) the row is there, with an empty name.

use super::{Held, Row, group, live, show};

pub const COLUMNS: &[&str] = &["community", "name"];

pub fn rows(held: &Held) -> Vec<Row> {
    group(live(held), |m| m.community.as_deref())
        .into_iter()
        .map(|(community, messages)| {
            let last = messages.iter().max_by_key(|m| (m.at(), &m.id)).unwrap();
            vec![community.to_owned(), show(last.community_name.as_ref())]
        })
        .collect()
}
