//! The durable state of a cluster: a folder for each start of it, which holds what its processes decided until the next start.
//!
//! ```text
//!   D/generation-000001.json    the job; how far the files were read and up to which tick each generation before counts, when it began
//!   D/generation-000001/process-0/state/     frames of the workers of process 0 (`engine::durable`)
//!   D/generation-000001/process-0/texts-0    texts of records that cannot be read again where they stood, one file a worker
//!   D/generation-000001/process-1/...
//!   D/generation-000002.json    begun by a later start, with as many processes and workers as it likes
//! ```
//!
//! Frames say nothing of who reads them: at a start each process reads some of the folders there are and feeds what it finds to its workers,
//! from where it goes to whichever worker has the message now. So state moves without a step of its own.
//!
//! **The fence.** Process 0 begins a generation by making its manifest, which exactly one can make (a hard link, which fails where the name is
//! taken; with an object store a conditional put). It says for the generation before up to which tick that one counts: the last for which
//! the frames of all its workers are there. Whatever a process of that generation writes later, be it that it was frozen between a check
//! and a write, has a later tick, and is never read. Before tables are put in their place it is checked that no later generation has begun.
//!
//! # Invariants
//! 1. A generation has one manifest, whole, and it never changes.
//! 2. Frames are read up to the tick that the next manifest says, by everyone, always.
//! 3. Files, spools and their numbers are those of the first generation; more are added behind. (Places count on it.)
//! 4. Ticks of a generation are greater than all that count of those before.

mod frames;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::{Error, chain};
use crate::engine::Engine;
use crate::files::{self, Open};
use crate::record;
use crate::replay::{INPUTS_MAX, input_of_spool};
use frames::{Frames, Ticks, next};

/// Of manifests. What is newer is refused.
const FORMAT: u32 = 1;
/// Starts of a cluster in one folder: each reads what all those before it left.
const GENERATIONS_MAX: u64 = 10_000;

/// How far a file has been read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) enum Reached {
    /// So many blocks of it are in.
    Blocks(u64),
    End,
}

/// How far the files have come; in a frame's binding, those that moved in its tick.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Position {
    files: BTreeMap<u32, Reached>,
    /// Files that could not be read to their end.
    pub incomplete: BTreeSet<String>,
}

impl Position {
    /// Blocks of a file that are in.
    pub fn blocks(&self, file: u32) -> u64 {
        match self.files.get(&file) {
            Some(Reached::Blocks(blocks)) => *blocks,
            _ => 0,
        }
    }

    pub fn is_at_end_of(&self, file: u32) -> bool {
        self.files.get(&file) == Some(&Reached::End)
    }

    pub fn set(&mut self, file: u32, reached: Reached) {
        self.files.insert(file, reached);
    }

    /// Files only go on, so the farther of two is the later.
    fn add(&mut self, later: Position) {
        for (file, reached) in later.files {
            let farthest = self.files.entry(file).or_insert(reached);
            *farthest = reached.max(*farthest);
        }
        self.incomplete.extend(later.incomplete);
    }

    /// Empty where nothing has moved.
    pub fn binding(&self) -> String {
        if *self == Position::default() { String::new() } else { serde_json::to_string(self).expect("a position is JSON") }
    }
}

/// What a generation is begun with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub generation: u64,
    pub processes: usize,
    pub workers: usize,
    /// The generations before, from 1 on.
    pub before: Vec<Before>,
    /// How far files had come.
    pub position: Position,
    files: Vec<String>,
    /// It decides what is a record.
    record_bytes_max: usize,
}

/// An earlier generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Before {
    pub processes: usize,
    pub workers: usize,
    /// Its last tick that counts; 0: none does.
    pub until: u64,
}

/// The state of a cluster in a folder.
#[derive(Clone)]
pub(super) struct State {
    folder: PathBuf,
    pub manifest: Manifest,
}

fn manifest_path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("generation-{generation:06}.json"))
}

/// Where a process of a generation keeps its own.
fn process_folder(folder: &Path, generation: u64, process: usize) -> PathBuf {
    folder.join(format!("generation-{generation:06}")).join(format!("process-{process}"))
}

/// The frames of a process of a generation.
pub(super) fn journal_folder(folder: &Path, generation: u64, process: usize) -> PathBuf {
    process_folder(folder, generation, process).join("state")
}

/// The texts of a worker of a process of a generation.
pub(super) fn spool_path(folder: &Path, generation: u64, process: usize, worker: usize) -> PathBuf {
    process_folder(folder, generation, process).join(format!("texts-{worker}"))
}

fn refused(what: String) -> Error {
    Error::Usage(what)
}

fn unreadable(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::failed("the state could not be read", e)
}

impl State {
    /// Begins the next generation. By process 0, when all have met.
    pub fn begin(folder: &Path, processes: usize, workers: usize, files: Vec<String>, record_bytes_max: usize) -> Result<State, Error> {
        let mut manifest =
            Manifest { generation: 1, processes, workers, before: vec![], position: Position::default(), files, record_bytes_max };
        if let Some(last) = last(folder)? {
            check(&last, &manifest, folder)?;
            // What it counts is safe against a power cut before it is said to count.
            (0..last.processes).try_for_each(|process| sync_texts(folder, &last, process)).map_err(unreadable)?;
            let (until, position) = counts(folder, &last)?;
            (manifest.generation, manifest.before, manifest.position) = (last.generation + 1, last.before, position);
            // (`before` holds what came before `last`.)
            manifest.before.push(Before { processes: last.processes, workers: last.workers, until });
        }
        let spools = manifest.before.iter().map(|before| before.processes * before.workers).sum::<usize>() + processes * workers;
        if manifest.generation > GENERATIONS_MAX || manifest.files.len() + spools > INPUTS_MAX {
            return Err(refused(format!("{} has been begun again too often: give another --data-dir", folder.display())));
        }
        let path = manifest_path(folder, manifest.generation);
        let failed = |e| Error::failed(format!("{} could not be written", path.display()), e);
        // Whole beside its name, then under it, unless another has that: the second of two starts at once is told so.
        let beside = folder.join(format!(".new-{}-{}", manifest.generation, std::process::id()));
        record::write(&beside, FORMAT, &manifest).map_err(failed)?;
        let linked = fs::hard_link(&beside, &path);
        // If we crash here, a file is left that nobody reads.
        let _ = fs::remove_file(&beside);
        match linked {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(superseded(folder)),
            linked => {
                linked.and_then(|()| fs::File::open(folder)?.sync_all()).map_err(failed)?;
                Ok(State { folder: folder.into(), manifest })
            }
        }
    }

    /// What process 0 has begun.
    pub fn join(folder: &Path, generation: u64) -> Result<State, Error> {
        let path = manifest_path(folder, generation);
        let manifest = record::read(&path, FORMAT).map_err(unreadable)?;
        let what = || format!("{} is not there: --data-dir must be one folder, shared by all processes", path.display());
        let manifest = manifest.ok_or_else(|| Error::Failed { what: what(), source: None })?;
        Ok(State { folder: folder.into(), manifest })
    }

    /// Makes a process's own folder; gives where its frames go.
    pub fn own(&self, process: usize) -> Result<PathBuf, Error> {
        let path = process_folder(&self.folder, self.manifest.generation, process);
        files::disk().make_folder(&path).map_err(|e| Error::failed(format!("{} cannot be made", path.display()), e))?;
        Ok(path.join("state"))
    }

    /// An error where a later generation has begun: then nothing more may be told to anybody.
    pub fn check_lease(&self) -> Result<(), Error> {
        let later = manifest_path(&self.folder, self.manifest.generation + 1);
        if later.exists() { Err(superseded(&self.folder)) } else { Ok(()) }
    }

    /// All spools that there are, in the order of their numbers; those of this generation are the last.
    pub fn spools(&self) -> impl Iterator<Item = PathBuf> {
        let Manifest { generation, processes, workers, before, .. } = &self.manifest;
        let shapes = before.iter().map(|before| (before.processes, before.workers)).chain([(*processes, *workers)]);
        assert_eq!(before.len() as u64 + 1, *generation, "generations are counted from 1");
        (1..).zip(shapes).flat_map(move |(generation, (processes, workers))| {
            (0..processes * workers).map(move |n| spool_path(&self.folder, generation, n / workers, n % workers))
        })
    }

    /// Feeds what a process's share of the journals holds, each tick with its number, and waits until all processes have done so.
    pub fn recover(&self, process: usize, engine: &mut Engine) -> Result<(), Error> {
        let (mut journal, mut last) = (0, 0);
        for (generation, before) in (1..).zip(&self.manifest.before) {
            let counts = before.until > std::mem::replace(&mut last, before.until);
            let mut ticks = vec![];
            for of in 0..before.processes {
                if counts && journal % self.manifest.processes == process {
                    let folder = journal_folder(&self.folder, generation, of);
                    ticks.push(Ticks::open(&folder, before)?);
                }
                journal += 1;
            }
            while let Some(tick) = next(&mut ticks)? {
                engine.recover(tick).map_err(unreadable)?;
            }
        }
        // Even who had nothing to read says that these ticks are over.
        engine.open_at(last + 1).map_err(unreadable)?;
        engine.recovered(last + 1).map_err(unreadable)
    }
}

/// Where the processes of all generations keep what they decided.
pub(crate) struct Kept {
    pub journals: Vec<PathBuf>,
    /// With their numbers among inputs.
    pub spools: Vec<(u32, PathBuf)>,
}

/// A cluster has begun in this folder.
pub(crate) fn has_state(folder: &Path) -> bool {
    manifest_path(folder, 1).exists()
}

pub(crate) fn kept(folder: &Path) -> Result<Kept, Error> {
    let what = || format!("{} holds no state of a cluster", folder.display());
    let manifest = last(folder)?.ok_or_else(|| refused(what()))?;
    let shapes = manifest.before.iter().map(|before| before.processes).chain([manifest.processes]);
    let journals = (1..)
        .zip(shapes)
        .flat_map(|(generation, processes)| (0..processes).map(move |process| journal_folder(folder, generation, process)));
    let journals = journals.collect();
    let state = State { folder: folder.into(), manifest };
    Ok(Kept { journals, spools: state.spools().enumerate().map(|(number, path)| (input_of_spool(number), path)).collect() })
}

fn superseded(folder: &Path) -> Error {
    Error::Lost(format!("another cluster has begun with {}: this one's work is over", folder.display()))
}

/// The manifest of the last generation.
fn last(folder: &Path) -> Result<Option<Manifest>, Error> {
    let generation = (1..=GENERATIONS_MAX).take_while(|generation| manifest_path(folder, *generation).exists()).last();
    let Some(generation) = generation else { return Ok(None) };
    // It is there, so it is whole.
    record::read(&manifest_path(folder, generation), FORMAT).map_err(|e| refused(chain(&e)))
}

/// A job goes on only with what it was begun with.
fn check(before: &Manifest, now: &Manifest, folder: &Path) -> Result<(), Error> {
    let advice = format!("give what it was begun with, or another --data-dir than {}", folder.display());
    if before.record_bytes_max != now.record_bytes_max {
        return Err(refused(format!("this job was begun with --record-bytes-max {}: {advice}", before.record_bytes_max)));
    }
    for (number, then) in before.files.iter().enumerate() {
        if now.files.get(number) != Some(then) {
            return Err(refused(format!("file {} of this job was {then}: {advice}", number + 1)));
        }
    }
    Ok(())
}

/// Makes the texts of a process safe, which may have left them to the kernel.
fn sync_texts(folder: &Path, of: &Manifest, process: usize) -> io::Result<()> {
    for worker in 0..of.workers {
        match files::disk().open(&spool_path(folder, of.generation, process, worker), Open::Read) {
            Ok(texts) => texts.sync()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Up to which tick a generation counts, and how far files had come by then.
fn counts(folder: &Path, of: &Manifest) -> Result<(u64, Position), Error> {
    let mut frames = BTreeMap::<u64, (usize, Vec<String>)>::new();
    for process in 0..of.processes {
        if let Some(mut journal) = Frames::open(&journal_folder(folder, of.generation, process))? {
            while let Some(frame) = journal.take()? {
                let (count, bindings) = frames.entry(frame.head.tick).or_default();
                *count += usize::from(!frame.head.more);
                bindings.extend(Some(frame.head.binding).filter(|binding| !binding.is_empty()));
            }
        }
    }
    // A worker writes a frame for each tick, in order: where one is missing, all later ones are.
    let whole = |(count, _): &(usize, Vec<String>)| *count == of.processes * of.workers;
    let (mut until, mut position) = (of.before.last().map_or(0, |before| before.until), of.position.clone());
    for (tick, (_, bindings)) in frames.iter().take_while(|(_, frames)| whole(frames)) {
        until = *tick;
        for binding in bindings {
            position.add(serde_json::from_str(binding).map_err(unreadable)?);
        }
    }
    Ok((until, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_start_is_a_later_generation_and_ends_the_lease_of_the_one_before() {
        let dir = tempfile::tempdir().expect("a folder");
        let begin =
            |processes, files: &[&str]| State::begin(dir.path(), processes, 2, files.iter().map(|file| (*file).to_owned()).collect(), 100);
        let first = begin(2, &["a"]).expect("nobody was there");
        first.check_lease().expect("it is the last");
        let second = begin(1, &["a", "b"]).expect("it goes on, with more files");
        assert!(matches!(first.check_lease(), Err(Error::Lost(_))));
        second.check_lease().expect("it is the last");
        assert_eq!((first.manifest.generation, second.manifest.generation), (1, 2));
        assert_eq!((first.spools().count(), second.spools().count()), (4, 6));
        assert!(first.spools().eq(second.spools().take(4)), "spools keep their numbers");
        assert!(matches!(begin(1, &["b", "a"]), Err(Error::Usage(_))), "another job");
        let joined = State::join(dir.path(), 2).expect("it has begun");
        assert_eq!(joined.manifest.files, ["a", "b"]);
        State::join(dir.path(), 3).map(|_| ()).expect_err("it has not begun");
    }

    #[test]
    fn positions_only_go_on() {
        let at = |reached| {
            let mut position = Position::default();
            position.set(7, reached);
            position
        };
        let mut position = at(Reached::Blocks(5));
        position.add(at(Reached::Blocks(3)));
        assert_eq!(position.blocks(7), 5);
        position.add(serde_json::from_str(&at(Reached::End).binding()).expect("what was written"));
        position.add(at(Reached::Blocks(9)));
        assert!(position.is_at_end_of(7) && !position.is_at_end_of(8));
        assert_eq!(Position::default().binding(), "");
    }
}
