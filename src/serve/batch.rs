//! `POST /v1/batch`: rows of many keys, of any views, in one round trip, all as of one tick.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use eddy_schemas::{Cell, View};
use serde::Deserialize;

use super::problem::{self, Problem};
use super::{Shared, body, key, reads};
use crate::store::AsOf;

/// Keys of a batch at most.
pub const KEYS_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    keys: Vec<Asked>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    view: String,
    key: Key,
}

/// A key: its columns, or the one column bare.
#[derive(Deserialize)]
#[serde(untagged)]
enum Key {
    Bare(Part),
    Columns(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Text(String),
    Number(i64),
}

pub async fn batch(State(shared): State<Arc<Shared>>, head: HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Response, Problem> {
    let batch: Batch = body::read(&head, body, r#"{"keys":[{"view":"users","key":["reddit:spez"]}]}"#)?;
    if batch.keys.len() > KEYS_MAX {
        return Err(problem::BATCH.with(format!("{} keys; at most {KEYS_MAX} at a time", batch.keys.len())));
    }
    let asked = batch
        .keys
        .iter()
        .enumerate()
        .map(|(i, asked)| shared.read(asked).map_err(|problem| problem.of.with(format!("keys[{i}]: {}", problem.detail))));
    let asked: Vec<(&'static View, Option<Vec<Cell>>)> = asked.collect::<Result<_, _>>()?;
    shared.ready()?;
    let known: Vec<_> = asked.iter().filter_map(|(view, key)| Some((*view, key.clone()?))).collect();
    let AsOf { value, tick } = shared.store.get_many(&known).await?;
    let mut found = value.into_iter();
    let rows = asked.into_iter().map(|(view, key)| (view, key.and_then(|_| found.next().flatten()))).collect();
    let body = shared
        .write(rows, move |rows, out| {
            out.extend_from_slice(b"{\"rows\":[");
            out.extend_from_slice(rows);
            out.extend_from_slice(b"],\"as_of\":");
            reads::tick(tick, out);
            out.push(b'}');
        })
        .await?;
    Ok(reads::answer(StatusCode::OK, tick, None, body.into()))
}

impl Shared {
    /// The view and its key's cells; no cells where nothing here has that key.
    fn read(&self, asked: &Asked) -> Result<(&'static View, Option<Vec<Cell>>), Problem> {
        let view = self.built(&asked.view)?;
        let parts = match &asked.key {
            Key::Bare(part) => std::slice::from_ref(part),
            Key::Columns(parts) => parts,
        };
        if parts.len() != view.key.len() {
            let columns: Vec<_> = view.key.iter().map(|column| column.name).collect();
            return Err(problem::KEY.with(format!("a key of {} has the columns {}", view.name, columns.join(", "))));
        }
        let cells = view.key.iter().zip(parts).map(|(column, part)| match part {
            Part::Text(text) => key::cell(column, text),
            Part::Number(n) => key::cell(column, &n.to_string()),
        });
        // every column is read, so that a malformed one is told even where another is unknown
        let cells: Vec<Option<Cell>> = cells.collect::<Result<_, _>>()?;
        Ok((view, cells.into_iter().collect()))
    }
}
