//! First and last of the times of messages, of which live ones may go again and sealed ones stay.

use crate::calendar::Second;
use crate::sorted::SortedBag;

/// The first and the last of some times; none yet: the first is after the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    first: Second,
    last: Second,
}

impl Default for Span {
    fn default() -> Self {
        Span { first: Second::MAX, last: Second::MIN }
    }
}

impl Span {
    /// By both, where they are.
    pub fn widen_to(&mut self, first: Option<i64>, last: Option<i64>) {
        first.into_iter().chain(last).for_each(|at| self.widen(Second::new(at)));
    }

    pub fn widen(&mut self, at: Second) {
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }

    fn is_empty(&self) -> bool {
        self.first > self.last
    }

    /// The first of these and of `other`.
    pub fn first(&self, other: Option<Second>) -> Option<Second> {
        if self.is_empty() { other } else { Some(other.map_or(self.first, |other| other.min(self.first))) }
    }

    /// The last of these and of `other`.
    pub fn last(&self, other: Option<Second>) -> Option<Second> {
        if self.is_empty() { other } else { Some(other.map_or(self.last, |other| other.max(self.last))) }
    }
}

/// Times of messages.
#[derive(Default)]
pub struct Times {
    live: SortedBag<Second>,
    sealed: Span,
}

impl Times {
    /// Asks for the memory of the first and last.
    #[inline]
    pub fn fetch(&self) {
        self.live.fetch();
    }

    /// A live message comes (1) or goes (-1).
    pub fn change(&mut self, at: Second, live: i64) {
        self.live.change(at, live);
    }

    /// A live message is sealed.
    pub fn seal(&mut self, at: Second) {
        self.live.change(at, -1);
        self.sealed.widen(at);
    }

    /// What sealed messages left before a restart.
    pub fn restore(&mut self, first: Option<i64>, last: Option<i64>) {
        self.sealed.widen_to(first, last);
    }

    pub fn first(&self) -> Option<Second> {
        self.sealed.first(self.live.first())
    }

    pub fn last(&self) -> Option<Second> {
        self.sealed.last(self.live.last())
    }

    /// Times that are held one by one.
    pub fn held(&self) -> usize {
        self.live.len()
    }
}
