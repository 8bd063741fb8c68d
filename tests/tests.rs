//! Everything that is tested from outside, in one binary: linking is what costs here.

#![allow(clippy::print_stdout, reason = "cargo shows it where a test fails, and --nocapture always")]

mod bench;
mod cluster;
mod demo;
mod forget;
mod generate;
mod harness;
mod oracle;
mod proof;
mod random;
mod rebuild;
mod replays;
mod sealed;
mod show;
mod simulation;
mod torture;
mod truth;
