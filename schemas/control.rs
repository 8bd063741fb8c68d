//! Dead letters: what could not be read, where it stood, and why.

use serde::{Deserialize, Serialize};

/// One record that could not be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The file, or `topic/partition`.
    pub file: String,
    /// 1-based line of the decompressed stream (0 where lines mean nothing).
    pub line: u64,
    /// Byte offset in the decompressed stream.
    pub offset: u64,
    pub reason: String,
    /// The first 64 KiB of the record: text, or base64 where it is not UTF-8 (`raw_base64`).
    pub raw: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw_base64: bool,
    /// Length of the whole record, bytes.
    pub raw_bytes: u64,
}
