//! A frame: what one worker decided in one tick. The unit of the durable state.
//!
//! ```text
//!   format 1 | tick 8 | worker, of workers | binding | tally | dead letters | rows          lengths and counts: varints
//!   tally: read, applied, stale, repeated, then (count, reason) of what was ignored, then of what was dead
//! ```
//!
//! A tick counts once the frames of all its workers are there. Its *binding*, what it was made from (offsets), stands in the
//! first worker's frame; what it means is the driver's affair.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::control::DeadLetter;
use crate::stored::{self, Malformed, Reader, slice};

/// Of the bytes below. A reader refuses what is newer.
pub const FORMAT: u8 = 1;

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

/// A frame without its rows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    pub tick: u64,
    pub worker: u32,
    pub workers: u32,
    pub binding: String,
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
    /// Appends the head; rows ([`stored::version`]) follow it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        out.extend_from_slice(&self.tick.to_le_bytes());
        stored::varint(self.worker.into(), out);
        stored::varint(self.workers.into(), out);
        slice(self.binding.as_bytes(), out);
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
        match reader.byte()? {
            FORMAT => {}
            found if found > FORMAT => return Err(Error::Newer { found }),
            _ => return Err(Malformed.into()),
        }
        let tick = u64::from_le_bytes(reader.bytes()?);
        let mut small = || reader.varint().and_then(|n| u32::try_from(n).map_err(|_| Malformed));
        let (worker, workers) = (small()?, small()?);
        if worker >= workers {
            return Err(Malformed.into());
        }
        let binding = reader.text()?.to_owned();
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
        Ok((Head { tick, worker, workers, binding, tally, letters }, rows))
    }
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
            binding: "{\"input\":2}".into(),
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

    /// What `golden/` has of records, as versions: those of format 1 did not always say whether they ask.
    fn golden_versions() -> Vec<Version> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        let context = Context { place: Place::new(3, 77), received_at_ms: None, now: 1_800_000_000 };
        let records =
            ["reddit", "telegram", "export"].map(|name| std::fs::read(folder.join(format!("{name}.ndjson"))).expect("golden records"));
        let version = |line: &[u8]| match parse(line, &context) {
            Parsed::Version(version, _) => Some(Version { asks: false, ..version }),
            Parsed::Ignored(_) | Parsed::Dead(_) => None,
        };
        records.iter().flat_map(|records| records.split(|byte| *byte == b'\n')).filter_map(version).collect()
    }

    /// Format 1, for ever: what was written once must be read. A new format is a new file beside it.
    #[test]
    fn the_golden_frame_is_read_and_written() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/frame.1.bin");
        let (head, versions) = (golden_head(), golden_versions());
        let mut bytes = vec![];
        head.encode(&mut bytes);
        versions.iter().for_each(|version| stored::version(version, &mut bytes));
        if std::env::var_os("EDDY_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&path, &bytes).expect("a golden frame written");
        }
        let golden = std::fs::read(&path).expect("a golden frame");
        let (read, rest) = Head::decode(&golden).expect("the golden frame is a frame");
        assert_eq!(read, head);
        let (mut known, mut rows) = (Known::new(), Reader::new(rest));
        versions.iter().for_each(|version| assert_eq!(rows.version(&mut known), Ok(*version)));
        assert!(rows.is_empty());
        assert_eq!(bytes, golden);
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = vec![];
        golden_head().encode(&mut bytes);
        (0..bytes.len()).for_each(|end| assert_eq!(Head::decode(&bytes[..end]), Err(Error::Malformed(Malformed)), "cut at {end}"));
        bytes[0] = FORMAT + 1;
        assert_eq!(Head::decode(&bytes), Err(Error::Newer { found: 2 }));
    }
}
