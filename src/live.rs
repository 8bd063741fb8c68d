//! `eddy run`: what comes in goes through a log of its own into views that are served, all of it durable.
//!
//! ```text
//!   files, stdin --tail--> D/log --> run --> store (memory) --> http
//!                                     |  \--> changelogs
//!                          D/state, D/snapshots
//! ```
//!
//! Where there is no room for what a start has to write, it waits and answers that it does ([`waiting`]).
//!
//! A process may live more than once: where a user is to be forgotten, all that runs is ended, with its threads, what the folder holds of the user
//! goes ([`forget::request`]), and everything is started again from what is left. To those who read that is a restart: for so long, reads
//! are refused. The address stays, and so does what came by stdin.

mod waiting;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use eddy_dataflows::Keep;
use tokio::runtime::Runtime;

use crate::clock::{Clock, System};
use crate::engine::{self, recovery};
use crate::forget::{self, request::Desk};
use crate::forgotten::Forgotten;
use crate::journal;
use crate::log::texts::LogTexts;
use crate::log::{self, Embedded, Log};
use crate::replay::Interrupt;
use crate::run::{self, Running};
use crate::serve::{self, App};
use crate::sink::{changelog, list};
use crate::source::tail::{self, Stdin, Tail};
use crate::store::{Memory, Store};
use crate::telemetry::{LOG, SOURCE, STORE, State, Telemetry};
use crate::{rebuild, record};
use waiting::Words;

/// How often it is looked whether a signal has come or a part has ended, and how the parts are.
const LOOK: Duration = Duration::from_millis(100);

pub struct Config {
    pub listen: SocketAddr,
    pub state: recovery::Config,
    /// The state is made anew from the log.
    pub rebuild: bool,
    pub workers: usize,
    /// How long messages and rows stay.
    pub keep: Keep,
    pub files: Vec<PathBuf>,
    pub stdin: bool,
    pub changelogs: Vec<PathBuf>,
    /// Those that the state had and shall not have any more.
    pub changelogs_dropped: Vec<PathBuf>,
    pub changelog_file_bytes: u64,
    /// Of the last changelog after each write.
    pub changelog_rest: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Serve(#[from] serve::Error),
    #[error("{} cannot be made", folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Forgotten(#[from] record::Error),
    #[error(transparent)]
    Forget(#[from] forget::Error),
    #[error(transparent)]
    Sinks(#[from] list::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Source(#[from] tail::Error),
    #[error(transparent)]
    Run(#[from] run::Error),
    #[error(transparent)]
    Rebuild(#[from] rebuild::Error),
    #[error("a thread or a socket could not be made")]
    Start(#[source] std::io::Error),
}

impl Error {
    /// What can be done about damage.
    pub fn advice(&self) -> Option<&'static str> {
        use journal::Error::Corrupt;
        use record::Error::Damaged;
        match self {
            Error::Run(run::Error::State(e) | run::Error::Engine(engine::Error::Durable(e))) if e.is_damage() => Some(REBUILD),
            Error::Run(run::Error::LogLost { .. } | run::Error::Foreign(_)) => Some(REBUILD),
            Error::Sinks(e) if e.is_damage() => Some(REBUILD),
            Error::Run(run::Error::Changelog(e)) if e.is_damage() => Some("remove its folder: it is written anew, whole"),
            Error::Log(log::Error::Journal(Corrupt { .. }) | log::Error::Manifest { .. })
            | Error::Run(run::Error::Log(log::Error::Journal(Corrupt { .. }))) => {
                Some("the log is what all is made of: restore it from a backup")
            }
            Error::Source(tail::Error::Notes(Corrupt { .. })) => Some("remove its folder: then files are read again from their start"),
            Error::Forgotten(Damaged { .. }) => Some("it names who is forgotten: restore it from a backup"),
            _ => None,
        }
    }
}

const REBUILD: &str = "with --rebuild the state is made anew from the log";

/// Runs until a signal comes. `ready` is told the address once it is served, which is before the state has been read back.
pub fn run(config: &Config, interrupt: &Interrupt, ready: impl FnOnce(SocketAddr)) -> Result<(), Error> {
    let listener = runtime()?.block_on(serve::listen(config.listen))?.into_std().map_err(Error::Start)?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let folder = &config.state.folder;
    std::fs::create_dir_all(folder).map_err(|source| Error::Folder { folder: folder.clone(), source })?;
    if config.rebuild {
        rebuild::run(folder, &config.changelogs)?;
    }
    let desk = Desk::open(folder)?;
    // What an earlier process was asked and had not done.
    desk.serve()?;
    let stdin = config.stdin.then(Stdin::read);
    let mut ready = Some(ready);
    loop {
        let ended = life(config, interrupt, &listener, stdin.as_ref(), &desk, &mut || {
            ready.take().into_iter().for_each(|ready| ready(address));
        })?;
        if !ended.is_asked {
            return Ok(());
        }
        forget(&listener, &desk)?;
    }
}

fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Error::Start)
}

struct Ended {
    /// It was asked to forget somebody, and is to go on after that.
    is_asked: bool,
}

/// From the folder's locks to letting go of them.
fn life(
    config: &Config,
    interrupt: &Interrupt,
    listener: &std::net::TcpListener,
    stdin: Option<&Stdin>,
    desk: &Desk,
    ready: &mut dyn FnMut(),
) -> Result<Ended, Error> {
    let (runtime, mut words) = (runtime()?, Words::default());
    let parts = || Live::start(config, &runtime, stdin, desk);
    let Some(live) = waiting::start(&runtime, listener, interrupt, &mut words, ready, parts)? else { return Ok(Ended { is_asked: false }) };
    let serving = Serving::start(&runtime, listener, live.app())?;
    ready();
    let mut is_asked = false;
    while !interrupt.is_set() && !live.has_ended() && !serving.has_ended() && !is_asked {
        live.tell();
        words.look(&live.parts.telemetry);
        std::thread::sleep(LOOK);
        is_asked = desk.is_asked();
    }
    serving.stop(&runtime);
    live.stop()?;
    // Whoever has not taken its answer by now holds nothing any more either.
    runtime.shutdown_timeout(LOOK);
    Ok(Ended { is_asked: is_asked && !interrupt.is_set() })
}

/// Does what was asked; meanwhile whoever reads is told to wait.
fn forget(listener: &std::net::TcpListener, desk: &Desk) -> Result<(), Error> {
    let runtime = runtime()?;
    let serving = Serving::start(&runtime, listener, waiting::nothing_yet(Arc::new(Telemetry::new())))?;
    let done = desk.serve();
    serving.stop(&runtime);
    Ok(done?)
}

/// What answers at the address, for as long as there is something to answer with.
struct Serving {
    shutdown: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Serving {
    fn start(runtime: &Runtime, listener: &std::net::TcpListener, app: App) -> Result<Serving, Error> {
        let _within = runtime.enter();
        let listener = listener.try_clone().and_then(tokio::net::TcpListener::from_std).map_err(Error::Start)?;
        let (shutdown, stopped) = tokio::sync::oneshot::channel::<()>();
        let task = runtime.spawn(serve::run(listener, app, async move {
            // An error means that the sender is gone, which is as good as a word from it.
            let _ = stopped.await;
        }));
        Ok(Serving { shutdown, task })
    }

    fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    fn stop(self, runtime: &Runtime) {
        drop(self.shutdown);
        runtime.block_on(self.task).expect("serving does not panic");
    }
}

/// The parts that run.
struct Live {
    parts: run::Parts,
    running: Running,
    source: JoinHandle<Result<(), tail::Error>>,
    control: Arc<tail::Control>,
}

impl Live {
    fn start(config: &Config, runtime: &Runtime, stdin: Option<&Stdin>, desk: &Desk) -> Result<Live, Error> {
        let folder = &config.state.folder;
        // The log's lock comes first: the list of sinks is then nobody else's either, and whoever is to be forgotten is asked of this process.
        let log: Arc<dyn Log> = Arc::new(Embedded::open(&folder.join("log"), log::Counts::default(), &journal::Config::default())?);
        desk.announce()?;
        let sinks = list::List::agree(folder, &config.changelogs, &config.changelogs_dropped)?;
        let parts = run::Parts {
            texts: Arc::new(LogTexts::new(Arc::clone(&log))),
            log,
            store: Arc::new(Memory::new()) as Arc<dyn Store>,
            telemetry: Arc::new(Telemetry::new()),
            clock: Arc::new(System) as Arc<dyn Clock>,
            forgotten: Arc::new(Forgotten::read(folder)?),
        };
        parts.telemetry.state(STORE, State::Ready);
        let mut engine =
            run::Config { state: Some(config.state.clone()), changelogs: changelogs(config, &sinks), ..run::Config::default() };
        (engine.engine.workers, engine.engine.keep) = (config.workers, config.keep);
        let running = Running::start(parts.clone(), engine, runtime.handle().clone())?;
        let control = Arc::new(tail::Control::default());
        let tailed = tail::Parts {
            log: Arc::clone(&parts.log),
            progress: running.progress(),
            clock: Arc::clone(&parts.clock),
            control: Arc::clone(&control),
        };
        let tail = tail::Config { files: config.files.clone(), stdin: stdin.cloned(), ..tail::Config::new(folder.join("intake")) };
        let begun = Tail::open(tailed, tail).map_err(Error::Source).and_then(|tail| {
            let may_append = running.may_append();
            let run = move || if tail.wait_until(may_append) { tail.run() } else { Ok(()) };
            std::thread::Builder::new().name("eddy-source".into()).spawn(run).map_err(Error::Start)
        });
        match begun {
            Ok(source) => Ok(Live { parts, running, source, control }),
            Err(e) => {
                // Whoever tries again needs the locks. What was wrong first is what is told.
                let _ = running.stop();
                Err(e)
            }
        }
    }

    fn app(&self) -> App {
        let run::Parts { store, texts, telemetry, .. } = &self.parts;
        App::new(views(), Arc::clone(store), Arc::clone(texts), Arc::clone(telemetry))
    }

    /// Says in `/health` how the parts are that do not say it themselves.
    fn tell(&self) {
        let waiting = self.control.waiting();
        self.running.stalled(waiting.is_some());
        self.parts.telemetry.state(LOG, waiting.map_or(State::Ready, State::Failed));
        self.parts.telemetry.state(SOURCE, State::Ready);
    }

    fn has_ended(&self) -> bool {
        self.running.has_ended() || self.source.is_finished()
    }

    fn stop(self) -> Result<(), Error> {
        self.control.stop();
        let source = self.source.join().expect("the source does not panic");
        self.running.stop()?;
        Ok(source?)
    }
}

fn views() -> Vec<&'static eddy_schemas::View> {
    eddy_dataflows::VIEWS.iter().map(|definition| definition.view).collect()
}

fn changelogs(config: &Config, sinks: &list::List) -> Vec<changelog::Config> {
    let last = sinks.changelogs.len().saturating_sub(1);
    let of = |(number, folder): (usize, &PathBuf)| changelog::Config {
        folder: folder.clone(),
        state: sinks.state.clone(),
        file_bytes: config.changelog_file_bytes,
        rest: if number == last { config.changelog_rest } else { Duration::ZERO },
    };
    sinks.changelogs.iter().enumerate().map(of).collect()
}
