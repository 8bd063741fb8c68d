//! Which worker has a key: told by the key's number within one process, by its text where there are several.
//!
//! ```text
//!   one process:   name 17       --mix--> route            no look at the text
//!   several:       "reddit:spez" --fnv--> mix --> route    the same number in each of them, on whatever machine
//! ```
//!
//! # Invariants
//! 1. Once something has been routed, the way does not change: a process says that it is one of several before its workers start.
//! 2. By text, equal texts have equal routes in all processes of one version. (Not a persistent hash: state is routed anew when it is read.)

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::id::mix;

static BY_TEXT: AtomicBool = AtomicBool::new(false);

/// This process is one of several.
pub fn by_text() {
    BY_TEXT.store(true, Relaxed);
}

#[inline]
pub(crate) fn is_by_text() -> bool {
    BY_TEXT.load(Relaxed)
}

/// FNV-1a, spread. Texts are short: what costs is the look into far memory.
pub(crate) fn of(text: &str) -> u64 {
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}
