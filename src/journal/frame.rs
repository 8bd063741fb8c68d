//! One frame's bytes.
//!
//! ```text
//!   crc u32 | length u32 | synced u32 | number u64 | payload       (little endian; length is the payload's)
//! ```
//!
//! The checksum (CRC-32, IEEE) starts from the segment's random salt and covers all that follows it. The salt keeps a
//! payload that itself holds frames, such as a message with a piece of a journal in it, from being taken for frames.

pub const HEAD_BYTES: usize = 20;

/// The number of the frame that seals a segment.
pub const SEAL: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub number: u64,
    /// Up to where the segment was known to be fsynced when this was written.
    pub synced: u32,
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes in the file.
    pub fn size(&self) -> usize {
        HEAD_BYTES + self.payload.len()
    }
}

pub fn encode(out: &mut Vec<u8>, salt: u32, number: u64, synced: u32, parts: &[&[u8]]) {
    out.extend_from_slice(&head(salt, number, synced, parts));
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// What stands before the payload.
pub fn head(salt: u32, number: u64, synced: u32, parts: &[&[u8]]) -> [u8; HEAD_BYTES] {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut head = [0; HEAD_BYTES];
    head[4..8].copy_from_slice(&(len as u32).to_le_bytes());
    head[8..12].copy_from_slice(&synced.to_le_bytes());
    head[12..20].copy_from_slice(&number.to_le_bytes());
    let mut crc = crc32fast::Hasher::new_with_initial(salt);
    crc.update(&head[4..]);
    parts.iter().for_each(|part| crc.update(part));
    head[..4].copy_from_slice(&crc.finalize().to_le_bytes());
    head
}

/// The frame that starts `bytes`; `None` where there is no whole and sound one.
pub fn parse(bytes: &[u8], salt: u32) -> Option<Frame<'_>> {
    let size = HEAD_BYTES.checked_add(length(bytes)?)?;
    let whole = bytes.get(..size)?;
    if u32_at(whole, 0) != checksum(salt, &whole[4..]) {
        return None;
    }
    Some(Frame { number: u64_at(whole, 12), synced: u32_at(whole, 8), payload: &whole[HEAD_BYTES..] })
}

/// The payload's length as the head says it, unchecked.
pub fn length(bytes: &[u8]) -> Option<usize> {
    (bytes.len() >= HEAD_BYTES).then(|| u32_at(bytes, 4) as usize)
}

/// The number as the head says it, unchecked.
pub fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() >= HEAD_BYTES).then(|| u64_at(bytes, 12))
}

pub fn checksum(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
