//! What every view starts from: the collection of winning versions, and the streams that views share.

use std::cell::RefCell;
use std::rc::Rc;

use eddy_schemas::rows::Conversations;
use eddy_schemas::sums::Kind;
use eddy_schemas::{MessageId, Name, Version};
use serde::{Deserialize, Serialize};
use timely::dataflow::Scope;

use crate::batch::{Batches, route};
use crate::calendar::Second;
use crate::outputs::RowChange;
use crate::streams::depth::DepthChange;
use crate::streams::distinct::Transition;
use crate::streams::poster_days::{PosterDay, poster_days};
use crate::streams::posts::{PostChange, posts};
use crate::streams::{depth, distinct};
use crate::sums::{Sums, Teller};
use crate::views::conversations;

/// A version becomes the winner of its message (`diff` +1), ceases to be (-1), or is sealed (0).
///
/// Tombstones are winners too: views decide what they count. Changes of one message arrive in order: the old winner leaves before
/// the new one comes. A sealed message keeps what it gave to sums and is forgotten otherwise: nothing more comes of it. That is said at
/// the end of a tick, but other workers may not be there yet: what of it depends on other messages waits until the tick closes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Update {
    pub version: Version,
    pub diff: i8,
}

impl Update {
    /// +1 or -1 where the version is live, else 0; sealing changes no sum.
    #[inline]
    pub fn live(&self) -> i64 {
        if self.version.is_live() { i64::from(self.diff) } else { 0 }
    }

    #[inline]
    pub fn is_sealed(&self) -> bool {
        self.diff == 0
    }
}

/// What time it is in a tick, for views that move with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Moment {
    /// Event time up to which records are taken to be in.
    pub watermark: Second,
    /// What was created before is sealed at the end of this tick; none while everything is kept.
    pub sealed_before: Option<Second>,
}

/// How long what stays, in seconds of event time; none: for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Keep {
    /// Messages, after they were created: then they are sealed.
    pub messages_s: Option<i64>,
    /// Rows of hours and days, after those have ended.
    pub hours_s: Option<i64>,
    pub days_s: Option<i64>,
}

/// At most one a tick on each worker; none where nothing moved.
pub type Moments<'scope> = Batches<'scope, Moment>;

pub type Updates<'scope> = Batches<'scope, Update>;

/// The inputs of all views on one worker. Shared streams are built when a view first asks.
pub struct Inputs<'scope> {
    pub scope: Scope<'scope, u64>,
    by_message: Updates<'scope>,
    moments: Moments<'scope>,
    pub keep: Keep,
    sums: Option<Rc<Sums>>,
    shared: RefCell<Shared<'scope>>,
}

type Transitions<'scope, A, B> = Batches<'scope, Transition<A, B>>;

#[derive(Default)]
struct Shared<'scope> {
    by_user: Option<Updates<'scope>>,
    by_conversation: Option<Updates<'scope>>,
    by_community: Option<Updates<'scope>>,
    user_conversations: Option<Transitions<'scope, Name, MessageId>>,
    user_communities: Option<Transitions<'scope, Name, Name>>,
    depths: Option<Batches<'scope, DepthChange>>,
    poster_days: Option<Batches<'scope, PosterDay>>,
    posts: Option<Batches<'scope, PostChange>>,
    conversations: Option<Batches<'scope, RowChange<Conversations>>>,
}

impl<'scope> Inputs<'scope> {
    /// `versions`: all versions of a message must come on one worker; `moments`: every worker must be told each.
    pub fn new(scope: Scope<'scope, u64>, versions: Updates<'scope>, moments: Moments<'scope>) -> Self {
        Inputs { scope, by_message: versions, moments, keep: Keep::default(), sums: None, shared: RefCell::default() }
    }

    pub fn keeping(self, keep: Keep) -> Self {
        Inputs { keep, ..self }
    }

    /// What is kept of sealed messages is said there, and restored from it.
    pub fn summing(self, sums: Option<Rc<Sums>>) -> Self {
        Inputs { sums, ..self }
    }

    /// For an operator that keeps something of them.
    pub fn teller(&self) -> Teller {
        Teller::new(self.sums.clone())
    }

    /// Each tick's time where it is not that of the tick before, on every worker.
    pub fn moments(&self) -> Moments<'scope> {
        self.moments.clone()
    }

    /// Winning versions as they change; those of a message on one worker.
    pub fn by_message(&self) -> Updates<'scope> {
        self.by_message.clone()
    }

    /// Winning versions as they change; those of a user on one worker.
    pub fn by_user(&self) -> Updates<'scope> {
        let build = || route(self.by_message(), "ByUser", |update: &Update| update.version.user.map_or(0, Name::route));
        self.shared.borrow_mut().by_user.get_or_insert_with(build).clone()
    }

    /// Winning versions as they change; those in a conversation on one worker.
    pub fn by_conversation(&self) -> Updates<'scope> {
        let build = || route(self.by_message(), "ByConversation", |update: &Update| update.version.conversation.route());
        self.shared.borrow_mut().by_conversation.get_or_insert_with(build).clone()
    }

    /// Winning versions as they change; those in a community on one worker.
    pub fn by_community(&self) -> Updates<'scope> {
        let build = || route(self.by_message(), "ByCommunity", |update: &Update| update.version.community.map_or(0, Name::route));
        self.shared.borrow_mut().by_community.get_or_insert_with(build).clone()
    }

    /// Distinct (user, conversation) of live messages, said where the user is.
    pub fn user_conversations(&self) -> Transitions<'scope, Name, MessageId> {
        let by_user = self.by_user();
        let build = || distinct::distinct(by_user, Kind::UserConversations, self.teller(), |v| v.user.map(|user| (user, v.conversation)));
        self.shared.borrow_mut().user_conversations.get_or_insert_with(build).clone()
    }

    /// Distinct (user, community) of live messages, said where the user is.
    pub fn user_communities(&self) -> Transitions<'scope, Name, Name> {
        let by_user = self.by_user();
        let build = || distinct::distinct(by_user, Kind::UserCommunities, self.teller(), |v| v.user.zip(v.community));
        self.shared.borrow_mut().user_communities.get_or_insert_with(build).clone()
    }

    /// Depth of each conversation, said where the conversation is.
    pub fn depths(&self) -> Batches<'scope, DepthChange> {
        let by_conversation = self.by_conversation();
        self.shared.borrow_mut().depths.get_or_insert_with(|| depth::depth(by_conversation, self.teller())).clone()
    }

    /// Days on which a user posted in a community, said where the community is.
    pub fn poster_days(&self) -> Batches<'scope, PosterDay> {
        let by_community = self.by_community();
        let build = || poster_days(by_community, self.moments(), self.keep, self.teller());
        self.shared.borrow_mut().poster_days.get_or_insert_with(build).clone()
    }

    /// Posts and their first response, said where the thread of the post is.
    pub fn posts(&self) -> Batches<'scope, PostChange> {
        let built = self.shared.borrow().posts.clone();
        let posts = built.unwrap_or_else(|| posts(self));
        self.shared.borrow_mut().posts.insert(posts).clone()
    }

    /// The view's rows, which other views start from; said where the conversation is.
    pub fn conversations(&self) -> Batches<'scope, RowChange<Conversations>> {
        let built = self.shared.borrow().conversations.clone();
        let rows = built.unwrap_or_else(|| conversations::build(self));
        self.shared.borrow_mut().conversations.insert(rows).clone()
    }
}
