//! The ledger: what has been appended, and not yet shown.
//!
//! ```text
//!   accept: [ lock: append to the log, note (partition, offset, fact) ]        drain(bound): facts of what has closed
//! ```
//!
//! # Invariants
//! 1. Noted and appended under one lock: whoever sees a bound that covers a record and then asks the ledger finds its fact.
//! 2. At most about [`PENDING_MAX`] facts wait: beyond that the source waits for the engine. (What people type is taken in any case.)

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::log::{self, Append, Log, Partition, Topic};
use crate::messenger::sandbox::{Inlet, Typed};
use crate::progress::Bound;
use crate::source::synthetic::fact::{self, ASKS, PLACED};
use crate::source::synthetic::pace::{Accept, by_topic};
use crate::source::synthetic::world::{NONE, SANDBOX, World};
use crate::source::synthetic::{Event, Fact};

/// Facts that wait, at most: 56 bytes each.
pub const PENDING_MAX: usize = 100_000;
/// Attempts of one append. Repeated records change nothing.
const ATTEMPTS: u32 = 5;

pub struct Ledger {
    log: Arc<dyn Log>,
    world: Arc<World>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<Partition, VecDeque<(u64, Fact)>>,
    count: usize,
    /// Names of the people of the sandbox.
    people: Vec<String>,
    /// Why the truth is not known any more.
    broken: Option<String>,
}

impl Ledger {
    pub fn new(log: Arc<dyn Log>, world: Arc<World>) -> Self {
        Ledger { log, world, state: Mutex::default() }
    }

    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    fn append(&self, state: &mut State, topic: Topic, records: &[Append], facts: &[Option<Fact>]) -> Result<(), log::Error> {
        if records.is_empty() {
            return Ok(());
        }
        let mut attempt = 1;
        let places = loop {
            match self.log.append(topic, records) {
                Ok(places) => break places,
                Err(_) if attempt < ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(5 << attempt));
                    attempt += 1;
                }
                Err(error) => {
                    // Some of the records may be in the log: what the views must show is not known any more.
                    state.broken = Some(error.to_string());
                    return Err(error);
                }
            }
        };
        for ((partition, offset), fact) in places.into_iter().zip(facts) {
            if let Some(fact) = fact {
                state.pending.entry(partition).or_default().push_back((offset, *fact));
                state.count += 1;
            }
        }
        Ok(())
    }

    /// Facts that wait.
    pub fn pending(&self) -> usize {
        self.state.lock().count
    }

    pub fn broken(&self) -> Option<String> {
        self.state.lock().broken.clone()
    }

    /// What a person of the sandbox is called.
    pub fn person(&self, user: u32) -> Option<String> {
        let at = user.checked_sub(2 * self.world.users)? as usize;
        self.state.lock().people.get(at).cloned()
    }

    /// Takes out facts that have closed, at most `max`.
    pub fn drain(&self, bound: &Bound, max: usize) -> Vec<Fact> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut closed = Vec::new();
        for (partition, waiting) in &mut state.pending {
            let end = bound.offset(*partition);
            while closed.len() < max && waiting.front().is_some_and(|(offset, _)| *offset < end) {
                closed.extend(waiting.pop_front().map(|(_, fact)| fact));
            }
            if waiting.capacity() > 4096 && waiting.len() < waiting.capacity() / 8 {
                waiting.shrink_to(1024);
            }
        }
        state.count -= closed.len();
        closed
    }

    fn typed(&self, typed: &Typed) -> Option<Fact> {
        let number = |id: i64| u32::try_from(id).ok().and_then(|id| SANDBOX.checked_add(id));
        let community = self.world.sandbox?;
        Some(Fact {
            message: number(typed.message_id)?,
            conversation: World::topic(community, 0),
            user: self.world.person(typed.user_id)?,
            parent: typed.reply_to.and_then(number).unwrap_or(NONE),
            created_at: u32::try_from(typed.date).ok()?,
            edited_at: 0,
            text_hash: fact::hash(&typed.text),
            characters: u16::try_from(typed.text.chars().count()).ok()?,
            score: 0,
            version: 0,
            community,
            flags: PLACED | if fact::asks(&typed.text) { ASKS } else { 0 },
        })
    }
}

impl Accept for Ledger {
    fn accept(&self, events: Vec<Event>, now_ms: i64) -> Result<(), log::Error> {
        let (records, facts) = by_topic(events, now_ms);
        let mut state = self.state.lock();
        for ((topic, records), facts) in records.iter().zip(&facts) {
            self.append(&mut state, *topic, records, facts)?;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.pending() >= PENDING_MAX
    }
}

impl Inlet for Arc<Ledger> {
    fn accept(&self, record: Append, typed: Option<&Typed>) -> Result<(), log::Error> {
        let fact = typed.and_then(|typed| self.typed(typed));
        let mut state = self.state.lock();
        if let (Some(fact), Some(typed)) = (&fact, typed) {
            let at = (fact.user - 2 * self.world.users) as usize;
            if state.people.len() <= at {
                state.people.resize(at + 1, String::new());
            }
            state.people[at].clone_from(&typed.name);
        }
        self.append(&mut state, Topic::Telegram, &[record], &[fact])
    }
}
