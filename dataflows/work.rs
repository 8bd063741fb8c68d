//! Counts what must not grow: groups and buckets looked at. In tests only, which compare counts rather than times.

use std::cell::Cell;

thread_local! {
    static DONE: Cell<u64> = const { Cell::new(0) };
}

pub fn add() {
    DONE.set(DONE.get() + 1);
}

/// What was counted on this thread since the last call.
pub fn take() -> u64 {
    DONE.take()
}
