//! One timely worker: its dataflow, and the loop that steps it.

use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use eddy_dataflows::batch::{Batch, Batches, route};
use eddy_dataflows::fold::fold;
use eddy_dataflows::views::{self, Definition};
use eddy_dataflows::{Inputs, Outputs};
use eddy_schemas::Version;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::Scope;
use timely::dataflow::operators::generic::operator::source;
use timely::scheduling::SyncActivator;
use timely::worker::Worker;

use super::ingest::Ingest;
use super::parse::{self, Parser};
use super::{Counts, Error, Frontiers, Output};
use crate::texts::Texts;

/// Something for a worker: every tick below `tick` has ended, and here may be a batch of that one.
pub struct Feed {
    pub tick: u64,
    pub batch: Option<super::Batch>,
}

/// The driver's end of a worker's queue. Dropping it hangs up.
pub struct Feeder {
    pub worker: usize,
    feed: Option<Sender<Feed>>,
    activator: SyncActivator,
}

impl Feeder {
    pub fn new(worker: usize, feed: Sender<Feed>, activator: SyncActivator) -> Self {
        Feeder { worker, feed: Some(feed), activator }
    }

    pub fn send(&self, feed: Feed) -> Result<(), Error> {
        let queue = self.feed.as_ref().expect("taken in drop only");
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
    pub views: Vec<&'static Definition>,
    pub inputs: Arc<parse::Inputs>,
    pub texts: Arc<dyn Texts>,
    pub outputs: Sender<Output>,
    pub counts: Arc<Counts>,
    pub frontiers: Arc<Frontiers>,
    pub first_tick: u64,
    pub ready: Sender<(usize, SyncActivator)>,
}

/// Starts a worker thread for each receiver.
pub fn spawn(plan: Plan, receivers: Vec<Receiver<Feed>>) -> Result<timely::communication::WorkerGuards<()>, String> {
    let config = timely::Config::process(receivers.len());
    timely::execute(config, move |worker| run(worker, &plan, &receivers[worker.index()]))
}

fn run(worker: &mut Worker, plan: &Plan, feeds: &Receiver<Feed>) {
    let index = worker.index();
    // Nobody reads outputs any more: the process is ending, and so is this worker.
    let send = |outputs: &Sender<Output>, output| drop(outputs.send(output));
    let probe = worker.dataflow::<u64, _, _>(|scope| {
        let versions = parsed(scope, plan, feeds.clone());
        let ingest = Ingest::new(Arc::clone(&plan.texts), Arc::clone(&plan.counts));
        let winners = fold(route(versions, "ByMessage", |version: &Version| version.id.route()), "Ingest", ingest);
        let outputs = plan.outputs.clone();
        let mut rows = Outputs::new(Rc::new(move |tick, changes| send(&outputs, Output::Changes { tick, changes })));
        views::build(&plan.views, &Inputs::new(scope, winners.clone()), &mut rows);
        rows.watch(winners);
        rows.probe
    });
    let mut closed = None;
    loop {
        let running = worker.step_or_park(None);
        let frontier = probe.with_frontier(|frontier| frontier.first().copied());
        if closed != Some(frontier) {
            closed = Some(frontier);
            send(&plan.outputs, Output::Closed { worker: index, frontier });
            plan.frontiers.closed(index, frontier);
        }
        if !running {
            return;
        }
    }
}

/// The source: parses what the driver sends, one batch a turn, so that the rest of the dataflow keeps pace.
fn parsed<'scope>(scope: Scope<'scope, u64>, plan: &Plan, feeds: Receiver<Feed>) -> Batches<'scope, Version> {
    let outputs = plan.outputs.clone();
    let dead = Box::new(move |letter| drop(outputs.send(Output::Dead(letter))));
    let mut parser = Parser::new(Arc::clone(&plan.inputs), scope.index(), Arc::clone(&plan.counts), dead);
    let (first_tick, ready) = (plan.first_tick, plan.ready.clone());
    source::<_, CapacityContainerBuilder<Batch<Version>>, _, _>(scope, "Parse", move |capability, info| {
        let sync = scope.worker().sync_activator_for(info.address.to_vec());
        ready.send((scope.index(), sync)).expect("the driver waits for every worker");
        let again = scope.activator_for(Rc::clone(&info.address));
        let mut capability = Some(capability);
        if let Some(capability) = &mut capability {
            capability.downgrade(&first_tick);
        }
        move |output| {
            let Some(open) = &mut capability else { return };
            match feeds.try_recv() {
                Ok(feed) => {
                    open.downgrade(&feed.tick);
                    if let Some(batch) = feed.batch {
                        let mut versions = Vec::with_capacity(batch.records_about());
                        parser.batch(batch, |version| versions.push(version));
                        if !versions.is_empty() {
                            output.session(open).give_container(&mut Batch::new(versions));
                        }
                    }
                    again.activate();
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => capability = None,
            }
        }
    })
}
