//! Claims in a store: who may begin a generation, for those who do not see the same folder.
//!
//! ```text
//!   URL/generation-000007.claim    { who, pid, lease_ms, beat, released }       made by exactly one, which then writes over it at each beat
//! ```
//!
//! They are as those in a folder (`state::claim`), but no lock tells that a holder has ended: one that has not released is waited for, its lease.
//! Where the folder knows that holder and says that it has ended, nobody is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::super::{Waits, superseded};
use super::{Error, Shared, names};
use crate::cli;
use crate::clock::{Clock, System};
use crate::files::Files;

/// Between two looks at whether another cluster lives.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The lease of a holder that cannot be read.
const LEASE_UNKNOWN_MS: u64 = 30_000;

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Holder {
    /// No other holder has it.
    who: String,
    pid: u32,
    lease_ms: u64,
    beat: u64,
    released: bool,
}

/// A generation that this process has claimed in a store.
pub(in crate::work) struct Claim {
    pub generation: u64,
    shared: Arc<Shared>,
    holder: Mutex<Holder>,
}

impl Claim {
    fn make(shared: &Arc<Shared>, files: &dyn Files, after: u64, lease: Duration) -> Result<Claim, Error> {
        let generation = shared.newest_claim()?.max(after) + 1;
        let salt = || files.salt().map_err(Error::disk("ask for a random number for", Path::new(&shared.url)));
        let who = format!("{:08x}{:08x}", salt()?, salt()?);
        let holder = Holder { who, pid: std::process::id(), lease_ms: lease.as_millis() as u64, beat: 0, released: false };
        if !shared.store.create(&names::claim(generation), &bytes(&holder))? {
            // The second of two starts at once.
            return Err(Error::Ends(superseded(Path::new(&shared.url))));
        }
        // The names of those before may have been removed since it looked.
        shared.check(generation)?;
        Ok(Claim { generation, shared: Arc::clone(shared), holder: Mutex::new(holder) })
    }

    /// Says that its holder lives; an error where there is a later claim. A store that cannot be reached will hear the next one.
    pub fn beat(&self) -> Result<(), cli::Error> {
        self.shared.check_if_there(self.generation)?;
        self.holder.lock().beat += 1;
        self.say();
        Ok(())
    }

    /// Says that nobody has to wait for this one any more.
    pub fn release(&self) {
        self.holder.lock().released = true;
        self.say();
    }

    fn say(&self) {
        let holder = self.holder.lock();
        // Else it is waited for, no more.
        let _ = self.shared.store.put(&names::claim(self.generation), bytes(&holder));
    }
}

fn bytes(holder: &Holder) -> Vec<u8> {
    serde_json::to_vec(holder).expect("plain data")
}

impl Shared {
    /// Claims the generation after all others, and after `after`.
    pub fn claim(self: &Arc<Self>, files: &dyn Files, after: u64, lease: Duration) -> Result<Claim, cli::Error> {
        Claim::make(self, files, after, lease).map_err(self.failed())
    }

    /// Waits until it is known whether the holder of the newest claim lives; an error with `advice` where it does. `ended`: the holder of this
    /// generation has ended.
    pub fn wait_until_free(
        &self,
        ended: Option<u64>,
        advice: &str,
        look: &mut dyn FnMut() -> Result<(), cli::Error>,
    ) -> Result<(), cli::Error> {
        let began_ms = System.monotonic_ms();
        let (mut first, mut waits) = (None, Waits::of(&self.url));
        loop {
            let newest = self.newest_claim().map_err(self.failed())?;
            if newest == 0 || Some(newest) == ended {
                return Ok(());
            }
            let Some(bytes) = self.store.get(&names::claim(newest)).map_err(self.failed())? else { return Ok(()) };
            let holder: Option<Holder> = serde_json::from_slice(&bytes).ok();
            if holder.as_ref().is_some_and(|holder| holder.released) {
                return Ok(());
            }
            if *first.get_or_insert_with(|| (newest, bytes.clone())) != (newest, bytes) {
                let pid = holder.map_or(0, |holder| holder.pid);
                let what = format!("{} is in use by a cluster whose process 0 (pid {pid}, where it runs) is alive", self.url);
                return Err(cli::Error::Usage(format!("{what}: {advice}")));
            }
            let lease_ms = holder.map_or(LEASE_UNKNOWN_MS, |holder| holder.lease_ms);
            if System.monotonic_ms().abs_diff(began_ms) > lease_ms {
                return Ok(());
            }
            waits.say(Duration::from_millis(lease_ms));
            std::thread::sleep(LOOK_AGAIN);
            look()?;
        }
    }
}
