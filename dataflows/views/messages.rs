//! `messages`: every live message that is not sealed. No state: a message's changes of one tick are its old and its new row.

use eddy_schemas::rows::{Messages, MessagesKey};
use eddy_schemas::{MessageId, Version};
use hashbrown::HashMap;

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;

pub type Row = Messages;

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

/// Rows before and now of the messages that this tick changed.
#[derive(Default)]
struct State(HashMap<MessageId, [Option<Messages>; 2], foldhash::fast::FixedState>);

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<Messages>;

    fn main(&mut self, update: &Update) {
        let row = row(&update.version);
        let asserted = update.diff > 0;
        let entry = self.0.entry(update.version.id).or_insert_with(|| [if asserted { None } else { row }, None]);
        entry[1] = row.filter(|_| asserted);
    }

    fn close(&mut self, out: &mut Vec<RowChange<Messages>>) {
        for (message, [old, row]) in self.0.drain() {
            if row != old {
                out.push(RowChange { key: MessagesKey { message }, row });
            }
        }
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Messages>> {
    fold(inputs.by_message(), "Messages", State::default())
}
