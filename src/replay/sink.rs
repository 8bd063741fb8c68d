//! The sink: keeps rows until the end, writes dead letters as they come, puts everything in its place at once.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;
use eddy_schemas::control::DeadLetter;
use rayon::prelude::*;

use super::changelogs::Changelogs;
use super::{Interrupt, Job, ReplayTexts, checks};
use crate::cli::Error;
use crate::engine::Output;
use crate::pause;
use crate::sink::tables::{self, Table};

/// Where tables stand beside their place, if not in its folder: whoever removes that folder keeps them from being put there.
pub(crate) struct Staging<'a> {
    pub folder: PathBuf,
    /// Whether they may be, asked once they are made.
    pub check: Box<dyn Fn() -> Result<(), Error> + 'a>,
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // Whoever begins next removes it, too.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What came out so far.
pub(crate) struct Collected {
    pub tables: Vec<Table>,
    letters: Option<Letters>,
}

/// Takes outputs until the engine ends. A failure hangs up, so that no worker waits for ever, and is told in `failed`.
pub(super) fn collect(job: &Job, outputs: Receiver<Output>, changelogs: Changelogs, failed: &AtomicBool) -> Result<Collected, Error> {
    let collected = take(job, &outputs, changelogs);
    if collected.is_err() {
        failed.store(true, Ordering::Relaxed);
    }
    collected
}

fn take(job: &Job, outputs: &Receiver<Output>, mut changelogs: Changelogs) -> Result<Collected, Error> {
    let mut collected = Collected::new(job)?;
    for output in outputs {
        match &output {
            Output::Changes { tick, changes } => changelogs.take(*tick, changes),
            Output::Closed { worker, frontier } => changelogs.close(*worker, *frontier, !outputs.is_empty())?,
            Output::Dead { .. } => {}
        }
        collected.take(output)?;
    }
    Ok(collected)
}

impl Collected {
    pub fn new(job: &Job) -> Result<Collected, Error> {
        let tables = job.views.iter().map(|definition| Table::new(definition.view)).collect();
        Ok(Collected { tables, letters: job.output.as_deref().map(Letters::new).transpose()? })
    }

    pub fn take(&mut self, output: Output) -> Result<(), Error> {
        match output {
            Output::Changes { changes, .. } => self.table(changes.view.name).append(&changes),
            Output::Dead { letter, .. } => self.letter(&letter)?,
            Output::Closed { .. } => {}
        }
        Ok(())
    }

    /// The table of a view. (By name: a view's description may stand in memory more than once.)
    pub fn table(&mut self, view: &str) -> &mut Table {
        let table = self.tables.iter_mut().find(|table| table.view().name == view);
        table.expect("views that were asked for")
    }

    pub fn letter(&mut self, letter: &DeadLetter) -> Result<(), Error> {
        self.letters.as_mut().map_or(Ok(()), |letters| letters.push(letter))
    }

    /// Puts tables and dead letters where they belong, unless `staging` says that they may not be any more; gives the rows of each view.
    pub fn write(
        self,
        job: &Job,
        texts: &ReplayTexts,
        interrupt: &Interrupt,
        staging: Option<Staging>,
    ) -> Result<Vec<(&'static str, u64)>, Error> {
        let names = self.tables.iter().map(|table| table.view().name);
        let Some(folder) = &job.output else {
            let rows: Vec<u64> = self.tables.par_iter().map(Table::count).collect();
            return Ok(names.zip(rows).collect());
        };
        let failed = |e| Error::failed("a table could not be written", e);
        let beside = staging.as_ref().map_or(&**folder, |staging| &*staging.folder);
        std::fs::create_dir_all(beside).map_err(|source| failed(tables::Error::Write { path: beside.into(), source }))?;
        let write = |table: &Table| {
            interrupt.check()?;
            table.write(folder, beside, job.format, texts).map_err(failed)
        };
        let written = self.tables.par_iter().map(write).collect::<Result<Vec<_>, Error>>()?;
        let views = names.zip(written.iter().map(|table| table.rows)).collect();
        let letters = self.letters.map(|letters| letters.whole(beside)).transpose()?;
        texts.check().map_err(|e| Error::failed("the tables were not written", e))?;
        interrupt.check()?;
        if let Some(staging) = &staging {
            pause::at("staged");
            (staging.check)()?;
            pause::at("checked");
        }
        // If we crash here, some tables are new and some old, but each is whole.
        for table in written {
            table.publish().map_err(failed)?;
        }
        if let Some(letters) = letters {
            tables::publish(letters, &checks::letters(folder)).map_err(Letters::failed)?;
        }
        Ok(views)
    }
}

/// `DIR/dead_letters.ndjson`: in a file without a name, in the same folder, until it is whole.
pub(crate) struct Letters {
    out: BufWriter<File>,
}

impl Letters {
    fn new(folder: &Path) -> Result<Self, Error> {
        Ok(Letters { out: BufWriter::new(tempfile::tempfile_in(folder).map_err(Self::failed)?) })
    }

    fn failed(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::failed("dead letters could not be written", e)
    }

    fn push(&mut self, letter: &DeadLetter) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, letter).map_err(Self::failed)?;
        self.out.write_all(b"\n").map_err(Self::failed)
    }

    /// In a file beside its place, in this folder.
    fn whole(self, folder: &Path) -> Result<tempfile::NamedTempFile, Error> {
        let mut letters = self.out.into_inner().map_err(|e| Self::failed(e.into_error()))?;
        let mut whole = tables::beside(folder).map_err(Self::failed)?;
        letters.rewind().and_then(|()| io::copy(&mut letters, &mut whole)).map_err(Self::failed)?;
        Ok(whole)
    }
}
