//! Shipping: what is new in a process's own folder goes to the store.
//!
//! ```text
//!   once:       texts of earlier generations | state and snapshots of what this process is to adopt
//!   each time:  texts --> frames, segment by segment --> runs, snapshot.json --> what is in neither any more is removed
//! ```
//!
//! Read from the disk, in pieces: the work knows nothing of it; where snapshots are made together it waits with the next until all are there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::{Held, State, process_folder, taken_folder, texts_in};
use super::{Error, Shared, names};
use crate::engine::snapshot::together::Together;
use crate::engine::snapshot::{Named, named};
use crate::files::{Open, read_exact_at};
use crate::journal::Journal;
use crate::pause;

/// Bytes of an object, at most.
pub(super) const PIECE_BYTES: u64 = 8 << 20;
/// Pieces in memory, on their way at once.
pub(super) const PIECES_MAX: usize = 4;
/// How often it is looked, while pieces go, whether a later generation has been claimed.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// A pass begins so often again because its files went before they were read.
const TRIES_MAX: usize = 4;

/// What is in the store of a file.
#[derive(Default)]
struct There {
    end: u64,
    /// To be removed one day, in the order of their bytes.
    objects: Vec<String>,
}

/// What this process's share of what the generation goes on from is in.
#[derive(Clone, Copy, PartialEq)]
enum Base {
    Absent,
    There,
    /// In its own snapshot.
    Adopted,
}

/// Ships what one process writes, and its share of what the generation goes on from.
pub(in crate::work) struct Shipper {
    pub(super) shared: Arc<Shared>,
    pub(super) state: State,
    process: usize,
    there: BTreeMap<String, There>,
    /// As it is in the store.
    snapshot: Option<Named>,
    base: Base,
    /// Where snapshots are made together: it is told which is in the store.
    together: Option<Arc<Together>>,
    checked: Instant,
    /// Pieces that have been put: somebody may look whether any goes.
    pub(super) pieces: Arc<AtomicU64>,
}

impl Shipper {
    pub fn new(shared: &Arc<Shared>, state: &State, process: usize, together: Option<Arc<Together>>) -> Shipper {
        Shipper {
            shared: Arc::clone(shared),
            state: state.clone(),
            process,
            there: BTreeMap::new(),
            snapshot: None,
            base: Base::Absent,
            together,
            checked: Instant::now(),
            pieces: Arc::default(),
        }
    }

    fn generation(&self) -> u64 {
        self.state.manifest.generation
    }

    /// An error where a later generation has been claimed.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.shared.check(self.generation())
    }

    /// Where this process's own is: in the store, and in the folder.
    fn own(&self) -> (String, PathBuf) {
        (names::process(self.generation(), self.process), process_folder(&self.state.own_folder(), self.process))
    }

    /// Ships what is on disk now; false where its files went too fast, and another pass is needed.
    pub fn ship(&mut self, journal: &Journal) -> Result<bool, Error> {
        self.check()?;
        // First what is made, then what is there.
        let made = self.together.as_ref().map_or(0, |together| together.made());
        let is_all = self.pass(journal)?;
        if let Some(together) = self.together.as_ref().filter(|together| is_all && made > together.took()) {
            // Nothing was there if the folder has been taken: who did that had claimed before.
            self.check()?;
            together.mirror(made);
        }
        Ok(is_all)
    }

    /// The same of who has looked whether it may.
    pub(super) fn pass(&mut self, journal: &Journal) -> Result<bool, Error> {
        self.base()?;
        for _ in 0..TRIES_MAX {
            // What these refer to is in files that are looked at later.
            let segments = journal.on_disk();
            if self.has_lost(&segments) {
                // A segment that is there in part may not have another behind it: the snapshot that has it first.
                if !self.snapshot()? {
                    continue;
                }
                self.let_go(&segments)?;
            }
            self.texts()?;
            pause::at("ship");
            if self.frames(&segments)? && self.snapshot()? {
                self.let_go(&segments)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ships this process's share of what the generation goes on from. It stands still: only this process lets it go, once it is adopted, and where
    /// that is done together once all have shipped it, which is after this.
    pub fn base(&mut self) -> Result<(), Error> {
        if self.base != Base::Absent {
            return Ok(());
        }
        self.earlier_texts()?;
        let held = self.state.manifest.held().into_iter().enumerate();
        let mine: Vec<Held> =
            held.filter(|(number, _)| number % self.state.manifest.processes == self.process).map(|(_, held)| held).collect();
        self.base = Base::There;
        for held in mine {
            if !self.source(&held)? {
                self.base = Base::Absent;
                self.base = self.adopted()?;
                break;
            }
        }
        Ok(())
    }

    /// What was to be adopted has gone: that is in this process's snapshot, or somebody has taken the folder.
    fn adopted(&self) -> Result<Base, Error> {
        let folder = self.own().1.join("snapshots");
        match named(&*self.state.files, &folder)? {
            Some(snapshot) if snapshot.adopted => Ok(Base::Adopted),
            _ => Err(Error::disk("read what was adopted into", &folder)(io::ErrorKind::NotFound.into())),
        }
    }

    /// Of each earlier generation what its processes may not have come to ship.
    fn earlier_texts(&mut self) -> Result<(), Error> {
        let (manifest, me) = (self.state.manifest.clone(), self.process);
        let all = (manifest.since..manifest.generation).filter(|generation| manifest.counts(*generation)).flat_map(|generation| {
            let (processes, workers) = manifest.shape(generation);
            (0..processes * workers).map(move |n| (generation, n / workers, n % workers))
        });
        for (_, (generation, process, worker)) in all.enumerate().filter(|(number, _)| number % manifest.processes == me) {
            let name = names::texts_of(generation, process, worker);
            let ranges = self.shared.store.list(&name)?.into_iter().filter_map(|object| names::of_part(&object.name).1).collect();
            let end = names::whole(ranges).and_then(|parts| parts.last().map(|(range, _)| range.end)).unwrap_or(0);
            self.there.entry(name.clone()).or_default().end = end;
            let path = texts_in(&taken_folder(&self.state.folder, generation), process, worker);
            self.append(&name, &path, None)?;
            self.forget_objects(&name);
        }
        Ok(())
    }

    /// What an earlier process left; false where it is not there any more.
    fn source(&mut self, held: &Held) -> Result<bool, Error> {
        let folder = process_folder(&taken_folder(&self.state.folder, held.generation), held.process);
        let name = names::held(self.generation(), held);
        let (state, snapshots) = (folder.join("state"), folder.join("snapshots"));
        let segments = match self.state.files.names(&state) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => vec![],
            listed => listed.map_err(Error::disk("list", &state))?,
        };
        for segment in segments.iter().filter(|segment| segment.ends_with(".journal")) {
            if !self.append(&format!("{name}/state/{segment}"), &state.join(segment), None)? {
                return Ok(false);
            }
        }
        let Some(snapshot) = named(&*self.state.files, &snapshots)? else { return Ok(true) };
        for run in &snapshot.runs {
            if !self.append(&format!("{name}/snapshots/{run}"), &snapshots.join(run), None)? {
                return Ok(false);
            }
        }
        self.put_whole(format!("{name}/snapshots/snapshot.json"), snapshot.json)?;
        Ok(true)
    }

    fn texts(&mut self) -> Result<(), Error> {
        for worker in 0..self.state.manifest.workers {
            let name = names::texts_of(self.generation(), self.process, worker);
            let path = texts_in(&self.state.own_folder(), self.process, worker);
            self.append(&name, &path, None)?;
            self.forget_objects(&name);
        }
        Ok(())
    }

    /// Texts are never removed: a list of their objects would only grow.
    fn forget_objects(&mut self, name: &str) {
        if let Some(there) = self.there.get_mut(name) {
            there.objects = vec![];
        }
    }

    /// Segment by segment; false where one has gone meanwhile.
    fn frames(&mut self, segments: &[(String, Option<u64>)]) -> Result<bool, Error> {
        let (name, folder) = self.own();
        for (segment, end) in segments {
            if !self.append(&format!("{name}/state/{segment}"), &folder.join("state").join(segment), *end)? {
                return Ok(false);
            }
            pause::at("shipped");
        }
        Ok(true)
    }

    /// The last segment that is there has been let go here.
    fn has_lost(&self, segments: &[(String, Option<u64>)]) -> bool {
        let state = format!("{}/state/", self.own().0);
        let last = self.there.range(state.clone()..).take_while(|(name, _)| name.starts_with(&state)).last();
        last.is_some_and(|(name, _)| segments.iter().all(|(segment, _)| *segment != name[state.len()..]))
    }

    /// The snapshot that is named now; false where its runs went before they were read.
    fn snapshot(&mut self) -> Result<bool, Error> {
        let (name, folder) = self.own();
        let folder = folder.join("snapshots");
        let Some(snapshot) = named(&*self.state.files, &folder)? else {
            return Ok(self.snapshot.is_some() || self.base != Base::Adopted);
        };
        if self.snapshot.as_ref().is_some_and(|there| there.json == snapshot.json) {
            return Ok(true);
        }
        for run in &snapshot.runs {
            if !self.append(&format!("{name}/snapshots/{run}"), &folder.join(run), None)? {
                return Ok(false);
            }
        }
        pause::at("ship-snapshot");
        self.shared.store.put(&format!("{name}/snapshots/snapshot.json"), snapshot.json.clone())?;
        self.snapshot = Some(snapshot);
        Ok(true)
    }

    /// Removes what the snapshot that is there has, and its runs do not need. `segments` were there before that was named.
    fn let_go(&mut self, segments: &[(String, Option<u64>)]) -> Result<(), Error> {
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        let (own, held) = (self.own().0, format!("{}/old-", names::generation(self.generation())));
        // What this process shipped of it others adopt, too, where they do it together; they have, where another snapshot was wanted.
        let is_adopted = snapshot.adopted && (self.together.is_none() || snapshot.has_before);
        let is_kept = |name: &String| {
            let of = |below: &str| name.strip_prefix(&format!("{own}/{below}/"));
            match (of("state"), of("snapshots")) {
                (Some(segment), _) => segments.iter().any(|(name, _)| name == segment),
                (_, Some(run)) => snapshot.runs.iter().any(|name| name == run),
                _ => !(is_adopted && name.starts_with(&held)),
            }
        };
        let gone: Vec<String> = self.there.keys().filter(|name| !is_kept(name)).cloned().collect();
        for name in gone {
            pause::at("unship");
            self.remove(&name)?;
        }
        Ok(())
    }

    /// Its start first: from then on it is no file to who reads it.
    fn remove(&mut self, name: &str) -> Result<(), Error> {
        let Some(there) = self.there.get(name) else { return Ok(()) };
        let (first, rest) = there.objects.split_at(there.objects.len().min(1));
        for objects in [first, rest] {
            if !objects.is_empty() {
                self.shared.store.remove(objects)?;
            }
        }
        self.there.remove(name);
        Ok(())
    }

    fn put_whole(&mut self, name: String, bytes: Vec<u8>) -> Result<(), Error> {
        self.shared.store.put(&name, bytes)?;
        self.there.insert(name.clone(), There { end: 0, objects: vec![name] });
        Ok(())
    }

    /// Puts what a file has behind what is there, up to `end`; false where the file is not there.
    fn append(&mut self, name: &str, path: &Path, end: Option<u64>) -> Result<bool, Error> {
        let file = match self.state.files.open(path, Open::Read) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file.map_err(Error::disk("read", path))?,
        };
        let end = match end {
            Some(end) => end,
            None => file.size().map_err(Error::disk("read", path))?,
        };
        let mut at = self.there.get(name).map_or(0, |there| there.end);
        // An empty file is one, too.
        while at < end || !self.there.contains_key(name) {
            if self.checked.elapsed() >= CHECK_EVERY {
                self.check()?;
                self.checked = Instant::now();
            }
            let (mut pieces, mut objects) = (vec![], vec![]);
            while pieces.is_empty() || (at < end && pieces.len() < PIECES_MAX) {
                let range = at..end.min(at + PIECE_BYTES);
                let mut bytes = vec![0; (range.end - range.start) as usize];
                read_exact_at(&*file, &mut bytes, range.start).map_err(Error::disk("read", path))?;
                at = range.end;
                let object = names::part(name, &range);
                objects.push(object.clone());
                pieces.push((object, bytes));
            }
            self.shared.store.put_all(pieces)?;
            self.pieces.fetch_add(objects.len() as u64, Ordering::Relaxed);
            let there = self.there.entry(name.to_owned()).or_default();
            there.end = at;
            there.objects.extend(objects);
        }
        Ok(true)
    }
}
