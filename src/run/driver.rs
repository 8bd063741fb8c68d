//! Reads the log, and before that the state; says when a tick ends.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::binding::{self, Binding};
use super::changelogs::Changelogs;
use super::{Arc, Bound, Config, Due, Engine, Error, Of, Parts, Shared, WAIT};
use crate::engine::Raw;
use crate::engine::durable::Durable;
use crate::engine::partitions::Partitions;
use crate::engine::recovery::Kept;
use crate::log::{Partition, Topic};
use crate::telemetry::{ENGINE, State};

const DEAD_LETTERS: Partition = Partition { topic: Topic::DeadLetters, number: 0 };

pub struct Driver {
    parts: Parts,
    config: Config,
    engine: Engine,
    shared: Arc<Shared>,
    /// Partitions that hold what platforms sent, by their number among all, and where each is read next.
    cursors: Vec<(u32, Partition, u64)>,
    /// Which of them the watermark waits for.
    activity: Partitions,
    /// As told last.
    active: Vec<u32>,
    /// What is to be fed first.
    pub state: Option<(Kept, Arc<Durable>)>,
    pub changelogs: Changelogs,
}

impl Driver {
    pub fn new(parts: Parts, config: Config, mut engine: Engine, shared: Arc<Shared>, partitions: &[Partition]) -> Self {
        let sent = |partition: &Partition| matches!(partition.topic, Topic::Reddit | Topic::Telegram);
        let cursors: Vec<_> = (0..).zip(partitions).filter(|(_, p)| sent(p)).map(|(number, p)| (number, *p, 0)).collect();
        let numbers = cursors.iter().map(|(number, _, _)| *number);
        let now = parts.clock.monotonic_ms();
        let activity = Partitions::new(numbers, config.partition_idle_ms, now);
        let active = activity.active(now);
        engine.wait_for(active.clone());
        Driver { parts, config, engine, shared, cursors, activity, active, state: None, changelogs: Changelogs::default() }
    }

    pub fn run(mut self) -> Result<(), Error> {
        match self.drive() {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(e) => {
                self.parts.telemetry.state(ENGINE, State::Failed(crate::cli::chain(&e)));
                return Err(e);
            }
        }
        self.shared.whole.store(true, Ordering::Release);
        self.engine.finish()?;
        // Nothing that has been told is left to a power cut.
        Ok(self.config.engine.durable.map_or(Ok(()), |durable| durable.sync())?)
    }

    /// Feeds the engine until it is stopped; false where that was within the recovery.
    fn drive(&mut self) -> Result<bool, Error> {
        if !self.recover()? {
            return Ok(false);
        }
        let (mut seen, mut last) = (0, Instant::now());
        while !self.shared.stops() {
            let dead_letters = self.parts.log.end(DEAD_LETTERS);
            let taken = Instant::now();
            let (batches, received) = self.read()?;
            let moved = self.look();
            // Without records there is a tick only where the watermark may move without.
            if batches.is_empty() && !moved {
                seen = self.parts.log.wait(seen, WAIT);
                continue;
            }
            let bound = Bound { tick: self.engine.open_tick(), offsets: self.offsets(), watermark: None };
            if self.config.state.is_some() {
                let offsets = bound.offsets.iter().filter(|(_, offset)| *offset > 0).map(|(p, offset)| (p.name(), *offset)).collect();
                self.engine.bind(Binding { offsets, dead_letters }.text());
            }
            self.shared.due.lock().push_back(Due { bound, of: Of::Log { received, taken } });
            for batch in batches {
                self.engine.send(batch)?;
            }
            self.engine.close_tick()?;
            let rest = Duration::from_millis(self.config.tick_ms_min).saturating_sub(last.elapsed());
            if !rest.is_zero() {
                std::thread::sleep(rest);
            }
            last = Instant::now();
        }
        Ok(true)
    }

    /// Looks how partitions are, and tells; whether the watermark waits for others than before, or for nobody.
    fn look(&mut self) -> bool {
        let now = self.parts.clock.monotonic_ms();
        self.activity.stalled(self.shared.stalled.load(Ordering::Acquire), now);
        let active = self.activity.active(now);
        let all = self.cursors.iter().map(|(_, partition, _)| partition.name()).zip(self.activity.all(now).map(|(_, activity)| activity));
        self.parts.telemetry.partitions(all.collect());
        let moved = active != self.active;
        if moved {
            self.active.clone_from(&active);
            // Where nobody is waited for nobody would move it any more: what has been read is all there is, for now.
            if active.is_empty() { self.engine.all_is_in() } else { self.engine.wait_for(active) }
        }
        // Before the first record there is no event time, and no tick.
        moved && self.cursors.iter().any(|(_, _, offset)| *offset > 0)
    }

    fn offsets(&self) -> Vec<(Partition, u64)> {
        self.cursors.iter().map(|(_, partition, offset)| (*partition, *offset)).collect()
    }

    /// Feeds the state and waits until all of it is visible; false where it was stopped.
    fn recover(&mut self) -> Result<bool, Error> {
        let mut last = 0;
        if let Some((kept, durable)) = self.state.take() {
            let (snapshot, binding) = kept.snapshot();
            let of_snapshot = self.bound(snapshot, &binding::read(&kept, binding)?);
            let (shared, path) = (Arc::clone(&self.shared), kept.path().display().to_string());
            let mut foreign = false;
            let cursors: Vec<_> = self.cursors.iter().map(|(_, partition, _)| *partition).collect();
            let recovered = kept.recover(&mut self.engine, &durable, |step| {
                if step.tick > last {
                    last = step.tick;
                    let due = match step.binding.map(serde_json::from_str::<Binding>) {
                        None if last == snapshot => Due { bound: of_snapshot.clone(), of: Of::Snapshot(snapshot) },
                        None => Due { bound: Bound { tick: last, ..Bound::default() }, of: Of::Snapshot(snapshot) },
                        Some(Ok(binding)) => {
                            let offsets = cursors.iter().map(|partition| (*partition, binding.offset(*partition))).collect();
                            Due { bound: Bound { tick: last, offsets, watermark: None }, of: Of::Frames }
                        }
                        Some(Err(_)) => {
                            foreign = true;
                            return false;
                        }
                    };
                    shared.due.lock().push_back(due);
                }
                !shared.stops()
            })?;
            if foreign {
                return Err(Error::Foreign(path));
            }
            let Some(binding) = recovered else { return Ok(false) };
            let binding: Binding =
                if binding.is_empty() { Binding::default() } else { serde_json::from_str(&binding).map_err(|_| Error::Foreign(path))? };
            let end = self.parts.log.end(DEAD_LETTERS);
            if end < binding.dead_letters {
                return Err(Error::LogLost { partition: DEAD_LETTERS, end, bound: binding.dead_letters });
            }
            for (_, partition, offset) in &mut self.cursors {
                let (end, bound) = (self.parts.log.end(*partition), binding.offset(*partition));
                // Records that come would take the places of those that are counted. (None have: sources wait for this.)
                if end < bound {
                    return Err(Error::LogLost { partition: *partition, end, bound });
                }
                *offset = bound;
            }
            self.engine.bind(binding.text());
        }
        self.shared.compared.store(true, Ordering::Release);
        if !self.wait_closed(last) {
            return Ok(false);
        }
        self.parts.telemetry.state(ENGINE, State::Ready);
        // Nothing new until those that lack too much have all that there is now.
        self.changelogs.fill(last, &self.shared)
    }

    fn bound(&self, tick: u64, binding: &Binding) -> Bound {
        let offsets = self.cursors.iter().map(|(_, partition, _)| (*partition, binding.offset(*partition))).collect();
        Bound { tick, offsets, watermark: None }
    }

    /// Waits until readers see this tick; false where that was stopped.
    fn wait_closed(&self, tick: u64) -> bool {
        let mut closed = self.shared.closed.lock();
        while closed.tick < tick {
            if self.shared.stops() {
                return false;
            }
            self.shared.moved.wait_for(&mut closed, WAIT);
        }
        true
    }

    /// What every partition has, and how many records of it were received when.
    fn read(&mut self) -> Result<(Vec<Raw>, Vec<(i64, u64)>), Error> {
        let (mut batches, mut received) = (vec![], Vec::<(i64, u64)>::new());
        for (input, partition, offset) in &mut self.cursors {
            if self.parts.log.end(*partition) == *offset {
                continue;
            }
            let records = self.parts.log.read(*partition, *offset, self.config.read_bytes_max)?;
            *offset += records.len() as u64;
            self.activity.brought(*input, self.parts.clock.monotonic_ms());
            for record in &records {
                match received.last_mut().filter(|(ms, _)| *ms == record.received_at_ms) {
                    Some((_, count)) => *count += 1,
                    None => received.push((record.received_at_ms, 1)),
                }
            }
            batches.push(Raw::Log { input: *input, records });
        }
        Ok((batches, received))
    }
}
