//! Posts, and how long each waited for its first response: what `responses` and `unanswered` share.
//!
//! A post is a Reddit submission, or a Telegram message without a parent that asks. A response to a
//! submission is as in `first_response_s` (anyone's but the poster's, anywhere in the conversation), one to
//! a message a live direct reply by another named user.
//!
//! OPEN: a reply dated before its message is a response like another (only of submissions the contract says "at or after").
//! OPEN: "direct reply" is one that names the message, in its conversation or another of the chat.
//! OPEN: to a post of nobody any named user is another.

use super::asks::asks;
use super::{Held, Message, earliest, group, live};

pub fn asking(m: &Message) -> bool {
    asks(m.text.as_deref().unwrap_or(""))
}

/// Live posts, and the seconds to the first response of each.
pub fn posts(held: &Held) -> Vec<(&Message, Option<i64>)> {
    let conversations = group(live(held), |m| Some(m.conversation.as_str()));
    let replies = group(live(held), |m| m.parent.as_deref());
    let question = |m: &Message| m.id.starts_with("telegram:") && m.parent.is_none() && asking(m);
    live(held)
        .filter(|m| m.submission || question(m))
        .map(|m| {
            if m.submission {
                return (m, conversations.get(m.conversation.as_str()).and_then(|answers| earliest(m, answers)));
            }
            let others = replies.get(m.id.as_str()).into_iter().flatten().filter(|reply| reply.user.is_some() && reply.user != m.user);
            (m, others.map(|reply| reply.at() - m.at()).min())
        })
        .collect()
}
