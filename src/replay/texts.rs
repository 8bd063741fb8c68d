//! Texts of a replay: from the plain files where they stand, else from the spools.
//!
//! # Invariants
//! 1. A text comes from the file that was read, not from one that took its name since.
//! 2. At most [`FILES_OPEN_MAX`] files are open, however many there are.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use eddy_schemas::Place;
use eddy_schemas::parse::{Context, Parser};
use parking_lot::Mutex;

use super::INPUTS_MAX;
use crate::spool::Spool;
use crate::texts::{Error, Texts};

/// Bytes read at first; most records are shorter.
const READ_BYTES: usize = 4 << 10;

/// Texts whose records begin at most this far apart are read together, since a look at the file costs as much as so many bytes of it,
const GAP_BYTES: u64 = 8 << 10;
/// and so many bytes at once, which stay in a core's own cache.
const RUN_BYTES: u64 = 256 << 10;

/// Files that stay open; the shell's usual limit is 1,024. Past it a text costs an open and a close.
const FILES_OPEN_MAX: usize = 256;

/// A buffer that grew beyond this for one long record is given back.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

thread_local! {
    /// What one thread reads with.
    static READING: RefCell<Reading> = RefCell::default();
}

#[derive(Default)]
struct Reading {
    parser: Parser,
    /// Records that lie close to one another.
    buffer: Vec<u8>,
    /// A record that is not whole there.
    line: Vec<u8>,
}

/// Inputs by number: the files from 0 on, spools from the last number down.
pub struct ReplayTexts {
    files: Vec<Plain>,
    /// The file whose number is n stays in slot n % FILES_OPEN_MAX until another takes it.
    open: Vec<Mutex<Option<(usize, Arc<File>)>>>,
    spools: Vec<Arc<Spool>>,
    /// The first text that could not be read: whoever asked for it may have gone on without.
    failed: Mutex<Option<String>>,
}

struct Plain {
    path: PathBuf,
    /// What it was when its reading began.
    begun: OnceLock<Seen>,
}

/// What tells a file from another, and from itself after a change.
#[derive(Clone, Copy, PartialEq)]
struct Seen {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Seen {
    fn of(meta: &Metadata) -> Self {
        Seen { device: meta.dev(), inode: meta.ino(), bytes: meta.len(), modified: meta.modified().ok() }
    }

    /// Whether what was read of it is still there: as it was, or with more at its end.
    fn holds(&self, now: &Seen) -> bool {
        (self.device, self.inode) == (now.device, now.inode) && (self == now || now.bytes > self.bytes)
    }
}

fn changed(path: &std::path::Path) -> io::Error {
    io::Error::other(format!("{} was changed while it was read: run it again", path.display()))
}

/// The number among inputs of the n-th spool.
pub fn input_of_spool(n: usize) -> u32 {
    (INPUTS_MAX - 1 - n) as u32
}

impl ReplayTexts {
    pub fn new(files: Vec<PathBuf>, spools: Vec<Arc<Spool>>) -> Self {
        let open = (0..files.len().min(FILES_OPEN_MAX)).map(|_| Mutex::new(None)).collect();
        let files = files.into_iter().map(|path| Plain { path, begun: OnceLock::new() }).collect();
        ReplayTexts { files, open, spools, failed: Mutex::new(None) }
    }

    /// The reading of this input has begun: from now on it has to stay what it is.
    pub fn begin(&self, input: usize) {
        if self.files[input].begun.get().is_none() {
            // Who needs a text of it and cannot open it either says so.
            if let Ok(file) = self.file(input) {
                let _ = file.metadata().map(|meta| self.files[input].begun.set(Seen::of(&meta)));
            }
        }
    }

    /// Every text that was asked for was there, and the files are still what they were when they were read.
    pub fn check(&self) -> io::Result<()> {
        if let Some(what) = &*self.failed.lock() {
            return Err(io::Error::other(what.clone()));
        }
        for (input, plain) in self.files.iter().enumerate() {
            let Some(begun) = plain.begun.get() else { continue };
            let now = self.file(input).and_then(|file| file.metadata());
            let now = now.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", plain.path.display())))?;
            if !begun.holds(&Seen::of(&now)) {
                return Err(changed(&plain.path));
            }
        }
        Ok(())
    }

    fn file(&self, input: usize) -> io::Result<Arc<File>> {
        let mut slot = self.open[input % FILES_OPEN_MAX].lock();
        if let Some((number, file)) = &*slot
            && *number == input
        {
            return Ok(Arc::clone(file));
        }
        let plain = &self.files[input];
        let file = Arc::new(File::open(&plain.path)?);
        if let Some(begun) = plain.begun.get() {
            let now = Seen::of(&file.metadata()?);
            if !begun.holds(&now) {
                return Err(changed(&plain.path));
            }
        }
        *slot = Some((input, Arc::clone(&file)));
        Ok(file)
    }

    /// Reads so many bytes from `place` on, or to the file's end; gives how many.
    fn fill(&self, place: Place, length: usize, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let file = self.file(place.input() as usize)?;
        buffer.resize(buffer.len().max(length), 0);
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut buffer[filled..length], place.offset() + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    /// Reads the line at `place`, however long it is; gives its length.
    fn line(&self, place: Place, line: &mut Vec<u8>) -> io::Result<usize> {
        let mut length = READ_BYTES;
        loop {
            let filled = self.fill(place, length, line)?;
            let end = memchr::memchr(b'\n', &line[..filled]);
            if filled < length || end.is_some() {
                return Ok(end.unwrap_or(filled));
            }
            length *= 2;
        }
    }
}

impl ReplayTexts {
    fn failed(&self, place: Place, what: String) -> Error {
        self.failed.lock().get_or_insert_with(|| what.clone());
        Error { place, what }
    }

    /// The text of a record that was one when it was first read.
    fn text_of<'a>(&self, place: Place, raw: &'a [u8], parser: &'a mut Parser) -> Result<Cow<'a, str>, Error> {
        // It was read once already, when it was not from the future.
        let context = Context { place, received_at_ms: None, now: i64::MAX / 2 };
        let path = &self.files[place.input() as usize].path;
        parser.text(raw, &context).ok_or_else(|| self.failed(place, changed(path).to_string()))
    }

    /// Reads texts of one file that lie close to one another, in the order of their places, with one look at the file.
    fn run(&self, run: &[(Place, usize)], reading: &mut Reading, each: &mut dyn FnMut(usize, &str)) -> Result<(), Error> {
        let Reading { parser, buffer, line } = reading;
        let (first, last) = (run[0].0, run[run.len() - 1].0);
        let length = (last.offset() - first.offset()) as usize + READ_BYTES;
        let filled = self.fill(first, length, buffer).map_err(|e| self.failed(first, e.to_string()))?;
        for &(place, number) in run {
            let start = ((place.offset() - first.offset()) as usize).min(filled);
            let raw = match memchr::memchr(b'\n', &buffer[start..filled]) {
                Some(bytes) => &buffer[start..start + bytes],
                None => {
                    let length = self.line(place, line).map_err(|e| self.failed(place, e.to_string()))?;
                    &line[..length]
                }
            };
            each(number, &self.text_of(place, raw, parser)?);
        }
        Ok(())
    }
}

impl Texts for ReplayTexts {
    fn text(&self, place: Place) -> Result<String, Error> {
        let mut text = String::new();
        self.texts(&[place], &mut |_, read| text.push_str(read))?;
        Ok(text)
    }

    fn texts(&self, places: &[Place], each: &mut dyn FnMut(usize, &str)) -> Result<(), Error> {
        let mut order: Vec<(Place, usize)> = places.iter().enumerate().map(|(number, place)| (*place, number)).collect();
        order.sort_unstable();
        READING.with_borrow_mut(|reading| {
            let mut rest = &order[..];
            while let Some(&(first, number)) = rest.first() {
                let input = first.input() as usize;
                let mut run = 1;
                if input < self.files.len() {
                    // Spools are numbered after the files, so a place that is close is in the same file.
                    let close = |pair: &[(Place, usize)]| pair[1].0.0 - pair[0].0.0 <= GAP_BYTES && pair[1].0.0 - first.0 <= RUN_BYTES;
                    run += rest.windows(2).take_while(|pair| close(pair)).count();
                    self.run(&rest[..run], reading, each)?;
                } else {
                    let text = self.spools[INPUTS_MAX - 1 - input].read(first.offset());
                    each(number, &text.map_err(|e| self.failed(first, e.to_string()))?);
                }
                rest = &rest[run..];
            }
            if reading.line.len() > BUFFER_BYTES_KEPT {
                reading.line = vec![];
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn texts_read_together_are_those_read_one_by_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut places, mut texts, mut paths) = (vec![], vec![], vec![]);
        for input in 0..2 {
            let path = folder.path().join(format!("{input}.ndjson"));
            let mut file = File::create(&path).expect("room");
            let mut offset = 0;
            for n in 0..600usize {
                // Short ones, some longer than a first read, and one longer than all that is read at once.
                let length = [40, 900, 5_000, 12_000][n % 4] + if n == 300 { 2 * RUN_BYTES as usize } else { 0 };
                let text = format!("{input}.{n} \u{e9}\n").repeat(1 + length / 8);
                let mut line = serde_json::json!({"id": "c1", "link_id": "t3_s", "created_utc": 1, "body": text}).to_string();
                if (input, n) != (1, 599) {
                    line.push('\n');
                }
                file.write_all(line.as_bytes()).expect("room");
                places.push(Place::new(input, offset));
                texts.push(text);
                offset += line.len() as u64;
            }
            paths.push(path);
        }
        let all = ReplayTexts::new(paths, vec![]);
        // Every third, from all over; some twice.
        let asked: Vec<usize> = (0..places.len()).map(|n| n * 7919 % places.len() / 3 * 3).collect();
        let asked_places: Vec<Place> = asked.iter().map(|n| places[*n]).collect();
        let mut found = vec![None; asked.len()];
        all.texts(&asked_places, &mut |number, text| assert!(found[number].replace(text.to_owned()).is_none())).expect("texts");
        for (n, found) in asked.iter().zip(found) {
            assert_eq!(found.as_ref(), Some(&texts[*n]), "text {n}");
        }
        assert!(places.iter().zip(&texts).all(|(place, text)| all.text(*place).expect("a text") == *text));
        // A place that is no record's is an error, and stays one.
        assert!(all.text(Place::new(0, 3)).is_err() && all.check().is_err());
    }
}
