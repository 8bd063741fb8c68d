//! `messages`: every live message. No state: a message's changes of one tick are its old and its new row.

use eddy_schemas::rows::{Messages, MessagesKey};
use eddy_schemas::{MessageId, Version};

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;

pub type Row = Messages;

/// Room that is kept from tick to tick.
const CHANGES_KEPT: usize = 1 << 16;

fn row(version: &Version) -> Option<Messages> {
    Some(Messages {
        conversation: version.conversation,
        community: version.community,
        user: version.user,
        parent: version.parent,
        created_at: version.created_at.filter(|_| version.is_live())?,
        edited_at: version.edited_at,
        score: version.score,
        text: version.place,
    })
}

/// A change, as it came.
struct Changed {
    /// The row that came (`asserted`) or went.
    row: Option<Messages>,
    asserted: bool,
}

/// What this tick changed.
#[derive(Default)]
struct State {
    changes: Vec<Changed>,
    /// Which message each is of.
    order: Vec<(MessageId, u32)>,
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<Messages>;

    fn main(&mut self, update: &Update) {
        let at = u32::try_from(self.changes.len()).expect("fewer than 2^32 changes a tick");
        self.order.push((update.version.id, at));
        self.changes.push(Changed { row: row(&update.version), asserted: update.diff > 0 });
    }

    fn close(&mut self, out: &mut Vec<RowChange<Messages>>) {
        // Most messages come in the order of their ids: a sort that sees runs has little to do.
        self.order.sort();
        for of_message in self.order.chunk_by(|a, b| a.0 == b.0) {
            let (message, first) = of_message[0];
            let (first, last) = (&self.changes[first as usize], &self.changes[of_message[of_message.len() - 1].1 as usize]);
            let old = first.row.filter(|_| !first.asserted);
            let row = last.row.filter(|_| last.asserted);
            if row != old {
                out.push(RowChange { key: MessagesKey { message }, row });
            }
        }
        self.order.clear();
        self.changes.clear();
        self.order.shrink_to(CHANGES_KEPT);
        self.changes.shrink_to(CHANGES_KEPT);
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Messages>> {
    fold(inputs.by_message(), "Messages", State::default())
}
