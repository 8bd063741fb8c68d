//! How eddy runs: sources, log, engine, store, sinks, serving.

pub mod bench;
pub mod bot;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod demo;
pub mod engine;
pub mod files;
pub mod journal;
pub mod live;
pub mod log;
pub mod messenger;
pub mod progress;
pub mod record;
pub mod replay;
pub mod run;
pub mod serve;
pub mod show;
pub mod sink;
pub mod source;
pub mod spool;
pub mod store;
pub mod telemetry;
pub mod texts;
pub mod work;
