//! Work: a replay by several processes, which are one timely cluster and give the tables that one process gives.
//!
//! ```text
//!   process 0   files 0, 2, ... --> driver --> engine --> rows of its keys ──────────┬──> tables, dead letters, summary
//!                                   |    ^       ║ records, by key                   |
//!                           Open(t) v    | Sent  ║                                   |
//!   process 1   files 1, 3, ... --> driver --> engine --> rows of its keys ──Rows────┘
//! ```
//!
//! Every process is given the same files under its own eyes (a shared folder) and reads its share of them: file n is read by process n
//! modulo the processes. Records go to the worker that has their message, then their user, conversation and community, wherever it is;
//! for that they travel as text, and so do routes (`eddy_schemas::route`), since the numbers of names are each process's own. Texts stay
//! where they were read: in the files, or in spools under the shared data folder, which all processes have open.
//!
//! **Ticks.** A tick is one number in all processes: process 0 announces it (`Open(t)`: every tick before t has ended, and what is sent
//! from now on is of t), the others end theirs where the word reaches them. What a tick holds is what each process had sent by then;
//! which of two records of one moment comes first was never promised between files. A tick ends when all together have sent
//! `--tick-records-max`; one process that has sent so many by itself waits for the next.
//!
//! **State.** With `--state durable` each process writes the frames of its workers to a journal of its own in the shared folder, and a tick
//! counts once those of all workers of all processes are there: timely closes a tick nowhere before every worker has written its frame. The same
//! command goes on where the last one was, with as many processes and workers as it likes (`state`), unless that one is still alive. What is
//! safe in all processes (`safe`) is made small beside the work. With `--shared` it is mirrored in a store of objects, from where the same command goes
//! on when the folder is lost (`state::shared`).
//!
//! **Watermark.** Each file is a partition, and each process waits for the one that it reads: the watermark is where the slowest is, so months
//! that are read side by side seal nothing of each other's. When all are through it is the greatest of all, as in a replay.
//!
//! # Invariants
//! 1. Nothing is sent before `Open`, and a tick's number is announced before process 0 opens it: ticks are the same, in the same order,
//!    everywhere.
//! 2. All processes end the last tick, on `Close`, before any of them ends its engine.
//! 3. A key's rows are said by one worker, so process 0 puts the rows of all together without merging.
//! 4. Process 0 needs the others until it has all their rows, the others need it until its tables stand: `Over`.

mod driver;
mod gather;
mod safe;
mod share;
mod spools;
mod state;
mod words;

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::cli::{Error, chain};
use crate::clock;
use crate::cluster::{self, Left, Links, Party};
use crate::engine::durable::{Durable, Fsync, NoRoom};
use crate::engine::recovery::Retention;
use crate::engine::snapshot::together::Together;
use crate::engine::sums::Book;
use crate::engine::{self, Engine, Peers, parse};
use crate::files;
use crate::forgotten::Forgotten;
use crate::journal::{self, Journal};
use crate::replay::sink::Staging;
use crate::replay::{self, Interrupt, Meter, OUTPUTS_WAITING_MAX, ReplayTexts, Summary, checks, input_of_spool, peak_rss_bytes};
use crate::source::dumps::Reader;
use driver::{Driver, Kept};
use gather::Gathered;
use safe::{Safe, not_kept};
use spools::Spools;
use state::{BEATS, Claim, InUse, Mirror, Shared, Shipper, State};
pub(crate) use state::{edit, has_state, kept, refuse_without};
use words::Word;

/// Where the state is another cluster's, which is at work.
const ADVICE: &str = "stop it, choose another folder or store, or take it over with `eddy work --take-over`";
/// Words that wait for the driver: a process says about ten a tick.
const WORDS_WAITING_MAX: usize = 1 << 12;

/// How often interrupts are looked for and progress is shown, at least.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is to be done, and with whom.
pub struct Job {
    /// Its folder is shared by all processes. Only process 0 writes an output.
    pub replay: replay::Job,
    pub hosts: Vec<String>,
    pub process: usize,
    /// How long the others may take to come.
    pub wait: Duration,
    /// How long one of them, or at the end the store, may be silent.
    pub watchdog: Duration,
    /// How ticks are kept; none: in memory only.
    pub durable: Option<Durability>,
}

#[derive(Clone, Debug)]
pub struct Durability {
    pub fsync: Fsync,
    /// Bytes of frames of a process after which a snapshot is made of them.
    pub snapshot_bytes: u32,
    /// Even from a cluster that is alive.
    pub take_over: bool,
    /// The state is made anew from the files.
    pub rebuild: bool,
    /// The address of the store that mirrors it.
    pub shared: Option<String>,
}

/// How a process's part ended.
pub struct Outcome {
    /// Of all processes; from process 0.
    pub summary: Option<Summary>,
    /// Why the mirror has not all of it.
    pub lags: Option<Error>,
}

/// Does this process's part. Once all have met, an error ends the process here: the others have to be told, and workers that wait for others
/// cannot be ended in order.
pub fn run(job: Job, interrupt: &Interrupt, shown: &Meter) -> Result<Outcome, Error> {
    let started = Instant::now();
    let mut job = job;
    if job.process > 0 {
        job.replay.output = None;
    }
    let reader = Reader::new(job.replay.files.clone(), job.replay.limits);
    checks::all(&job.replay, &reader)?;
    let url = job.durable.as_ref().and_then(|durable| durable.shared.as_deref());
    let shared = url.map(|url| Shared::open(url, &job.replay.folder)).transpose()?.map(Arc::new);
    let temporary = if job.durable.is_none() { Some(Spools::temporary(&job.replay, job.process)?) } else { None };
    let files = share::files(&job.replay)?;
    let given = share::given(&job, &files);
    let Job { replay, hosts, process, wait, watchdog, durable } = job;
    let processes = hosts.len();
    let met = cluster::meet(Party { hosts, process, given }, wait, &mut || interrupt.check())?;

    let (to_driver, words) = bounded(WORDS_WAITING_MAX);
    let (to_sink, gathered) = bounded(OUTPUTS_WAITING_MAX);
    let (safe, begun, mirror) = (Arc::new(Safe::new(processes)), OnceLock::new(), OnceLock::new());
    let heard_safe = Arc::clone(&safe);
    let hear = move |from: usize, word: Vec<u8>| {
        // The ends of these are there until the process needs no more words.
        let _ = match Word::decode(&word).expect("processes of one version understand each other") {
            Word::Dead(letter) => to_sink.send(Gathered::Letter(letter)).is_ok(),
            Word::Rows { view, rows } => to_sink.send(Gathered::Rows { view, rows }).is_ok(),
            Word::Ended(part) => to_sink.send(Gathered::Part(part)).is_ok(),
            Word::Kept(tick) => {
                heard_safe.kept(from, tick);
                true
            }
            Word::Safe(tick) => {
                heard_safe.all(tick);
                true
            }
            Word::Want(tick) => {
                heard_safe.want(tick);
                true
            }
            Word::Took(tick) => {
                heard_safe.took(from, tick);
                true
            }
            word => to_driver.send((from, word)).is_ok(),
        };
    };
    let failed = |e| Error::failed("the processes' connections", e);
    let (links, sockets) = Links::new(met, watchdog, Arc::new(hear)).map_err(failed)?;
    let part =
        Part { replay: &replay, links: &links, interrupt, shown, safe: &safe, shared: shared.as_ref(), begun: &begun, mirror: &mirror };
    let heard = Heard { words, gathered };
    let summary = part.keep(durable, watchdog, temporary, files, &heard).and_then(|keep| part.run(reader, keep, sockets, heard, started));
    let summary = part.or_leave(summary);
    let lags = mirror.get().and_then(|mirror| part.ship_the_rest(mirror, watchdog).err());
    links.done();
    if let Some(Begun { claim: Some(claim), .. }) = begun.get() {
        claim.release();
    }
    Ok(Outcome { summary, lags })
}

/// The generation that this process is one of.
struct Begun {
    state: State,
    /// In process 0.
    claim: Option<Arc<Claim>>,
}

/// One process's part of a job.
#[derive(Clone, Copy)]
struct Part<'a> {
    replay: &'a replay::Job,
    links: &'a Arc<Links>,
    interrupt: &'a Interrupt,
    shown: &'a Meter,
    safe: &'a Arc<Safe>,
    shared: Option<&'a Arc<Shared>>,
    begun: &'a OnceLock<Begun>,
    mirror: &'a OnceLock<Arc<Mirror>>,
}

/// What the others say.
struct Heard {
    words: Receiver<(usize, Word)>,
    gathered: Receiver<Gathered>,
}

impl Heard {
    /// The next word for the driver.
    fn word(&self, interrupt: &Interrupt) -> Result<Word, Error> {
        loop {
            match self.words.recv_timeout(LOOK_EVERY) {
                Ok((_, word)) => return Ok(word),
                Err(RecvTimeoutError::Timeout) => interrupt.check()?,
                Err(RecvTimeoutError::Disconnected) => panic!("whoever hears words lives as long as the process"),
            }
        }
    }
}

/// Where texts and ticks are kept.
type Keep = (Spools, Option<Kept>);

impl Part<'_> {
    fn is_first(&self) -> bool {
        self.links.party.process == 0
    }

    /// Whether this process reads a file.
    fn reads(&self, file: usize) -> bool {
        file % self.links.party.hosts.len() == self.links.party.process
    }

    fn or_leave<T>(self, result: Result<T, Error>) -> T {
        result.unwrap_or_else(|error| {
            // Whose folder was taken finds many things wrong with it.
            let lost = self.begun.get().and_then(|begun| begun.state.check_lease().err()).filter(|error| matches!(error, Error::Lost(_)));
            self.links.leave(&Left::Failed(lost.unwrap_or(error)))
        })
    }

    /// The tables stand: waits until the store has what it lacks, and no process is needed for but that.
    fn ship_the_rest(self, mirror: &Mirror, stalled_max: Duration) -> Result<(), Error> {
        self.links.enough();
        mirror.finish(stalled_max, &mut || self.interrupt.check())?;
        if !self.is_first() {
            // Process 0 may wait for this, before its manifest goes.
            self.links.say(0, &Word::Kept(mirror.shipped()).encode());
        }
        Ok(())
    }

    /// Makes what is kept of a durable state, in one generation with the others.
    fn keep(
        self,
        durable: Option<Durability>,
        lease: Duration,
        temporary: Option<Spools>,
        files: Vec<String>,
        heard: &Heard,
    ) -> Result<Keep, Error> {
        let Some(durability) = durable else { return Ok((temporary.expect("made before all met"), None)) };
        let (process, processes) = (self.links.party.process, self.links.party.hosts.len());
        let state = if self.is_first() {
            let state = self.begin(&durability, lease, files)?;
            self.links.say_all(&Word::Begin(state.manifest.generation).encode());
            state
        } else {
            match heard.word(self.interrupt)? {
                Word::Begin(generation) => {
                    let state = State::join(&files::disk(), &self.replay.folder, generation)?;
                    assert!(self.begun.set(Begun { state: state.clone(), claim: None }).is_ok(), "begun once");
                    state
                }
                _ => unreachable!("the first word of process 0"),
            }
        };
        let own = state.own(process)?;
        let failed = |e: &dyn std::error::Error| Error::Failed { what: chain(e), source: None };
        let config = journal::Config { segment_bytes: durability.snapshot_bytes, ..journal::Config::default() };
        let journal = Arc::new(Journal::open(&own, config).map_err(|e| failed(&e))?);
        let snapshots = state.snapshots(process).map_err(|e| failed(&e))?;
        let spools = Spools::durable(&state, process)?;
        let sources = state.sources(process)?;
        let seals = state.manifest.keep().is_some();
        let book =
            seals.then(|| state.said(process).map(|said| Book::new(said, state.left(&sources)))).transpose().map_err(|e| failed(&e))?;
        state.check_own()?;
        let together = seals.then(|| Arc::new(if self.shared.is_some() { Together::mirrored() } else { Together::default() }));
        let ship = |shared| Mirror::new(Shipper::new(shared, &state, process, together.clone()), Arc::clone(&journal));
        let mirror = self.shared.map(ship).map(Arc::new);
        if let Some(mirror) = &mirror {
            assert!(self.mirror.set(Arc::clone(mirror)).is_ok(), "made once");
        }
        let durable = Durable::new(journal, Arc::new(spools.own()), durability.fsync, NoRoom::Fails)
            .map_err(|e| Error::failed("no thread can be started", e))?;
        let durable = together.iter().fold(durable.keeping(book), |durable, together| durable.together_with(Arc::clone(together)));
        // From here on others read them.
        let made = Word::Made.encode();
        if !self.is_first() {
            self.links.say(0, &made);
        }
        for _ in 0..if self.is_first() { processes - 1 } else { 1 } {
            assert!(matches!(heard.word(self.interrupt)?, Word::Made), "nothing else is said before all have made theirs");
        }
        if self.is_first() {
            self.links.say_all(&made);
        }
        let (durable, safe, snapshots) = (Arc::new(durable), Arc::clone(self.safe), Some(snapshots));
        Ok((spools, Some(Kept { state, durable, safe, snapshots, sources, together, mirror })))
    }

    /// Begins a generation, and says at each beat that it is alive.
    fn begin(self, durability: &Durability, lease: Duration, files: Vec<String>) -> Result<State, Error> {
        let replay = self.replay;
        let job = state::Job {
            processes: self.links.party.hosts.len(),
            workers: replay.workers,
            files,
            record_bytes_max: replay.limits.record_bytes_max,
            retention: Retention::of(&replay.views, replay.keep),
            output: replay.output.clone(),
            rebuild: durability.rebuild,
            shared: self.shared.cloned(),
        };
        let mut look = || self.interrupt.check();
        let in_use = if durability.take_over { InUse::TakenOver } else { InUse::Refused(ADVICE) };
        self.shared.map_or(Ok(()), |shared| shared.check_edited())?;
        let (state, claim) = State::begin(&files::disk(), &replay.folder, &job, lease, in_use, &mut look)?;
        let (claim, links) = (Arc::new(claim), Arc::clone(self.links));
        assert!(self.begun.set(Begun { state: state.clone(), claim: Some(Arc::clone(&claim)) }).is_ok(), "begun once");
        if let Some(there) = claim.there.clone() {
            // A store that is slow must not make the folder look abandoned.
            beat("eddy-claim-there", &links, lease / BEATS, move || there.beat())?;
        }
        beat("eddy-claim", &links, lease / BEATS, move || claim.beat())?;
        Ok(state)
    }

    fn run(
        self,
        mut reader: Reader,
        (spools, kept): Keep,
        sockets: Vec<Option<TcpStream>>,
        Heard { words, gathered }: Heard,
        started: Instant,
    ) -> Result<Option<Summary>, Error> {
        let (replay, party) = (self.replay, &self.links.party);
        let (processes, process) = (party.hosts.len(), party.process);
        let state = kept.as_ref().map(|kept| kept.state.clone());
        let before = state.as_ref().map(|state| state.manifest.position.clone()).unwrap_or_default();
        reader.leave_out(|file| !self.reads(file) || before.is_at_end_of(file as u32));
        let all = spools.all(replay, processes)?;
        let texts = Arc::new(ReplayTexts::new(replay.files.clone(), all.clone()));
        // Of whatever file a text may be wanted, here or at another's asking.
        (0..replay.files.len()).for_each(|file| texts.begin(file));
        // As many as are on their way at most.
        let (spare, spares) = bounded(driver::BLOCKS_WAITING_MAX + engine::BATCHES_WAITING_MAX * replay.workers);
        let forgotten = Forgotten::read(&replay.folder).map_err(|e| Error::Failed { what: chain(&e), source: None })?;
        let inputs = parse::Inputs {
            names: replay.files.iter().map(|path| path.display().to_string()).collect(),
            spools: spools.numbers().map(|n| (input_of_spool(n), Arc::clone(&all[n]))).collect(),
            spares: Some(spare),
            clock: Arc::new(clock::System),
            forgotten: Arc::new(forgotten),
        };
        // The driver says when a tick ends.
        let config = engine::Config {
            workers: replay.workers,
            views: replay.views.clone(),
            tick_records_max: 0,
            durable: kept.as_ref().map(|kept| Arc::clone(&kept.durable)),
            keep: replay.keep,
            ..engine::Config::default()
        };
        let peers = (processes > 1).then(|| {
            eddy_schemas::route::by_text();
            Peers { process, sockets }
        });
        let (send, outputs) = bounded(OUTPUTS_WAITING_MAX);
        let engine = Engine::start_among(peers, config, inputs, Arc::clone(&texts) as _, send)
            .map_err(|e| Error::failed("the engine did not start", e))?;
        let counts = engine.counts();
        let driver = Driver::new(self, engine, words, spools, kept);
        let running = AtomicBool::new(true);
        let (ended, (collected, parts)) = std::thread::scope(|scope| {
            // The driver may be waiting for another process, and the workers of one that is frozen do not end.
            scope.spawn(|| {
                while running.load(Ordering::Acquire) {
                    self.or_leave(self.interrupt.check());
                    self.or_leave(self.safe.look(self.links).map_err(not_kept));
                    std::thread::sleep(LOOK_EVERY);
                }
            });
            // While workers wait for those of others, an error cannot be handed up: see `run`.
            let sink = scope.spawn(|| self.or_leave(gather::collect(self, &outputs, &gathered)));
            let ended = self.or_leave(driver.run(reader, spares));
            let collected = sink.join().expect("the sink does not panic");
            running.store(false, Ordering::Release);
            (ended, collected)
        });
        self.shown.done(&counts.snapshot());
        for spool in &all {
            spool.check().map_err(|e| Error::failed(format!("texts could not be kept in {}", replay.folder.display()), e))?;
        }
        let mine = words::Part { counts: counts.snapshot(), incomplete: ended.incomplete.clone(), peak_rss_bytes: peak_rss_bytes() };
        if !self.is_first() {
            texts.check().map_err(|e| Error::failed("the files could not be read again", e))?;
            gather::hand_over(self.links, &collected.tables, mine);
            ended.wait_until_over()?;
            return Ok(None);
        }
        // From here on the others are not needed: whatever becomes of them, the tables are right.
        self.links.enough();
        let staging = state.as_ref().and_then(|state| {
            let check = || {
                state.check_lease()?;
                self.shared.map_or(Ok(()), |shared| shared.check_if_there(state.manifest.generation))
            };
            state.manifest.staging.clone().map(|folder| Staging { folder, check: Box::new(check) })
        });
        let views = collected.write(replay, &texts, self.interrupt, staging)?;
        self.links.say_all(&Word::Over.encode());
        let mut whole = gather::whole(parts.into_iter().chain([mine]));
        whole.incomplete.extend(before.incomplete);
        Ok(Some(Summary {
            counts: whole.counts,
            views,
            elapsed: started.elapsed(),
            workers: replay.workers * processes,
            processes,
            peak_rss_bytes: whole.peak_rss_bytes,
            incomplete: whole.incomplete.into_iter().collect(),
        }))
    }
}

/// Says now and then that this process lives, until it does not, or the claim is no longer its own.
fn beat(name: &str, links: &Arc<Links>, every: Duration, beat: impl Fn() -> Result<(), Error> + Send + 'static) -> Result<(), Error> {
    let links = Arc::clone(links);
    let run = move || {
        loop {
            std::thread::sleep(every);
            if let Err(error) = beat() {
                links.leave(&Left::Failed(error));
            }
        }
    };
    std::thread::Builder::new().name(name.into()).spawn(run).map(drop).map_err(|e| Error::failed("no thread can be started", e))
}
