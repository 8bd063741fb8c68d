//! The driver of each process's engine: process 0 says when a tick ends, the others hear it.
//!
//! ```text
//!   reader thread --blocks--> driver --> Engine::send        process 0: counts what all have sent; Open(t) to all, then its own
//!   other processes --words-->                               others: Sent to 0; Open(t) -> Engine::open_at(t)
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, never, select};

use super::safe::{Own, Safe, not_kept};
use super::share::{self, Read};
use super::spools::Spools;
use super::state::{Mirror, Position, Reached, State, Work};
use super::words::Word;
use super::{LOOK_EVERY, Part};
use crate::cli::{Error, chain};
use crate::engine::durable::Durable;
use crate::engine::snapshot::Snapshots;
use crate::engine::snapshot::adopt::Source;
use crate::engine::snapshot::together::Together;
use crate::engine::{Counts, Engine, Raw};
use crate::replay::Interrupt;
use crate::source::dumps::Reader;

/// Blocks that wait for the driver, which hears of words beside them; the reader waits at it.
pub(super) const BLOCKS_WAITING_MAX: usize = 2;
/// A process says what it has sent when it is this part of a tick.
const SAID_PARTS: usize = 8;

pub(super) struct Driver<'a> {
    part: Part<'a>,
    engine: Engine,
    words: Receiver<(usize, Word)>,
    reads: Receiver<Read>,
    /// To be hidden when the first tick opens.
    spools: Spools,
    /// Records of the open tick: of all processes in process 0, else its own.
    in_tick: usize,
    /// Those of them that process 0 has not been told.
    unsaid: usize,
    /// The file that is being read, and its blocks that are in.
    reading: Option<(u32, u64)>,
    /// That file, or the first that is to be; none: all are at their end.
    unread: Option<u32>,
    /// Where reading began.
    from: Position,
    /// What has moved since the tick was opened.
    moved: Position,
    kept: Option<Kept>,
    incomplete: BTreeSet<String>,
    meter: Progress,
}

/// Where ticks are kept.
pub(super) struct Kept {
    pub state: State,
    pub durable: Arc<Durable>,
    pub safe: Arc<Safe>,
    /// This process's own, until they are made beside the work.
    pub snapshots: Option<Snapshots>,
    /// What earlier generations left, until it is adopted.
    pub sources: Vec<Source>,
    /// Where snapshots are made together.
    pub together: Option<Arc<Together>>,
    /// Ships what is kept to a store.
    pub mirror: Option<Arc<Mirror>>,
}

/// How far the reading of this process's files has come.
struct Progress {
    bytes: u64,
    bytes_total: Option<u64>,
    shown_at: Instant,
    counts: Arc<Counts>,
}

/// A process whose engine has ended.
pub(super) struct Ended<'a> {
    pub incomplete: BTreeSet<String>,
    words: Receiver<(usize, Word)>,
    interrupt: &'a Interrupt,
}

impl<'a> Driver<'a> {
    pub fn new(part: Part<'a>, engine: Engine, words: Receiver<(usize, Word)>, spools: Spools, kept: Option<Kept>) -> Self {
        let meter = Progress { bytes: 0, bytes_total: None, shown_at: Instant::now(), counts: engine.counts() };
        let (reads, from, moved, incomplete) = (never(), Position::default(), Position::default(), BTreeSet::new());
        let (in_tick, unsaid, reading, unread) = (0, 0, None, None);
        Driver { part, engine, words, reads, spools, in_tick, unsaid, reading, unread, from, moved, kept, incomplete, meter }
    }

    /// Feeds the engine what the state holds and all records of its files after it, and ends it, together with the others.
    pub fn run(mut self, reader: Reader, spares: Receiver<Vec<u8>>) -> Result<Ended<'a>, Error> {
        // Whoever drops an engine waits for its workers, and they for those of others: an error is told before.
        let fed = self.feed(reader, spares);
        self.part.or_leave(fed);
        self.engine.finish().map_err(stopped)?;
        if let Some(kept) = &self.kept {
            kept.durable.sync().map_err(not_kept)?;
        }
        Ok(Ended { incomplete: self.incomplete, words: self.words, interrupt: self.part.interrupt })
    }

    fn feed(&mut self, reader: Reader, spares: Receiver<Vec<u8>>) -> Result<(), Error> {
        self.meter.bytes_total = reader.bytes_total();
        self.part.shown.begin(self.meter.bytes_total);
        let mut from = Position::default();
        if let Some(Kept { state, durable, safe, snapshots, sources, together, mirror }) = &mut self.kept {
            state.recover(sources, &mut self.engine)?;
            from = state.manifest.position.clone();
            // None before others say how far they are.
            durable.set_recovery_point(0);
            let snapshots = snapshots.take().expect("begun once").adopting(std::mem::take(sources));
            let no_thread = |e| Error::failed("no thread can be started", e);
            durable.keep_small(snapshots).map_err(no_thread)?;
            let frontiers = self.engine.frontiers();
            if let Some(mirror) = mirror {
                let (durable, safe, links) = (Arc::clone(durable), Arc::clone(safe), Arc::clone(self.part.links));
                mirror.start(Work { frontiers: Arc::clone(&frontiers), durable, safe, links }).map_err(no_thread)?;
            }
            let (durable, together, mirror) = (Arc::clone(durable), together.clone(), mirror.clone());
            safe.keep(Own { frontiers, durable, together, adopts: state.has_much_to_adopt(), mirror });
        }
        let (send, reads) = bounded(BLOCKS_WAITING_MAX);
        let spawned = std::thread::Builder::new().name("reader".into()).spawn({
            let from = from.clone();
            move || share::read(reader, &from, &spares, &send)
        });
        spawned.map_err(|e| Error::failed("no thread can be started", e))?;
        self.reads = reads;
        let files = &self.part.replay.files;
        // (An empty one brings nothing.)
        let has_some = |file: u32| files[file as usize].metadata().is_ok_and(|meta| meta.len() > 0);
        let unread = |file: &u32| self.part.reads(*file as usize) && !from.is_at_end_of(*file) && has_some(*file);
        self.unread = (0..files.len() as u32).find(unread);
        self.from = from;
        if self.part.is_first() {
            self.lead()?
        } else {
            self.follow()?
        }
        self.bind();
        self.engine.all_is_in();
        Ok(())
    }

    fn lead(&mut self) -> Result<(), Error> {
        let processes = self.part.links.party.hosts.len();
        let (mut ready, mut reading) = (1, processes);
        let mut opened = false;
        while reading > 0 {
            if ready == processes && (!opened || self.in_tick >= self.part.replay.tick_records_max) {
                opened = true;
                let tick = self.engine.next_tick();
                self.part.links.say_all(&Word::Open(tick).encode());
                self.open(tick)?;
            }
            let nothing = never();
            select! {
                recv(if opened { &self.reads } else { &nothing }) -> read => reading -= usize::from(self.read(read.expect(READER))?),
                recv(self.words) -> word => match word.expect(WORDS).1 {
                    Word::Ready => ready += 1,
                    Word::Sent(records) => self.in_tick += records as usize,
                    Word::Read => reading -= 1,
                    _ => unreachable!("no other word is said to process 0 now"),
                },
                default(LOOK_EVERY) => {}
            }
            self.look()?;
        }
        self.part.links.say_all(&Word::Close.encode());
        Ok(())
    }

    fn follow(&mut self) -> Result<(), Error> {
        self.say(&Word::Ready);
        let (mut opened, mut said_end) = (false, false);
        loop {
            // Not before there is a tick, and no more than one may hold: the others must keep pace.
            let may_read = opened && self.in_tick < self.part.replay.tick_records_max && !said_end;
            let nothing = never();
            select! {
                recv(if may_read { &self.reads } else { &nothing }) -> read => {
                    said_end = self.read(read.expect(READER))?;
                    if said_end || self.unsaid * SAID_PARTS >= self.part.replay.tick_records_max {
                        let records = std::mem::take(&mut self.unsaid) as u64;
                        self.say(&Word::Sent(records));
                    }
                    if said_end {
                        self.say(&Word::Read);
                    }
                }
                recv(self.words) -> word => match word.expect(WORDS).1 {
                    Word::Open(tick) => {
                        opened = true;
                        self.open(tick)?;
                    }
                    Word::Close => return Ok(()),
                    _ => unreachable!("no other word is said to this process now"),
                },
                default(LOOK_EVERY) => {}
            }
            self.look()?;
        }
    }

    fn say(&self, word: &Word) {
        self.part.links.say(0, &word.encode());
    }

    fn open(&mut self, tick: u64) -> Result<(), Error> {
        self.spools.hide();
        self.in_tick = 0;
        self.bind();
        self.engine.open_at(tick).map_err(stopped)
    }

    /// Says what the open tick is made from, and whom the watermark waits for: each process, while it has more to read. So nothing is taken to be
    /// in that a slower one still has.
    fn bind(&mut self) {
        let moved = std::mem::take(&mut self.moved);
        match self.unread {
            None => self.engine.wait_for(vec![]),
            Some(file) => self.engine.wait_for_any(moved.files().chain([file]).collect()),
        }
        self.engine.bind(if self.kept.is_some() { moved.binding() } else { String::new() });
    }

    /// Takes what the reader says; true at the end.
    fn read(&mut self, read: Read) -> Result<bool, Error> {
        match read {
            Read::Block { block, rereadable, bytes_read } => {
                self.meter.bytes = bytes_read;
                let (file, blocks) = match self.reading {
                    Some((file, blocks)) if file == block.input => (file, blocks + 1),
                    before => {
                        before.inspect(|(file, _)| self.moved.set(*file, Reached::End));
                        (block.input, self.from.blocks(block.input) + 1)
                    }
                };
                (self.reading, self.unread) = (Some((file, blocks)), Some(file));
                self.moved.set(file, Reached::Blocks(blocks));
                let raw = Raw::Dump { block, rereadable, partition: file };
                let records = raw.records_about();
                self.engine.send(raw).map_err(stopped)?;
                self.in_tick += records;
                self.unsaid += records;
            }
            Read::Failed(error) => {
                self.part.shown.warn(&chain(&error));
                let path = error.path().display().to_string();
                self.incomplete.insert(path.clone());
                self.moved.incomplete.insert(path);
            }
            Read::End => {
                let files = (0..self.part.replay.files.len()).filter(|file| self.part.reads(*file));
                files.for_each(|file| self.moved.set(file as u32, Reached::End));
                (self.reads, self.unread) = (never(), None);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn look(&mut self) -> Result<(), Error> {
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.durable.has_failed()) {
            kept.durable.check().map_err(not_kept)?;
        }
        if self.meter.shown_at.elapsed() >= LOOK_EVERY {
            self.meter.shown_at = Instant::now();
            self.part.shown.show(self.meter.bytes, self.meter.bytes_total, &self.meter.counts.snapshot());
        }
        Ok(())
    }
}

const READER: &str = "the reader does not panic";
const WORDS: &str = "whoever hears words lives as long as the process";

fn stopped(e: crate::engine::Error) -> Error {
    Error::failed("the engine stopped", e)
}

impl Ended<'_> {
    /// Waits until the tables of process 0 stand.
    pub fn wait_until_over(&self) -> Result<(), Error> {
        loop {
            match self.words.recv_timeout(LOOK_EVERY) {
                Ok((_, Word::Over)) => return Ok(()),
                Ok(_) => unreachable!("no other word is said to this process now"),
                Err(RecvTimeoutError::Timeout) => self.interrupt.check()?,
                Err(RecvTimeoutError::Disconnected) => panic!("{WORDS}"),
            }
        }
    }
}
