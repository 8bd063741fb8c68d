//! Files in memory that know what has reached the disk, and lose the rest when the power is cut.
//!
//! ```text
//!   write --> what processes see          sync        --> what is on the disk
//!      \----> pending: blocks of 4 KiB  --power cut-->  any of them, in any order, some torn at 512 bytes
//!   made, renamed, removed --> names      sync_folder --> names on the disk
//!      \----> pending: one by one       --power cut-->  any of them
//! ```
//!
//! Everything follows from the seed and from the order of the calls.
//!
//! # Invariants
//! 1. A killed process ([`Simulated::kill`]) loses nothing that it wrote; what is pending stays pending.
//! 2. What a `sync` that did not lie returned for survives a power cut, whole.
//! 3. After the fault of a [`Fault::stop`] nothing can be done until the process or the machine is started again, and handles of the
//!    time before are dead for ever.
//!
//! Simpler than a file system in two points: bytes that `set_len` has cut off do not come back; and names within a folder are on the disk
//! before it has another name.

mod disk;
mod names;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{File, Files, Open};
use disk::Content;
use names::{Change, Names};

/// What goes wrong at an operation that changes something.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Counted from now on: 1 is the next.
    pub after: u64,
    /// How much of it is done: nothing, a part (of a write), all.
    pub done: Done,
    /// Nothing works after it: the process has been killed, or the power is gone. Else it is an error of this operation only.
    pub stop: bool,
    pub error: io::ErrorKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    Nothing,
    Part,
    All,
}

/// A simulated disk; clones are the same.
#[derive(Clone)]
pub struct Simulated(Arc<Mutex<State>>);

struct State {
    random: Xoshiro256PlusPlus,
    names: Names,
    contents: BTreeMap<u64, Content>,
    /// Who has a file's lock: a handle.
    locks: BTreeMap<u64, u64>,
    /// Of files and handles.
    next: u64,
    /// Goes up when processes end.
    process: u64,
    boots: u64,
    operations: u64,
    fault: Option<Fault>,
    stopped: bool,
    lying: bool,
}

/// An open file.
struct Handle {
    state: Arc<Mutex<State>>,
    file: u64,
    handle: u64,
    process: u64,
}

impl Simulated {
    pub fn new(seed: u64) -> Self {
        Simulated(Arc::new(Mutex::new(State {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            names: Names::default(),
            contents: BTreeMap::new(),
            locks: BTreeMap::new(),
            next: 0,
            process: 0,
            boots: 0,
            operations: 0,
            fault: None,
            stopped: false,
            lying: false,
        })))
    }

    /// As a shared part of whatever uses files.
    pub fn files(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }

    /// Something goes wrong later.
    pub fn fault(&self, mut fault: Fault) {
        let mut state = self.0.lock();
        fault.after += state.operations;
        state.fault = Some(fault);
    }

    /// The fault that is still to come is not to come.
    pub fn no_fault(&self) {
        self.0.lock().fault = None;
    }

    /// From now on `sync` says that it has and has not; or does again.
    pub fn lie(&self, lying: bool) {
        self.0.lock().lying = lying;
    }

    /// Whether a fault has stopped everything.
    pub fn is_stopped(&self) -> bool {
        self.0.lock().stopped
    }

    /// Operations that changed something, so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// The process has ended; another one may start.
    pub fn kill(&self) {
        self.0.lock().end_process();
    }

    /// The machine has lost its power and is started again.
    pub fn power_cut(&self) {
        let state = &mut *self.0.lock();
        state.end_process();
        state.boots += 1;
        state.names.power_cut(&mut state.random);
        let named = state.names.files();
        state.contents.retain(|file, _| named.contains(file));
        state.contents.values_mut().for_each(|content| content.power_cut(&mut state.random));
    }

    /// Changes bits of a file, as a bad disk would.
    pub fn flip(&self, path: &Path, at: u64, bits: u8) {
        let state = &mut *self.0.lock();
        let file = state.names.file(path).expect("a file");
        state.contents.get_mut(&file).expect("named").flip(at as usize, bits);
    }

    /// Every file there is, sorted, with its length.
    pub fn all(&self) -> Vec<(PathBuf, u64)> {
        let state = self.0.lock();
        state.names.paths().map(|(path, file)| (path.clone(), state.contents[&file].bytes.len() as u64)).collect()
    }
}

fn stopped() -> io::Error {
    io::Error::other("the machine has stopped")
}

impl State {
    fn end_process(&mut self) {
        self.process += 1;
        self.locks.clear();
        (self.fault, self.stopped) = (None, false);
    }

    fn check(&self, process: u64) -> io::Result<()> {
        if self.stopped || process != self.process { Err(stopped()) } else { Ok(()) }
    }

    /// Does something that changes something: `part` does the first part of it.
    fn change<T>(&mut self, process: u64, all: impl FnOnce(&mut State) -> T, part: impl FnOnce(&mut State)) -> io::Result<T> {
        self.check(process)?;
        self.operations += 1;
        let Some(fault) = self.fault.take_if(|fault| fault.after <= self.operations) else { return Ok(all(self)) };
        self.stopped = fault.stop;
        match fault.done {
            Done::Nothing => {}
            Done::Part => part(self),
            Done::All => drop(all(self)),
        }
        Err(if fault.stop { stopped() } else { fault.error.into() })
    }

    fn content(&mut self, file: u64) -> &mut Content {
        self.contents.get_mut(&file).expect("files stay while they are open")
    }

    fn name(&mut self, process: u64, change: Change) -> io::Result<()> {
        self.change(process, |state| state.names.change(change), |_| {})?
    }
}

impl Files for Simulated {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let state = &mut *self.0.lock();
        let process = state.process;
        state.check(process)?;
        let file = match (state.names.file(path), how) {
            (Some(_), Open::Fresh) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(file), Open::New) => {
                let cut = |state: &mut State| state.contents.get_mut(&file).expect("named").set_len(0);
                state.change(process, cut, |_| {})?;
                file
            }
            (Some(file), _) => file,
            (None, Open::Read | Open::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, Open::Make | Open::New | Open::Fresh) => {
                state.next += 1;
                let file = state.next;
                state.contents.insert(file, Content::default());
                state.name(process, Change::Made { path: path.into(), file })?;
                file
            }
        };
        state.next += 1;
        Ok(Arc::new(Handle { state: Arc::clone(&self.0), file, handle: state.next, process }))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        state.check(state.process)?;
        state.names.of(folder)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let state = &mut *self.0.lock();
        let process = state.process;
        if state.names.is_folder(folder) {
            return state.check(process);
        }
        state.change(process, |state| state.names.make_folder(folder), |_| {})
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(from.parent(), to.parent(), "within one folder");
        let state = &mut *self.0.lock();
        let process = state.process;
        if state.names.is_folder(from) {
            return match state.names.of(to) {
                Ok(_) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
                Err(_) => state.name(process, Change::Moved { from: from.into(), to: to.into() }),
            };
        }
        let file = state.names.file(from).ok_or(io::ErrorKind::NotFound)?;
        state.name(process, Change::Renamed { from: from.into(), to: to.into(), file })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let state = &mut *self.0.lock();
        let process = state.process;
        state.names.file(path).ok_or(io::ErrorKind::NotFound)?;
        state.name(process, Change::Removed { path: path.into() })
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        let state = &mut *self.0.lock();
        let process = state.process;
        let within: Vec<PathBuf> = state.names.paths().map(|(path, _)| path.clone()).filter(|path| path.starts_with(folder)).collect();
        for path in within {
            state.name(process, Change::Removed { path })?;
        }
        state.check(process)?;
        state.names.remove_folder(folder);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let state = &mut *self.0.lock();
        let (process, lying) = (state.process, state.lying);
        let sync = |state: &mut State| if lying { Ok(()) } else { state.names.sync(folder) };
        state.change(process, sync, |_| {})?
    }

    fn boot(&self) -> String {
        format!("boot-{}", self.0.lock().boots)
    }

    fn salt(&self) -> io::Result<u32> {
        Ok(self.0.lock().random.random())
    }
}

impl Handle {
    fn with<T>(&self, look: impl FnOnce(&Content) -> T) -> io::Result<T> {
        let state = self.state.lock();
        state.check(self.process)?;
        Ok(look(&state.contents[&self.file]))
    }

    fn change(&self, all: impl FnOnce(&mut Content), part: impl FnOnce(&mut Content, &mut Xoshiro256PlusPlus)) -> io::Result<()> {
        let state = &mut *self.state.lock();
        let file = self.file;
        let all = |state: &mut State| all(state.content(file));
        let part = |state: &mut State| part(state.contents.get_mut(&file).expect("open"), &mut state.random);
        state.change(self.process, all, part)
    }
}

impl File for Handle {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.with(|content| {
            let from = content.bytes.get(at as usize..).unwrap_or_default();
            let read = from.len().min(bytes.len());
            bytes[..read].copy_from_slice(&from[..read]);
            read
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let part =
            |content: &mut Content, random: &mut Xoshiro256PlusPlus| content.write(&bytes[..random.random_range(0..=bytes.len())], at);
        self.change(|content| content.write(bytes, at), part)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|content| content.set_len(len), |_, _| {})
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|content| content.bytes.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.state.lock();
        let (file, lying) = (self.file, state.lying);
        let sync = |state: &mut State| {
            if lying {
            } else {
                state.content(file).sync()
            }
        };
        // One that fails forgets what was to be written: the next will not try it again.
        let fail = |state: &mut State| {
            if state.stopped {
            } else {
                state.content(file).forget()
            }
        };
        state.change(self.process, sync, fail)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let state = &mut *self.state.lock();
        state.check(self.process)?;
        Ok(*state.locks.entry(self.file).or_insert(self.handle) == self.handle)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let state = &mut *self.state.lock();
        if state.process == self.process && state.locks.get(&self.file) == Some(&self.handle) {
            state.locks.remove(&self.file);
        }
    }
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulated").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("file", &self.file).finish_non_exhaustive()
    }
}
