//! The sink: keeps rows until the end, writes dead letters as they come, puts everything in its place at once.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;
use rayon::prelude::*;

use super::{Interrupt, Job, ReplayTexts, checks};
use crate::cli::Error;
use crate::engine::Output;
use crate::sink::tables::{self, Table};

pub(super) struct Collected {
    tables: Vec<Table>,
    letters: Option<Letters>,
}

/// Takes outputs until the engine ends. A failure hangs up, so that no worker waits for ever, and is told in `failed`.
pub(super) fn collect(job: &Job, outputs: Receiver<Output>, failed: &AtomicBool) -> Result<Collected, Error> {
    let collected = take(job, &outputs);
    if collected.is_err() {
        failed.store(true, Ordering::Relaxed);
    }
    collected
}

fn take(job: &Job, outputs: &Receiver<Output>) -> Result<Collected, Error> {
    let mut tables: Vec<Table> = job.views.iter().map(|definition| Table::new(definition.view)).collect();
    let mut letters = job.output.as_deref().map(Letters::new).transpose()?;
    for output in outputs {
        match output {
            Output::Changes { changes, .. } => {
                // By name: a view's description may stand in memory more than once.
                let table = tables.iter_mut().find(|table| table.view().name == changes.view.name);
                table.expect("views that were asked for").append(&changes);
            }
            Output::Dead { letter, .. } => {
                if let Some(letters) = &mut letters {
                    letters.push(&letter)?;
                }
            }
            Output::Closed { .. } => {}
        }
    }
    Ok(Collected { tables, letters })
}

impl Collected {
    /// Puts tables and dead letters where they belong; gives the rows of each view.
    pub fn write(self, job: &Job, texts: &ReplayTexts, interrupt: &Interrupt) -> Result<Vec<(&'static str, u64)>, Error> {
        let names = self.tables.iter().map(|table| table.view().name);
        let Some(folder) = &job.output else {
            let rows: Vec<u64> = self.tables.par_iter().map(Table::count).collect();
            return Ok(names.zip(rows).collect());
        };
        let failed = |e| Error::failed("a table could not be written", e);
        let write = |table: &Table| {
            interrupt.check()?;
            table.write(folder, job.format, texts).map_err(failed)
        };
        let written = self.tables.par_iter().map(write).collect::<Result<Vec<_>, Error>>()?;
        let views = names.zip(written.iter().map(|table| table.rows)).collect();
        let letters = self.letters.map(Letters::whole).transpose()?;
        texts.check().map_err(|e| Error::failed("the tables were not written", e))?;
        interrupt.check()?;
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

/// `DIR/dead_letters.ndjson`, beside its place until it is whole.
struct Letters {
    out: BufWriter<tempfile::NamedTempFile<File>>,
}

impl Letters {
    fn new(folder: &Path) -> Result<Self, Error> {
        Ok(Letters { out: BufWriter::new(tables::beside(folder).map_err(Self::failed)?) })
    }

    fn failed(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::failed("dead letters could not be written", e)
    }

    fn push(&mut self, letter: &eddy_schemas::control::DeadLetter) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, letter).map_err(Self::failed)?;
        self.out.write_all(b"\n").map_err(Self::failed)
    }

    fn whole(self) -> Result<tempfile::NamedTempFile, Error> {
        self.out.into_inner().map_err(|e| Self::failed(e.into_error()))
    }
}
