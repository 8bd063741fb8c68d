//! What comes out of the engines: each process keeps the rows of its own workers until the end; then process 0 is given all.
//!
//! Dead letters go to process 0 as they come. Whatever others say to it is taken at any time, also while its own engine ends: they may wait
//! for it, and it for them.

use crossbeam_channel::{Receiver, never, select};
use eddy_schemas::control::DeadLetter;
use eddy_schemas::parse::known::Known;
use eddy_schemas::{Cell, cells, stored};

use super::words::{self, Word};
use crate::cli::Error;
use crate::cluster::Links;
use crate::engine::Output;
use crate::replay::sink::Collected;
use crate::sink::tables::Table;

/// Bytes of rows that are said at once.
const ROWS_BYTES: usize = 1 << 20;

/// What others say to process 0.
pub(super) enum Gathered {
    Letter(DeadLetter),
    Rows { view: String, rows: Vec<u8> },
    Part(words::Part),
}

/// Takes outputs until the engine ends; in process 0 also all that the others say, with their parts of the summary.
pub(super) fn collect(
    part: super::Part,
    outputs: &Receiver<Output>,
    gathered: &Receiver<Gathered>,
) -> Result<(Collected, Vec<words::Part>), Error> {
    let mut collected = Collected::new(part.replay)?;
    if !part.is_first() {
        for output in outputs {
            match output {
                Output::Dead { letter, .. } => part.links.say(0, &Word::Dead(letter).encode()),
                output => collected.take(output)?,
            }
        }
        return Ok((collected, vec![]));
    }
    let (others, mut parts, mut known) = (part.links.others().count(), vec![], Known::new());
    let (nothing, mut running) = (never(), true);
    while running || parts.len() < others {
        select! {
            recv(if running { outputs } else { &nothing }) -> output => match output {
                Ok(output) => collected.take(output)?,
                Err(_) => running = false,
            },
            recv(gathered) -> said => match said.expect("whoever hears words lives as long as the process") {
                Gathered::Letter(letter) => collected.letter(&letter)?,
                Gathered::Rows { view, rows } => add(collected.table(&view), &rows, &mut known),
                Gathered::Part(part) => parts.push(part),
            },
        }
    }
    Ok((collected, parts))
}

/// Says all rows, then what else there is to be said.
pub(super) fn hand_over(links: &Links, tables: &[Table], part: words::Part) {
    for table in tables {
        let mut rows = vec![];
        let say = |rows: &mut Vec<u8>| {
            let word = Word::Rows { view: table.view().name.into(), rows: std::mem::take(rows) };
            links.say(0, &word.encode());
        };
        table.each(|row| {
            row.iter().for_each(|cell| cells::write(*cell, &mut rows));
            if rows.len() >= ROWS_BYTES {
                say(&mut rows);
            }
        });
        say(&mut rows);
    }
    links.say(0, &Word::Ended(part).encode());
}

fn add(table: &mut Table, rows: &[u8], known: &mut Known) {
    let (view, mut reader) = (table.view(), stored::Reader::new(rows));
    while !reader.is_empty() {
        let row: Result<Vec<Cell>, _> = view.all_columns().map(|column| cells::read(column, &mut reader, known)).collect();
        table.insert(&row.expect("processes of one version write the same rows"));
    }
}

/// The counts and names of all processes together.
pub(super) fn whole(parts: impl IntoIterator<Item = words::Part>) -> words::Part {
    parts.into_iter().fold(words::Part { peak_rss_bytes: Some(0), ..words::Part::default() }, |mut whole, part| {
        whole.counts.add(&part.counts);
        whole.incomplete.extend(part.incomplete);
        whole.peak_rss_bytes = whole.peak_rss_bytes.zip(part.peak_rss_bytes).map(|(all, one)| all + one);
        whole
    })
}
