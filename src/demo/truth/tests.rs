//! The checker against a store that is right, wrong, and mended.

use std::sync::Arc;

use eddy_schemas::{Cell, MessageId, Name, Place, View};

use super::expected;
use super::pace::Pace;
use super::*;
use crate::demo::double;
use crate::log::Log;
use crate::messenger::sandbox::{Config as SandboxConfig, Sandbox};
use crate::progress::Progress as _;
use crate::source::synthetic::pace::Accept;
use crate::source::synthetic::{Config as SyntheticConfig, Synthetic, World};
use crate::store::Store as _;

const START_MS: i64 = 1_800_000_000_000;
/// Enough to look at everything that these tests make, several times.
const ROUNDS: usize = 100;

struct Bench {
    log: Arc<dyn Log>,
    store: Arc<double::Store>,
    engine: Arc<double::Engine>,
    ledger: Arc<Ledger>,
    synthetic: Synthetic,
    /// What stands in for the dataflows: facts of its own, and their rows.
    facts: Facts,
    now_ms: i64,
    truth: Truth,
    told: tokio::sync::watch::Receiver<Vec<TruthRow>>,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        println!("seed {seed}");
        let world = Arc::new(World::new(300));
        let log = double::log();
        let (store, engine) = (Arc::new(double::Store::default()), Arc::new(double::Engine::default()));
        let ledger = Arc::new(Ledger::new(log.clone(), world.clone()));
        let synthetic = Synthetic::of(world.clone(), seed, SyntheticConfig { ends: 60, edits: 90, ..SyntheticConfig::default() });
        let parts = Parts { ledger: ledger.clone(), store: store.clone(), progress: Arc::new(engine.clone()), texts: None };
        let (truth, told) =
            Truth::new(parts, Config { share: 1.0, share_idle: 1.0, idle_ms: 0, tell_ms: 0, attempts: 1, ..Config::default() });
        let facts = Facts::new(world);
        Bench { log, store, engine, ledger, synthetic, facts, now_ms: START_MS, truth, told }
    }

    fn generate(&mut self, events: usize) -> Vec<crate::source::synthetic::Event> {
        let events: Vec<_> = (0..events)
            .map(|_| {
                self.now_ms += 700;
                self.synthetic.next(self.now_ms)
            })
            .collect();
        self.ledger.accept(events.clone(), self.now_ms).expect("a log in memory");
        events
    }

    /// Generates, and brings the store up to date.
    async fn live(&mut self, events: usize) {
        if self.now_ms == START_MS {
            // Some that ask have waited long enough, and a day is whole.
            for event in self.generate(events / 2) {
                if let Some(fact) = event.fact {
                    self.facts.apply(&fact);
                }
            }
            self.now_ms += 31 * 3_600_000;
        }
        for event in self.generate(events) {
            if let Some(fact) = event.fact {
                self.facts.apply(&fact);
            }
        }
        self.show().await;
    }

    /// Puts the rows that must be there, as the engine would: first into the store, then it says so.
    async fn show(&mut self) {
        let tick = self.engine.0.lock().tick + 100;
        let mut rows = std::collections::BTreeMap::new();
        let watermark = self.facts.latest_at().map(i64::from);
        for row in expected::all(&self.facts, &self.ledger, watermark).await {
            rows.insert(double::key(VIEWS[row.view], &row.cells[..VIEWS[row.view].key.len()]), row.cells);
        }
        let mut held = self.store.rows.lock();
        held.retain(|key, _| rows.contains_key(key));
        for (key, cells) in rows {
            let same = held.get(&key).is_some_and(|row| row.cells == cells);
            if !same {
                held.insert(key, crate::store::Stored { cells, as_of: tick });
            }
        }
        drop(held);
        self.store.reach(tick);
        self.engine.0.lock().watermark = watermark;
        self.engine.close(&*self.log);
        assert_eq!(self.engine.closed().tick, tick);
    }

    /// Rounds until `enough`, or everything was looked at from end to end; gives what was told.
    async fn rounds(&mut self, enough: impl Fn(&[TruthRow]) -> bool) -> Vec<TruthRow> {
        for _ in 0..ROUNDS {
            self.truth.round().await.expect("a store in memory");
            self.truth.tell();
            if enough(&self.told.borrow()) {
                break;
            }
        }
        self.told.borrow().clone()
    }

    /// Green, however long one looks.
    async fn is_green(&mut self, when: &str) {
        let told = self.rounds(|_| false).await;
        let red: Vec<_> = told.iter().filter(|row| !row.ok).collect();
        assert!(red.is_empty(), "{when}: {red:?}");
        assert!(told.iter().all(|row| row.checked > 0 && row.detail.as_ref().is_some_and(|d| d.contains("looked at"))), "{when}: {told:?}");
    }

    /// Green again after it was red.
    async fn turns_green(&mut self) {
        let told = self.rounds(|told| told.iter().all(|row| row.ok)).await;
        assert!(told.iter().all(|row| row.ok), "{told:?}");
    }

    async fn turns_red_somewhere(&mut self) {
        let told = self.rounds(|told| told.iter().any(|row| !row.ok)).await;
        assert!(told.iter().any(|row| !row.ok), "{told:?}");
    }

    /// Puts the rows that the checker itself expects.
    async fn show_truth(&mut self) {
        let (as_of, watermark) = (self.engine.closed().tick, self.engine.closed().watermark);
        for row in expected::all(self.truth.facts(), &self.ledger, watermark).await {
            self.store.put(VIEWS[row.view], row.cells, as_of);
        }
    }

    /// Red for this view, and for no other.
    async fn turns_red(&mut self, view: &'static View, part: &str) {
        let told = self
            .rounds(|told| told.iter().any(|row| row.view == view.name && row.detail.as_ref().is_some_and(|d| !row.ok && d.contains(part))))
            .await;
        for row in &told {
            assert_eq!(row.ok, row.view != view.name, "{} was changed: {row:?}", view.name);
        }
        let row = told.iter().find(|row| row.view == view.name).expect("a row a view");
        assert!(row.detail.as_ref().is_some_and(|d| d.contains(part)), "{row:?} does not say {part}");
    }
}

fn text(cell: &Cell) -> String {
    super::compare::show(cell)
}

#[tokio::test]
async fn a_store_that_is_right_is_green_also_while_it_changes() {
    let mut bench = Bench::new(21);
    bench.live(700).await;
    bench.is_green("at first").await;
    for _ in 0..6 {
        bench.live(150).await;
        // Events that nobody has seen yet must not matter.
        for event in bench.generate(80) {
            if let Some(fact) = event.fact {
                bench.facts.apply(&fact);
            }
        }
        bench.is_green("with events on their way").await;
        // The store may be ahead of what the engine says.
        let bound = bench.engine.closed();
        bench.show().await;
        let ahead = std::mem::replace(&mut *bench.engine.0.lock(), bound);
        bench.is_green("with rows ahead of the bound").await;
        *bench.engine.0.lock() = ahead;
        bench.is_green("when they have closed").await;
    }
}

#[tokio::test]
async fn one_row_of_any_view_that_is_wrong_missing_or_extra_shows() {
    let mut bench = Bench::new(22);
    bench.live(700).await;
    bench.is_green("at first").await;
    for view in VIEWS {
        let rows = bench.store.rows(view);
        let row = rows[rows.len() / 3].clone();
        let last = row.cells.len() - 1;

        let mut wrong = row.clone();
        let at = if view.name == "messages" { 5 } else { last };
        wrong.cells[at] = match wrong.cells[at] {
            Cell::Int(n) => Cell::Int(n + 1),
            Cell::Null => Cell::Int(7),
            Cell::Display(_) => Cell::Display(Name::of(":Somebody Else")),
            other => panic!("{other:?}"),
        };
        bench.store.put(view, wrong.cells, row.as_of);
        bench.turns_red(view, &text(&row.cells[0])).await;
        bench.store.put(view, row.cells.clone(), row.as_of);
        bench.turns_green().await;

        bench.store.remove(view, &row.cells);
        bench.turns_red(view, "").await;
        bench.store.put(view, row.cells.clone(), row.as_of);
        bench.turns_green().await;

        // A row of somebody who is known, where the key has a second part; and of nobody at all.
        let mut extras = vec![];
        if view.key.len() > 1 {
            let mut extra = row.cells.clone();
            extra[1] = if let Cell::Int(n) = extra[1] { Cell::Int(n + 1_000_000) } else { Cell::Key(Name::of("reddit:ghost")) };
            extras.push(extra);
        }
        let mut extra = row.cells.clone();
        extra[0] = match extra[0] {
            Cell::Id(_) => Cell::Id(MessageId::parse("reddit:t3_zzzzzzzz").expect("an id")),
            _ => Cell::Key(Name::of("reddit:ghost_9")),
        };
        extras.push(extra);
        for extra in extras {
            bench.store.put(view, extra.clone(), row.as_of);
            bench.turns_red(view, "").await;
            bench.store.remove(view, &extra);
            bench.turns_green().await;
        }
    }
}

#[tokio::test]
async fn a_wrong_row_shows_while_its_community_is_busy() {
    let mut bench = Bench::new(23);
    bench.live(700).await;
    bench.is_green("at first").await;
    let row = bench.store.rows(VIEWS[COMMUNITIES])[0].clone();
    // Something of every community is always on its way.
    bench.generate(300);
    let mut wrong = row.cells.clone();
    wrong[1] = Cell::Int(1);
    bench.store.put(VIEWS[COMMUNITIES], wrong, row.as_of);
    bench.turns_red(VIEWS[COMMUNITIES], "messages is 1").await;
    bench.store.remove(VIEWS[COMMUNITIES], &row.cells);
    bench.turns_red(VIEWS[COMMUNITIES], "there is no row").await;
}

#[tokio::test]
async fn a_wrong_row_shows_also_where_it_is_never_read_at_the_bound() {
    let mut bench = Bench::new(26);
    bench.live(700).await;
    bench.is_green("at first").await;
    // Always a tick ahead of what the engine says.
    bench.store.reach(bench.engine.closed().tick + 50);
    let row = bench.store.rows(VIEWS[USERS])[0].clone();
    let mut wrong = row.cells.clone();
    wrong[1] = Cell::Int(77);
    bench.store.put(VIEWS[USERS], wrong.clone(), row.as_of + 50);
    bench.store.remove(VIEWS[MESSAGES], &bench.store.rows(VIEWS[MESSAGES])[0].cells);
    bench.is_green("while the next tick may have changed it").await;
    bench.store.put(VIEWS[USERS], wrong, row.as_of);
    bench.turns_red(VIEWS[USERS], "messages is 77").await;
}

#[tokio::test]
async fn what_people_type_is_part_of_the_truth() {
    let mut bench = Bench::new(24);
    bench.live(200).await;
    let sandbox = Sandbox::new(SandboxConfig::default(), Box::new(bench.ledger.clone()), || START_MS);
    let first = sandbox.say("a", Some("Ann"), "hello there", None).expect("taken");
    sandbox.say("b", None, "hi", Some(first.message_id)).expect("taken");
    bench.store.reach(bench.engine.close(&*bench.log).tick);
    // The store knows nothing of it yet.
    bench.turns_red_somewhere().await;
    bench.show_truth().await;
    bench.turns_green().await;
    let row = |view: usize, key: Cell| {
        let store = bench.store.clone();
        async move { store.get(VIEWS[view], &[key]).await.expect("a store").value.expect("a row").cells }
    };
    let community = row(COMMUNITIES, Cell::Key(Name::of("telegram:-1009000000001"))).await;
    assert_eq!(community[1..3], [Cell::Int(2), Cell::Int(2)]);
    let name = row(USER_NAMES, Cell::Key(Name::of(&format!("telegram:{}", first.user_id)))).await;
    assert_eq!(text(&name[1]), "\"Ann\"");
    let conversation = row(CONVERSATIONS, Cell::Id(MessageId::parse("telegram:-1009000000001.0").expect("an id"))).await;
    assert_eq!(conversation[8], Cell::Int(2), "an answer to a message without a parent");
}

#[tokio::test]
async fn texts_are_compared_too() {
    struct Said(bool);
    impl crate::texts::Texts for Said {
        fn text(&self, place: Place) -> Result<String, crate::texts::Error> {
            if self.0 { Err(crate::texts::Error { place, what: "gone".into() }) } else { Ok("something else".into()) }
        }
    }
    for gone in [false, true] {
        let mut bench = Bench::new(25);
        bench.live(50).await;
        let texts: Arc<dyn crate::texts::Texts> = Arc::new(Said(gone));
        let parts = Parts {
            ledger: bench.ledger.clone(),
            store: bench.store.clone(),
            progress: Arc::new(bench.engine.clone()),
            texts: Some(texts),
        };
        let (truth, told) = Truth::new(parts, Config { share: 1.0, attempts: 1, ..Config::default() });
        (bench.truth, bench.told) = (truth, told);
        bench.turns_red(VIEWS[MESSAGES], if gone { "could not be read" } else { "was not written" }).await;
    }
}

#[tokio::test]
async fn a_million_messages_stay_small_and_affordable() {
    let world = Arc::new(World::default());
    let mut facts = Facts::new(world.clone());
    let mut synthetic = Synthetic::of(world.clone(), 5, SyntheticConfig::default());
    let count = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
    let from = std::time::Instant::now();
    for i in 0..count {
        if let Some(fact) = synthetic.next(START_MS + i).fact {
            facts.apply(&fact);
        }
    }
    let made = from.elapsed();
    let log = double::log();
    let ledger = Ledger::new(log, world);
    let mut slowest = std::time::Duration::ZERO;
    for community in 0..6 {
        let (mut pace, watermark) = (Pace::new(1.0), facts.latest_at().map(i64::from));
        let from = std::time::Instant::now();
        let rows = expected::rows(&facts, &ledger, watermark, &mut pace, &Entity::Community(community)).await;
        assert!(rows.len() > 10, "{rows:?}");
        slowest = slowest.max(from.elapsed());
    }
    println!("{count} events made and applied in {made:?}, slowest community {slowest:?}");
    assert!(slowest.as_secs() < 5, "{slowest:?}");
}
