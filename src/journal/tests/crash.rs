//! The journal over files whose power is cut at every point: what was synced is there, what was appended is there after a kill, and
//! nothing is ever wrong.

use std::io;

use super::*;
use crate::files::Simulated;
use crate::files::simulated::{Done, Fault};

const RUNS: u64 = 1_200;

fn folder() -> PathBuf {
    PathBuf::from("/data/journal")
}

/// What the journal may hold: frames in order, and how many of them it must.
struct Model {
    frames: Vec<Vec<u8>>,
    /// So many are there after a power cut.
    synced: usize,
    /// So many are there after a kill.
    appended: usize,
    /// No frame below this must be there.
    truncated: u64,
}

struct Run {
    files: Simulated,
    random: Xoshiro256PlusPlus,
    model: Model,
    config: Config,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let config = Config { segment_bytes: [400, 3_000, 20_000][random.random_range(0..3)], sealed_open_max: 2 };
        Run { files: Simulated::new(seed), random, model: Model { frames: vec![], synced: 0, appended: 0, truncated: 0 }, config }
    }

    fn open(&self) -> Result<Journal, Error> {
        Journal::open_in(self.files.files(), &folder(), self.config.clone())
    }

    fn fault(&mut self, stop: bool) {
        let done = [Done::Nothing, Done::Part, Done::All][self.random.random_range(0..3)];
        let error = [io::ErrorKind::StorageFull, io::ErrorKind::Other][self.random.random_range(0..2)];
        let after = self.random.random_range(1..40);
        self.files.fault(Fault { after, done, stop, error });
    }

    /// One thing that is done to a journal; an error of it is of no matter here.
    fn step(&mut self, journal: &Journal) {
        match self.random.random_range(0..10) {
            0..6 => {
                let frames = self.random.random_range(1..5);
                let frame = |_| vec![self.random.random::<u8>(); [0, 3, 60, 500, 6000][self.random.random_range(0..5)]];
                let batch: Vec<_> = (0..frames).map(frame).collect();
                self.model.frames.extend_from_slice(&batch);
                match journal.append(&batch) {
                    Ok(range) => {
                        assert_eq!(range.end as usize, self.model.frames.len());
                        self.model.appended = self.model.frames.len();
                    }
                    // A first part of it may be there.
                    Err(_) if !self.files.is_stopped() => {
                        let end = journal.range().end as usize;
                        assert!(self.model.appended <= end && end <= self.model.frames.len());
                        self.model.frames.truncate(end);
                        self.model.appended = end;
                    }
                    Err(_) => {}
                }
            }
            6..8 => {
                if journal.sync().is_ok() {
                    self.model.synced = self.model.appended;
                }
            }
            8 => drop(journal.roll()),
            _ => {
                let before = self.random.random_range(self.model.truncated..=self.model.appended as u64);
                self.model.truncated = before;
                let _ = journal.truncate_before(before);
            }
        }
    }

    /// The journal is opened and holds what it has to; from here on it may be held to that.
    fn check(&mut self, journal: &Journal, least: usize) {
        let range = journal.range();
        assert!(range.start <= self.model.truncated, "{range:?}, truncated before {} only", self.model.truncated);
        assert!(range.end as usize >= least, "{range:?}, and {least} frames have to be there");
        assert!(range.end as usize <= self.model.frames.len(), "{range:?}");
        let frames = &self.model.frames;
        let read = journal.replay::<Error>(range.start, |number, bytes| {
            assert_eq!(bytes, frames[number as usize], "frame {number}");
            Ok(())
        });
        assert_eq!(read.expect("reads"), range.end);
        self.model.frames.truncate(range.end as usize);
        self.model.truncated = self.model.truncated.min(range.end);
        (self.model.appended, self.model.synced) = (self.model.frames.len(), self.model.frames.len());
    }
}

#[test]
fn what_was_synced_outlives_every_power_cut_and_what_was_appended_every_kill() {
    each_seed(RUNS, |seed| {
        let mut run = Run::new(seed);
        let mut least = 0;
        for _ in 0..6 {
            // Opening is stopped, too, some times.
            let opens_stopped = run.random.random_bool(0.4);
            if opens_stopped {
                run.fault(true);
            }
            let journal = match run.open() {
                Ok(journal) => Some(journal),
                Err(error) => {
                    assert!(run.files.is_stopped(), "{}", crate::cli::chain(&error));
                    None
                }
            };
            if let Some(journal) = journal {
                run.check(&journal, least);
                if !opens_stopped {
                    let stop = run.random.random_bool(0.8);
                    run.fault(stop);
                }
                for _ in 0..run.random.random_range(1..30) {
                    run.step(&journal);
                    if run.files.is_stopped() {
                        break;
                    }
                }
                least = run.model.appended;
            }
            if run.random.random() {
                run.files.power_cut();
                least = least.min(run.model.synced);
            } else {
                run.files.kill();
            }
        }
        let journal = run.open().unwrap_or_else(|e| panic!("{}", crate::cli::chain(&e)));
        run.check(&journal, least);
    });
}

#[test]
fn after_a_sync_that_lied_what_is_read_is_right_or_refused_with_its_place() {
    let (mut refused, mut short) = (0, 0);
    each_seed(RUNS / 4, |seed| {
        let mut run = Run::new(seed);
        let journal = run.open().expect("opens");
        run.files.lie(true);
        for _ in 0..30 {
            run.step(&journal);
        }
        drop(journal);
        run.files.power_cut();
        run.files.lie(false);
        let read = run.open().and_then(|journal| {
            let frames = &run.model.frames;
            journal.replay::<Error>(journal.range().start, |number, bytes| {
                assert_eq!(bytes, frames[number as usize], "frame {number}");
                Ok(())
            })
        });
        match read {
            Ok(end) => short += u32::from((end as usize) < run.model.synced),
            Err(Error::Corrupt { path, .. }) => {
                assert!(path.starts_with(folder()), "{}", path.display());
                refused += 1;
            }
            Err(other) => panic!("{}", crate::cli::chain(&other)),
        }
    });
    // A journal cannot know that its end is missing: who was told of it does (`Snapshots`, sinks).
    println!("{refused} refused, {short} cut short");
}
