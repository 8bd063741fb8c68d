//! A process that runs the engine over the ticks of a history, and says at some of them what the rows of each view come to.
//!
//! It is this test binary once more, told by its environment what to do: so memory is that of one run, and two processes are two.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use eddy::clock::Manual;
use eddy::engine::counts::Snapshot;
use eddy::engine::durable::{Durable, Fsync, NoRoom, Referred};
use eddy::engine::recovery::{self, Kept, Retention};
use eddy::engine::{self, DUMPS, Engine, Output, Peers, Raw, parse};
use eddy::replay::ReplayTexts;
use eddy::source::dumps::{Limits, Reader};
use eddy::spool::Spool;
use eddy::texts::Texts;
use eddy_dataflows::{Keep, VIEWS};
use eddy_schemas::{Cell, View, codec};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::made;
use super::sums::{self, Field, Sum, Sums};

/// Longer than any tick takes.
const TICK_MAX: Duration = Duration::from_secs(600);
const TASK: &str = "EDDY_PROOF_TASK";

/// What a process is to do.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub struct Task {
    /// One file a tick.
    pub files: Vec<PathBuf>,
    /// Numbers of ticks at whose end it is asked.
    pub asked: Vec<usize>,
    pub workers: usize,
    /// Its number and how many there are; of two the first listens at this port.
    pub process: usize,
    pub processes: usize,
    pub port: u16,
    /// Seconds: messages, rows of hours, rows of days.
    pub keep: (Option<i64>, Option<i64>, Option<i64>),
    /// Where the state is kept; none: in memory.
    pub state: Option<PathBuf>,
    /// Ticks after which it is stopped, and begun again from its state.
    pub restarts: Vec<usize>,
    /// The rows of this view are written down at this tick, which is the last.
    pub listed: Option<(usize, String)>,
    /// Where answers go.
    pub answers: PathBuf,
}

#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// Rows and sums at the end of a tick.
    Sums(usize, Vec<(u64, u64)>),
    Rows(Vec<String>),
    Done {
        seconds: f64,
        peak_rss_bytes: u64,
        counts: Snapshot,
    },
}

impl Task {
    pub fn spawn(&self) -> Child {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", "--ignored", "--nocapture", "proof::child::one_process_of_a_proof"]);
        command.env(TASK, serde_json::to_string(self).expect("JSON"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("this binary starts")
    }

    pub fn answers(&self) -> Vec<Answer> {
        let text = std::fs::read_to_string(&self.answers).expect("answers");
        text.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect()
    }
}

#[test]
#[ignore = "a part of `proof`, which starts it"]
fn one_process_of_a_proof() {
    let Ok(task) = std::env::var(TASK) else { return };
    let task: Task = serde_json::from_str(&task).expect("a task");
    let started = std::time::Instant::now();
    let mut answers = vec![];
    let mut run = Run::begin(&task);
    for tick in 0..task.files.len() {
        run.tick(tick);
        if task.asked.contains(&tick) {
            answers.push(Answer::Sums(tick, run.rows.sums()));
        }
        if task.restarts.contains(&tick) {
            run.end();
            run = Run::begin(&task);
            assert_eq!(run.done, tick + 1, "it goes on where it was");
            answers.push(Answer::Sums(tick, run.rows.sums()));
        }
        if task.listed.as_ref().is_some_and(|(listed, _)| *listed == tick) {
            answers.push(Answer::Rows(run.rows.listed.values().cloned().collect()));
            break;
        }
    }
    let counts = run.engine.as_ref().expect("it runs").counts().snapshot();
    run.end();
    answers.push(Answer::Done {
        seconds: started.elapsed().as_secs_f64(),
        peak_rss_bytes: eddy::replay::peak_rss_bytes().unwrap_or(0),
        counts,
    });
    let lines: Vec<_> = answers.iter().map(|answer| serde_json::to_string(answer).expect("JSON")).collect();
    std::fs::write(&task.answers, lines.join("\n")).expect("room");
}

struct Run<'a> {
    task: &'a Task,
    engine: Option<Engine>,
    reader: Reader,
    /// A block of a tick that is not begun yet.
    block: Option<eddy::source::dumps::Block>,
    texts: Arc<ReplayTexts>,
    outputs: Receiver<Output>,
    durable: Option<Arc<Durable>>,
    rows: Rows,
    /// Ticks that are done.
    done: usize,
    blocks: usize,
}

impl Run<'_> {
    fn begin(task: &Task) -> Run<'_> {
        let texts = Arc::new(ReplayTexts::new(task.files.clone(), vec![]));
        (0..task.files.len()).for_each(|input| texts.begin(input));
        let (messages_s, hours_s, days_s) = task.keep;
        let keep = Keep { messages_s, hours_s, days_s };
        let views: Vec<_> = VIEWS.iter().collect();
        let kept = task.state.as_ref().map(|folder| {
            let config =
                recovery::Config { folder: folder.clone(), fsync: Fsync::Within(Duration::from_millis(100)), snapshot_bytes: 16 << 20 };
            Kept::open(&config, Retention::of(&views, keep).as_ref()).expect("a state")
        });
        let referred: Arc<dyn Referred> = Arc::new(Vec::<Arc<Spool>>::new());
        let within = Fsync::Within(Duration::from_millis(100));
        let durable = kept.as_ref().map(|kept| kept.durable(referred, within, NoRoom::Fails).expect("a state"));
        let config =
            engine::Config { workers: task.workers, tick_records_max: 0, durable: durable.clone(), keep, ..engine::Config::default() };
        let inputs = parse::Inputs {
            names: task.files.iter().map(|path| path.display().to_string()).collect(),
            spools: vec![],
            spares: None,
            clock: Arc::new(Manual::new(made::NOW * 1_000)),
            forgotten: Arc::default(),
        };
        let (send, outputs) = unbounded();
        let mut engine = Engine::start_among(peers(task), config, inputs, Arc::clone(&texts) as _, send).expect("an engine starts");
        let (mut rows, mut done) = (Rows::new(task.listed.as_ref().map(|(_, view)| view.as_str())), 0);
        if let (Some(kept), Some(durable)) = (kept, &durable) {
            let binding = kept.recover(&mut engine, durable, |_| true).expect("what it has written").expect("nobody ends it");
            done = if binding.is_empty() { 0 } else { binding.parse().expect("a number of ticks") };
            rows.take(&outputs, &texts);
        }
        let mut reader = Reader::new(task.files.clone(), Limits { block_bytes: 64 << 10, ..Limits::default() });
        reader.start_at(done);
        Run { task, engine: Some(engine), reader, block: None, texts, outputs, durable, rows, done, blocks: 0 }
    }

    /// Feeds a file, and ends the tick; of several processes each feeds its share.
    fn tick(&mut self, number: usize) {
        assert_eq!(number, self.done);
        let engine = self.engine.as_mut().expect("it runs");
        engine.open_at(tick_of(number)).expect("workers live");
        loop {
            let block = self.block.take().or_else(|| self.reader.next(None).expect("a plain file"));
            match block {
                Some(block) if block.input as usize == number => {
                    self.blocks += 1;
                    if self.blocks % self.task.processes == self.task.process {
                        engine.send(Raw::Dump { block, rereadable: true, partition: DUMPS }).expect("workers live");
                    }
                }
                later => {
                    self.block = later;
                    break;
                }
            }
        }
        self.done += 1;
        if self.durable.is_some() {
            engine.bind(self.done.to_string());
        }
        let tick = engine.close_tick().expect("workers live");
        assert!(engine.frontiers().wait(tick, TICK_MAX), "tick {tick} does not close");
        self.rows.take(&self.outputs, &self.texts);
    }

    fn end(&mut self) {
        let mut engine = self.engine.take().expect("it runs");
        // The same in all processes, before the next that there may be. (It is empty.)
        engine.open_at(tick_of(self.done) - 1).expect("workers live");
        engine.finish().expect("workers end well");
        if let Some(durable) = self.durable.take() {
            durable.sync().expect("a disk");
        }
    }
}

fn tick_of(number: usize) -> u64 {
    // After all that is read, as ticks are; between two of them is room for an end.
    made::NOW as u64 * 1_000 + 2 * number as u64 + 1
}

/// To the other process.
fn peers(task: &Task) -> Option<Peers> {
    let address = ("127.0.0.1", task.port);
    if task.processes == 1 {
        return None;
    }
    // Before the first name: numbers of names are each process's own.
    eddy_schemas::route::by_text();
    let other = if task.process == 0 {
        TcpListener::bind(address).expect("a free port").accept().expect("the other process").0
    } else {
        let tries = std::iter::repeat_with(|| {
            TcpStream::connect(address).ok().or_else(|| {
                std::thread::sleep(Duration::from_millis(20));
                None
            })
        });
        tries.take(500).flatten().next().expect("the first process listens")
    };
    other.set_nodelay(true).expect("a socket");
    let mut sockets = vec![None, None];
    sockets[1 - task.process] = Some(other);
    Some(Peers { process: task.process, sockets })
}

/// What the rows are, as sums; of one view also as lines.
struct Rows {
    /// Of each view: the hash of each key's row, by the key's own.
    views: Vec<(&'static View, HashMap<u64, u64, foldhash::fast::FixedState>, Sum)>,
    listed_view: Option<String>,
    listed: BTreeMap<Vec<u8>, String>,
}

impl Rows {
    fn new(listed: Option<&str>) -> Rows {
        let views = VIEWS.iter().map(|definition| (definition.view, HashMap::default(), Sum::default())).collect();
        Rows { views, listed_view: listed.map(str::to_owned), listed: BTreeMap::new() }
    }

    fn sums(&self) -> Vec<(u64, u64)> {
        self.views.iter().map(|(_, _, sum)| (sum.rows, sum.sum)).collect()
    }

    fn take(&mut self, outputs: &Receiver<Output>, texts: &ReplayTexts) {
        // Texts are read together, in the order of their places.
        let all: Vec<_> = outputs.try_iter().collect();
        let (mut places, mut cells) = (vec![], vec![]);
        let mut each_row = |each: &mut dyn FnMut(&'static View, &[u8], Option<&[Cell]>)| {
            for output in &all {
                let Output::Changes { changes, .. } = output else { continue };
                for change in changes.iter() {
                    let view = VIEWS.iter().map(|definition| definition.view).find(|view| view.name == changes.view.name).expect("a view");
                    cells.clear();
                    if let Some(row) = change.row {
                        codec::decode_key(view.key, change.key, &mut cells);
                        codec::decode_row(view.columns, row, &mut cells);
                    }
                    each(view, change.key, change.row.map(|_| &cells[..]));
                }
            }
        };
        each_row(&mut |_, _, row| {
            places.extend(row.into_iter().flatten().filter_map(|cell| if let Cell::Text(place) = cell { Some(*place) } else { None }));
        });
        let mut hashes = vec![0; places.len()];
        texts.texts(&places, &mut |number, text| hashes[number] = sums::hash(text)).expect("texts can be read again");
        let mut hashes = hashes.into_iter();
        each_row(&mut |view, key, row| self.change(view, key, row, &mut hashes));
    }

    fn change(&mut self, view: &'static View, key: &[u8], row: Option<&[Cell]>, texts: &mut impl Iterator<Item = u64>) {
        let (_, rows, sum) = self.views.iter_mut().find(|(other, ..)| other.name == view.name).expect("a view");
        let number = sums::hash_bytes(key);
        let before = match row {
            None => Some(rows.remove(&number).unwrap_or_else(|| panic!("{}: a row that was not there is gone", view.name))),
            Some(cells) => {
                let names: Vec<String> = cells.iter().map(name).collect();
                let fields: Vec<Field> = cells.iter().zip(&names).map(|(cell, name)| field(cell, name, texts)).collect();
                let hash = sums::row(&fields);
                sum.add(hash);
                if self.listed_view.as_deref() == Some(view.name) {
                    self.listed.insert(key.to_vec(), sums::text(&fields));
                }
                rows.insert(number, hash)
            }
        };
        if row.is_none() {
            self.listed.remove(key);
        }
        before.inspect(|before| sum.remove(*before));
    }
}

fn name(cell: &Cell) -> String {
    match cell {
        Cell::Key(name) => name.as_str().to_owned(),
        Cell::Display(name) => name.bare().to_owned(),
        Cell::Id(id) => id.to_string(),
        Cell::Null | Cell::Int(_) | Cell::Text(_) => String::new(),
    }
}

fn field<'a>(cell: &Cell, name: &'a str, texts: &mut impl Iterator<Item = u64>) -> Field<'a> {
    match cell {
        Cell::Null => Field::Null,
        Cell::Int(n) => Field::Int(*n),
        Cell::Key(_) | Cell::Display(_) | Cell::Id(_) => Field::name(name),
        Cell::Text(_) => Field::Text(texts.next().expect("each place was read")),
    }
}

/// What all processes said, together.
pub fn joined(answers: &[Vec<Answer>]) -> Vec<(usize, Sums)> {
    let of_one = |answers: &Vec<Answer>| -> Vec<(usize, Sums)> {
        let sums = answers.iter().filter_map(|answer| if let Answer::Sums(tick, sums) = answer { Some((*tick, sums)) } else { None });
        sums.map(|(tick, sums)| (tick, sums.iter().map(|(rows, sum)| Sum { rows: *rows, sum: *sum }).collect())).collect()
    };
    let mut all = of_one(&answers[0]);
    for other in answers[1..].iter().map(of_one) {
        for ((tick, sums), (same, others)) in all.iter_mut().zip(other) {
            assert_eq!(*tick, same);
            sums.iter_mut().zip(others).for_each(|(sum, other)| sum.join(other));
        }
    }
    all
}

/// A port that nobody has right now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

pub fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").metadata().expect("a file").len()).sum()
}
