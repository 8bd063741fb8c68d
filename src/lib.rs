//! How eddy runs: sources, log, engine, store, sinks, serving.

pub mod log;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod texts;
