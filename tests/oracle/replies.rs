//! `replies`: user, to_user -> replies. Live messages of `user` whose parent is held in the same
//! conversation and whose parent's winning version names `to_user` (a submission, a comment, or a
//! tombstone that still names its author); answers to oneself are left out.

use super::{Held, Row, group, held_parent, live};

pub const COLUMNS: &[&str] = &["user", "to_user", "replies"];

pub fn rows(held: &Held) -> Vec<Row> {
    let pairs = group(live(held), |m| {
        let user = m.user.as_deref()?;
        let to_user = held_parent(held, m)?.user.as_deref()?;
        (user != to_user).then_some((user, to_user))
    });
    pairs.into_iter().map(|((user, to_user), replies)| vec![user.to_owned(), to_user.to_owned(), replies.len().to_string()]).collect()
}
