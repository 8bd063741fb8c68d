//! What operators keep of sealed messages, said so that it outlives the process, and given back to them after a restart.
//!
//! ```text
//!   operator --Teller::say, at the tick that seals--> Sums: [ tick: facts ]* --the tick has closed--> whoever keeps them
//!   operator <--Teller::restore, when it is built---- Sums: facts by kind    <--a snapshot-----------
//! ```
//!
//! Where nobody keeps them (no durable state, or nothing is ever sealed) a teller is off: then nothing is said, at the cost of a look.
//!
//! # Invariants
//! 1. The facts of a key, merged in the order of their ticks, restore what its operator keeps of sealed messages at the end of the last of them.
//! 2. What other operators say of sealed messages is no fact here: it follows when they are restored. (So a restored operator says all rows
//!    and transitions of its keys again, in the tick [`Sums::restored`] is told.)

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use eddy_schemas::parse::known::Known;
use eddy_schemas::stored::Malformed;
use eddy_schemas::sums::{self, Cells, Kind, Writer};

/// The facts of one worker.
#[derive(Default)]
pub struct Sums {
    /// By tick.
    said: RefCell<BTreeMap<u64, Vec<u8>>>,
    restored: RefCell<BTreeMap<Kind, Vec<u8>>>,
    /// The tick that what is restored is said in, and the last one of those that bring back messages.
    ticks: (u64, u64),
}

impl Sums {
    /// `facts`: what a snapshot has for this worker, checked; each key once. Its messages come back from the first of these ticks to the last.
    pub fn restored(facts: BTreeMap<Kind, Vec<u8>>, ticks: (u64, u64)) -> Sums {
        Sums { restored: RefCell::new(facts), ticks, ..Sums::default() }
    }

    /// Takes what was said in ticks below `frontier`; none: in all.
    pub fn take(&self, frontier: Option<u64>) -> BTreeMap<u64, Vec<u8>> {
        let mut said = self.said.borrow_mut();
        let later = frontier.map_or_else(BTreeMap::new, |frontier| said.split_off(&frontier));
        std::mem::replace(&mut *said, later)
    }
}

/// An operator's end. The default is off.
#[derive(Default)]
pub struct Teller {
    sums: Option<Rc<Sums>>,
    /// In the open tick.
    said: Vec<u8>,
    has_restored: bool,
}

impl Teller {
    pub fn new(sums: Option<Rc<Sums>>) -> Teller {
        Teller { sums, ..Teller::default() }
    }

    #[inline]
    pub fn is_on(&self) -> bool {
        self.sums.is_some()
    }

    /// Says a fact, if anybody keeps it.
    pub fn say(
        &mut self,
        kind: Kind,
        key: impl for<'a> FnOnce(Writer<'a>) -> Writer<'a>,
        value: impl for<'a> FnOnce(Writer<'a>) -> Writer<'a>,
    ) {
        if self.is_on() {
            sums::say(kind, key, value, &mut self.said);
        }
    }

    /// Gives each fact of a kind, with its key and value.
    pub fn restore(&mut self, kind: Kind, mut each: impl FnMut(&mut Cells, &mut Cells) -> Result<(), Malformed>) {
        let Some(facts) = self.sums.as_ref().and_then(|sums| sums.restored.borrow_mut().remove(&kind)) else { return };
        let (mut known, mut known_in_value, mut rest) = (Known::default(), Known::default(), facts.as_slice());
        while !rest.is_empty() {
            let (fact, after) = sums::split(rest).expect("checked when it was read");
            let (mut key, mut value) = (Cells::new(fact.key, &mut known), Cells::new(fact.value, &mut known_in_value));
            each(&mut key, &mut value).expect("checked when it was read");
            rest = after;
            self.has_restored = true;
        }
    }

    /// The tick in which what was restored is to be said, if anything was.
    pub(crate) fn restored_in(&self) -> Option<u64> {
        self.sums.as_ref().filter(|_| self.has_restored).map(|sums| sums.ticks.0)
    }

    /// A tick brings back messages of a snapshot, as they were.
    pub(crate) fn is_restoring(&self, tick: u64) -> bool {
        self.sums.as_ref().is_some_and(|sums| tick <= sums.ticks.1)
    }

    /// The tick has closed.
    pub(crate) fn close(&mut self, tick: u64) {
        if let Some(sums) = self.sums.as_ref().filter(|_| !self.said.is_empty()) {
            sums.said.borrow_mut().entry(tick).or_default().append(&mut self.said);
            self.said.shrink_to(SAID_BYTES_KEPT);
        }
    }
}

/// Room that is kept from tick to tick.
const SAID_BYTES_KEPT: usize = 1 << 20;
