//! Rows in memory, packed: what an embedded run serves from.
//!
//! ```text
//!   view --> 16 shards by the key's first column, each behind its lock --> tree --> leaves of <= 2 KiB: key tick row | key tick row | ...
//! ```
//!
//! A row costs its key and its row, 8 bytes for tick and length, and about a tenth of it all for the tree (`examples` in
//! `benches/rooms.rs` measures it): there is no pointer, hash or allocation per row.
//!
//! # Invariants
//! 1. All keys with the same first column are in one shard, so a scan with a prefix reads one shard. A scan of all reads the
//!    shards one after another. A view whose first column is a number has one shard, so that its numbers ascend.
//! 2. A lock is held for one change, or for a page of at most [`SLICE`] rows: no reader waits for a batch.
//! 3. Changes at or below the settled tick are dropped, as they would be by the tombstones that `settle` has removed.

mod leaf;
mod shard;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use eddy_schemas::row::{Column, Kind};
use eddy_schemas::{Cell, Changes, View, codec, id};
use parking_lot::RwLock;

use super::{Error, Page, Store, Stored};
use shard::Shard;

const SHARDS: usize = 16;
/// Rows read under one lock.
const SLICE: usize = 256;

#[derive(Default)]
pub struct Memory {
    /// A dozen: looked through by address, then by name (a `View` is a constant and may stand in several places).
    tables: RwLock<Vec<Arc<Table>>>,
    settled: AtomicU64,
}

struct Table {
    view: &'static View,
    /// Bytes of a whole key.
    width: usize,
    shards: Vec<RwLock<Shard>>,
    rows: AtomicU64,
}

impl Memory {
    pub fn new() -> Memory {
        Memory::default()
    }

    /// [`Store::apply`] for callers that are not async.
    pub fn apply_now(&self, tick: u64, changes: &Changes) {
        let settled = self.settled.load(Ordering::Acquire);
        if changes.is_empty() || tick <= settled && settled > 0 {
            return;
        }
        let table = self.table_or_new(changes.view);
        for change in changes.iter() {
            debug_assert_eq!(change.key.len(), table.width);
            let more = table.shards[table.shard_of(change.key)].write().apply(tick, change.key, change.row);
            match more {
                0 => {}
                more => _ = table.rows.fetch_add(more as u64, Ordering::Relaxed), // -1 wraps around, as it should
            }
        }
    }

    /// [`Store::settle`] for callers that are not async.
    pub fn settle_now(&self, tick: u64) {
        if self.settled.fetch_max(tick, Ordering::AcqRel) >= tick {
            return;
        }
        for table in self.tables.read().clone() {
            for shard in &table.shards {
                while shard.write().settle(tick, SLICE) {}
            }
        }
    }

    /// [`Store::get`] for callers that are not async.
    pub fn get_now(&self, view: &'static View, key: &[Cell]) -> Option<Stored> {
        let table = self.table(view)?;
        let key = encode(view, key)?;
        if key.len() != table.width {
            return None;
        }
        let shard = table.shards[table.shard_of(&key)].read();
        shard.get(&key).map(|entry| table.decode(&entry))
    }

    /// [`Store::scan`] for callers that are not async.
    pub fn scan_now(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<Page, Error> {
        let prefix = encode(view, prefix);
        let (Some(table), Some(prefix)) = (self.table(view), prefix) else {
            return if cursor.is_some() { Err(Error::Cursor) } else { Ok(Page::default()) };
        };
        let mut page = Page::default();
        let (mut at, last) = table.shards_of(&prefix);
        let mut after = None;
        if let Some(cursor) = cursor {
            let (shard, key) = table.parse_cursor(&prefix, cursor)?;
            (at, after) = (shard, Some(key.to_vec()));
        }
        if limit == 0 {
            return Ok(page);
        }
        // One row more than asked for tells whether there is a next page.
        let mut last_key = None;
        while at <= last {
            let slice = SLICE.min(limit.saturating_add(1) - page.rows.len());
            let mut seen = 0;
            let shard = table.shards[at].read();
            for entry in shard.scan(&prefix, after.as_deref()).take(slice) {
                seen += 1;
                if page.rows.len() == limit {
                    page.next = last_key.map(|(shard, key)| table.cursor(&prefix, shard, key));
                    return Ok(page);
                }
                page.rows.push(table.decode(&entry));
                last_key = Some((at, leaf::pad(entry.key)));
            }
            drop(shard);
            after = last_key.filter(|(shard, _)| *shard == at).map(|(_, key)| key[..table.width].to_vec()).or(after);
            if seen < slice {
                (at, after) = (at + 1, None);
            }
        }
        Ok(page)
    }

    /// [`Store::count`] for callers that are not async.
    pub fn count_now(&self, view: &'static View) -> u64 {
        self.table(view).map_or(0, |table| table.rows.load(Ordering::Relaxed))
    }

    /// Deleted keys that are still remembered, over all views.
    pub fn tombstones(&self) -> usize {
        let tables = self.tables.read();
        tables.iter().flat_map(|table| &table.shards).map(|shard| shard.read().tombstones()).sum()
    }

    fn table(&self, view: &'static View) -> Option<Arc<Table>> {
        let same = |table: &&Arc<Table>| std::ptr::eq(table.view, view) || table.view.name == view.name;
        self.tables.read().iter().find(same).cloned()
    }

    fn table_or_new(&self, view: &'static View) -> Arc<Table> {
        if let Some(table) = self.table(view) {
            return table;
        }
        let mut tables = self.tables.write();
        if let Some(table) = tables.iter().find(|table| table.view.name == view.name) {
            return table.clone();
        }
        let table = Arc::new(Table::new(view));
        tables.push(table.clone());
        table
    }
}

impl Table {
    fn new(view: &'static View) -> Table {
        let width = view.key.iter().map(column_bytes).sum();
        assert!((1..=leaf::KEY_BYTES_MAX).contains(&width), "keys of {} have {width} bytes", view.name);
        let shards = if view.key[0].kind == Kind::Int { 1 } else { SHARDS };
        let shards = (0..shards).map(|_| RwLock::new(Shard::new(width))).collect();
        Table { view, width, shards, rows: AtomicU64::new(0) }
    }

    fn shard_of(&self, key: &[u8]) -> usize {
        let first = match column_bytes(&self.view.key[0]) {
            4 => u64::from(u32::from_be_bytes(key[..4].try_into().expect("four bytes"))),
            _ => u64::from_be_bytes(key[..8].try_into().expect("eight bytes")),
        };
        (id::mix(first) >> 32) as usize % self.shards.len()
    }

    /// The first and last shard that hold keys with a prefix.
    fn shards_of(&self, prefix: &[u8]) -> (usize, usize) {
        if prefix.is_empty() {
            (0, self.shards.len() - 1)
        } else {
            let shard = self.shard_of(prefix);
            (shard, shard)
        }
    }

    fn decode(&self, entry: &leaf::Entry) -> Stored {
        let mut cells = Vec::with_capacity(self.view.key.len() + self.view.columns.len());
        codec::decode_key(self.view.key, entry.key, &mut cells);
        codec::decode_row(self.view.columns, entry.row.expect("scans and gets give rows"), &mut cells);
        Stored { cells, as_of: entry.tick }
    }

    /// Cursor: which list, shard, the last key given.
    fn cursor(&self, prefix: &[u8], shard: usize, key: leaf::Key) -> Vec<u8> {
        let mut cursor = self.list(prefix).to_vec();
        cursor.push(shard as u8);
        cursor.extend_from_slice(&key[..self.width]);
        cursor
    }

    fn parse_cursor<'c>(&self, prefix: &[u8], cursor: &'c [u8]) -> Result<(usize, &'c [u8]), Error> {
        let (list, rest) = cursor.split_first_chunk::<4>().ok_or(Error::Cursor)?;
        let (&shard, key) = rest.split_first().ok_or(Error::Cursor)?;
        let shard = usize::from(shard);
        let ours = *list == self.list(prefix) && key.len() == self.width && key.starts_with(prefix) && self.shard_of(key) == shard;
        if ours { Ok((shard, key)) } else { Err(Error::Cursor) }
    }

    fn list(&self, prefix: &[u8]) -> [u8; 4] {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.view.name.as_bytes());
        hasher.update(&[0]);
        hasher.update(prefix);
        hasher.finalize().to_be_bytes()
    }
}

fn column_bytes(column: &Column) -> usize {
    match column.kind {
        Kind::Key | Kind::Display => 4,
        Kind::Int | Kind::Id | Kind::Text => 8,
    }
}

/// The bytes of the first columns of a key; `None` where they are not the view's.
fn encode(view: &View, cells: &[Cell]) -> Option<Vec<u8>> {
    let fits = |(cell, column): (&Cell, &Column)| {
        matches!(
            (cell, column.kind),
            (Cell::Int(_), Kind::Int) | (Cell::Key(_), Kind::Key) | (Cell::Display(_), Kind::Display) | (Cell::Id(_), Kind::Id)
        )
    };
    if cells.len() > view.key.len() || !cells.iter().zip(view.key).all(fits) {
        return None;
    }
    let mut bytes = Vec::with_capacity(leaf::KEY_BYTES_MAX);
    codec::encode_key(cells, &mut bytes);
    Some(bytes)
}

#[async_trait]
impl Store for Memory {
    async fn apply(&self, tick: u64, changes: &Changes) -> Result<(), Error> {
        self.apply_now(tick, changes);
        Ok(())
    }

    async fn settle(&self, tick: u64) -> Result<(), Error> {
        self.settle_now(tick);
        Ok(())
    }

    async fn get(&self, view: &'static View, key: &[Cell]) -> Result<Option<Stored>, Error> {
        Ok(self.get_now(view, key))
    }

    async fn get_many(&self, keys: &[(&'static View, Vec<Cell>)]) -> Result<Vec<Option<Stored>>, Error> {
        Ok(keys.iter().map(|(view, key)| self.get_now(view, key)).collect())
    }

    async fn scan(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<Page, Error> {
        self.scan_now(view, prefix, cursor, limit)
    }

    async fn count(&self, view: &'static View) -> Result<u64, Error> {
        Ok(self.count_now(view))
    }
}
