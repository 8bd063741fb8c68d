//! `/v1/views`: what views there are, and the rows of any, also of those that have no route of their own.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use eddy_schemas::{Cell, Column, Kind, View};
use serde::Serialize;

use super::problem::{self, Problem};
use super::{Shared, key, reads, route};
use crate::telemetry::letters::cut;

#[derive(Serialize)]
struct Listed {
    views: Vec<Described>,
}

#[derive(Serialize)]
struct Described {
    name: &'static str,
    means: &'static str,
    /// Whether its rows can be read here.
    built: bool,
    /// Its own route, where it has one.
    route: Option<String>,
    key: Vec<Field>,
    columns: Vec<Field>,
}

#[derive(Serialize)]
struct Field {
    name: &'static str,
    kind: Kind,
    nullable: bool,
    means: &'static str,
}

impl Field {
    fn of(column: &'static Column) -> Field {
        Field { name: column.name, kind: column.kind, nullable: column.nullable, means: column.means.trim() }
    }
}

impl Described {
    fn of(view: &'static View, built: bool) -> Described {
        Described {
            name: view.name,
            means: view.means.trim(),
            built,
            route: route(view),
            key: view.key.iter().map(Field::of).collect(),
            columns: view.columns.iter().map(Field::of).collect(),
        }
    }
}

/// `/v1/views`: every view, with its columns.
pub async fn list(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let built = shared.views.iter().map(|view| Described::of(view, true));
    let views = built.chain(shared.not_built.iter().map(|view| Described::of(view, false)));
    ([(header::CACHE_CONTROL, "no-cache")], Json(Listed { views: views.collect() }))
}

/// `/v1/views/{view}?key=`: rows whose key starts with the columns given, a page at a time; without any, all rows.
pub async fn rows(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|rejection| problem::NOT_BUILT.with(rejection.body_text()))?;
    let view = shared.built(&name)?;
    let Query(query) = query.map_err(|rejection| problem::QUERY.with(rejection.body_text()))?;
    let asked = Asked::read(&query)?;
    let prefix = asked.prefix(view)?;
    let limit = reads::read_limit(asked.limit)?;
    let list = asked.key.join("\0");
    let cursor = asked.cursor.map(|text| shared.scope.read(view, &list, text)).transpose()?;
    shared.ready()?;
    let unknown = |tick| {
        let key = asked.key.join(", ");
        problem::NO_ROW.with(format!("{} has no row of {} {}", view.name, cut(&key, 80), reads::said(tick)))
    };
    let Some(prefix) = prefix else { return Err(unknown(shared.tick().await?)) };
    let page = shared.store.scan(view, &prefix, cursor.as_deref(), limit).await?;
    if page.value.rows.is_empty() && cursor.is_none() && !prefix.is_empty() {
        let is_whole = prefix.len() == view.key.len();
        if is_whole || !shared.is_known(view, prefix[0]).await? {
            return Err(unknown(page.tick));
        }
    }
    shared.page(view, &list, page).await
}

/// The query; parameters that are not ours are left alone, as on the other routes.
#[derive(Default)]
struct Asked<'q> {
    key: Vec<&'q str>,
    limit: Option<&'q str>,
    cursor: Option<&'q str>,
}

impl<'q> Asked<'q> {
    fn read(query: &'q [(String, String)]) -> Result<Self, Problem> {
        let mut asked = Asked::default();
        for (name, value) in query {
            let once = match name.as_str() {
                "key" => {
                    asked.key.push(value);
                    continue;
                }
                "limit" => &mut asked.limit,
                "cursor" => &mut asked.cursor,
                _ => continue,
            };
            if once.replace(value).is_some() {
                return Err(problem::QUERY.with(format!("{name} is given twice")));
            }
        }
        Ok(asked)
    }

    /// The cells of the key's first columns; none where nothing here has that key.
    fn prefix(&self, view: &View) -> Result<Option<Vec<Cell>>, Problem> {
        if self.key.len() > view.key.len() {
            let columns: Vec<_> = view.key.iter().map(|column| column.name).collect();
            return Err(problem::KEY.with(format!("a key of {} has the columns {}, one `key` each", view.name, columns.join(", "))));
        }
        let cells: Vec<Option<Cell>> =
            view.key.iter().zip(&self.key).map(|(column, text)| key::cell(column, text)).collect::<Result<_, _>>()?;
        Ok(cells.into_iter().collect())
    }
}
