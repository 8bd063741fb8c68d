//! What comes out of the reader, whatever the bytes and wherever they are split.

mod archives;
mod bounds;
mod broken;
mod documents;
mod lines;
mod naive;
mod real;
mod rules;
mod splits;

use super::{Error, Limits, Places, Reader, Rejected};
use std::io::Write;
use std::path::PathBuf;
use tempfile::NamedTempFile;

/// All that a reader gave.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    /// Text, line and offset.
    pub records: Vec<(String, u64, u64)>,
    /// Reason, line, offset, length and kept bytes.
    pub rejected: Vec<(&'static str, u64, u64, u64, String)>,
    pub errors: Vec<String>,
    /// Blocks that were handed out as they were read.
    pub verbatim: usize,
    /// The most room the reader had taken.
    pub room: usize,
}

impl Read {
    pub fn texts(&self) -> Vec<&str> {
        self.records.iter().map(|(text, ..)| text.as_str()).collect()
    }

    pub fn places(&self) -> Vec<(u64, u64)> {
        self.records.iter().map(|&(_, line, offset)| (line, offset)).collect()
    }

    pub fn reasons(&self) -> Vec<&'static str> {
        self.rejected.iter().map(|rejected| rejected.0).collect()
    }
}

pub(super) fn file(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for it");
    file
}

/// Reads `bytes` as one file.
pub(super) fn read(bytes: &[u8], limits: Limits) -> Read {
    let file = file(bytes);
    read_files(vec![file.path().to_owned()], limits)
}

pub(super) fn read_text(text: &str) -> Read {
    read(text.as_bytes(), Limits::default())
}

pub(super) fn read_files(paths: Vec<PathBuf>, limits: Limits) -> Read {
    let mut reader = Reader::new(paths, limits);
    let mut read = Read::default();
    let mut spare = None;
    loop {
        match reader.next(spare.take()) {
            Ok(None) => {
                read.room = read.room.max(reader.room());
                return read;
            }
            Ok(Some(block)) => {
                read.room = read.room.max(reader.room());
                read.verbatim += matches!(block.place, Places::Lines { .. }) as usize;
                add(&mut read, &block.bytes, &block.place);
                read.rejected.extend(block.rejected.into_iter().map(rejected));
                spare = Some(block.bytes);
            }
            Err(error) => read.errors.push(chain(&error)),
        }
    }
}

fn add(read: &mut Read, bytes: &[u8], place: &Places) {
    let (mut offset, mut records) = (0, Vec::new());
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into_owned();
        let place = match place {
            Places::Lines { line, offset: base } => (line + index as u64, base + offset),
            Places::Each(places) => places[index],
        };
        offset += line.len() as u64;
        if !text.trim().is_empty() {
            records.push((text, place.0, place.1));
        }
    }
    if let Places::Each(places) = place {
        assert_eq!(records.len(), places.len(), "one place a record");
    }
    read.records.extend(records);
}

fn rejected(rejected: Rejected) -> (&'static str, u64, u64, u64, String) {
    let Rejected { line, offset, reason, raw, raw_bytes } = rejected;
    assert!(raw.len() <= super::RAW_BYTES_MAX);
    (reason, line, offset, raw_bytes, String::from_utf8_lossy(&raw).into_owned())
}

fn chain(error: &Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

pub(super) fn small(block_bytes: usize) -> Limits {
    Limits { block_bytes, ..Limits::default() }
}

/// A comment as the API gives it, with answers.
pub(super) fn thing(id: &str, replies: &[String]) -> String {
    let replies = if replies.is_empty() { "\"\"".to_owned() } else { listing(replies) };
    format!(r#"{{"kind":"t1","data":{{"id":"{id}","replies":{replies},"body":"{{[\"\\"}}}}"#)
}

/// The record that is cut out for it.
pub(super) fn cut(id: &str) -> String {
    thing(id, &[])
}

pub(super) fn listing(children: &[String]) -> String {
    format!(r#"{{"kind":"Listing","data":{{"after":null,"children":[{}],"before":null}}}}"#, children.join(","))
}

/// A fixed sequence of numbers that look random.
pub(super) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
