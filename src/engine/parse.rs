//! Parsing on the workers: a batch of raw records becomes versions, ignored records and dead letters.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use crossbeam_channel::Sender;
use eddy_schemas::control::DeadLetter;
use eddy_schemas::frame::Tally;
use eddy_schemas::parse::{self, Context, Parsed};
use eddy_schemas::{Place, Version, scrub};
use hashbrown::HashMap;

use super::batch::Raw;
use crate::clock::Clock;
use crate::forgotten::{Asked, Forgotten};
use crate::source::dumps::{Block, Places};
use crate::spool::Spool;

/// Bytes of a record that its dead letter keeps.
const RAW_BYTES_MAX: usize = 64 << 10;

/// What is known about the inputs that batches name by number.
pub struct Inputs {
    /// Path of a file, or `topic/partition`.
    pub names: Vec<String>,
    /// One a worker, for texts of inputs that cannot be read again (compressed, piped, cut out of documents). A spool is an input, too:
    /// with its number.
    pub spools: Vec<(u32, Arc<Spool>)>,
    /// Takes back the buffers of dumps' blocks.
    pub spares: Option<Sender<Vec<u8>>>,
    /// Tells ticks, and what is `future`.
    pub clock: Arc<dyn Clock>,
    /// Whose records are ignored.
    pub forgotten: Arc<Forgotten>,
}

/// One worker's parser.
pub struct Parser {
    records: parse::Parser,
    asked: Asked,
    desk: Desk,
}

/// What a worker does with records besides parsing them.
struct Desk {
    inputs: Arc<Inputs>,
    worker: usize,
    done: Done,
}

/// What became of a batch's records, besides the versions.
#[derive(Default)]
pub struct Done {
    /// What was read, ignored and dead.
    pub tally: Tally,
    pub letters: Vec<DeadLetter>,
}

/// Where a record stood: for its dead letter.
struct Stand {
    input: u32,
    line: u64,
    offset: u64,
}

/// The reason of a record by a forgotten user.
const FORGOTTEN: &str = "forgotten";

/// What a dead letter may keep of a record: what `eddy forget` would leave of it, of all who are forgotten. None: nothing, since one of them wrote it.
fn without<'a>(raw: &'a [u8], forgotten: &Forgotten) -> Option<Cow<'a, [u8]>> {
    if forgotten.is_empty() {
        return Some(Cow::Borrowed(raw));
    }
    if scrub::author(raw).is_some_and(|author| forgotten.has(&author)) {
        return None;
    }
    let kept = &raw[..raw.len().min(RAW_BYTES_MAX)];
    let mut scrubbed = None;
    for person in scrub::named(kept).into_iter().filter(|person| forgotten.has(&person.key())) {
        scrubbed = scrub::scrub(scrubbed.as_deref().unwrap_or(kept), &person).or(scrubbed);
        if scrubbed.as_deref() == Some(scrub::FORGOTTEN) {
            return None;
        }
    }
    Some(scrubbed.map_or(Cow::Borrowed(raw), Cow::Owned))
}

/// Reasons and how often.
type Ignored = HashMap<Cow<'static, str>, u64, foldhash::fast::FixedState>;

impl Parser {
    pub fn new(inputs: Arc<Inputs>, worker: usize) -> Self {
        Parser { records: parse::Parser::default(), asked: Asked::default(), desk: Desk { inputs, worker, done: Done::default() } }
    }

    /// Reads a batch. Every record is counted as read, and comes out in one of three ways.
    pub fn batch(&mut self, batch: Raw, mut out: impl FnMut(Version)) -> Done {
        let mut ignored = Ignored::default();
        let now = self.desk.inputs.clock.now_s();
        match batch {
            Raw::Dump { block, rereadable, .. } => self.block(block, rereadable, now, &mut ignored, &mut out),
            Raw::Log { input, records } => {
                for record in &records {
                    let stand = Stand { input, line: 0, offset: record.offset };
                    let context = Context { place: Place::new(input, record.offset), received_at_ms: Some(record.received_at_ms), now };
                    self.record(&record.value, &stand, &context, false, &mut ignored, &mut out);
                }
            }
        }
        if let Some((_, spool)) = self.desk.inputs.spools.get(self.desk.worker) {
            spool.hand_on();
        }
        let mut done = std::mem::take(&mut self.desk.done);
        done.tally.ignored = ignored.into_iter().map(|(reason, count)| (reason.into_owned(), count)).collect();
        done
    }

    fn block(&mut self, block: Block, rereadable: bool, now: i64, ignored: &mut Ignored, out: &mut impl FnMut(Version)) {
        let Block { input, bytes, place, rejected } = block;
        for record in rejected {
            self.desk.done.tally.read += 1;
            let stand = Stand { input, line: record.line, offset: record.offset };
            self.desk.dead(&record.raw, record.raw_bytes, record.reason.into(), &stand, ignored);
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
            self.record(raw, &Stand { input, line, offset }, &context, !rereadable, ignored, out);
        }
        if let Some(spares) = &self.desk.inputs.spares {
            // The reader has enough buffers, or has ended: then this one is freed.
            let _ = spares.try_send(bytes);
        }
    }

    /// `spool`: the text cannot be read again where it stands.
    fn record(&mut self, raw: &[u8], stand: &Stand, context: &Context, spool: bool, ignored: &mut Ignored, out: &mut impl FnMut(Version)) {
        self.desk.done.tally.read += 1;
        match self.records.parse(raw, context) {
            Parsed::Version(version, _) if self.asked.has(&self.desk.inputs.forgotten, version.user) => {
                *ignored.entry(FORGOTTEN.into()).or_default() += 1;
            }
            Parsed::Version(mut version, text) => {
                if let Some(text) = text.filter(|_| spool) {
                    version.place = self.desk.spooled(&text);
                }
                out(version);
            }
            Parsed::Ignored(reason) => *ignored.entry(reason).or_default() += 1,
            Parsed::Dead(reason) => self.desk.dead(raw, raw.len() as u64, reason, stand, ignored),
        }
    }
}

impl Desk {
    fn spooled(&self, text: &str) -> Place {
        let (number, spool) = &self.inputs.spools[self.worker];
        Place::new(*number, spool.push(text))
    }

    /// A record that could not be read. What a forgotten user wrote must not be kept as a dead letter either.
    fn dead(&mut self, raw: &[u8], raw_bytes: u64, reason: Cow<'static, str>, stand: &Stand, ignored: &mut Ignored) {
        match without(raw, &self.inputs.forgotten) {
            Some(left) => self.dead_letter(stand, reason, &left, raw_bytes),
            None => *ignored.entry(FORGOTTEN.into()).or_default() += 1,
        }
    }

    fn dead_letter(&mut self, stand: &Stand, reason: Cow<'static, str>, raw: &[u8], raw_bytes: u64) {
        *self.done.tally.dead.entry(reason.clone().into_owned()).or_default() += 1;
        let kept = &raw[..raw.len().min(RAW_BYTES_MAX)];
        // A cut in the middle of a character is no reason for base64.
        let text = match std::str::from_utf8(kept) {
            Ok(text) => Some(text),
            Err(e) if e.error_len().is_none() && kept.len() < raw.len() => std::str::from_utf8(&kept[..e.valid_up_to()]).ok(),
            Err(_) => None,
        };
        self.done.letters.push(DeadLetter {
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
