//! `conversations`: what was said in each conversation.
//!
//! `first_response_s` needs the earliest message of anyone but the submitter. Those are kept in a bag of their own from the moment
//! that a submitter is known, so that a submitter who writes a million comments costs no one a search; only a submission that changes its
//! author makes the bag anew. A sealed response settles it: whatever is created later is no earlier one.

use eddy_schemas::rows::{Conversations, ConversationsKey};
use eddy_schemas::sums::{Cells, Kind};
use eddy_schemas::stored::Malformed;
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
use crate::sums::Teller;
use crate::times::Span;

pub type Row = Conversations;

#[derive(Default)]
struct Conversation {
    messages: i64,
    characters: i64,
    removed: i64,
    participants: i64,
    /// Of live messages, and the greatest of sealed ones.
    depth: Option<u32>,
    depth_sealed: Option<u32>,
    /// Communities that live messages and tombstones name.
    communities: Named,
    /// Live messages: when, and the user's number (0: nobody).
    timeline: SortedBag<(Second, u32)>,
    sealed: Span,
    opening: Option<Box<Opening>>,
    /// The submission that was sealed last: it goes on to be answered, unless there is a live one.
    opening_sealed: Option<Box<Opening>>,
}

/// A submission that is or was there.
struct Opening {
    live_at: Option<Second>,
    submitter: Option<Name>,
    /// Live messages of named users other than the submitter; none once it is settled.
    others: SortedBag<Second>,
    /// The first response, once it is sealed: then the submission is, too, and no earlier one can come.
    responded_at: Option<Second>,
}

/// A named user other than the submitter.
fn user_is_other(user: u32, submitter: Option<Name>) -> bool {
    user != 0 && Some(user) != submitter.map(Name::index)
}

impl Opening {
    /// A live message comes or goes.
    fn change(&mut self, created_at: Second, user: u32, sign: i64) {
        if self.responded_at.is_none() && user_is_other(user, self.submitter) {
            self.others.change(created_at, sign);
        }
    }

    /// A live message is sealed. Those of one tick come from the first to the last.
    fn seal(&mut self, created_at: Second, user: u32) {
        if self.responded_at.is_none() && user_is_other(user, self.submitter) {
            self.others.change(created_at, -1);
            if self.live_at.is_some_and(|posted_at| posted_at <= created_at) {
                self.responded_at = Some(created_at);
                self.others = SortedBag::new();
            }
        }
    }

    fn first_response_s(&self) -> Option<i64> {
        let posted_at = self.live_at?;
        let response = self.responded_at.or_else(|| self.others.from(&posted_at).next())?;
        Some(response.get() - posted_at.get())
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
    /// The submission that counts.
    fn answered(&self) -> Option<&Opening> {
        let live = self.opening.as_ref().filter(|opening| opening.live_at.is_some());
        live.or(self.opening_sealed.as_ref()).map(|opening| &**opening)
    }

    fn submission(&mut self, version: &Version, created_at: Second, diff: i8) {
        if diff < 0 {
            self.opening.as_mut().expect("retractions follow assertions").live_at = None;
            return;
        }
        match &mut self.opening {
            // The bag keeps following the last submitter while the submission is away: most often it comes back the same.
            Some(opening) if opening.submitter == version.user => opening.live_at = Some(created_at),
            opening => {
                let (others, responded_at) = (SortedBag::new(), None);
                let mut fresh = Opening { live_at: Some(created_at), submitter: version.user, others, responded_at };
                for (at, _) in self.timeline.iter().filter(|(_, user)| user_is_other(*user, version.user)) {
                    fresh.others.insert(at);
                }
                *opening = Some(Box::new(fresh));
            }
        }
    }

    fn seal(&mut self, version: &Version, created_at: Second) {
        let user = version.user.map_or(0, Name::index);
        self.timeline.change((created_at, user), -1);
        self.sealed.widen(created_at);
        self.openings().for_each(|opening| opening.seal(created_at, user));
        if version.id == version.conversation {
            self.opening_sealed = self.opening.take();
        }
    }

    /// What is kept of the submission that was sealed last: when it was posted, by whom, and when it was responded to.
    fn kept(&self) -> Option<(Second, Option<Name>, Option<Second>)> {
        let opening = self.opening_sealed.as_ref()?;
        Some((opening.live_at?, opening.submitter, opening.responded_at))
    }

    fn restore(&mut self, left: &mut Cells) -> Result<(), Malformed> {
        for sum in [&mut self.messages, &mut self.characters, &mut self.removed] {
            *sum = left.int()?;
        }
        self.sealed.widen_to(left.maybe_int()?, left.maybe_int()?);
        self.depth_sealed = left.maybe_int()?.and_then(|depth| u32::try_from(depth).ok());
        // It stands for all that sealed messages and tombstones name: they go on to name it.
        left.maybe_name()?.into_iter().for_each(|name| self.communities.change(name, 1));
        Ok(())
    }

    fn restore_opening(&mut self, left: &mut Cells) -> Result<(), Malformed> {
        let (live_at, submitter) = (Some(Second::new(left.int()?)), left.maybe_name()?);
        let responded_at = left.maybe_int()?.map(Second::new);
        self.opening_sealed = Some(Box::new(Opening { live_at, submitter, others: SortedBag::new(), responded_at }));
        Ok(())
    }

    fn openings(&mut self) -> impl Iterator<Item = &mut Opening> {
        self.opening.iter_mut().chain(&mut self.opening_sealed).map(|opening| &mut **opening)
    }

    fn live(&mut self, version: &Version, created_at: Second, diff: i8) {
        let sign = i64::from(diff);
        self.messages += sign;
        self.characters += sign * i64::from(version.characters);
        let user = version.user.map_or(0, Name::index);
        self.timeline.change((created_at, user), sign);
        self.openings().for_each(|opening| opening.change(created_at, user, sign));
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
            first_at: self.sealed.first(self.timeline.first().map(|(at, _)| at)).map(Second::get),
            last_at: self.sealed.last(self.timeline.last().map(|(at, _)| at)).map(Second::get),
            depth: self.depth.max(self.depth_sealed).map(i64::from),
            first_response_s: self.answered().and_then(|opening| opening.first_response_s()),
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
    Depth { live: Option<u32>, sealed: Option<u32> },
}

#[derive(Default)]
struct State {
    conversations: Groups<ConversationId, Conversation>,
    /// Live messages that this tick seals. They wait for its last update: until then their submission may change.
    sealed: Vec<Version>,
    sums: Teller,
}

/// What a message leaves in its conversation.
#[derive(Default)]
struct Left {
    messages: i64,
    characters: i64,
    removed: i64,
    at: Option<i64>,
    depth: Option<u32>,
    community: Option<Name>,
}

impl State {
    fn new(sums: Teller) -> State {
        let mut state = State { sums, ..State::default() };
        state.sums.restore(Kind::Conversations, |key, left| state.conversations.touch(key.id()?).restore(left));
        state.sums.restore(Kind::Openings, |key, left| state.conversations.touch(key.id()?).restore_opening(left));
        state
    }

    fn say(&mut self, conversation: ConversationId, left: &Left) {
        self.sums.say(
            Kind::Conversations,
            |key| key.id(conversation),
            |out| {
                let out = out.int(left.messages).int(left.characters).int(left.removed).maybe_int(left.at).maybe_int(left.at);
                out.maybe_int(left.depth.map(i64::from)).maybe_name(left.community)
            },
        );
    }

    fn seal(&mut self, version: &Version) {
        let created_at = version.created_at.expect("what lives has a time");
        let conversation = self.conversations.touch(version.conversation);
        let before = conversation.kept();
        conversation.seal(version, Second::new(created_at));
        let after = conversation.kept();
        let characters = version.characters.into();
        let left = Left { messages: 1, characters, at: Some(created_at), community: version.community, ..Left::default() };
        self.say(version.conversation, &left);
        if let Some((posted_at, submitter, responded_at)) = after.filter(|_| before != after) {
            self.sums.say(
                Kind::Openings,
                |key| key.id(version.conversation),
                |left| left.int(posted_at.get()).maybe_name(submitter).maybe_int(responded_at.map(Second::get)),
            );
        }
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = (ConversationId, Told);
    type Out = RowChange<Conversations>;

    fn fetch(&self, update: &Update, step: usize) {
        self.conversations.fetch(&update.version.conversation, step);
    }

    fn fetch_aside(&self, (conversation, _): &(ConversationId, Told), step: usize) {
        self.conversations.fetch(conversation, step);
    }

    fn main(&mut self, update: &Update) {
        let version = &update.version;
        if update.is_sealed() {
            if version.is_live() {
                self.sealed.push(*version);
            } else {
                self.say(version.conversation, &Left { removed: 1, community: version.community, ..Left::default() });
            }
            return;
        }
        let conversation = self.conversations.touch(version.conversation);
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
        if let Told::Depth { sealed: Some(depth), .. } = told {
            self.say(*conversation, &Left { depth: Some(*depth), ..Left::default() });
        }
        let conversation = self.conversations.touch(*conversation);
        match told {
            Told::Participants(diff) => conversation.participants += i64::from(*diff),
            Told::Depth { live, sealed } => {
                conversation.depth = *live;
                conversation.depth_sealed = conversation.depth_sealed.max(*sealed);
            }
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<Conversations>>) {
        let mut sealed = std::mem::take(&mut self.sealed);
        sealed.sort_unstable_by_key(|version| version.created_at);
        sealed.iter().for_each(|version| self.seal(version));
        self.conversations.close(|conversation, _, row| out.push(RowChange { key: ConversationsKey { conversation }, row }));
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Conversations>> {
    inputs.conversations()
}

/// The rows, built once ([`Inputs::conversations`]).
pub(crate) fn build<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Conversations>> {
    let participants = map(inputs.user_conversations(), |pair| (pair.right, Told::Participants(pair.diff)));
    let participants = route(participants, "ParticipantsByConversation", |(conversation, _): &(ConversationId, Told)| conversation.route());
    let depths = map(inputs.depths(), |change| (change.conversation, Told::Depth { live: change.depth, sealed: change.sealed }));
    fold_with(inputs.by_conversation(), participants.concat(depths), "Conversations", State::new(inputs.teller()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn of_sealed_messages_sums_are_held_alone() {
        let mut state = State::default();
        sealed::all(&mut state, |_| {});
        let id = eddy_schemas::MessageId::submission("0");
        let conversation = state.conversations.get(&id).expect("it keeps what was given");
        let opening = conversation.opening_sealed.as_ref().expect("it was posted");
        assert_eq!((conversation.timeline.len(), opening.others.len()), (0, 0));
        let row = conversation.row(&id).expect("messages");
        assert_eq!((row.messages, row.first_at, row.first_response_s), (43, Some(0), Some(7 * 3_600)));
    }
}
