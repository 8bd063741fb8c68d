//! Sinks: where changes of view rows go.

pub mod tables;
