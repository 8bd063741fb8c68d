//! A count from scratch that ten million records are not too many for: the versions that win as rows of numbers, and each view recomputed from
//! all of them whenever it is asked for. Like the oracle it is written from interface.md, reads records with the oracle's own parser, and knows
//! nothing of the engine; small histories are counted by both, and compared.
//!
//! ```text
//!   record --oracle::parse--> version --greater?--> winners [ Row ... ] --views--> fields of each row --> a list, or a sum
//!                                                  \-- tick: those before S are sealed
//! ```
//!
//! # Invariants
//! 1. A row stays where it is: a sealed one is told by its place for ever.
//! 2. Two versions that differ have different version numbers, or it panics: it does not keep what else the order of versions asks.

use hashbrown::HashTable;

use super::sums::{self, Field};
use crate::oracle::parse::{self, Context, Message, Outcome};

pub const NONE: u32 = u32::MAX;
/// No number.
pub const NULL: i64 = i64::MIN;

/// Names by number.
#[derive(Default)]
pub struct Names {
    numbers: HashTable<u32>,
    hashes: Vec<u64>,
    ends: Vec<usize>,
    bytes: String,
}

impl Names {
    pub fn of(&mut self, name: &str) -> u32 {
        let hash = sums::hash(name);
        if let Some(number) = self.numbers.find(hash, |number| self.text(*number) == name) {
            return *number;
        }
        let number = self.hashes.len() as u32;
        self.bytes.push_str(name);
        self.ends.push(self.bytes.len());
        self.hashes.push(hash);
        let hashes = &self.hashes;
        self.numbers.insert_unique(hash, number, |number| hashes[*number as usize]);
        number
    }

    fn or_none(&mut self, name: &Option<String>) -> u32 {
        name.as_deref().map_or(NONE, |name| self.of(name))
    }

    pub fn text(&self, number: u32) -> &str {
        let at = number as usize;
        &self.bytes[if at == 0 { 0 } else { self.ends[at - 1] }..self.ends[at]]
    }

    pub fn field(&self, number: u32) -> Field<'_> {
        if number == NONE { Field::Null } else { Field::Name(self.hashes[number as usize], self.text(number)) }
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// The winning version of a message; of one that is sealed, what it was then.
#[derive(Clone)]
pub struct Row {
    pub id: u32,
    pub conversation: u32,
    pub community: u32,
    pub user: u32,
    pub parent: u32,
    pub user_name: u32,
    pub community_name: u32,
    pub characters: u32,
    pub created_at: i64,
    pub edited_at: i64,
    pub score: i64,
    pub text: u64,
    version: (Option<i64>, Option<i64>),
    pub submission: bool,
    pub tombstone: bool,
    pub edited: bool,
    pub asks: bool,
    pub telegram: bool,
    pub sealed: bool,
    /// The place of a sealed row that this one answers, where it found that held.
    took: u32,
    /// Of a tombstone that names no time: when it arrived.
    arrived: i64,
    /// As they were when it was sealed.
    depth: u32,
    to_user: u32,
}

impl Row {
    pub fn live(&self) -> bool {
        !self.tombstone
    }

    pub fn day(&self) -> i64 {
        self.created_at.div_euclid(86_400)
    }

    pub fn hour(&self) -> i64 {
        self.created_at.div_euclid(3_600)
    }
}

/// Seconds; rows of hours and days stay for ever where there is none.
#[derive(Clone, Copy)]
pub struct Retention {
    pub messages_s: i64,
    pub hours_s: Option<i64>,
    pub days_s: Option<i64>,
}

pub struct Recount {
    now: i64,
    retention: Option<Retention>,
    sealed_before: i64,
    pub watermark: i64,
    pub ids: Names,
    pub users: Names,
    pub communities: Names,
    pub conversations: Names,
    pub shown: Names,
    /// The place of what is held, by the number of its id.
    held: Vec<u32>,
    pub rows: Vec<Row>,
    /// Places of tombstones that name no time.
    undated: Vec<u32>,
}

/// A depth that is not known yet, is being looked for, or is none.
const UNKNOWN: u32 = u32::MAX;
const LOOKING: u32 = u32::MAX - 1;
pub const NO_DEPTH: u32 = u32::MAX - 2;

impl Recount {
    pub fn new(now: i64, retention: Option<Retention>) -> Recount {
        Recount {
            now,
            retention,
            sealed_before: i64::MIN,
            watermark: NULL,
            ids: Names::default(),
            users: Names::default(),
            communities: Names::default(),
            conversations: Names::default(),
            shown: Names::default(),
            held: vec![],
            rows: vec![],
            undated: vec![],
        }
    }

    pub fn record(&mut self, raw: &[u8]) {
        for outcome in parse::records(raw, Context { now: self.now, received_at_ms: None }) {
            if let Outcome::Held(version) = outcome
                && version.created_at.is_none_or(|at| at >= self.sealed_before)
            {
                self.hold(&version);
            }
        }
    }

    fn hold(&mut self, version: &Message) {
        self.watermark = self.watermark.max(version.created_at.unwrap_or(NULL));
        let row = self.row(version);
        let place = self.held[row.id as usize];
        let place = if place == NONE {
            self.held[row.id as usize] = self.rows.len() as u32;
            self.rows.push(row);
            self.rows.len() as u32 - 1
        } else {
            let winner = &mut self.rows[place as usize];
            match (row.version, row.tombstone).cmp(&(winner.version, winner.tombstone)) {
                std::cmp::Ordering::Less => return,
                std::cmp::Ordering::Equal => {
                    let told = |row: &Row| (row.text, row.user, row.parent, row.conversation, row.created_at, row.score, row.edited);
                    assert!(told(&row) == told(winner), "versions of {} tie", version.id);
                    return;
                }
                std::cmp::Ordering::Greater => *winner = Row { took: winner.took, ..row },
            }
            place
        };
        if version.created_at.is_none() {
            self.undated.push(place);
        }
    }

    fn row(&mut self, version: &Message) -> Row {
        let text = version.text.as_deref().unwrap_or("");
        let row = Row {
            id: self.ids.of(&version.id),
            conversation: self.conversations.of(&version.conversation),
            community: self.communities.or_none(&version.community),
            user: self.users.or_none(&version.user),
            parent: self.ids.or_none(&version.parent),
            user_name: self.shown.or_none(&version.user_name),
            community_name: self.shown.or_none(&version.community_name),
            characters: text.chars().count() as u32,
            created_at: version.created_at.unwrap_or(NULL),
            edited_at: version.edited_at.unwrap_or(NULL),
            score: version.score.unwrap_or(NULL),
            text: sums::hash(text),
            version: version.version,
            submission: version.submission,
            tombstone: version.tombstone,
            edited: version.edited,
            asks: crate::oracle::asks::asks(text),
            telegram: version.id.starts_with("telegram:"),
            sealed: false,
            took: NONE,
            arrived: NULL,
            depth: NO_DEPTH,
            to_user: NONE,
        };
        self.held.resize(self.ids.len(), NONE);
        row
    }

    /// The tick ends: what is below S, which follows the watermark that was reached, is sealed.
    pub fn tick(&mut self) {
        let Some(retention) = self.retention.filter(|_| self.watermark != NULL) else { return };
        self.sealed_before = self.watermark - retention.messages_s;
        let watermark = self.watermark;
        for place in std::mem::take(&mut self.undated) {
            let row = &mut self.rows[place as usize];
            if row.created_at == NULL && row.arrived == NULL {
                row.arrived = watermark;
            }
        }
        let old: Vec<u32> = (0..self.rows.len() as u32).filter(|place| self.is_old(*place)).collect();
        if !old.is_empty() {
            self.seal(&old);
        }
    }

    fn is_old(&self, place: u32) -> bool {
        let row = &self.rows[place as usize];
        let at = if row.created_at == NULL { row.arrived } else { row.created_at };
        !row.sealed && at < self.sealed_before
    }

    fn seal(&mut self, old: &[u32]) {
        let mut depths = vec![];
        old.iter().for_each(|place| self.find_depth(*place, &mut depths));
        let to_users: Vec<u32> = old.iter().map(|place| self.to_user(*place)).collect();
        for place in 0..self.rows.len() as u32 {
            if self.rows[place as usize].sealed {
                continue;
            }
            let took = self.took(place);
            let parent = self.held_parent(place).filter(|parent| self.is_old(*parent));
            self.rows[place as usize].took = took.or(parent).unwrap_or(NONE);
        }
        for (place, to_user) in old.iter().zip(to_users) {
            let row = &mut self.rows[*place as usize];
            (row.sealed, row.depth, row.to_user) = (true, depths[*place as usize], to_user);
            self.held[row.id as usize] = NONE;
        }
    }

    /// The place of the sealed row whose answer this is.
    pub fn took(&self, place: u32) -> Option<u32> {
        let row = &self.rows[place as usize];
        if row.sealed {
            // It took what it took.
            return Some(row.took).filter(|took| *took != NONE);
        }
        let parent = self.rows.get(row.took as usize)?;
        (row.parent == parent.id && row.conversation == parent.conversation).then_some(row.took)
    }

    /// The place of what a held row answers, where that is held in the same conversation.
    pub fn held_parent(&self, place: u32) -> Option<u32> {
        let row = &self.rows[place as usize];
        let parent = *self.held.get(row.parent as usize)?;
        (parent != NONE && self.rows[parent as usize].conversation == row.conversation).then_some(parent)
    }

    /// Whose message it answers.
    pub fn to_user(&self, place: u32) -> u32 {
        let row = &self.rows[place as usize];
        if row.sealed {
            return row.to_user;
        }
        self.took(place).or_else(|| self.held_parent(place)).map_or(NONE, |parent| self.rows[parent as usize].user)
    }

    /// Of every row.
    pub fn depths(&self) -> Vec<u32> {
        let mut depths = vec![];
        (0..self.rows.len() as u32).for_each(|place| self.find_depth(place, &mut depths));
        depths
    }

    fn find_depth(&self, start: u32, depths: &mut Vec<u32>) {
        depths.resize(self.rows.len(), UNKNOWN);
        let (mut chain, mut at) = (vec![], start);
        // Up the chain, until the depth of the last one is this.
        let mut depth = loop {
            let row = &self.rows[at as usize];
            match depths[at as usize] {
                LOOKING => break NO_DEPTH,
                UNKNOWN if row.sealed => depths[at as usize] = row.depth,
                UNKNOWN => {}
                known => break if known == NO_DEPTH { NO_DEPTH } else { known + 1 },
            }
            if row.sealed {
                continue;
            }
            depths[at as usize] = LOOKING;
            chain.push(at);
            if row.submission {
                break 0;
            }
            match self.took(at).or_else(|| self.held_parent(at)) {
                Some(parent) => at = parent,
                None => break 1,
            }
        };
        for place in chain.into_iter().rev() {
            depths[place as usize] = depth;
            if depth != NO_DEPTH {
                depth += 1;
            }
        }
    }

    /// Rows of this hour, or day, stay.
    pub fn keeps_hour(&self, hour: i64) -> bool {
        self.keeps(self.retention.and_then(|retention| retention.hours_s), (hour + 1) * 3_600)
    }

    pub fn keeps_day(&self, day: i64) -> bool {
        self.keeps(self.retention.and_then(|retention| retention.days_s), (day + 1) * 86_400)
    }

    fn keeps(&self, keep_s: Option<i64>, end: i64) -> bool {
        keep_s.is_none_or(|keep_s| end >= self.watermark - keep_s)
    }
}
