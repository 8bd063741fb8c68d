//! A mirror looked at after every single thing that is done to it: there is a state in it at any moment, and it is right.
//!
//! One history again: `EDDY_SEED=<seed> cargo test --lib work::state::shared`.

mod together;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use eddy_schemas::frame::{Head, Tally};
use object_store::memory::InMemory;
use object_store::path::Path as Place;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result as Done,
};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio_stream::{Stream, StreamExt};

use super::super::{Job, Position, State, begin, texts_in};
use super::*;
use crate::engine::recovery::Retention;
use crate::engine::snapshot::Snapshots;
use crate::files::{Files, Open, Simulated};
use crate::journal::{self, Journal};

const LEASE: Duration = Duration::from_secs(10);
const WORKERS: usize = 2;
/// Bytes of the text of a tick.
const TEXT: &[u8] = b"ten bytes.";

type Streamed<T> = Pin<Box<dyn Stream<Item = Done<T>> + Send>>;

/// A store that keeps what it was after each change.
#[derive(Clone, Debug, Default)]
struct Watched {
    inner: Arc<InMemory>,
    images: Arc<Mutex<Vec<InMemory>>>,
}

impl Watched {
    fn note(&self) {
        self.images.lock().push(self.inner.fork());
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watched")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, place: &Place, payload: PutPayload, options: PutOptions) -> Done<PutResult> {
        let put = self.inner.put_opts(place, payload, options).await?;
        self.note();
        Ok(put)
    }

    async fn put_multipart_opts(&self, place: &Place, options: PutMultipartOptions) -> Done<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(place, options).await
    }

    async fn get_opts(&self, place: &Place, options: GetOptions) -> Done<GetResult> {
        self.inner.get_opts(place, options).await
    }

    fn delete_stream(&self, places: Streamed<Place>) -> Streamed<Place> {
        let watched = self.clone();
        Box::pin(places.then(move |place| {
            let watched = watched.clone();
            async move {
                let place = place?;
                watched.inner.delete(&place).await?;
                watched.note();
                Ok(place)
            }
        }))
    }

    fn list(&self, prefix: Option<&Place>) -> Streamed<ObjectMeta> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Place>) -> Done<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Place, to: &Place, options: CopyOptions) -> Done<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn data() -> &'static Path {
    Path::new("/d")
}

fn shared(store: impl ObjectStore) -> Arc<Shared> {
    let store = Store::of(Arc::new(store), Place::parse("some/where").expect("a name"), None).expect("a thread");
    Arc::new(Shared { store, url: "memory".into() })
}

fn start(files: &Arc<dyn Files>, shared: &Arc<Shared>, processes: usize, retention: Option<Retention>) -> State {
    files.make_folder(data()).expect("made");
    let shared = Some(Arc::clone(shared));
    let job = Job {
        processes,
        workers: WORKERS,
        files: vec!["a".into()],
        record_bytes_max: 100,
        retention,
        output: None,
        rebuild: false,
        shared,
    };
    begin::check(files, data(), &job).expect("the same job");
    begin::begin(files, data(), &job, LEASE, &mut |_| {}).expect("it is free").0
}

/// A cluster without its engine.
struct Cluster {
    state: State,
    processes: Vec<Process>,
    generation: Generation,
}

/// What is in the store of a generation as a whole.
#[derive(Default)]
struct Generation {
    is_committed: bool,
    is_swept: bool,
}

impl Generation {
    /// As process 0's `Mirror` does it, once all have shipped. `checks`: whether there is a later claim.
    fn commit(&mut self, shipper: &Shipper, checks: bool) -> Result<(), Error> {
        if !self.is_committed {
            if checks {
                shipper.commit()?
            } else {
                shipper.put_manifest()?
            }
            self.is_committed = true;
        }
        if !self.is_swept {
            shipper.sweep()?;
            self.is_swept = true;
        }
        Ok(())
    }
}

struct Process {
    journal: Journal,
    snapshots: Snapshots,
    shipper: Shipper,
    /// The last ticks that it has written, and shipped.
    written: u64,
    shipped: u64,
}

impl Cluster {
    fn start(files: &Arc<dyn Files>, shared: &Arc<Shared>, processes: usize) -> Cluster {
        let state = start(files, shared, processes, None);
        let process = |process| {
            let folder = state.own(process).expect("room");
            let config = journal::Config { segment_bytes: 300, ..journal::Config::default() };
            let journal = Journal::open_in(Arc::clone(files), &folder, config).expect("a folder");
            let mine = state.manifest.held().into_iter().enumerate().filter(|(number, _)| number % processes == process);
            let mine = mine.map(|(_, held)| held.look(files, data()).expect("it is there")).collect();
            let snapshots = state.snapshots(process).expect("a folder").adopting(mine);
            let shipper = Shipper::new(shared, &state, process, None);
            // Far from those of others: no two generations have a tick in common.
            let written = state.manifest.generation * 1_000;
            Process { journal, snapshots, shipper, written, shipped: 0 }
        };
        Cluster { processes: (0..processes).map(process).collect(), state, generation: Generation::default() }
    }

    /// Does something. `checks`: whether there is a later claim; else as who was frozen after it had looked.
    fn step(&mut self, random: &mut Xoshiro256PlusPlus, checks: bool) -> Result<(), Error> {
        let number = random.random_range(0..self.processes.len());
        match random.random_range(0..8) {
            0..4 => self.write(number),
            4..6 => self.ship(number, checks)?,
            _ => {
                let upto = self.processes.iter().map(|process| process.shipped).min().filter(|_| self.generation.is_committed);
                let Process { snapshots, journal, .. } = &mut self.processes[number];
                // Its folder may have been taken.
                let _ = snapshots.take(journal, upto.unwrap_or(0), None);
            }
        }
        Ok(())
    }

    fn write(&mut self, number: usize) {
        let (files, folder) = (&self.state.files, self.state.own_folder());
        let processes = self.processes.len();
        let process = &mut self.processes[number];
        process.written += 1;
        let Ok(texts) = files.open(&texts_in(&folder, number, 0), Open::Make) else { return };
        texts.write_at(TEXT, texts.size().expect("a file")).expect("room");
        for worker in 0..WORKERS {
            let mut position = Position::default();
            position.set(number as u32, super::super::Reached::Blocks(process.written));
            let (binding, read) = if worker == 0 { (position.binding(), process.written) } else { (String::new(), 0) };
            let (worker, workers) = ((number * WORKERS + worker) as u32, (processes * WORKERS) as u32);
            let mut frame = vec![];
            let tally = Tally { read, ..Tally::default() };
            Head { tick: process.written, worker, workers, binding, tally, ..Head::default() }.encode(&mut frame);
            let _ = process.journal.append(&[frame]);
        }
    }

    fn ship(&mut self, number: usize, checks: bool) -> Result<(), Error> {
        let process = &mut self.processes[number];
        let written = process.written;
        process.journal.sync().expect("synced");
        let Process { shipper, journal, .. } = process;
        let is_all = if checks { shipper.ship(journal)? } else { shipper.pass(journal)? };
        if is_all {
            process.shipped = written;
        }
        if number > 0 || self.processes.iter().any(|process| process.shipped == 0) {
            return Ok(());
        }
        self.generation.commit(&self.processes[0].shipper, checks)
    }

    fn ship_all(&mut self) {
        for number in (0..self.processes.len()).rev() {
            self.ship(number, true).expect("it is the last");
        }
    }
}

/// The state in an image, which must be whole: how many ticks of each generation count in it, and the last that does.
fn right(image: &InMemory) -> (Vec<u64>, u64) {
    let files = Simulated::new(1).files();
    let state = start(&files, &shared(image.fork()), 1, None);
    let mut read = 0;
    for held in state.manifest.held() {
        let source = held.look(&files, data()).expect("it is there");
        let mut last = source.snapshots.manifest.tick;
        read += source.snapshots.manifest.tally.read;
        // Runs are all there.
        source.snapshots.read().expect("runs").version().expect("whole");
        let mut ticks = source.ticks();
        while let Some(tick) = ticks.as_mut().and_then(|ticks| ticks.next_whole().expect("whole")) {
            last = tick.number;
            read += tick.frames.iter().map(|frame| frame.head.tally.read).sum::<u64>();
        }
        source.check_end(last).expect("all that counts");
    }
    let manifest = &state.manifest;
    let (mut counts, mut expected) = (vec![], 0);
    for generation in manifest.since..manifest.generation {
        let (before, of) = manifest.of(generation).expect("it was before");
        let count = if of.until > before { of.until - generation * 1_000 } else { 0 };
        counts.push(count);
        expected += of.processes as u64 * (1..=count).map(|tick| generation * 1_000 + tick).sum::<u64>();
        for process in 0..of.processes {
            let texts = texts_in(&taken_folder_of(generation), process, 0);
            let size = files.open(&texts, Open::Read).and_then(|texts| texts.size()).unwrap_or(0);
            assert!(size >= count * TEXT.len() as u64, "{size} bytes of texts of {count} ticks");
        }
    }
    assert_eq!(read, expected, "each tick that counts is there once: {counts:?}");
    (counts, manifest.until())
}

fn taken_folder_of(generation: u64) -> PathBuf {
    super::super::taken_folder(data(), generation)
}

fn seeds(most: u64) -> Vec<u64> {
    std::env::var("EDDY_SEED").map_or_else(|_| (0..most).collect(), |seed| vec![seed.parse().expect("EDDY_SEED is a number")])
}

#[test]
fn at_any_moment_a_store_holds_a_state_that_goes_on_from_the_one_before() {
    for seed in seeds(6) {
        println!("EDDY_SEED={seed}");
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let watched = Watched::default();
        let (shared, simulated) = (shared(watched.clone()), Simulated::new(seed));
        for processes in [2, 1, 3, 1] {
            let mut cluster = Cluster::start(&simulated.files(), &shared, processes);
            for _ in 0..60 {
                cluster.step(&mut random, true).expect("it is the last");
            }
            if random.random_bool(0.5) {
                cluster.ship_all();
            }
            simulated.kill();
        }
        let (mut until, mut last) = (0, vec![]);
        let images = std::mem::take(&mut *watched.images.lock());
        assert!(images.len() > 100, "{}", images.len());
        for image in &images {
            let (counts, now) = right(image);
            assert!(now >= until, "{now} after {until}");
            (until, last) = (now, counts);
        }
        assert!(last.iter().filter(|count| **count > 0).count() >= 2, "{last:?}");
    }
}

#[test]
fn what_was_shipped_to_the_end_is_all_there() {
    let watched = Watched::default();
    let (shared, simulated) = (shared(watched.clone()), Simulated::new(1));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut cluster = Cluster::start(&simulated.files(), &shared, 2);
    (0..100).for_each(|_| cluster.step(&mut random, true).expect("it is the last"));
    let least = cluster.processes.iter().map(|process| process.written).min();
    cluster.ship_all();
    assert_eq!(Some(right(&watched.inner).1), least);
}

#[test]
fn whoever_is_frozen_while_another_goes_on_elsewhere_hurts_no_image() {
    for seed in seeds(8) {
        println!("EDDY_SEED={seed}");
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let watched = Watched::default();
        let shared = shared(watched.clone());
        let folders = [Simulated::new(seed), Simulated::new(seed + 100), Simulated::new(seed + 200)];
        let mut clusters: Vec<Cluster> = vec![];
        for folder in &folders {
            // Each on a machine of its own: it has what is in the store.
            clusters.push(Cluster::start(&folder.files(), &shared, random.random_range(1..4)));
            for _ in 0..50 {
                let last = clusters.len() - 1;
                let which = if random.random_bool(0.7) { last } else { random.random_range(0..=last) };
                match clusters[which].step(&mut random, which == last) {
                    Err(Error::Ends(_)) => assert_ne!(which, last),
                    stepped => stepped.expect("room"),
                }
            }
        }
        let images = std::mem::take(&mut *watched.images.lock());
        images.iter().for_each(|image| drop(right(image)));
        // And it goes on to where the last one is.
        let last = clusters.last_mut().expect("some");
        last.write(0);
        last.ship_all();
        let least = last.processes.iter().map(|process| process.written).min().expect("some");
        let counts = right(&watched.inner).0;
        assert_eq!(counts.last(), Some(&(least - 1_000 * last.state.manifest.generation)));
    }
}

#[test]
fn a_folder_that_was_mirrored_elsewhere_is_refused() {
    let refused = |result: Result<(), cli::Error>, what: &str| match result {
        Err(cli::Error::Usage(why)) => assert!(why.contains(what), "{why}"),
        other => panic!("{other:?}"),
    };
    let (first, second) = (shared(InMemory::new()), shared(InMemory::new()));
    let (files, others) = (Simulated::new(1).files(), Simulated::new(2).files());
    let mut cluster = Cluster::start(&files, &first, 1);
    cluster.write(0);
    cluster.ship_all();
    let mut other = Cluster::start(&others, &second, 1);
    other.write(0);
    other.ship_all();
    refused(second.agree(&*files, data()), "is mirrored in memory, and memory holds another");
    // One that was never mirrored, and a store that holds something.
    others.remove(&data().join("shared.json")).expect("it is there");
    refused(first.agree(&*others, data()), "is not the one in memory");
    first.agree(&*files, data()).expect("its own");
    refused(super::super::refuse_without(&*files, data()), "give --shared memory, too");
    let empty = Simulated::new(3).files();
    empty.make_folder(data()).expect("made");
    first.agree(&*empty, data()).expect("it has nothing");
}
