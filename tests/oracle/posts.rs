//! Posts, and how long each waited for its first response: what `responses` and `unanswered` share.
//!
//! A post is a Reddit submission, or a Telegram message without a parent that asks. A response to a
//! submission is as in `first_response_s` (anyone's but the poster's, anywhere in the conversation), one to
//! a message a live direct reply by another named user.
//!
//! OPEN: a reply dated before its message is no response (as for submissions, where the contract says so).
//! OPEN: "direct reply" is as in `replies`: to a message held in the same conversation.
//! OPEN: a sealed message is answered by those that found it held, as they are now; one that arrives
//! later is no reply to it. A sealed submission is answered by whatever its conversation has.
//! OPEN: to a post of nobody any named user is another.

use super::asks::asks;
use super::{Held, Message, earliest, group, held_parent, live};
use std::collections::BTreeMap;

pub fn asking(m: &Message) -> bool {
    asks(m.text.as_deref().unwrap_or(""))
}

/// Live posts that are held, and the seconds to the first response of each.
pub fn held_posts(held: &Held) -> Vec<(&Message, Option<i64>)> {
    let posts = held.winners.values().map(|m| (m, Parent::Held(&m.id)));
    answered(held, posts)
}

/// The same of those that were sealed: they go on to be answered by what can be in time.
pub fn sealed_posts(held: &Held) -> Vec<(&Message, Option<i64>)> {
    let posts = held.sealed.iter().enumerate().map(|(place, sealed)| (&sealed.message, Parent::Sealed(place)));
    answered(held, posts)
}

/// What a message answers directly: one that is held, by its id, or a sealed one, by its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Parent<'a> {
    Held(&'a str),
    Sealed(usize),
}

fn answered<'a>(held: &'a Held, posts: impl Iterator<Item = (&'a Message, Parent<'a>)>) -> Vec<(&'a Message, Option<i64>)> {
    let conversations = group(live(held), |m| Some(m.conversation.as_str()));
    let mut replies: BTreeMap<Parent, Vec<&Message>> = BTreeMap::new();
    for m in held.winners.values() {
        let took = held.took(m).map(Parent::Sealed);
        if let Some(parent) = took.or_else(|| Some(Parent::Held(&held_parent(held, m)?.id))) {
            replies.entry(parent).or_default().push(m);
        }
    }
    for sealed in &held.sealed {
        if let Some(place) = sealed.parent {
            replies.entry(Parent::Sealed(place)).or_default().push(&sealed.message);
        }
    }
    let question = |m: &Message| m.id.starts_with("telegram:") && m.parent.is_none() && asking(m);
    posts
        .filter(|(m, _)| m.live() && (m.submission || question(m)))
        .map(|(m, place)| {
            let answers = if m.submission { conversations.get(m.conversation.as_str()) } else { replies.get(&place) };
            (m, answers.and_then(|answers| earliest(m, answers)))
        })
        .collect()
}
