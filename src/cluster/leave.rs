//! Leaving: once a process is lost the others cannot go on, and their workers cannot even be ended in order, since each waits for the
//! lost one. So the process ends where it stands; what is durable is what was written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Links;
use super::link::LAST_WORDS_MAX;
use crate::cli::{self, say};

/// How another process was lost.
pub enum Lost {
    /// Its connection is closed.
    Gone,
    /// It said nothing for so long.
    Silent(Duration),
    /// It said why.
    Left(String),
}

/// Why this process ends.
pub enum Left {
    Lost {
        name: String,
        how: Lost,
    },
    /// Something here went wrong.
    Failed(cli::Error),
    /// A thread panicked, and has said so.
    Panicked,
}

/// As Rust ends a process whose main thread panics.
const PANICKED: u8 = 101;

impl Left {
    fn why(&self) -> String {
        match self {
            Left::Lost { name, how } => match how {
                Lost::Gone => format!("{name} was lost: it was killed, or its machine or the network failed"),
                Lost::Silent(watchdog) => {
                    format!("{name} has said nothing for {} s (--watchdog): it is frozen or cannot be reached", watchdog.as_secs_f32())
                }
                Lost::Left(why) => format!("{name} has left: {why}"),
            },
            Left::Failed(error) => cli::chain(error),
            Left::Panicked => "it panicked".into(),
        }
    }

    fn code(&self) -> u8 {
        match self {
            Left::Lost { .. } => cli::LOST,
            Left::Failed(error) => error.code(),
            Left::Panicked => PANICKED,
        }
    }
}

impl Links {
    /// Ends the process: says why, here and to the others.
    pub fn leave(&self, left: &Left) -> ! {
        if self.leaving.swap(true, Ordering::AcqRel) {
            // Another thread is at it, and ends this one with all.
            loop {
                std::thread::park();
            }
        }
        let why = left.why();
        match left {
            Left::Lost { .. } => say(&format!("eddy: {why}; this one leaves, too: start all again")),
            Left::Failed(_) => say(&format!("eddy: {why}")),
            Left::Panicked => {}
        }
        self.last_words(&why);
        std::process::exit(i32::from(left.code()))
    }

    /// Timely's threads panic when a process is lost, and its workers wait for ever when one of them has panicked.
    pub(super) fn leave_on_panic(self: &Arc<Self>) {
        let (links, usual) = (Arc::clone(self), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let remote = thread.name().and_then(|name| name.strip_prefix("timely:recv-").or(name.strip_prefix("timely:send-")));
            match remote.and_then(|process| process.parse().ok()) {
                Some(process) => {
                    // Whoever listens to that process may know more.
                    std::thread::sleep(LAST_WORDS_MAX);
                    links.lost(process, Lost::Gone);
                }
                None => {
                    usual(panic);
                    links.leave(&Left::Panicked);
                }
            }
        }));
    }
}
