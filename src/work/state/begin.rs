//! Beginning a generation: claim, take, count, say.
//!
//! ```text
//!   claim    generation-000003.claim is made, by exactly one           from here on the checks of all others fail
//!            (with --shared in the store before, and the folder fetched where it is behind that: `shared`)
//!   take     generation-000002/ --> old-000002/                        from here on nothing can be named, or let go, in it
//!            the folder for its tables is removed                      from here on its tables cannot be put in their place
//!   count    old-000002/: up to which tick it counts                   whatever is written from here on has a later tick
//!   make     generation-000003/own is made                             whoever claims from here on takes it away
//!   say      generation-000003.json is written, after another check    from here on it is begun
//!   sweep    what no state is in any more is removed
//! ```
//!
//! If it ends between two of these, who comes next claims the number after it and does all of it again; a number that was claimed and not begun
//! is left out. If it is frozen between two, and another begins meanwhile, its next check ends it; and what it does before that check is what
//! the other has done as well: whatever it takes has been taken, and whatever it sweeps is of no use to the other, since it was not to this
//! one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::claim::{Claim, newest};
use super::position::{Position, share};
use super::shared::Shared;
use super::{Before, Held, Manifest, OWN, State, manifest_path, number_of, process_folder, superseded, taken_folder};
use crate::cli::{Error, chain};
use crate::engine::durable;
use crate::engine::recovery::Retention;
use crate::engine::snapshot::adopt::Source;
use crate::files::{Files, Open};
use crate::replay::INPUTS_MAX;
use crate::{pause, record};

/// What a generation is begun for.
pub(in crate::work) struct Job {
    pub processes: usize,
    pub workers: usize,
    pub files: Vec<String>,
    pub record_bytes_max: usize,
    /// Where messages are sealed.
    pub retention: Option<Retention>,
    /// Where tables go.
    pub output: Option<PathBuf>,
    /// The state is made anew.
    pub rebuild: bool,
    /// Where it is mirrored.
    pub shared: Option<Arc<Shared>>,
}

fn failed(folder: &Path) -> impl Fn(io::Error) -> Error {
    move |e| Error::failed(format!("a generation could not be begun in {}", folder.display()), e)
}

/// Refuses what cannot go on what is there, before anything is done. Tells whether the folder is to be fetched.
pub(super) fn check(files: &Arc<dyn Files>, folder: &Path, job: &Job) -> Result<bool, Error> {
    let ahead = match &job.shared {
        Some(shared) => {
            shared.agree(&**files, folder)?;
            if job.rebuild { None } else { shared.ahead(&**files, folder)? }
        }
        None => {
            super::refuse_without(&**files, folder)?;
            None
        }
    };
    let is_behind = ahead.is_some();
    let last = if job.rebuild || is_behind { ahead } else { last(&**files, folder)? };
    last.map_or(Ok(()), |last| goes_on(&last, job, folder)).map(|()| is_behind)
}

/// Claims the next generation: in the store first, where exactly one of all machines can. Fetches what is there, where the folder is behind.
fn claim(files: &Arc<dyn Files>, folder: &Path, job: &Job, lease: Duration) -> Result<Claim, Error> {
    let Some(shared) = &job.shared else { return Claim::make(files, folder, lease, None) };
    let there = shared.claim(&**files, newest(&**files, folder).map_err(failed(folder))?, lease)?;
    pause::at("shared");
    let claim = Claim::make(files, folder, lease, Some(there))?;
    if !job.rebuild && shared.ahead(&**files, folder)?.is_some() {
        shared.fetch(files, folder)?;
    }
    shared.agree_on_forgotten(&**files, folder)?;
    Ok(claim)
}

/// Begins the next generation. `at` is told each step that has been done.
pub(super) fn begin(
    files: &Arc<dyn Files>,
    folder: &Path,
    job: &Job,
    lease: Duration,
    at: &mut dyn FnMut(&str),
) -> Result<(State, Claim), Error> {
    let claim = claim(files, folder, job, lease)?;
    at("claimed");
    take(&**files, folder, claim.generation)?;
    at("taken");
    let manifest = next(files, folder, job, claim.generation)?;
    let state = State { files: Arc::clone(files), folder: folder.into(), manifest };
    make(&state).map_err(failed(folder))?;
    at("counted");
    claim.check()?;
    let path = manifest_path(folder, claim.generation);
    record::write_in(&**files, &path, state.manifest.format(), &state.manifest).map_err(failed(folder))?;
    at("begun");
    sweep(&state);
    Ok((state, claim))
}

/// Takes the folders of all generations before this one from whoever may still be at work in them.
fn take(files: &dyn Files, folder: &Path, generation: u64) -> Result<(), Error> {
    let take = || {
        for name in files.names(folder)? {
            let Some(before) = number_of(&name, "generation-", "").filter(|before| *before < generation) else { continue };
            let (from, to) = (folder.join(&name), taken_folder(folder, before));
            if files.names(&to).is_ok() {
                // It was taken before: this is what one made since who did not know.
                files.remove_folder(&from)?;
            } else {
                files.rename(&from, &to)?;
            }
        }
        files.sync_folder(folder)
    };
    take().map_err(failed(folder))?;
    // (Where it cannot be read its job is refused, or made anew.)
    let staging = last(files, folder).ok().flatten().and_then(|last| last.staging);
    staging.map_or(Ok(()), |staging| files.remove_folder(&staging).map_err(failed(&staging)))
}

/// Makes the folder that tells its processes that nobody has taken it (`State::check_own`): one that they make themselves has no such file.
fn make(state: &State) -> io::Result<()> {
    let folder = state.own_folder();
    state.files.make_folder(&folder)?;
    state.files.open(&folder.join(OWN), Open::New)?.sync()?;
    state.files.sync_folder(&folder)
}

/// The manifest of the last generation that was begun.
pub(super) fn last(files: &dyn Files, folder: &Path) -> Result<Option<Manifest>, Error> {
    let names = match files.names(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => vec![],
        names => names.map_err(failed(folder))?,
    };
    let newest = names.iter().filter_map(|name| number_of(name, "generation-", ".json")).max();
    // It is there, so it is whole.
    newest.map_or(Ok(None), |newest| super::read(files, folder, newest))
}

/// A job goes on only with what it was begun with.
fn goes_on(last: &Manifest, job: &Job, folder: &Path) -> Result<(), Error> {
    let advice = format!("give what it was begun with, or another --data-dir than {}", folder.display());
    if last.record_bytes_max != job.record_bytes_max {
        return Err(Error::Usage(format!("this job was begun with --record-bytes-max {}: {advice}", last.record_bytes_max)));
    }
    for (number, then) in last.files.iter().enumerate() {
        if job.files.get(number) != Some(then) {
            return Err(Error::Usage(format!("file {} of this job was {then}: {advice}", number + 1)));
        }
    }
    Retention::check(folder, last.retention.as_ref(), job.retention.as_ref()).map_err(|e| Error::Usage(chain(&e)))
}

/// What this generation goes on from.
fn next(files: &Arc<dyn Files>, folder: &Path, job: &Job, generation: u64) -> Result<Manifest, Error> {
    let staging = |output: &PathBuf| {
        let output = std::path::absolute(output)?;
        // No other folder's cluster has the same.
        io::Result::Ok(output.join(format!(".eddy-{generation:06}-{:08x}", files.salt()?)))
    };
    let mut next = Manifest {
        generation,
        processes: job.processes,
        workers: job.workers,
        since: generation,
        before: vec![],
        held: Some(vec![]),
        time: None,
        position: Position::default(),
        files: job.files.clone(),
        record_bytes_max: job.record_bytes_max,
        retention: job.retention.clone(),
        staging: job.output.as_ref().map(staging).transpose().map_err(failed(folder))?,
    };
    if let Some(last) = if job.rebuild { None } else { last(&**files, folder)? } {
        if last.generation > generation {
            return Err(superseded(folder));
        }
        goes_on(&last, job, folder)?;
        go_on(files, folder, last, &mut next)?;
    }
    let spools = next.before.iter().map(|before| before.processes * before.workers).sum::<usize>() + job.processes * job.workers;
    if job.files.len() + spools > INPUTS_MAX {
        return Err(Error::Usage(format!("{} has been begun again too often: give another --data-dir", folder.display())));
    }
    Ok(next)
}

fn go_on(files: &Arc<dyn Files>, folder: &Path, last: Manifest, next: &mut Manifest) -> Result<(), Error> {
    // What it counts is safe against a power cut before it is said to count.
    (0..last.processes).try_for_each(|process| sync_texts(&**files, folder, &last, process)).map_err(failed(folder))?;
    let seen = (0..last.processes).map(|process| Seen::look(files, folder, &last, process)).collect::<Result<Vec<_>, _>>();
    let seen = seen.map_err(|e| super::unreadable(&e))?;
    // Every worker writes a frame for each tick, in order: a tick counts where the last of each process is not before it.
    let least = seen.iter().min_by_key(|seen| seen.reached).expect("some process");
    let until = least.reached;
    if let Some(ahead) = seen.iter().map(|seen| seen.snapshot).max().filter(|snapshot| *snapshot > until) {
        // No snapshot is made of ticks that were not safe everywhere.
        return Err(super::unreadable(&least.source.lacks(ahead)));
    }
    next.position = last.position.clone();
    for binding in seen.iter().flat_map(|seen| seen.bindings.range(..=until).flat_map(|(_, bindings)| bindings)) {
        let path = taken_folder(folder, last.generation).display().to_string();
        next.position.add(Position::of(binding).map_err(|source| super::unreadable(&durable::Error::Rows { path, source }))?);
    }
    let held = if last.retention.is_some() { held_together(&last, &seen, until) } else { held(&last, &seen, until) };
    next.time = least_time(files, folder, &held).map_err(|e| super::unreadable(&e))?;
    (next.since, next.before) = (last.since, last.before);
    next.before.push(Before { processes: last.processes, workers: last.workers, until });
    // Those that were claimed and not begun.
    next.before.resize((next.generation - next.since) as usize, Before { processes: 0, workers: 0, until });
    next.held = Some(held);
    Ok(())
}

/// What holds the state: each process has adopted its share of what was there before, or has not yet.
fn held(last: &Manifest, seen: &[Seen], until: u64) -> Vec<Held> {
    let is_ahead = until > last.until();
    let adopted = |number: usize| seen[number % last.processes].adopted;
    let mut held: Vec<_> = last.held().into_iter().enumerate().filter(|(number, _)| !adopted(*number)).map(|(_, held)| held).collect();
    for (process, seen) in seen.iter().enumerate().filter(|(_, seen)| is_ahead || seen.adopted) {
        let until = if is_ahead { until } else { seen.snapshot };
        held.push(Held { generation: last.generation, process, processes: last.processes, until, snapshot: None });
    }
    held
}

/// The same where they do it together: what was there before counts until all have.
fn held_together(last: &Manifest, seen: &[Seen], until: u64) -> Vec<Held> {
    let snapshot = seen.iter().map(|seen| seen.snapshot).min().expect("some process");
    let of = |process| Held { generation: last.generation, process, processes: last.processes, until, snapshot: Some(snapshot) };
    let all = (0..last.processes).map(of);
    match snapshot {
        0 => last.held().into_iter().chain(all.filter(|_| until > last.until())).collect(),
        _ => all.collect(),
    }
}

/// Of the snapshots that will be fed at once the earliest time: from there it goes on.
fn least_time(files: &Arc<dyn Files>, folder: &Path, held: &[Held]) -> Result<Option<eddy_schemas::frame::Time>, durable::Error> {
    let mut least = None;
    // (Who has none, where all have one of a tick, has frames after that only.)
    for held in held.iter().filter(|held| held.snapshot != Some(0)) {
        let manifest = held.look(files, folder)?.snapshots.manifest;
        if least.as_ref().is_none_or(|(tick, _)| manifest.tick < *tick) {
            least = Some((manifest.tick, manifest.past.time));
        }
    }
    Ok(least.and_then(|(_, time)| time))
}

/// Makes the texts of a process safe, which may have left them to the kernel.
fn sync_texts(files: &dyn Files, folder: &Path, of: &Manifest, process: usize) -> io::Result<()> {
    for worker in 0..of.workers {
        match files.open(&super::texts_in(&taken_folder(folder, of.generation), process, worker), Open::Read) {
            Ok(texts) => texts.sync()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// What a process of the last generation left.
struct Seen {
    source: Source,
    adopted: bool,
    /// The tick of its snapshot.
    snapshot: u64,
    /// The last tick that all of its workers have written.
    reached: u64,
    /// By tick: what it was made from.
    bindings: BTreeMap<u64, Vec<String>>,
}

impl Seen {
    fn look(files: &Arc<dyn Files>, folder: &Path, of: &Manifest, process: usize) -> Result<Seen, durable::Error> {
        let source = Source::look(files, &process_folder(&taken_folder(folder, of.generation), process), share(of.processes), u64::MAX)?;
        let manifest = &source.snapshots.manifest;
        let (adopted, snapshot) = (manifest.adopted, manifest.tick);
        let mut bindings = BTreeMap::from([(snapshot, vec![manifest.binding.clone()])]);
        let mut reached = snapshot.max(of.until());
        if let Some(mut ticks) = source.ticks() {
            while let Some(tick) = ticks.next_whole()? {
                reached = reached.max(tick.number);
                let of_tick = tick.frames.into_iter().map(|frame| frame.head.binding).filter(|binding| !binding.is_empty());
                bindings.entry(tick.number).or_default().extend(of_tick);
            }
        }
        Ok(Seen { source, adopted, snapshot, reached, bindings })
    }
}

/// Removes what no state is in any more. What cannot be removed is in nobody's way.
fn sweep(state: &State) {
    let State { files, folder, manifest } = state;
    let remove = |result: io::Result<()>| {
        if let Err(e) = result {
            tracing::warn!(folder = %folder.display(), error = %e, "what is not needed any more could not be removed");
        }
    };
    let is_before = |number: u64| number < manifest.generation;
    for name in files.names(folder).unwrap_or_default() {
        let path = folder.join(&name);
        let of = |before: &str, after: &str| number_of(&name, before, after).filter(|number| is_before(*number));
        if of("generation-", ".json").or(of("generation-", ".claim")).or(of(".new-generation-", ".json")).is_some() {
            remove(files.remove(&path));
        } else if of("generation-", "").is_some() {
            remove(files.remove_folder(&path));
        } else if let Some(generation) = of("old-", "") {
            let held: Vec<_> = manifest.held().into_iter().filter(|held| held.generation == generation).collect();
            if !manifest.counts(generation) && held.is_empty() {
                remove(files.remove_folder(&path));
                continue;
            }
            let gone = (0..manifest.shape(generation).0).filter(|process| held.iter().all(|held| held.process != *process));
            for process in gone.map(|process| process_folder(&path, process)) {
                ["state", "snapshots", "sums"].iter().for_each(|folder| remove(files.remove_folder(&process.join(folder))));
            }
        }
    }
}

/// An error where a later generation has been claimed.
pub(super) fn check_lease(state: &State) -> Result<(), Error> {
    let newest = newest(&*state.files, &state.folder).map_err(failed(&state.folder))?;
    if newest > state.manifest.generation { Err(superseded(&state.folder)) } else { Ok(()) }
}
