//! Posts and their first response: what `responses` and `unanswered` are made of.
//!
//! ```text
//!   Reddit     a submission                              responded to as `conversations` says: `first_response_s`
//!   Telegram   a message without a parent that asks      responded to by the earliest live direct reply of another named user
//! ```
//!
//! As elsewhere, a reply is to a message of its own conversation, and a response is not older than what it responds to.
//!
//! Replies wait under the message that they name, whether it is a post or not, live or not: it may become one. Those of the post's own
//! author stand last among them, so an author who replies a million times costs no one a search; only a post that changes its author
//! orders them anew.
//!
//! A sealed post goes on with the replies that found it held, as they are, for as long as they name it at the end of a tick; one that comes later is
//! no reply to it. Where a later version makes its id another post, what was sealed stays as it was.

use eddy_schemas::{ConversationId, MessageId, Name, Version};
use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use crate::batch::{Batches, flat_map};
use crate::calendar::Second;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::sorted::SortedBag;

/// A live post.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Post {
    pub community: Option<Name>,
    pub user: Option<Name>,
    pub created_at: Second,
    pub asks: bool,
    /// It is older than what is kept.
    pub sealed: bool,
    /// Seconds to the first response.
    pub response_s: Option<i64>,
}

/// A post as it was before a tick and as it is now, said where its conversation is. One that moves to another conversation goes there and
/// comes here.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PostChange {
    pub message: MessageId,
    pub old: Option<Post>,
    pub new: Option<Post>,
}

/// A message that may be a post, in its conversation.
type Place = (ConversationId, MessageId);

/// What a live version is to a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Post { community: Option<Name>, asks: bool },
    Reply,
}

/// A version in the thread of a post comes (`diff` 1), goes (-1) or is sealed (0).
#[derive(Clone, Copy, Debug)]
struct Said {
    thread: Place,
    message: MessageId,
    role: Role,
    user: Option<Name>,
    created_at: Second,
    diff: i8,
}

impl Said {
    fn of(Update { version, diff }: &Update) -> Option<Said> {
        let (message, role) = role(version)?;
        let thread = (version.conversation, message);
        Some(Said { thread, message: version.id, role, user: version.user, created_at: Second::new(version.created_at?), diff: *diff })
    }
}

fn role(version: &Version) -> Option<(MessageId, Role)> {
    let post = Role::Post { community: version.community, asks: version.asks };
    match version.parent {
        _ if !version.is_live() => None,
        _ if version.id.is_submission() => Some((version.id, post)),
        // What is under a submission is `conversations`' affair.
        _ if version.conversation.is_submission() => None,
        None => version.asks.then_some((version.id, post)),
        Some(parent) => version.user.map(|_| (parent, Role::Reply)),
    }
}

#[derive(Default)]
struct Thread {
    /// The live post, without its response.
    post: Option<Post>,
    /// What `conversations` says.
    response_s: Option<i64>,
    replies: Option<Box<Replies>>,
}

/// Whether it is by the post's author, when, the user's number, and which message it is (none: before all).
type Reply = (bool, Second, u32, Option<MessageId>);

/// Live replies of named users.
#[derive(Default)]
struct Replies {
    /// The user of the post that is or was there last.
    author: Option<Name>,
    replies: SortedBag<Reply>,
    /// The earliest response that was sealed.
    sealed: Option<Second>,
}

impl Replies {
    fn reply(&self, said: &Said) -> Reply {
        let user = said.user.expect("replies are of named users");
        (self.author == Some(user), said.created_at, user.index(), Some(said.message))
    }

    fn change(&mut self, said: &Said, diff: i64) {
        self.replies.change(self.reply(said), diff);
    }

    fn follow(&mut self, author: Option<Name>) {
        if self.author != author {
            self.author = author;
            let number = author.map_or(0, Name::index);
            let mut replies = SortedBag::new();
            self.replies.iter().for_each(|(_, at, user, message)| replies.insert((user == number, at, user, message)));
            self.replies = replies;
        }
    }

    /// What is sealed stays as it is: it needs no place among those that may change.
    fn seal(&mut self, said: &Said, post: Option<Post>) {
        let (is_there, at) = (self.replies.contains(&self.reply(said)), said.created_at);
        if is_there {
            self.change(said, -1);
        }
        if is_there && self.author != said.user && post.is_some_and(|post| post.created_at <= at) {
            self.sealed = Some(self.sealed.map_or(at, |sealed| sealed.min(at)));
        }
    }

    /// The first that is not older than the post.
    fn first(&self, posted_at: Second) -> Option<Second> {
        let live = self.replies.from(&(false, posted_at, 0, None)).next().filter(|(own, ..)| !own).map(|(_, at, ..)| at);
        live.into_iter().chain(self.sealed).min()
    }
}

impl Thread {
    fn change(&mut self, said: &Said) {
        let diff = i64::from(said.diff);
        let Role::Post { community, asks } = said.role else {
            let replies = self.replies.get_or_insert_default();
            match diff {
                0 => replies.seal(said, self.post),
                diff => replies.change(said, diff),
            }
            if replies.replies.is_empty() && replies.author.is_none() && replies.sealed.is_none() {
                self.replies = None;
            }
            return;
        };
        match diff {
            0 => self.post.iter_mut().for_each(|post| post.sealed = true),
            1 => {
                let Said { user, created_at, .. } = *said;
                if self.is_sealed() {
                    self.replies = None;
                }
                self.post = Some(Post { community, user, created_at, asks, sealed: false, response_s: None });
                if !said.thread.1.is_submission() {
                    self.replies.get_or_insert_default().follow(user);
                }
            }
            _ => self.post = None,
        }
    }
}

impl Thread {
    fn is_sealed(&self) -> bool {
        self.post.is_some_and(|post| post.sealed)
    }

    /// This reply is among those that count.
    fn has(&self, said: &Said) -> bool {
        self.replies.as_ref().is_some_and(|replies| replies.replies.contains(&replies.reply(said)))
    }
}

impl Group<Place> for Thread {
    type Row = Post;

    fn row(&self, _: &Place) -> Option<Post> {
        let post = self.post?;
        let reply = self.replies.as_ref().and_then(|replies| replies.first(post.created_at));
        let response_s = self.response_s.or(reply.map(|at| at.get() - post.created_at.get()));
        Some(Post { response_s, ..post })
    }

    fn is_empty(&self) -> bool {
        let no_replies = self.replies.as_ref().is_none_or(|replies| replies.replies.is_empty() && replies.sealed.is_none());
        self.post.is_none() && self.response_s.is_none() && no_replies
    }
}

#[derive(Default)]
struct State {
    threads: Groups<Place, Thread>,
    /// What this tick seals. It waits for the tick's last update: until then a post may change.
    sealed: Vec<Said>,
    /// Replies to sealed posts that this tick changes: they may come again, others may not.
    left: HashSet<(Place, MessageId), foldhash::fast::FixedState>,
}

impl State {
    /// A reply to a sealed post is one that found it held, or none.
    fn is_late(&mut self, said: &Said) -> bool {
        if said.role != Role::Reply {
            return false;
        }
        let thread = self.threads.get(&said.thread);
        let is_sealed = thread.is_some_and(Thread::is_sealed);
        if said.diff > 0 {
            return is_sealed && !self.left.contains(&(said.thread, said.message));
        }
        let is_there = thread.is_some_and(|thread| thread.has(said));
        if is_there && is_sealed {
            self.left.insert((said.thread, said.message));
        }
        !is_there
    }
}

impl Fold for State {
    type Main = Said;
    type Aside = (MessageId, Option<i64>);
    type Out = PostChange;

    fn main(&mut self, said: &Said) {
        if said.diff == 0 {
            self.sealed.push(*said);
        } else if !self.is_late(said) {
            self.threads.touch(said.thread).change(said);
        }
    }

    fn aside(&mut self, (submission, response_s): &(MessageId, Option<i64>)) {
        // Most conversations of a dump have no submission there.
        let place = (*submission, *submission);
        if response_s.is_some() || self.threads.get(&place).is_some_and(|thread| thread.response_s.is_some()) {
            self.threads.touch(place).response_s = *response_s;
        }
    }

    fn close(&mut self, out: &mut Vec<PostChange>) {
        for said in std::mem::take(&mut self.sealed) {
            self.threads.touch(said.thread).change(&said);
        }
        self.left.clear();
        self.threads.close(|(_, message), old, new| {
            // A sealed post that gives way to another of its id, which may be sealed at once, stays where it counted. (Only that one has its time.)
            let old = old.filter(|old| !old.sealed || new.is_some_and(|new| new.sealed && new.created_at == old.created_at));
            out.push(PostChange { message, old, new });
        });
    }
}

/// Posts as they come, go and are responded to.
pub fn posts<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, PostChange> {
    let said = flat_map(inputs.by_conversation(), Said::of);
    let responses = flat_map(inputs.conversations(), |change| {
        let conversation = change.key.conversation;
        conversation.is_submission().then(|| (conversation, change.row.and_then(|row| row.first_response_s)))
    });
    fold_with(said, responses, "Posts", State::default())
}
