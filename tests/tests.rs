//! Everything that is tested from outside, in one binary: linking is what costs here.

mod bench;
mod generate;
mod harness;
mod oracle;
mod random;
mod replays;
mod show;
mod truth;
