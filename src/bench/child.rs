//! A process that is measured: its time on the clock, its processor seconds, and the most memory it had.
//!
//! Wall time is from before the start to the end as its parent sees it; processor time is what the kernel charged it (`wait4`). Peak
//! memory the process says itself, from `/proc`: the `ru_maxrss` that `wait4` gives starts at what the *parent* had when it forked.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use serde_json::Value;

use super::Error;
use crate::replay::Interrupt;

/// A process that takes longer is killed.
const RUN_MAX: Duration = Duration::from_secs(900);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub seconds: f64,
    /// Of all threads, user and system.
    pub cpu_seconds: f64,
    pub peak_rss_bytes: u64,
    /// As the process counted.
    pub read: u64,
}

struct Ended {
    stdout: io::Result<String>,
    code: Option<i32>,
    cpu: Duration,
    elapsed: Duration,
}

/// Runs a command whose last line on stdout is JSON with `read` and `peak_rss_bytes`.
pub fn run(mut command: Command, interrupt: &Interrupt) -> Result<Run, Error> {
    let shown: String = format!("{command:?}").chars().take(200).collect();
    let failed = |what: String| Error::Child { command: shown.clone(), what };
    let started = Instant::now();
    let mut stderr = tempfile::tempfile().map_err(|e| failed(e.to_string()))?;
    let file = stderr.try_clone().map_err(|e| failed(e.to_string()))?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn().map_err(|e| failed(e.to_string()))?;
    let (pid, stdout) = (child.id() as libc::pid_t, child.stdout.take().expect("piped"));
    let (send, ended) = bounded(1);
    let waiter = std::thread::spawn(move || send.send(wait(pid, stdout, started)));
    let mut is_told = false;
    let ended = loop {
        match ended.recv_timeout(LOOK_EVERY) {
            Ok(ended) => break ended,
            Err(RecvTimeoutError::Timeout) if started.elapsed() > RUN_MAX => signal(pid, libc::SIGKILL),
            Err(RecvTimeoutError::Timeout) if interrupt.is_set() && !is_told => {
                is_told = true;
                signal(pid, libc::SIGTERM);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("the waiter sends once"),
        }
    };
    let _ = waiter.join();
    if interrupt.is_set() {
        return Err(Error::Interrupted);
    }
    match (ended.code, ended.stdout.as_deref().ok().and_then(summary)) {
        (Some(0), Some((read, peak_rss_bytes))) => {
            Ok(Run { seconds: ended.elapsed.as_secs_f64(), cpu_seconds: ended.cpu.as_secs_f64(), peak_rss_bytes, read })
        }
        (code, _) => Err(failed(format!("it ended with {code:?}: {}", last_line(&mut stderr)))),
    }
}

fn summary(stdout: &str) -> Option<(u64, u64)> {
    let summary: Value = serde_json::from_str(stdout.lines().last()?).ok()?;
    Some((summary["read"].as_u64()?, summary["peak_rss_bytes"].as_u64()?))
}

fn last_line(stderr: &mut File) -> String {
    let mut text = String::new();
    let read = stderr.rewind().and_then(|()| stderr.read_to_string(&mut text));
    match (read, text.lines().last()) {
        (Ok(_), Some(line)) => line.to_owned(),
        _ => "it said nothing".to_owned(),
    }
}

/// Reads what the process says until it ends, then takes what it cost.
fn wait(pid: libc::pid_t, mut stdout: ChildStdout, started: Instant) -> Ended {
    let mut text = String::new();
    let read = stdout.read_to_string(&mut text);
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    loop {
        // SAFETY: both places are ours and large enough; a zeroed rusage is a valid one.
        let ended = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
        if ended == pid || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
    // SAFETY: initialised above, by us or by the kernel.
    let usage = unsafe { usage.assume_init() };
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1_000);
    Ended {
        stdout: read.map(|_| text),
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        elapsed: started.elapsed(),
    }
}

fn signal(pid: libc::pid_t, signal: libc::c_int) {
    // SAFETY: a plain system call. The process is ours and has not been waited for, so its id is not another's yet.
    unsafe { libc::kill(pid, signal) };
}
