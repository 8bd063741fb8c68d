//! Tables: the final rows of each view as sorted TSV or ndjson files.
//!
//! ```text
//!   Changes --append--> log of a view (encoded; the last of a key counts) --sort--> DIR/<view>.tsv, beside its place, then renamed
//! ```
//!
//! Only the end is wanted, so a change is appended and nothing looked up: a hundred times cheaper than a map of rows, and the
//! sort is needed anyway.

mod order;
mod text;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use eddy_schemas::{Cell, Changes, View, codec};
use hashbrown::HashTable;

use crate::texts::{self, Texts};

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

/// Why a row could not be written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Write(#[from] io::Error),
    #[error(transparent)]
    Text(#[from] texts::Error),
}

/// Bytes of changes past which a view's log is made small again, if it has doubled.
const COMPACT_BYTES_MIN: usize = 64 << 20;

/// One view's changes so far.
pub struct Table {
    view: &'static View,
    parts: Vec<Changes>,
    bytes: usize,
    bytes_compacted: usize,
}

/// A row that is there at the end.
struct Live<'a> {
    key: &'a [u8],
    row: &'a [u8],
}

impl Table {
    pub fn new(view: &'static View) -> Self {
        Table { view, parts: vec![], bytes: 0, bytes_compacted: 0 }
    }

    pub fn view(&self) -> &'static View {
        self.view
    }

    /// Adds changes; of one key they must come in the order of their ticks.
    pub fn append(&mut self, mut changes: Changes) {
        changes.shrink();
        self.bytes += changes.size();
        self.parts.push(changes);
        if self.bytes > COMPACT_BYTES_MIN && self.bytes > 2 * self.bytes_compacted {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut compacted = Changes::new(self.view);
        for live in self.live() {
            compacted.push_encoded(live.key, Some(live.row));
        }
        self.bytes = compacted.size();
        self.bytes_compacted = self.bytes;
        self.parts = vec![compacted];
    }

    /// The last row of each key that has one.
    fn live(&self) -> Vec<Live<'_>> {
        use std::hash::BuildHasher;
        let hasher = foldhash::fast::FixedState::default();
        let mut last: Vec<(&[u8], Option<&[u8]>)> = Vec::new();
        let mut index: HashTable<u32> = HashTable::new();
        for change in self.parts.iter().flat_map(Changes::iter) {
            let hash = hasher.hash_one(change.key);
            match index.find(hash, |&at| last[at as usize].0 == change.key) {
                Some(&at) => last[at as usize].1 = change.row,
                None => {
                    let at = u32::try_from(last.len()).expect("fewer than 2^32 rows a view");
                    last.push((change.key, change.row));
                    index.insert_unique(hash, at, |&at| hasher.hash_one(last[at as usize].0));
                }
            }
        }
        last.into_iter().filter_map(|(key, row)| Some(Live { key, row: row? })).collect()
    }

    /// Rows at the end.
    pub fn count(&self) -> u64 {
        self.live().len() as u64
    }

    /// Writes the rows, sorted bytewise by the key's columns, beside their place.
    pub fn write(&self, folder: &Path, format: Format, texts: &dyn Texts) -> Result<Written, Error> {
        let path = format.path(folder, self.view);
        let failed = |source| Error::Write { path: path.clone(), source };
        let file = beside(folder).map_err(failed)?;
        let live = self.live();
        let mut out = BufWriter::with_capacity(1 << 20, file);
        if format == Format::Tsv {
            text::header(self.view, &mut out).map_err(failed)?;
        }
        let mut cells = vec![];
        for at in order::sorted(self.view, &live) {
            cells.clear();
            codec::decode_key(self.view.key, live[at].key, &mut cells);
            codec::decode_row(self.view.columns, live[at].row, &mut cells);
            let row = Row { view: self.view, cells: &cells, texts };
            let written = match format {
                Format::Tsv => row.tsv(&mut out),
                Format::Ndjson => row.json(&mut out),
            };
            written.map_err(|failure| match failure {
                Failure::Write(source) => failed(source),
                Failure::Text(error) => error.into(),
            })?;
        }
        let file = out.into_inner().map_err(|e| failed(e.into_error()))?;
        Ok(Written { file, path, rows: live.len() as u64 })
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

/// A row about to be written.
struct Row<'a> {
    view: &'static View,
    cells: &'a [Cell],
    texts: &'a dyn Texts,
}

/// A file for what is not whole yet. It may be read by whom the umask lets, as any file that a command writes.
pub fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().prefix(".eddy-").permissions(std::fs::Permissions::from_mode(0o666)).tempfile_in(folder)
}

/// Puts a finished file where it belongs: there is never a half table.
pub fn publish(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

/// Makes the folder and proves that it can be written to.
pub fn prepare(folder: &Path) -> Result<(), Error> {
    let failed = |source| Error::Write { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut probe = beside(folder).map_err(failed)?;
    probe.write_all(b"eddy").map_err(failed)
}
