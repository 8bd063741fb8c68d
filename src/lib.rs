//! How eddy runs: sources, log, engine, store, sinks, serving.

pub mod bench;
pub mod cli;
pub mod clock;
pub mod engine;
pub mod log;
pub mod replay;
pub mod sink;
pub mod source;
pub mod spool;
pub mod store;
pub mod texts;
