//! What flows between operators: batches of updates that any number of readers share.
//!
//! ```text
//!   winners --+--route(user)---------> [ batch ] --+--> Users
//!             |                                    +--> UserHours        one copy of an update for all operators of a key,
//!             +--route(conversation)-> [ batch ] --+--> Depth            none where there is one worker
//!                                                  +--> Conversations
//! ```

use std::io::Write;
use std::ops::Deref;
use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::dataflow::operators::generic::Operator;
use timely::progress::Stamp;

/// Updates in order, immutable.
#[derive(Debug)]
pub struct Batch<T>(Arc<Vec<T>>);

/// Updates as they come.
pub type Batches<'scope, T> = Stream<'scope, u64, Batch<T>>;

impl<T> Batch<T> {
    pub fn new(updates: Vec<T>) -> Self {
        Batch(Arc::new(updates))
    }
}

impl<T> Deref for Batch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> Clone for Batch<T> {
    fn clone(&self) -> Self {
        Batch(Arc::clone(&self.0))
    }
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Batch::new(vec![])
    }
}

impl<T> timely::Accountable for Batch<T> {
    fn record_count(&self) -> i64 {
        self.0.record_count()
    }
}

/// As timely sends a `Vec` to another process.
impl<T: timely::ExchangeData> ContainerBytes for Batch<T> {
    fn from_bytes(bytes: timely::bytes::arc::Bytes) -> Self {
        Batch::new(Vec::from_bytes(bytes))
    }

    fn length_in_bytes(&self) -> usize {
        self.0.length_in_bytes()
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        self.0.into_bytes(writer);
    }
}

/// Brings each update to the worker that `to` names (modulo the workers). Updates that one worker sends to another keep their order.
pub fn route<'scope, T: timely::ExchangeData + Clone + Sync>(
    updates: Batches<'scope, T>,
    name: &str,
    to: impl Fn(&T) -> u64 + 'static,
) -> Batches<'scope, T> {
    let pact = DistributorPact(move |workers| Router { to, parts: (0..workers).map(|_| vec![]).collect() });
    updates.unary::<CapacityContainerBuilder<_>, _, _, _>(pact, name, |_capability, _info| {
        move |input, output| input.for_each(|capability, batch| output.session(&capability).give_container(batch))
    })
}

/// Each update by itself as something else.
pub fn map<'scope, T: 'static, U: 'static>(updates: Batches<'scope, T>, to: impl Fn(&T) -> U + 'static) -> Batches<'scope, U> {
    updates.unary::<CapacityContainerBuilder<_>, _, _, _>(Pipeline, "Map", |_capability, _info| {
        move |input, output| {
            input.for_each(|capability, batch| {
                output.session(&capability).give_container(&mut Batch::new(batch.iter().map(&to).collect()));
            });
        }
    })
}

/// Each update by itself as none, one or some others.
pub fn flat_map<'scope, T: 'static, U: 'static, I: IntoIterator<Item = U>>(
    updates: Batches<'scope, T>,
    to: impl Fn(&T) -> I + 'static,
) -> Batches<'scope, U> {
    updates.unary::<CapacityContainerBuilder<_>, _, _, _>(Pipeline, "FlatMap", |_capability, _info| {
        move |input, output| {
            input.for_each(|capability, batch| {
                let made: Vec<U> = batch.iter().flat_map(&to).collect();
                if !made.is_empty() {
                    output.session(&capability).give_container(&mut Batch::new(made));
                }
            });
        }
    })
}

/// Parts of what passes by, one for each worker.
struct Router<T, F> {
    to: F,
    parts: Vec<Vec<T>>,
}

impl<T: Clone, F: Fn(&T) -> u64> Distributor<Batch<T>> for Router<T, F> {
    fn partition<S: Clone, P: timely::communication::Push<Message<S, Batch<T>>>>(
        &mut self,
        batch: &mut Batch<T>,
        _stamp: &Stamp<S>,
        _workers: &mut [P],
    ) {
        let workers = self.parts.len();
        for update in batch.iter() {
            let part = &mut self.parts[((self.to)(update) % workers as u64) as usize];
            if part.capacity() == 0 {
                part.reserve(batch.len() / workers + batch.len() / 8);
            }
            part.push(update.clone());
        }
        *batch = Batch::default();
    }

    fn flush<S: Clone, P: timely::communication::Push<Message<S, Batch<T>>>>(&mut self, stamp: &Stamp<S>, workers: &mut [P]) {
        for (part, worker) in self.parts.iter_mut().zip(workers) {
            if !part.is_empty() {
                Message::push_at(&mut Batch::new(std::mem::take(part)), stamp.clone(), worker);
            }
        }
    }
}
