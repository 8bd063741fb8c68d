//! Several real processes: they give what one gives, and when one of them is lost all leave.
//!
//! Run one history again: `EDDY_SEED=<seed> cargo test --test tests cluster`. More: `EDDY_RUNS=50`.

pub mod durable;
pub mod fence;
mod losses;
mod mirrored;
mod moto;
pub mod party;
mod refusals;
mod same;
mod sealed;
pub mod shared;
