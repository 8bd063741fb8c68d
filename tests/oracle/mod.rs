//! An independent, naive statement of what the views are: every record that was ever read, the version
//! of each message that wins, and each view recomputed from those, in the plainest way.
//!
//! Written from interface.md alone. `OPEN:` in a comment marks a place where that page leaves a choice.

mod communities;
mod community_days;
mod community_hours;
mod community_names;
mod conversations;
mod messages;
pub mod parse;
mod replies;
mod sessions;
#[cfg(test)]
mod tests;
mod top_users;
mod user_hours;
mod user_names;
mod users;
pub mod version;

use parse::{Context, Message, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// view -> rows; each row = the key columns then the other columns, rendered exactly as a field of the
/// TSV (escaped); rows sorted bytewise by the key columns.
pub type Tables = BTreeMap<&'static str, Vec<Vec<String>>>;

/// The winning version of each message that is held, by its id. Tombstones are in it.
pub type Winners = BTreeMap<String, Message>;

/// A row before it is escaped.
type Row = Vec<String>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    pub read: u64,
    /// Versions that were held, whether they won, were stale or repeated.
    pub accepted: u64,
    pub ignored: BTreeMap<String, u64>,
    pub dead: BTreeMap<String, u64>,
}

pub struct Oracle {
    now: i64,
    winners: Winners,
    counts: Counts,
}

/// (view, columns of the key, columns, rows)
type View = (&'static str, usize, &'static [&'static str], fn(&Winners) -> Vec<Row>);

const VIEWS: &[View] = &[
    ("users", 1, users::COLUMNS, users::rows),
    ("conversations", 1, conversations::COLUMNS, conversations::rows),
    ("communities", 1, communities::COLUMNS, communities::rows),
    ("user_hours", 2, user_hours::COLUMNS, user_hours::rows),
    ("community_hours", 2, community_hours::COLUMNS, community_hours::rows),
    ("community_days", 2, community_days::COLUMNS, community_days::rows),
    ("sessions", 2, sessions::COLUMNS, sessions::rows),
    ("top_users", 2, top_users::COLUMNS, top_users::rows),
    ("replies", 2, replies::COLUMNS, replies::rows),
    ("messages", 1, messages::COLUMNS, messages::rows),
    ("user_names", 1, user_names::COLUMNS, user_names::rows),
    ("community_names", 1, community_names::COLUMNS, community_names::rows),
];

impl Oracle {
    /// `now`: unix seconds, for the rule `future`.
    pub fn new(now: i64) -> Self {
        Oracle { now, winners: Winners::new(), counts: Counts::default() }
    }

    /// One line of an ndjson file: one record, or a whole document on one line; blank: nothing.
    pub fn record(&mut self, raw: &[u8]) {
        self.feed(raw, None);
    }

    /// A whole file that is one JSON document.
    pub fn document(&mut self, bytes: &[u8]) {
        self.feed(bytes, None);
    }

    /// `record` with the header `received_at` (milliseconds).
    pub fn received(&mut self, raw: &[u8], received_at_ms: i64) {
        self.feed(raw, Some(received_at_ms));
    }

    fn feed(&mut self, bytes: &[u8], received_at_ms: Option<i64>) {
        let context = Context { now: self.now, received_at_ms };
        for outcome in parse::records(bytes, context) {
            self.counts.read += 1;
            match outcome {
                Outcome::Ignored(why) => *self.counts.ignored.entry(why).or_default() += 1,
                Outcome::Dead(why) => *self.counts.dead.entry(why.into()).or_default() += 1,
                Outcome::Held(version) => {
                    self.counts.accepted += 1;
                    let wins = self.winners.get(&version.id).is_none_or(|held| version::compare(&version, held).is_gt());
                    if wins {
                        self.winners.insert(version.id.clone(), version);
                    }
                }
            }
        }
    }

    /// Recomputed from scratch from the winning versions.
    pub fn tables(&self) -> Tables {
        VIEWS.iter().map(|view| (view.0, self.table(view))).collect()
    }

    fn table(&self, (name, key, columns, rows): &View) -> Vec<Vec<String>> {
        let mut table: Vec<Vec<String>> =
            rows(&self.winners).into_iter().map(|row| row.iter().map(|field| escape(field)).collect()).collect();
        assert!(table.iter().all(|row| row.len() == columns.len()), "columns of {name}");
        // Bytewise by the key columns as they stand in the TSV: so 10 comes before 9.
        table.sort_by(|a, b| a[..*key].cmp(&b[..*key]));
        assert!(table.windows(2).all(|w| w[0][..*key] != w[1][..*key]), "keys of {name} repeat");
        table
    }

    pub fn header(view: &str) -> Option<Vec<&'static str>> {
        let (_, _, columns, _) = VIEWS.iter().find(|(name, ..)| *name == view)?;
        Some(columns.to_vec())
    }

    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

/// A field of a TSV.
fn escape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    for c in field.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out
}

// ---------------------------------------------------------------- what several views share

/// Null and the empty string are both empty.
fn show(value: Option<impl Display>) -> String {
    value.map_or(String::new(), |v| v.to_string())
}

fn live(winners: &Winners) -> impl Iterator<Item = &Message> {
    winners.values().filter(|m| m.live())
}

/// Messages by what `key` says of them; those of which it says nothing are left out.
fn group<'a, K: Ord>(messages: impl Iterator<Item = &'a Message>, key: impl Fn(&'a Message) -> Option<K>) -> BTreeMap<K, Vec<&'a Message>> {
    let mut groups: BTreeMap<K, Vec<&Message>> = BTreeMap::new();
    for m in messages {
        if let Some(key) = key(m) {
            groups.entry(key).or_default().push(m);
        }
    }
    groups
}

/// How many different ones there are; null is none.
fn distinct<'a>(values: impl Iterator<Item = Option<&'a str>>) -> usize {
    values.flatten().collect::<BTreeSet<_>>().len()
}

fn hour(m: &Message) -> i64 {
    m.at().div_euclid(3_600)
}

fn day(m: &Message) -> i64 {
    m.at().div_euclid(86_400)
}

/// What a winner's parent is, where that is held in the same conversation: its winning version is what
/// counts, live or tombstone.
fn held_parent<'a>(winners: &'a Winners, m: &Message) -> Option<&'a Message> {
    winners.get(m.parent.as_deref()?).filter(|parent| parent.conversation == m.conversation)
}
