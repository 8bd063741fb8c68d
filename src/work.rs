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
//! # Invariants
//! 1. Nothing is sent before `Open`, and a tick's number is announced before process 0 opens it: ticks are the same, in the same order,
//!    everywhere.
//! 2. All processes end the last tick, on `Close`, before any of them ends its engine.
//! 3. A key's rows are said by one worker, so process 0 puts the rows of all together without merging.
//! 4. Process 0 needs the others until it has all their rows, the others need it until its tables stand: `Over`.

mod driver;
mod gather;
mod share;
mod spools;
mod words;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use crate::cli::Error;
use crate::clock;
use crate::cluster::{self, Left, Links, Party};
use crate::engine::{self, Engine, Peers, parse};
use crate::replay::{self, Interrupt, Meter, OUTPUTS_WAITING_MAX, ReplayTexts, Summary, checks, input_of_spool, peak_rss_bytes};
use crate::source::dumps::Reader;
use driver::Driver;
use gather::Gathered;
use words::Word;

/// Words that wait for the driver: a process says about ten a tick.
const WORDS_WAITING_MAX: usize = 1 << 12;

/// What is to be done, and with whom.
pub struct Job {
    /// Its folder is shared by all processes. Only process 0 writes an output.
    pub replay: replay::Job,
    pub hosts: Vec<String>,
    pub process: usize,
    /// How long the others may take to come.
    pub wait: Duration,
    /// How long one of them may be silent.
    pub watchdog: Duration,
}

/// Does this process's part. A summary comes from process 0 only. Once all have met, an error ends the process here: the others have to
/// be told, and workers that wait for others cannot be ended in order.
pub fn run(job: Job, interrupt: &Interrupt, shown: &Meter) -> Result<Option<Summary>, Error> {
    let started = Instant::now();
    let Job { mut replay, hosts, process, wait, watchdog } = job;
    if process > 0 {
        replay.output = None;
    }
    let mut reader = Reader::new(replay.files.clone(), replay.limits);
    checks::all(&replay, &reader)?;
    let processes = hosts.len();
    reader.leave_out(|file| file % processes != process);
    let spools = spools::Spools::make(&replay, process)?;
    let given = share::given(&replay, &hosts)?;
    let met = cluster::meet(Party { hosts, process, given }, wait, &mut || interrupt.check())?;

    let (to_driver, words) = bounded(WORDS_WAITING_MAX);
    let (to_sink, gathered) = bounded(OUTPUTS_WAITING_MAX);
    let hear = move |from: usize, word: Vec<u8>| {
        // The ends of these are there until the process needs no more words.
        let _ = match Word::decode(&word).expect("processes of one version understand each other") {
            Word::Dead(letter) => to_sink.send(Gathered::Letter(letter)).is_ok(),
            Word::Rows { view, rows } => to_sink.send(Gathered::Rows { view, rows }).is_ok(),
            Word::Ended(part) => to_sink.send(Gathered::Part(part)).is_ok(),
            word => to_driver.send((from, word)).is_ok(),
        };
    };
    let failed = |e| Error::failed("the processes' connections", e);
    let (links, sockets) = Links::new(met, watchdog, Arc::new(hear)).map_err(failed)?;
    let part = Part { replay: &replay, links: &links, interrupt, shown };
    let summary = part.run(reader, spools, sockets, words, gathered, started);
    match summary {
        Err(error) => links.leave(&Left::Failed(error)),
        Ok(summary) => {
            links.done();
            Ok(summary)
        }
    }
}

/// One process's part of a job.
#[derive(Clone, Copy)]
struct Part<'a> {
    replay: &'a replay::Job,
    links: &'a Arc<Links>,
    interrupt: &'a Interrupt,
    shown: &'a Meter,
}

impl Part<'_> {
    fn is_first(&self) -> bool {
        self.links.party.process == 0
    }

    fn or_leave<T>(self, result: Result<T, Error>) -> T {
        result.unwrap_or_else(|error| self.links.leave(&Left::Failed(error)))
    }

    fn run(
        self,
        reader: Reader,
        spools: spools::Spools,
        sockets: Vec<Option<std::net::TcpStream>>,
        words: Receiver<(usize, Word)>,
        gathered: Receiver<Gathered>,
        started: Instant,
    ) -> Result<Option<Summary>, Error> {
        let (replay, party) = (self.replay, &self.links.party);
        let (processes, process) = (party.hosts.len(), party.process);
        let all = spools.all(replay, processes)?;
        let texts = Arc::new(ReplayTexts::new(replay.files.clone(), all.clone()));
        // Of whatever file a text may be wanted, here or at another's asking.
        (0..replay.files.len()).for_each(|file| texts.begin(file));
        let (spare, spares) = bounded(2 * replay.workers + 2);
        let inputs = parse::Inputs {
            names: replay.files.iter().map(|path| path.display().to_string()).collect(),
            spools: spools.numbers().map(|n| (input_of_spool(n), Arc::clone(&all[n]))).collect(),
            spares: Some(spare),
            clock: Arc::new(clock::System),
        };
        // The driver says when a tick ends.
        let config =
            engine::Config { workers: replay.workers, views: replay.views.clone(), tick_records_max: 0, ..engine::Config::default() };
        let peers = (processes > 1).then(|| {
            eddy_schemas::route::by_text();
            Peers { process, sockets }
        });
        let (send, outputs) = bounded(OUTPUTS_WAITING_MAX);
        let engine = Engine::start_among(peers, config, inputs, Arc::clone(&texts) as _, send)
            .map_err(|e| Error::failed("the engine did not start", e))?;
        let counts = engine.counts();
        let driver = Driver::new(self, engine, words, spools);
        let (ended, (collected, parts)) = std::thread::scope(|scope| {
            // While workers wait for those of others, an error cannot be handed up: see `run`.
            let sink = scope.spawn(|| self.or_leave(gather::collect(self, &outputs, &gathered)));
            let ended = self.or_leave(driver.run(reader, spares));
            (ended, sink.join().expect("the sink does not panic"))
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
        let views = collected.write(replay, &texts, self.interrupt)?;
        self.links.say_all(&Word::Over.encode());
        let whole = gather::whole(parts.into_iter().chain([mine]));
        Ok(Some(Summary {
            counts: whole.counts,
            views,
            elapsed: started.elapsed(),
            workers: replay.workers * processes,
            processes,
            peak_rss_bytes: whole.peak_rss_bytes,
            incomplete: whole.incomplete,
        }))
    }
}
