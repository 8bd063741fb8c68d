//! What every view starts from: the collection of winning versions, and the streams that views share.

use std::cell::RefCell;

use eddy_schemas::{MessageId, Name, Version};
use serde::{Deserialize, Serialize};
use timely::dataflow::{Scope, Stream};

use crate::streams::depth::DepthChange;
use crate::streams::distinct::Transition;
use crate::streams::{depth, distinct};

/// A version becomes the winner of its message (`diff` +1) or ceases to be (-1).
///
/// Tombstones are winners too: views decide what they count. Changes of one message arrive in order: the old winner leaves before
/// the new one comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Update {
    pub version: Version,
    pub diff: i8,
}

impl Update {
    /// +1 or -1 where the version is live, else 0.
    #[inline]
    pub fn live(&self) -> i64 {
        if self.version.is_live() { i64::from(self.diff) } else { 0 }
    }
}

pub type Updates<'scope> = Stream<'scope, u64, Vec<Update>>;

/// The inputs of all views on one worker. Shared streams are built when a view first asks.
pub struct Inputs<'scope> {
    pub scope: Scope<'scope, u64>,
    versions: Updates<'scope>,
    shared: RefCell<Shared<'scope>>,
}

type Transitions<'scope, A, B> = Stream<'scope, u64, Vec<Transition<A, B>>>;

#[derive(Default)]
struct Shared<'scope> {
    user_conversations: Option<Transitions<'scope, Name, MessageId>>,
    user_communities: Option<Transitions<'scope, Name, Name>>,
    depths: Option<Stream<'scope, u64, Vec<DepthChange>>>,
}

impl<'scope> Inputs<'scope> {
    pub fn new(scope: Scope<'scope, u64>, versions: Updates<'scope>) -> Self {
        Inputs { scope, versions, shared: RefCell::default() }
    }

    /// Winning versions as they change.
    pub fn versions(&self) -> Updates<'scope> {
        self.versions.clone()
    }

    /// Distinct (user, conversation) of live messages.
    pub fn user_conversations(&self) -> Transitions<'scope, Name, MessageId> {
        let mut shared = self.shared.borrow_mut();
        let build = || distinct::distinct(self.versions(), "UserConversations", |v| v.user.map(|user| (user, v.conversation)));
        shared.user_conversations.get_or_insert_with(build).clone()
    }

    /// Distinct (user, community) of live messages.
    pub fn user_communities(&self) -> Transitions<'scope, Name, Name> {
        let mut shared = self.shared.borrow_mut();
        let build = || distinct::distinct(self.versions(), "UserCommunities", |v| v.user.zip(v.community));
        shared.user_communities.get_or_insert_with(build).clone()
    }

    /// Depth of each conversation.
    pub fn depths(&self) -> Stream<'scope, u64, Vec<DepthChange>> {
        let mut shared = self.shared.borrow_mut();
        shared.depths.get_or_insert_with(|| depth::depth(self.versions())).clone()
    }
}
