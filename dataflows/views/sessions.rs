//! `sessions`: a user's messages in order of created_at, cut where the gap is over 1,800 seconds.
//!
//! ```text
//!   times     a b   c          d e        sessions   [a, c]   [d, e]
//! ```
//!
//! Sealed messages have no sessions. A message that comes or goes looks at its two neighbours in time and at the sessions they are in; nothing else moves.

use eddy_schemas::Name;
use eddy_schemas::rows::{Sessions, SessionsKey};
use hashbrown::HashMap;

use crate::batch::Batches;
use crate::calendar::Second;
use crate::fold::{Fold, Nothing, fold};
use crate::inputs::{Inputs, Update};
use crate::outputs::RowChange;
use crate::sorted::SortedBag;

pub type Row = Sessions;

/// The longest gap inside a session, seconds.
const GAP_S: i64 = 1_800;

/// First and last message.
type Span = (Second, Second);

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
        match at.next() {
            Some(next) => self.spans.before(&(next, Second::MIN)),
            None => self.spans.last(),
        }
    }

    fn span_from(&self, start: Second) -> Option<Span> {
        self.span_at(start).filter(|span| span.0 == start)
    }

    fn row(&self, start: Second) -> Option<Sessions> {
        let (start, end) = self.span_from(start)?;
        Some(Sessions { end_at: end.get(), messages: self.times.count_range(&start, &end) as i64 })
    }

    /// Spans that a message at `at` belongs to or touches: at most one on each side.
    fn near(&self, at: Second) -> (Option<Span>, Option<Span>) {
        let before = self.span_at(at).filter(|span| joined(span.1, at));
        let after = self.spans.after(&(at, Second::MAX)).filter(|span| joined(at, span.0));
        (before, after)
    }

    fn insert(&mut self, at: Second) {
        let (before, after) = self.near(at);
        let start = before.map_or(at, |span| span.0);
        let end = after.map_or(at, |span| span.1).max(before.map_or(at, |span| span.1));
        for span in before.into_iter().chain(after) {
            self.spans.remove(&span);
        }
        self.spans.insert((start, end));
        self.times.insert(at);
    }

    fn remove(&mut self, at: Second) {
        assert!(self.times.remove(&at), "retractions follow assertions");
        if self.times.contains(&at) {
            return;
        }
        let span = self.span_at(at).expect("each message is in a span");
        self.spans.remove(&span);
        let left = self.times.before(&at).filter(|last| *last >= span.0);
        let right = self.times.after(&at).filter(|first| *first <= span.1);
        match (left, right) {
            (Some(left), Some(right)) if joined(left, right) => self.spans.insert(span),
            (left, right) => {
                left.into_iter().for_each(|last| self.spans.insert((span.0, last)));
                right.into_iter().for_each(|first| self.spans.insert((first, span.1)));
            }
        }
    }
}

#[derive(Default)]
struct State {
    users: HashMap<Name, User, foldhash::fast::FixedState>,
    /// Sessions that this tick may have changed, by start, with the row before.
    touched: HashMap<(Name, Second), Option<Sessions>, foldhash::fast::FixedState>,
}

impl State {
    /// Remembers the rows of all sessions that a change at `at` can begin, end or alter.
    fn touch(&mut self, name: Name, at: Second) {
        let user = self.users.entry(name).or_default();
        let (before, after) = user.near(at);
        let starts = [before.map(|span| span.0), after.map(|span| span.0), Some(at), user.times.after(&at)];
        for start in starts.into_iter().flatten() {
            self.touched.entry((name, start)).or_insert_with(|| user.row(start));
        }
    }
}

impl Fold for State {
    type Main = Update;
    type Aside = Nothing;
    type Out = RowChange<Sessions>;

    fn main(&mut self, update: &Update) {
        let (version, asserted) = (&update.version, update.diff > 0);
        let (Some(name), Some(created_at), true) = (version.user, version.created_at, version.is_live()) else { return };
        let at = Second::new(created_at);
        self.touch(name, at);
        let user = self.users.get_mut(&name).expect("touched");
        if asserted { user.insert(at) } else { user.remove(at) }
        if user.times.is_empty() {
            self.users.remove(&name);
        }
    }

    fn close(&mut self, out: &mut Vec<RowChange<Sessions>>) {
        for ((user, start), old) in self.touched.drain() {
            let row = self.users.get(&user).and_then(|user| user.row(start));
            if row != old {
                out.push(RowChange { key: SessionsKey { user, start_at: start.get() }, row });
            }
        }
    }
}

pub fn rows<'scope>(inputs: &Inputs<'scope>) -> Batches<'scope, RowChange<Sessions>> {
    fold(inputs.by_user(), "Sessions", State::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed;

    #[test]
    fn sealed_messages_have_no_sessions() {
        let mut state = State::default();
        sealed::all(&mut state, |state| assert_eq!(state.users.len(), 5));
        assert!(state.users.is_empty());
    }
}
