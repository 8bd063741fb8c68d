//! `messages`: message -> conversation, community, user, parent, created_at, edited_at, score, text.
//! Each live message that is not sealed, as its winning version has it; `parent` whether that is held or not.

use super::{Held, Row, show, unsealed};

pub const COLUMNS: &[&str] = &["message", "conversation", "community", "user", "parent", "created_at", "edited_at", "score", "text"];

pub fn rows(held: &Held) -> Vec<Row> {
    unsealed(held)
        .map(|m| {
            vec![
                m.id.clone(),
                m.conversation.clone(),
                show(m.community.as_ref()),
                show(m.user.as_ref()),
                show(m.parent.as_ref()),
                m.at().to_string(),
                show(m.edited_at),
                show(m.score),
                show(m.text.as_ref()),
            ]
        })
        .collect()
}
