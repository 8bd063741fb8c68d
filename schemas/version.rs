//! One version of a message, compact: what the engine keeps and views read.
//!
//! Records of one message are versions; the greatest wins, whatever the order of arrival (`Version::order`). The text is
//! not here: it stays in the log, and [`Place`] says where.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::{ConversationId, MessageId, Name};

/// Where the raw record of a version can be read again: 16 bits of input or partition, 48 bits of offset.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Place(pub u64);

impl Place {
    pub fn new(input: u32, offset: u64) -> Place {
        assert!(input < 1 << 16, "at most 65,536 inputs or partitions");
        assert!(offset < 1 << 48, "offsets are below 256 TiB");
        Place(u64::from(input) << 48 | offset)
    }

    pub fn input(self) -> u32 {
        (self.0 >> 48) as u32
    }

    pub fn offset(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }

    /// No place: event time at which a tombstone without a time or text arrived. (No offset is as large.)
    pub fn arrival(at: i64) -> Place {
        Place::new(0, ARRIVAL | u64::try_from(at + ARRIVAL_EPOCH).expect("times are within a century"))
    }

    pub(crate) fn as_arrival(self) -> Option<i64> {
        (self.0 & !(ARRIVAL - 1) == ARRIVAL).then_some((self.0 & (ARRIVAL - 1)) as i64 - ARRIVAL_EPOCH)
    }
}

const ARRIVAL: u64 = 1 << 47;
/// Seconds before 1970.
const ARRIVAL_EPOCH: i64 = 1 << 40;

/// One version of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Version {
    pub id: MessageId,
    pub conversation: ConversationId,
    /// The message this one answers, whether or not it is held.
    pub parent: Option<MessageId>,
    pub community: Option<Name>,
    pub user: Option<Name>,
    /// What to call the user, where that is not the key itself (Telegram: @username, else first and last name).
    pub user_name: Option<Name>,
    /// What to call the community, where that is not the key itself (Telegram: the chat's title).
    pub community_name: Option<Name>,
    /// Whole seconds since 1970, UTC. Tombstones that name no time have none.
    pub created_at: Option<i64>,
    /// The time of the edit where the record names one, in seconds.
    pub edited_at: Option<i64>,
    pub score: Option<i64>,
    /// `seq`, or the platform's time of reading or editing.
    pub version: i64,
    /// Breaks ties of `version` on Telegram; `None` for records without.
    pub update_id: Option<i64>,
    /// Unicode scalar values of the text.
    pub characters: u32,
    /// Of the text's bytes; `None` where the record has no text at all (a deletion).
    pub text_hash: Option<u64>,
    pub place: Place,
    /// Ends the message.
    pub tombstone: bool,
    /// This version is an edit.
    pub edited: bool,
    /// The author says that it is a program.
    pub bot: bool,
    /// The text asks: it has a question mark before white space, a closing quote or bracket, or the end.
    pub asks: bool,
}

/// Reads the text of a record again. Needed only when everything before the text ties.
pub type Texts<'a> = &'a mut dyn FnMut(Place) -> String;

impl Version {
    /// Counts in views.
    #[inline]
    pub fn is_live(&self) -> bool {
        !self.tombstone
    }

    /// When it was created; for a tombstone that names no time when it arrived, once that is known.
    #[inline]
    pub fn at(&self) -> Option<i64> {
        self.created_at.or_else(|| self.place.as_arrival())
    }

    /// The order in which versions of one message win, greatest last: version, then tombstone over content, then
    /// (score, edited_at, text, user, parent, conversation, community, created_at), null lowest. `Equal` means that the record is a
    /// repeat.
    pub fn order(&self, other: &Version, texts: Texts) -> Ordering {
        let name = |name: Option<Name>| name.map(Name::as_str);
        self.version
            .cmp(&other.version)
            .then(self.update_id.cmp(&other.update_id))
            .then(self.tombstone.cmp(&other.tombstone))
            .then(self.score.cmp(&other.score))
            .then(self.edited_at.cmp(&other.edited_at))
            .then_with(|| self.order_texts(other, texts))
            .then_with(|| if self.user == other.user { Ordering::Equal } else { name(self.user).cmp(&name(other.user)) })
            .then_with(|| order_ids(self.parent, other.parent))
            .then_with(|| self.conversation.cmp_text(other.conversation))
            .then_with(
                || if self.community == other.community { Ordering::Equal } else { name(self.community).cmp(&name(other.community)) },
            )
            .then(self.created_at.cmp(&other.created_at))
            // Not in the interface's list: so that the winner never depends on the order of arrival.
            .then(self.edited.cmp(&other.edited))
            .then_with(|| name(self.user_name).cmp(&name(other.user_name)))
            .then_with(|| name(self.community_name).cmp(&name(other.community_name)))
    }

    fn order_texts(&self, other: &Version, texts: Texts) -> Ordering {
        match (self.text_hash, other.text_hash) {
            // Equal 64-bit hashes of texts of equal length in one message and one version: the same text.
            (a, b) if a == b && self.characters == other.characters => Ordering::Equal,
            (Some(_), Some(_)) => texts(self.place).cmp(&texts(other.place)),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }
}

fn order_ids(a: Option<MessageId>, b: Option<MessageId>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp_text(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}
