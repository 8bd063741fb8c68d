//! Ctrl-C, and how much time it gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::cli::Error;

/// Set by SIGINT, SIGTERM and SIGHUP (the terminal was closed); a second signal ends the process at once.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub fn on_signals() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // `nohup` has asked that it goes on without a terminal.
            if signal == SIGHUP && is_ignored(signal) {
                continue;
            }
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Interrupt(flag))
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes on, or not.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_set() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

fn is_ignored(signal: i32) -> bool {
    let mut held = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with no new action it only writes the held one, and all zeros is one.
    let held = unsafe {
        libc::sigaction(signal, std::ptr::null(), held.as_mut_ptr());
        held.assume_init()
    };
    held.sa_sigaction == libc::SIG_IGN
}
