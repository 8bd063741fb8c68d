//! Distinct pairs of live messages, such as (user, conversation): when one comes into being and when it ends.
//!
//! A distinct count is a sum of these transitions, so whoever counts pays per transition and not per message.

use std::hash::Hash;

use eddy_schemas::Version;

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::{Update, Updates};

/// The pair (left, right) came to have a live message (+1) or lost its last one (-1).
#[derive(Clone, Copy, Debug)]
pub struct Transition<A, B> {
    pub left: A,
    pub right: B,
    pub diff: i8,
}

/// What a pair is made of.
pub trait Part: Copy + Eq + Hash + 'static {}

impl<P: Copy + Eq + Hash + 'static> Part for P {}

/// Live messages of a pair.
#[derive(Default)]
struct Count(u32);

impl<K> Group<K> for Count {
    type Row = ();
    fn row(&self, _: &K) -> Option<()> {
        (self.0 > 0).then_some(())
    }
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

struct Distinct<A: Part, B: Part> {
    pair: fn(&Version) -> Option<(A, B)>,
    pairs: Groups<(A, B), Count>,
}

impl<A: Part, B: Part> Fold for Distinct<A, B> {
    type Main = Update;
    type Aside = Nothing;
    type Out = Transition<A, B>;

    fn fetch(&self, update: &Update, step: usize) {
        let Some(pair) = (self.pair)(&update.version) else { return };
        self.pairs.fetch(&pair, step);
    }

    fn main(&mut self, update: &Update) {
        if let (true, Some(pair)) = (update.version.is_live(), (self.pair)(&update.version)) {
            let count = &mut self.pairs.touch(pair).0;
            *count = count.checked_add_signed(i32::from(update.diff)).expect("retractions follow assertions");
        }
    }

    fn close(&mut self, out: &mut Vec<Self::Out>) {
        self.pairs.close(|(left, right), _old, new| {
            out.push(Transition { left, right, diff: if new.is_some() { 1 } else { -1 } });
        });
    }
}

/// The distinct pairs of live messages. All versions of a pair must meet on one worker; there its transitions are said.
pub fn distinct<'scope, A: Part, B: Part>(
    versions: Updates<'scope>,
    name: &str,
    pair: fn(&Version) -> Option<(A, B)>,
) -> Batches<'scope, Transition<A, B>> {
    fold(versions, name, Distinct { pair, pairs: Groups::default() })
}
