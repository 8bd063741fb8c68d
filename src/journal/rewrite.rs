//! Frames whose payload may not stay, such as what a forgotten user wrote: the numbers stay, the payload is another.
//!
//! ```text
//!   00000000000000000000.journal   [ 0 | 1 | 2' | 3 | seal ]     written beside its place, fsynced, renamed over it
//! ```

use super::segment::{self, Entry, Index};
use super::{Error, Journal, frame};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 20;

impl Journal {
    /// Gives frames other payloads: `change` says which, and none where a frame stays as it is. Tells how many were changed.
    ///
    /// Segment by segment: if we crash, some are as they were and some as they are to be, each whole; the same call again does the rest.
    pub fn rewrite<E: From<Error>>(&self, mut change: impl FnMut(u64, &[u8]) -> Result<Option<Vec<u8>>, E>) -> Result<u64, E> {
        self.roll()?;
        let firsts: Vec<u64> = self.shared.read().sealed.iter().copied().collect();
        let mut changed = 0;
        for first in firsts {
            changed += self.rewrite_segment(first, &mut change)?;
        }
        Ok(changed)
    }

    fn rewrite_segment<E: From<Error>>(
        &self,
        first: u64,
        change: &mut impl FnMut(u64, &[u8]) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<u64, E> {
        let next = self.sealed(first)?.next;
        let mut replacements = vec![];
        self.frames(first..next, |number, payload| {
            replacements.extend(change(number, payload)?.map(|payload| (number, payload)));
            Ok::<_, E>(())
        })?;
        if replacements.is_empty() {
            return Ok(0);
        }
        let prepared = segment::prepare(&*self.files, &self.dir, first)?;
        let mut new = Segment { file: &prepared, buffer: vec![], at: segment::HEADER_BYTES, index: Index::default() };
        let mut replaced = replacements.iter().peekable();
        self.frames(first..next, |number, payload| {
            let payload = replaced.next_if(|(at, _)| *at == number).map_or(payload, |(_, payload)| payload);
            Ok::<_, E>(new.push(first, number, payload)?)
        })?;
        new.seal(next)?;
        // Whoever drops segments waits, so that none comes back.
        let _turn = self.writer.lock();
        if self.shared.read().sealed.contains(&first) {
            prepared.publish(&*self.files, &self.dir)?;
            self.opened.lock().retain(|sealed| sealed.first != first);
        }
        Ok(replacements.len() as u64)
    }

    fn frames<E: From<Error>>(&self, range: std::ops::Range<u64>, mut each: impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut from = range.start;
        while from < range.end {
            let chunk = self.read(from, BUFFER_BYTES)?;
            chunk.iter().try_for_each(|(number, payload)| each(number, payload))?;
            from = chunk.next();
        }
        Ok(())
    }
}

/// A segment that is written anew.
struct Segment<'a> {
    file: &'a segment::Prepared,
    buffer: Vec<u8>,
    /// Where the buffer will be written.
    at: u32,
    index: Index,
}

impl Segment<'_> {
    fn push(&mut self, first: u64, number: u64, payload: &[u8]) -> Result<(), Error> {
        let position = self.at + self.buffer.len() as u32;
        self.index.note(Entry { number: (number - first) as u32, position });
        // It is fsynced as a whole before it has its name.
        frame::encode(&mut self.buffer, self.file.salt, number, segment::HEADER_BYTES, &[payload]);
        if self.buffer.len() >= BUFFER_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Error> {
        self.file.write_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u32;
        self.buffer.clear();
        Ok(())
    }

    fn seal(&mut self, next: u64) -> Result<(), Error> {
        self.write()?;
        segment::encode_seal(&mut self.buffer, self.file.salt, self.at, next, segment::HEADER_BYTES, &self.index);
        self.write()?;
        self.file.sync()
    }
}
