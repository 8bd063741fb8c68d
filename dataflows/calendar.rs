//! Event time in the units that views use.

use serde::{Deserialize, Serialize};

/// Seconds of an hour, a day.
pub const HOUR_S: i64 = 3_600;
pub const DAY_S: i64 = 86_400;

pub fn hour(seconds: i64) -> i64 {
    seconds.div_euclid(HOUR_S)
}

pub fn day(seconds: i64) -> i64 {
    seconds.div_euclid(DAY_S)
}

/// A time in 32 bits, ordered: 1935 to 2071. Parsers refuse what lies outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Second(u32);

/// 1935-12-22.
const EPOCH: i64 = -(1 << 30);
/// Times that a [`Second`] can hold.
pub const SECONDS: std::ops::RangeInclusive<i64> = EPOCH..=EPOCH + u32::MAX as i64;

impl Second {
    pub const MIN: Second = Second(0);
    pub const MAX: Second = Second(u32::MAX);

    pub fn new(seconds: i64) -> Second {
        Second(u32::try_from(seconds - EPOCH).expect("parsers refuse times outside 1935 to 2071"))
    }

    /// The second after this one.
    pub fn next(self) -> Option<Second> {
        self.0.checked_add(1).map(Second)
    }

    pub fn get(self) -> i64 {
        i64::from(self.0) + EPOCH
    }
}
