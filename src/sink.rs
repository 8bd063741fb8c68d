//! Sinks: where changes of view rows go.

pub mod changelog;
pub mod list;
pub mod tables;
