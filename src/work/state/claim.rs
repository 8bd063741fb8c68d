//! Claims: who may begin a generation, and whether whoever had the folder before is alive.
//!
//! ```text
//!   D/generation-000007.claim    { pid, boot, lease_ms, beat, released }        made by exactly one; its lock is held while its holder lives
//!
//!   who comes next looks:   released, or locked by nobody on this machine      --> free: its holder has ended
//!                           the beat moves                                     --> held: refused, unless --take-over
//!                           the beat has stood still for the holder's lease    --> free: its holder is frozen, cut off, or died elsewhere
//! ```
//!
//! The lease is the cluster's `--watchdog`: a process 0 that has said nothing for so long is given up by its own cluster, too. No clocks of
//! two machines are compared: who looks measures by its own how long the beat stands still.
//!
//! A claim fences: the folder belongs to the greatest there is. Who is told wrongly that a holder is dead, since its machine was only slow, costs
//! that one its work, and no view is wrong: that is the fence's affair (`begin`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{not_claimed, number_of, shared, superseded};
use crate::cli::Error;
use crate::files::{File, Files, Open};

/// Beats in a lease.
pub(in crate::work) const BEATS: u32 = 4;
/// How long others wait for one that edits a state and says nothing.
pub(in crate::work) const EDIT_LEASE: Duration = Duration::from_secs(30);
/// How often who holds one looks whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The lease of a holder who came to say nothing.
const LEASE_UNKNOWN: Duration = Duration::from_secs(30);
/// What a claim says is written over at once: it is as long as this, with blanks.
const BYTES: usize = 256;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    boot: String,
    lease_ms: u64,
    beat: u64,
    released: bool,
}

/// A generation that this process has claimed.
pub(in crate::work) struct Claim {
    pub generation: u64,
    files: Arc<dyn Files>,
    folder: PathBuf,
    file: Arc<dyn File>,
    holder: Mutex<Holder>,
    /// The same generation, claimed in a store.
    pub there: Option<Arc<shared::Claim>>,
}

pub(super) fn path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("generation-{generation:06}.claim"))
}

/// The greatest generation that somebody has claimed, or begun; 0: nobody has.
pub(super) fn newest(files: &dyn Files, folder: &Path) -> io::Result<u64> {
    let names = files.names(folder)?;
    let of = |name: &String| number_of(name, "generation-", ".claim").or_else(|| number_of(name, "generation-", ".json"));
    Ok(names.iter().filter_map(of).max().unwrap_or(0))
}

/// The generation of the newest claim, if its file is here.
pub(super) fn of_newest(files: &dyn Files, folder: &Path) -> Option<u64> {
    let newest = newest(files, folder).ok()?;
    files.open(&path(folder, newest), Open::Read).is_ok().then_some(newest)
}

/// The process on this machine that has the newest claim, whether it is at work or frozen.
pub(super) fn holder_here(files: &dyn Files, folder: &Path) -> io::Result<Option<u32>> {
    let Some(Seen { file, holder, .. }) = Seen::look(files, folder, newest(files, folder)?)? else { return Ok(None) };
    let here = holder.filter(|holder| !holder.released && holder.boot == files.boot());
    here.map_or(Ok(None), |holder| Ok((!file.try_lock()?).then_some(holder.pid)))
}

/// A claim as it stands.
struct Seen {
    file: Arc<dyn File>,
    bytes: Vec<u8>,
    /// None: it came to say nothing.
    holder: Option<Holder>,
}

impl Seen {
    /// None: its file is not there.
    fn look(files: &dyn Files, folder: &Path, generation: u64) -> io::Result<Option<Seen>> {
        let file = match files.open(&path(folder, generation), Open::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let bytes = crate::files::read_all(&*file)?;
        let holder = serde_json::from_slice(&bytes).ok();
        Ok(Some(Seen { file, bytes, holder }))
    }
}

impl Claim {
    /// Claims the generation after all others; where one has been claimed in a store, that one.
    pub fn make(files: &Arc<dyn Files>, folder: &Path, lease: Duration, there: Option<shared::Claim>) -> Result<Claim, Error> {
        let next = newest(&**files, folder).map_err(not_claimed(folder))? + 1;
        let generation = there.as_ref().map_or(next, |there| there.generation);
        if generation < next {
            return Err(superseded(folder));
        }
        let file = match files.open(&path(folder, generation), Open::Fresh) {
            // The second of two starts at once.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(superseded(folder)),
            file => file.map_err(not_claimed(folder))?,
        };
        let holder = Holder { pid: std::process::id(), boot: files.boot(), lease_ms: lease.as_millis() as u64, beat: 0, released: false };
        let claim = Claim {
            generation,
            files: Arc::clone(files),
            folder: folder.into(),
            file,
            holder: Mutex::new(holder),
            there: there.map(Arc::new),
        };
        // Without a lock its beat has to tell that it lives.
        let locked = claim.file.try_lock().map(|_| ());
        let written = locked.and_then(|()| claim.write()).and_then(|()| claim.file.sync()).and_then(|()| files.sync_folder(folder));
        written.map_err(not_claimed(folder))?;
        // It may have been frozen since it looked, and the number be free again.
        claim.check()?;
        Ok(claim)
    }

    fn write(&self) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(&*self.holder.lock())?;
        bytes.resize(BYTES.max(bytes.len() + 1), b' ');
        *bytes.last_mut().expect("some") = b'\n';
        self.file.write_at(&bytes, 0)
    }

    /// Says that its holder lives; an error where the folder is not its own any more.
    pub fn beat(&self) -> Result<(), Error> {
        self.check()?;
        self.holder.lock().beat += 1;
        self.write().map_err(not_claimed(&self.folder))
    }

    /// An error where somebody has made a later claim: then nothing more may be told to anybody.
    pub fn check(&self) -> Result<(), Error> {
        let newest = newest(&*self.files, &self.folder).map_err(not_claimed(&self.folder))?;
        if newest > self.generation { Err(superseded(&self.folder)) } else { Ok(()) }
    }

    /// Does something while nobody else begins; then nobody has to wait for it any more. (Its lease is [`EDIT_LEASE`].)
    pub fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = Instant::now();
                while !ended.load(Ordering::Acquire) {
                    std::thread::sleep(LOOK_EVERY);
                    if last.elapsed() > EDIT_LEASE / BEATS {
                        last = Instant::now();
                        // A later claim is found by whoever tells something.
                        let _ = self.beat();
                        let _ = self.there.as_ref().map(|there| there.beat());
                    }
                }
            });
            let done = work();
            ended.store(true, Ordering::Release);
            self.release();
            done
        })
    }

    /// Says that nobody has to wait for this one any more.
    pub fn release(&self) {
        self.holder.lock().released = true;
        // Else it is waited for, no more.
        let _ = self.write();
        if let Some(there) = &self.there {
            there.release();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Standing {
    Free,
    /// By a process that is alive.
    Held {
        pid: u32,
    },
    /// It has to be looked at again, for as long as its lease at most.
    Unsure {
        lease: Duration,
    },
}

/// Looks whether the newest claim's holder lives.
#[derive(Default)]
pub(super) struct Watch {
    /// What it said at first, and when that was.
    first: Option<(u64, Vec<u8>, i64)>,
}

impl Watch {
    /// `now_ms`: of a monotonic clock.
    pub fn look(&mut self, files: &dyn Files, folder: &Path, now_ms: i64) -> io::Result<Standing> {
        let newest = newest(files, folder)?;
        let Some(Seen { file, bytes, holder }) = Seen::look(files, folder, newest)? else { return Ok(Standing::Free) };
        if let Some(holder) = &holder
            && (holder.released || (holder.boot == files.boot() && file.try_lock()?))
        {
            return Ok(Standing::Free);
        }
        let (generation, first, since) = self.first.get_or_insert_with(|| (newest, bytes.clone(), now_ms));
        if (*generation, &*first) != (newest, &bytes) {
            return Ok(Standing::Held { pid: holder.map_or(0, |holder| holder.pid) });
        }
        let lease = holder.map_or(LEASE_UNKNOWN, |holder| Duration::from_millis(holder.lease_ms));
        Ok(if u128::from(now_ms.abs_diff(*since)) > lease.as_millis() { Standing::Free } else { Standing::Unsure { lease } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Simulated;

    const LEASE: Duration = Duration::from_secs(10);

    fn folder() -> (Simulated, Arc<dyn Files>, &'static Path) {
        let simulated = Simulated::new(1);
        let files = simulated.files();
        files.make_folder(Path::new("/d")).expect("made");
        (simulated, files, Path::new("/d"))
    }

    #[test]
    fn a_holder_is_alive_while_its_beat_moves_and_dead_when_it_has_stood_still() {
        let (_, files, folder) = folder();
        let look = |watch: &mut Watch, now_ms| watch.look(&*files, folder, now_ms).expect("read");
        assert_eq!(look(&mut Watch::default(), 0), Standing::Free, "nobody was there");
        let claim = Claim::make(&files, folder, LEASE, None).expect("nobody was there");
        let mut watch = Watch::default();
        let unsure = Standing::Unsure { lease: LEASE };
        assert_eq!(look(&mut watch, 1_000), unsure);
        assert_eq!(look(&mut watch, 11_000), unsure);
        claim.beat().expect("it is its own");
        assert_eq!(look(&mut watch, 11_001), Standing::Held { pid: std::process::id() });
        let mut watch = Watch::default();
        assert_eq!(look(&mut watch, 20_000), unsure, "it was seen at this moment first");
        assert_eq!(look(&mut watch, 30_001), Standing::Free, "it is frozen");
        claim.release();
        assert_eq!(look(&mut Watch::default(), 0), Standing::Free);
    }

    #[test]
    fn a_holder_that_has_ended_on_this_machine_is_not_waited_for() {
        let (simulated, files, folder) = folder();
        let claim = Claim::make(&files, folder, LEASE, None).expect("nobody was there");
        let look = || Watch::default().look(&*files, folder, 0).expect("read");
        assert_eq!(look(), Standing::Unsure { lease: LEASE });
        simulated.kill();
        assert_eq!(look(), Standing::Free, "nobody has its lock");
        let again = Claim::make(&files, folder, LEASE, None).expect("it is free");
        assert_eq!((claim.generation, again.generation), (1, 2));
        simulated.power_cut();
        // Nobody knows of a lock from before; the same would be seen from another machine.
        assert_eq!(look(), Standing::Unsure { lease: LEASE });
    }

    #[test]
    fn a_claim_with_a_flipped_bit_is_waited_for_at_most() {
        let (simulated, files, folder) = folder();
        Claim::make(&files, folder, LEASE, None).expect("nobody was there").release();
        simulated.power_cut();
        let path = path(folder, 1);
        for at in 0..BYTES as u64 {
            for bit in 0..8 {
                simulated.flip(&path, at, 1 << bit);
                let mut watch = Watch::default();
                // (Its lease may be nine times what it was.)
                let looked = [0, 9 * LEASE_UNKNOWN.as_millis() as i64].map(|now_ms| watch.look(&*files, folder, now_ms).expect("read"));
                assert!(looked.contains(&Standing::Free), "byte {at}, bit {bit}: {looked:?}");
                simulated.flip(&path, at, 1 << bit);
            }
        }
    }

    #[test]
    fn of_two_claims_the_later_one_has_the_folder() {
        let (_, files, folder) = folder();
        let first = Claim::make(&files, folder, LEASE, None).expect("nobody was there");
        first.beat().expect("it is the last");
        let second = Claim::make(&files, folder, LEASE, None).expect("it is asked no more than that");
        assert!(matches!(first.beat(), Err(Error::Lost(_))) && matches!(first.check(), Err(Error::Lost(_))));
        second.beat().expect("it is the last");
        // What one has claimed who was frozen before: the number is taken, or was.
        files.remove(&path(folder, 1)).expect("it is old");
        assert_eq!(Claim::make(&files, folder, LEASE, None).expect("the next").generation, 3);
    }
}
