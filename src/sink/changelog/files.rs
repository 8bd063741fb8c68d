//! The files of a changelog: one view's lines after another, in numbered files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Error;

/// Where a view's lines end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Place {
    /// Of the file; from 1.
    number: u32,
    bytes: u64,
    /// CRC-32 of those bytes; none: it was not kept yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sum: Option<u32>,
}

/// By view.
pub type Places = BTreeMap<String, Place>;

/// CRC-32 of the files before the last, by view and number.
pub type Sums = BTreeMap<String, BTreeMap<u32, u32>>;

pub struct Files {
    folder: PathBuf,
    file_bytes: u64,
    ends: Places,
    sums: Sums,
    /// Files that are written to.
    open: BTreeMap<String, File>,
    is_new: bool,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    key: &'a RawValue,
    row: Option<&'a RawValue>,
}

impl Files {
    pub fn new(folder: &Path, file_bytes: u64) -> Files {
        Files { folder: folder.into(), file_bytes, ends: Places::new(), sums: Sums::new(), open: BTreeMap::new(), is_new: false }
    }

    pub fn ends(&self) -> &Places {
        &self.ends
    }

    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Takes what is known of earlier files. The last of each view has to be what was written; those before it are looked at when they are
    /// read.
    pub fn check(&mut self, ends: &Places, sums: Sums) -> Result<(), Error> {
        self.sums = sums;
        for (view, end) in ends {
            let path = self.path(view, end.number);
            end.sum.map_or(Ok(()), |sum| is_whole(&path, end.bytes, sum))?;
        }
        Ok(())
    }

    /// The files of views that are there: view, number.
    fn list(&self) -> Result<Vec<(String, u32)>, Error> {
        let mut found = vec![];
        for entry in fs::read_dir(&self.folder).map_err(Error::io(&self.folder, "list"))? {
            let name = entry.map_err(Error::io(&self.folder, "list"))?.file_name().to_string_lossy().into_owned();
            let mut parts = name.split('.');
            let (Some(view), Some(number), Some("ndjson"), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let is_view = eddy_dataflows::VIEWS.iter().any(|definition| definition.view.name == view);
            if let Some(number) = number.parse().ok().filter(|_| is_view && number.len() >= 6) {
                found.push((view.to_owned(), number));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether there is any.
    pub fn any(&self) -> Result<bool, Error> {
        Ok(!self.list()?.is_empty())
    }

    fn path(&self, view: &str, number: u32) -> PathBuf {
        self.folder.join(format!("{view}.{number:06}.ndjson"))
    }

    /// Goes back to these ends.
    pub fn cut(&mut self, ends: &Places) -> Result<(), Error> {
        self.open.clear();
        self.ends.clone_from(ends);
        self.sums.iter_mut().for_each(|(view, sums)| sums.retain(|number, _| ends.get(view).is_some_and(|end| *number < end.number)));
        for (view, number) in self.list()? {
            let path = self.path(&view, number);
            let end = ends.get(&view).copied().unwrap_or_default();
            if number > end.number {
                fs::remove_file(&path).map_err(Error::io(&path, "remove"))?;
            } else if number == end.number {
                let file = File::options().write(true).open(&path).map_err(Error::io(&path, "open"))?;
                if file.metadata().map_err(Error::io(&path, "open"))?.len() < end.bytes {
                    return Err(Error::Short(path));
                }
                file.set_len(end.bytes).map_err(Error::io(&path, "cut"))?;
            }
        }
        match ends.iter().map(|(view, end)| self.path(view, end.number)).find(|path| !path.exists()) {
            Some(path) => Err(Error::Short(path)),
            None => Ok(()),
        }
    }

    /// Appends whole lines.
    pub fn append(&mut self, view: &str, lines: &[u8]) -> Result<(), Error> {
        let mut end = self.ends.get(view).copied().unwrap_or_default();
        if end.number == 0 || end.bytes >= self.file_bytes {
            if let Some(sum) = end.sum {
                self.sums.entry(view.to_owned()).or_default().insert(end.number, sum);
            }
            end = Place { number: end.number + 1, bytes: 0, sum: Some(0) };
            self.open.remove(view);
        }
        let path = self.path(view, end.number);
        if !self.open.contains_key(view) {
            let file = File::options().append(true).create(true).open(&path).map_err(Error::io(&path, "open"))?;
            self.is_new |= end.bytes == 0;
            self.open.insert(view.to_owned(), file);
        }
        (&self.open[view]).write_all(lines).map_err(Error::io(&path, "write"))?;
        end.sum = end.sum.map(|sum| add(sum, end.bytes, lines));
        end.bytes += lines.len() as u64;
        self.ends.insert(view.to_owned(), end);
        Ok(())
    }

    /// Makes what was appended safe against a power cut.
    pub fn sync(&mut self) -> Result<(), Error> {
        for (view, file) in &self.open {
            file.sync_data().map_err(Error::io(self.path(view, self.ends[view].number), "sync"))?;
        }
        if std::mem::take(&mut self.is_new) {
            File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(Error::io(&self.folder, "sync"))?;
        }
        Ok(())
    }

    /// Calls `each` with the key of every line of a view, as it stands there, and whether it has a row.
    pub fn lines(&self, view: &str, mut each: impl FnMut(String, bool)) -> Result<(), Error> {
        let Some(end) = self.ends.get(view) else { return Ok(()) };
        for (_, number) in self.list()?.into_iter().filter(|(of, _)| of == view) {
            let path = self.path(view, number);
            let file = File::open(&path).map_err(Error::io(&path, "open"))?;
            let bytes = if number == end.number { end.bytes } else { u64::MAX };
            if let Some(sum) = self.sums.get(view).and_then(|sums| sums.get(&number)) {
                is_whole(&path, file.metadata().map_err(Error::io(&path, "open"))?.len(), *sum)?;
            }
            for line in BufReader::with_capacity(1 << 20, file.take(bytes)).lines() {
                let line = line.map_err(Error::io(&path, "read"))?;
                let line: Line = serde_json::from_str(&line).map_err(|_| Error::Line(path.clone()))?;
                each(line.key.get().to_owned(), line.row.is_some());
            }
        }
        Ok(())
    }
}

/// The sum of some bytes and more, of the sum of so many and the rest.
fn add(sum: u32, bytes: u64, more: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial_len(sum, bytes);
    hasher.update(more);
    hasher.finalize()
}

/// The first bytes of a file are what was written.
fn is_whole(path: &Path, bytes: u64, sum: u32) -> Result<(), Error> {
    let Ok(mut file) = File::open(path) else { return Err(Error::Short(path.into())) };
    let (mut buffer, mut read, mut found) = (vec![0; 1 << 20], 0, 0);
    while read < bytes {
        let wanted = buffer.len().min((bytes - read) as usize);
        match file.read(&mut buffer[..wanted]).map_err(Error::io(path, "read"))? {
            0 => return Err(Error::Short(path.into())),
            more => {
                found = add(found, read, &buffer[..more]);
                read += more as u64;
            }
        }
    }
    if found == sum { Ok(()) } else { Err(Error::Damaged { path: path.into(), bytes }) }
}
