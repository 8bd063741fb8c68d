//! Texts of a replay: from the plain files where they stand, else from the spools.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use eddy_schemas::Place;
use eddy_schemas::parse::{Context, Parsed, parse};

use crate::spool::Spool;
use crate::texts::{Error, Texts};

/// Bytes read at first; most records are shorter.
const READ_BYTES: usize = 4 << 10;

/// Inputs by number: the files, then one spool a worker.
pub struct ReplayTexts {
    files: Vec<(PathBuf, OnceLock<std::io::Result<File>>)>,
    spools: Vec<Arc<Spool>>,
}

impl ReplayTexts {
    pub fn new(files: Vec<PathBuf>, spools: Vec<Arc<Spool>>) -> Self {
        ReplayTexts { files: files.into_iter().map(|path| (path, OnceLock::new())).collect(), spools }
    }

    fn line(&self, input: usize, mut offset: u64) -> std::io::Result<Vec<u8>> {
        let (path, opened) = &self.files[input];
        let file = opened.get_or_init(|| File::open(path)).as_ref().map_err(|e| std::io::Error::from(e.kind()))?;
        let (mut line, mut buffer) = (vec![], vec![0; READ_BYTES]);
        loop {
            let read = file.read_at(&mut buffer, offset)?;
            let end = memchr::memchr(b'\n', &buffer[..read]);
            line.extend_from_slice(&buffer[..end.unwrap_or(read)]);
            if read == 0 || end.is_some() {
                return Ok(line);
            }
            offset += read as u64;
            buffer.resize(buffer.len() * 2, 0);
        }
    }
}

impl Texts for ReplayTexts {
    fn text(&self, place: Place) -> Result<String, Error> {
        let input = place.input() as usize;
        let failed = |what: String| Error { place, what };
        if let Some(spool) = input.checked_sub(self.files.len()) {
            return self.spools[spool].read(place.offset()).map_err(|e| failed(e.to_string()));
        }
        let raw = self.line(input, place.offset()).map_err(|e| failed(e.to_string()))?;
        // It was read once already, when it was not from the future.
        let context = Context { place, received_at_ms: None, now: i64::MAX / 2 };
        match parse(&raw, &context) {
            Parsed::Version(_, Some(text)) => Ok(text.into_owned()),
            _ => Err(failed(format!("{} has changed since it was read", self.files[input].0.display()))),
        }
    }
}
