//! The page's panels: the best of all rows of a view, found by sweeping it a little at a time.
//!
//! ```text
//!   community_hours --sweep--> messages by hour, the last 24, of the busiest communities
//!   top_users       --sweep--> the ten greatest places
//!   conversations   --sweep--> the deepest one
//! ```
//!
//! A sweep looks at a bounded number of rows a turn, so a large view takes several turns; each panel says when its last
//! whole sweep ended (`at_ms`) and of how many rows it was. Before the first has ended it shows what it has, `whole: false`.

use std::time::{Duration, Instant};

use eddy_schemas::{Cell, Name, View};
use foldhash::fast::FixedState;
use serde_json::{Map, Value, json};

use crate::store::{Error, Store};
use crate::telemetry::states::now_ms;

/// Rows asked of the store at a time.
const PAGE_ROWS: usize = 500;
/// A sweep looks at this many rows a turn at most,
const TURN_ROWS: u64 = 5_000;
/// and takes this long, by whole pages.
const TURN_TIME: Duration = Duration::from_millis(8);
/// A new sweep starts at most this often.
const PAUSE: Duration = Duration::from_secs(1);

type HashMap<K, V> = hashbrown::HashMap<K, V, FixedState>;

const HOURS: usize = 24;
const HEAT_ROWS: usize = 8;
/// Communities told apart while sweeping; what is beyond is in the sum only.
const HEAT_COMMUNITIES_MAX: usize = 20_000;
const TOP_ROWS: usize = 10;

/// What a sweep gathers.
trait Fold: Default {
    fn see(&mut self, cells: &[Cell]);
    fn json(&self) -> Map<String, Value>;
    /// Keys in it that have a name for people, by the view that knows it.
    fn named(&self) -> Vec<(&'static str, Name)>;
}

struct Sweep<F> {
    view: &'static View,
    fold: F,
    rows: u64,
    cursor: Option<Vec<u8>>,
    began: Option<Instant>,
    /// The last whole sweep.
    whole: Option<(F, u64, u64)>,
}

impl<F: Fold> Sweep<F> {
    fn new(view: &'static View) -> Self {
        Sweep { view, fold: F::default(), rows: 0, cursor: None, began: None, whole: None }
    }

    async fn turn(&mut self, store: &dyn Store) -> Result<(), Error> {
        if self.cursor.is_none() && self.began.is_some_and(|began| began.elapsed() < PAUSE) {
            return Ok(());
        }
        let (start, most) = (Instant::now(), self.rows + TURN_ROWS);
        if self.cursor.is_none() {
            (self.fold, self.rows, self.began) = (F::default(), 0, Some(start));
        }
        while start.elapsed() < TURN_TIME && self.rows < most {
            let page = match store.scan(self.view, &[], self.cursor.as_deref(), PAGE_ROWS).await {
                Ok(page) => page.value,
                Err(error) => {
                    self.cursor = None;
                    return Err(error);
                }
            };
            page.rows.iter().for_each(|row| self.fold.see(&row.cells));
            self.rows += page.rows.len() as u64;
            self.cursor = page.next;
            if self.cursor.is_none() {
                self.whole = Some((std::mem::take(&mut self.fold), self.rows, now_ms()));
                break;
            }
        }
        Ok(())
    }

    fn shown(&self) -> &F {
        self.whole.as_ref().map_or(&self.fold, |(fold, ..)| fold)
    }

    fn json(&self) -> Value {
        let mut json = self.shown().json();
        json.insert("whole".into(), self.whole.is_some().into());
        json.insert("rows_seen".into(), self.whole.as_ref().map_or(self.rows, |(_, rows, _)| *rows).into());
        json.insert("at_ms".into(), self.whole.as_ref().map(|(.., at_ms)| *at_ms).into());
        json.into()
    }
}

/// Every panel whose view is built.
pub struct Panels {
    heat: Option<Sweep<Heat>>,
    top: Option<Sweep<Top>>,
    deepest: Option<Sweep<Deepest>>,
    names_of: Vec<&'static View>,
    names: Map<String, Value>,
}

impl Panels {
    pub fn new(views: &[&'static View]) -> Self {
        let view = |name: &str| views.iter().copied().find(|view| view.name == name);
        Panels {
            heat: view("community_hours").map(Sweep::new),
            top: view("top_users").map(Sweep::new),
            deepest: view("conversations").map(Sweep::new),
            names_of: ["user_names", "community_names"].into_iter().filter_map(view).collect(),
            names: Map::new(),
        }
    }

    /// Sweeps on. A store that is away leaves panels as they were: their age tells.
    pub async fn turn(&mut self, store: &dyn Store) {
        let _stale = self.sweep(store).await;
    }

    async fn sweep(&mut self, store: &dyn Store) -> Result<(), Error> {
        if let Some(heat) = &mut self.heat {
            heat.turn(store).await?;
        }
        if let Some(top) = &mut self.top {
            top.turn(store).await?;
        }
        if let Some(deepest) = &mut self.deepest {
            deepest.turn(store).await?;
            deepest.shown_again(store).await?;
        }
        self.name(store).await
    }

    /// Looks up what to call the keys that are shown.
    async fn name(&mut self, store: &dyn Store) -> Result<(), Error> {
        let heat = self.heat.iter().flat_map(|sweep| sweep.shown().named());
        let top = self.top.iter().flat_map(|sweep| sweep.shown().named());
        let deepest = self.deepest.iter().flat_map(|sweep| sweep.shown().named());
        let wanted = heat.chain(top).chain(deepest);
        let keys: Vec<(&'static View, Vec<Cell>)> =
            wanted.filter_map(|(of, key)| Some((*self.names_of.iter().find(|view| view.name == of)?, vec![Cell::Key(key)]))).collect();
        self.names = store
            .get_many(&keys)
            .await?
            .value
            .into_iter()
            .flatten()
            .filter_map(|row| match row.cells[..] {
                [Cell::Key(key), Cell::Display(name)] => Some((key.as_str().to_owned(), name.bare().into())),
                _ => None,
            })
            .collect();
        Ok(())
    }

    pub fn json(&self) -> Value {
        json!({
            "heat": self.heat.as_ref().map(Sweep::json),
            "top": self.top.as_ref().map(Sweep::json),
            "deepest": self.deepest.as_ref().map(Sweep::json),
            "names": self.names,
        })
    }
}

/// Messages by hour: the last 24 hours that any community has.
#[derive(Default)]
struct Heat {
    last: i64,
    all: HashMap<i64, i64>,
    of: HashMap<Name, HashMap<i64, i64>>,
}

impl Heat {
    fn hours(&self) -> std::ops::RangeInclusive<i64> {
        self.last - HOURS as i64 + 1..=self.last
    }

    fn busiest(&self) -> Vec<(Name, i64, Vec<i64>)> {
        let rows = self.of.iter().map(|(name, hours)| {
            let by_hour: Vec<i64> = self.hours().map(|hour| hours.get(&hour).copied().unwrap_or(0)).collect();
            (*name, by_hour.iter().sum(), by_hour)
        });
        let mut rows: Vec<(Name, i64, Vec<i64>)> = rows.filter(|(_, sum, _)| *sum > 0).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.as_str().cmp(b.0.as_str())));
        rows.truncate(HEAT_ROWS);
        rows
    }
}

impl Fold for Heat {
    fn see(&mut self, cells: &[Cell]) {
        let [Cell::Key(community), Cell::Int(hour), Cell::Int(messages), ..] = *cells else { return };
        if hour > self.last {
            self.last = hour;
            let first = *self.hours().start();
            self.all.retain(|hour, _| *hour >= first);
        } else if hour < *self.hours().start() {
            return;
        }
        *self.all.entry(hour).or_default() += messages;
        if self.of.len() < HEAT_COMMUNITIES_MAX || self.of.contains_key(&community) {
            let (hours, first) = (self.of.entry(community).or_default(), self.last - HOURS as i64 + 1);
            if hours.len() > 2 * HOURS {
                hours.retain(|hour, _| *hour >= first);
            }
            hours.insert(hour, messages);
        }
    }

    fn json(&self) -> Map<String, Value> {
        let rows = self
            .busiest()
            .into_iter()
            .map(|(community, messages, by_hour)| json!({ "community": community.as_str(), "messages": messages, "by_hour": by_hour }));
        let all: Vec<i64> = self.hours().map(|hour| self.all.get(&hour).copied().unwrap_or(0)).collect();
        object(json!({ "last_hour": self.last, "all": all, "rows": rows.collect::<Vec<_>>() }))
    }

    fn named(&self) -> Vec<(&'static str, Name)> {
        self.busiest().into_iter().map(|(name, ..)| ("community_names", name)).collect()
    }
}

/// The greatest places of all communities' lists. Exact: each list holds its community's ten greatest.
#[derive(Default)]
struct Top(Vec<(i64, Name, Name)>);

impl Fold for Top {
    fn see(&mut self, cells: &[Cell]) {
        let [Cell::Key(community), _, Cell::Key(user), Cell::Int(messages)] = *cells else { return };
        if self.0.len() == TOP_ROWS && self.0[TOP_ROWS - 1].0 > messages {
            return;
        }
        self.0.push((messages, user, community));
        self.0.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.as_str().cmp(b.1.as_str())).then_with(|| a.2.as_str().cmp(b.2.as_str())));
        self.0.truncate(TOP_ROWS);
    }

    fn json(&self) -> Map<String, Value> {
        let rows = self
            .0
            .iter()
            .map(|(messages, user, community)| json!({ "user": user.as_str(), "community": community.as_str(), "messages": messages }));
        object(json!({ "rows": rows.collect::<Vec<_>>() }))
    }

    fn named(&self) -> Vec<(&'static str, Name)> {
        self.0.iter().flat_map(|(_, user, community)| [("user_names", *user), ("community_names", *community)]).collect()
    }
}

/// The conversation with the longest chain; of equals, the one with most messages.
#[derive(Default)]
struct Deepest {
    cells: Vec<Cell>,
}

/// Columns of `conversations`: key, community, messages, participants, characters, removed, first_at, last_at, depth, ...
const CONVERSATION: usize = 0;
const COMMUNITY: usize = 1;
const MESSAGES: usize = 2;
const DEPTH: usize = 8;

fn int(cells: &[Cell], at: usize) -> Option<i64> {
    match cells.get(at) {
        Some(Cell::Int(n)) => Some(*n),
        _ => None,
    }
}

impl Fold for Deepest {
    fn see(&mut self, cells: &[Cell]) {
        let rank = |cells: &[Cell]| (int(cells, DEPTH), int(cells, MESSAGES));
        if rank(cells) > rank(&self.cells) {
            self.cells = cells.to_vec();
        }
    }

    fn json(&self) -> Map<String, Value> {
        let [Cell::Id(conversation), ..] = self.cells[..] else { return Map::new() };
        let community = match self.cells[COMMUNITY] {
            Cell::Key(name) => Some(name.as_str()),
            _ => None,
        };
        let row = json!({
            "conversation": conversation.to_string(),
            "community": community,
            "messages": int(&self.cells, MESSAGES),
            "participants": int(&self.cells, 3),
            "first_at": int(&self.cells, 6),
            "last_at": int(&self.cells, 7),
            "depth": int(&self.cells, DEPTH),
            "first_response_s": int(&self.cells, 9),
        });
        object(json!({ "row": row }))
    }

    fn named(&self) -> Vec<(&'static str, Name)> {
        match self.cells.get(COMMUNITY) {
            Some(Cell::Key(name)) => vec![("community_names", *name)],
            _ => vec![],
        }
    }
}

impl Sweep<Deepest> {
    /// The conversation that is shown goes on while the next sweep is under way: its numbers are read anew.
    async fn shown_again(&mut self, store: &dyn Store) -> Result<(), Error> {
        let Some((shown, ..)) = &mut self.whole else { return Ok(()) };
        let Some(key) = shown.cells.get(CONVERSATION) else { return Ok(()) };
        if let Some(row) = store.get(self.view, std::slice::from_ref(key)).await?.value {
            shown.cells = row.cells;
        }
        Ok(())
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!("an object is written above"),
    }
}
