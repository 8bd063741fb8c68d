//! The store: view rows as of a tick, to be read.
//!
//! ```text
//!   Changes (view, tick) --apply--> rows { key -> (row, as_of) } --get, get_many, scan--> http, show, the bot
//! ```
//!
//! Members: [`memory`]. The same suite runs against each (`contract`).

pub mod memory;

#[cfg(test)]
mod contract;

use async_trait::async_trait;
use eddy_schemas::{Cell, Changes, View};

pub use memory::Memory;

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
/// - **Newer wins**: a change whose tick is not above the one held for its key is dropped, deletions included. A deleted key, also one
///   that was never there, remembers its tick until `settle`.
/// - **Repeats are harmless**: applying a batch again changes nothing.
/// - **Settled**: `settle(t)` is the caller's word that every change at or below `t` has been applied, by all workers; what comes again
///   is a repeat. Rows and counts do not change by it; what deletions at or below `t` remembered may be forgotten.
/// - **Scans** give each row whose key starts with `prefix` (whole columns) once, in a fixed order (integers of a column ascending), also while others
///   write; rows that come or go meanwhile may or may not be seen. A page holds `limit` rows or is the last one; with a limit of 0 it is
///   empty and the last. A cursor of another view or prefix is an error.
/// - **Visible**: what `apply` has returned for is seen by reads that start after it.
/// - **Counts** are of rows, without deleted keys.
/// - **Keys** whose columns are not the view's have no row.
#[async_trait]
pub trait Store: Send + Sync {
    /// Applies the changes of one worker, one view and one tick.
    async fn apply(&self, tick: u64, changes: &Changes) -> Result<(), Error>;
    /// No change at or below this tick will come any more, but for repeats. Members that remember nothing need not do anything.
    async fn settle(&self, _tick: u64) -> Result<(), Error> {
        Ok(())
    }
    /// The row of a key.
    async fn get(&self, view: &'static View, key: &[Cell]) -> Result<Option<Stored>, Error>;
    /// The rows of many keys, in the order asked.
    async fn get_many(&self, keys: &[(&'static View, Vec<Cell>)]) -> Result<Vec<Option<Stored>>, Error>;
    /// Rows whose key starts with `prefix` (empty: all), at most `limit`, from where `cursor` stands.
    async fn scan(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<Page, Error>;
    /// Rows of a view.
    async fn count(&self, view: &'static View) -> Result<u64, Error>;
}
