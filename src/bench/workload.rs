//! A workload in a folder: files of raw records, and a marker that says when all of them are there.
//!
//! ```text
//!   DIR/w2-2000000/part-000.ndjson ... part-019.ndjson        DIR/w2-2000000.json
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lines::{self, Lines};
use super::{Error, Kind};
use crate::cli::say;
use crate::replay::Interrupt;

const LINES_PER_FILE: u64 = 100_000;
/// Another number where the same parameters make other lines.
const GENERATION: u32 = 1;

/// What a workload is made from, and how much it is; the marker's content.
#[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
struct Marker {
    generation: u32,
    kind: String,
    records: u64,
    seed: u64,
    /// Of each file.
    bytes: Vec<u64>,
}

/// Files that are there.
pub struct Workload {
    pub kind: Kind,
    pub records: u64,
    pub files: Vec<PathBuf>,
    pub bytes: u64,
}

impl Workload {
    /// The workload in `folder`, written where it is not there or not whole.
    pub fn prepare(folder: &Path, kind: Kind, records: u64, interrupt: &Interrupt) -> Result<Workload, Error> {
        let folder = folder.join(format!("{kind}-{records}"));
        let failed = |source| Error::Workload { path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let (bytes, is_new) = match held(&folder, kind, records) {
            Some(bytes) => (bytes, false),
            None => (write(&folder, kind, records, interrupt)?, true),
        };
        let files: Vec<PathBuf> = (0..bytes.len()).map(|at| part(&folder, at)).collect();
        if !is_new {
            // Files just written are in the page cache; others are read once, so that the first run does not pay for it.
            files.iter().try_for_each(|path| warm(path)).map_err(failed)?;
        }
        Ok(Workload { kind, records, files, bytes: bytes.iter().sum() })
    }
}

/// Beside the folder, which holds records and nothing else.
fn marker_path(folder: &Path) -> PathBuf {
    folder.with_extension("json")
}

fn part(folder: &Path, at: usize) -> PathBuf {
    folder.join(format!("part-{at:03}.ndjson"))
}

/// Sizes of the files, if the marker says what is wanted and the files are as it says.
fn held(folder: &Path, kind: Kind, records: u64) -> Option<Vec<u64>> {
    let marker: Marker = serde_json::from_slice(&std::fs::read(marker_path(folder)).ok()?).ok()?;
    let sizes = marker.bytes.iter().enumerate().all(|(at, bytes)| part(folder, at).metadata().is_ok_and(|file| file.len() == *bytes));
    (sizes && marker == self::marker(kind, records, marker.bytes.clone())).then_some(marker.bytes)
}

fn marker(kind: Kind, records: u64, bytes: Vec<u64>) -> Marker {
    Marker { generation: GENERATION, kind: kind.to_string(), records, seed: lines::SEED, bytes }
}

fn write(folder: &Path, kind: Kind, records: u64, interrupt: &Interrupt) -> Result<Vec<u64>, Error> {
    let failed = |source| Error::Workload { path: folder.to_owned(), source };
    // Without its marker a folder counts as empty: if we stop here, the next run writes everything again.
    match std::fs::remove_file(marker_path(folder)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    let (mut lines, mut buffer, mut bytes) = (Lines::new(kind), Vec::new(), vec![]);
    let mut left = records;
    while left > 0 {
        if interrupt.is_set() {
            return Err(Error::Interrupted);
        }
        say(&format!("{kind}: {} of {records} records written to {}", records - left, folder.display()));
        let now = left.min(LINES_PER_FILE);
        buffer.clear();
        (0..now).for_each(|_| lines.write(&mut buffer));
        let mut file = File::create(part(folder, bytes.len())).map_err(failed)?;
        file.write_all(&buffer).map_err(failed)?;
        // On disk before anything is measured: writing back later would disturb it.
        file.sync_all().map_err(failed)?;
        bytes.push(buffer.len() as u64);
        left -= now;
    }
    let marker = serde_json::to_vec(&marker(kind, records, bytes.clone())).expect("plain data");
    std::fs::write(marker_path(folder), marker).map_err(failed)?;
    Ok(bytes)
}

fn warm(path: &Path) -> io::Result<()> {
    let (mut file, mut buffer) = (File::open(path)?, vec![0; 1 << 20]);
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}
