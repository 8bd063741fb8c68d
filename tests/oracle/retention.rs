//! Retention: old messages are sealed, and what they gave stays.
//!
//! The sealed-before time S follows the watermark at the retention's distance and moves between ticks only: a
//! record is judged by the S of the tick before, and ignored `sealed` where its created_at is below it. When S has moved, each winning version whose created_at is below it leaves what is
//! held, as it is at the end of that tick; it goes on to count, for ever, wherever it counted.
//!
//! Sealed with a message are the depth and the `to_user` that it has at that moment. What is still held and
//! answers it remembers it (`took`): its depth and its user, for as long as the winning version of the answer
//! names that parent and conversation.
//!
//! OPEN: a tombstone that names no time arrived at the watermark that its tick reached.
//! OPEN: a deletion without a time of a message that was sealed before is a tombstone of something unknown:
//! it counts as `removed`, and the sealed message goes on to count as live. Likewise a version of a sealed
//! message that is dated S or later: it is another message with the same id.
//! OPEN: what an answer took is lost when it names another parent or conversation at the end of a tick; one that
//! does so within a tick only keeps it (so the order of records in a tick does not matter).
//! OPEN: an answer that took from a sealed message keeps that, even when one with the same id is held again.
//! OPEN: a message whose parent was sealed without a depth (in a cycle, or below one) has none.

use super::conversations::depths;
use super::{Held, Message, held_parent};
use std::collections::BTreeMap;

pub struct Retention {
    pub seconds: i64,
    /// How long rows of hours and of days stay after their end; None: for ever.
    pub keep_hours_s: Option<i64>,
    pub keep_days_s: Option<i64>,
}

/// A message as it was when it was sealed. Nothing of it changes any more.
pub struct Sealed {
    pub message: Message,
    pub depth: Option<u64>,
    pub to_user: Option<String>,
    /// What it answers, where that was sealed no later: its place among the sealed.
    pub parent: Option<usize>,
}

impl Held {
    /// Whose message a held one answers.
    pub fn to_user(&self, m: &Message) -> Option<&str> {
        let took = self.took(m).map(|place| &self.sealed[place].message);
        took.or_else(|| held_parent(self, m))?.user.as_deref()
    }

    /// Where among the sealed is what a held message answers, where it found that held.
    pub fn took(&self, m: &Message) -> Option<usize> {
        let place = *self.took.get(&m.id)?;
        let parent = &self.sealed[place].message;
        (m.parent.as_ref() == Some(&parent.id) && m.conversation == parent.conversation).then_some(place)
    }

    /// Seals what is below `before`.
    pub fn seal(&mut self, before: i64) {
        let watermark = self.watermark.expect("time was read, or there is nothing to seal before");
        for m in self.winners.values().filter(|m| m.created_at.is_none()) {
            self.arrived.entry(m.id.clone()).or_insert(watermark);
        }
        let time = |m: &Message| m.created_at.unwrap_or_else(|| self.arrived[&m.id]);
        let old: Vec<Message> = self.winners.values().filter(|m| time(m) < before).cloned().collect();
        let places: BTreeMap<&str, usize> = old.iter().map(|m| m.id.as_str()).zip(self.sealed.len()..).collect();

        let depths: BTreeMap<String, Option<u64>> = depths(self).into_iter().map(|(id, depth)| (id.to_owned(), depth)).collect();
        let to_users: Vec<Option<String>> = old.iter().map(|m| self.to_user(m).map(str::to_owned)).collect();
        // What names another parent by now has lost it.
        self.took = self.winners.values().filter_map(|m| Some((m.id.clone(), self.took(m)?))).collect();
        let place_of_parent = |m: &Message| places.get(held_parent(self, m)?.id.as_str()).copied();
        let took: Vec<(String, usize)> = self.winners.values().filter_map(|m| Some((m.id.clone(), place_of_parent(m)?))).collect();
        for (answer, place) in took {
            self.took.entry(answer).or_insert(place);
        }
        for (message, to_user) in old.into_iter().zip(to_users) {
            self.winners.remove(&message.id);
            self.arrived.remove(&message.id);
            let (depth, parent) = (depths[&message.id], self.took.remove(&message.id));
            self.sealed.push(Sealed { message, depth, to_user, parent });
        }
    }
}
