//! From the files to the engine.
//!
//! ```text
//!   reader thread: read, decompress, cut --bounded--> this thread: interrupt? progress --> Engine::send
//! ```
//!
//! Reading has a thread of its own because a read from a pipe cannot be called back: this one must hear Ctrl-C and show that nothing
//! comes. The reader is not joined when the replay is given up; it ends with the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::state::Position;
use super::{Interrupt, Meter, ReplayTexts};
use crate::cli::{Error, chain};
use crate::engine::durable::Durable;
use crate::engine::{DUMPS, Engine, Raw};
use crate::queue::{self, RecvError};
use crate::source::dumps::{self, Block, Reader};

/// Blocks that wait for this thread; the reader waits at it.
pub(super) const BLOCKS_WAITING_MAX: usize = 8;

/// How often progress is shown and interrupts are looked for, at least.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Feed<'a> {
    pub interrupt: &'a Interrupt,
    pub shown: &'a Meter,
    pub texts: &'a Arc<ReplayTexts>,
    /// Nothing that is read from now on would be kept.
    pub sink_failed: &'a AtomicBool,
    /// To be told that every tick that was begun has been ended.
    pub whole: &'a AtomicBool,
    pub durable: Option<&'a Durable>,
    /// How many files there are.
    pub files: u32,
}

/// What the reader says.
enum Read {
    Block {
        block: Block,
        rereadable: bool,
        bytes_read: u64,
    },
    Failed(dumps::Error),
    /// All inputs are at their end. (A reader that only hangs up has panicked.)
    End,
}

/// Reads from `from` on.
fn read(mut reader: Reader, from: &Position, texts: &ReplayTexts, spares: &Receiver<Vec<u8>>, reads: &mut queue::Sender<Read>) {
    reader.start_at(from.input as usize);
    // Blocks that are in the state: where they are cut depends on the file and the limits alone.
    let mut known = from.blocks;
    loop {
        let read = match reader.next(spares.try_recv().ok()) {
            Ok(None) => Read::End,
            Ok(Some(block)) => {
                let rereadable = reader.input_is_plain(block.input);
                if rereadable {
                    // Here, not where the block is taken: by then the file may have another's name.
                    texts.begin(block.input as usize);
                }
                if known > 0 && block.input == from.input {
                    known -= 1;
                    continue;
                }
                Read::Block { block, rereadable, bytes_read: reader.bytes_read() }
            }
            Err(error) => Read::Failed(error),
        };
        let ended = matches!(read, Read::End);
        // Nobody reads: the replay was given up.
        if reads.send(read).is_err() || ended {
            return;
        }
    }
}

impl Feed<'_> {
    /// Hands everything to the engine and ends it; gives the files that could not be read to their end.
    pub fn run(&self, mut engine: Engine, reader: Reader, spares: Receiver<Vec<u8>>, from: Position) -> Result<Vec<String>, Error> {
        let ended = |e| Error::failed("the engine stopped", e);
        let counts = engine.counts();
        let bytes_total = reader.bytes_total();
        self.shown.begin(bytes_total);
        let (mut send, mut reads) = queue::bounded(BLOCKS_WAITING_MAX);
        let texts = Arc::clone(self.texts);
        let mut position = from.clone();
        let spawned = std::thread::Builder::new().name("reader".into()).spawn(move || read(reader, &from, &texts, &spares, &mut send));
        spawned.map_err(|e| Error::failed("no thread can be started", e))?;
        let (mut bytes, mut looked_at) = (0, Instant::now());
        loop {
            match reads.recv_timeout(LOOK_EVERY) {
                Ok(Read::Block { block, rereadable, bytes_read }) => {
                    bytes = bytes_read;
                    if position.input != block.input {
                        (position.input, position.blocks) = (block.input, 0);
                    }
                    position.blocks += 1;
                    if self.durable.is_some() {
                        engine.bind(position.binding());
                    }
                    engine.send(Raw::Dump { block, rereadable, partition: DUMPS }).map_err(ended)?;
                }
                Ok(Read::Failed(error)) => {
                    self.shown.warn(&chain(&error));
                    position.incomplete.push(error.path().display().to_string());
                }
                Ok(Read::End) => {
                    (position.input, position.blocks) = (self.files, 0);
                    engine.bind(position.binding());
                    break;
                }
                Err(RecvError::Empty) => {}
                Err(RecvError::Disconnected) => panic!("the reader does not panic"),
            }
            self.interrupt.check()?;
            if self.sink_failed.load(Ordering::Relaxed) || self.durable.is_some_and(Durable::has_failed) {
                break;
            }
            if looked_at.elapsed() >= LOOK_EVERY {
                looked_at = Instant::now();
                self.shown.show(bytes, bytes_total, &counts.snapshot());
            }
        }
        self.whole.store(true, Ordering::Release);
        engine.finish().map_err(ended)?;
        if let Some(durable) = self.durable {
            durable.sync().map_err(|e| Error::failed("the state could not be kept", e))?;
        }
        Ok(position.incomplete)
    }
}
