//! Replays by the real binary: real dumps against the oracle, bad input, and what a person sees.

pub mod archives;
mod bad_files;
pub mod bad_records;
mod command_line;
mod data;
pub mod durable;
mod endings;
mod interrupts;
mod outputs;
mod progress;
mod reddit;
pub mod run;
mod telegram;
