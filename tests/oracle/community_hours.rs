//! `community_hours`: community, hour -> messages, posters. Live messages of the community in that hour
//! (UTC) since 1970, and their distinct users; a message without a user counts as a message.

use super::{Held, Row, distinct, group, hour, live};

pub const COLUMNS: &[&str] = &["community", "hour", "messages", "posters"];

pub fn rows(held: &Held) -> Vec<Row> {
    group(live(held), |m| Some((m.community.as_deref()?, hour(m))))
        .into_iter()
        .map(|((community, hour), messages)| {
            vec![
                community.to_owned(),
                hour.to_string(),
                messages.len().to_string(),
                distinct(messages.iter().map(|m| m.user.as_deref())).to_string(),
            ]
        })
        .collect()
}
