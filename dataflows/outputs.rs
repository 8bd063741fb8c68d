//! Where rows leave the dataflow: per view and tick, encoded, once the tick has closed.

use std::collections::BTreeMap;
use std::rc::Rc;

use eddy_schemas::{Changes, Row};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::probe::{Handle, Probe};

use crate::batch::{Batch, Batches};

/// A key's row as it is after a tick that changed it; `None`: gone.
#[derive(Clone)]
pub struct RowChange<R: Row> {
    pub key: R::Key,
    pub row: Option<R>,
}

/// Receives the changes that one worker makes to one view in one tick; ticks of a view come in order.
pub type Sink = Rc<dyn Fn(u64, Changes)>;

/// The outputs of all views on one worker.
pub struct Outputs {
    sink: Sink,
    /// Passes a tick when every view of this worker has handed it over.
    pub probe: Handle<u64>,
}

impl Outputs {
    pub fn new(sink: Sink) -> Self {
        Outputs { sink, probe: Handle::new() }
    }

    /// Hands a view's rows to the sink, tick by tick.
    pub fn rows<'scope, R: Row>(&mut self, rows: Batches<'scope, RowChange<R>>) {
        let sink = Rc::clone(&self.sink);
        let done = rows.unary_frontier::<CapacityContainerBuilder<Batch<()>>, _, _, _>(Pipeline, R::VIEW.name, |_initial, _info| {
            let mut open: BTreeMap<u64, (Capability<u64>, Changes)> = BTreeMap::new();
            let mut scratch = vec![];
            move |(input, frontier), _output| {
                input.for_each(|capability, rows| {
                    let tick = *capability.least().expect("a message has a time");
                    let (_, changes) = open.entry(tick).or_insert_with(|| (capability.delayed(&tick, 0), Changes::new(R::VIEW)));
                    for change in rows.iter() {
                        changes.push(&change.key, change.row.as_ref(), &mut scratch);
                    }
                });
                while let Some(first) = open.first_entry().filter(|first| !frontier.less_equal(first.key())) {
                    let (tick, (_capability, changes)) = first.remove_entry();
                    sink(tick, changes);
                }
            }
        });
        done.probe_with(&self.probe);
    }

    /// Holds the probe back until a stream that has no view has passed a tick, too.
    pub fn watch<D: 'static>(&mut self, stream: Batches<'_, D>) {
        stream.probe_with(&self.probe);
    }
}
