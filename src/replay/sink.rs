//! The sink: keeps rows until the end, writes dead letters as they come, puts everything in its place at once.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::Receiver;

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
            Output::Dead(letter) => {
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
            let rows = each(&self.tables, |table| Ok(table.count()))?;
            return Ok(names.zip(rows).collect());
        };
        let failed = |e| Error::failed("a table could not be written", e);
        let written = each(&self.tables, |table| {
            interrupt.check()?;
            table.write(folder, job.format, texts).map_err(failed)
        })?;
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

/// Does the work for each table, some at a time; gives the results in the tables' order.
fn each<T: Send>(tables: &[Table], work: impl Fn(&Table) -> Result<T, Error> + Sync) -> Result<Vec<T>, Error> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = vec![];
        while let Some((at, table)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, tables.get(at)?))) {
            done.push((at, work(table)?));
        }
        Ok(done)
    };
    let mut done = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores.min(tables.len())).map(|_| scope.spawn(take)).collect();
        let done = workers.into_iter().map(|worker| worker.join().expect("writers do not panic"));
        let done = done.collect::<Result<Vec<Vec<_>>, Error>>()?;
        Ok::<_, Error>(done.into_iter().flatten().collect::<Vec<_>>())
    })?;
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
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
