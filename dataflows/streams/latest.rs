//! The name that the latest live message of a user or community gives it.
//!
//! Telegram's names come with each message and change: the live message with the greatest created_at, then id, tells. Reddit's are
//! the key itself, so of those only a count is kept.

use std::cmp::Ordering;

use eddy_schemas::row::Display;
use eddy_schemas::stored::Malformed;
use eddy_schemas::sums::{self, Cells, Kind};
use eddy_schemas::{MessageId, Name};

use crate::calendar::Second;
use crate::groups::Group;
use crate::sorted::SortedBag;
use crate::sums::Teller;

/// What a live message calls its user or community.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    at: Second,
    message: MessageId,
    name: Option<Name>,
}

impl Ord for Naming {
    fn cmp(&self, other: &Self) -> Ordering {
        // The name comes last only to make the order total; one message gives one name.
        self.at.cmp(&other.at).then_with(|| self.message.cmp_text(other.message)).then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Naming {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Names of one key.
#[derive(Default)]
pub struct Names {
    messages: u64,
    namings: SortedBag<Naming>,
    /// The greatest of sealed messages.
    sealed: Option<Naming>,
    /// It was said that a message is sealed.
    is_said: bool,
}

impl Names {
    /// A live message comes or goes.
    pub fn change(&mut self, created_at: i64, message: MessageId, name: Option<Name>, live: i64) {
        self.messages = self.messages.checked_add_signed(live).expect("retractions follow assertions");
        // Asked of the message, which is of its user's and community's platform: the key's own text is far away.
        if !message.is_reddit() {
            self.namings.change(Naming { at: Second::new(created_at), message, name }, live);
        }
    }
}

impl Names {
    /// A live message is sealed: what it said stays, unless a later one says otherwise. Whether there is something to say of it.
    pub fn seal(&mut self, created_at: i64, message: MessageId, name: Option<Name>) -> bool {
        let before = self.sealed;
        if !message.is_reddit() {
            let naming = Naming { at: Second::new(created_at), message, name };
            self.namings.change(naming, -1);
            self.sealed = self.sealed.max(Some(naming));
        }
        !std::mem::replace(&mut self.is_said, true) || self.sealed != before
    }

    /// Says what sealed messages call `key`.
    pub fn say(&self, kind: Kind, key: Name, sums: &mut Teller) {
        let naming = self.sealed.map(|Naming { at, message, name }| sums::Naming { at: at.get(), message, name });
        sums.say(kind, |out| out.name(key), |left| left.naming(naming));
    }

    pub fn restore(&mut self, left: &mut Cells) -> Result<(), Malformed> {
        // One message stands for all that were sealed.
        (self.messages, self.is_said) = (1, true);
        self.sealed = left.naming()?.map(|naming| Naming { at: Second::new(naming.at), message: naming.message, name: naming.name });
        Ok(())
    }
}

impl Group<Name> for Names {
    /// The name to show; a key may be there and have none.
    type Row = Option<Display>;

    fn fetch(&self) {
        self.namings.fetch();
    }

    fn row(&self, key: &Name) -> Option<Option<Display>> {
        if self.messages == 0 {
            return None;
        }
        // Whatever names itself has no namings.
        Some(self.namings.last().max(self.sealed).map_or(Some(Display(*key)), |naming| naming.name.map(Display)))
    }

    fn is_empty(&self) -> bool {
        self.messages == 0
    }
}
