//! Truth: what the views must show, known from what was generated, compared all the time with what the store holds.
//!
//! ```text
//!   source, sandbox --> ledger --> log --> engine --> store
//!                          |                 |          |
//!                       pending --[ closed: bound ]--> facts --expected rows--> compare --> TruthRow a view
//! ```
//!
//! It shares no code with the dataflows: it never reads the records, and recounts each entity from compact facts in the plainest way. Only the
//! time of views that move with the watermark is the engine's: which partitions it waits for no source knows. It may not be later than
//! what was written.
//!
//! # Invariants
//! 1. The facts are those of the records below the bound, and of no others: pending events wait until the engine has closed past them.
//! 2. What is compared was read as of the bound's tick: then every difference is one. An entity that is too large to be read between two
//!    ticks, however often it is tried, is compared as far as its rows have not changed since ([`crate::progress::Progress`]).
//! 3. Every row is looked at again and again, the latest changes first, within a share of one core (keeping the facts, 0.2 us an event, is
//!    not in it); no slice of work is longer than a few milliseconds. Rows that belong to nothing the truth knows are found by reading the store from end to end.

mod check;
mod compare;
mod expected;
mod facts;
mod ledger;
mod pace;
#[cfg(test)]
mod tests;

pub use check::{Config, Parts, Stop, Truth};
pub use expected::{Row as ExpectedRow, all as all_rows};
pub use facts::Facts;
pub use ledger::Ledger;

pub use crate::serve::TruthRow;

/// Something that rows are about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entity {
    User(u32),
    Conversation(u32),
    Community(u8),
    Message(u32),
    /// A row whose key is of nothing that was ever generated: the view's place in [`VIEWS`], and the key.
    Stray(usize, Vec<Cell>),
}

use eddy_schemas::rows::{
    Cohorts, Communities, CommunityActivity, CommunityDays, CommunityHours, CommunityNames, CommunityWeek, Conversations, Messages,
    Replies, Responses, Sessions, TopUsers, Unanswered, UserHours, UserNames, UserStates, Users,
};
use eddy_schemas::{Cell, Row, View};

/// The views that are checked: all.
pub static VIEWS: [&View; 18] = [
    Users::VIEW,
    Conversations::VIEW,
    Communities::VIEW,
    UserHours::VIEW,
    CommunityHours::VIEW,
    CommunityDays::VIEW,
    Sessions::VIEW,
    TopUsers::VIEW,
    Replies::VIEW,
    Messages::VIEW,
    UserNames::VIEW,
    CommunityNames::VIEW,
    CommunityActivity::VIEW,
    CommunityWeek::VIEW,
    Responses::VIEW,
    Unanswered::VIEW,
    UserStates::VIEW,
    Cohorts::VIEW,
];

pub(crate) const USERS: usize = 0;
pub(crate) const CONVERSATIONS: usize = 1;
pub(crate) const COMMUNITIES: usize = 2;
pub(crate) const USER_HOURS: usize = 3;
pub(crate) const COMMUNITY_HOURS: usize = 4;
pub(crate) const COMMUNITY_DAYS: usize = 5;
pub(crate) const SESSIONS: usize = 6;
pub(crate) const TOP_USERS: usize = 7;
pub(crate) const REPLIES: usize = 8;
pub(crate) const MESSAGES: usize = 9;
pub(crate) const USER_NAMES: usize = 10;
pub(crate) const COMMUNITY_NAMES: usize = 11;
pub(crate) const COMMUNITY_ACTIVITY: usize = 12;
pub(crate) const COMMUNITY_WEEK: usize = 13;
pub(crate) const RESPONSES: usize = 14;
pub(crate) const UNANSWERED: usize = 15;
pub(crate) const USER_STATES: usize = 16;
pub(crate) const COHORTS: usize = 17;

/// The views whose rows start with a user, a community, a message.
const OF_USER: [usize; 5] = [USERS, USER_HOURS, SESSIONS, REPLIES, USER_NAMES];
const OF_COMMUNITY: [usize; 10] = [
    COMMUNITIES,
    COMMUNITY_HOURS,
    COMMUNITY_DAYS,
    TOP_USERS,
    COMMUNITY_NAMES,
    COMMUNITY_ACTIVITY,
    COMMUNITY_WEEK,
    RESPONSES,
    USER_STATES,
    COHORTS,
];
const OF_MESSAGE: [usize; 2] = [MESSAGES, UNANSWERED];

impl Entity {
    /// The views that hold its rows.
    pub(crate) fn views(&self) -> Vec<usize> {
        match self {
            Entity::User(_) => OF_USER.to_vec(),
            Entity::Conversation(_) => vec![CONVERSATIONS],
            Entity::Community(_) => OF_COMMUNITY.to_vec(),
            Entity::Message(_) => OF_MESSAGE.to_vec(),
            Entity::Stray(view, _) => vec![*view],
        }
    }
}
