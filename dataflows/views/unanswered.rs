//! `unanswered`: posts that ask and have no response at all six hours later, by the watermark.
//!
//! ```text
//!   a post without a response --> due? --> row
//!                                   +----> calendar, by the second on which it is due
//! ```
//!
//! Nothing is kept of a post that has its row: what it was comes with each change of it.

use eddy_schemas::MessageId;
use eddy_schemas::rows::{Unanswered, UnansweredKey};
use hashbrown::HashMap;

use crate::batch::{Batches, route};
use crate::calendar::Calendar;
use crate::fold::{Fold, fold_with};
use crate::inputs::{Inputs, Moment};
use crate::outputs::RowChange;
use crate::streams::posts::{Post, PostChange};

pub type Row = Unanswered;

/// How long a post may wait, seconds.
const WAIT_S: i64 = 21_600;

struct State {
    /// The watermark at the end of the tick before, and now.
    before: i64,
    now: i64,
    /// Posts before and now that this tick changed.
    changes: HashMap<MessageId, [Option<Post>; 2], foldhash::fast::FixedState>,
    ahead: Calendar<HashMap<MessageId, Unanswered, foldhash::fast::FixedState>>,
}

/// The row of a post that waits, and when it is due.
fn waiting(post: Option<Post>) -> Option<(i64, Unanswered)> {
    let post = post.filter(|post| post.asks && !post.sealed && post.response_s.is_none())?;
    let created_at = post.created_at.get();
    Some((created_at + WAIT_S, Unanswered { community: post.community, user: post.user, created_at }))
}

impl State {
    /// The row that a post had, which waits no more.
    fn leave(&mut self, message: MessageId, (due, row): (i64, Unanswered)) -> Option<Unanswered> {
        if due <= self.before {
            return Some(row);
        }
        self.ahead.take(due, |waiting| {
            waiting.remove(&message);
            waiting.is_empty()
        });
        None
    }

    /// The row that a post has now, if it need not wait.
    fn enter(&mut self, message: MessageId, (due, row): (i64, Unanswered)) -> Option<Unanswered> {
        if due <= self.now {
            return Some(row);
        }
        self.ahead.at(due).insert(message, row);
        None
    }
}

impl Fold for State {
    type Main = PostChange;
    type Aside = Moment;
    type Out = RowChange<Unanswered>;

    fn main(&mut self, change: &PostChange) {
        // A post that moves to another conversation goes in one change and comes in another.
        let [old, new] = self.changes.entry(change.message).or_default();
        *old = old.or(change.old);
        *new = new.or(change.new);
    }

    fn aside(&mut self, moment: &Moment) {
        self.now = self.now.max(moment.watermark.get());
    }

    fn close(&mut self, out: &mut Vec<RowChange<Unanswered>>) {
        let mut say = |message, row| out.push(RowChange { key: UnansweredKey { message }, row });
        for (message, [old, new]) in std::mem::take(&mut self.changes) {
            let old = waiting(old).and_then(|waiting| self.leave(message, waiting));
            let new = waiting(new).and_then(|waiting| self.enter(message, waiting));
            if old != new {
                say(message, new);
            }
        }
        while let Some((_, due)) = self.ahead.due(self.now) {
            due.into_iter().for_each(|(message, row)| say(message, Some(row)));
        }
        self.before = self.now;
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Unanswered>> {
    let state = State { before: i64::MIN, now: i64::MIN, changes: HashMap::default(), ahead: Calendar::default() };
    let posts = route(inputs.posts(), "ByPost", |change: &PostChange| change.message.route());
    fold_with(posts, inputs.moments(), "Unanswered", state)
}
