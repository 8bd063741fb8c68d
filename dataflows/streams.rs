//! Collections that several views share.

pub mod answers;
pub mod depth;
pub mod distinct;
pub mod latest;
pub mod poster_days;
pub mod posts;
