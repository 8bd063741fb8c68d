//! The changelogs of a pipeline: a thread each, behind a bounded queue.
//!
//! ```text
//!   sink --tick--> [ changelog_ticks_max ] --all that wait--> fsync of frames --> lines --> upper --> recovery point
//! ```
//!
//! # Invariants
//! 1. Only ticks whose frames are on disk are written: what has left the machine is never undone.
//! 2. A changelog that lacks ticks which the state cannot tell one by one any more gets all rows as they are, before anything new.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use eddy_schemas::Changes;
use tokio::runtime::Handle;

use super::uppers::Uppers;
use super::{AGAIN, CHANGELOG, Error, Parts, Shared, State, WAIT};
use crate::cli::chain;
use crate::engine;
use crate::engine::durable::Durable;
use crate::sink::changelog::{self, Changelog, Tick};
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::texts::Texts;

/// Rows of a view that are read from the store at once.
const ROWS_AT_ONCE: usize = 1 << 12;

enum Say {
    Tick(Tick),
    /// What there is at the end of this tick; what came before is not wanted. Answered when it is written.
    All(u64, Sender<()>),
}

/// Where ticks for all changelogs go.
#[derive(Clone, Default)]
pub struct Changelogs(Vec<Sink>);

#[derive(Clone)]
struct Sink {
    say: Sender<Say>,
    lacks_too_much: bool,
    /// What it had at the start, and where it is.
    upper: u64,
    folder: PathBuf,
}

/// What the threads are made from.
pub struct Writers<'a> {
    pub parts: &'a Parts,
    pub shared: &'a Arc<Shared>,
    pub uppers: &'a Arc<Uppers>,
    pub durable: Option<&'a Arc<Durable>>,
    pub runtime: &'a Handle,
}

impl Changelogs {
    /// `snapshot`: ticks up to this one cannot be told one by one.
    pub fn start(
        writers: &Writers,
        opened: Vec<Changelog>,
        snapshot: u64,
        ticks_max: usize,
    ) -> Result<(Changelogs, Vec<JoinHandle<Result<(), Error>>>), Error> {
        let (mut sinks, mut threads) = (vec![], vec![]);
        for (changelog, number) in opened.into_iter().zip(1..) {
            let (say, said) = bounded(ticks_max.max(1));
            let (upper, folder) = (changelog.upper(), changelog.folder().clone());
            let lacks_too_much = upper < snapshot;
            let sink = Sink { say, lacks_too_much, upper, folder };
            let writer = Writer {
                store: Arc::clone(&writers.parts.store),
                texts: Arc::clone(&writers.parts.texts),
                telemetry: Arc::clone(&writers.parts.telemetry),
                shared: Arc::clone(writers.shared),
                uppers: Arc::clone(writers.uppers),
                durable: writers.durable.cloned(),
                runtime: writers.runtime.clone(),
                changelog,
                number,
                waits_for_all: lacks_too_much,
            };
            sinks.push(sink);
            let thread = std::thread::Builder::new().name("eddy-changelog".into()).spawn(move || writer.run(&said));
            threads.push(thread.map_err(|e| engine::Error::Start(e.to_string()))?);
            writers.parts.telemetry.state(CHANGELOG, State::Ready);
        }
        Ok((Changelogs(sinks), threads))
    }

    /// Waits where one is too far behind.
    pub fn send(&self, tick: u64, changes: &Arc<Vec<Changes>>) {
        for sink in &self.0 {
            // One that has ended says why when all ends.
            let _ = sink.say.send(Say::Tick(Tick { tick, changes: Arc::clone(changes) }));
        }
    }

    /// Gives those that lack too much all that there is at the end of this tick, the last; false where it was stopped.
    pub fn fill(&self, tick: u64, shared: &Shared) -> Result<bool, Error> {
        if let Some(ahead) = self.0.iter().find(|sink| sink.upper > tick) {
            return Err(changelog::Error::Ahead(ahead.folder.clone()).into());
        }
        for sink in self.0.iter().filter(|sink| sink.lacks_too_much) {
            let (done, wait) = bounded(1);
            if sink.say.send(Say::All(tick, done)).is_err() {
                return Ok(false);
            }
            while wait.recv_timeout(WAIT).is_err_and(|e| e.is_timeout()) {
                if shared.stops() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Writes one changelog.
struct Writer {
    store: Arc<dyn Store>,
    texts: Arc<dyn Texts>,
    telemetry: Arc<Telemetry>,
    shared: Arc<Shared>,
    uppers: Arc<Uppers>,
    durable: Option<Arc<Durable>>,
    runtime: Handle,
    changelog: Changelog,
    number: usize,
    /// Ticks are of no use before all rows are there.
    waits_for_all: bool,
}

impl Writer {
    fn run(mut self, said: &Receiver<Say>) -> Result<(), Error> {
        let mut ticks = vec![];
        while let Ok(first) = said.recv() {
            for say in std::iter::once(first).chain(said.try_iter()) {
                match say {
                    Say::Tick(tick) if !self.waits_for_all => ticks.push(tick),
                    Say::Tick(_) => {}
                    Say::All(tick, done) => {
                        if !self.patiently(tick, |writer| writer.all(tick))? {
                            return Ok(());
                        }
                        self.waits_for_all = false;
                        // The driver may have been stopped.
                        let _ = done.send(());
                    }
                }
            }
            if let Some(last) = ticks.last().map(|tick| tick.tick)
                && !self.patiently(last, |writer| Ok(writer.changelog.write(&ticks, &*writer.texts)?))?
            {
                return Ok(());
            }
            ticks.clear();
            self.changelog.rest();
        }
        Ok(())
    }

    /// Writes what there is up to this tick, however often that has to be tried; false where it is stopped before.
    fn patiently(&mut self, upto: u64, mut write: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<bool, Error> {
        if let Some(durable) = &self.durable {
            durable.sync()?;
        }
        let mut waited = false;
        while let Err(e) = write(self) {
            self.telemetry.state(CHANGELOG, State::Failed(chain(&e)));
            if !matches!(&e, Error::Changelog(e) if e.is_transient()) {
                return Err(e);
            }
            waited = true;
            if self.shared.stops() {
                return Ok(false);
            }
            std::thread::sleep(AGAIN);
        }
        if waited {
            self.telemetry.state(CHANGELOG, State::Ready);
        }
        self.uppers.set(self.number, upto);
        Ok(true)
    }

    /// Writes every row of every view, and that whatever else was told of before is gone.
    fn all(&mut self, tick: u64) -> Result<(), Error> {
        self.changelog.begin()?;
        for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view) {
            let mut gone = self.changelog.keys(view)?;
            let mut cursor = None;
            loop {
                let page = self.runtime.block_on(self.store.scan(view, &[], cursor.as_deref(), ROWS_AT_ONCE))?.value;
                self.changelog.rows(view, tick, &page.rows, &mut gone, &*self.texts)?;
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            self.changelog.gone(view, tick, &gone)?;
        }
        Ok(self.changelog.commit(tick)?)
    }
}
