//! Tables: the final rows of each view as sorted TSV or ndjson files.
//!
//! ```text
//!   Changes --append--> log of a view (encoded; the last of a key counts) --sort--> DIR/<view>.tsv, beside its place, then renamed
//! ```
//!
//! Only the end is wanted, so a change is appended and nothing looked up: a hundred times cheaper than a map of rows, and the
//! sort is needed anyway.

mod order;
pub mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use eddy_schemas::prefetch;
use eddy_schemas::row::Kind;
use eddy_schemas::{Cell, Changes, Place, View, codec};
use rayon::prelude::*;

use crate::texts::{self, Texts};
use order::Order;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Tsv,
    Ndjson,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Format::Tsv => "tsv",
            Format::Ndjson => "ndjson",
        }
    }

    /// Where a view's table goes.
    pub fn path(self, folder: &Path, view: &View) -> PathBuf {
        folder.join(format!("{}.{}", view.name, self.extension()))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} could not be written")]
    Write { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Text(#[from] texts::Error),
}

/// Bytes of changes past which a view's log is made small again, if it has doubled.
const COMPACT_BYTES_MIN: usize = 64 << 20;

/// Rows that become text at once, on one core.
const ROWS_AT_ONCE: usize = 16 << 10;

/// How many rows ahead memory is asked for.
const AHEAD: usize = 8;

/// One view's changes so far.
pub struct Table {
    changes: Changes,
    bytes_compacted: usize,
}

impl Table {
    pub fn new(view: &'static View) -> Self {
        Table { changes: Changes::new(view), bytes_compacted: 0 }
    }

    pub fn view(&self) -> &'static View {
        self.changes.view
    }

    /// Adds changes; of one key they must come in the order of their ticks.
    pub fn append(&mut self, changes: &Changes) {
        self.changes.append(changes);
        if self.changes.size() > COMPACT_BYTES_MIN && self.changes.size() > 2 * self.bytes_compacted {
            self.compact();
        }
    }

    fn compact(&mut self) {
        // By the key's bytes: here any order tells the last of each from those before. What is left keeps its order.
        let mut lasts: Vec<(u128, u64)> = self.changes.places().map(|(place, change)| (number(change.key), place)).collect();
        lasts.par_sort_unstable();
        let mut places: Vec<u64> = lasts.chunk_by(|a, b| a.0 == b.0).map(|of_key| of_key[of_key.len() - 1].1).collect();
        places.par_sort_unstable();
        let mut compacted = Changes::new(self.view());
        for change in places.into_iter().map(|place| self.changes.at(place)).filter(|change| change.row.is_some()) {
            compacted.push_encoded(change.key, change.row);
        }
        self.bytes_compacted = compacted.size();
        self.changes = compacted;
    }

    /// Hands over each row at the end: the cells of its key, then the others.
    pub fn each(&self, mut row: impl FnMut(&[Cell])) {
        let (view, mut cells) = (self.view(), vec![]);
        for place in Order::new(&self.changes).places() {
            self.cells(view, place, &mut cells);
            row(&cells);
        }
    }

    /// Adds a row whose key nobody else gives.
    pub fn insert(&mut self, row: &[Cell]) {
        let (key, row) = row.split_at(self.view().key.len());
        let (mut key_bytes, mut row_bytes) = (vec![], vec![]);
        codec::encode_key(key, &mut key_bytes);
        codec::encode_row(row, &mut row_bytes);
        self.changes.push_encoded(&key_bytes, Some(&row_bytes));
    }

    /// The cells of a row that is there.
    fn cells(&self, view: &View, place: u64, cells: &mut Vec<Cell>) {
        let change = self.changes.at(place);
        cells.clear();
        codec::decode_key(view.key, change.key, cells);
        codec::decode_row(view.columns, change.row.expect("rows that are there"), cells);
    }

    /// Rows at the end.
    pub fn count(&self) -> u64 {
        Order::new(&self.changes).places().count() as u64
    }

    /// Writes the rows, sorted bytewise by the key's columns, in a folder beside their place, on the same file system.
    pub fn write(&self, folder: &Path, beside_in: &Path, format: Format, texts: &dyn Texts) -> Result<Written, Error> {
        let view = self.view();
        let path = format.path(folder, view);
        let failed = |source| Error::Write { path: path.clone(), source };
        let mut file = beside(beside_in).map_err(failed)?;
        let mut out = vec![];
        if format == Format::Tsv {
            text::header(view, &mut out);
        }
        file.write_all(&out).map_err(failed)?;
        let places: Vec<u64> = Order::new(&self.changes).places().collect();
        // Rows become text side by side, since some texts are read from files, and are written in order.
        for places in places.chunks(rayon::current_num_threads() * ROWS_AT_ONCE) {
            let parts: Vec<_> = places.par_chunks(ROWS_AT_ONCE).map(|places| self.render(places, format, texts)).collect();
            for part in parts {
                file.write_all(&part?).map_err(failed)?;
            }
        }
        Ok(Written { file, path, rows: places.len() as u64 })
    }

    /// The text of some rows.
    fn render(&self, places: &[u64], format: Format, texts: &dyn Texts) -> Result<Vec<u8>, Error> {
        let (view, mut out, mut cells) = (self.view(), vec![], vec![]);
        let texts = Read::new(self.texts_of(places), texts)?;
        let mut texts = texts.iter();
        for (at, place) in places.iter().enumerate() {
            places.get(at + AHEAD).inspect(|ahead| prefetch(self.changes.start(**ahead)));
            self.cells(view, *place, &mut cells);
            match format {
                Format::Tsv => text::tsv(&cells, &mut texts, &mut out),
                Format::Ndjson => text::json(view, &cells, &mut texts, &mut out),
            }
        }
        Ok(out)
    }

    /// Where the texts of some rows are, in the order of their cells.
    fn texts_of(&self, places: &[u64]) -> Vec<Place> {
        let (columns, mut cells, mut texts) = (self.view().columns, vec![], vec![]);
        if columns.iter().all(|column| column.kind != Kind::Text) {
            return texts;
        }
        for place in places {
            codec::decode_row(columns, self.changes.at(*place).row.expect("rows that are there"), &mut cells);
            texts.extend(cells.drain(..).filter_map(|cell| if let Cell::Text(place) = cell { Some(place) } else { None }));
        }
        texts
    }
}

/// A key of at most 16 bytes as a number.
fn number(key: &[u8]) -> u128 {
    let mut bytes = [0; size_of::<u128>()];
    bytes[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(bytes)
}

/// Texts that were read together.
struct Read {
    bytes: String,
    /// Of each place, in order: from where to where.
    ranges: Vec<std::ops::Range<usize>>,
}

impl Read {
    fn new(places: Vec<Place>, texts: &dyn Texts) -> Result<Read, texts::Error> {
        let mut read = Read { bytes: String::new(), ranges: vec![0..0; places.len()] };
        texts.texts(&places, &mut |number, text| {
            let start = read.bytes.len();
            read.bytes.push_str(text);
            read.ranges[number] = start..read.bytes.len();
        })?;
        Ok(read)
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.ranges.iter().map(|range| &self.bytes[range.clone()])
    }
}

/// A whole table that is not in its place yet. Dropped, it is gone.
pub struct Written {
    file: tempfile::NamedTempFile,
    path: PathBuf,
    pub rows: u64,
}

impl Written {
    pub fn publish(self) -> Result<(), Error> {
        let Written { file, path, .. } = self;
        publish(file, &path).map_err(|source| Error::Write { path, source })
    }
}

/// What files begin with that are not whole yet.
const BESIDE: &str = ".eddy-";

/// A file for what is not whole yet. It may be read by whom the umask lets, as any file that a command writes. It is locked while its maker lives.
pub fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    loop {
        let permissions = std::fs::Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().prefix(BESIDE).permissions(permissions).tempfile_in(folder)?;
        // (Where a file system has no locks none is swept either.)
        let _ = file.as_file().try_lock();
        // Whoever sweeps may have been faster than the lock.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Removes what was left beside its place by whoever was killed.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(BESIDE)
            && entry.file_type()?.is_file()
            // (It may be gone, or put in its place, by now.)
            && std::fs::File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Puts a finished file where it belongs: there is never a half table.
pub fn publish(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Makes the folder, proves that it can be written to, and removes what a killed process left there.
pub fn prepare(folder: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    sweep(folder).map_err(failed)?;
    let mut probe = beside(folder).map_err(failed)?;
    probe.write_all(b"eddy").map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_beside_its_place_goes_and_what_a_living_one_makes_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let left = dir.path().join(".eddy-killed");
        std::fs::write(&left, "half a table").expect("room");
        std::fs::create_dir(dir.path().join(".eddy-000001-staging")).expect("room");
        let living = beside(dir.path()).expect("room");
        prepare(dir.path()).expect("a folder");
        assert!(!left.exists() && living.path().exists());
        let whole = dir.path().join("users.tsv");
        publish(living, &whole).expect("it is there");
        prepare(dir.path()).expect("a folder");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 2, "the table, and what is no file");
    }
}
