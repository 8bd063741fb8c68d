//! `unanswered`: message -> community, user, created_at. Live posts, not sealed, that ask, have no response at all
//! (however late), and were created at least 21,600 s before W.
//!
//! OPEN: a post of nobody, or without a community, has its row, with an empty field.

use super::posts::{asking, held_posts};
use super::{Held, Row, show};

pub const COLUMNS: &[&str] = &["message", "community", "user", "created_at"];

pub fn rows(held: &Held) -> Vec<Row> {
    let Some(watermark) = held.watermark else { return vec![] };
    held_posts(held)
        .into_iter()
        .filter(|(post, response_s)| asking(post) && response_s.is_none() && watermark >= post.at() + 21_600)
        .map(|(post, _)| vec![post.id.clone(), show(post.community.as_ref()), show(post.user.as_ref()), post.at().to_string()])
        .collect()
}
