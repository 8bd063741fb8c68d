//! The same where messages are sealed: whatever is in the store, a start from it has each message once, held or in what sealed messages left.
//!
//! ```text
//!   tick t of each process:  a message, created at t; those that were created before t - RETENTION_S are sealed, and the process that has
//!                            their user's sums says so
//!   an image --begin, sources--> snapshots of one tick, frames after it --> Model == that of all ticks that count
//! ```
//!
//! No engine: the model seals. What is written, made, shipped and wanted, and when, is the code that a process runs.
//!
//! One history again: `EDDY_SEED=<seed> cargo test --lib work::state::shared::tests::together`.

use std::collections::{BTreeMap, BTreeSet};

use eddy_dataflows::Keep;
use eddy_schemas::frame::Time;
use eddy_schemas::parse::known::Known;
use eddy_schemas::parse::{Context, Parsed, parse};
use eddy_schemas::stored::{self, Reader};
use eddy_schemas::sums::{self, Cells, Kind};
use eddy_schemas::{Name, Place as Spot};

use super::super::super::{Reached, position, process_folder};
use super::*;
use crate::engine::durable::{Durable, Fsync, NoRoom, Referred};
use crate::engine::snapshot::adopt::Source;
use crate::engine::snapshot::together::Together;
use crate::engine::sums::Book;
use crate::work::safe::Safe;

const RETENTION_S: i64 = 4;

fn retention() -> Option<Retention> {
    Retention::of(&[], Keep { messages_s: Some(RETENTION_S), hours_s: None, days_s: None })
}

/// When it was created, and whose it is.
type Message = (i64, String);
/// Of each user, how many are sealed.
type Said = BTreeMap<String, i64>;

/// That of a tick and process.
fn message(tick: u64, process: usize) -> Message {
    (tick as i64, format!("reddit:u{}", process as u64 * 5 + tick % 5))
}

/// As a frame has it.
fn row(tick: u64, process: usize) -> Vec<u8> {
    let (created_at, user) = message(tick, process);
    let user = user.strip_prefix("reddit:").expect("one of reddit");
    let line = format!(
        r#"{{"op":"c","id":"m{tick}x{process}","link_id":"t3_s","author":"{user}","body":"b","created_utc":{created_at},"seq":1}}"#
    );
    let context = Context { place: Spot::new(0, tick), received_at_ms: None, now: 1_800_000_000 };
    let Parsed::Version(version, _) = parse(line.as_bytes(), &context) else { panic!("a version: {line}") };
    let mut row = vec![];
    stored::version(&version, &mut row);
    row
}

/// What a version, without its length, is of.
fn read(version: &[u8], known: &mut Known) -> Message {
    let mut encoded = vec![];
    stored::slice(version, &mut encoded);
    let version = Reader::new(&encoded).version(known).expect("a version");
    (version.created_at.expect("it is named"), version.user.expect("it has one").as_str().to_owned())
}

/// What an engine makes of ticks.
#[derive(Default, PartialEq, Debug)]
struct Model {
    held: BTreeSet<Message>,
    sealed: Said,
    read: u64,
}

impl Model {
    /// Gives what is said in the tick.
    fn tick(&mut self, tick: u64, messages: impl IntoIterator<Item = Message>) -> Said {
        for message in messages {
            self.read += 1;
            assert!(self.held.insert(message), "a message is written once");
        }
        let stay = self.held.split_off(&(tick as i64 - RETENTION_S, String::new()));
        let mut said = Said::new();
        for (_, user) in std::mem::replace(&mut self.held, stay) {
            *said.entry(user).or_default() += 1;
        }
        for (user, count) in &said {
            *self.sealed.entry(user.clone()).or_default() += count;
        }
        said
    }

    /// Of whoever goes on from a state; `say` is told what the frames after the snapshots seal.
    fn of(state: &State, mut say: impl FnMut(u64, Said)) -> Model {
        let (mut model, mut known) = (Model::default(), Known::default());
        let sources = state.sources(0).unwrap_or_else(|e| panic!("{e}"));
        let left = state.left(&sources).map(|left| left.of(0, 1).expect("facts"));
        for facts in left.iter().flat_map(BTreeMap::values) {
            let mut rest = &facts[..];
            while !rest.is_empty() {
                let (fact, after) = sums::split(rest).expect("a fact");
                let user = Cells::new(fact.key, &mut known).name().expect("a name").as_str();
                let count = Cells::new(fact.value, &mut known).int().expect("a number");
                assert_eq!(model.sealed.insert(user.to_owned(), count), None, "a key is in one snapshot");
                rest = after;
            }
        }
        let mut after = BTreeMap::<u64, Vec<Message>>::new();
        for source in &sources {
            let mut last = source.snapshots.manifest.tick;
            model.read += source.snapshots.manifest.tally.read;
            let mut versions = source.snapshots.read().expect("runs");
            while let Some(version) = versions.version().expect("whole") {
                assert!(model.held.insert(read(version, &mut known)), "a message is in one snapshot");
            }
            let mut ticks = source.ticks();
            while let Some(tick) = ticks.as_mut().and_then(|ticks| ticks.next_whole().expect("whole")) {
                last = tick.number;
                let messages = after.entry(tick.number).or_default();
                for frame in &tick.frames {
                    let mut rest = &frame.rows[..];
                    while !rest.is_empty() {
                        let (version, behind) = stored::split(rest).expect("a version");
                        messages.push(read(version, &mut known));
                        rest = behind;
                    }
                }
            }
            source.check_end(last).expect("all that counts");
        }
        for (tick, messages) in after {
            say(tick, model.tick(tick, messages));
        }
        model
    }
}

/// Texts, of which there are none.
struct NoTexts;

impl Referred for NoTexts {
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A cluster without its engine.
struct Cluster {
    state: State,
    model: Model,
    safe: Safe,
    processes: Vec<Process>,
    generation: Generation,
}

struct Process {
    journal: Arc<Journal>,
    durable: Durable,
    together: Arc<Together>,
    shipper: Shipper,
    /// The last tick that it has written.
    written: u64,
}

impl Process {
    fn start(state: &State, shared: &Arc<Shared>, process: usize) -> Process {
        let folder = state.own(process).expect("room");
        let config = journal::Config { segment_bytes: 500, ..journal::Config::default() };
        let journal = Arc::new(Journal::open_in(Arc::clone(&state.files), &folder, config).expect("a folder"));
        let sources = state.sources(process).unwrap_or_else(|e| panic!("{e}"));
        let snapshots = state.snapshots(process).expect("a folder");
        let book = Book::new(state.said(process).expect("a folder"), state.left(&sources));
        let workers = state.manifest.processes * WORKERS;
        (0..WORKERS).for_each(|worker| drop(book.worker(process * WORKERS + worker, workers, WORKERS).expect("facts")));
        let together = Arc::new(Together::mirrored());
        let durable = Durable::new(Arc::clone(&journal), Arc::new(NoTexts), Fsync::Asked, NoRoom::Fails).expect("no thread");
        let durable = durable.keeping(Some(book)).together_with(Arc::clone(&together));
        durable.recovered();
        durable.keep_small(snapshots.adopting(sources)).expect("no thread");
        let shipper = Shipper::new(shared, state, process, Some(Arc::clone(&together)));
        // Far from those of others: no two generations have a tick in common.
        Process { journal, durable, together, shipper, written: state.manifest.generation * 1_000 }
    }
}

impl Cluster {
    fn start(files: &Arc<dyn Files>, shared: &Arc<Shared>, processes: usize) -> Cluster {
        let state = start(files, shared, processes, retention());
        let all = (0..processes).map(|process| Process::start(&state, shared, process)).collect();
        let safe = Safe::new(processes);
        let mut cluster = Cluster { state, model: Model::default(), safe, processes: all, generation: Generation::default() };
        let mut said = vec![];
        cluster.model = Model::of(&cluster.state, |tick, of_tick| said.push((tick, of_tick)));
        said.into_iter().for_each(|(tick, said)| cluster.say(tick, &said));
        // Even where nothing was sealed.
        cluster.say(cluster.state.manifest.until(), &Said::new());
        cluster
    }

    /// Each process hands over what its workers say in a tick, which has closed.
    fn say(&self, tick: u64, said: &Said) {
        let mut facts = vec![vec![]; self.processes.len()];
        for (user, count) in said {
            let (name, mut fact) = (Name::of(user), vec![]);
            sums::say(Kind::Replies, |key| key.name(name).name(name), |value| value.int(*count), &mut fact);
            let route = sums::split(&fact).and_then(|(fact, _)| fact.route(&mut Known::default())).expect("a fact");
            let worker = route as usize % (self.processes.len() * WORKERS);
            facts[worker / WORKERS].extend(fact);
        }
        for (process, facts) in self.processes.iter().zip(facts) {
            let book = process.durable.book().expect("messages are sealed");
            for worker in 0..WORKERS {
                let said = if worker == 0 && !facts.is_empty() { BTreeMap::from([(tick, facts.clone())]) } else { BTreeMap::new() };
                book.hand(worker, Some(tick + 1), said).expect("room");
            }
        }
    }

    /// Does something. `checks`: whether there is a later claim; else as who was frozen after it had looked.
    fn step(&mut self, random: &mut Xoshiro256PlusPlus, checks: bool) -> Result<(), Error> {
        let number = random.random_range(0..self.processes.len());
        match random.random_range(0..10) {
            0..5 => self.write(number),
            5..7 => self.ship(number, checks)?,
            7 => self.look(),
            _ => self.take(number),
        }
        Ok(())
    }

    /// The last tick that all have written: it has closed.
    fn closed(&self) -> u64 {
        self.processes.iter().map(|process| process.written).min().expect("some")
    }

    /// A process writes its frames of the open tick, unless it has.
    fn write(&mut self, number: usize) {
        let (closed, processes) = (self.closed(), self.processes.len());
        let process = &mut self.processes[number];
        if process.written > closed {
            return;
        }
        process.written += 1;
        let (tick, workers) = (process.written, (processes * WORKERS) as u32);
        let time = Some(Time { watermark: tick as i64, sealed_before: Some(tick as i64 - RETENTION_S) });
        for worker in 0..WORKERS {
            let mut position = Position::default();
            position.set(number as u32, Reached::Blocks(tick));
            let is_first = worker == 0;
            let head = Head { tick, worker: (number * WORKERS + worker) as u32, workers, time, ..Head::default() };
            let tally = Tally { read: u64::from(is_first), ..Tally::default() };
            let binding = if is_first { position.binding() } else { String::new() };
            process.durable.write(&Head { tally, binding, ..head }, &if is_first { row(tick, number) } else { vec![] });
        }
        if self.closed() == tick {
            let said = self.model.tick(tick, (0..processes).map(|process| message(tick, process)));
            self.say(tick, &said);
        }
    }

    /// As `Mirror` does it.
    fn ship(&mut self, number: usize, checks: bool) -> Result<(), Error> {
        let closed = self.closed();
        let Process { shipper, journal, durable, .. } = &mut self.processes[number];
        durable.sync().expect("synced");
        let is_all = if checks { shipper.ship(journal)? } else { shipper.pass(journal)? };
        if is_all {
            self.safe.kept(number, closed);
        }
        if number > 0 || self.safe.least() == 0 {
            return Ok(());
        }
        self.generation.commit(&self.processes[0].shipper, checks)
    }

    /// As processes do it now and then, with what they tell each other.
    fn look(&mut self) {
        if self.generation.is_committed {
            self.safe.all(self.safe.least());
        }
        self.processes.iter().enumerate().for_each(|(number, process)| self.safe.took(number, process.together.took()));
        self.safe.next().into_iter().for_each(|next| self.safe.want(next));
    }

    /// Makes the snapshot that is wanted, if one is.
    fn take(&mut self, number: usize) {
        let Process { together, durable, .. } = &self.processes[number];
        together.want(self.safe.wanted());
        durable.take_snapshot().expect("nobody takes its folder");
    }

    /// All do, in turn, and tell the store.
    fn all(&mut self) {
        let processes = 0..self.processes.len();
        processes.clone().for_each(|number| self.write(number));
        processes.clone().rev().for_each(|number| self.ship(number, true).expect("it is the last"));
        self.look();
        processes.clone().rev().for_each(|number| self.take(number));
        processes.rev().for_each(|number| self.ship(number, true).expect("it is the last"));
        self.look();
    }
}

/// What was met in images.
#[derive(Default, Debug)]
struct Met {
    /// With sums of sealed messages in snapshots.
    sums: usize,
    /// Where only some processes have a later snapshot than the one that is gone on from.
    between: usize,
    /// Where it is gone on from what earlier generations left, and some process has a snapshot.
    adopting: usize,
}

impl Met {
    /// An image must be one from which all is right. Gives the last tick that counts in it.
    fn right(&mut self, image: &InMemory) -> u64 {
        let files = Simulated::new(1).files();
        let state = start(&files, &shared(image.fork()), 1, retention());
        let manifest = &state.manifest;
        let mut expected = Model::default();
        for generation in manifest.since..manifest.generation {
            let (_, of) = manifest.of(generation).expect("it was before");
            for tick in generation * 1_000 + 1..=of.until {
                expected.tick(tick, (0..of.processes).map(|process| message(tick, process)));
            }
        }
        assert_eq!(Model::of(&state, |_, _| {}), expected, "up to {}", manifest.until());
        let sources = state.sources(0).unwrap_or_else(|e| panic!("{e}"));
        self.sums += usize::from(state.left(&sources).is_some_and(|left| !left.of(0, 1).expect("facts").is_empty()));
        for held in manifest.held() {
            let folder = process_folder(&taken_folder_of(held.generation), held.process);
            let last = Source::look(&files, &folder, position::share(held.processes), held.until).expect("it is there").snapshots.manifest;
            let is_later = Some(last.tick) > held.snapshot;
            self.adopting += usize::from(is_later && held.snapshot == Some(0));
            self.between += usize::from(is_later && held.snapshot > Some(0));
        }
        manifest.until()
    }
}

#[test]
fn at_any_moment_a_store_holds_a_state_from_which_each_message_is_there_once_held_or_sealed() {
    let mut met = Met::default();
    for seed in seeds(5) {
        println!("EDDY_SEED={seed}");
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let watched = Watched::default();
        let (shared, mut simulated) = (shared(watched.clone()), Simulated::new(seed));
        for processes in [2, 3, 1, 2] {
            let mut cluster = Cluster::start(&simulated.files(), &shared, processes);
            (0..200).for_each(|_| cluster.step(&mut random, true).expect("it is the last"));
            simulated.kill();
            if random.random_bool(0.5) {
                simulated = Simulated::new(random.random());
            }
        }
        let images = std::mem::take(&mut *watched.images.lock());
        let mut until = 0;
        for image in &images {
            let now = met.right(image);
            assert!(now >= until, "{now} after {until}");
            until = now;
        }
        // And so it is when others go on from one of them.
        for _ in 0..3 {
            let watched = Watched { inner: Arc::new(images[random.random_range(0..images.len())].fork()), ..Watched::default() };
            let files = Simulated::new(seed).files();
            let mut cluster = Cluster::start(&files, &super::shared(watched.clone()), random.random_range(1..4));
            (0..3).for_each(|_| cluster.all());
            for image in &*watched.images.lock() {
                met.right(image);
            }
        }
    }
    println!("{met:?}");
    assert!(met.sums > 0 && met.between > 0 && met.adopting > 0, "{met:?}");
}

#[test]
fn nor_does_whoever_is_frozen_while_another_goes_on_elsewhere_hurt_one_where_messages_are_sealed() {
    let mut met = Met::default();
    for seed in seeds(5) {
        println!("EDDY_SEED={seed}");
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let watched = Watched::default();
        let shared = shared(watched.clone());
        let folders = [Simulated::new(seed), Simulated::new(seed + 100), Simulated::new(seed + 200)];
        let mut clusters: Vec<Cluster> = vec![];
        for folder in &folders {
            // Each on a machine of its own: it has what is in the store.
            clusters.push(Cluster::start(&folder.files(), &shared, random.random_range(1..4)));
            let last = clusters.len() - 1;
            for _ in 0..150 {
                let which = if random.random_bool(0.7) { last } else { random.random_range(0..=last) };
                match clusters[which].step(&mut random, which == last) {
                    Err(Error::Ends(_)) => assert_ne!(which, last),
                    stepped => stepped.expect("room"),
                }
            }
        }
        for image in &*watched.images.lock() {
            met.right(image);
        }
    }
    println!("{met:?}");
    assert!(met.sums > 0, "{met:?}");
}
