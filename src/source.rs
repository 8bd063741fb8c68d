//! Sources: the world to the log.

pub mod dumps;
pub mod synthetic;
pub mod tail;
