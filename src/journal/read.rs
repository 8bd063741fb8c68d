//! Reading frames again, from any number on.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::segment::{Entry, Sealed};
use super::{Error, Journal, frame, segment};
use crate::files::{self, File};

/// A chunk holds at most this many bytes, or one frame.
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// Frames as they were read, checked.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Bytes,
    /// Of the first frame.
    at: usize,
    first: u64,
    count: u64,
}

impl Chunk {
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut at = self.at;
        (self.first..self.first + self.count).map(move |number| {
            let start = at + frame::HEAD_BYTES;
            at = start + frame::length(&self.bytes[at..]).expect("checked when it was read");
            (number, &self.bytes[start..at])
        })
    }

    /// Part of a payload, to be kept without a copy; it keeps the whole chunk.
    pub fn part(&self, of_payload: &[u8]) -> Bytes {
        self.bytes.slice_ref(of_payload)
    }

    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number after the last.
    pub fn next(&self) -> u64 {
        self.first + self.count
    }
}

/// Where to read.
struct Span<'a> {
    path: &'a Path,
    file: &'a dyn File,
    salt: u32,
    first: u64,
    start: Entry,
    /// Frames end here at the latest.
    end: u32,
    /// The frame asked for ends here at the latest.
    enough: u32,
}

impl Journal {
    /// Frames from `from` on: at least one where there is one, then as many as have at most `bytes_max` bytes of payload
    /// together and stand in one segment. Empty at the end.
    pub fn read(&self, from: u64, bytes_max: usize) -> Result<Chunk, Error> {
        self.read_into(&mut BytesMut::new(), from, bytes_max)
    }

    /// The same into a buffer, whose room is used again once nothing is left of the chunks before.
    pub fn read_into(&self, buffer: &mut BytesMut, from: u64, bytes_max: usize) -> Result<Chunk, Error> {
        let shared = self.shared.read();
        let start = shared.sealed.front().copied().unwrap_or(shared.active.first);
        if from < start || from > shared.next {
            return Err(Error::OutOfRange { path: self.dir.clone(), number: from, held: start..shared.next });
        }
        if from == shared.next {
            return Ok(Chunk { first: from, ..Chunk::default() });
        }
        if from >= shared.active.first {
            let active = shared.active.clone();
            let end = shared.end;
            let (start, after) = shared.index.find((from - active.first) as u32).expect("the first frame is indexed");
            drop(shared);
            let span = Span {
                path: &active.path,
                file: &*active.file,
                salt: active.salt,
                first: active.first,
                start,
                end,
                enough: after.unwrap_or(end),
            };
            return span.read(buffer, from, bytes_max);
        }
        let at = shared.sealed.partition_point(|first| *first <= from) - 1;
        let first = shared.sealed[at];
        drop(shared);
        let sealed = self.sealed(first)?;
        let corrupt = || Error::Corrupt { path: sealed.path.clone(), at: u64::from(sealed.end), what: "the index is empty" };
        let (start, after) = sealed.index.find((from - first) as u32).ok_or_else(corrupt)?;
        let (path, file, salt, end) = (&sealed.path, &*sealed.file, sealed.salt, sealed.end);
        Span { path, file, salt, first, start, end, enough: after.unwrap_or(end) }.read(buffer, from, bytes_max)
    }

    /// Calls `each` with every frame from `from` to the end as it is now, and beyond while more come in between.
    pub fn replay<E: From<Error>>(&self, mut from: u64, mut each: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<u64, E> {
        loop {
            let chunk = self.read(from, 1 << 20)?;
            if chunk.is_empty() {
                return Ok(from);
            }
            for (number, payload) in chunk.iter() {
                each(number, payload)?;
            }
            from = chunk.next();
        }
    }

    /// A sealed segment with its index, from the few that are kept open.
    pub(super) fn sealed(&self, first: u64) -> Result<Arc<Sealed>, Error> {
        let mut opened = self.opened.lock();
        if let Some(at) = opened.iter().position(|sealed| sealed.first == first) {
            let sealed = opened.remove(at).expect("just found");
            opened.push_front(sealed.clone());
            return Ok(sealed);
        }
        drop(opened);
        let sealed = Arc::new(Sealed::open(&*self.files, &self.dir, first)?.with_index()?);
        let mut opened = self.opened.lock();
        opened.push_front(sealed.clone());
        opened.truncate(self.config.sealed_open_max.max(1));
        Ok(sealed)
    }
}

impl Span<'_> {
    fn read(&self, buffer: &mut BytesMut, from: u64, bytes_max: usize) -> Result<Chunk, Error> {
        let from_at = self.start.position;
        let wanted = u64::from(from_at) + bytes_max.min(CHUNK_BYTES_MAX) as u64;
        let to = wanted.min(u64::from(self.end)).max(u64::from(self.enough)) as u32;
        buffer.clear();
        buffer.resize((to - from_at) as usize, 0);
        files::read_exact_at(self.file, buffer, u64::from(from_at)).map_err(Error::io(self.path, "read"))?;
        let bytes = buffer.split().freeze();
        let (mut at, mut number) = (0, self.first + u64::from(self.start.number));
        let (mut start, mut count, mut taken) = (0, 0, 0);
        while at < bytes.len() {
            let Some(frame) = frame::parse(&bytes[at..], self.salt).filter(|frame| frame.number == number) else {
                // After the first, a frame that merely does not fit into what was read is no damage.
                let cut_off = frame::length(&bytes[at..]).is_none_or(|len| at + frame::HEAD_BYTES + len > bytes.len());
                if count > 0 && to < self.end && cut_off {
                    break;
                }
                let at = u64::from(from_at) + at as u64;
                return Err(Error::Corrupt { path: self.path.into(), at, what: "the frame's checksum or number is wrong" });
            };
            let (size, len) = (frame.size(), frame.payload.len());
            if number >= from {
                if count > 0 && taken + len > bytes_max {
                    break;
                }
                if count == 0 {
                    start = at;
                }
                taken += len;
                count += 1;
            }
            number += 1;
            at += size;
        }
        if count == 0 {
            let at = u64::from(from_at) + at as u64;
            return Err(Error::Corrupt { path: self.path.into(), at, what: "frames are missing" });
        }
        debug_assert!(u64::from(from_at) >= u64::from(segment::HEADER_BYTES));
        Ok(Chunk { bytes, at: start, first: from, count })
    }
}
