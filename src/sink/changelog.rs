//! A changelog: what changed in each view, tick by tick, as lines of JSON in files that only grow.
//!
//! ```text
//!   DIR/users.000001.ndjson   users.000002.ndjson   ...      { "key": ["reddit:ada"], "row": { ... } | null, "tick": 1700000000123 }
//!   DIR/upper.json            the last tick that is there whole, where each view's lines end, and the checksums of all files
//! ```
//!
//! The last line of a key is its row; null: it has none any more. Lines of a view stand in the order of their ticks; after
//! [`Config::file_bytes`] they go on in the next file.
//!
//! # Invariants
//! 1. `upper` is told only when all lines up to it are on disk. Lines behind it, whole or torn, are cut off before anything is written: so a
//!    tick that is written again stands there once.
//! 2. A folder belongs to one state, whose id it names, and to one process at a time.

mod files;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eddy_schemas::{Cell, Changes, View, codec};
use serde::{Deserialize, Serialize};

use super::tables::text;
use crate::journal::{self, Lock};
use crate::record;
use crate::store::Stored;
use crate::texts::{self, Texts};
use files::{Files, Places, Sums};

/// Of `upper.json`. What is newer is refused.
const FORMAT: u32 = 1;
/// Lines of a view that are made before they are written, bytes.
const BUFFER_BYTES: usize = 1 << 20;

#[derive(Clone, Debug)]
pub struct Config {
    pub folder: PathBuf,
    /// Names the state whose changes these are.
    pub state: String,
    /// Bytes after which a view's lines go on in another file.
    pub file_bytes: u64,
    /// Rest after each write, for tests: a sink that is slow.
    pub rest: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not {what} {}", .path.display())]
    Io { path: PathBuf, what: &'static str, source: io::Error },
    #[error("{} is the changelog of another state: give another folder", .0.display())]
    Foreign(PathBuf),
    #[error("{} is no changelog and not empty: give another folder", .0.display())]
    NotEmpty(PathBuf),
    #[error("{} is shorter than it was: its folder can be removed, and is made again whole", .0.display())]
    Short(PathBuf),
    #[error("{} has ticks that the state has not: the state is an older one. Its folder can be removed, and is made again whole", .0.display())]
    Ahead(PathBuf),
    #[error("{} is damaged: the checksum of its first {bytes} bytes is wrong", .path.display())]
    Damaged { path: PathBuf, bytes: u64 },
    #[error("{} holds a line that is not a changelog's", .0.display())]
    Line(PathBuf),
    #[error(transparent)]
    Locked(#[from] journal::Error),
    #[error(transparent)]
    Record(#[from] record::Error),
    #[error(transparent)]
    Text(#[from] texts::Error),
}

impl Error {
    fn io<P: Into<PathBuf>>(path: P, what: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, what, source }
    }

    /// It is not what was written, and stays so.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Error::Record(record::Error::Damaged { .. }) | Error::Damaged { .. } | Error::Short(_) | Error::Ahead(_) | Error::Line(_)
        )
    }

    /// Trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Io { .. })
    }
}

/// Removes a changelog's files: the next start of its state writes it anew, whole.
pub fn remove(folder: &Path) -> Result<(), Error> {
    let _lock = Lock::take(folder)?;
    Files::new(folder, 0).cut(&Places::default())?;
    let path = folder.join("upper.json");
    // If we crash before this, it is shorter than it says: it is refused, and removed by the same command again.
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io(path, "remove")(e)),
        _ => Ok(()),
    }
}

/// What a tick changed.
pub struct Tick {
    pub tick: u64,
    pub changes: Arc<Vec<Changes>>,
}

/// What is durably there.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Upper {
    state: String,
    tick: u64,
    ends: Places,
    #[serde(default)]
    sums: Sums,
}

/// An open changelog.
pub struct Changelog {
    config: Config,
    upper: Upper,
    files: Files,
    /// Something may stand behind the upper.
    is_dirty: bool,
    /// Lines that are not written yet.
    lines: BTreeMap<&'static str, Vec<u8>>,
    cells: Vec<Cell>,
    _lock: Lock,
}

impl Changelog {
    /// Opens or makes it.
    pub fn open(config: &Config) -> Result<Changelog, Error> {
        let folder = &config.folder;
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "make"))?;
        let lock = Lock::take(folder)?;
        let path = folder.join("upper.json");
        let files = Files::new(folder, config.file_bytes);
        let upper = match record::read::<Upper>(&path, FORMAT)? {
            Some(upper) if upper.state == config.state => upper,
            Some(_) => return Err(Error::Foreign(folder.clone())),
            None if files.any()? => return Err(Error::NotEmpty(folder.clone())),
            None => {
                // From here on what stands in the folder is a changelog's.
                let upper = Upper { state: config.state.clone(), ..Upper::default() };
                record::write(&path, FORMAT, &upper).map_err(Error::io(path, "write"))?;
                upper
            }
        };
        let mut changelog =
            Changelog { config: config.clone(), upper, files, is_dirty: true, lines: BTreeMap::new(), cells: vec![], _lock: lock };
        changelog.files.check(&changelog.upper.ends, changelog.upper.sums.clone())?;
        changelog.clean()?;
        Ok(changelog)
    }

    /// The last tick that is there, durably.
    pub fn upper(&self) -> u64 {
        self.upper.tick
    }

    pub fn folder(&self) -> &PathBuf {
        &self.config.folder
    }

    /// Cuts off what stands behind the upper.
    fn clean(&mut self) -> Result<(), Error> {
        if self.is_dirty {
            self.lines.clear();
            self.files.cut(&self.upper.ends)?;
            self.is_dirty = false;
        }
        Ok(())
    }

    /// Writes ticks, in order, durably; those that are there are left out. After an error none of them counts as written.
    pub fn write(&mut self, ticks: &[Tick], texts: &dyn Texts) -> Result<(), Error> {
        self.clean()?;
        self.is_dirty = true;
        let upper = self.upper.tick;
        for Tick { tick, changes } in ticks.iter().filter(|tick| tick.tick > upper) {
            for changes in changes.iter() {
                for change in changes.iter() {
                    self.cells.clear();
                    codec::decode_key(changes.view.key, change.key, &mut self.cells);
                    if let Some(row) = change.row {
                        codec::decode_row(changes.view.columns, row, &mut self.cells);
                    }
                    line(changes.view, &self.cells, *tick, texts, self.lines.entry(changes.view.name).or_default())?;
                }
            }
            self.flush(BUFFER_BYTES)?;
        }
        ticks.last().filter(|last| last.tick > upper).map_or(Ok(()), |last| self.commit(last.tick))
    }

    /// Keys that have a row, as the lines say that are written, each as it stands there.
    pub fn keys(&self, view: &View) -> Result<BTreeSet<String>, Error> {
        let mut keys = BTreeSet::new();
        self.files.lines(view.name, |key, has_row| {
            if has_row {
                keys.insert(key)
            } else {
                keys.remove(&key)
            };
        })?;
        Ok(keys)
    }

    /// Begins to write all rows anew.
    pub fn begin(&mut self) -> Result<(), Error> {
        self.clean()?;
        self.is_dirty = true;
        Ok(())
    }

    /// Rows as they are at the end of `tick`; what is left in `gone` was told of before, and is not among those so far.
    pub fn rows(
        &mut self,
        view: &'static View,
        tick: u64,
        rows: &[Stored],
        gone: &mut BTreeSet<String>,
        texts: &dyn Texts,
    ) -> Result<(), Error> {
        let out = self.lines.entry(view.name).or_default();
        for row in rows {
            let start = out.len();
            let key = line(view, &row.cells, tick, texts, out)?;
            let key = std::str::from_utf8(&out[start..][key]).expect("JSON is UTF-8");
            gone.remove(key);
        }
        self.flush(BUFFER_BYTES)
    }

    /// Says that keys have no row any more.
    pub fn gone(&mut self, view: &'static View, tick: u64, keys: &BTreeSet<String>) -> Result<(), Error> {
        let out = self.lines.entry(view.name).or_default();
        keys.iter().for_each(|key| out.extend_from_slice(format!("{{\"key\":{key},\"row\":null,\"tick\":{tick}}}\n").as_bytes()));
        self.flush(BUFFER_BYTES)
    }

    /// Makes everything so far durable, and says so.
    pub fn commit(&mut self, tick: u64) -> Result<(), Error> {
        self.flush(0)?;
        self.files.sync()?;
        let (ends, sums) = (self.files.ends().clone(), self.files.sums().clone());
        let upper = Upper { state: self.upper.state.clone(), tick, ends, sums };
        let path = self.config.folder.join("upper.json");
        // If we crash before this, the lines are cut off, and written again.
        record::write(&path, FORMAT, &upper).map_err(Error::io(path, "write"))?;
        self.upper = upper;
        self.is_dirty = false;
        Ok(())
    }

    /// Writes the lines of views that have more than `bytes` of them.
    fn flush(&mut self, bytes: usize) -> Result<(), Error> {
        for (view, lines) in &mut self.lines {
            if lines.len() > bytes {
                self.files.append(view, lines)?;
                lines.clear();
            }
        }
        Ok(())
    }

    pub fn rest(&self) {
        std::thread::sleep(self.config.rest);
    }
}

/// One line; gives where in it the key stands.
fn line(view: &View, cells: &[Cell], tick: u64, texts: &dyn Texts, out: &mut Vec<u8>) -> Result<std::ops::Range<usize>, Error> {
    let start = out.len();
    out.extend_from_slice(b"{\"key\":");
    let from = out.len() - start;
    for (at, cell) in cells[..view.key.len()].iter().enumerate() {
        out.push(if at == 0 { b'[' } else { b',' });
        text::write(*cell, texts, out)?;
    }
    out.push(b']');
    let key = from..out.len() - start;
    out.extend_from_slice(b",\"row\":");
    if cells.len() == view.key.len() {
        out.extend_from_slice(b"null");
    } else {
        for (at, (column, cell)) in view.all_columns().zip(cells).enumerate() {
            out.extend_from_slice(if at == 0 { b"{\"" } else { b",\"" });
            out.extend_from_slice(column.name.as_bytes());
            out.extend_from_slice(b"\":");
            text::write(*cell, texts, out)?;
        }
        out.push(b'}');
    }
    out.extend_from_slice(b",\"tick\":");
    out.extend_from_slice(itoa::Buffer::new().format(tick).as_bytes());
    out.extend_from_slice(b"}\n");
    Ok(key)
}
