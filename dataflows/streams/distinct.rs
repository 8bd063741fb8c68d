//! Distinct pairs of live messages, such as (user, conversation): when one comes into being and when it ends.
//!
//! A pair that a sealed message has is there for ever.
//!
//! A distinct count is a sum of these transitions, so whoever counts pays per transition and not per message.

use std::hash::Hash;

use eddy_schemas::stored::Malformed;
use eddy_schemas::sums::{Cells, Kind, Writer};
use eddy_schemas::{MessageId, Name, Version};

use crate::batch::Batches;
use crate::fold::{Fold, Nothing, fold};
use crate::groups::{Group, Groups};
use crate::inputs::{Update, Updates};
use crate::sums::Teller;

/// The pair (left, right) came to have a live message (+1) or lost its last one (-1).
#[derive(Clone, Copy, Debug)]
pub struct Transition<A, B> {
    pub left: A,
    pub right: B,
    pub diff: i8,
}

/// What a pair is made of.
pub trait Part: Copy + Eq + Hash + 'static {
    fn write(self, key: Writer<'_>) -> Writer<'_>;
    fn read(key: &mut Cells) -> Result<Self, Malformed>;
}

impl Part for Name {
    fn write(self, key: Writer<'_>) -> Writer<'_> {
        key.name(self)
    }

    fn read(key: &mut Cells) -> Result<Self, Malformed> {
        key.name()
    }
}

impl Part for MessageId {
    fn write(self, key: Writer<'_>) -> Writer<'_> {
        key.id(self)
    }

    fn read(key: &mut Cells) -> Result<Self, Malformed> {
        key.id()
    }
}

/// Live messages of a pair, and whether it was said that a sealed one is among them.
#[derive(Default)]
struct Count(u32);

const SAID: u32 = 1 << 31;

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
    kind: Kind,
    sums: Teller,
}

impl<A: Part, B: Part> Distinct<A, B> {
    fn new(kind: Kind, sums: Teller, pair: fn(&Version) -> Option<(A, B)>) -> Self {
        let mut state = Distinct { pair, pairs: Groups::default(), kind, sums };
        state.sums.restore(kind, |key, _| {
            // One message stands for all that were sealed.
            state.pairs.touch((A::read(key)?, B::read(key)?)).0 = SAID | 1;
            Ok(())
        });
        state
    }
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
            if update.is_sealed() && self.sums.is_on() && *count & SAID == 0 {
                *count |= SAID;
                self.sums.say(self.kind, |key| pair.1.write(pair.0.write(key)), |value| value);
            }
        }
    }

    fn close(&mut self, out: &mut Vec<Self::Out>) {
        self.pairs.close(|(left, right), _old, new| {
            out.push(Transition { left, right, diff: if new.is_some() { 1 } else { -1 } });
        });
    }

    fn sums(&mut self) -> Option<&mut Teller> {
        Some(&mut self.sums)
    }
}

/// The distinct pairs of live messages. All versions of a pair must meet on one worker; there its transitions are said.
pub fn distinct<'scope, A: Part, B: Part>(
    versions: Updates<'scope>,
    kind: Kind,
    sums: Teller,
    pair: fn(&Version) -> Option<(A, B)>,
) -> Batches<'scope, Transition<A, B>> {
    fold(versions, &format!("{kind:?}"), Distinct::new(kind, sums, pair))
}
