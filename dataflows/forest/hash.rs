//! Tags of what a forest looks up.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// The tag of message `message` within conversation `conversation`, or of anything else made of two words.
#[inline]
pub(super) fn hash(conversation: u64, message: u64) -> u32 {
    crate::index::tag(FixedState::with_seed(0x5eed_eddd).hash_one((conversation, message)))
}
