//! Depth a second time, as differential states it: `iterate` from the roots down. An oracle for [`Forest`](crate::forest::Forest), and how
//! the same view reads where nothing is tuned.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use differential_dataflow::VecCollection;
use differential_dataflow::input::InputSession;
use differential_dataflow::operators::Iterate;
use timely::dataflow::operators::probe::Handle;

use crate::forest::{Forest, Seat};

/// (conversation, message).
type Key = (u64, u64);
/// Parent, submission, live.
type Node = (Option<u64>, bool, bool);

/// The greatest depth of a live message in each conversation.
fn depths<'scope>(nodes: VecCollection<'scope, u64, (Key, Node), isize>) -> VecCollection<'scope, u64, (u64, u32), isize> {
    let held = nodes.clone().map(|(key, _)| key);
    let children = nodes.clone().flat_map(|((conversation, message), (parent, submission, _))| {
        parent.filter(|_| !submission).map(|parent| ((conversation, parent), message))
    });
    let roots = nodes.clone().flat_map(|(key, (parent, submission, _))| match (submission, parent) {
        (true, _) => Some((key, 0)),
        (false, None) => Some((key, 1)),
        (false, Some(_)) => None,
    });
    let orphans = children.clone().antijoin(held).map(|((conversation, _), message)| ((conversation, message), 1));
    let base = roots.concat(orphans);
    let all = base.clone().iterate(|scope, depths| {
        children
            .enter(scope)
            .join_map(depths, |(conversation, _), message, depth: &u32| ((*conversation, *message), depth + 1))
            .concat(base.enter(scope))
            .distinct()
    });
    let live = nodes.filter(|(_, (_, _, live))| *live).map(|(key, _)| key);
    all.semijoin(live)
        .map(|((conversation, _), depth)| (conversation, depth))
        .reduce(|_, depths, out| out.push((*depths.last().expect("a group has a row").0, 1)))
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        eddy_schemas::id::mix(self.0) % bound
    }

    fn seat(&mut self) -> Option<Seat> {
        let parent = (self.below(4) > 0).then(|| self.below(7));
        (self.below(6) > 0).then(|| Seat { parent, submission: self.below(8) == 0, live: self.below(4) > 0 })
    }
}

fn history(seed: u64) {
    let mut random = Random(seed);
    timely::execute_directly(move |worker| {
        let (mut input, probe) = (InputSession::<u64, (Key, Node), isize>::new(), Handle::new());
        let seen: Rc<RefCell<BTreeMap<(u64, u32), isize>>> = Rc::default();
        worker.dataflow(|scope| {
            let seen = Rc::clone(&seen);
            depths(input.to_collection(scope))
                .inspect(move |(row, _, diff)| *seen.borrow_mut().entry(*row).or_default() += *diff)
                .probe_with(&probe);
        });
        let (mut forest, mut seats) = (Forest::new(), BTreeMap::<Key, Seat>::new());
        for tick in 1..40 {
            for _ in 0..1 + random.below(3) {
                let (key, seat) = ((random.below(2), random.below(7)), random.seat());
                let node = |seat: Seat| (key, (seat.parent, seat.submission, seat.live));
                let old = match seat {
                    Some(seat) => seats.insert(key, seat),
                    None => seats.remove(&key),
                };
                old.into_iter().for_each(|seat| input.remove(node(seat)));
                seat.into_iter().for_each(|seat| input.insert(node(seat)));
                forest.set(key.0, key.1, seat);
            }
            input.advance_to(tick);
            input.flush();
            while probe.less_than(&tick) {
                worker.step();
            }
            let expected: BTreeMap<u64, u32> = seen.borrow().iter().filter(|(_, n)| **n > 0).map(|(row, _)| *row).collect();
            for conversation in 0..2 {
                let depth = forest.depth(conversation);
                assert_eq!(depth, expected.get(&conversation).copied(), "seed {seed}, tick {tick}, conversation {conversation}: {seats:?}");
            }
        }
    });
}

#[test]
fn the_forest_equals_iterate() {
    (0..60).for_each(history);
}
