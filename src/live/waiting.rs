//! Waiting for room: what a start or the work cannot write is tried again until it can, and is told.
//!
//! ```text
//!   start: no room --> the address answers: alive, not ready, /health says why --tried again--> the parts, which answer from then on
//!   work:  no room --> the part waits, and says so in /health
//!      both: a line on stderr when it begins, and one when it has gone on for a while
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{Error, LOOK, Live, Serving, views};
use crate::cli::{chain, say};
use crate::log::texts::LogTexts;
use crate::log::{self, Log};
use crate::replay::Interrupt;
use crate::serve::App;
use crate::store::Memory;
use crate::telemetry::{ENGINE, JOURNAL, State, Telemetry};

/// After a start for which there was no room.
const START_AGAIN: Duration = Duration::from_secs(1);
/// Who has not waited for so long goes on: a disk that is nearly full has room now and then.
const GOES_ON_AFTER: Duration = Duration::from_secs(5);

/// What answers where there are no parts: it is alive, and not ready.
pub fn nothing_yet(telemetry: Arc<Telemetry>) -> App {
    telemetry.state(ENGINE, State::Recovering);
    let log: Arc<dyn Log> = Arc::new(log::Memory::new(log::Counts::default()));
    App::new(views(), Arc::new(Memory::new()), Arc::new(LogTexts::new(log)), telemetry)
}

/// Starts the parts, however often that has to be tried for want of room; none where a signal comes first. `ready` is told that the address
/// answers.
pub fn start(
    runtime: &Runtime,
    listener: &std::net::TcpListener,
    interrupt: &Interrupt,
    words: &mut Words,
    ready: &mut dyn FnMut(),
    mut parts: impl FnMut() -> Result<Live, Error>,
) -> Result<Option<Live>, Error> {
    let telemetry = Arc::new(Telemetry::new());
    let mut answers = None;
    let started = loop {
        match parts() {
            Err(e) if is_full(&e) => {
                telemetry.state(JOURNAL, State::Failed(chain(&e)));
                words.look(&telemetry);
                if answers.is_none() {
                    answers = Some(Serving::start(runtime, listener, nothing_yet(Arc::clone(&telemetry)))?);
                    ready();
                }
            }
            started => break started.map(Some),
        }
        let again = Instant::now() + START_AGAIN;
        while Instant::now() < again && !interrupt.is_set() {
            std::thread::sleep(LOOK);
        }
        if interrupt.is_set() {
            break Ok(None);
        }
    };
    if let Some(answers) = answers {
        answers.stop(runtime);
    }
    started
}

/// There was no room: trying again may help.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    let kind = |error: &(dyn std::error::Error + 'static)| error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    std::iter::successors(Some(error), |error| error.source()).filter_map(kind).any(|kind| matches!(kind, StorageFull | QuotaExceeded))
}

/// What is said on stderr.
#[derive(Default)]
pub struct Words {
    waits: Option<Waits>,
}

struct Waits {
    since: Instant,
    /// When that was so last.
    seen: Instant,
}

impl Words {
    /// Says, once, that something waits; and, once, that nothing does any more.
    pub fn look(&mut self, telemetry: &Telemetry) {
        let now = Instant::now();
        let Some(waits) = &mut self.waits else {
            if let Some((part, why)) = telemetry.failure() {
                self.waits = Some(Waits { since: now, seen: now });
                say(&format!("eddy run: {why}; the {part} waits, and goes on when it can"));
            }
            return;
        };
        if telemetry.failure().is_some() {
            waits.seen = now;
        } else if waits.seen + GOES_ON_AFTER < now {
            say(&format!("eddy run: nothing waits any more, after {} s", (waits.seen - waits.since).as_secs()));
            self.waits = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn want_of_room_is_known_however_deep_it_stands() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let path = || "/a/path".into();
        assert!(is_full(&Error::Start(full())));
        assert!(is_full(&Error::Folder { folder: path(), source: full() }));
        assert!(is_full(&Error::Sinks(crate::sink::list::Error::Write { path: path(), source: full() })));
        let journal = || crate::journal::Error::Io { path: path(), what: "write", source: full() };
        assert!(is_full(&Error::Log(journal().into())));
        assert!(is_full(&Error::Run(crate::run::Error::State(journal().into()))));
        assert!(is_full(&Error::Run(crate::run::Error::Engine(crate::engine::Error::Durable(journal().into())))));
        assert!(!is_full(&Error::Start(io::ErrorKind::PermissionDenied.into())));
    }
}
