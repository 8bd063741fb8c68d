//! Ticks as they were decided: read back from a journal of frames, whole ones only, in order.
//!
//! ```text
//!   frames of two workers:   10/0  10/1   11/0  12/0  11/1  |              Ticks: 10, 11; 12 lacks a frame, and is not there
//! ```
//!
//! # Invariants
//! 1. A tick counts if the last frames of all its workers are there. One that does not was never told to anybody; its number is not used
//!    again.
//! 2. A worker writes its frames in the order of their ticks: where a tick is whole, an older one that is not never will be.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use eddy_schemas::frame::{self, Head};
use eddy_schemas::stored::Malformed;

use super::durable::Error;
use crate::journal::Journal;

/// Bytes of frames read at once.
const READ_BYTES: usize = 1 << 20;

/// A tick as it was decided.
#[derive(Debug)]
pub struct Tick {
    pub number: u64,
    /// Of all its workers.
    pub frames: Vec<Frame>,
}

/// Frames of a tick that may lack some.
#[derive(Debug, Default)]
struct Open {
    frames: Vec<Frame>,
    /// Workers whose last is there.
    ended: u32,
}

impl Open {
    fn push(&mut self, frame: Frame) {
        self.ended += u32::from(!frame.head.more);
        self.frames.push(frame);
    }

    /// All frames of so many workers, if they are there.
    fn whole(&mut self, workers: u32) -> Option<Vec<Frame>> {
        (self.ended == workers).then(|| std::mem::take(&mut self.frames))
    }
}

#[derive(Debug)]
pub struct Frame {
    pub head: Head,
    /// Its versions, encoded.
    pub rows: Bytes,
}

impl Tick {
    /// What was decided of event time: every worker's frame says the same.
    pub fn time(&self) -> Option<frame::Time> {
        self.frames.iter().find(|frame| !frame.head.more).and_then(|frame| frame.head.time)
    }

    /// What it was made from.
    pub fn binding(&self) -> &str {
        self.frames.iter().find(|frame| frame.head.worker == 0 && !frame.head.more).map_or("", |frame| &frame.head.binding)
    }
}

/// What a journal holds of each tick.
#[derive(Clone, Copy)]
pub struct Share {
    /// So many journals hold its frames, each as many of them.
    pub journals: u32,
    /// Adds what a later tick was made from.
    pub bind: fn(&mut String, &str) -> Result<(), Malformed>,
}

impl Share {
    /// All of it, and a binding that says all.
    pub const WHOLE: Share = Share {
        journals: 1,
        bind: |binding, later| {
            later.clone_into(binding);
            Ok(())
        },
    };
}

/// Reads whole ticks from a journal, in order.
pub struct Ticks<'a> {
    journal: &'a Journal,
    journals: u32,
    buffer: BytesMut,
    /// Frames that were read, by number.
    frames: VecDeque<(u64, Frame)>,
    /// The frame to be read next.
    next: u64,
    /// Frames from this number on are left alone.
    end: u64,
    /// Ticks up to this one are left out: a snapshot has them.
    after: u64,
    /// Ticks after this one are left alone, and the first frame of such a tick that was met.
    upto: u64,
    beyond: Option<u64>,
    /// Ticks that lack frames, and the number of the first of those.
    open: BTreeMap<u64, (u64, Open)>,
    /// The greatest tick met, whole or not.
    pub last: u64,
}

impl<'a> Ticks<'a> {
    /// Of all frames, after this tick.
    pub fn after(journal: &'a Journal, after: u64) -> Self {
        Self::until(journal, u64::MAX, after, u64::MAX)
    }

    /// Of the frames before `end`, after this tick, up to that one.
    pub fn until(journal: &'a Journal, end: u64, after: u64, upto: u64) -> Self {
        let (frames, next, open) = (VecDeque::new(), journal.range().start, BTreeMap::new());
        Ticks { journal, journals: 1, buffer: BytesMut::new(), frames, next, end, after, upto, beyond: None, open, last: after }
    }

    /// Of a journal that is one of several: a tick is whole where its share is there.
    pub fn among(self, journals: u32) -> Self {
        Ticks { journals, ..self }
    }

    /// The first frame of a tick that was left alone, is not whole yet or has not been asked for; those before it have been given.
    pub fn needed(&self) -> u64 {
        let open = self.open.values().map(|(number, _)| *number);
        let read = self.frames.front().map(|(number, _)| *number);
        open.chain(read).chain(self.beyond).fold(self.end.min(self.next), u64::min)
    }

    /// The next whole tick; none at the end.
    pub fn next_whole(&mut self) -> Result<Option<Tick>, Error> {
        loop {
            let Some((number, frame)) = self.frames.pop_front() else {
                if !self.fill()? {
                    return Ok(None);
                }
                continue;
            };
            let (tick, workers) = (frame.head.tick, frame.head.workers / self.journals);
            self.last = self.last.max(tick);
            if tick > self.upto {
                self.beyond.get_or_insert(number);
                continue;
            }
            if tick <= self.after {
                continue;
            }
            let (_, open) = self.open.entry(tick).or_insert_with(|| (number, Open::default()));
            open.push(frame);
            if let Some(frames) = open.whole(workers) {
                // Older ones lack what a crash has cut off: a worker writes its frames in order.
                self.open = self.open.split_off(&(tick + 1));
                return Ok(Some(Tick { number: tick, frames }));
            }
        }
    }

    /// Reads more frames; false at the end.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.next >= self.end {
            return Ok(false);
        }
        let chunk = self.journal.read_into(&mut self.buffer, self.next, READ_BYTES)?;
        for (number, bytes) in chunk.iter().take_while(|(number, _)| *number < self.end) {
            let path = || self.journal.path().display().to_string();
            let (head, rows) = Head::decode(bytes).map_err(|source| Error::Frame { path: path(), number, source })?;
            self.frames.push_back((number, Frame { head, rows: chunk.part(rows) }));
        }
        self.next = chunk.next();
        Ok(!chunk.is_empty())
    }
}
