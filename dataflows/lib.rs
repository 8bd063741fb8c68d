//! What eddy's numbers mean: pure functions from the collection of winning versions to the rows of each view.
//!
//! ```text
//!   versions (Update: version, +1 | -1) --+--> users ---------+
//!                                         +--> distinct --^   +--> Outputs: Changes per view and tick
//!                                         +--> depth -----v   |
//!                                         +--> conversations -+   ...
//! ```
//!
//! No dependency of this crate can do I/O or read a clock. A view is one file: its state, what an update does to it, and the
//! rows that follow. Time here is the tick, totally ordered; what is exact at every closed tick is exact for ever.

pub mod batch;
pub mod calendar;
pub mod fold;
pub mod forest;
pub mod groups;
pub mod index;
pub mod inputs;
pub mod map;
pub mod moving;
pub mod outputs;
#[cfg(test)]
mod sealed;
pub mod sorted;
pub mod streams;
pub mod sums;
pub mod times;
pub mod until;
pub mod views;
#[cfg(test)]
mod work;

pub use inputs::{Inputs, Keep, Moment, Update};
pub use outputs::Outputs;
pub use sums::Sums;
pub use views::{VIEWS, build};
