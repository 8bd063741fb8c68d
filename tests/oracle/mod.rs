//! An independent, naive statement of what the views are: every record that was ever read, the version
//! of each message that wins, and each view recomputed from those, in the plainest way; with retention also
//! those that were sealed (`retention`).
//!
//! Written from interface.md alone. `OPEN:` in a comment marks a place where that page leaves a choice.

pub mod asks;
mod cohorts;
mod communities;
mod community_activity;
mod community_days;
mod community_hours;
mod community_names;
mod community_week;
mod conversations;
mod messages;
pub mod parse;
mod posts;
mod replies;
mod responses;
mod retention;
mod sessions;
#[cfg(test)]
mod tests;
mod top_users;
mod unanswered;
mod user_hours;
mod user_names;
mod user_states;
mod users;
pub mod version;

use parse::{Context, Message, Outcome};
use retention::{Retention, Sealed};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// view -> rows; each row = the key columns then the other columns, rendered exactly as a field of the
/// TSV (escaped); rows sorted bytewise by the key columns.
pub type Tables = BTreeMap<&'static str, Vec<Vec<String>>>;

/// What the views are a function of.
#[derive(Default)]
pub struct Held {
    /// The winning version of each message, by its id. Tombstones are in it.
    winners: BTreeMap<String, Message>,
    /// Messages too old to be held, in the order in which they were sealed.
    sealed: Vec<Sealed>,
    /// Of winners that answered a message when it was sealed, its place among the sealed.
    took: BTreeMap<String, usize>,
    /// Of winners that name no time, the watermark when they arrived.
    arrived: BTreeMap<String, i64>,
    /// The greatest created_at that was read, of any version that was held, or what the caller says where
    /// that is later. None: nothing was read yet, and views that move with it have no rows.
    watermark: Option<i64>,
}

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
    held: Held,
    retention: Option<Retention>,
    /// S as of the last tick.
    sealed_before: Option<i64>,
    counts: Counts,
}

/// (view, columns of the key, columns, rows)
type View = (&'static str, usize, &'static [&'static str], fn(&Held) -> Vec<Row>);

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
    ("community_activity", 1, community_activity::COLUMNS, community_activity::rows),
    ("community_week", 2, community_week::COLUMNS, community_week::rows),
    ("responses", 2, responses::COLUMNS, responses::rows),
    ("unanswered", 1, unanswered::COLUMNS, unanswered::rows),
    ("user_states", 1, user_states::COLUMNS, user_states::rows),
    ("cohorts", 2, cohorts::COLUMNS, cohorts::rows),
];

impl Oracle {
    /// `now`: unix seconds, for the rule `future`.
    pub fn new(now: i64) -> Self {
        Oracle { now, held: Held::default(), retention: None, sealed_before: None, counts: Counts::default() }
    }

    /// All in seconds; rows of hours and days stay for ever where there is no `keep`.
    pub fn with_retention(self, seconds: i64, keep_hours_s: Option<i64>, keep_days_s: Option<i64>) -> Self {
        Oracle { retention: Some(Retention { seconds, keep_hours_s, keep_days_s }), ..self }
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
                Outcome::Held(version) if version.created_at.is_some_and(|at| Some(at) < self.sealed_before) => {
                    *self.counts.ignored.entry("sealed".into()).or_default() += 1;
                }
                Outcome::Held(version) => {
                    self.counts.accepted += 1;
                    self.held.hold(version);
                }
            }
        }
    }

    /// Time goes on with no message: the watermark is at least this many seconds since 1970.
    pub fn advance(&mut self, watermark: i64) {
        self.held.watermark = self.held.watermark.max(Some(watermark));
    }

    /// The tick ends: S follows the watermark that it reached, and what is now below it is sealed.
    pub fn tick(&mut self) {
        let (Some(retention), Some(watermark)) = (&self.retention, self.held.watermark) else { return };
        let before = watermark - retention.seconds;
        self.sealed_before = Some(before);
        self.held.seal(before);
    }

    /// Recomputed from scratch from the winning versions, and the sealed ones.
    pub fn tables(&self) -> Tables {
        VIEWS.iter().map(|view| (view.0, self.table(view))).collect()
    }

    fn table(&self, (name, key, columns, rows): &View) -> Vec<Vec<String>> {
        let mut rows = rows(&self.held);
        rows.retain(|row| self.kept(columns, row));
        let mut table: Vec<Vec<String>> = rows.into_iter().map(|row| row.iter().map(|field| escape(field)).collect()).collect();
        assert!(table.iter().all(|row| row.len() == columns.len()), "columns of {name}");
        // Bytewise by the key columns as they stand in the TSV: so 10 comes before 9.
        table.sort_by(|a, b| a[..*key].cmp(&b[..*key]));
        assert!(table.windows(2).all(|w| w[0][..*key] != w[1][..*key]), "keys of {name} repeat");
        table
    }

    /// Rows of an hour or a day leave once its end is further behind the watermark than they are kept.
    ///
    /// OPEN: those are the views that have such a column in their key: `responses` and `cohorts` too, not
    /// `community_week`.
    fn kept(&self, columns: &[&str], row: &Row) -> bool {
        let (Some(retention), Some(watermark)) = (&self.retention, self.held.watermark) else { return true };
        let (keep_s, length_s) = match columns[1] {
            "hour" => (retention.keep_hours_s, 3_600),
            "day" => (retention.keep_days_s, 86_400),
            _ => return true,
        };
        let end = (row[1].parse::<i64>().expect("a number") + 1) * length_s;
        keep_s.is_none_or(|keep_s| end >= watermark - keep_s)
    }

    pub fn header(view: &str) -> Option<Vec<&'static str>> {
        let (_, _, columns, _) = VIEWS.iter().find(|(name, ..)| *name == view)?;
        Some(columns.to_vec())
    }

    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

impl Held {
    fn hold(&mut self, version: Message) {
        self.watermark = self.watermark.max(version.created_at);
        let wins = self.winners.get(&version.id).is_none_or(|winner| version::compare(&version, winner).is_gt());
        if wins {
            self.arrived.remove(&version.id);
            self.winners.insert(version.id.clone(), version);
        }
    }

    /// The day of the watermark.
    fn today(&self) -> Option<i64> {
        Some(self.watermark?.div_euclid(86_400))
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

/// What counts: what is held, and what was sealed (the last one first).
fn all(held: &Held) -> impl Iterator<Item = &Message> {
    held.winners.values().chain(held.sealed.iter().rev().map(|sealed| &sealed.message))
}

fn live(held: &Held) -> impl Iterator<Item = &Message> {
    all(held).filter(|m| m.live())
}

/// Live messages that are not sealed.
fn unsealed(held: &Held) -> impl Iterator<Item = &Message> {
    held.winners.values().filter(|m| m.live())
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

/// What a winner's parent is, where that is held (a sealed one is not) in the same conversation: its winning version is what
/// counts, live or tombstone.
fn held_parent<'a>(held: &'a Held, m: &Message) -> Option<&'a Message> {
    held.winners.get(m.parent.as_deref()?).filter(|parent| parent.conversation == m.conversation)
}

/// Seconds from a post to the earliest live one of `messages` at or after it, by a named user other than
/// the post's.
fn earliest(post: &Message, messages: &[&Message]) -> Option<i64> {
    messages
        .iter()
        .filter(|m| m.live())
        .filter(|m| m.user.is_some() && m.user != post.user)
        .map(|m| m.at() - post.at())
        .filter(|seconds| *seconds >= 0)
        .min()
}

/// Of each community its users, and the days on which each has a live message there.
fn days_of_users(held: &Held) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<i64>>> {
    let mut communities: BTreeMap<&str, BTreeMap<&str, BTreeSet<i64>>> = BTreeMap::new();
    for m in live(held) {
        if let (Some(community), Some(user)) = (&m.community, &m.user) {
            communities.entry(community).or_default().entry(user).or_default().insert(day(m));
        }
    }
    communities
}
