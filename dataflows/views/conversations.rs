//! `conversations`: what was said in each conversation.
//!
//! `first_response_s` needs the earliest message of anyone but the submitter. Those are kept in a bag of their own from the moment
//! that a submitter is known, so that a submitter who writes a million comments costs no one a search; only a submission that changes its
//! author makes the bag anew.

use eddy_schemas::rows::{Conversations, ConversationsKey};
use eddy_schemas::{ConversationId, Name, Version};
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::Concat;

use crate::batch::{Batches, map, route};
use crate::calendar::Second;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::sorted::SortedBag;

pub type Row = Conversations;

#[derive(Default)]
struct Conversation {
    messages: i64,
    characters: i64,
    removed: i64,
    participants: i64,
    depth: Option<u32>,
    /// Communities that live messages and tombstones name.
    communities: Named,
    /// Live messages: when, and the user's number (0: nobody).
    timeline: SortedBag<(Second, u32)>,
    opening: Option<Box<Opening>>,
}

/// A submission that is or was there.
struct Opening {
    live_at: Option<Second>,
    submitter: Option<Name>,
    /// Messages of named users other than the submitter.
    others: SortedBag<Second>,
}

/// A named user other than the submitter.
fn user_is_other(user: u32, submitter: Option<Name>) -> bool {
    user != 0 && Some(user) != submitter.map(Name::index)
}

impl Opening {
    fn is_other(&self, user: u32) -> bool {
        user_is_other(user, self.submitter)
    }

    fn first_response_s(&self) -> Option<i64> {
        let posted_at = self.live_at?;
        Some(self.others.from(&posted_at).next()?.get() - posted_at.get())
    }
}

/// Names and how often each is named; hardly ever more than one.
#[derive(Default)]
struct Named {
    first: Option<(Name, u32)>,
    rest: Vec<(Name, u32)>,
}

impl Named {
    fn change(&mut self, name: Name, diff: i8) {
        let is_first = self.first.is_none();
        match self.first.iter_mut().chain(&mut self.rest).find(|(named, _)| *named == name) {
            Some((_, count)) => *count = count.checked_add_signed(i32::from(diff)).expect("retractions follow assertions"),
            None if is_first => self.first = Some((name, 1)),
            None => self.rest.push((name, 1)),
        }
        if diff < 0 {
            self.rest.retain(|(_, count)| *count > 0);
            if self.first.is_some_and(|(_, count)| count == 0) {
                self.first = self.rest.pop();
            }
        }
    }

    fn greatest(&self) -> Option<Name> {
        match self.rest.as_slice() {
            [] => self.first.map(|(name, _)| name),
            rest => self.first.iter().chain(rest).map(|(name, _)| *name).max_by_key(|name| name.as_str()),
        }
    }
}

impl Conversation {
    fn submission(&mut self, version: &Version, created_at: Second, diff: i8) {
        if diff < 0 {
            self.opening.as_mut().expect("retractions follow assertions").live_at = None;
            return;
        }
        match &mut self.opening {
            // The bag keeps following the last submitter while the submission is away: most often it comes back the same.
            Some(opening) if opening.submitter == version.user => opening.live_at = Some(created_at),
            opening => {
                let mut fresh = Opening { live_at: Some(created_at), submitter: version.user, others: SortedBag::new() };
                for (at, _) in self.timeline.iter().filter(|(_, user)| user_is_other(*user, version.user)) {
                    fresh.others.insert(at);
                }
                *opening = Some(Box::new(fresh));
            }
        }
    }

    fn live(&mut self, version: &Version, created_at: Second, diff: i8) {
        let sign = i64::from(diff);
        self.messages += sign;
        self.characters += sign * i64::from(version.characters);
        let user = version.user.map_or(0, Name::index);
        self.timeline.change((created_at, user), sign);
        if let Some(opening) = self.opening.as_mut().filter(|opening| opening.is_other(user)) {
            opening.others.change(created_at, sign);
        }
        if version.id == version.conversation {
            self.submission(version, created_at, diff);
        }
    }
}

impl Group<ConversationId> for Conversation {
    type Row = Conversations;

    fn fetch(&self) {
        self.timeline.fetch();
    }

    fn row(&self, _: &ConversationId) -> Option<Conversations> {
        if self.messages == 0 && self.removed == 0 {
            return None;
        }
        Some(Conversations {
            community: self.communities.greatest(),
            messages: self.messages,
            participants: self.participants,
            characters: self.characters,
            removed: self.removed,
            first_at: self.timeline.first().map(|(at, _)| at.get()),
            last_at: self.timeline.last().map(|(at, _)| at.get()),
            depth: self.depth.map(i64::from),
            first_response_s: self.opening.as_ref().and_then(|opening| opening.first_response_s()),
        })
    }

    fn is_empty(&self) -> bool {
        self.messages == 0 && self.removed == 0 && self.participants == 0 && self.depth.is_none()
    }
}

/// What other operators know of a conversation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Told {
    Participants(i8),
    Depth(Option<u32>),
}

#[derive(Default)]
struct State(Groups<ConversationId, Conversation>);

impl Fold for State {
    type Main = Update;
    type Aside = (ConversationId, Told);
    type Out = RowChange<Conversations>;

    fn fetch(&self, update: &Update, step: usize) {
        self.0.fetch(&update.version.conversation, step);
    }

    fn fetch_aside(&self, (conversation, _): &(ConversationId, Told), step: usize) {
        self.0.fetch(conversation, step);
    }

    fn main(&mut self, update: &Update) {
        let version = &update.version;
        let conversation = self.0.touch(version.conversation);
        if let Some(community) = version.community {
            conversation.communities.change(community, update.diff);
        }
        match version.created_at {
            _ if version.tombstone => conversation.removed += i64::from(update.diff),
            Some(created_at) => conversation.live(version, Second::new(created_at), update.diff),
            None => unreachable!("what lives has a time"),
        }
    }

    fn aside(&mut self, (conversation, told): &(ConversationId, Told)) {
        let conversation = self.0.touch(*conversation);
        match told {
            Told::Participants(diff) => conversation.participants += i64::from(*diff),
            Told::Depth(depth) => conversation.depth = *depth,
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<Conversations>>) {
        self.0.close(|conversation, _, row| out.push(RowChange { key: ConversationsKey { conversation }, row }));
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Conversations>> {
    inputs.conversations()
}

/// The rows, built once ([`Inputs::conversations`]).
pub(crate) fn build<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Conversations>> {
    let participants = map(inputs.user_conversations(), |pair| (pair.right, Told::Participants(pair.diff)));
    let participants = route(participants, "ParticipantsByConversation", |(conversation, _): &(ConversationId, Told)| conversation.route());
    let depths = map(inputs.depths(), |change| (change.conversation, Told::Depth(change.depth)));
    fold_with(inputs.by_conversation(), participants.concat(depths), "Conversations", State::default())
}
