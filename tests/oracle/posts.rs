//! Posts, and how long each waited for its first response: what `responses` and `unanswered` share.
//!
//! A post is a Reddit submission, or a Telegram message without a parent that asks. A response to a
//! submission is as in `first_response_s` (anyone's but the poster's, anywhere in the conversation), one to
//! a message a live direct reply by another named user.
//!
//! OPEN: a reply dated before its message is no response (as for submissions, where the contract says so).
//! OPEN: "direct reply" is as in `replies`: to a message held in the same conversation.
//! OPEN: to a post of nobody any named user is another.

use super::asks::asks;
use super::{Held, Message, earliest, group, held_parent, live};

pub fn asking(m: &Message) -> bool {
    asks(m.text.as_deref().unwrap_or(""))
}

/// Live posts, and the seconds to the first response of each.
pub fn posts(held: &Held) -> Vec<(&Message, Option<i64>)> {
    let conversations = group(live(held), |m| Some(m.conversation.as_str()));
    let replies = group(live(held), |m| Some(held_parent(held, m)?.id.as_str()));
    let question = |m: &Message| m.id.starts_with("telegram:") && m.parent.is_none() && asking(m);
    live(held)
        .filter(|m| m.submission || question(m))
        .map(|m| {
            let answers = if m.submission { conversations.get(m.conversation.as_str()) } else { replies.get(m.id.as_str()) };
            (m, answers.and_then(|answers| earliest(m, answers)))
        })
        .collect()
}
