//! `eddy demo`: everything in one process, with what it shows checked against what was generated.
//!
//! ```text
//!   synthetic --+--> ledger --> log (embedded) --> run --> store (memory) --> http, page
//!   sandbox ----+       |                            |          |
//!      ^                +----> truth <---progress----+----------+
//!      +---------------------- bot  <----------------+
//! ```

#[cfg(test)]
pub mod double;
pub mod truth;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eddy_dataflows::Keep;
use eddy_dataflows::calendar::DAY_S;
use tokio::runtime::Runtime;

use crate::bot::{self, Bot};
use crate::cli::say;
use crate::clock::{Clock, System};
use crate::journal;
use crate::log::texts::LogTexts;
use crate::log::{self, Embedded, Log};
use crate::messenger::sandbox::{self, Sandbox};
use crate::replay::Interrupt;
use crate::run::{self, Running};
use crate::serve::{self, App};
use crate::source::synthetic::pace::{self, Control};
use crate::source::synthetic::{self, Synthetic, World};
use crate::store::{Memory, Store};
use crate::telemetry::{LOG, SOURCE, STORE, State, TRUTH, Telemetry};
use truth::{Ledger, Truth};

/// How often it is looked whether a signal has come or a part has ended, and how the parts are.
const LOOK: Duration = Duration::from_millis(100);
/// How long messages and rows stay. (No demo is as old; whoever makes one so old sees its truth fail, which knows nothing of sealing.)
const KEEP: Keep = Keep { messages_s: Some(90 * DAY_S), hours_s: Some(90 * DAY_S), days_s: Some(730 * DAY_S) };
/// What the folders of logs are called, with more behind it.
const FOLDER: &str = "eddy-demo-";

pub struct Config {
    pub listen: SocketAddr,
    /// Events per second; 0: none.
    pub rate: u32,
    /// Events at most: log and memory grow with each. Then the community is silent, and people can still write.
    pub events_max: u64,
    pub seed: u64,
    /// Users of each platform.
    pub users: u32,
    pub workers: usize,
    /// For the log, which goes when the demo ends; what demos that were killed have left there goes when this one starts.
    pub folder: PathBuf,
}

/// What is told once it is served.
pub struct Started<'a> {
    pub address: SocketAddr,
    /// Of the log.
    pub folder: &'a Path,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Serve(#[from] serve::Error),
    #[error("no log can be made in {}", folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Run(#[from] run::Error),
    #[error("a thread or a socket could not be made")]
    Start(#[source] std::io::Error),
    #[error("the source ended: {0}")]
    Source(String),
}

/// Runs until a signal comes. `ready` is told once it is served.
pub fn run(config: &Config, interrupt: &Interrupt, ready: impl FnOnce(Started)) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Error::Start)?;
    // The port first: a demo that cannot be looked at need not start.
    let listener = runtime.block_on(serve::listen(config.listen))?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let no_folder = |source| Error::Folder { folder: config.folder.clone(), source };
    std::fs::create_dir_all(&config.folder).map_err(no_folder)?;
    sweep(&config.folder);
    let folder = tempfile::Builder::new().prefix(FOLDER).tempdir_in(&config.folder).map_err(no_folder)?;
    let demo = Demo::start(config, folder.path(), &runtime)?;
    let (shutdown, stopped) = tokio::sync::oneshot::channel::<()>();
    let app = demo.app();
    let serving = runtime.spawn(serve::run(listener, app, async move {
        // An error means that the sender is gone, which is as good as a word from it.
        let _ = stopped.await;
    }));
    ready(Started { address, folder: folder.path() });
    let mut said = false;
    while !interrupt.is_set() && !demo.has_ended() && !serving.is_finished() {
        demo.tell();
        if demo.control.is_at_end() && !std::mem::replace(&mut said, true) {
            say(&format!("the community is silent from now on: it has made {} events (--events-max)", config.events_max));
        }
        std::thread::sleep(LOOK);
    }
    drop(shutdown);
    runtime.block_on(serving).expect("serving does not panic");
    demo.stop()
}

/// Removes what demos that were killed have left.
fn sweep(folder: &Path) {
    // A folder that cannot be read is told when this demo's own cannot be made in it.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_log = entry.file_name().to_string_lossy().starts_with(FOLDER) && entry.file_type().is_ok_and(|file| file.is_dir());
        if is_log && journal::is_abandoned(&entry.path()) {
            // Someone else's, or just removed by another demo.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The parts that run.
struct Demo {
    parts: run::Parts,
    running: Running,
    ledger: Arc<Ledger>,
    control: Arc<Control>,
    source: std::thread::JoinHandle<Result<u64, log::Error>>,
    sandbox: Sandbox,
    truth: tokio::sync::watch::Receiver<Vec<serve::TruthRow>>,
    stop_truth: Arc<truth::Stop>,
    stop_bot: Arc<bot::Stop>,
}

impl Demo {
    fn start(config: &Config, folder: &Path, runtime: &Runtime) -> Result<Demo, Error> {
        let log: Arc<dyn Log> = Arc::new(Embedded::open(folder, log::Counts::default(), &journal::Config::default())?);
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let clock: Arc<dyn Clock> = Arc::new(System);
        let parts = run::Parts {
            texts: Arc::new(LogTexts::new(Arc::clone(&log))),
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            telemetry: Arc::new(Telemetry::new()),
            clock: Arc::clone(&clock),
            forgotten: Arc::default(),
        };
        let mut engine = run::Config::default();
        engine.engine.workers = config.workers;
        engine.engine.keep = KEEP;
        parts.telemetry.state(STORE, State::Ready);
        let running = Running::start(parts.clone(), engine, runtime.handle().clone())?;

        let world = Arc::new(World::new(config.users));
        let ledger = Arc::new(Ledger::new(Arc::clone(&log), Arc::clone(&world)));
        let checked = truth::Parts {
            ledger: Arc::clone(&ledger),
            store: Arc::clone(&store),
            progress: running.progress(),
            texts: Some(Arc::clone(&parts.texts)),
        };
        let (checker, truth) = Truth::new(checked, truth::Config::default());
        let stop_truth = Arc::new(truth::Stop::default());
        runtime.spawn(checker.run(Arc::clone(&stop_truth)));

        let now = Arc::clone(&clock);
        let sandbox = Sandbox::new(sandbox::Config::default(), Box::new(Arc::clone(&ledger)), move || now.now_ms());
        let bot = Bot::new(
            bot::Parts {
                log: Arc::clone(&log),
                store,
                progress: running.progress(),
                messenger: Arc::new(sandbox.clone()),
                answered: Arc::default(),
                telemetry: Arc::clone(&parts.telemetry),
            },
            bot::Config::default(),
        );
        let stop_bot = Arc::new(bot::Stop::default());
        runtime.spawn(bot.run(Arc::clone(&stop_bot)));

        let control = Arc::new(Control::new(config.rate, config.events_max));
        let synthetic = Synthetic::of(world, config.seed, synthetic::Config::default());
        let source = {
            let (control, ledger) = (Arc::clone(&control), Arc::clone(&ledger));
            let run = move || pace::run(synthetic, &*ledger, &control, &|| clock.now_ms());
            std::thread::Builder::new().name("eddy-source".into()).spawn(run).map_err(Error::Start)?
        };
        Ok(Demo { parts, running, ledger, control, source, sandbox, truth, stop_truth, stop_bot })
    }

    fn app(&self) -> App {
        let views = eddy_dataflows::VIEWS.iter().map(|definition| definition.view).collect();
        let run::Parts { store, texts, telemetry, .. } = &self.parts;
        let mut app = App::new(views, Arc::clone(store), Arc::clone(texts), Arc::clone(telemetry));
        app.truth = Some(self.truth.clone());
        app.chat = Some(self.sandbox.clone());
        app
    }

    /// Says in `/health` how the parts are that do not say it themselves (engine and bot do, and the store when it is read).
    fn tell(&self) {
        let telemetry = &self.parts.telemetry;
        let or_failed = |why: Option<String>| why.map_or(State::Ready, State::Failed);
        telemetry.state(LOG, or_failed(self.ledger.broken()));
        self.running.stalled(self.ledger.broken().is_some());
        telemetry.state(SOURCE, or_failed(self.source.is_finished().then(|| "it has ended".into())));
        let wrong = self.truth.borrow().iter().find(|row| !row.ok).map(|row| row.detail.clone().unwrap_or_else(|| row.view.clone()));
        telemetry.state(TRUTH, or_failed(wrong));
    }

    fn has_ended(&self) -> bool {
        self.running.has_ended() || self.source.is_finished()
    }

    fn stop(self) -> Result<(), Error> {
        self.control.stop();
        self.stop_truth.stop();
        self.stop_bot.stop();
        self.source.join().expect("the source does not panic").map_err(|e| Error::Source(crate::cli::chain(&e)))?;
        Ok(self.running.stop()?)
    }
}
