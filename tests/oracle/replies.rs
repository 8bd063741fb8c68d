//! `replies`: user, to_user -> replies. Live messages of `user` whose parent is held in the same
//! conversation and whose parent's winning version names `to_user` (a submission, a comment, or a
//! tombstone that still names its author); answers to oneself are left out.

use super::{Held, Row};
use std::collections::BTreeMap;

pub const COLUMNS: &[&str] = &["user", "to_user", "replies"];

pub fn rows(held: &Held) -> Vec<Row> {
    let mut pairs: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let of_winners = held.winners.values().map(|m| (m, held.to_user(m)));
    let of_sealed = held.sealed.iter().map(|s| (&s.message, s.to_user.as_deref()));
    for (m, to_user) in of_winners.chain(of_sealed).filter(|(m, _)| m.live()) {
        if let (Some(user), Some(to_user)) = (m.user.as_deref(), to_user)
            && user != to_user
        {
            *pairs.entry((user, to_user)).or_default() += 1;
        }
    }
    pairs.into_iter().map(|((user, to_user), replies)| vec![user.to_owned(), to_user.to_owned(), replies.to_string()]).collect()
}
