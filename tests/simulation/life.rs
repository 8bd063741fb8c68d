//! One process: it recovers what the disk has, then drives the engine, until it is stopped or everything is done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, unbounded};
use eddy::clock::Clock;
use eddy::engine::durable::{Durable, Fsync, NoRoom, Referred};
use eddy::engine::recovery::{self, Kept, Retention};
use eddy::engine::snapshot::Snapshots;
use eddy::engine::ticks::{Tick, Ticks};
use eddy::engine::{self, Engine, Output, Raw, by_hand, parse};
use eddy::journal::{self, Journal};
use eddy::log::Log;
use eddy::spool::Spool;
use eddy_schemas::{Changes, stored};

use super::rows::Rows;
use super::world::{Bug, PARTITION, World};

const STEPS_MAX: usize = 160;
/// Ticks that the sink can lack at the end, and tries that it stops in the middle of.
const FINISH_MAX: usize = 10_000;

pub enum Ended {
    /// All records are in every view and in the sink.
    Finished,
    /// By a fault, or by chance.
    Stopped,
    /// It does not begin: the disk holds what it should not.
    Refused(String),
}

pub struct Life {
    engine: Engine,
    durable: Arc<Durable>,
    outputs: Receiver<Output>,
    /// The frontier of each worker.
    frontiers: Vec<u64>,
    /// Ticks that have ended and are not closed, and their changes.
    open: BTreeMap<u64, Vec<Changes>>,
    ended: BTreeSet<u64>,
    rows: Rows,
    /// What is to be recovered.
    state: Option<State>,
    /// What the external sink has not been given yet.
    queue: Vec<(u64, Vec<Changes>)>,
    /// Records read from the log, and those before the last tick.
    read: usize,
    bound: usize,
}

impl Life {
    /// `to_the_end`: until all is done; else until something stops it.
    pub fn live(world: &mut World, to_the_end: bool) -> Result<Ended, String> {
        let mut life = match Life::begin(world) {
            Ok(life) => life,
            Err(_) if world.files.is_stopped() => return Ok(Ended::Stopped),
            Err(why) => return Ok(Ended::Refused(why)),
        };
        let recovered = life.recover(world);
        if world.files.is_stopped() || life.durable.has_failed() {
            return Ok(Ended::Stopped);
        }
        match recovered {
            Err(Wrong::Refused(why)) => return Ok(Ended::Refused(why)),
            Err(Wrong::Broken(what)) => return Err(what),
            Ok(()) => {}
        }
        for _ in 0..STEPS_MAX {
            let stepped = life.step(world);
            if world.files.is_stopped() || life.durable.has_failed() {
                return Ok(Ended::Stopped);
            }
            stepped?;
        }
        if !to_the_end && world.chance(70) {
            return Ok(Ended::Stopped);
        }
        life.finish(world)
    }

    fn begin(world: &mut World) -> Result<Life, String> {
        let said = |e: &dyn std::error::Error| eddy::cli::chain(e);
        let state = State::open(world)?;
        // Frames refer to the log, which is elsewhere.
        let referred: Arc<dyn Referred> = Arc::new(Vec::<Arc<Spool>>::new());
        let durable = match &state {
            State::Kept(kept) => kept.durable(referred, Fsync::Asked, NoRoom::Fails).map_err(|e| said(&e))?,
            State::Bug(journal, _) => {
                Arc::new(Durable::new(Arc::clone(journal), referred, Fsync::Asked, NoRoom::Fails).map_err(|e| said(&e))?)
            }
        };
        durable.set_recovery_point(world.sink.upper);
        let workers = 2 + world.random.below(2);
        let config = engine::Config {
            workers,
            views: world.views(),
            keep: world.keep,
            tick_records_max: 0,
            durable: Some(Arc::clone(&durable)),
            by_hand: Some(world.random.draw()),
            ..engine::Config::default()
        };
        let names = world.log.partitions().iter().map(|partition| format!("{partition:?}")).collect();
        let inputs = parse::Inputs { names, spools: vec![], spares: None, clock: Arc::clone(&world.clock) as _, forgotten: Arc::default() };
        let (send, outputs) = unbounded();
        let engine = Engine::start(config, inputs, Arc::clone(&world.texts) as _, send).map_err(|e| said(&e))?;
        Ok(Life {
            engine,
            durable,
            state: Some(state),
            outputs,
            frontiers: vec![0; workers],
            open: BTreeMap::new(),
            ended: BTreeSet::new(),
            rows: Rows::default(),
            queue: vec![],
            read: 0,
            bound: 0,
        })
    }

    /// As `replay` and `run` do it; or as a bug has it.
    fn recover(&mut self, world: &mut World) -> Result<(), Wrong> {
        let refused = |e: &dyn std::error::Error| Wrong::Refused(eddy::cli::chain(e));
        let state = self.state.take().expect("recovered once");
        let mut ticks = vec![];
        let binding = match state {
            State::Kept(kept) => {
                let snapshot = (kept.snapshot().0, kept.snapshot().1.to_owned());
                let durable = Arc::clone(&self.durable);
                let binding = kept.recover(&mut self.engine, &durable, |step| {
                    let binding = step.binding.or_else(|| (step.tick == snapshot.0).then_some(&*snapshot.1));
                    ticks.extend(binding.map(|binding| (step.tick, binding.to_owned())));
                    true
                });
                binding.map_err(|e| refused(&e))?.expect("nobody ends it")
            }
            State::Bug(journal, snapshots) => self.recover_wrongly(world, &journal, snapshots, &mut ticks).map_err(|e| refused(&e))?,
        };
        if world.files.is_stopped() {
            return Ok(());
        }
        self.ended.extend(ticks.iter().map(|(tick, _)| *tick));
        for (tick, binding) in &ticks {
            let made = world.bounds.get(tick).map(ToString::to_string);
            if made.as_ref() != Some(binding) {
                return Err(Wrong::Broken(format!("tick {tick} was made from {made:?} records, and is said to be made from {binding}")));
            }
        }
        self.bound = binding.parse().unwrap_or(0);
        self.read = self.bound;
        self.engine.bind(binding);
        self.drain(world)?;
        self.check_recovered(world, ticks.last().map_or(0, |(tick, _)| *tick))
    }

    fn recover_wrongly(
        &mut self,
        world: &World,
        journal: &Journal,
        snapshots: Snapshots,
        fed: &mut Vec<(u64, String)>,
    ) -> Result<String, engine::Error> {
        let manifest = snapshots.manifest.clone();
        self.engine.recover_tally(&manifest.tally);
        if manifest.tick > 0 {
            let (mut snapshot, mut versions) = (snapshots.read()?, vec![]);
            while let Some(version) = snapshot.version()? {
                stored::slice(version, &mut versions);
            }
            self.engine.recover_versions(manifest.tick, versions, &manifest.past)?;
            fed.push((manifest.tick, manifest.binding.clone()));
        }
        let mut ticks = Ticks::after(journal, manifest.tick);
        let mut all = vec![];
        while let Some(tick) = ticks.next_whole()? {
            all.push(tick);
        }
        for tick in as_the_bug_has_them(world, manifest.tick, all) {
            fed.push((tick.number, tick.binding().to_owned()));
            self.engine.recover(tick)?;
        }
        self.engine.recovered(ticks.last)?;
        self.durable.keep_small(snapshots).map_err(|e| engine::Error::Start(e.to_string()))?;
        Ok(fed.last().map(|(_, binding)| binding.clone()).unwrap_or_default())
    }

    fn check_recovered(&mut self, world: &mut World, tick: u64) -> Result<(), Wrong> {
        world.note(tick);
        if world.sink.upper > tick {
            // As the running engine does where the state is behind a sink.
            return Err(Wrong::Refused(format!("the state ends at tick {tick}, and a sink has {}", world.sink.upper)));
        }
        if tick < world.told && !world.is_lying() {
            return Err(Wrong::Broken(format!("tick {} was told, and the state ends at {tick}", world.told)));
        }
        // What was lost was never safe; its numbers are free again.
        world.ends_at(tick);
        (world.told, world.safe) = (tick, tick);
        self.check_counts(world)?;
        Ok(())
    }

    /// Everything read is in a closed tick: the counts say so, and each of them once.
    fn check_counts(&self, world: &World) -> Result<(), String> {
        let (counts, expected) = (self.engine.counts().snapshot(), world.counts());
        let won = counts.applied + counts.ignored["stale"] + counts.ignored["repeated"];
        let right = counts.adds_up()
            && (counts.read, won, counts.dead_letters()) == (expected.read, expected.accepted, expected.dead.values().sum::<u64>());
        if right { Ok(()) } else { Err(format!("after {} records the counts are {counts:?}, and not {expected:?}", self.bound)) }
    }

    fn step(&mut self, world: &mut World) -> Result<(), String> {
        let what = world.random.below(100);
        world.note(what as u64);
        match what {
            0..12 => drop(world.records_come()),
            12..27 => self.read(world)?,
            27..40 => self.end_tick(world)?,
            40..75 => {
                for _ in 0..world.random.below(16) {
                    by_hand::step();
                }
            }
            75..80 => self.sync(world),
            80..90 => self.feed_sink(world)?,
            90..94 => self.take_snapshot(world),
            _ => world.time_passes(),
        }
        // As every sink looks: what has closed without its frame is told to nobody.
        if world.files.is_stopped() || self.durable.has_failed() { Ok(()) } else { self.drain(world).map_err(Wrong::text) }
    }

    /// The driver: some of what the log has goes to the workers.
    fn read(&mut self, world: &mut World) -> Result<(), String> {
        let bytes_max = world.random.pick(&[1, 1, 500, 3_000]);
        let records = world.log.read(PARTITION, self.read as u64, bytes_max).map_err(|e| e.to_string())?;
        if records.is_empty() {
            return Ok(());
        }
        self.read += records.len();
        self.engine.bind(self.read.to_string());
        let tick = self.engine.open_tick();
        if tick <= world.told || tick <= world.sink.upper {
            return Err(format!("tick {tick} comes after {}", world.told.max(world.sink.upper)));
        }
        let input = world.log.partitions().iter().position(|partition| *partition == PARTITION).expect("it is there") as u32;
        self.engine.send(Raw::Log { input, records }).map_err(|e| e.to_string())
    }

    fn end_tick(&mut self, world: &mut World) -> Result<(), String> {
        if self.read == self.bound {
            return Ok(());
        }
        let tick = self.engine.open_tick();
        (self.bound, world.ticks) = (self.read, world.ticks + 1);
        world.bounds.insert(tick, self.bound);
        self.ended.insert(tick);
        if world.bug == Some(Bug::AckBeforeFrame) {
            world.told = tick;
        }
        self.engine.close_tick().map(|_| ()).map_err(|e| e.to_string())
    }

    fn sync(&mut self, world: &mut World) {
        let closed = world.told;
        if self.durable.sync().is_ok() {
            world.safe = closed;
        }
    }

    /// Snapshots hold what every external sink has, and no more.
    fn take_snapshot(&mut self, world: &mut World) {
        self.durable.set_recovery_point(if world.bug == Some(Bug::SnapshotBeyondUpper) { u64::MAX } else { world.sink.upper });
        // One that cannot be made is made later.
        let _ = self.durable.take_snapshot();
    }

    /// The external sink gets the next tick, if that is safe.
    fn feed_sink(&mut self, world: &mut World) -> Result<(), String> {
        match self.queue.first() {
            Some((tick, _)) if *tick <= world.safe => {}
            _ => return Ok(()),
        }
        let (tick, changes) = &self.queue[0];
        world.write_sink(*tick, changes)?;
        if *tick <= world.sink.upper {
            self.queue.remove(0);
        }
        Ok(())
    }

    /// Takes what has come out; ticks that have closed are shown, whole and in order.
    fn drain(&mut self, world: &mut World) -> Result<(), Wrong> {
        for output in self.outputs.try_iter() {
            match output {
                Output::Changes { tick, changes } => self.open.entry(tick).or_default().push(changes),
                Output::Closed { worker, frontier } => self.frontiers[worker] = frontier.unwrap_or(u64::MAX),
                _ => {}
            }
        }
        let frontier = *self.frontiers.iter().min().expect("some workers");
        while let Some(tick) = self.ended.first().copied().filter(|tick| *tick < frontier) {
            self.ended.pop_first();
            let changes = self.open.remove(&tick).unwrap_or_default();
            for changes in &changes {
                changes.iter().for_each(|change| self.rows.set(changes.view.name, change.key, change.row));
            }
            world.check("local view", tick, &self.rows).map_err(Wrong::Broken)?;
            world.told = world.told.max(tick);
            world.note(tick);
            self.queue.push((tick, changes));
        }
        Ok(())
    }

    /// Reads everything, waits for it, and gives it to the sink.
    fn finish(mut self, world: &mut World) -> Result<Ended, String> {
        while world.records_come() {}
        assert!(world.have_all_come());
        for _ in 0..FINISH_MAX {
            while self.read < world.records() {
                self.read(world)?;
            }
            self.end_tick(world)?;
            for _ in 0..20_000 {
                by_hand::step();
                if self.engine.frontiers().frontier() > *self.ended.last().unwrap_or(&0) {
                    break;
                }
            }
            if world.files.is_stopped() || self.durable.has_failed() {
                return Ok(Ended::Stopped);
            }
            self.drain(world).map_err(Wrong::text)?;
            self.sync(world);
            self.feed_sink(world)?;
            if world.files.is_stopped() || self.durable.has_failed() {
                return Ok(Ended::Stopped);
            }
            if self.queue.is_empty() {
                break;
            }
        }
        if !self.queue.is_empty() {
            return Err("the external sink does not come to the end".into());
        }
        self.check_counts(world)?;
        if world.sink.upper != world.told {
            return Err(format!("the sink ends at tick {}, the views at {}", world.sink.upper, world.told));
        }
        Ok(Ended::Finished)
    }
}

/// The state of the durable engine, opened.
enum State {
    Kept(Kept),
    /// Where the recovery is to be wrong.
    Bug(Arc<Journal>, Snapshots),
}

impl State {
    fn open(world: &mut World) -> Result<State, String> {
        let said = |e: &dyn std::error::Error| eddy::cli::chain(e);
        let (files, folder) = (world.files.files(), Path::new("/data"));
        let snapshot_bytes = world.random.pick(&[600, 2_000, 8_000]);
        files.make_folder(folder).map_err(|e| said(&e))?;
        if !matches!(world.bug, Some(Bug::Lump | Bug::CutFrames | Bug::ClockInReplay)) {
            let config = recovery::Config { folder: folder.into(), fsync: Fsync::Asked, snapshot_bytes };
            return Kept::open_in(&files, &config, Retention::of(&world.views(), world.keep).as_ref())
                .map(State::Kept)
                .map_err(|e| said(&e));
        }
        let config = journal::Config { segment_bytes: snapshot_bytes, sealed_open_max: 2 };
        let journal = Journal::open_in(Arc::clone(&files), &folder.join("state"), config).map_err(|e| said(&e))?;
        let snapshots = Snapshots::open_in(files, &folder.join("snapshots")).map_err(|e| said(&e))?;
        Ok(State::Bug(Arc::new(journal), snapshots))
    }
}

fn as_the_bug_has_them(world: &World, snapshot: u64, mut ticks: Vec<Tick>) -> Vec<Tick> {
    match world.bug {
        Some(Bug::Lump) if ticks.len() > 1 => {
            let number = ticks.last().expect("some").number;
            let binding = ticks.last().expect("some").binding().to_owned();
            let mut frames: Vec<_> = ticks.into_iter().flat_map(|tick| tick.frames).collect();
            frames.iter_mut().for_each(|frame| frame.head.binding.clone_from(&binding));
            vec![Tick { number, frames }]
        }
        Some(Bug::CutFrames) => {
            ticks.retain(|tick| tick.number <= world.sink.upper);
            ticks
        }
        Some(Bug::ClockInReplay) => {
            let mut before = snapshot;
            for tick in &mut ticks {
                tick.number = (before + 1).max(world.clock.now_ms() as u64);
                before = tick.number;
            }
            ticks
        }
        _ => ticks,
    }
}

/// What can be wrong with a recovery.
pub enum Wrong {
    Refused(String),
    Broken(String),
}

impl Wrong {
    fn text(self) -> String {
        match self {
            Wrong::Refused(text) | Wrong::Broken(text) => text,
        }
    }
}

impl From<String> for Wrong {
    fn from(text: String) -> Wrong {
        Wrong::Broken(text)
    }
}
