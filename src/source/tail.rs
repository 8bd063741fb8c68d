//! Files that grow, and stdin: each line a record for the log, as it comes.
//!
//! ```text
//!   file: [ in the log | a batch of whole lines | a line that has no end yet ]
//!                         |--note: file, from, to, where the log ends--> notes (journal)
//!                         \--> log
//! ```
//!
//! A file that is replaced under its name (rotated) is read to its end, then the new one from its start. One that is not there yet is
//! waited for.
//!
//! # Invariants
//! 1. A batch is noted before it is appended. So after a kill the note says which lines to look for, and the log how many of each partition
//!    are there already: each line of a file goes into the log once. (What came by stdin cannot be read again: what was read from it
//!    and not appended is lost with the process.)
//! 2. The log runs at most [`Config::behind_max`] records ahead of the engine: then no more is read, and whoever writes to stdin waits.
//! 3. A line longer than [`Config::line_bytes_max`] goes in cut short, and so becomes a dead letter.

mod growing;
mod notes;
mod route;
#[cfg(test)]
mod tests;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use parking_lot::Mutex;
use tracing::warn;

use crate::clock::Clock;
use crate::log::{self, Log, Topic};
use crate::progress::Progress;
use growing::Growing;
use notes::{Note, Notes, Position};
use route::{Router, Skip};

/// Between two looks at files that have nothing new.
const LOOK: Duration = Duration::from_millis(20);
/// After an append that did not work.
const AGAIN: Duration = Duration::from_millis(100);
const BATCH_BYTES: usize = 256 << 10;
const LINE_BYTES_MAX: usize = 16 << 20;
/// Of a line that is too long this much is appended.
const TOO_LONG_BYTES: usize = 64 << 10;

#[derive(Clone, Debug)]
pub struct Config {
    pub files: Vec<PathBuf>,
    pub stdin: Option<Stdin>,
    /// For the notes.
    pub folder: PathBuf,
    /// Bytes of lines that are noted and appended at once, about.
    pub batch_bytes: usize,
    pub line_bytes_max: usize,
    /// Records in the log that are not visible yet; reading waits at it.
    pub behind_max: u64,
}

impl Config {
    pub fn new(folder: PathBuf) -> Config {
        Config { files: vec![], stdin: None, folder, batch_bytes: BATCH_BYTES, line_bytes_max: LINE_BYTES_MAX, behind_max: 200_000 }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error("the notes of what has been read")]
    Notes(#[from] crate::journal::Error),
    #[error("the notes of what has been read are damaged: remove {}, and the files are read again from their start", .0.display())]
    Damaged(PathBuf),
    #[error("could not read {}", .path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is no file that can grow: what comes by a pipe is read from stdin, as `-`", .0.display())]
    NoFile(PathBuf),
    #[error("could not read from stdin")]
    Stdin(#[source] std::io::Error),
}

/// Told from other threads.
#[derive(Default)]
pub struct Control {
    stop: AtomicBool,
    /// Why nothing goes on just now.
    waiting: Mutex<Option<String>>,
}

impl Control {
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub fn waiting(&self) -> Option<String> {
        self.waiting.lock().clone()
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// What the tail works with.
pub struct Parts {
    pub log: Arc<dyn Log>,
    pub progress: Arc<dyn Progress>,
    pub clock: Arc<dyn Clock>,
    pub control: Arc<Control>,
}

pub struct Tail {
    parts: Parts,
    config: Config,
    notes: Notes,
    /// The batch that an earlier one was at.
    noted: Option<Note>,
    files: Vec<Growing>,
    /// Files that were read earlier and are not now: they may be again.
    others: Vec<Position>,
    router: Router,
}

/// Lines of stdin, as they come, to whoever takes them next. A read cannot be called back, so it has a thread of its own, which ends with
/// the process: there is one of these.
#[derive(Clone, Debug)]
pub struct Stdin(Receiver<std::io::Result<Vec<u8>>>);

impl Tail {
    /// Goes on where an earlier one was. Nothing is appended yet: for that there may be no room, and who opens it waits for nothing.
    pub fn open(parts: Parts, config: Config) -> Result<Tail, Error> {
        let notes = Notes::open(&config.folder)?;
        let router = Router::new(&*parts.log);
        let last = notes.last(&router.ends(&*parts.log));
        let positions = last.as_ref().map(|note| note.positions.clone()).unwrap_or_default();
        let known = |path: &PathBuf| positions.iter().find(|position| position.path == *path);
        let path = |file: &PathBuf| std::path::absolute(file).map_err(|source| Error::Read { path: file.clone(), source });
        let paths = config.files.iter().map(path).collect::<Result<Vec<_>, _>>()?;
        if let Some(path) = paths.iter().find(|path| path.metadata().is_ok_and(|meta| !meta.is_file())) {
            return Err(Error::NoFile(path.clone()));
        }
        let others = positions.iter().filter(|position| !paths.contains(&position.path)).cloned().collect();
        let position = |path: PathBuf| known(&path).cloned().unwrap_or_else(|| Position::start(path));
        let files = paths.into_iter().map(|path| Growing::new(position(path), config.line_bytes_max)).collect();
        Ok(Tail { files, others, parts, config, notes, noted: last, router })
    }

    /// Appends what the batch that was noted last still lacks in the log: before anything else is.
    fn finish(&mut self) -> Result<(), Error> {
        let Some(note) = self.noted.take() else { return Ok(()) };
        let skip = Skip::new(&note.ends, &self.router.ends(&*self.parts.log));
        let Some(file) = self.files.iter_mut().find(|file| *file.path() == note.path) else { return Ok(()) };
        match file.lines(note.from, note.to)? {
            Some(lines) => {
                let mut skip = Some(skip);
                self.append(&lines, &mut skip);
            }
            None => warn!(path = %note.path.display(), from = note.from, "replaced since: what it held from there on is not read"),
        }
        Ok(())
    }

    /// Waits until it may append; false where it is told to stop before.
    pub fn wait_until(&self, may_append: impl Fn() -> bool) -> bool {
        while !may_append() {
            if self.parts.control.stops() {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Reads until it is told to stop.
    pub fn run(mut self) -> Result<(), Error> {
        self.finish()?;
        while !self.parts.control.stops() {
            if self.behind() > self.config.behind_max {
                std::thread::sleep(LOOK);
                continue;
            }
            let mut any = false;
            for at in 0..self.files.len() {
                any |= self.take(at)?;
            }
            any |= self.take_stdin()?;
            if !any {
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }

    /// Records of the log that are not visible.
    fn behind(&self) -> u64 {
        let closed = self.parts.progress.closed();
        let sent = self.parts.log.partitions().into_iter().filter(|p| matches!(p.topic, Topic::Reddit | Topic::Telegram));
        sent.map(|partition| self.parts.log.end(partition).saturating_sub(closed.offset(partition))).sum()
    }

    /// Takes the next lines of a file; false where there are none.
    fn take(&mut self, at: usize) -> Result<bool, Error> {
        let Some(batch) = self.files[at].next(self.config.batch_bytes)? else { return Ok(false) };
        let note = Note {
            path: self.files[at].path().clone(),
            from: batch.from,
            to: batch.to,
            positions: self.files.iter().map(Growing::position).chain(&self.others).cloned().collect(),
            ends: self.router.ends(&*self.parts.log),
        };
        while let Err(e) = self.notes.write(&note) {
            if !self.waits(&e) {
                return Ok(false);
            }
        }
        // If we crash here, or within it, the note says what is missing.
        self.append(&batch.lines, &mut None);
        Ok(true)
    }

    /// Appends lines, however long that takes, or until it is told to stop.
    fn append(&mut self, lines: &[u8], skip: &mut Option<Skip>) {
        for (topic, mut records) in self.router.records(lines, self.parts.clock.now_ms()) {
            if let Some(skip) = skip {
                records.retain(|record| !skip.has(self.router.partition(topic, &record.key)));
            }
            loop {
                let before = self.router.ends(&*self.parts.log);
                let Err(e) = self.parts.log.append(topic, &records) else { break };
                // A first part of each partition's may be there.
                let mut there = Skip::new(&before, &self.router.ends(&*self.parts.log));
                records.retain(|record| !there.has(self.router.partition(topic, &record.key)));
                if !self.waits(&e) {
                    return;
                }
            }
        }
        *self.parts.control.waiting.lock() = None;
    }

    /// Waits a moment; false where it is told to stop.
    fn waits(&self, why: &dyn std::error::Error) -> bool {
        *self.parts.control.waiting.lock() = Some(crate::cli::chain(why));
        std::thread::sleep(AGAIN);
        !self.parts.control.stops()
    }

    fn take_stdin(&mut self) -> Result<bool, Error> {
        match self.config.stdin.as_ref().map(|Stdin(lines)| lines.try_recv()) {
            Some(Ok(Ok(lines))) if !lines.is_empty() => {
                self.append(&lines, &mut None);
                Ok(true)
            }
            Some(Ok(Err(e))) => Err(Error::Stdin(e)),
            // At its end what is there stays, and is served.
            _ => Ok(false),
        }
    }
}

impl Stdin {
    /// Begins to read.
    pub fn read() -> Stdin {
        let (send, lines) = bounded(2);
        std::thread::spawn(move || {
            let mut stdin = BufReader::with_capacity(64 << 10, std::io::stdin().lock());
            loop {
                let read = read_lines(&mut stdin, BATCH_BYTES, LINE_BYTES_MAX);
                let ended = !matches!(&read, Ok(lines) if !lines.is_empty());
                if send.send(read).is_err() || ended {
                    return;
                }
            }
        });
        Stdin(lines)
    }
}

/// Lines that are there now, at least one, about `batch` bytes; empty at the end. A line longer than `most` is cut short.
fn read_lines<R: Read>(from: &mut BufReader<R>, batch: usize, most: usize) -> std::io::Result<Vec<u8>> {
    let mut lines = vec![];
    loop {
        let start = lines.len();
        let read = from.by_ref().take(most as u64).read_until(b'\n', &mut lines)?;
        if read > 0 && lines.last() != Some(&b'\n') {
            if read == most {
                lines.truncate(start + TOO_LONG_BYTES.min(most));
                from.skip_until(b'\n')?;
            }
            lines.push(b'\n');
        }
        // What is not there yet may be long in coming.
        let more = lines.len() < batch && memchr::memchr(b'\n', from.buffer()).is_some();
        if read == 0 || !more {
            return Ok(lines);
        }
    }
}
