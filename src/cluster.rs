//! Several processes that are one engine: how they find, know, watch and leave each other.
//!
//! ```text
//!   hosts file      process 0 <══ data: timely's ══> process 1         each pair has two connections: one is timely's, over the
//!   host:port          ^   \── control: words ──/       ^              other go words of the job, and beats
//!   host:port          ║                                ║
//!   host:port          ╚═══════> process 2 <════════════╝              the higher number calls, the lower one answers
//! ```
//!
//! Timely cannot go on without one of its processes, so neither does eddy: when one is lost, all leave at once, each saying which one
//! it was, and whoever supervises them starts all again. What is said here is not encrypted, and whoever can reach the ports is
//! believed: the network must be private.
//!
//! # Invariants
//! 1. No work begins before every process has met every other and all were started with the same ([`Party::given`]).
//! 2. Once they have met, a process that is killed, frozen for longer than the watchdog, or unreachable ends all others
//!    ([`Links::leave`]); unless it has said that it is done.
//! 3. The words of one process to another arrive in order, once.

mod hello;
mod hosts;
mod leave;
mod link;
mod meet;

use std::net::TcpStream;
use std::path::PathBuf;

pub use hosts::hosts;
pub use leave::Left;
pub use link::Links;
pub use meet::meet;

/// Processes of a cluster: each pair has two connections and four threads.
pub const PROCESSES_MAX: usize = 64;

/// Who is to meet.
pub struct Party {
    /// `host:port` of each process, by its number.
    pub hosts: Vec<String>,
    /// The number of this one.
    pub process: usize,
    /// What all must have been started with: names and values, for people.
    pub given: Vec<(String, String)>,
}

impl Party {
    /// A process as messages name it.
    pub fn name(&self, process: usize) -> String {
        format!("process {process} ({})", self.hosts[process])
    }
}

/// All have met.
pub struct Met {
    /// For timely: one to each other process.
    pub data: Vec<Option<TcpStream>>,
    /// For [`Links`].
    control: Vec<Option<TcpStream>>,
    party: Party,
}

/// Why they cannot meet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the hosts file {} cannot be read: {source}", .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the hosts file {}: {what}", .path.display())]
    Hosts { path: PathBuf, what: String },
    #[error("{address}, the address of process {process}, cannot be listened on: {what}")]
    Listen { process: usize, address: String, what: String },
    #[error("{name} was started with {field} {theirs}, this one, process {me}, with {mine}: start all with the same")]
    Different { name: String, me: usize, field: String, theirs: String, mine: String },
    #[error("what answers at {address}, the address of process {process}, is no process of this cluster: {what}")]
    Stranger { process: usize, address: String, what: String },
    #[error("{name} did not come within {seconds} s (--wait): start all of the hosts file, then start this one again")]
    Absent { name: String, seconds: u64 },
    #[error(transparent)]
    Interrupted(crate::cli::Error),
}

impl From<Error> for crate::cli::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Interrupted(error) => error,
            // Started again, it may find the others.
            Error::Absent { .. } => crate::cli::Error::Lost(error.to_string()),
            _ => crate::cli::Error::Usage(error.to_string()),
        }
    }
}
