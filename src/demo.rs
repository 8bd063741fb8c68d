//! `eddy demo`: everything in one process, with what it shows checked against what was generated.

pub mod truth;
