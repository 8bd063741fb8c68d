//! A frame: what one worker decided in one tick. The unit of the durable state.
//!
//! ```text
//!   format 3 | tick 8 | worker, of workers | more 1 | binding | time | greatest | tally | dead letters | rows          lengths and counts: varints
//!   time: 0 none, 1 watermark, 2 watermark, sealed before          greatest: (partition, created_at) of what the worker read
//!   tally: read, applied, stale, repeated, then (count, reason) of what was ignored, then of what was dead
//! ```
//!
//! Rows that are too many for one frame stand in several: `more` follow all but the last, which says the rest of the above; in those before it
//! that is empty. Formats 1 and 2 have no `more`, format 1 has neither time nor greatest.
//!
//! A tick counts once the last frames of all its workers are there. Its *binding*, what it was made from (offsets), stands in the
//! first worker's frame; what it means is the driver's affair.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::control::DeadLetter;
use crate::stored::{self, Malformed, Reader, slice};

/// Of the bytes below. A reader refuses what is newer.
pub const FORMAT: u8 = 3;

/// What happened to the records that one worker read in one tick.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    pub read: u64,
    pub applied: u64,
    pub stale: u64,
    pub repeated: u64,
    /// By reason, without stale and repeated.
    pub ignored: BTreeMap<String, u64>,
    pub dead: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.read += other.read;
        self.applied += other.applied;
        self.stale += other.stale;
        self.repeated += other.repeated;
        for (to, from) in [(&mut self.ignored, &other.ignored), (&mut self.dead, &other.dead)] {
            from.iter().for_each(|(reason, count)| *to.entry(reason.clone()).or_default() += count);
        }
    }
}

/// Event time at the end of a tick, seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Time {
    /// Up to which records were taken to be in.
    pub watermark: i64,
    /// What was created before was sealed.
    pub sealed_before: Option<i64>,
}

/// A frame without its rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    pub tick: u64,
    pub worker: u32,
    pub workers: u32,
    /// The worker's next frame is of this tick, too.
    pub more: bool,
    pub binding: String,
    /// What the tick decided of event time: a reader takes it as it is. None: there was none yet, or it was not kept (format 1).
    pub time: Option<Time>,
    /// The greatest created_at that the worker read of each partition; none: it was not kept (format 1).
    pub greatest: Option<BTreeMap<u32, i64>>,
    pub tally: Tally,
    pub letters: Vec<DeadLetter>,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    #[error("format {found} is newer than {FORMAT}, which this eddy reads: use a newer eddy")]
    Newer { found: u8 },
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Head {
    /// Of a frame that is not the worker's last of the tick.
    pub fn part(tick: u64, worker: u32, workers: u32) -> Head {
        Head { tick, worker, workers, more: true, greatest: Some(BTreeMap::new()), ..Head::default() }
    }

    /// Appends the head; rows ([`stored::version`]) follow it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.tick.to_le_bytes());
        stored::varint(self.worker.into(), out);
        stored::varint(self.workers.into(), out);
        out.push(self.more.into());
        slice(self.binding.as_bytes(), out);
        let (watermark, sealed) = (self.time.map(|time| time.watermark), self.time.and_then(|time| time.sealed_before));
        let times = [watermark, sealed];
        out.push(times.iter().flatten().count() as u8);
        times.into_iter().flatten().for_each(|at| stored::varint(stored::zigzag(at), out));
        let greatest = self.greatest.iter().flatten();
        stored::varint(greatest.clone().count() as u64, out);
        for (partition, at) in greatest {
            stored::varint((*partition).into(), out);
            stored::varint(stored::zigzag(*at), out);
        }
        let tally = &self.tally;
        for count in [tally.read, tally.applied, tally.stale, tally.repeated] {
            stored::varint(count, out);
        }
        for reasons in [&tally.ignored, &tally.dead] {
            stored::varint(reasons.len() as u64, out);
            for (reason, count) in reasons {
                stored::varint(*count, out);
                slice(reason.as_bytes(), out);
            }
        }
        stored::varint(self.letters.len() as u64, out);
        for letter in &self.letters {
            slice(&serde_json::to_vec(letter).expect("a dead letter is JSON"), out);
        }
    }

    /// Reads the head; gives it with the bytes of the rows.
    pub fn decode(bytes: &[u8]) -> Result<(Head, &[u8]), Error> {
        let mut reader = Reader::new(bytes);
        let format = match reader.byte()? {
            0 => return Err(Malformed.into()),
            found if found > FORMAT => return Err(Error::Newer { found }),
            known => known,
        };
        let tick = u64::from_le_bytes(reader.bytes()?);
        let mut small = || reader.varint().and_then(|n| u32::try_from(n).map_err(|_| Malformed));
        let (worker, workers) = (small()?, small()?);
        if worker >= workers {
            return Err(Malformed.into());
        }
        let more = match format {
            1 | 2 => 0,
            _ => reader.byte()?,
        };
        if more > 1 {
            return Err(Malformed.into());
        }
        let binding = reader.text()?.to_owned();
        let (time, greatest) = if format == 1 { (None, None) } else { (time(&mut reader)?, Some(greatest(&mut reader)?)) };
        let (read, applied, stale, repeated) = (reader.varint()?, reader.varint()?, reader.varint()?, reader.varint()?);
        let mut reasons = || -> Result<BTreeMap<String, u64>, Malformed> {
            let reasons = 0..reader.varint()?;
            reasons.map(|_| reader.varint().and_then(|count| Ok((reader.text()?.to_owned(), count)))).collect()
        };
        let tally = Tally { read, applied, stale, repeated, ignored: reasons()?, dead: reasons()? };
        let letters = reader.varint()?;
        let letter = |_| serde_json::from_slice(reader.slice()?).map_err(|_| Malformed);
        let letters = (0..letters).map(letter).collect::<Result<_, _>>()?;
        let rows = reader.rest();
        Ok((Head { tick, worker, workers, more: more == 1, binding, time, greatest, tally, letters }, rows))
    }
}

fn time(reader: &mut Reader) -> Result<Option<Time>, Malformed> {
    match reader.byte()? {
        0 => Ok(None),
        1 => Ok(Some(Time { watermark: reader.number()?, sealed_before: None })),
        2 => Ok(Some(Time { watermark: reader.number()?, sealed_before: Some(reader.number()?) })),
        _ => Err(Malformed),
    }
}

fn greatest(reader: &mut Reader) -> Result<BTreeMap<u32, i64>, Malformed> {
    let partitions = 0..reader.varint()?;
    let mut one = || Ok((u32::try_from(reader.varint()?).map_err(|_| Malformed)?, reader.number()?));
    partitions.map(|_| one()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::parse::known::Known;
    use crate::parse::{Context, Parsed, parse};
    use crate::{Place, Version};

    fn golden_head() -> Head {
        let reasons = |reasons: &[(&str, u64)]| reasons.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
        let letter = DeadLetter {
            file: "RC_2005-12.zst".into(),
            line: 7,
            offset: 4_321,
            reason: "json".into(),
            raw: "{\"id\":".into(),
            raw_base64: false,
            raw_bytes: 6,
        };
        Head {
            tick: 1_735_689_600_123,
            worker: 1,
            workers: 300,
            more: false,
            binding: "{\"input\":2}".into(),
            time: Some(Time { watermark: 1_135_000_000, sealed_before: Some(-60) }),
            greatest: Some(BTreeMap::from([(0, 1_135_000_007), (70_000, -5)])),
            tally: Tally {
                read: 1_000,
                applied: 900,
                stale: 40,
                repeated: 30,
                ignored: reasons(&[("kind:more", 20), ("service", 9)]),
                dead: reasons(&[("json", 1)]),
            },
            letters: vec![letter],
        }
    }

    /// What `golden/` has of records, as versions.
    fn golden_versions() -> Vec<Version> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let context = Context { place: Place::new(3, 77), received_at_ms: None, now: 1_800_000_000 };
        let records =
            ["reddit", "telegram", "export"].map(|name| std::fs::read(folder.join(format!("{name}.ndjson"))).expect("golden records"));
        let version = |line: &[u8]| match parse(line, &context) {
            Parsed::Version(version, _) => Some(version),
            Parsed::Ignored(_) | Parsed::Dead(_) => None,
        };
        records.iter().flat_map(|records| records.split(|byte| *byte == b'\n')).filter_map(version).collect()
    }

    fn golden(format: u8) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/frame.{format}.bin"))
    }

    fn reads(format: u8, head: &Head, versions: &[Version]) {
        let golden = std::fs::read(golden(format)).expect("a golden frame");
        let (read, rest) = Head::decode(&golden).expect("the golden frame is a frame");
        assert_eq!(read, *head);
        let (mut known, mut rows) = (Known::new(), Reader::new(rest));
        versions.iter().for_each(|version| assert_eq!(rows.version(&mut known), Ok(*version)));
        assert!(rows.is_empty());
    }

    /// What was written once must be read, for ever. A new format is a new file beside it.
    #[test]
    fn golden_frames_are_read() {
        let (head, versions) = (golden_head(), golden_versions());
        // Format 1 did not always say whether a version asks.
        let before: Vec<_> = versions.iter().map(|version| Version { asks: false, ..*version }).collect();
        reads(1, &Head { time: None, greatest: None, ..head.clone() }, &before);
        reads(2, &head, &versions);
        reads(3, &head, &versions);
    }

    #[test]
    fn the_golden_frame_is_written() {
        let (head, versions) = (golden_head(), golden_versions());
        let mut bytes = vec![];
        head.encode(&mut bytes);
        versions.iter().for_each(|version| stored::version(version, &mut bytes));
        if std::env::var_os("EDDY_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(golden(FORMAT), &bytes).expect("a golden frame written");
        }
        assert_eq!(bytes, std::fs::read(golden(FORMAT)).expect("a golden frame"));
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = vec![];
        golden_head().encode(&mut bytes);
        (0..bytes.len()).for_each(|end| assert_eq!(Head::decode(&bytes[..end]), Err(Error::Malformed(Malformed)), "cut at {end}"));
        bytes[0] = FORMAT + 1;
        assert_eq!(Head::decode(&bytes), Err(Error::Newer { found: FORMAT + 1 }));
    }
}
