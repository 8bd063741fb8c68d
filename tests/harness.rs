//! Runs the engine in this process and gives its rows as the oracle gives them: text, sorted.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::unbounded;
use eddy::clock::Manual;
use eddy::engine::{self, DUMPS, Engine, Output, Raw, parse};
use eddy::replay::{ReplayTexts, input_of_spool};
use eddy::source::dumps::{Limits, Reader};
use eddy::spool::Spool;
use eddy_dataflows::Keep;
use eddy_schemas::{Cell, View, codec};

use crate::oracle::Tables;

/// Longer than any tick takes; a test that waits this long has failed.
const TICK_MAX: Duration = Duration::from_secs(60);

/// An engine whose rows can be looked at after each tick.
pub struct Harness {
    engine: Option<Engine>,
    outputs: crossbeam_channel::Receiver<Output>,
    texts: Arc<ReplayTexts>,
    rows: BTreeMap<&'static str, (&'static View, BTreeMap<Vec<u8>, Vec<u8>>)>,
}

impl Harness {
    /// `now`: seconds.
    pub fn new(workers: usize, now: i64, keep: Keep) -> Self {
        let spools: Vec<_> = (0..workers).map(|_| Arc::new(Spool::new(&std::env::temp_dir()).expect("a temporary file"))).collect();
        let texts = Arc::new(ReplayTexts::new(vec!["test".into()], spools.clone()));
        let spools = spools.into_iter().enumerate().map(|(n, spool)| (input_of_spool(n), spool)).collect();
        let inputs = parse::Inputs {
            names: vec!["test".into()],
            spools,
            spares: None,
            clock: Arc::new(Manual::new(now * 1_000)),
            forgotten: Arc::default(),
        };
        // Unbounded: one thread drives and reads.
        let (send, outputs) = unbounded();
        let config = engine::Config { workers, keep, tick_records_max: 0, ..engine::Config::default() };
        let engine = Engine::start(config, inputs, Arc::clone(&texts) as _, send).expect("an engine starts");
        let rows = eddy_dataflows::VIEWS.iter().map(|d| (d.view.name, (d.view, BTreeMap::new()))).collect();
        Harness { engine: Some(engine), outputs, texts, rows }
    }

    /// Hands lines to the workers, in blocks of about `block_bytes`, in the open tick.
    pub fn send<L: AsRef<[u8]>>(&mut self, lines: &[L], block_bytes: usize) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        for line in lines {
            file.write_all(line.as_ref()).and_then(|()| file.write_all(b"\n")).expect("room for a test");
        }
        let limits = Limits { block_bytes, ..Limits::default() };
        let mut reader = Reader::new(vec![file.path().to_owned()], limits);
        while let Some(block) = reader.next(None).expect("a plain file") {
            let engine = self.engine.as_mut().expect("not finished");
            engine.send(Raw::Dump { block, rereadable: false, partition: DUMPS }).expect("workers live");
        }
    }

    /// Ends the tick and gives all rows as of it.
    pub fn tick(&mut self) -> Tables {
        let engine = self.engine.as_mut().expect("not finished");
        let tick = engine.close_tick().expect("workers live");
        assert!(engine.frontiers().wait(tick, TICK_MAX), "tick {tick} did not close");
        self.drain();
        self.tables()
    }

    /// Ends the run: rows and counts at the end.
    pub fn finish(mut self) -> (Tables, engine::counts::Snapshot) {
        let engine = self.engine.take().expect("not finished");
        let counts = engine.counts();
        engine.finish().expect("workers end well");
        self.drain();
        (self.tables(), counts.snapshot())
    }

    fn drain(&mut self) {
        for output in self.outputs.try_iter() {
            let Output::Changes { changes, .. } = output else { continue };
            let (_, rows) = self.rows.get_mut(changes.view.name).expect("a known view");
            for change in changes.iter() {
                match change.row {
                    Some(row) => drop(rows.insert(change.key.to_vec(), row.to_vec())),
                    None => assert!(rows.remove(change.key).is_some(), "{}: a row that was not there is gone", changes.view.name),
                }
            }
        }
    }

    fn tables(&self) -> Tables {
        self.rows.iter().map(|(name, (view, rows))| (*name, self.table(view, rows))).collect()
    }

    fn table(&self, view: &View, rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Vec<String>> {
        let mut table: Vec<Vec<String>> = rows
            .iter()
            .map(|(key, row)| {
                let mut cells = vec![];
                codec::decode_key(view.key, key, &mut cells);
                codec::decode_row(view.columns, row, &mut cells);
                cells.into_iter().map(|cell| self.field(cell)).collect()
            })
            .collect();
        table.sort_by(|a, b| a[..view.key.len()].cmp(&b[..view.key.len()]));
        table
    }

    fn field(&self, cell: Cell) -> String {
        use eddy::texts::Texts;
        let text = match cell {
            Cell::Null => String::new(),
            Cell::Int(n) => n.to_string(),
            Cell::Key(name) => name.as_str().to_owned(),
            Cell::Display(name) => name.bare().to_owned(),
            Cell::Id(id) => id.to_string(),
            Cell::Text(place) => self.texts.text(place).expect("texts can be read again"),
        };
        text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
    }
}

/// The first difference of two sets of tables, for a failing test's message.
pub fn difference(eddy: &Tables, oracle: &Tables) -> Option<String> {
    // Messages first: whatever differs there explains the rest.
    let mut views: Vec<_> = oracle.iter().collect();
    views.sort_by_key(|(view, _)| **view != "messages");
    for (view, expected) in views {
        let got = &eddy[*view];
        if got == expected {
            continue;
        }
        let missing = expected.iter().find(|row| !got.contains(row));
        let extra = got.iter().find(|row| !expected.contains(row));
        return Some(format!(
            "view {view}: {} rows, the oracle has {}\n  oracle only: {missing:?}\n  eddy only:   {extra:?}",
            got.len(),
            expected.len()
        ));
    }
    None
}
