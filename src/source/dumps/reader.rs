//! Reads inputs one after another and hands out blocks.
//!
//! ```text
//!   buffer   [ taken | lines ... \n | part of a line | free ]
//!                    ^ at            ^ carried over  ^ filled
//! ```
//!
//! A buffer of nothing but ordinary lines is handed out itself; the part of a line after them is copied to the front of the
//! next, and that is all the copying there is. In a buffer with anything else the records are copied to [`Output`].
//!
//! # Invariants
//! 1. `line` and `offset` are those of `buffer[at]`.
//! 2. Outside a document, `buffer[at]` is the first byte of a line, but for its indentation.
//! 3. In a document, the buffer has all from the line on that reading would resume on. (See [`Document::resume`].)

use super::document::{Document, Fed, Resume};
use super::input::{self, Error, Input};
use super::lines::{self, Lines};
use super::output::Output;
use super::{Block, Limits, Places};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A longer line is read as a document, which needs no room for all of it.
const LINE_BYTES_MAX: usize = 1 << 20;

/// How often a byte may be read again for broken lines, on average: what a hostile file can cost.
const REREADS_MAX: u64 = 16;

/// Opens inputs one after another and gives their records in blocks. `-` is standard input.
pub struct Reader {
    inputs: Vec<PathBuf>,
    plain: Vec<bool>,
    left_out: Vec<bool>,
    next_input: usize,
    input: Option<Input>,
    limits: Limits,
    line_bytes_max: usize,
    consumed: Arc<AtomicU64>,
    buffer: Vec<u8>,
    filled: usize,
    at: usize,
    line: u64,
    offset: u64,
    /// The input has no more, and why where that is not its end.
    ended: bool,
    failed: Option<Error>,
    lines: Lines,
    document: Document,
    in_document: bool,
    output: Output,
    /// Bytes of this input read again so far.
    reread: u64,
}

impl Reader {
    /// Opens nothing yet; see [`Reader::check`].
    pub fn new(inputs: Vec<PathBuf>, limits: Limits) -> Self {
        let line_bytes_max = LINE_BYTES_MAX.min(limits.record_bytes_max);
        Reader {
            plain: vec![false; inputs.len()],
            left_out: vec![false; inputs.len()],
            inputs,
            next_input: 0,
            input: None,
            limits,
            line_bytes_max,
            consumed: Arc::default(),
            buffer: Vec::new(),
            filled: 0,
            at: 0,
            line: 1,
            offset: 0,
            ended: false,
            failed: None,
            lines: Lines::new(line_bytes_max),
            document: Document::new(limits),
            in_document: false,
            output: Output::new(limits.block_bytes, limits.record_bytes_max),
            reread: 0,
        }
    }

    /// Opens every input once, so that one that is missing, a directory or no dump is known before any work is done. Takes
    /// nothing from pipes.
    pub fn check(&self) -> Result<(), Error> {
        if self.inputs.iter().filter(|path| input::is_stdin(path)).count() > 1 {
            return Err(Error::StdinTwice);
        }
        self.inputs.iter().try_for_each(|path| input::check(path))
    }

    /// Leaves out the inputs before this one. Before the first block.
    pub fn start_at(&mut self, input: usize) {
        self.next_input = input.min(self.inputs.len());
        let bytes = self.inputs[..self.next_input].iter().filter_map(|path| input::size(path)).sum();
        self.consumed.store(bytes, Ordering::Relaxed);
    }

    /// Leaves out inputs for which this is true. Before the first block.
    pub fn leave_out(&mut self, out: impl Fn(usize) -> bool) {
        self.left_out = (0..self.inputs.len()).map(out).collect();
    }

    /// The next block, or none at the end of all inputs. `spare` is a spent block's buffer; give it back uncleared, since its length is
    /// room that need not be zeroed again.
    ///
    /// # Errors
    /// An input that could not be opened or read further. What was read before has been given, and the next call goes on with the
    /// next input.
    pub fn next(&mut self, mut spare: Option<Vec<u8>>) -> Result<Option<Block>, Error> {
        loop {
            if self.output.is_full() {
                return Ok(Some(self.take_output(spare)));
            }
            if self.input.is_none() && !self.open_next()? {
                return Ok(None);
            }
            if self.in_document {
                self.go_on_with_document()?;
                continue;
            }
            let whole = self.whole_lines();
            if whole == self.at {
                let part = &self.buffer[self.at..self.filled];
                if !self.ended && (part.len() > self.line_bytes_max || !lines::may_be_ordinary(part)) {
                    self.begin_document();
                } else if !self.ended {
                    self.fill(self.at)?;
                } else if !self.output.is_empty() {
                    return Ok(Some(self.take_output(spare)));
                } else {
                    self.close()?;
                }
                continue;
            }
            let run = self.lines.ordinary(&self.buffer[self.at..whole]);
            if run.bytes == 0 {
                self.begin_document();
            } else if self.at == 0 && run.bytes == whole {
                if !self.output.is_empty() {
                    return Ok(Some(self.take_output(spare)));
                }
                return Ok(Some(self.hand_out_buffer(whole, run.lines, spare.take())));
            } else {
                let bytes = &self.buffer[self.at..self.at + run.bytes];
                self.output.lines(bytes, self.line, self.offset);
                self.line += run.lines;
                self.advance(run.bytes);
            }
        }
    }

    /// Bytes taken from files and pipes so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }

    /// Bytes of all inputs that are read, on disk; none where a pipe is among them.
    pub fn bytes_total(&self) -> Option<u64> {
        self.inputs.iter().zip(&self.left_out).filter(|(_, out)| !**out).map(|(path, _)| input::size(path)).sum()
    }

    /// Whether the records of this input's [`Places::Lines`] blocks can be read again from the file, by offset. Known
    /// once a block of it has been given.
    pub fn input_is_plain(&self, input: u32) -> bool {
        self.plain.get(input as usize).copied().unwrap_or(false)
    }

    fn open_next(&mut self) -> Result<bool, Error> {
        while self.left_out.get(self.next_input) == Some(&true) {
            self.next_input += 1;
        }
        let Some(path) = self.inputs.get(self.next_input) else { return Ok(false) };
        self.next_input += 1;
        (self.filled, self.at, self.line, self.offset, self.reread) = (0, 0, 1, 0, 0);
        (self.ended, self.in_document) = (false, false);
        let input = self.input.insert(Input::open(path, &self.consumed)?);
        self.plain[self.next_input - 1] = input.is_plain_file;
        self.fill(0)?;
        let head = &self.buffer[..self.filled];
        if let Some(found) = self.input.as_ref().and_then(|input| input.misfit(head)) {
            self.input = None;
            self.failed = None;
            return Err(Error::Kind { path: self.inputs[self.next_input - 1].clone(), found });
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            self.advance(3);
        }
        Ok(true)
    }

    /// The input is at its end and all of it is given.
    fn close(&mut self) -> Result<(), Error> {
        self.input = None;
        self.failed.take().map_or(Ok(()), Err)
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.offset += bytes as u64;
    }

    /// End of the lines that are all there. The last line of an input may lack its line feed, unless the input broke off in it.
    fn whole_lines(&self) -> usize {
        if self.ended && self.failed.is_none() {
            return self.filled;
        }
        memchr::memrchr(b'\n', &self.buffer[self.at..self.filled]).map_or(self.at, |found| self.at + found + 1)
    }

    /// Reads more, after moving what is left from `keep` on to the front. What fills the buffer gets twice the room.
    fn fill(&mut self, keep: usize) -> Result<(), Error> {
        let Some(input) = &mut self.input else { return Ok(()) };
        self.buffer.copy_within(keep..self.filled, 0);
        (self.filled, self.at) = (self.filled - keep, self.at - keep);
        let room = self.limits.block_bytes.max(1);
        let most = if self.in_document { self.document.resume_bytes_max() as usize } else { self.line_bytes_max };
        let room = if self.filled < room { room } else { (2 * self.filled).min(most.saturating_add(room)).max(self.filled + 1) };
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        } else if self.buffer.len() > 2 * (self.line_bytes_max + room) {
            // One great document should not be paid for by all blocks that follow.
            self.buffer.truncate(room);
            self.buffer.shrink_to_fit();
        }
        while self.filled < room {
            match input.read(&mut self.buffer[self.filled..room]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.filled += read,
                Err(source) => {
                    self.ended = true;
                    self.failed = Some(Error::Read { path: input.path.clone(), offset: input.offset, source });
                }
            }
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    /// The buffer, up to `whole`, is the block; what is left of it starts the next.
    fn hand_out_buffer(&mut self, whole: usize, lines: u64, spare: Option<Vec<u8>>) -> Block {
        let mut next = spare.unwrap_or_default();
        let rest = self.filled - whole;
        if next.len() < rest {
            next.resize(rest, 0);
        }
        next[..rest].copy_from_slice(&self.buffer[whole..self.filled]);
        let mut bytes = std::mem::replace(&mut self.buffer, next);
        bytes.truncate(whole);
        let place = Places::Lines { line: self.line, offset: self.offset };
        (self.at, self.filled) = (0, rest);
        self.offset += whole as u64;
        self.line += lines;
        Block { input: self.input_index(), bytes, place, rejected: Vec::new() }
    }

    fn take_output(&mut self, spare: Option<Vec<u8>>) -> Block {
        self.output.take(self.input_index(), spare)
    }

    /// Bytes of room it has taken.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.buffer.capacity() + self.document.room() + self.output.room()
    }

    fn input_index(&self) -> u32 {
        self.next_input.saturating_sub(1) as u32
    }

    fn begin_document(&mut self) {
        self.document.begin(self.line, self.offset);
        self.in_document = true;
    }

    fn go_on_with_document(&mut self) -> Result<(), Error> {
        if self.at == self.filled {
            if !self.ended {
                let again = self.document.resume(self.offset).map_or(0, |resume| self.offset - resume.offset);
                return self.fill(self.filled - again as usize);
            }
            self.in_document = false;
            let resume = self.document.finish(self.offset, self.failed.is_none(), &mut self.output);
            self.line = self.document.line();
            if let Some(resume) = resume {
                self.resume(resume);
            }
            return Ok(());
        }
        let fed = self.document.feed(&self.buffer[self.at..self.filled], self.offset, &mut self.output);
        match fed {
            Fed::More => self.advance(self.filled - self.at),
            Fed::Full(used) => self.advance(used),
            Fed::Ended(used) => {
                self.line = self.document.line();
                self.advance(used);
                self.in_document = false;
            }
            Fed::EndedInLine(used) => {
                self.line = self.document.line();
                self.advance(used);
                self.begin_document();
            }
            Fed::Broken(used, resume) => {
                self.advance(used);
                self.in_document = false;
                self.resume(resume);
            }
        }
        Ok(())
    }

    /// Reads again from a line that was taken for a part of a document.
    fn resume(&mut self, resume: Resume) {
        let reached = self.offset;
        let again = (reached - resume.offset) as usize;
        self.at -= again;
        (self.line, self.offset) = (resume.line, resume.offset);
        self.reread += again as u64;
        if self.reread <= REREADS_MAX * reached + (1 << 20) {
            return;
        }
        // Then every line is taken by itself, and only the last is read again.
        let lines = &self.buffer[self.at..self.at + again];
        let lines = &lines[..memchr::memrchr(b'\n', lines).map_or(0, |end| end + 1)];
        self.output.lines(lines, self.line, self.offset);
        self.line += memchr::memchr_iter(b'\n', lines).count() as u64;
        self.advance(lines.len());
    }
}
