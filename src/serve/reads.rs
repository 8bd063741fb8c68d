//! One row, and lists of rows, of any view.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use eddy_schemas::{Cell, View};
use serde::Deserialize;

use super::problem::{self, Problem};
use super::{Shared, as_of, key, row};
use crate::store::{AsOf, Page, Stored};
use crate::telemetry::letters::cut;

/// Rows of a page unless asked otherwise.
pub const LIMIT: usize = 100;
/// Rows of a page at most.
pub const LIMIT_MAX: usize = 1000;

type Key = Result<Path<String>, PathRejection>;

#[derive(Deserialize)]
pub struct Paging {
    limit: Option<String>,
    cursor: Option<String>,
}

/// `/v1/users/{user}`: the row of a key.
pub async fn one(view: &'static View, State(shared): State<Arc<Shared>>, key: Key, head: HeaderMap) -> Result<Response, Problem> {
    let key = read_key(key)?;
    let cell = key::cell(&view.key[0], &key)?;
    shared.ready()?;
    let AsOf { value: stored, tick } = match cell {
        Some(cell) => shared.store.get(view, &[cell]).await?,
        None => AsOf { value: None, tick: shared.tick().await? },
    };
    let stored = stored.ok_or_else(|| problem::NO_ROW.with(format!("{} has no row of {:?} {}", view.name, cut(&key, 80), said(tick))))?;
    let etag = format!("\"{}-{}\"", view.name, stored.as_of);
    if matches(&head, &etag) {
        return Ok(answer(StatusCode::NOT_MODIFIED, tick, Some(&etag), Body::empty()));
    }
    let body = shared.write(vec![(view, Some(stored))], |rows, out| out.extend_from_slice(rows)).await?;
    Ok(answer(StatusCode::OK, tick, Some(&etag), body.into()))
}

/// `/v1/users/{user}/hours`: rows whose first key column is the key, a page at a time.
pub async fn many(
    view: &'static View,
    State(shared): State<Arc<Shared>>,
    key: Key,
    query: Result<Query<Paging>, QueryRejection>,
) -> Result<Response, Problem> {
    let key = read_key(key)?;
    let cell = key::cell(&view.key[0], &key)?;
    let Query(paging) = query.map_err(|rejection| problem::QUERY.with(rejection.body_text()))?;
    let limit = read_limit(paging.limit.as_deref())?;
    let cursor = paging.cursor.as_deref().map(|text| shared.scope.read(view, &key, text)).transpose()?;
    shared.ready()?;
    let unknown = |tick| problem::NO_ROW.with(format!("nothing is known of {:?} {}", cut(&key, 80), said(tick)));
    let Some(cell) = cell else { return Err(unknown(shared.tick().await?)) };
    let page = shared.store.scan(view, &[cell], cursor.as_deref(), limit).await?;
    if page.value.rows.is_empty() && cursor.is_none() && !shared.is_known(view, cell).await? {
        return Err(unknown(page.tick));
    }
    shared.page(view, &key, page).await
}

impl Shared {
    /// Before the engine is ready its views are half built: no reads.
    pub fn ready(&self) -> Result<(), Problem> {
        if self.telemetry.is_ready() {
            Ok(())
        } else {
            Err(problem::NOT_READY.with("it is restoring its state; /health says how each component is".into()))
        }
    }

    /// The tick of an answer that needs no row.
    pub async fn tick(&self) -> Result<u64, Problem> {
        Ok(self.store.get_many(&[]).await?.tick)
    }

    /// A page of the list of `key`.
    pub async fn page(self: &Arc<Self>, view: &'static View, key: &str, page: AsOf<Page>) -> Result<Response, Problem> {
        let AsOf { value: page, tick } = page;
        let next = page.next.map(|next| self.scope.write(view, key, &next));
        let rows = page.rows.into_iter().map(|stored| (view, Some(stored))).collect();
        let body = self
            .write(rows, move |rows, out| {
                out.extend_from_slice(b"{\"rows\":[");
                out.extend_from_slice(rows);
                out.extend_from_slice(b"],\"next\":");
                match &next {
                    Some(next) => row::string(next, out),
                    None => out.extend_from_slice(b"null"),
                }
                out.extend_from_slice(b",\"as_of\":");
                self::tick(tick, out);
                out.push(b'}');
            })
            .await?;
        Ok(answer(StatusCode::OK, tick, None, body.into()))
    }

    /// A key with an empty list: its own row (`/v1/users/{user}`) says whether it exists.
    pub async fn is_known(&self, view: &'static View, key: Cell) -> Result<bool, Problem> {
        let eddy_schemas::Path::Many(base, _) = view.path else { return Ok(true) };
        match self.views.iter().copied().find(|view| view.path == eddy_schemas::Path::One(base)) {
            Some(own) => Ok(self.store.get(own, &[key]).await?.value.is_some()),
            None => Ok(true),
        }
    }

    /// Rows as JSON, with commas between, in what `around` puts around them. Off the async threads where the log is read.
    pub async fn write(
        self: &Arc<Self>,
        rows: Vec<(&'static View, Option<Stored>)>,
        around: impl FnOnce(&[u8], &mut Vec<u8>) + Send + 'static,
    ) -> Result<Vec<u8>, Problem> {
        let shared = self.clone();
        let reads_log = rows.iter().any(|(view, stored)| stored.is_some() && row::has_text(view));
        let write = move || -> Result<Vec<u8>, Problem> {
            let mut written = Vec::with_capacity(rows.len() * 200);
            for (i, (view, stored)) in rows.iter().enumerate() {
                if i > 0 {
                    written.push(b',');
                }
                match stored {
                    Some(stored) => row::write(view, stored, &*shared.texts, &mut written)?,
                    None => written.extend_from_slice(b"null"),
                }
            }
            let mut out = Vec::with_capacity(written.len() + 128);
            around(&written, &mut out);
            Ok(out)
        };
        if reads_log { tokio::task::spawn_blocking(write).await.expect("writing rows does not panic") } else { write() }
    }
}

/// A tick as JSON.
pub fn tick(tick: u64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &as_of(tick)).expect("a number serializes and a vector takes it");
}

/// A tick as people read it in a problem.
pub fn said(tick: u64) -> String {
    as_of(tick).map_or_else(|| "yet: nothing has been counted".into(), |tick| format!("as of tick {tick}"))
}

fn read_key(key: Key) -> Result<String, Problem> {
    match key {
        Ok(Path(key)) => Ok(key),
        Err(rejection) => Err(problem::KEY.with(rejection.body_text())),
    }
}

pub fn read_limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(LIMIT) };
    match text.parse() {
        Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        _ => Err(problem::QUERY.with(format!("limit is a whole number from 1 to {LIMIT_MAX}"))),
    }
}

/// If-None-Match names this tag, or any. A weak tag of ours still names the same row.
fn matches(head: &HeaderMap, etag: &str) -> bool {
    let mut lines = head.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.any(|line| line.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag))
}

/// An answer whose rows are all as of a tick.
pub fn answer(status: StatusCode, tick: u64, etag: Option<&str>, body: Body) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], body).into_response();
    let headers = response.headers_mut();
    if let Some(tick) = as_of(tick) {
        headers.insert("eddy-tick", HeaderValue::from(tick));
    }
    if let Some(etag) = etag {
        headers.insert(header::ETAG, HeaderValue::from_str(etag).expect("view names are ASCII"));
    }
    response
}
