//! How eddy runs: sources, log, engine, store, sinks, serving.

pub mod bot;
pub mod demo;
pub mod log;
pub mod messenger;
pub mod progress;
pub mod source;
pub mod store;
pub mod texts;
