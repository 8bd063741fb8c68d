//! How far the engine has come: which ticks every worker has closed.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Steps after which a tick that has not closed never will.
const STEPS_MAX: usize = 1 << 20;

struct State {
    /// The least tick that each worker may still say something of; `None`: it has ended.
    frontiers: Vec<Option<u64>>,
    /// Ticks that have ended and are not closed yet.
    open: VecDeque<u64>,
}

/// Shared by workers, driver and readers.
pub struct Frontiers {
    state: Mutex<State>,
    moved: Condvar,
    /// What who waits does meanwhile, where no thread does it.
    step: Option<fn() -> bool>,
}

impl Frontiers {
    pub fn new(workers: usize, step: Option<fn() -> bool>) -> Self {
        let state = State { frontiers: vec![Some(0); workers], open: VecDeque::new() };
        Frontiers { state: Mutex::new(state), moved: Condvar::new(), step }
    }

    /// Steps until it is so; nothing where threads step.
    fn step_until(&self, done: impl Fn(&State) -> bool) {
        let Some(step) = self.step else { return };
        for _ in 0..STEPS_MAX {
            if done(&self.state.lock()) {
                return;
            }
            step();
        }
        panic!("a tick does not close");
    }

    pub(super) fn opened(&self, tick: u64) {
        self.state.lock().open.push_back(tick);
        self.advance(|_| {});
    }

    /// A worker's frontier has moved.
    pub fn closed(&self, worker: usize, frontier: Option<u64>) {
        self.advance(|state| state.frontiers[worker] = frontier);
    }

    fn advance(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let frontier = state.frontier();
        while state.open.front().is_some_and(|tick| *tick < frontier) {
            state.open.pop_front();
        }
        drop(state);
        self.moved.notify_all();
    }

    /// Every tick below this is closed on all workers.
    pub fn frontier(&self) -> u64 {
        self.state.lock().frontier()
    }

    pub(super) fn wait_in_flight(&self, ticks_max: usize) {
        self.step_until(|state| state.open.len() <= ticks_max);
        let mut state = self.state.lock();
        while state.open.len() > ticks_max {
            self.moved.wait(&mut state);
        }
    }

    /// Waits until `tick` has closed everywhere; false where that takes longer than `timeout`.
    pub fn wait(&self, tick: u64, timeout: Duration) -> bool {
        self.step_until(|state| state.frontier() > tick);
        let until = std::time::Instant::now() + timeout;
        let mut state = self.state.lock();
        while state.frontier() <= tick {
            if self.moved.wait_until(&mut state, until).timed_out() {
                return state.frontier() > tick;
            }
        }
        true
    }
}

impl State {
    fn frontier(&self) -> u64 {
        self.frontiers.iter().map(|frontier| frontier.unwrap_or(u64::MAX)).min().unwrap_or(u64::MAX)
    }
}
