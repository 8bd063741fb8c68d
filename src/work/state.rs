//! The durable state of a cluster: a folder for each start of it, which holds what its processes decided until the next start.
//!
//! ```text
//!   D/generation-000002.claim   who has begun it, and whether that process lives (`claim`)
//!   D/generation-000002.json    the job; how far the files were read and what holds the state, when it began (`begin`)
//!   D/generation-000002/process-0/state/       frames of the workers of process 0 (`engine::durable`)
//!   D/generation-000002/process-0/snapshots/   what older frames said, and what the process has adopted of those before (`engine::snapshot`)
//!   D/generation-000002/process-0/sums/        what was said of sealed messages since its snapshot; nothing for anybody else (`engine::sums`)
//!   D/generation-000002/process-0/texts-0      texts of records that cannot be read again where they stood, one file a worker
//!   D/generation-000002/process-1/...
//!   D/old-000001/...                           what an earlier generation left: its texts, and state that nobody has adopted yet
//! ```
//!
//! Snapshots and frames say nothing of who reads them: at a start each process reads some of the folders there are and feeds what it finds to
//! its workers, from where it goes to whichever worker has the message now (`recover`). So state moves without a step of its own. Beside the
//! work each process then makes one snapshot of the folders that it has read, and they go.
//!
//! **Where messages are sealed** processes make their snapshots together (`engine::snapshot::together`), and each adopts what its workers have now,
//! out of all folders. A start goes on from the snapshots of one tick, which all processes of one generation have, and what frames of that
//! and later generations say. The retention is the manifest's: a job with another is refused.
//!
//! **The fence.** A generation is claimed by making a file, which exactly one can make. Then the folders of those before it are renamed, so
//! that whoever is still at work there can name nothing in them, and remove nothing. What such a process has open it may write on: the new
//! manifest says up to which tick the generation before counts, the last for which the frames of all its workers are there, and what is
//! written later has a later tick, which nobody reads. Tables are made in a folder of their own, which the claim's next step removes, and
//! are put in their place after a check that no later claim is there. So, for a process that is frozen at any step while another generation
//! begins, and then goes on:
//!
//! | frozen | when it goes on |
//! |---|---|
//! | `claimed`, `taken`: it has claimed, and taken the folders | the check before its manifest is said fails |
//! | `counted`: it is about to say its manifest | as above; after the check: its manifest is older than the last, and nobody reads it |
//! | `begun`: its manifest is said | its folder has been taken; in one that it makes anew there is no file `own`: it finds that before it does anything |
//! | `frame`: a frame is about to be written | it is written behind what counts, or into a segment that cannot be made |
//! | `framed`: it is written, and not told | as above: its tick counts if the frames of all others were there, else it does not |
//! | `snapshot`: a run is made, and not named | it cannot be named: the folder has another name |
//! | `named`: it is named, and its frames are there still | they are not there by the old name; the new generation reads both |
//! | `staged`: its tables are made | the check fails |
//! | `checked`: no later claim was there | its tables are not there any more: they cannot be put in their place |
//!
//! And process 0 looks at each beat of its claim whether there is a later one: then all leave.
//!
//! With `--shared` all of this is in a store, too, for when the folder is lost or out of reach. Its fence is another, and its table stands there
//! (`shared`).
//!
//! # Invariants
//! 1. A generation has one manifest, whole, and it never changes.
//! 2. Frames are read up to the tick that the manifest says which goes on from them, by everyone, always; snapshots hold only ticks that are
//!    safe in all processes (`safe`), which therefore count.
//! 3. Files, spools and their numbers are those of the generation in which the state was begun; more are added behind. (Places count on it.)
//! 4. Ticks of a generation are greater than all that count of those before.

mod begin;
mod claim;
mod edit;
mod position;
mod recover;
mod shared;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eddy_dataflows::Keep;
use eddy_schemas::frame;
use serde::{Deserialize, Serialize};

use crate::cli::{Error, chain, say};
use crate::clock::{Clock, System};
use crate::engine::durable;
use crate::engine::recovery::Retention;
use crate::engine::snapshot::Snapshots;
use crate::engine::snapshot::together::Here;
use crate::engine::sums::Said;
use crate::files::{self, Files, Open};
use crate::replay::input_of_spool;
use crate::{pause, record};
pub(super) use begin::Job;
pub(super) use claim::{BEATS, Claim};
use claim::{Standing, Watch};
pub(crate) use edit::edit;
pub(super) use position::{Position, Reached};
pub(super) use shared::{Mirror, Shared, Shipper, Work};

/// Of manifests: 3 where messages are sealed, else 2; 1 had no snapshots. What is newer is refused.
const FORMATS: std::ops::RangeInclusive<u32> = 1..=3;
/// A file in the folder of a generation, from before it is begun until it is taken.
const OWN: &str = "own";
/// Between two looks at whether another cluster lives.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a generation is begun with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub generation: u64,
    pub processes: usize,
    pub workers: usize,
    /// The generation that began the state with nothing.
    #[serde(default = "first")]
    since: u64,
    /// The generations from then on, but for this one.
    before: Vec<Before>,
    /// What holds the state; none: all that counts of those before (format 1).
    #[serde(default)]
    held: Option<Vec<Held>>,
    /// Event time as of the earliest snapshot of those.
    #[serde(default)]
    time: Option<frame::Time>,
    /// How far files had come.
    pub position: Position,
    files: Vec<String>,
    /// It decides what is a record.
    record_bytes_max: usize,
    /// Where messages are sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retention: Option<Retention>,
    /// Where tables are made before they are put in their place.
    #[serde(default)]
    pub staging: Option<PathBuf>,
}

fn first() -> u64 {
    1
}

/// An earlier generation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Before {
    processes: usize,
    workers: usize,
    /// Its last tick that counts, or that of those before it.
    until: u64,
}

/// What a process of an earlier generation left, and nobody has adopted.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Held {
    generation: u64,
    process: usize,
    /// Of its generation.
    processes: usize,
    /// Its last tick that counts.
    until: u64,
    /// Where its generation makes snapshots together: the tick of the one that all have; 0: they have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<u64>,
}

impl Manifest {
    /// As it is written.
    fn format(&self) -> u32 {
        FORMATS.end() - u32::from(self.retention.is_none())
    }

    pub fn keep(&self) -> Option<Keep> {
        self.retention.as_ref().map(Retention::keep)
    }

    /// The last tick that counts of the generations before.
    fn until(&self) -> u64 {
        self.before.last().map_or(0, |before| before.until)
    }

    fn of(&self, generation: u64) -> Option<(u64, &Before)> {
        let at = usize::try_from(generation.checked_sub(self.since)?).ok()?;
        let until = at.checked_sub(1).map_or(0, |before| self.before[before].until);
        Some((until, self.before.get(at)?))
    }

    /// Processes and workers of each, of an earlier generation.
    fn shape(&self, generation: u64) -> (usize, usize) {
        self.of(generation).map_or((0, 0), |(_, before)| (before.processes, before.workers))
    }

    /// Whether any tick of an earlier generation counts: then there may be texts of it.
    fn counts(&self, generation: u64) -> bool {
        self.of(generation).is_some_and(|(until, before)| before.until > until)
    }

    fn held(&self) -> Vec<Held> {
        let all = || {
            let counting = (self.since..self.generation).filter(|generation| self.counts(*generation));
            let of = |generation| {
                let (_, before) = self.of(generation).expect("it counts");
                let held = move |process| Held { generation, process, processes: before.processes, until: before.until, snapshot: None };
                (0..before.processes).map(held)
            };
            counting.flat_map(of).collect()
        };
        self.held.clone().unwrap_or_else(all)
    }
}

/// The state of a cluster in a folder.
#[derive(Clone)]
pub(super) struct State {
    files: Arc<dyn Files>,
    folder: PathBuf,
    pub manifest: Manifest,
}

fn manifest_path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("generation-{generation:06}.json"))
}

/// Where a generation keeps what is its own; `taken_folder`: after another has begun.
fn own_folder(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("generation-{generation:06}"))
}

fn taken_folder(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("old-{generation:06}"))
}

/// Of a process, in its generation's.
fn process_folder(generation: &Path, process: usize) -> PathBuf {
    generation.join(format!("process-{process}"))
}

/// The texts of a worker of a process, in its generation's folder.
fn texts_in(generation: &Path, process: usize, worker: usize) -> PathBuf {
    process_folder(generation, process).join(format!("texts-{worker}"))
}

/// The number between these in a name.
fn number_of(name: &str, before: &str, after: &str) -> Option<u64> {
    let digits = name.strip_prefix(before)?.strip_suffix(after)?;
    (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn read(files: &dyn Files, folder: &Path, generation: u64) -> Result<Option<Manifest>, Error> {
    let path = manifest_path(folder, generation);
    record::read_since(files, &path, FORMATS).map_err(|e| match e {
        record::Error::Newer { .. } => Error::Usage(chain(&e)),
        e => unreadable(&e.into()),
    })
}

/// Why a state cannot be gone on from, with what can be done about it.
fn unreadable(e: &durable::Error) -> Error {
    let advice = if e.is_damage() { "; with --rebuild it is made anew from the files" } else { "" };
    Error::Failed { what: format!("the state could not be read: {}{advice}", chain(e)), source: None }
}

fn superseded(folder: &Path) -> Error {
    Error::Lost(format!("another cluster has begun with {}: this one's work is over", folder.display()))
}

/// What becomes of a state whose process 0 is alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InUse {
    /// It is fenced.
    TakenOver,
    /// Nothing is begun; this is what may be done instead.
    Refused(&'static str),
}

/// Waits until it is known whether the process 0 of the last generation lives; an error with `advice` where it does.
fn wait_until_free(files: &dyn Files, folder: &Path, advice: &str, look: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error> {
    let (mut watch, mut waits) = (Watch::default(), Waits::of(folder.display()));
    loop {
        match watch.look(files, folder, System.monotonic_ms()).map_err(not_claimed(folder))? {
            Standing::Free => return Ok(()),
            Standing::Unsure { lease } => {
                waits.say(lease);
                std::thread::sleep(LOOK_AGAIN);
            }
            Standing::Held { pid } => {
                let what = format!("{} is in use by a cluster whose process 0 (pid {pid}) is alive", folder.display());
                return Err(Error::Usage(format!("{what}: {advice}")));
            }
        }
        look()?;
    }
}

/// Says, once, that it cannot be told yet whether somebody has ended.
struct Waits {
    of: String,
    has_said: bool,
}

impl Waits {
    fn of(what: impl std::fmt::Display) -> Waits {
        Waits { of: what.to_string(), has_said: false }
    }

    fn say(&mut self, lease: Duration) {
        if !std::mem::replace(&mut self.has_said, true) {
            let seconds = lease.as_secs_f64();
            say(&format!("eddy: {}: its last cluster may still be at work; waiting up to {seconds:.0} s to see", self.of));
        }
    }
}

fn not_claimed(folder: &Path) -> impl Fn(io::Error) -> Error {
    move |e| Error::failed(format!("{} could not be claimed", folder.display()), e)
}

/// A folder that belongs to a store is refused where that is not given: its mirror would be of another state.
pub(crate) fn refuse_without(files: &dyn Files, folder: &Path) -> Result<(), Error> {
    let Some(url) = shared::belongs(files, folder)? else { return Ok(()) };
    Err(Error::Usage(format!("the state in {} is mirrored in {url}: give --shared {url}, too", folder.display())))
}

/// Where the processes of all generations keep what they decided.
pub(crate) struct Kept {
    /// The folders of processes.
    pub processes: Vec<PathBuf>,
    /// With their numbers among inputs.
    pub spools: Vec<(u32, PathBuf)>,
    /// How long what stays, where messages are sealed.
    pub keep: Option<Keep>,
}

/// A cluster has begun in this folder.
pub(crate) fn has_state(folder: &Path) -> bool {
    claim::newest(&files::disk::Disk, folder).is_ok_and(|newest| newest > 0)
}

pub(crate) fn kept(folder: &Path) -> Result<Kept, Error> {
    let files = files::disk();
    let what = || Error::Usage(format!("{} holds no state of a cluster", folder.display()));
    let manifest = begin::last(&*files, folder)?.ok_or_else(what)?;
    let listed = |folder: &Path| files.names(folder).map_err(|e| Error::failed(format!("{} cannot be listed", folder.display()), e));
    let mut processes = vec![];
    for name in listed(folder)?.iter().filter(|name| number_of(name, "generation-", "").or(number_of(name, "old-", "")).is_some()) {
        let generation = folder.join(name);
        processes.extend(listed(&generation)?.iter().filter(|name| name.starts_with("process-")).map(|name| generation.join(name)));
    }
    let keep = manifest.keep();
    let spools = State { files, folder: folder.into(), manifest }.spools();
    Ok(Kept { processes, keep, spools: spools.into_iter().enumerate().map(|(number, path)| (input_of_spool(number), path)).collect() })
}

impl State {
    /// Begins the next generation; `in_use`: what if the last one's process 0 is alive. By process 0, when all have met.
    pub fn begin(
        files: &Arc<dyn Files>,
        folder: &Path,
        job: &Job,
        lease: Duration,
        in_use: InUse,
        look: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<(State, Claim), Error> {
        files.make_folder(folder).map_err(not_claimed(folder))?;
        let is_behind = begin::check(files, folder, job)?;
        if let InUse::Refused(advice) = in_use {
            wait_until_free(&**files, folder, advice, look)?;
            if let Some(shared) = &job.shared {
                shared.wait_until_free(claim::of_newest(&**files, folder), advice, look)?;
            }
        }
        if let Some(shared) = job.shared.as_ref().filter(|_| is_behind) {
            say(&format!("eddy: {} is fetched from {}, which is ahead of it", folder.display(), shared.url));
        }
        begin::begin(files, folder, job, lease, &mut pause::at)
    }

    /// What process 0 has begun.
    pub fn join(files: &Arc<dyn Files>, folder: &Path, generation: u64) -> Result<State, Error> {
        let path = manifest_path(folder, generation);
        let what = || format!("{} is not there: --data-dir must be one folder, shared by all processes", path.display());
        let manifest = match read(&**files, folder, generation)? {
            Some(manifest) => manifest,
            // Whoever has begun since has removed it.
            None if claim::newest(&**files, folder).is_ok_and(|newest| newest > generation) => return Err(superseded(folder)),
            None => return Err(Error::Failed { what: what(), source: None }),
        };
        Ok(State { files: Arc::clone(files), folder: folder.into(), manifest })
    }

    fn own_folder(&self) -> PathBuf {
        own_folder(&self.folder, self.manifest.generation)
    }

    /// More than one state a process.
    pub fn has_much_to_adopt(&self) -> bool {
        self.manifest.held().len() > self.manifest.processes
    }

    /// Makes a process's own folder; gives where its frames go.
    pub fn own(&self, process: usize) -> Result<PathBuf, Error> {
        let path = process_folder(&self.own_folder(), process);
        self.files.make_folder(&path).map_err(|e| Error::failed(format!("{} cannot be made", path.display()), e))?;
        Ok(path.join("state"))
    }

    /// An error where the folder has been taken, and what was opened in it may be in one that was made anew. Asked once all is open; who takes
    /// it later takes that, too.
    pub fn check_own(&self) -> Result<(), Error> {
        match self.files.open(&self.own_folder().join(OWN), Open::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(superseded(&self.folder)),
            own => own.map(|_| ()).map_err(not_claimed(&self.folder)),
        }
    }

    /// A process's own snapshots.
    pub fn snapshots(&self, process: usize) -> Result<Snapshots, durable::Error> {
        let folder = process_folder(&self.own_folder(), process).join("snapshots");
        let snapshots = Snapshots::open_in(Arc::clone(&self.files), &folder)?.among(position::share(self.manifest.processes));
        let Manifest { processes, workers, .. } = self.manifest;
        let here = Here { process, processes, workers };
        Ok(self.manifest.keep().into_iter().fold(snapshots, |snapshots, keep| snapshots.sealing(keep).here(here)))
    }

    /// Where a process puts what is said of sealed messages.
    pub fn said(&self, process: usize) -> Result<Said, durable::Error> {
        let folder = process_folder(&self.own_folder(), process).join("sums");
        let failed = |source| durable::Error::Snapshot { path: folder.display().to_string(), source };
        Said::new(Arc::clone(&self.files), &folder).map_err(failed)
    }

    /// An error where a later generation has been claimed: then nothing more may be told to anybody.
    pub fn check_lease(&self) -> Result<(), Error> {
        begin::check_lease(self)
    }

    /// All spools that there are, in the order of their numbers; those of this generation are the last.
    pub fn spools(&self) -> Vec<PathBuf> {
        let Manifest { generation, processes, workers, since, before, .. } = &self.manifest;
        assert_eq!(since + before.len() as u64, *generation, "every generation has its place");
        let taken = before.iter().zip(*since..).map(|(before, generation)| {
            let folder = taken_folder(&self.folder, generation);
            (folder, before.processes, before.workers)
        });
        let all = taken.chain([(self.own_folder(), *processes, *workers)]);
        all.flat_map(|(folder, processes, workers)| (0..processes * workers).map(move |n| texts_in(&folder, n / workers, n % workers)))
            .collect()
    }
}
