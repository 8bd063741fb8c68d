//! The operator under every view: folds updates into state at once, and says once a tick what follows from it.
//!
//! ```text
//!   main  --> [ stash of later ticks | state of the open tick ] --close(tick)--> what changed
//!   aside -->
//! ```
//!
//! It costs what a hand-written loop over a hash map costs: updates of the open tick are applied as they come, without being
//! collected first. Both inputs bring a key's updates to the worker that has its state: whoever builds them routes them.
//!
//! # Invariants
//! 1. State never mixes ticks: an update of a later tick waits in the stash until every earlier tick has closed on both inputs.
//! 2. `close` runs once for a tick that touched the state, after its last update, with the capability of just that tick.
//! 3. A restored state is touched: it has a tick of its own, whose other updates come after it.
//! 4. Updates of one message are applied in the order in which they were sent (channels are first in, first out).

use std::collections::BTreeMap;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::frontier::MutableAntichain;

use crate::batch::{Batch, Batches};
use crate::sums::Teller;

/// State that updates are folded into.
pub trait Fold: 'static {
    /// Updates of the main input.
    type Main: 'static;
    /// Updates of the other input; `()` where there is none.
    type Aside: 'static;
    /// What is said when a tick closes.
    type Out: 'static;

    /// A tick begins, before any update of it.
    fn opening(&mut self, _tick: u64) {}
    /// Asks for the memory that `main` will want, ahead of it; called for some updates with step 0, then with step 1 and 2.
    /// Later steps follow what earlier ones have brought: an index, then the slot it names.
    fn fetch(&self, _update: &Self::Main, _step: usize) {}
    fn main(&mut self, update: &Self::Main);
    /// As `fetch`, for `aside`.
    fn fetch_aside(&self, _update: &Self::Aside, _step: usize) {}
    fn aside(&mut self, _update: &Self::Aside) {}
    /// Says what need not wait for the end of the tick; called after each batch of updates.
    fn at_once(&mut self, _out: &mut Vec<Self::Out>) {}
    /// The tick is complete and is held open until this returns.
    fn closing(&mut self, _tick: u64) {}
    /// The tick is complete: says what changed and forgets that it was touched.
    fn close(&mut self, out: &mut Vec<Self::Out>);
    /// Where it says what it keeps of sealed messages; it has been restored by then.
    fn sums(&mut self) -> Option<&mut Teller> {
        None
    }
}

/// Marks a fold without a second input.
pub type Nothing = ();

/// Folds one stream.
pub fn fold<'scope, F: Fold<Aside = Nothing>>(main: Batches<'scope, F::Main>, name: &str, state: F) -> Batches<'scope, F::Out> {
    build(main, None, name, state)
}

/// Folds two streams.
pub fn fold_with<'scope, F: Fold>(
    main: Batches<'scope, F::Main>,
    aside: Batches<'scope, F::Aside>,
    name: &str,
    state: F,
) -> Batches<'scope, F::Out> {
    build(main, Some(aside), name, state)
}

/// Updates whose memory is asked for together: enough for their misses to overlap, few enough to stay in cache.
const FETCHED: usize = 32;
/// Steps of `Fold::fetch`.
const FETCH_STEPS: usize = 3;

/// Applies updates in order, some at a time, so that they wait for memory together.
fn apply<F: Fold>(state: &mut F, updates: &[F::Main]) {
    for updates in updates.chunks(FETCHED) {
        for step in 0..FETCH_STEPS {
            updates.iter().for_each(|update| state.fetch(update, step));
        }
        updates.iter().for_each(|update| state.main(update));
    }
}

fn apply_aside<F: Fold>(state: &mut F, updates: &[F::Aside]) {
    for updates in updates.chunks(FETCHED) {
        for step in 0..FETCH_STEPS {
            updates.iter().for_each(|update| state.fetch_aside(update, step));
        }
        updates.iter().for_each(|update| state.aside(update));
    }
}

/// Updates of a tick that may not be applied yet.
struct Stash<F: Fold> {
    capability: Capability<u64>,
    main: Vec<Batch<F::Main>>,
    aside: Vec<Batch<F::Aside>>,
}

struct Operator<F: Fold> {
    state: F,
    open: Option<Capability<u64>>,
    stash: BTreeMap<u64, Stash<F>>,
}

impl<F: Fold> Operator<F> {
    /// Whether updates of `tick` may be applied: everything before it has closed.
    fn admits(&self, tick: u64, frontiers: &[MutableAntichain<u64>]) -> bool {
        let arrived = !frontiers.iter().any(|frontier| frontier.less_than(&tick));
        arrived && self.open.as_ref().map_or(self.stash.range(..=tick).next().is_none(), |open| *open.time() == tick)
    }

    fn open(&mut self, tick: u64, capability: impl FnOnce() -> Capability<u64>) {
        if self.open.is_none() {
            self.open = Some(capability());
            self.state.opening(tick);
        }
    }

    fn stash(&mut self, tick: u64, capability: impl FnOnce() -> Capability<u64>) -> &mut Stash<F> {
        self.stash.entry(tick).or_insert_with(|| Stash { capability: capability(), main: vec![], aside: vec![] })
    }

    /// Closes what is complete, and applies what waited for it.
    fn advance(&mut self, frontiers: &[MutableAntichain<u64>], mut give: impl FnMut(&Capability<u64>, &mut Vec<F::Out>)) {
        let mut out = vec![];
        loop {
            if let Some(open) = self.open.take_if(|open| !frontiers.iter().any(|frontier| frontier.less_equal(open.time()))) {
                self.state.closing(*open.time());
                self.state.close(&mut out);
                if let Some(teller) = self.state.sums() {
                    teller.close(*open.time());
                }
                give(&open, &mut out);
            }
            let Some(first) = self.stash.first_entry() else { return };
            if self.open.is_some() || frontiers.iter().any(|frontier| frontier.less_than(first.key())) {
                return;
            }
            let (tick, stash) = first.remove_entry();
            self.state.opening(tick);
            stash.main.iter().for_each(|updates| apply(&mut self.state, updates));
            stash.aside.iter().for_each(|updates| apply_aside(&mut self.state, updates));
            self.state.at_once(&mut out);
            give(&stash.capability, &mut out);
            self.open = Some(stash.capability);
        }
    }
}

fn build<'scope, F: Fold>(
    main: Batches<'scope, F::Main>,
    aside: Option<Batches<'scope, F::Aside>>,
    name: &str,
    state: F,
) -> Batches<'scope, F::Out> {
    let mut builder = OperatorBuilder::new(name.to_owned(), main.scope());
    let mut main = builder.new_input(main, Pipeline);
    let mut aside = aside.map(|aside| builder.new_input(aside, Pipeline));
    let (output, stream) = builder.new_output();
    let mut output = OutputBuilder::<_, CapacityContainerBuilder<Batch<F::Out>>>::from(output);
    let mut operator = Operator { state, open: None, stash: BTreeMap::new() };

    builder.build(move |mut initial| {
        let initial = initial.pop().expect("one output");
        if let Some(tick) = operator.state.sums().and_then(|teller| teller.restored_in()) {
            operator.stash(tick, || initial.delayed(&tick));
        }
        drop(initial);
        move |frontiers| {
            let mut output = output.activate();
            let mut give = |capability: &Capability<u64>, out: &mut Vec<F::Out>| {
                if !out.is_empty() {
                    output.session(capability).give_container(&mut Batch::new(std::mem::take(out)));
                }
            };
            let mut out = vec![];
            main.for_each(|capability, updates| {
                let tick = *capability.least().expect("a message has a time");
                if operator.admits(tick, frontiers) {
                    operator.open(tick, || capability.delayed(&tick, 0));
                    apply(&mut operator.state, updates);
                    operator.state.at_once(&mut out);
                    give(operator.open.as_ref().expect("just opened"), &mut out);
                } else {
                    operator.stash(tick, || capability.delayed(&tick, 0)).main.push(std::mem::take(updates));
                }
            });
            if let Some(aside) = &mut aside {
                aside.for_each(|capability, updates| {
                    let tick = *capability.least().expect("a message has a time");
                    if operator.admits(tick, frontiers) {
                        operator.open(tick, || capability.delayed(&tick, 0));
                        apply_aside(&mut operator.state, updates);
                    } else {
                        operator.stash(tick, || capability.delayed(&tick, 0)).aside.push(std::mem::take(updates));
                    }
                });
            }
            operator.advance(frontiers, give);
        }
    });
    stream
}
