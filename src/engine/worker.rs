//! One timely worker: its dataflow, and the loop that steps it.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::Sender;
use eddy_dataflows::batch::{Batch, Batches, map, route};
use eddy_dataflows::calendar::Second;
use eddy_dataflows::fold::fold_with;
use eddy_dataflows::views::{self, Definition};
use eddy_dataflows::{Inputs, Keep, Outputs, Sums};
use eddy_schemas::parse::known::Known;
use eddy_schemas::{Version, stored};
use parking_lot::Mutex;
use timely::WorkerConfig;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{AllocatorBuilder, Hooks};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::Handle;
use timely::scheduling::SyncActivator;
use timely::worker::Worker;

use super::batch::DUMPS;
use super::durable::{Durable, Mark};
use super::ingest::{Ended, Ingest};
use super::parse::{self, Parser};
use super::watermark::{self, Report, Time};
use super::{Counts, Error, Frontiers, Output, Peers};
use crate::queue::{self, RecvError};
use crate::texts::Texts;

/// Something for a worker.
pub enum Feed {
    /// Every tick below `tick` has ended, and here is a batch of that one.
    Batch { tick: u64, batch: super::Batch },
    /// `tick` has ended. For the first worker: what it was made from, and what decides its time.
    End { tick: u64, binding: String, time: Option<Time> },
}

/// Versions of a frame that are handed on at once.
const VERSIONS_AT_ONCE: usize = 1 << 10;

/// The driver's end of a worker's queue. Dropping it hangs up.
pub struct Feeder {
    pub worker: usize,
    feed: Option<queue::Sender<Feed>>,
    activator: SyncActivator,
}

impl Feeder {
    pub fn new(worker: usize, feed: queue::Sender<Feed>, activator: SyncActivator) -> Self {
        Feeder { worker, feed: Some(feed), activator }
    }

    pub fn send(&mut self, feed: Feed) -> Result<(), Error> {
        let queue = self.feed.as_mut().expect("taken in drop only");
        queue.send(feed).map_err(|_| Error::Worker(format!("worker {} has ended", self.worker)))?;
        self.wake();
        Ok(())
    }

    fn wake(&self) {
        // An error means that the worker has ended; the next send says so.
        let _ = self.activator.activate();
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        // First the queue, then the call: a parked worker must wake to find it closed.
        self.feed = None;
        self.wake();
    }
}

/// What every worker is built from.
#[derive(Clone)]
pub struct Plan {
    /// Of this process.
    pub workers: usize,
    pub views: Vec<&'static Definition>,
    pub inputs: Arc<parse::Inputs>,
    pub texts: Arc<dyn Texts>,
    pub outputs: Sender<Output>,
    pub counts: Arc<Counts>,
    pub frontiers: Arc<Frontiers>,
    pub durable: Option<Arc<Durable>>,
    pub keep: Keep,
    pub ready: Sender<(usize, SyncActivator)>,
}

/// Starts a worker thread for each receiver.
pub fn spawn(
    plan: Plan,
    receivers: Vec<queue::Receiver<Feed>>,
    peers: Option<Peers>,
) -> Result<timely::communication::WorkerGuards<()>, String> {
    let threads = receivers.len();
    // Each worker takes its own.
    let feeds: Vec<_> = receivers.into_iter().map(|feed| Mutex::new(Some(feed))).collect();
    let Some(Peers { process, sockets }) = peers else {
        let config = timely::Config::process(threads);
        return timely::execute(config, move |worker| run(worker, &plan, 0, &feeds));
    };
    let hooks = Hooks::default();
    let here = ProcessBuilder::new_typed_vector(threads, hooks.refill.clone(), None);
    let (builders, guard) = initialize_networking_from_sockets(here, sockets, process, threads, hooks)
        .map_err(|e| format!("the processes' connections: {e}"))?;
    let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
    let first = process * threads;
    timely::execute::execute_from(builders, Box::new(guard), WorkerConfig::default(), move |worker| run(worker, &plan, first, &feeds))
}

/// `first`: the number, among the workers of all processes, of this process's first.
fn run(worker: &mut Worker, plan: &Plan, first: usize, feeds: &[Mutex<Option<queue::Receiver<Feed>>>]) {
    let index = worker.index() - first;
    let feed = feeds[index].lock().take().expect("a worker is built once");
    let mut watched = build(worker, plan, index, feed);
    loop {
        let running = worker.step_or_park(None);
        watched.look();
        if !running {
            return;
        }
    }
}

/// A worker's dataflow, from outside.
pub struct Watched {
    index: usize,
    probe: Handle<u64>,
    outputs: Sender<Output>,
    frontiers: Arc<Frontiers>,
    /// What was said last.
    closed: Option<Option<u64>>,
    /// What is said of sealed messages, where that is kept.
    sums: Option<(Rc<Sums>, Arc<Durable>)>,
    /// It cannot be written just now.
    waits: bool,
}

impl Watched {
    /// Says how far it has come, if it has.
    pub fn look(&mut self) {
        let frontier = self.probe.with_frontier(|frontier| frontier.first().copied());
        if self.closed != Some(frontier) {
            self.closed = Some(frontier);
            self.hand(frontier);
            // Nobody reads outputs any more: the process is ending, and so is this worker.
            let _ = self.outputs.send(Output::Closed { worker: self.index, frontier });
            self.frontiers.closed(self.index, frontier);
        }
    }

    /// Hands over what was said of sealed messages in ticks that have closed.
    fn hand(&mut self, frontier: Option<u64>) {
        let Some((sums, durable)) = &self.sums else { return };
        let book = durable.book().expect("it is where this came from");
        let handed = book.hand(self.index, frontier, sums.take(frontier));
        let waited = std::mem::replace(&mut self.waits, handed.is_err());
        if let Err(e) = handed
            && !waited
        {
            // Until it can be written there is no snapshot, and every frame stays.
            tracing::warn!(error = %e, "sealed sums wait for room");
        }
    }
}

/// Builds a worker's dataflow; `index`: among the workers of this process.
pub fn build(worker: &mut Worker, plan: &Plan, index: usize, feed: queue::Receiver<Feed>) -> Watched {
    let sums = plan.durable.as_ref().and_then(|durable| sums(durable, worker.index(), worker.peers(), plan.workers));
    // Nobody reads outputs any more: the process is ending, and so is this worker.
    let send = |outputs: &Sender<Output>, output| drop(outputs.send(output));
    let probe = worker.dataflow::<u64, _, _>(|scope| {
        let (versions, marks) = parsed(scope, plan, index, feed);
        let report = |mark: &Mark| Report { greatest: mark.greatest.clone(), time: mark.time.clone() };
        let moments = watermark::moments(map(marks.clone(), report), plan.keep.messages_s, scope.peers());
        let (texts, counts) = (Arc::clone(&plan.texts), Arc::clone(&plan.counts));
        let ingest = match &plan.durable {
            None => Ingest::new(texts, counts),
            Some(durable) => Ingest::durable(texts, counts, Arc::clone(durable), scope.index(), scope.peers()),
        };
        let ingest = if plan.keep.messages_s.is_some() { ingest.sealing() } else { ingest };
        let ended = map(marks, |mark| Ended::Mark(mark.clone())).concat(map(moments.clone(), |moment| Ended::At(*moment)));
        let winners = fold_with(route(versions, "ByMessage", |version: &Version| version.id.route()), ended, "Ingest", ingest);
        let outputs = plan.outputs.clone();
        let mut rows = Outputs::new(Rc::new(move |tick, changes| send(&outputs, Output::Changes { tick, changes })));
        let inputs = Inputs::new(scope, winners.clone(), moments).keeping(plan.keep).summing(sums.clone());
        views::build(&plan.views, &inputs, &mut rows);
        rows.watch(winners);
        rows.probe
    });
    let sums = sums.zip(plan.durable.clone());
    Watched { index, probe, outputs: plan.outputs.clone(), frontiers: Arc::clone(&plan.frontiers), closed: None, sums, waits: false }
}

/// What a worker's operators are restored from, and say to, where messages are sealed.
fn sums(durable: &Durable, worker: usize, workers: usize, here: usize) -> Option<Rc<Sums>> {
    let sums = durable.book()?.worker(worker, workers, here);
    // It ends the recovery.
    sums.map_err(|e| durable.fail(e)).ok()
}

/// The source: parses what the driver sends, one batch a turn, so that the rest of the dataflow keeps pace; and says when a tick has ended.
fn parsed<'scope>(
    scope: Scope<'scope, u64>,
    plan: &Plan,
    index: usize,
    mut feed: queue::Receiver<Feed>,
) -> (Batches<'scope, Version>, Batches<'scope, Mark>) {
    let mut builder = OperatorBuilder::new("Parse".to_owned(), scope);
    let (versions, versions_stream) = builder.new_output();
    let (marks, marks_stream) = builder.new_output();
    let mut versions = OutputBuilder::<_, CapacityContainerBuilder<Batch<Version>>>::from(versions);
    let mut marks = OutputBuilder::<_, CapacityContainerBuilder<Batch<Mark>>>::from(marks);
    let address = builder.operator_info().address;
    let sync = scope.worker().sync_activator_for(address.to_vec());
    plan.ready.send((index, sync)).expect("the driver waits for every worker");
    let again = scope.activator_for(address);
    let mut source = Source::new(plan, index);
    builder.build(move |capabilities| {
        let mut open = Some(capabilities);
        move |_frontiers| {
            let Some([of_versions, of_marks]) = open.as_deref_mut() else { return };
            if let Some(batch) = source.rest() {
                versions.activate().session(of_versions).give_container(&mut Batch::new(batch));
                again.activate();
                return;
            }
            match feed.try_recv() {
                Ok(Feed::Batch { tick, batch }) => {
                    of_versions.downgrade(&tick);
                    of_marks.downgrade(&tick);
                    let batch = source.read(tick, batch);
                    if !batch.is_empty() {
                        versions.activate().session(of_versions).give_container(&mut Batch::new(batch));
                    }
                }
                Ok(Feed::End { tick, binding, time }) => {
                    // The next tick has no number yet: this is the least that it can have.
                    let next = tick + 1;
                    of_versions.downgrade(&next);
                    of_marks.downgrade(&tick);
                    marks.activate().session(of_marks).give_container(&mut Batch::new(vec![source.end(binding, time)]));
                    of_marks.downgrade(&next);
                }
                Err(RecvError::Empty) => return,
                Err(RecvError::Disconnected) => {
                    open = None;
                    return;
                }
            }
            again.activate();
        }
    });
    (versions_stream, marks_stream)
}

/// What a worker makes of what it is sent.
struct Source {
    parser: Parser,
    counts: Arc<Counts>,
    outputs: Sender<Output>,
    durable: Option<Arc<Durable>>,
    mark: Mark,
    known: Known,
    /// What is left of a frame.
    frame: Option<(Bytes, usize)>,
    /// It said what was read.
    is_noted: bool,
}

impl Source {
    fn new(plan: &Plan, worker: usize) -> Self {
        Source {
            parser: Parser::new(Arc::clone(&plan.inputs), worker),
            counts: Arc::clone(&plan.counts),
            outputs: plan.outputs.clone(),
            durable: plan.durable.clone(),
            mark: Mark::default(),
            known: if plan.durable.is_some() { Known::new() } else { Known::default() },
            frame: None,
            is_noted: false,
        }
    }

    /// The versions of a batch, or the first of them.
    fn read(&mut self, tick: u64, batch: super::Batch) -> Vec<Version> {
        let raw = match batch {
            super::Batch::Raw(raw) => raw,
            super::Batch::Frame { versions, greatest } => {
                self.is_noted = greatest.is_some();
                greatest.into_iter().flatten().for_each(|(partition, at)| self.note(partition, at));
                self.frame = Some((versions, 0));
                return self.rest().unwrap_or_default();
            }
        };
        let (mut versions, partition) = (Vec::with_capacity(raw.records_about()), raw.partition());
        let done = self.parser.batch(raw, |version| versions.push(version));
        self.note_all(partition, &versions);
        self.counts.add(&done.tally);
        if self.durable.is_some() {
            self.mark.tally.add(&done.tally);
            self.mark.letters.extend_from_slice(&done.letters);
        }
        for letter in done.letters {
            // Nobody reads outputs any more: the process is ending, and so is this worker.
            let _ = self.outputs.send(Output::Dead { tick, letter });
        }
        versions
    }

    /// The next versions of a frame that is not at its end.
    fn rest(&mut self) -> Option<Vec<Version>> {
        let (rows, at) = self.frame.take()?;
        let mut versions = Vec::with_capacity(VERSIONS_AT_ONCE);
        let mut reader = stored::Reader::new(&rows[at..]);
        while versions.len() < VERSIONS_AT_ONCE && !reader.is_empty() {
            match reader.version(&mut self.known) {
                Ok(version) => versions.push(version),
                Err(malformed) => {
                    let durable = self.durable.as_ref().expect("frames come from a durable state");
                    durable.malformed(malformed);
                    return None;
                }
            }
        }
        if !self.is_noted {
            self.note_all(DUMPS, &versions);
        }
        let at = rows.len() - reader.left();
        self.frame = (at < rows.len()).then_some((rows, at));
        (!versions.is_empty()).then_some(versions)
    }

    fn end(&mut self, binding: String, time: Option<Time>) -> Mark {
        Mark { binding, time, ..std::mem::take(&mut self.mark) }
    }

    fn note_all(&mut self, partition: u32, versions: &[Version]) {
        if let Some(at) = versions.iter().filter_map(|version| version.created_at).max() {
            self.note(partition, Second::new(at));
        }
    }

    fn note(&mut self, partition: u32, at: Second) {
        let greatest = self.mark.greatest.entry(partition).or_insert(at);
        *greatest = at.max(*greatest);
    }
}
