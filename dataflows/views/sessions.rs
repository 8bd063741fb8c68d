//! `sessions`: a user's messages in order of created_at, cut where the gap is over 1,800 seconds.
//!
//! ```text
//!   times     a b   c          d e        sessions   [a, c]   [d, e]
//! ```
//!
//! A message that comes or goes looks at its two neighbours in time and at the sessions they are in; nothing else moves.

use eddy_schemas::Name;
use eddy_schemas::rows::{Sessions, SessionsKey};

use crate::batch::Batches;
use crate::calendar::Second;
use crate::fold::{Fold, Nothing, fold};
use crate::inputs::{Inputs, Update};
use crate::map::Map;
use crate::outputs::RowChange;
use crate::sorted::SortedBag;

pub type Row = Sessions;

/// The longest gap inside a session, seconds.
const GAP_S: i64 = 1_800;
/// Room for touched sessions that is kept from tick to tick.
const TOUCHED_KEPT: usize = 1 << 16;

/// First and last message, and how many. Those of a user are apart, so the start alone orders them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Span {
    start: Second,
    end: Second,
    messages: u32,
}

impl Span {
    fn row(self) -> Sessions {
        Sessions { end_at: self.end.get(), messages: i64::from(self.messages) }
    }
}

#[derive(Default)]
struct User {
    times: SortedBag<Second>,
    spans: SortedBag<Span>,
}

fn joined(earlier: Second, later: Second) -> bool {
    later.get() - earlier.get() <= GAP_S
}

impl User {
    /// The span that starts at or before `at` latest.
    fn span_at(&self, at: Second) -> Option<Span> {
        // Most messages come last.
        match (self.spans.last(), at.next()) {
            (Some(last), Some(next)) if at < last.start => self.spans.before(&Span { start: next, end: Second::MIN, messages: 0 }),
            (last, _) => last,
        }
    }

    fn row(&self, start: Second) -> Option<Sessions> {
        self.span_at(start).filter(|span| span.start == start).map(Span::row)
    }

    /// Spans that a message at `at` belongs to or touches: at most one on each side.
    fn near(&self, at: Second) -> (Option<Span>, Option<Span>) {
        let before = self.span_at(at).filter(|span| joined(span.end, at));
        if self.spans.last().is_none_or(|last| last.start <= at) {
            return (before, None);
        }
        let after = self.spans.after(&Span { start: at, end: Second::MAX, messages: u32::MAX });
        (before, after.filter(|span| joined(at, span.start)))
    }

    /// Adds a message. `was` is told of each session that this begins, ends or alters, with its row before.
    fn insert(&mut self, at: Second, mut was: impl FnMut(Second, Option<Sessions>)) {
        self.times.insert(at);
        let (before, after) = self.near(at);
        if before.is_none() {
            was(at, None);
        }
        for span in before.into_iter().chain(after) {
            was(span.start, Some(span.row()));
        }
        match (before, after) {
            (None, None) => self.spans.insert(Span { start: at, end: at, messages: 1 }),
            (Some(span), None) => self.spans.replace(&span, Span { end: span.end.max(at), messages: span.messages + 1, ..span }),
            (None, Some(span)) => self.spans.replace(&span, Span { start: at, messages: span.messages + 1, ..span }),
            (Some(before), Some(after)) => {
                self.spans.remove(&after);
                let messages = before.messages + after.messages + 1;
                self.spans.replace(&before, Span { start: before.start, end: after.end, messages });
            }
        }
    }

    /// Takes a message away; `was` as of `insert`.
    fn remove(&mut self, at: Second, mut was: impl FnMut(Second, Option<Sessions>)) {
        assert!(self.times.remove(&at), "retractions follow assertions");
        let span = self.span_at(at).expect("each message is in a span");
        was(span.start, Some(span.row()));
        if self.times.contains(&at) {
            return self.spans.replace(&span, Span { messages: span.messages - 1, ..span });
        }
        self.spans.remove(&span);
        let left = self.times.before(&at).filter(|last| *last >= span.start);
        let right = self.times.after(&at).filter(|first| *first <= span.end);
        if let (Some(left), Some(right)) = (left, right)
            && joined(left, right)
        {
            return self.spans.insert(Span { messages: span.messages - 1, ..span });
        }
        let count = |start, end| self.times.count_range(&start, &end) as u32;
        let left = left.map(|end| Span { start: span.start, end, messages: count(span.start, end) });
        let right = right.map(|start| Span { start, end: span.end, messages: count(start, span.end) });
        if let Some(right) = right {
            was(right.start, None);
        }
        left.into_iter().chain(right).for_each(|span| self.spans.insert(span));
    }
}

#[derive(Default)]
struct State {
    users: Map<Name, User>,
    /// Sessions that this tick may have changed, by slot of the user and start, with the row before; the first of several counts.
    touched: Vec<(u32, Second, Option<Sessions>)>,
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<Sessions>;

    fn fetch(&self, update: &Update, step: usize) {
        let Some(user) = update.version.user.and_then(|user| self.users.fetch(&user, step)) else { return };
        user.times.fetch();
        user.spans.fetch();
    }

    fn main(&mut self, update: &Update) {
        let (version, live) = (&update.version, update.live());
        let (Some(name), Some(created_at), true) = (version.user, version.created_at, live != 0) else { return };
        let (at, slot) = (Second::new(created_at), self.users.slot(name));
        let (user, touched) = (self.users.at_mut(slot), &mut self.touched);
        let was = |start, row| touched.push((slot, start, row));
        if live > 0 { user.insert(at, was) } else { user.remove(at, was) }
    }

    fn close(&mut self, out: &mut Vec<RowChange<Sessions>>) {
        // Stable: of one session the first comes first.
        self.touched.sort_by_key(|(slot, start, _)| (*slot, *start));
        for of_user in self.touched.chunk_by(|a, b| a.0 == b.0) {
            let slot = of_user[0].0;
            let (name, user) = (self.users.key(slot), self.users.at(slot));
            for of_session in of_user.chunk_by(|a, b| a.1 == b.1) {
                let (_, start, old) = of_session[0];
                let row = user.row(start);
                if row != old {
                    out.push(RowChange { key: SessionsKey { user: name, start_at: start.get() }, row });
                }
            }
            if user.times.is_empty() {
                self.users.remove(slot);
            }
        }
        self.touched.clear();
        self.touched.shrink_to(TOUCHED_KEPT);
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Sessions>> {
    fold(inputs.by_user(), "Sessions", State::default())
}
