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
//! author and of nobody, which are no responses, stand last among them, so an author who replies a million times costs no one a search; only a
//! post that changes its author orders them anew.
//!
//! A sealed post goes on with the replies that found it held, as they are, for as long as they name it at the end of a tick; one that comes later is
//! no reply to it. (One of nobody may come to have a name.) Where a later version makes its id another post, what was sealed stays as it was.

use eddy_schemas::stored::Malformed;
use eddy_schemas::sums::{Cells, Kind, Writer};
use eddy_schemas::{ConversationId, MessageId, Name, Version};
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use crate::batch::{Batches, flat_map};
use crate::calendar::Second;
use crate::fold::{Fold, fold_with};
use crate::groups::{Group, Groups};
use crate::inputs::{Inputs, Update};
use crate::sorted::SortedBag;
use crate::sums::Teller;
use crate::views::responses::{DayPost, UNANSWERED, day_post};

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
        Some(parent) => Some((parent, Role::Reply)),
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

/// Whether it is by the post's author or nobody, when, the user's number ([`number`]), and which message it is (none: before all).
type Reply = (bool, Second, u32, Option<MessageId>);

/// No name has that of nobody.
const NOBODY: u32 = 0;

fn number(user: Option<Name>) -> u32 {
    user.map_or(NOBODY, Name::index)
}

/// Live replies.
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
        (said.user.is_none() || self.author == said.user, said.created_at, number(said.user), Some(said.message))
    }

    fn change(&mut self, said: &Said, diff: i64) {
        self.replies.change(self.reply(said), diff);
    }

    fn follow(&mut self, author: Option<Name>) {
        if self.author != author {
            self.author = author;
            let author = number(author);
            let mut replies = SortedBag::new();
            self.replies.iter().for_each(|(_, at, user, message)| replies.insert((user == NOBODY || user == author, at, user, message)));
            self.replies = replies;
        }
    }

    /// What is sealed stays as it is: it needs no place among those that may change.
    fn seal(&mut self, said: &Said, post: Option<Post>) {
        let reply = self.reply(said);
        if !self.replies.contains(&reply) {
            return;
        }
        self.replies.change(reply, -1);
        let (is_none, at, ..) = reply;
        if !is_none && post.is_some_and(|post| post.created_at <= at) {
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

/// What a thread keeps of sealed messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Left {
    /// The post, where that is sealed.
    post: Option<Post>,
    /// The earliest response that is.
    response: Option<Second>,
}

impl Left {
    fn write(self, out: Writer<'_>) -> Writer<'_> {
        let post = self.post;
        let out = out.maybe_int(post.map(|post| post.created_at.get())).int(post.is_some_and(|post| post.asks).into());
        let out = out.maybe_name(post.and_then(|post| post.community)).maybe_name(post.and_then(|post| post.user));
        out.maybe_int(self.response.map(Second::get))
    }

    fn read(known: &mut Cells) -> Result<Left, Malformed> {
        let (created_at, asks, community, user) = (known.maybe_int()?, known.int()? != 0, known.maybe_name()?, known.maybe_name()?);
        let created_at = created_at.map(Second::new);
        let post = created_at.map(|created_at| Post { community, user, created_at, asks, sealed: true, response_s: None });
        Ok(Left { post, response: known.maybe_int()?.map(Second::new) })
    }
}

impl Thread {
    fn left(&self) -> Left {
        Left { post: self.post.filter(|post| post.sealed), response: self.replies.as_ref().and_then(|replies| replies.sealed) }
    }

    fn restore(&mut self, left: Left, is_submission: bool) {
        self.post = left.post;
        let author = left.post.filter(|_| !is_submission).and_then(|post| post.user);
        if author.is_some() || left.response.is_some() {
            self.replies = Some(Box::new(Replies { author, replies: SortedBag::new(), sealed: left.response }));
        }
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
    /// Live replies that do not count, where that must be known after a restart.
    out: HashSet<(Place, MessageId), foldhash::fast::FixedState>,
    /// The open tick brings back what was there before a restart.
    is_restoring: bool,
    /// What threads had left before this tick, where that may change.
    before: HashMap<Place, Left, foldhash::fast::FixedState>,
    sums: Teller,
}

impl State {
    fn new(sums: Teller) -> State {
        let mut state = State { sums, ..State::default() };
        state.sums.restore(Kind::Threads, |key, known| {
            let place = (key.id()?, key.id()?);
            state.threads.touch(place).restore(Left::read(known)?, place.1.is_submission());
            Ok(())
        });
        state.sums.restore(Kind::LateReplies, |key, _| {
            state.out.insert(((key.id()?, key.id()?), key.id()?));
            Ok(())
        });
        state
    }

    /// A reply to a sealed post is one that found it held, or none.
    fn is_late(&mut self, said: &Said) -> bool {
        if said.role != Role::Reply {
            return false;
        }
        let reply = (said.thread, said.message);
        if self.is_restoring {
            return self.out.contains(&reply);
        }
        let thread = self.threads.get(&said.thread);
        let is_sealed = thread.is_some_and(Thread::is_sealed);
        if said.diff > 0 {
            let is_late = is_sealed && !self.left.contains(&reply);
            if is_late {
                self.leave_out(reply);
            }
            return is_late;
        }
        let is_there = thread.is_some_and(|thread| thread.has(said));
        if is_there && is_sealed {
            self.left.insert(reply);
        }
        self.forget(reply);
        !is_there
    }

    fn leave_out(&mut self, reply: (Place, MessageId)) {
        if self.sums.is_on() && self.out.insert(reply) {
            let ((conversation, post), message) = reply;
            self.sums.say(Kind::LateReplies, |key| key.id(conversation).id(post).id(message), |known| known.int(1));
        }
    }

    /// A live reply is none any more.
    fn forget(&mut self, reply: (Place, MessageId)) {
        if !self.out.is_empty() && self.out.remove(&reply) {
            let ((conversation, post), message) = reply;
            self.sums.say(Kind::LateReplies, |key| key.id(conversation).id(post).id(message), |ended| ended);
        }
    }

    fn change(&mut self, said: &Said) {
        let thread = self.threads.touch(said.thread);
        let is_post = matches!(said.role, Role::Post { .. });
        let mut left_out = vec![];
        if self.sums.is_on() && (said.diff == 0 || is_post) {
            self.before.entry(said.thread).or_insert_with(|| thread.left());
            if is_post && said.diff > 0 && thread.is_sealed() {
                // Another post: those of the sealed one are no replies to it.
                let replies = thread.replies.iter().flat_map(|replies| replies.replies.iter());
                left_out.extend(replies.filter_map(|(.., message)| Some((said.thread, message?))));
            }
        }
        thread.change(said);
        left_out.into_iter().for_each(|reply| self.leave_out(reply));
        if said.diff == 0 && !is_post {
            self.forget((said.thread, said.message));
        }
    }

    /// Says what threads have left, where that is not what it was.
    fn say(&mut self) {
        for (place, before) in std::mem::take(&mut self.before) {
            let left = self.threads.get(&place).map(Thread::left).unwrap_or_default();
            if left != before {
                let value = if left == Left::default() { None } else { Some(left) };
                self.sums.say(
                    Kind::Threads,
                    |key| key.id(place.0).id(place.1),
                    |known| value.into_iter().fold(known, |known, left| left.write(known)),
                );
            }
        }
    }
}

/// Says of a sealed post that no thread has any more what `responses` has of it.
fn say_settled(post: Post, sums: &mut Teller) {
    if let Some(DayPost { community, day, answered_s, .. }) = day_post(Some(post), 0) {
        sums.say(
            Kind::Responses,
            |key| key.int(day.into()).name(community).int(answered_s.map_or(UNANSWERED, i64::from)),
            |left| left.int(1),
        );
    }
}

impl Fold for State {
    type Main = Said;
    type Aside = (MessageId, Option<i64>);
    type Out = PostChange;

    fn opening(&mut self, tick: u64) {
        self.is_restoring = self.sums.is_restoring(tick);
    }

    fn main(&mut self, said: &Said) {
        if said.diff == 0 {
            self.sealed.push(*said);
        } else if !self.is_late(said) {
            self.change(said);
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
            self.change(&said);
        }
        self.left.clear();
        self.say();
        let sums = &mut self.sums;
        self.threads.close(|(_, message), old, new| {
            // A sealed post that gives way to another of its id, which may be sealed at once, stays where it counted. (Only that one has its time.)
            let is_another = |old: &Post| new.is_none_or(|new| !new.sealed || new.created_at != old.created_at);
            let stays = old.filter(|old| old.sealed && is_another(old));
            stays.into_iter().for_each(|post| say_settled(post, sums));
            out.push(PostChange { message, old: old.filter(|_| stays.is_none()), new });
        });
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

/// Posts as they come, go and are responded to.
pub fn posts<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, PostChange> {
    let said = flat_map(inputs.by_conversation(), Said::of);
    let responses = flat_map(inputs.conversations(), |change| {
        let conversation = change.key.conversation;
        conversation.is_submission().then(|| (conversation, change.row.and_then(|row| row.first_response_s)))
    });
    fold_with(said, responses, "Posts", State::new(inputs.teller()))
}
