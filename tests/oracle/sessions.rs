//! `sessions`: user, start_at -> end_at, messages. A user's live messages in order of created_at, cut
//! where the gap is over 1,800 s; across all communities (and days).
//!
//! OPEN: sealed messages leave it one by one: a session that has begun before S begins, for now, with its first
//! message that is not sealed.

use super::{Held, Row, group, unsealed};

pub const COLUMNS: &[&str] = &["user", "start_at", "end_at", "messages"];

pub fn rows(held: &Held) -> Vec<Row> {
    let mut rows = vec![];
    for (user, messages) in group(unsealed(held), |m| m.user.as_deref()) {
        let mut times: Vec<i64> = messages.iter().map(|m| m.at()).collect();
        times.sort();
        for session in times.chunk_by(|a, b| b - a <= 1_800) {
            rows.push(vec![user.to_owned(), session[0].to_string(), session[session.len() - 1].to_string(), session.len().to_string()]);
        }
    }
    rows
}
