//! What a tick costs in which hardly anything happens, with many messages held and a retention on: as much with five million as with ten
//! thousand. Counted are instructions, so the figures are the same on a busy machine.
//!
//!     cargo bench --bench idle                          10,000 and 5,000,000 live messages, all views; 4 GB, some minutes
//!     cargo bench --bench idle -- 10000 100000          other sizes
//!
//! - `nothing`: a tick without a record.
//! - `a second`: a tick with one record, of no message that is held, that moves the watermark on by a second, so that all that is due is asked for.
//!
//! Each size is a process of its own that runs the whole engine by hand in one thread, and stops before and after the ticks that count; in
//! between it is stepped one instruction at a time by this one (a system call is one instruction).
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use eddy::clock::Manual;
use eddy::engine::{self, Engine, Output, Raw, parse};
use eddy::log::Record;
use eddy::texts::{Error, Texts};
use eddy_dataflows::Keep;
use eddy_schemas::Place;

const SIZES: [u64; 2] = [10_000, 5_000_000];
/// Ticks of each kind that are counted (a step takes up to 30 us on a virtual machine, a tick some 300,000 of them), and those before.
const TICKS: u64 = 2;
const WARM: u64 = 8;
const DAY_S: i64 = 86_400;
const RETENTION_S: i64 = 90 * DAY_S;
/// What is held was created in so much of it.
const SPAN_S: i64 = 80 * DAY_S;
const START_S: i64 = 1_700_000_000 / DAY_S * DAY_S;
const RECORDS_A_TICK: u64 = 20_000;
const MESSAGES: &str = "EDDY_IDLE_MESSAGES";

/// Reads no texts: no version here ties with another.
struct NoTexts;

impl Texts for NoTexts {
    fn text(&self, place: Place) -> Result<String, Error> {
        Err(Error { place, what: "there are no texts here".into() })
    }
}

struct Bench {
    engine: Engine,
    outputs: Receiver<Output>,
    offset: u64,
}

impl Bench {
    fn new() -> Bench {
        let inputs = parse::Inputs {
            names: vec!["bench".into()],
            spools: vec![],
            spares: None,
            clock: Arc::new(Manual::new((START_S + RETENTION_S) * 1_000)),
            forgotten: Arc::default(),
        };
        let config = engine::Config {
            tick_records_max: 0,
            keep: Keep { messages_s: Some(RETENTION_S), hours_s: Some(RETENTION_S), days_s: Some(2 * RETENTION_S) },
            by_hand: Some(1),
            ..engine::Config::default()
        };
        let (send, outputs) = unbounded();
        let engine = Engine::start(config, inputs, Arc::new(NoTexts), send).expect("an engine starts");
        Bench { engine, outputs, offset: 0 }
    }

    fn send(&mut self, lines: impl Iterator<Item = String>) {
        let record = |(offset, line): (u64, String)| Record { offset, received_at_ms: 0, value: line.into_bytes() };
        let records: Vec<_> = (self.offset..).zip(lines).map(record).collect();
        self.offset += records.len() as u64;
        self.engine.send(Raw::Log { input: 0, records }).expect("workers live");
    }

    fn tick(&mut self) {
        let tick = self.engine.close_tick().expect("workers live");
        assert!(self.engine.frontiers().wait(tick, Duration::from_secs(60)), "tick {tick} does not close");
        self.outputs.try_iter().for_each(drop);
    }
}

/// One of so many messages, over the whole span; one in twenty opens a conversation.
fn message(n: u64, of: u64) -> String {
    let (at, draw) = (START_S + (n as i64 * SPAN_S / of as i64), n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
    let (user, community) = (draw % (of / 10 + 1), draw % 50);
    let head = format!(r#""subreddit":"c{community}","author":"u{user}","score":1,"seq":1,"created_utc":{at}"#);
    match n % 20 {
        0 => format!(r#"{{"op":"c","id":"t3_{n}","title":"why?","selftext":"",{head}}}"#),
        _ => format!(r#"{{"op":"c","id":"{n}","link_id":"t3_{}","parent_id":"t3_{0}","body":"so",{head}}}"#, n / 20 * 20),
    }
}

/// The process that is counted.
fn counted(messages: u64) {
    let mut bench = Bench::new();
    for start in (0..messages).step_by(RECORDS_A_TICK as usize) {
        bench.send((start..messages.min(start + RECORDS_A_TICK)).map(|n| message(n, messages)));
        bench.tick();
    }
    assert_eq!(bench.engine.counts().snapshot().live, messages as i64, "all are held");
    let mut at = START_S + SPAN_S;
    for moves in [false, true] {
        for tick in 0..WARM + TICKS {
            if tick == WARM {
                steps::stop();
            }
            if moves {
                at += 1;
                bench.send(std::iter::once(format!(r#"{{"op":"d","id":"t1_gone","link_id":"t3_0","seq":{at},"created_utc":{at}}}"#)));
            }
            bench.tick();
        }
        steps::stop();
    }
    bench.engine.finish().expect("workers end well");
}

fn main() {
    if let Ok(messages) = std::env::var(MESSAGES) {
        return counted(messages.parse().expect("a number"));
    }
    let mut sizes: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    println!("{:>15}{:>25}{:>25}", "live messages", "nothing, instructions", "a second, instructions");
    for messages in sizes {
        let [nothing, second] = steps::count(messages);
        println!("{messages:>15}{nothing:>25}{second:>25}");
    }
}

/// What only Linux has.
#[cfg(target_os = "linux")]
mod steps {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::{MESSAGES, TICKS};

    pub fn stop() {
        // SAFETY: a signal to itself.
        unsafe { libc::raise(libc::SIGSTOP) };
    }

    /// Waits until the child stops; false where it has ended.
    fn wait(pid: i32) -> Option<i32> {
        let mut status = 0;
        // SAFETY: `status` is where it is written to.
        let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!(waited, pid, "{}", std::io::Error::last_os_error());
        libc::WIFSTOPPED(status).then(|| libc::WSTOPSIG(status))
    }

    /// Lets a stopped child go on, by one instruction or until it stops.
    fn go(how: libc::c_uint, pid: i32) {
        // SAFETY: the child is traced, and stopped.
        let done = unsafe { libc::ptrace(how, pid, 0, 0) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    fn until_it_stops_itself(pid: i32) {
        go(libc::PTRACE_CONT, pid);
        while wait(pid).expect("it stops before it ends") != libc::SIGSTOP {
            go(libc::PTRACE_CONT, pid);
        }
    }

    /// Instructions a tick, of each kind.
    pub fn count(messages: u64) -> [u64; 2] {
        let mut command = Command::new(std::env::current_exe().expect("this bench"));
        command.env(MESSAGES, messages.to_string());
        // SAFETY: one system call, between fork and exec.
        unsafe {
            command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            })
        };
        let mut child = command.spawn().expect("this bench starts");
        let pid = child.id() as i32;
        // It stops at its start, by being traced.
        wait(pid).expect("it stops before it ends");
        let of_kind = std::array::from_fn(|_| {
            until_it_stops_itself(pid);
            let mut instructions = 0u64;
            loop {
                go(libc::PTRACE_SINGLESTEP, pid);
                instructions += 1;
                if wait(pid).expect("it stops before it ends") == libc::SIGSTOP {
                    return instructions / TICKS;
                }
            }
        });
        go(libc::PTRACE_CONT, pid);
        assert!(child.wait().expect("a child").success());
        of_kind
    }
}

#[cfg(not(target_os = "linux"))]
mod steps {
    pub fn stop() {}

    pub fn count(_messages: u64) -> [u64; 2] {
        panic!("instructions are counted on Linux only")
    }
}
