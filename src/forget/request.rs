//! Asking the process that has a folder to forget a user in it.
//!
//! ```text
//!   eddy forget                                  eddy run, which has the folder
//!     D/forget/5f3a.ask { user }   ------------>   closes what it has read, stops its pipeline
//!                                                  forgets, as the command does in a folder that nobody has
//!     D/forget/5f3a.done { what }  <------------   removes the .ask, starts the pipeline again from the state
//!     removes the .done
//! ```
//!
//! Who may write into the folder may ask: there is no other door. Meanwhile reads are refused, as after a restart; sources wait, and
//! nothing that they bring is lost.
//!
//! # Invariants
//! 1. What was asked is done: if the process ends in between, the next start of `eddy run` in the folder does it before anything else.
//! 2. An `.ask` holds the name, and goes when what it asks is done.
//! 3. Only a process that looks for requests is asked: `D/forget/pid` names it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eddy_schemas::scrub::Person;
use serde::{Deserialize, Serialize};

use super::{Done, Error};
use crate::cli::chain;
use crate::{journal, log, record};

/// Of what is asked and answered. What is newer is refused.
const FORMAT: u32 = 1;
/// Between two looks for an answer.
const LOOK: Duration = Duration::from_millis(20);
/// A pipeline that has stopped may hold its locks for a moment.
const LET_GO_MAX: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
struct Ask {
    user: String,
}

/// What was done, or why it was not.
#[derive(Serialize, Deserialize)]
enum Answer {
    Done(Done),
    Failed(String),
}

/// Where a process takes requests.
pub struct Desk {
    folder: PathBuf,
}

fn desk(folder: &Path) -> PathBuf {
    folder.join("forget")
}

fn pid_path(folder: &Path) -> PathBuf {
    desk(folder).join("pid")
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Request { path, source }
}

impl Desk {
    /// Opens it. Before anything else is done in the folder, [`Desk::serve`] does what an earlier process was asked.
    pub fn open(folder: &Path) -> Result<Desk, Error> {
        let path = desk(folder);
        fs::create_dir_all(&path).map_err(failed(&path))?;
        Ok(Desk { folder: folder.into() })
    }

    /// From now on it is looked at: the folder is this process's.
    pub fn announce(&self) -> Result<(), Error> {
        let path = pid_path(&self.folder);
        fs::write(&path, std::process::id().to_string()).map_err(failed(&path))
    }

    fn asks(&self) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(desk(&self.folder))?.map(|entry| entry.map(|entry| entry.path()));
        let mut asks: Vec<_> = entries.filter(|path| path.as_ref().map_or(true, |path| is_ask(path))).collect::<io::Result<_>>()?;
        asks.sort();
        Ok(asks)
    }

    pub fn is_asked(&self) -> bool {
        self.asks().is_ok_and(|asks| !asks.is_empty())
    }

    /// Does what was asked, and answers. Nobody is in the folder, but what has just left it.
    pub fn serve(&self) -> Result<(), Error> {
        let path = desk(&self.folder);
        for ask in self.asks().map_err(failed(&path))? {
            let answer = match record::read::<Ask>(&ask, FORMAT)?.and_then(|ask| Person::of(&ask.user)) {
                Some(person) => match self.patiently(&person) {
                    Ok(done) => Answer::Done(done),
                    // The folder is another's, which is asked; whoever asks this finds the same.
                    Err(e) if holder(&e).is_some_and(|pid| !is_me(pid)) => return Ok(()),
                    Err(e) => Answer::Failed(chain(&e)),
                },
                None => Answer::Failed("what was asked names no user".into()),
            };
            let done = ask.with_extension("done");
            record::write(&done, FORMAT, &answer).map_err(failed(&done))?;
            // If we crash here, it is done once more, which changes nothing.
            fs::remove_file(&ask).map_err(failed(&ask))?;
        }
        Ok(())
    }

    fn patiently(&self, person: &Person) -> Result<Done, Error> {
        let from = Instant::now();
        loop {
            match super::run(&self.folder, person) {
                // A folder in which nothing has happened yet: from now on that user's records are ignored in it.
                Err(Error::Nothing(_)) => return super::list(&self.folder, person).map(|is_new| Done { is_new, ..Done::default() }),
                Err(e) if holder(&e).is_some_and(is_me) && from.elapsed() < LET_GO_MAX => std::thread::sleep(LOOK),
                done => return done,
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // One that was killed leaves it, and is known by its number to be gone.
        let _ = fs::remove_file(pid_path(&self.folder));
    }
}

fn is_ask(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ask")
}

fn is_me(pid: &str) -> bool {
    *pid == std::process::id().to_string()
}

/// The process that has the folder, where that is why it did not work.
fn holder(e: &Error) -> Option<&str> {
    let journal = match e {
        Error::Log(log::Error::Journal(e)) => e,
        Error::State(crate::engine::durable::Error::Journal(e)) => e,
        Error::Changelog(crate::sink::changelog::Error::Locked(e)) => e,
        _ => return None,
    };
    if let journal::Error::InUse { pid, .. } = journal { Some(pid) } else { None }
}

/// Forgets a person in a folder: by itself where nobody has it, else through the process that has.
pub fn run(folder: &Path, person: &Person) -> Result<Done, Error> {
    let refused = match super::run(folder, person) {
        Err(e) if holder(&e).is_some_and(|pid| takes_requests(folder, pid)) => e,
        done => return done,
    };
    let pid = holder(&refused).expect("it was just there").to_owned();
    let ask = desk(folder).join(format!("{:08x}-{:08x}.ask", std::process::id(), nonce()));
    record::write(&ask, FORMAT, &Ask { user: person.key() }).map_err(failed(&ask))?;
    let done = ask.with_extension("done");
    loop {
        if let Some(answer) = record::read::<Answer>(&done, FORMAT)? {
            // It names nobody, and is nobody else's.
            let _ = fs::remove_file(&done);
            return match answer {
                Answer::Done(done) => Ok(done),
                Answer::Failed(why) => Err(Error::Asked { pid, why }),
            };
        }
        if !is_alive(&pid) {
            // The one that was asked is gone: whoever comes next has done it or does it, or nobody has the folder.
            match super::run(folder, person) {
                Err(e) if holder(&e).is_some() => {}
                done => {
                    let _ = fs::remove_file(&ask);
                    return done;
                }
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn nonce() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos())
}

fn takes_requests(folder: &Path, pid: &str) -> bool {
    fs::read_to_string(pid_path(folder)).is_ok_and(|named| named == pid)
}

fn is_alive(pid: &str) -> bool {
    // SAFETY: no signal is sent.
    pid.parse().is_ok_and(|pid: i32| unsafe { libc::kill(pid, 0) } == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM))
}
