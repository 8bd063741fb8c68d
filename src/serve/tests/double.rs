//! A store of rows in a sorted map, for tests of what is above stores.

use std::collections::BTreeMap;

use crate::store::{Error, Page, Store, Stored};
use async_trait::async_trait;
use eddy_schemas::codec::{decode_key, decode_row, encode_key};
use eddy_schemas::{Cell, Changes, Row, View};
use parking_lot::RwLock;

#[derive(Default)]
pub struct Double(RwLock<BTreeMap<(&'static str, Vec<u8>), Stored>>);

fn bytes(key: &[Cell]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(key, &mut out);
    out
}

impl Double {
    pub fn put<R: Row>(&self, tick: u64, key: R::Key, row: R) {
        let mut changes = Changes::new(R::VIEW);
        changes.push(&key, Some(&row), &mut Vec::new());
        self.take(tick, &changes);
    }

    fn take(&self, tick: u64, changes: &Changes) {
        let mut rows = self.0.write();
        for change in changes.iter() {
            let at = (changes.view.name, change.key.to_vec());
            let Some(row) = change.row else {
                rows.remove(&at);
                continue;
            };
            let mut cells = Vec::new();
            decode_key(changes.view.key, change.key, &mut cells);
            decode_row(changes.view.columns, row, &mut cells);
            rows.insert(at, Stored { cells, as_of: tick });
        }
    }
}

#[async_trait]
impl Store for Double {
    async fn apply(&self, tick: u64, changes: &Changes) -> Result<(), Error> {
        self.take(tick, changes);
        Ok(())
    }

    async fn get(&self, view: &'static View, key: &[Cell]) -> Result<Option<Stored>, Error> {
        Ok(self.0.read().get(&(view.name, bytes(key))).cloned())
    }

    async fn get_many(&self, keys: &[(&'static View, Vec<Cell>)]) -> Result<Vec<Option<Stored>>, Error> {
        let rows = self.0.read();
        Ok(keys.iter().map(|(view, key)| rows.get(&(view.name, bytes(key))).cloned()).collect())
    }

    async fn scan(&self, view: &'static View, prefix: &[Cell], cursor: Option<&[u8]>, limit: usize) -> Result<Page, Error> {
        let prefix = bytes(prefix);
        let from = cursor.map_or(prefix.clone(), <[u8]>::to_vec);
        if !from.starts_with(&prefix) {
            return Err(Error::Cursor);
        }
        let rows = self.0.read();
        let mut found = rows.range((view.name, from)..).take_while(|((name, key), _)| *name == view.name && key.starts_with(&prefix));
        let page = found.by_ref().take(limit).map(|(_, row)| row.clone()).collect();
        let next = found.next().map(|((_, key), _)| key.clone());
        Ok(Page { rows: page, next })
    }

    async fn count(&self, view: &'static View) -> Result<u64, Error> {
        Ok(self.0.read().keys().filter(|(name, _)| *name == view.name).count() as u64)
    }
}
