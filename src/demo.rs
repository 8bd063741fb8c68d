//! `eddy demo`: everything in one process, with what it shows checked against what was generated.

#[cfg(test)]
pub mod double;
pub mod truth;
