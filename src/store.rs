//! The store: view rows as of a tick, to be read.
//!
//! ```text
//!   tick: [Changes of each view] --apply--> rows { key -> (row, as_of) }, last tick --get_many, scan, count--> http, show, the bot
//! ```
//!
//! Members: [`memory`]. The same suite runs against each (`contract`).

pub mod memory;

#[cfg(test)]
mod contract;

use async_trait::async_trait;
use eddy_schemas::{Cell, Changes, View};

pub use memory::Memory;

/// What one read gave.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AsOf<T> {
    pub value: T,
    /// The last tick that was applied then; 0 before the first.
    pub tick: u64,
}

/// A row as it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Stored {
    /// Key columns, then the others.
    pub cells: Vec<Cell>,
    /// The tick of its last change.
    pub as_of: u64,
}

/// One page of a scan.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    pub rows: Vec<Stored>,
    /// Where the next page starts; `None` at the end. Opaque: good for the same store, view and prefix only.
    pub next: Option<Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("this cursor is not one of this list")]
    Cursor,
}

impl Error {
    /// Trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unavailable(_))
    }
}

/// Rows of views by key.
///
/// # Contract
/// - **Ticks**: a tick is applied whole, when it has closed: all that this process changed in it, over all views. (Another process may
///   apply the same tick: its keys are others.) Ticks ascend from 1; one at or below the last applied is a repeat and changes nothing.
///   After an error some of the tick may be there, and the same tick is applied again before any other.
/// - **Restored** rows are those of a snapshot, in parts, before the first tick is applied to a store that is empty: as of the snapshot's
///   tick, though they may have changed earlier, so that none goes back. A key may come again, with another row or gone. The tick that
///   reads give back stays what it was.
/// - **At once**: a read sees all of a tick or nothing of it, and gives back the last one that it saw: what it gives is exact as of that
///   tick, and no row in it has changed later. Reads that start later never see less. A member that cannot write many rows at once says
///   so: there a row may be newer than the tick that is given back, which its own `as_of` tells, but never older.
/// - **Visible**: what `apply` has returned for is seen by reads that start after it.
/// - **Scans** give the rows whose key starts with `prefix` (whole columns) in a fixed order (integers of a column ascending). Each page
///   is a read by itself: over the pages, each row that stays is given once, and rows that come or go meanwhile may or may not be. A page
///   holds `limit` rows or is the last one; with a limit of 0 it is empty and the last. A cursor of another view or prefix is an error.
/// - **Counts** are of rows.
/// - **Keys** whose columns are not the view's have no row.
///
/// Who reads bounds the keys and rows of one read: a member may hold writers up for that long.
#[async_trait]
pub trait Store: Send + Sync {
    /// Applies a tick; each key stands in its changes once.
    async fn apply(&self, tick: u64, changes: &[Changes]) -> Result<(), Error>;
    /// Puts a part of the rows as they were at the end of `tick`.
    async fn restore(&self, tick: u64, changes: &[Changes]) -> Result<(), Error>;
    /// The rows of many keys, in the order asked.
    async fn get_many(&self, keys: &[(&'static View, Vec<Cell>)]) -> Result<AsOf<Vec<Option<Stored>>>, Error>;
    /// The row of a key.
    async fn get(&self, view: &'static View, key: &[Cell]) -> Result<AsOf<Option<Stored>>, Error> {
        let AsOf { mut value, tick } = self.get_many(&[(view, key.to_vec())]).await?;
        Ok(AsOf { value: value.pop().flatten(), tick })
    }
    /// Rows whose key starts with `prefix` (empty: all), at most `limit`, from where `cursor` stands.
    async fn scan(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<AsOf<Page>, Error>;
    /// Rows of each view.
    async fn count(&self, views: &[&'static View]) -> Result<AsOf<Vec<u64>>, Error>;
}
