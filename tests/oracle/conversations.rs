//! `conversations`: conversation -> community, messages, participants, characters, removed, first_at,
//! last_at, depth, first_response_s.
//!
//! A row exists where there is a live message, or a tombstone that names the conversation (`removed`).
//! `community` is the greatest bytewise that its live messages and tombstones name.
//!
//! `depth`: the longest chain that ends in a live message. A submission, live or tombstone, is 0; a
//! message without a parent, or whose parent is not held in the same conversation, is 1; another is its
//! parent's + 1. Messages in a cycle of parents, and what hangs off it, have none.
//!
//! `first_response_s`: from the live submission to the earliest live message in the conversation at or
//! after it, by a named user other than the submission's.

use super::{Held, Message, Row, all, distinct, earliest, group, held_parent, show};
use std::collections::BTreeMap;

pub const COLUMNS: &[&str] =
    &["conversation", "community", "messages", "participants", "characters", "removed", "first_at", "last_at", "depth", "first_response_s"];

pub fn rows(held: &Held) -> Vec<Row> {
    let depths = depths(held);
    let of_winners = held.winners.values().filter(|m| m.live()).map(|m| (&m.conversation, depths[m.id.as_str()]));
    let of_sealed = held.sealed.iter().filter(|s| s.message.live()).map(|s| (&s.message.conversation, s.depth));
    let mut deepest: BTreeMap<&String, Option<u64>> = BTreeMap::new();
    for (conversation, depth) in of_winners.chain(of_sealed) {
        let deepest = deepest.entry(conversation).or_default();
        *deepest = depth.max(*deepest);
    }
    let mut rows = vec![];
    for (conversation, messages) in group(all(held), |m| Some(&m.conversation)) {
        let live = || messages.iter().copied().filter(|m| m.live());
        rows.push(vec![
            conversation.to_owned(),
            show(messages.iter().filter_map(|m| m.community.as_ref()).max()),
            live().count().to_string(),
            distinct(live().map(|m| m.user.as_deref())).to_string(),
            live().map(|m| m.characters()).sum::<u64>().to_string(),
            messages.iter().filter(|m| m.tombstone).count().to_string(),
            show(live().map(|m| m.at()).min()),
            show(live().map(|m| m.at()).max()),
            show(deepest.get(conversation).copied().flatten()),
            show(first_response_s(&messages)),
        ]);
    }
    rows
}

/// The depth of each held message, tombstones too (they keep their place in a chain).
pub fn depths(held: &Held) -> BTreeMap<&str, Option<u64>> {
    let mut known: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    for start in held.winners.values() {
        // Up the chain until something is known, an end is reached, or a message comes round again.
        let mut chain: Vec<&Message> = vec![];
        let mut on_chain = std::collections::BTreeSet::new();
        let mut at = start;
        // The depth of the last message of the chain is this + 1.
        let below: Option<i64> = loop {
            if let Some(depth) = known.get(at.id.as_str()) {
                break depth.map(|d| d as i64);
            }
            if !on_chain.insert(&at.id) {
                break None; // a cycle
            }
            chain.push(at);
            if at.submission {
                break Some(-1);
            }
            if let Some(parent) = held.took(at) {
                break held.sealed[parent].depth.map(|d| d as i64);
            }
            match held_parent(held, at) {
                Some(parent) => at = parent,
                None => break Some(0),
            }
        };
        let mut depth = below;
        for m in chain.into_iter().rev() {
            depth = depth.map(|d| d + 1);
            known.insert(&m.id, depth.map(|d| d as u64));
        }
    }
    known
}

/// OPEN: a submission that was sealed goes on to be answered. Where it is held again (a version dated after S)
/// that one counts.
fn first_response_s(messages: &[&Message]) -> Option<i64> {
    let submission = messages.iter().find(|m| m.submission && m.live())?;
    earliest(submission, messages)
}
