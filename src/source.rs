//! Sources: the world, written to the log as it comes.

pub mod synthetic;
