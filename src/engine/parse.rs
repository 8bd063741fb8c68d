//! Parsing on the workers: a batch of raw records becomes versions, ignored records and dead letters.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use base64::Engine as _;
use crossbeam_channel::Sender;
use eddy_schemas::control::DeadLetter;
use eddy_schemas::parse::{self, Context, Parsed};
use eddy_schemas::{Place, Version};
use hashbrown::HashMap;

use super::{Batch, Counts};
use crate::clock::Clock;
use crate::source::dumps::{Block, Places};
use crate::spool::Spool;

/// Bytes of a record that its dead letter keeps.
const RAW_BYTES_MAX: usize = 64 << 10;

/// What is known about the inputs that batches name by number.
pub struct Inputs {
    /// Path of a file, or `topic/partition`.
    pub names: Vec<String>,
    /// One a worker, for texts of inputs that cannot be read again (compressed, piped, cut out of documents).
    pub spools: Vec<Arc<Spool>>,
    /// Takes back the buffers of dumps' blocks.
    pub spares: Option<Sender<Vec<u8>>>,
    /// Tells ticks, and what is `future`.
    pub clock: Arc<dyn Clock>,
}

/// One worker's parser.
pub struct Parser {
    records: parse::Parser,
    desk: Desk,
}

/// What a worker does with records besides parsing them.
struct Desk {
    inputs: Arc<Inputs>,
    worker: usize,
    counts: Arc<Counts>,
    dead: Box<dyn Fn(DeadLetter)>,
}

/// Where a record stood: for its dead letter.
struct Stand {
    input: u32,
    line: u64,
    offset: u64,
}

/// Counts of one batch, added to the shared ones at its end.
#[derive(Default)]
struct Tally {
    read: u64,
    ignored: HashMap<Cow<'static, str>, u64, foldhash::fast::FixedState>,
}

impl Parser {
    pub fn new(inputs: Arc<Inputs>, worker: usize, counts: Arc<Counts>, dead: Box<dyn Fn(DeadLetter)>) -> Self {
        Parser { records: parse::Parser::default(), desk: Desk { inputs, worker, counts, dead } }
    }

    /// Reads a batch. Every record is counted as read, and comes out in one of three ways.
    pub fn batch(&mut self, batch: Batch, mut out: impl FnMut(Version)) {
        let mut tally = Tally::default();
        let now = self.desk.inputs.clock.now_s();
        match batch {
            Batch::Dump { block, rereadable } => self.block(block, rereadable, now, &mut tally, &mut out),
            Batch::Log { input, records } => {
                for record in &records {
                    let stand = Stand { input, line: 0, offset: record.offset };
                    let context = Context { place: Place::new(input, record.offset), received_at_ms: Some(record.received_at_ms), now };
                    self.record(&record.value, &stand, &context, false, &mut tally, &mut out);
                }
            }
        }
        self.desk.counts.read.fetch_add(tally.read, Relaxed);
        tally.ignored.into_iter().for_each(|(reason, count)| self.desk.counts.ignore(reason, count));
    }

    fn block(&mut self, block: Block, rereadable: bool, now: i64, tally: &mut Tally, out: &mut impl FnMut(Version)) {
        let Block { input, bytes, place, rejected } = block;
        for record in rejected {
            tally.read += 1;
            let stand = Stand { input, line: record.line, offset: record.offset };
            self.desk.dead_letter(&stand, record.reason.into(), &record.raw, record.raw_bytes);
        }
        let rereadable = rereadable && matches!(place, Places::Lines { .. });
        let (mut start, mut number) = (0, 0);
        while start < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
            let raw = &bytes[start..end];
            let (line, offset) = match &place {
                Places::Lines { line, offset } => (line + number as u64, offset + start as u64),
                Places::Each(places) => places[number],
            };
            number += 1;
            start = end + 1;
            if raw.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let place = if rereadable { Place::new(input, offset) } else { Place::default() };
            let context = Context { place, received_at_ms: None, now };
            self.record(raw, &Stand { input, line, offset }, &context, !rereadable, tally, out);
        }
        if let Some(spares) = &self.desk.inputs.spares {
            // The reader has enough buffers, or has ended: then this one is freed.
            let _ = spares.try_send(bytes);
        }
    }

    /// `spool`: the text cannot be read again where it stands.
    fn record(&mut self, raw: &[u8], stand: &Stand, context: &Context, spool: bool, tally: &mut Tally, out: &mut impl FnMut(Version)) {
        tally.read += 1;
        match self.records.parse(raw, context) {
            Parsed::Version(mut version, text) => {
                if let Some(text) = text.filter(|_| spool) {
                    version.place = self.desk.spooled(&text);
                }
                out(version);
            }
            Parsed::Ignored(reason) => *tally.ignored.entry(reason).or_default() += 1,
            Parsed::Dead(reason) => self.desk.dead_letter(stand, reason, raw, raw.len() as u64),
        }
    }
}

impl Desk {
    fn spooled(&self, text: &str) -> Place {
        // Spools are inputs, too: numbered after the files.
        Place::new((self.inputs.names.len() + self.worker) as u32, self.inputs.spools[self.worker].push(text))
    }

    fn dead_letter(&self, stand: &Stand, reason: Cow<'static, str>, raw: &[u8], raw_bytes: u64) {
        self.counts.dead(reason.clone());
        let kept = &raw[..raw.len().min(RAW_BYTES_MAX)];
        // A cut in the middle of a character is no reason for base64.
        let text = match std::str::from_utf8(kept) {
            Ok(text) => Some(text),
            Err(e) if e.error_len().is_none() && kept.len() < raw.len() => std::str::from_utf8(&kept[..e.valid_up_to()]).ok(),
            Err(_) => None,
        };
        (self.dead)(DeadLetter {
            file: self.inputs.names[stand.input as usize].clone(),
            line: stand.line,
            offset: stand.offset,
            reason: reason.into_owned(),
            raw_base64: text.is_none(),
            raw: text.map_or_else(|| base64::engine::general_purpose::STANDARD.encode(kept), str::to_owned),
            raw_bytes,
        });
    }
}
