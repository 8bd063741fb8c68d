//! Frames of a generation's processes, read again: of each journal the ticks in order, and those of all journals side by side.
//!
//! ```text
//!   journal: frames of some workers, each worker's in order --Ticks--> whole ticks of this journal --next--> one tick at a time, of all
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use eddy_schemas::frame::Head;

use super::{Before, unreadable};
use crate::cli::Error;
use crate::engine::durable::{self, Frame, Open, Tick};
use crate::journal::{self, Journal};

/// Bytes of frames read at once.
const READ_BYTES: usize = 4 << 20;

/// The frames of one journal, as they were written: those of a worker in order.
pub(super) struct Frames {
    journal: Journal,
    next: u64,
    read: VecDeque<Frame>,
}

impl Frames {
    /// None where a process has written nothing.
    pub fn open(folder: &Path) -> Result<Option<Frames>, Error> {
        if !folder.exists() {
            return Ok(None);
        }
        let journal = Journal::look(folder, journal::Config::default()).map_err(unreadable)?;
        Ok(journal.map(|journal| Frames { next: journal.range().start, journal, read: VecDeque::new() }))
    }

    pub fn take(&mut self) -> Result<Option<Frame>, Error> {
        if self.read.is_empty() {
            let chunk = self.journal.read(self.next, READ_BYTES).map_err(unreadable)?;
            for (number, bytes) in chunk.iter() {
                let path = || self.journal.path().display().to_string();
                let decoded = Head::decode(bytes).map_err(|source| durable::Error::Frame { path: path(), number, source });
                let (head, rows) = decoded.map_err(unreadable)?;
                self.read.push_back(Frame { head, rows: chunk.part(rows) });
            }
            self.next = chunk.next();
        }
        Ok(self.read.pop_front())
    }
}

/// The ticks of one journal that count, in order.
pub(super) struct Ticks {
    frames: Frames,
    /// Workers that wrote to it: so many frames make a tick.
    workers: u32,
    until: u64,
    /// Ticks that lack frames.
    open: BTreeMap<u64, Open>,
    next: Option<Tick>,
}

impl Ticks {
    pub fn open(folder: &Path, of: &Before) -> Result<Ticks, Error> {
        let frames = Frames::open(folder)?.ok_or_else(|| damaged(folder))?;
        let mut ticks = Ticks { frames, workers: of.workers as u32, until: of.until, open: BTreeMap::new(), next: None };
        ticks.advance()?;
        Ok(ticks)
    }

    /// Goes on to the next tick.
    fn advance(&mut self) -> Result<(), Error> {
        if self.next.take().is_some_and(|tick| tick.number == self.until) {
            return Ok(());
        }
        // The manifest says that all frames up to its tick were there.
        while let Some(frame) = self.frames.take()? {
            let number = frame.head.tick;
            let open = self.open.entry(number).or_default();
            open.push(frame);
            if let Some(frames) = open.whole(self.workers) {
                self.open.remove(&number);
                self.next = Some(Tick { number, frames });
                return Ok(());
            }
        }
        Err(damaged(self.frames.journal.path()))
    }
}

/// The next tick, with its frames in all of these journals.
pub(super) fn next(ticks: &mut [Ticks]) -> Result<Option<Tick>, Error> {
    let Some(number) = ticks.iter().filter_map(|ticks| ticks.next.as_ref()).map(|tick| tick.number).min() else { return Ok(None) };
    let mut whole = Tick { number, frames: vec![] };
    for ticks in ticks.iter_mut().filter(|ticks| ticks.next.as_ref().is_some_and(|tick| tick.number == number)) {
        whole.frames.append(&mut ticks.next.as_mut().expect("just seen").frames);
        ticks.advance()?;
    }
    Ok(Some(whole))
}

fn damaged(folder: &Path) -> Error {
    let what = format!("{} is damaged: it lacks frames that were there; restore it from a backup, or begin anew", folder.display());
    Error::Failed { what, source: None }
}
