//! What tests of the demo work with: a store whose rows can be made wrong, and an engine that comes as far as it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use eddy_schemas::{Cell, Changes, View, codec};
use parking_lot::Mutex;

use crate::log::{self, Log};
use crate::progress::{Bound, Progress};
use crate::store::{self, AsOf, Page, Stored};

/// A log of a few partitions.
pub fn log() -> Arc<dyn Log> {
    Arc::new(log::Memory::new(log::Counts { reddit: 3, telegram: 3 }))
}

/// A store whose rows a test may also change behind everyone's back.
#[derive(Default)]
pub struct Store {
    pub rows: Mutex<BTreeMap<(&'static str, Vec<u8>), Stored>>,
    tick: AtomicU64,
}

pub fn key(view: &'static View, cells: &[Cell]) -> (&'static str, Vec<u8>) {
    let mut bytes = Vec::new();
    codec::encode_key(cells, &mut bytes);
    (view.name, bytes)
}

impl Store {
    pub fn put(&self, view: &'static View, cells: Vec<Cell>, as_of: u64) {
        self.reach(as_of);
        self.rows.lock().insert(key(view, &cells[..view.key.len()]), Stored { cells, as_of });
    }

    pub fn remove(&self, view: &'static View, cells: &[Cell]) -> Option<Stored> {
        self.rows.lock().remove(&key(view, &cells[..view.key.len()]))
    }

    /// What is read from now on is as of this tick, or a later one that was reached before.
    pub fn reach(&self, tick: u64) {
        self.tick.fetch_max(tick, Ordering::Relaxed);
    }

    fn as_of<T>(&self, value: T) -> AsOf<T> {
        AsOf { value, tick: self.tick.load(Ordering::Relaxed) }
    }

    /// All rows of a view.
    pub fn rows(&self, view: &'static View) -> Vec<Stored> {
        self.rows.lock().iter().filter(|((name, _), _)| *name == view.name).map(|(_, row)| row.clone()).collect()
    }
}

#[async_trait]
impl store::Store for Store {
    async fn apply(&self, _: u64, _: &[Changes]) -> Result<(), store::Error> {
        unreachable!("tests put rows")
    }

    async fn restore(&self, _: u64, _: &[Changes]) -> Result<(), store::Error> {
        unreachable!("tests put rows")
    }

    async fn get_many(&self, keys: &[(&'static View, Vec<Cell>)]) -> Result<AsOf<Vec<Option<Stored>>>, store::Error> {
        let rows = self.rows.lock();
        Ok(self.as_of(keys.iter().map(|(view, cells)| rows.get(&key(view, cells)).cloned()).collect()))
    }

    async fn scan(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<AsOf<Page>, store::Error> {
        let prefix = key(view, prefix).1;
        let rows = self.rows.lock();
        let from = (view.name, cursor.map_or_else(|| prefix.clone(), <[u8]>::to_vec));
        let mut page = Page::default();
        for ((name, bytes), row) in rows.range(from..) {
            if *name != view.name || !bytes.starts_with(&prefix) {
                break;
            }
            if page.rows.len() == limit {
                page.next = Some(bytes.clone());
                break;
            }
            page.rows.push(row.clone());
        }
        Ok(self.as_of(page))
    }

    async fn count(&self, views: &[&'static View]) -> Result<AsOf<Vec<u64>>, store::Error> {
        Ok(self.as_of(views.iter().map(|view| self.rows(view).len() as u64).collect()))
    }
}

/// An engine that has come as far as a test says.
#[derive(Default)]
pub struct Engine(pub Mutex<Bound>);

impl Engine {
    /// Closes over all that the log holds.
    pub fn close(&self, log: &dyn Log) -> Bound {
        let mut bound = self.0.lock();
        bound.tick += 100;
        bound.offsets = log.partitions().into_iter().map(|partition| (partition, log.end(partition))).collect();
        bound.clone()
    }
}

impl Progress for Arc<Engine> {
    fn closed(&self) -> Bound {
        self.0.lock().clone()
    }
}
