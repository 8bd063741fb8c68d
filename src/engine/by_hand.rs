//! Workers that are stepped by hand, all in one thread: the same dataflow, in an order that follows from a seed.
//!
//! ```text
//!   Engine::start --build--> this thread's workers        step(): one of them takes a step, by chance
//!   who waits for a tick -------------------------------> steps until it has closed
//! ```
//!
//! Timely's workers cannot leave their thread, and an engine can: so they belong to the thread, which has one engine at a time.

use std::cell::RefCell;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use timely::WorkerConfig;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::{Allocator, Hooks};
use timely::worker::Worker;

use super::worker::{self, Feed, Plan, Watched};
use crate::queue;

thread_local! {
    static HERE: RefCell<Option<Stepped>> = const { RefCell::new(None) };
}

struct Stepped {
    workers: Vec<(Worker, Watched)>,
    random: Xoshiro256PlusPlus,
}

/// The workers of an engine, wherever its thread is. Dropping it ends them where they stand.
pub struct Workers(());

/// Builds a worker for each receiver in this thread.
pub fn start(plan: &Plan, receivers: Vec<queue::Receiver<Feed>>, seed: u64) -> Workers {
    let build = |(at, (allocator, feed))| {
        let mut worker = Worker::new(WorkerConfig::default(), allocator, None);
        let index = worker.index();
        assert_eq!(index, at, "allocators come in order");
        let watched = worker::build(&mut worker, plan, index, feed);
        (worker, watched)
    };
    let workers = allocators(receivers.len()).into_iter().zip(receivers).enumerate().map(build).collect();
    let stepped = Stepped { workers, random: Xoshiro256PlusPlus::seed_from_u64(seed) };
    let before = HERE.with_borrow_mut(|here| here.replace(stepped));
    assert!(before.is_none(), "a thread has one engine that is stepped by hand");
    Workers(())
}

/// One worker takes a step; false where all have ended.
pub fn step() -> bool {
    HERE.with_borrow_mut(|here| {
        let Stepped { workers, random } = here.as_mut().expect("an engine that is stepped in this thread");
        if workers.is_empty() {
            return false;
        }
        let at = random.random_range(0..workers.len());
        let (worker, watched) = &mut workers[at];
        let running = worker.step();
        watched.look();
        if !running {
            workers.remove(at);
        }
        true
    })
}

impl Workers {
    /// Steps until all have ended.
    pub fn join(self) {
        while step() {}
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        HERE.with_borrow_mut(Option::take);
    }
}

/// Each is built where the others are built at the same time, since they wait for each other, and comes here.
fn allocators(workers: usize) -> Vec<Allocator> {
    struct Moved(Allocator);
    // SAFETY: an allocator may not leave its thread because of the `Rc`s in it. `build` makes them, all of them stand in the allocator
    // that it gives, and no other thread has seen any; the thread that made them ends before they are used.
    unsafe impl Send for Moved {}
    let builders = ProcessBuilder::new_typed_vector(workers, Hooks::default().refill, None);
    let build = |builder: ProcessBuilder| std::thread::spawn(move || Moved(Allocator::Process(builder.build())));
    let building: Vec<_> = builders.into_iter().map(build).collect();
    building.into_iter().map(|built| built.join().expect("building does not panic").0).collect()
}
