//! Rows in memory, packed: what an embedded run serves from.
//!
//! ```text
//!   [ lock: last tick, view --> tree --> leaves of <= 2 KiB: key tick row | key tick row | ... ]
//! ```
//!
//! A row costs its key and its row, 8 bytes for tick and length, and about a tenth of it all for the tree (`cargo bench --bench rooms --
//! memory` measures it): there is no pointer, hash or allocation per row.
//!
//! # Invariants
//! 1. One lock over everything, taken once for writing a tick, and once for reading a page or some keys: so a tick is seen whole. A
//!    reader waits for one tick at most, a writer for the readers' pages; both are bounded by who asks.

mod leaf;
mod tree;

use async_trait::async_trait;
use eddy_schemas::row::{Column, Kind};
use eddy_schemas::{Cell, Changes, View, codec};
use parking_lot::RwLock;

use super::{AsOf, Error, Page, Store, Stored};
use leaf::Entry;
use tree::Tree;

#[derive(Default)]
pub struct Memory(RwLock<Held>);

#[derive(Default)]
struct Held {
    /// The last one applied.
    tick: u64,
    /// A dozen: looked through by address, then by name (a `View` is a constant and may stand in several places).
    tables: Vec<Table>,
}

struct Table {
    view: &'static View,
    /// Bytes of a whole key.
    width: usize,
    tree: Tree,
}

impl Memory {
    pub fn new() -> Memory {
        Memory::default()
    }

    /// [`Store::apply`] for callers that are not async.
    pub fn apply_now(&self, tick: u64, changes: &[Changes]) {
        let mut held = self.0.write();
        if tick <= held.tick {
            return;
        }
        held.put(tick, changes);
        held.tick = tick;
    }

    /// [`Store::get_many`] for callers that are not async.
    pub fn get_many_now(&self, keys: &[(&'static View, Vec<Cell>)]) -> AsOf<Vec<Option<Stored>>> {
        let held = self.0.read();
        AsOf { value: keys.iter().map(|(view, key)| held.table(view)?.get(key)).collect(), tick: held.tick }
    }

    /// [`Store::scan`] for callers that are not async.
    pub fn scan_now(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<AsOf<Page>, Error> {
        let held = self.0.read();
        let value = match (held.table(view), encode(view, prefix)) {
            (Some(table), Some(prefix)) => table.page(&prefix, cursor, limit)?,
            _ if cursor.is_some() => return Err(Error::Cursor),
            _ => Page::default(),
        };
        Ok(AsOf { value, tick: held.tick })
    }

    /// [`Store::count`] for callers that are not async.
    pub fn count_now(&self, views: &[&'static View]) -> AsOf<Vec<u64>> {
        let held = self.0.read();
        AsOf { value: views.iter().map(|view| held.table(view).map_or(0, |table| table.tree.rows())).collect(), tick: held.tick }
    }
}

impl Held {
    fn put(&mut self, tick: u64, changes: &[Changes]) {
        for changes in changes {
            let table = self.table_mut(changes.view);
            for change in changes.iter() {
                debug_assert_eq!(change.key.len(), table.width);
                match change.row {
                    Some(row) => table.tree.put(&Entry { key: change.key, tick, row }),
                    None => table.tree.remove(change.key),
                }
            }
        }
    }

    fn place(&self, view: &View) -> Option<usize> {
        self.tables.iter().position(|table| std::ptr::eq(table.view, view) || table.view.name == view.name)
    }

    fn table(&self, view: &View) -> Option<&Table> {
        Some(&self.tables[self.place(view)?])
    }

    fn table_mut(&mut self, view: &'static View) -> &mut Table {
        let at = self.place(view).unwrap_or_else(|| {
            self.tables.push(Table::new(view));
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }
}

impl Table {
    fn new(view: &'static View) -> Table {
        let width = view.key.iter().map(column_bytes).sum();
        assert!((1..=leaf::KEY_BYTES_MAX).contains(&width), "keys of {} have {width} bytes", view.name);
        Table { view, width, tree: Tree::new(width) }
    }

    fn get(&self, key: &[Cell]) -> Option<Stored> {
        let key = encode(self.view, key).filter(|key| key.len() == self.width)?;
        self.tree.get(&key).map(|entry| self.decode(&entry))
    }

    fn page(&self, prefix: &[u8], cursor: Option<&[u8]>, limit: usize) -> Result<Page, Error> {
        let after = cursor.map(|cursor| self.parse_cursor(prefix, cursor)).transpose()?;
        let (mut page, mut last) = (Page::default(), None);
        for entry in self.tree.scan(prefix, after) {
            if page.rows.len() == limit {
                page.next = last.map(|key| self.cursor(prefix, key));
                break;
            }
            page.rows.push(self.decode(&entry));
            last = Some(entry.key);
        }
        Ok(page)
    }

    fn decode(&self, entry: &Entry) -> Stored {
        let mut cells = Vec::with_capacity(self.view.key.len() + self.view.columns.len());
        codec::decode_key(self.view.key, entry.key, &mut cells);
        codec::decode_row(self.view.columns, entry.row, &mut cells);
        Stored { cells, as_of: entry.tick }
    }

    /// Cursor: which list, the last key given.
    fn cursor(&self, prefix: &[u8], key: &[u8]) -> Vec<u8> {
        [&self.list(prefix)[..], key].concat()
    }

    fn parse_cursor<'c>(&self, prefix: &[u8], cursor: &'c [u8]) -> Result<&'c [u8], Error> {
        let (list, key) = cursor.split_first_chunk::<4>().ok_or(Error::Cursor)?;
        let ours = *list == self.list(prefix) && key.len() == self.width && key.starts_with(prefix);
        if ours { Ok(key) } else { Err(Error::Cursor) }
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
    async fn apply(&self, tick: u64, changes: &[Changes]) -> Result<(), Error> {
        self.apply_now(tick, changes);
        Ok(())
    }

    async fn restore(&self, tick: u64, changes: &[Changes]) -> Result<(), Error> {
        self.0.write().put(tick, changes);
        Ok(())
    }

    async fn get_many(&self, keys: &[(&'static View, Vec<Cell>)]) -> Result<AsOf<Vec<Option<Stored>>>, Error> {
        Ok(self.get_many_now(keys))
    }

    async fn scan(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<AsOf<Page>, Error> {
        self.scan_now(view, prefix, cursor, limit)
    }

    async fn count(&self, views: &[&'static View]) -> Result<AsOf<Vec<u64>>, Error> {
        Ok(self.count_now(views))
    }
}
