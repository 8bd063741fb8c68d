//! How eddy runs: sources, log, engine, store, sinks, serving.

pub mod journal;
pub mod log;
pub mod store;
pub mod texts;
