//! The smallest log, store and engine that tests of the demo need.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eddy_schemas::{Cell, Changes, View, codec};
use parking_lot::Mutex;

use crate::log::{self, Append, Partition, Record, Topic};
use crate::progress::{Bound, Progress};
use crate::store::{self, Page, Stored};

/// A log of a few partitions.
#[derive(Default)]
pub struct Log(Mutex<BTreeMap<Partition, Vec<Record>>>);

const PARTITIONS: u32 = 3;

impl log::Log for Log {
    fn partitions(&self) -> Vec<Partition> {
        let of = |topic| (0..PARTITIONS).map(move |number| Partition { topic, number });
        Topic::ALL.into_iter().flat_map(of).collect()
    }

    fn append(&self, topic: Topic, records: &[Append]) -> Result<Vec<(Partition, u64)>, log::Error> {
        let mut partitions = self.0.lock();
        let places = records.iter().map(|record| {
            let partition = Partition { topic, number: crc32fast::hash(&record.key) % PARTITIONS };
            let held = partitions.entry(partition).or_default();
            let offset = held.len() as u64;
            held.push(Record { offset, value: record.value.clone(), received_at_ms: record.received_at_ms });
            (partition, offset)
        });
        Ok(places.collect())
    }

    fn read(&self, partition: Partition, offset: u64, bytes_max: usize) -> Result<Vec<Record>, log::Error> {
        let mut left = bytes_max;
        let partitions = self.0.lock();
        let rest = partitions.get(&partition).into_iter().flatten().skip(offset as usize);
        let fits = rest.take_while(|record| {
            let fits = left > 0;
            left = left.saturating_sub(record.value.len());
            fits
        });
        Ok(fits.cloned().collect())
    }

    fn end(&self, partition: Partition) -> u64 {
        self.0.lock().get(&partition).map_or(0, |records| records.len() as u64)
    }

    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        std::thread::sleep(timeout.min(Duration::from_millis(5)));
        seen + 1
    }

    fn sync(&self) -> Result<(), log::Error> {
        Ok(())
    }
}

/// A store whose rows a test may also change behind everyone's back.
#[derive(Default)]
pub struct Store(pub Mutex<BTreeMap<(&'static str, Vec<u8>), Stored>>);

pub fn key(view: &'static View, cells: &[Cell]) -> (&'static str, Vec<u8>) {
    let mut bytes = Vec::new();
    codec::encode_key(cells, &mut bytes);
    (view.name, bytes)
}

impl Store {
    pub fn put(&self, view: &'static View, cells: Vec<Cell>, as_of: u64) {
        self.0.lock().insert(key(view, &cells[..view.key.len()]), Stored { cells, as_of });
    }

    pub fn remove(&self, view: &'static View, cells: &[Cell]) -> Option<Stored> {
        self.0.lock().remove(&key(view, &cells[..view.key.len()]))
    }

    /// All rows of a view.
    pub fn rows(&self, view: &'static View) -> Vec<Stored> {
        self.0.lock().iter().filter(|((name, _), _)| *name == view.name).map(|(_, row)| row.clone()).collect()
    }
}

#[async_trait]
impl store::Store for Store {
    async fn apply(&self, _: u64, _: &Changes) -> Result<(), store::Error> {
        unreachable!("tests put rows")
    }

    async fn settle(&self, _: u64) -> Result<(), store::Error> {
        Ok(())
    }

    async fn get(&self, view: &'static View, cells: &[Cell]) -> Result<Option<Stored>, store::Error> {
        Ok(self.0.lock().get(&key(view, cells)).cloned())
    }

    async fn get_many(&self, keys: &[(&'static View, Vec<Cell>)]) -> Result<Vec<Option<Stored>>, store::Error> {
        let rows = self.0.lock();
        Ok(keys.iter().map(|(view, cells)| rows.get(&key(view, cells)).cloned()).collect())
    }

    async fn scan(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<Page, store::Error> {
        let prefix = key(view, prefix).1;
        let rows = self.0.lock();
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
        Ok(page)
    }

    async fn count(&self, view: &'static View) -> Result<u64, store::Error> {
        Ok(self.rows(view).len() as u64)
    }
}

/// An engine that has come as far as a test says.
#[derive(Default)]
pub struct Engine(pub Mutex<Bound>);

impl Engine {
    /// Closes over all that the log holds.
    pub fn close(&self, log: &dyn log::Log) -> Bound {
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
