//! Showing: rows of a running eddy, for people and for scripts.
//!
//! ```text
//!   GET /v1/views --> the view's columns
//!   GET /v1/views/{view}?key= --pages--> table | JSON lines
//! ```
//!
//! It knows no view: what there is, and what its columns are, the running eddy says.

mod server;
mod table;

use std::io::{ErrorKind, Write};

use serde_json::Value;

use crate::cli::Error;
use crate::clock::utc;
use server::{Server, View};
use table::Table;

/// Rows asked for at once: a page of long texts stays small.
const PAGE_ROWS: usize = 200;
/// Names that are less alike are not suggested.
const ALIKE_MIN: f64 = 0.7;

/// What is to be shown.
pub struct Job {
    /// Such as `http://127.0.0.1:8080`.
    pub url: String,
    pub view: String,
    /// The first columns of the key.
    pub key: Vec<String>,
    pub limit: usize,
    pub form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Aligned columns under a header; `cut`: long texts end in `…`.
    Table {
        cut: bool,
    },
    Json,
}

/// Writes the rows to `out`, and as of when they are to `messages`.
pub fn run(job: &Job, out: &mut impl Write, messages: &mut impl Write) -> Result<(), Error> {
    match show(job, out, messages) {
        // Who reads has seen enough: `eddy show messages | head`.
        Err(Ended::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Ended::Write(error)) => Err(Error::failed("the rows could not be written", error)),
        Err(Ended::Asked(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

enum Ended {
    Asked(Error),
    Write(std::io::Error),
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Ended::Asked(error)
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Self {
        Ended::Write(error)
    }
}

fn show(job: &Job, out: &mut impl Write, messages: &mut impl Write) -> Result<(), Ended> {
    let server = Server::new(&job.url);
    let view = chosen(server.views()?, job)?;
    let (mut shown, mut cursor, mut as_of, mut table) = (0, None, None, None);
    loop {
        let page = server.page(&view.name, &job.key, PAGE_ROWS.min(job.limit - shown), cursor.as_deref())?;
        shown += page.rows.len();
        // The first page's: later ones are at least as new.
        let tick = *as_of.get_or_insert(page.as_of);
        match job.form {
            Form::Json => json(&page.rows, out)?,
            // Columns are as wide as the first page needs: any number of rows can be shown without being held.
            Form::Table { cut } => match &table {
                None => table.insert(Table::new(&view, &page.rows, cut)).write(true, &page.rows, out)?,
                Some(table) => table.write(false, &page.rows, out)?,
            },
        }
        cursor = page.next;
        if cursor.is_none() || shown >= job.limit {
            out.flush()?;
            let more = if cursor.is_some() { ", and there are more (--limit)" } else { "" };
            let rows = if shown == 1 { "row" } else { "rows" };
            // What is said about the rows matters less than that they are there.
            let _ = match tick {
                Some(tick) => writeln!(messages, "{shown} {rows} as of {}{more}", utc(tick)),
                None => writeln!(messages, "nothing yet: no record has been counted"),
            };
            return Ok(());
        }
    }
}

fn json(rows: &[Value], out: &mut impl Write) -> std::io::Result<()> {
    rows.iter().try_for_each(|row| writeln!(out, "{row}"))
}

/// The view that was asked for, if its key can be what was given.
fn chosen(views: Vec<View>, job: &Job) -> Result<View, Error> {
    let names = views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>().join(", ");
    let alike = |name: &str| strsim::jaro_winkler(name, &job.view);
    let nearest = views.iter().map(|view| view.name.clone()).max_by(|a, b| alike(a).total_cmp(&alike(b)));
    let Some(view) = views.into_iter().find(|view| view.name == job.view) else {
        let suggestion = nearest.filter(|name| alike(name) >= ALIKE_MIN).map(|name| format!(" (did you mean `{name}`?)"));
        return Err(Error::Usage(format!("no view is called `{}`{}: there are {names}", job.view, suggestion.unwrap_or_default())));
    };
    if job.key.len() > view.key.len() {
        let columns = view.key.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(" ");
        return Err(Error::Usage(format!("{} values were given for the key, and that of {} is: {columns}", job.key.len(), view.name)));
    }
    Ok(view)
}
