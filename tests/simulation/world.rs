//! What outlives processes: the disk, the log, the clock, an external sink; and what was told to somebody.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use eddy::clock::{Clock, Manual};
use eddy::files::Simulated;
use eddy::files::simulated::{Done, Fault};
use eddy::log::texts::LogTexts;
use eddy::log::{Append, Counts, Log, Memory, Partition, Topic};
use eddy_dataflows::Keep;
use eddy_dataflows::views::Definition;
use eddy_schemas::{Changes, Place};

use super::life::{Ended, Life};
use super::rows::{Rows, views};
use crate::generate::{self, NOW, Random, Shape};
use crate::oracle::parse::{Context, Outcome, records};
use crate::oracle::{self, Oracle, Tables};

/// How far the clock is from `NOW`, seconds, at most.
const CLOCK_S_MAX: i64 = 3 * 86_400;
/// Processes of one world.
const LIVES_MAX: usize = 6;

/// What the simulated driver does wrong, to see that it is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// The frames after the snapshot are replayed as one tick.
    Lump,
    /// Frames that the external sink has not are left out at a restart, and their records are read again.
    CutFrames,
    /// Snapshots go beyond what the external sink has.
    SnapshotBeyondUpper,
    /// A tick is told before its frame is written.
    AckBeforeFrame,
    /// A tick that is replayed has its number from the clock.
    ClockInReplay,
}

impl Bug {
    pub const ALL: [Bug; 5] = [Bug::Lump, Bug::CutFrames, Bug::SnapshotBeyondUpper, Bug::AckBeforeFrame, Bug::ClockInReplay];

    pub fn name(self) -> String {
        format!("{self:?}")
    }

    pub fn named(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| bug.name() == name)
    }
}

/// An external sink: rows and `upper` are durable at once, and it is written key by key.
#[derive(Default)]
pub struct Sink {
    rows: Rows,
    as_of: BTreeMap<(&'static str, Vec<u8>), u64>,
    /// It has the ticks up to this one.
    pub upper: u64,
}

pub struct World {
    pub random: Random,
    pub bug: Option<Bug>,
    /// How long what stays; half of the worlds without a bug seal messages.
    pub keep: Keep,
    pub files: Simulated,
    pub clock: Arc<Manual>,
    pub log: Arc<Memory>,
    pub texts: Arc<LogTexts>,
    /// Records that will come.
    coming: Vec<String>,
    /// Records that came: what was appended to the log, and when.
    came: Vec<(String, i64)>,
    pub sink: Sink,
    /// How many records each tick was made from, with those before it.
    pub bounds: BTreeMap<u64, usize>,
    /// The last tick that somebody was told of.
    pub told: u64,
    /// The last tick that is safe against a power cut.
    pub safe: u64,
    /// The fault of this life ends it; else it is an error that may or may not.
    stops: bool,
    /// Syncs have lied: records may be lost, but nothing may be wrong.
    lying: bool,
    /// What happened, hashed.
    trace: u64,
    pub ticks: usize,
    /// What was recomputed, by the tick.
    recomputed: RefCell<BTreeMap<u64, Rc<Tables>>>,
}

/// The partition that everything is in.
pub const PARTITION: Partition = Partition { topic: Topic::Reddit, number: 0 };

/// Histories are about the same few users, communities and chats: they get their numbers here.
pub fn meet_names() {
    let context = eddy_schemas::parse::Context { place: Place::default(), received_at_ms: None, now: NOW };
    for seed in 0..100 {
        for line in generate::history(seed, &shape()) {
            eddy_schemas::parse::parse(line.as_bytes(), &context);
        }
    }
}

fn shape() -> Shape {
    Shape { records: 60, messages: 12, users: 4, conversations: 3, telegram: 25, noise: 8, ..Shape::tiny() }
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>, lying: bool) -> World {
        let mut random = Random(seed ^ 0x51b0_1a7e);
        let keep = if bug.is_none() && random.chance(50) { keep(&mut random) } else { Keep::default() };
        let log = Arc::new(Memory::new(Counts { reddit: 1, telegram: 1 }));
        let mut coming = generate::history(seed, &shape());
        coming.retain(|line| is_one_record(line));
        coming.reverse();
        World {
            bug,
            keep,
            files: Simulated::new(random.draw()),
            clock: Arc::new(Manual::new(NOW * 1_000)),
            texts: Arc::new(LogTexts::new(Arc::clone(&log) as _)),
            log,
            coming,
            came: vec![],
            sink: Sink::default(),
            bounds: BTreeMap::from([(0, 0)]),
            told: 0,
            safe: 0,
            stops: true,
            lying,
            recomputed: RefCell::default(),
            trace: 0xcbf2_9ce4_8422_2325,
            ticks: 0,
            random,
        }
    }

    /// Lives one process after the other; says what was wrong, or what there was.
    pub fn run(mut self) -> Result<String, String> {
        let mut lives = 0;
        let mut calm = false;
        loop {
            lives += 1;
            // The last life is undisturbed and comes to the end of everything.
            let last = lives == LIVES_MAX;
            if !last {
                self.disturb();
            }
            self.files.lie(self.lying && !last && self.random.chance(50));
            let ended = Life::live(&mut self, calm || last);
            self.note(lives as u64);
            match ended {
                Ok(Ended::Finished) if last => break,
                Ok(Ended::Finished) => calm = true,
                // What was lied about may be missed only later.
                Ok(Ended::Stopped) if last && self.lying => break,
                Ok(Ended::Stopped) if last => return Err("the last life was stopped by nothing".into()),
                Ok(Ended::Stopped) => {}
                Ok(Ended::Refused(_)) if self.lying => break,
                // There was no room to begin in.
                Ok(Ended::Refused(_)) if !self.stops => {}
                Ok(Ended::Refused(why)) => return Err(format!("the state is refused: {why}")),
                Err(wrong) => return Err(format!("life {lives}: {wrong}")),
            }
            self.end_process();
        }
        Ok(format!(
            "{lives} lives, {} ticks, {} records, {} file operations, trace {:016x}",
            self.ticks,
            self.came.len(),
            self.files.operations(),
            self.trace
        ))
    }

    /// A fault is to come, most of the time; most of them end the process.
    fn disturb(&mut self) {
        self.stops = true;
        if self.random.chance(15) {
            return;
        }
        let done = self.random.pick(&[Done::Nothing, Done::Part, Done::All]);
        let after = 1 + self.random.below(80) as u64;
        self.stops = self.random.chance(85);
        self.files.fault(Fault { after, done, stop: self.stops, error: io::ErrorKind::StorageFull });
    }

    fn end_process(&mut self) {
        if self.random.chance(50) {
            self.files.kill();
            self.note(1);
        } else {
            self.files.power_cut();
            // Who read locally may have seen more than the disk has.
            self.told = self.safe;
            self.note(2);
        }
    }

    pub fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what ^ self.files.operations() << 20).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.random.chance(percent)
    }

    pub fn is_lying(&self) -> bool {
        self.lying
    }

    /// Some records come to the log; false where there are no more.
    pub fn records_come(&mut self) -> bool {
        for _ in 0..1 + self.random.below(3) {
            let Some(line) = self.coming.pop() else { return false };
            let received_at_ms = (NOW + self.came.len() as i64) * 1_000;
            let append = Append { key: vec![], value: line.clone().into_bytes(), received_at_ms };
            self.log.append(PARTITION.topic, &[append]).expect("a log without faults");
            self.came.push((line, received_at_ms));
        }
        true
    }

    pub fn have_all_come(&self) -> bool {
        self.coming.is_empty()
    }

    /// What was made after this tick is lost.
    pub fn ends_at(&mut self, tick: u64) {
        self.bounds.retain(|made, _| *made <= tick);
        self.recomputed.borrow_mut().retain(|made, _| *made <= tick);
    }

    /// How many records the log has.
    pub fn records(&self) -> usize {
        self.came.len()
    }

    /// The clock goes on, or jumps to and fro.
    pub fn time_passes(&mut self) {
        let now = self.clock.now_ms();
        let then = match self.random.below(10) {
            0 => NOW * 1_000 + self.random.below(CLOCK_S_MAX as usize * 1_000) as i64,
            _ => (now + self.random.below(50) as i64).min((NOW + CLOCK_S_MAX) * 1_000),
        };
        self.clock.set(then);
    }

    /// What is recomputed at the end of a tick. (Those without records end with the one before.)
    fn oracle(&self, tick: u64) -> Oracle {
        let mut oracle = Oracle::new(NOW);
        if let Some(messages_s) = self.keep.messages_s {
            oracle = oracle.with_retention(messages_s, self.keep.hours_s, self.keep.days_s);
        }
        let mut from = 0;
        for (_, upto) in self.bounds.range(..=tick) {
            self.came[from..*upto].iter().for_each(|(line, at)| oracle.received(line.as_bytes(), *at));
            if *upto > from {
                oracle.tick();
            }
            from = *upto;
        }
        oracle
    }

    /// What the counts have to be after the last tick.
    pub fn counts(&self) -> oracle::Counts {
        self.oracle(u64::MAX).counts()
    }

    /// All of them where messages are sealed; else those of the winning versions alone.
    pub fn views(&self) -> Vec<&'static Definition> {
        if self.keep.messages_s.is_some() { eddy_dataflows::VIEWS.iter().collect() } else { views() }
    }

    /// Rows have to be those that a recompute gives at that tick.
    pub fn check(&self, whose: &str, tick: u64, rows: &Rows) -> Result<(), String> {
        let records = *self.bounds.get(&tick).ok_or_else(|| format!("{whose}: nobody made a tick {tick}"))?;
        let recompute = || Rc::new(self.oracle(tick).tables());
        let tables = Rc::clone(self.recomputed.borrow_mut().entry(tick).or_insert_with(recompute));
        match rows.difference(&self.views(), &tables, &*self.texts) {
            None => Ok(()),
            Some(difference) => Err(format!("{whose}, tick {tick}, {records} records: {difference}")),
        }
    }

    /// The external sink is given a tick. It drops what is not newer than what it holds; it may be stopped at any key.
    pub fn write_sink(&mut self, tick: u64, changes: &[Changes]) -> Result<(), String> {
        if tick <= self.sink.upper {
            return Ok(());
        }
        let keys: usize = changes.iter().map(|changes| changes.iter().count()).sum();
        let stops_at = if self.chance(10) { self.random.below(keys + 1) } else { usize::MAX };
        let of_views = changes.iter().flat_map(|changes| changes.iter().map(|change| (changes.view.name, change)));
        for (at, (view, change)) in of_views.enumerate() {
            if at == stops_at {
                return Ok(());
            }
            let as_of = self.sink.as_of.entry((view, change.key.to_vec())).or_default();
            if *as_of < tick {
                *as_of = tick;
                self.sink.rows.set(view, change.key, change.row);
            }
        }
        if stops_at != usize::MAX {
            return Ok(());
        }
        self.sink.upper = tick;
        self.note(tick);
        self.check("external sink", tick, &self.sink.rows)
    }
}

fn keep(random: &mut Random) -> Keep {
    let kept = |random: &mut Random| random.pick(&[None, Some(0), Some(2 * 86_400), Some(40 * 86_400)]);
    let messages_s = Some(random.pick(&[600, 7_200, 86_400, 5 * 86_400]));
    Keep { messages_s, hours_s: kept(random), days_s: kept(random) }
}

/// Whether a line is one record, and the same one at any time that the clock may show.
pub fn is_one_record(line: &str) -> bool {
    let kind = |now| {
        let all = records(line.as_bytes(), Context { now, received_at_ms: Some(NOW * 1_000) });
        let kind = all.first().map(|outcome| match outcome {
            Outcome::Held(_) => "held".into(),
            Outcome::Ignored(why) => why.clone(),
            Outcome::Dead(why) => format!("dead {why}"),
        });
        (all.len(), kind)
    };
    let kinds: BTreeSet<_> = [NOW, NOW + CLOCK_S_MAX].map(kind).into();
    kinds.len() == 1 && kinds.iter().all(|(count, _)| *count == 1)
}
