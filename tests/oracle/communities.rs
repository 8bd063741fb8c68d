//! `communities`: community -> messages, posters, conversations, characters, removed, first_at, last_at.
//!
//! Over the live messages that name the community; `removed` counts the winning tombstones that name it
//! (a deletion `{"op":"d",...}` hardly ever does). A row exists where either is not zero.

use super::{Held, Row, all, distinct, group, show};

pub const COLUMNS: &[&str] = &["community", "messages", "posters", "conversations", "characters", "removed", "first_at", "last_at"];

pub fn rows(held: &Held) -> Vec<Row> {
    let mut rows = vec![];
    for (community, messages) in group(all(held), |m| m.community.as_ref()) {
        let live = || messages.iter().copied().filter(|m| m.live());
        rows.push(vec![
            community.to_owned(),
            live().count().to_string(),
            distinct(live().map(|m| m.user.as_deref())).to_string(),
            distinct(live().map(|m| Some(m.conversation.as_str()))).to_string(),
            live().map(|m| m.characters()).sum::<u64>().to_string(),
            messages.iter().filter(|m| m.tombstone).count().to_string(),
            show(live().map(|m| m.at()).min()),
            show(live().map(|m| m.at()).max()),
        ]);
    }
    rows
}
