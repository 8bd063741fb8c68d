//! Applies ticks and tells what is visible.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;
use eddy_schemas::Changes;
use eddy_schemas::control::DeadLetter;
use tokio::runtime::Handle;

use super::changelogs::Changelogs;
use super::letters::Letters;
use super::uppers::{self, Uppers};
use super::{AGAIN, Arc, Due, Error, Of, Parts, Shared};
use crate::cli::chain;
use crate::engine::durable::Durable;
use crate::engine::{self, Counts, Engine, Output};
use crate::progress::Bound;
use crate::telemetry::{LETTERS, State};

pub struct Sink {
    pub parts: Parts,
    pub shared: Arc<Shared>,
    pub letters: Letters,
    pub changelogs: Changelogs,
    pub uppers: Arc<Uppers>,
    pub durable: Option<Arc<Durable>>,
    pub state: Open,
}

/// What has been said of ticks that are not closed, and told of those that are.
pub struct Open {
    frontiers: Vec<Option<u64>>,
    /// Changes of ticks that not every worker has closed, and their dead letters.
    changes: BTreeMap<u64, Vec<Changes>>,
    letters: BTreeMap<u64, Vec<DeadLetter>>,
    counts: Arc<Counts>,
    /// As told last.
    counted: engine::counts::Snapshot,
}

impl Open {
    pub fn new(engine: &Engine, workers: usize) -> Open {
        Open {
            frontiers: vec![Some(0); workers],
            changes: BTreeMap::new(),
            letters: BTreeMap::new(),
            counts: engine.counts(),
            counted: Default::default(),
        }
    }
}

impl Sink {
    pub fn run(mut self, outputs: &Receiver<Output>, runtime: &Handle) -> Result<(), Error> {
        for output in outputs {
            match output {
                Output::Changes { tick, changes } => self.state.changes.entry(tick).or_default().push(changes),
                Output::Dead { tick, letter } => self.state.letters.entry(tick).or_default().push(letter),
                Output::Closed { worker, frontier } => {
                    self.state.frontiers[worker] = frontier;
                    if !self.close(runtime)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Applies and tells the ticks that every worker has closed; false where nothing can be told any more.
    fn close(&mut self, runtime: &Handle) -> Result<bool, Error> {
        let frontier = self.state.frontiers.iter().map(|frontier| frontier.unwrap_or(u64::MAX)).min().unwrap_or(u64::MAX);
        if frontier == u64::MAX && !self.shared.whole.load(Ordering::Acquire) {
            return Ok(false);
        }
        while let Some(due) = self.shared.closed_below(frontier) {
            if let Some(durable) = &self.durable {
                durable.check()?;
                if durable.has_failed() {
                    return Ok(false);
                }
            }
            let changes = Arc::new(self.state.changes.remove(&due.bound.tick).unwrap_or_default());
            let letters = self.state.letters.remove(&due.bound.tick).unwrap_or_default();
            if !self.apply(due, changes, letters, runtime)? {
                return Ok(false);
            }
        }
        let left = self.state.changes.first_key_value().is_some_and(|(tick, _)| *tick < frontier);
        // (One that the end of the engine closes has no records, and nobody waits for it.)
        assert!(!left, "a tick below {frontier} closed without a bound");
        Ok(true)
    }

    fn apply(&mut self, due: Due, changes: Arc<Vec<Changes>>, mut letters: Vec<DeadLetter>, runtime: &Handle) -> Result<bool, Error> {
        let tick = due.bound.tick;
        match due.of {
            Of::Snapshot(of) if tick < of => {
                return runtime.block_on(self.parts.store.restore(of, &changes)).map(|()| true).map_err(Error::Store);
            }
            // Its letters are in their topic: no snapshot goes beyond what is.
            Of::Snapshot(_) => {}
            Of::Frames | Of::Log { .. } => {
                letters.sort_by(|a, b| (&a.file, a.offset).cmp(&(&b.file, b.offset)));
                if !self.bury(&letters) {
                    return Ok(false);
                }
            }
        }
        runtime.block_on(self.parts.store.apply(tick, &changes))?;
        if !matches!(due.of, Of::Snapshot(_)) {
            self.changelogs.send(tick, &changes);
        }
        self.tell(tick, &due.of);
        self.shared.close(Bound { watermark: self.state.counts.watermark_at(tick), ..due.bound });
        self.uppers.set(uppers::LETTERS, tick);
        Ok(true)
    }

    /// Appends dead letters, however long that takes; false where it is stopped before.
    fn bury(&mut self, letters: &[DeadLetter]) -> bool {
        if letters.is_empty() {
            return true;
        }
        let mut waited = false;
        while let Err(e) = self.letters.append(letters, self.parts.clock.now_ms()) {
            self.parts.telemetry.state(LETTERS, State::Failed(chain(&e)));
            waited = true;
            if self.shared.stops() {
                return false;
            }
            std::thread::sleep(AGAIN);
        }
        if waited {
            self.parts.telemetry.state(LETTERS, State::Ready);
        }
        letters.iter().for_each(|letter| self.parts.telemetry.letter(letter));
        true
    }

    fn tell(&mut self, tick: u64, of: &Of) {
        let (telemetry, now) = (&self.parts.telemetry, self.parts.clock.now_ms());
        let (counts, counted) = (self.state.counts.snapshot(), &self.state.counted);
        match of {
            Of::Log { received, taken } => {
                telemetry.committed(taken.elapsed());
                for (received_at, records) in received {
                    telemetry.fresh(Duration::from_millis(u64::try_from(now - received_at).unwrap_or(0)), *records);
                }
                telemetry.read(counts.read - counted.read);
            }
            Of::Snapshot(_) | Of::Frames => telemetry.read_before(counts.read - counted.read),
        }
        telemetry.applied(counts.applied - counted.applied);
        let more = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>, tell: &dyn Fn(&str, u64)| {
            for (reason, count) in now {
                let before = before.get(reason).copied().unwrap_or(0);
                if *count > before {
                    tell(reason, count - before);
                }
            }
        };
        more(&counts.ignored, &counted.ignored, &|reason, count| telemetry.ignored(reason, count));
        more(&counts.dead, &counted.dead, &|reason, count| telemetry.dead(reason, count));
        telemetry.messages_live(counts.live);
        if let Some(watermark) = counts.watermark {
            telemetry.watermark(watermark, now);
        }
        telemetry.closed(tick);
        self.state.counted = counts;
    }
}
