//! `users`: user -> messages, characters, score, edited, first_at, last_at, conversations, communities.
//!
//! Sums over the user's live messages; `score` takes a missing one as 0; `edited` counts messages whose
//! winning version is an edit; `conversations` and `communities` are distinct ones.

use super::{Held, Row, distinct, group, live};

pub const COLUMNS: &[&str] = &["user", "messages", "characters", "score", "edited", "first_at", "last_at", "conversations", "communities"];

pub fn rows(held: &Held) -> Vec<Row> {
    let by_user = group(live(held), |m| m.user.as_deref());
    let mut rows = vec![];
    for (user, messages) in by_user {
        let all = || messages.iter();
        rows.push(vec![
            user.to_owned(),
            messages.len().to_string(),
            all().map(|m| m.characters()).sum::<u64>().to_string(),
            all().map(|m| m.score.unwrap_or(0)).sum::<i64>().to_string(),
            all().filter(|m| m.edited).count().to_string(),
            all().map(|m| m.at()).min().unwrap().to_string(),
            all().map(|m| m.at()).max().unwrap().to_string(),
            distinct(all().map(|m| Some(m.conversation.as_str()))).to_string(),
            // OPEN: a message without a community (a promoted submission) adds none.
            distinct(all().map(|m| m.community.as_deref())).to_string(),
        ]);
    }
    rows
}
