//! `top_users`: community, rank -> user, messages. The ten users with most live messages in the
//! community, ties by user, bytewise (the lesser first); rank from 1.

use super::{Held, Row, group, live};
use std::cmp::Reverse;

pub const COLUMNS: &[&str] = &["community", "rank", "user", "messages"];

pub fn rows(held: &Held) -> Vec<Row> {
    let mut rows = vec![];
    for (community, messages) in group(live(held), |m| m.community.as_deref()) {
        let mut users: Vec<(usize, &str)> =
            group(messages.into_iter(), |m| m.user.as_deref()).into_iter().map(|(user, messages)| (messages.len(), user)).collect();
        users.sort_by_key(|&(messages, user)| (Reverse(messages), user));
        for (rank, (messages, user)) in (1..=10).zip(users) {
            rows.push(vec![community.to_owned(), rank.to_string(), user.to_owned(), messages.to_string()]);
        }
    }
    rows
}
