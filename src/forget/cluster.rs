//! The same in a folder of `eddy work`: snapshots, frames and texts of all generations.
//!
//! ```text
//!   D/forgotten.json                              each process reads it when it starts
//!   D/generation-N/process-P/state/               frames rewritten: without the user's versions, dead letters scrubbed
//!   D/generation-N/process-P/snapshots/           one run, of the same kind
//!   D/generation-N/process-P/texts-W              blanks where no version points to any more
//!   D/old-M/process-P/...                         as above
//! ```
//!
//! All processes must have ended: their journals' locks are taken first.

use std::collections::BTreeSet;
use std::path::Path;

use eddy_schemas::Place;
use eddy_schemas::frame::Head;
use eddy_schemas::parse::known::Known;
use eddy_schemas::scrub::Person;
use eddy_schemas::stored;

use super::{Done, Error, Without, goes, list, scrub_letter};
use crate::engine::durable;
use crate::engine::snapshot::Snapshots;
use crate::journal::{self, Journal};
use crate::spool::Spool;
use crate::work;

/// Whether a folder is one of `eddy work`.
pub fn is_one(folder: &Path) -> bool {
    work::has_state(folder)
}

pub fn run(folder: &Path, person: &Person) -> Result<Done, Error> {
    let kept = work::kept(folder).map_err(|e| Error::Cluster(e.to_string()))?;
    let there = |name: &'static str| kept.processes.iter().map(move |process| process.join(name)).filter(|path| path.is_dir());
    let journals = there("state").map(|path| Journal::open(&path, journal::Config::default())).collect::<Result<Vec<_>, _>>()?;
    let mut done = Done { is_new: list(folder, person)?, ..Done::default() };
    let (mut places, mut known) = (BTreeSet::new(), Known::default());
    for journal in &journals {
        journal.rewrite(|number, payload| {
            let without = frame(payload, person, &mut places, &mut known, &mut done);
            without.map_err(|source| durable::Error::Frame { path: journal.path().display().to_string(), number, source })
        })?;
    }
    let mut without = Without { person, done: &mut done, places, known };
    for path in there("snapshots") {
        Snapshots::open(&path)?.rewrite_runs(&mut without)?;
    }
    let places = without.places;
    for (number, path) in kept.spools.into_iter().filter(|(_, path)| path.is_file()) {
        let failed = |source| Error::Texts { path: path.clone(), source };
        let spool = Spool::open(&path).map_err(failed)?;
        done.texts += spool.blank(|at| places.contains(&Place::new(number, at))).map_err(failed)?;
    }
    Ok(done)
}

/// A frame without the person; none where it has nothing of one. The places of what stays are added.
fn frame(
    payload: &[u8],
    person: &Person,
    places: &mut BTreeSet<Place>,
    known: &mut Known,
    done: &mut Done,
) -> Result<Option<Vec<u8>>, eddy_schemas::frame::Error> {
    let (mut head, mut rows) = Head::decode(payload)?;
    let (mut kept, mut changed) = (vec![], false);
    while !rows.is_empty() {
        let (row, rest) = stored::split(rows)?;
        match goes(row, person, known)? {
            None => {
                done.versions += 1;
                changed = true;
            }
            Some(place) => {
                places.insert(place);
                stored::slice(row, &mut kept);
            }
        }
        rows = rest;
    }
    for letter in &mut head.letters {
        let bytes = serde_json::to_vec(letter).expect("a dead letter is JSON");
        if let Some(scrubbed) = scrub_letter(&bytes, person) {
            *letter = serde_json::from_slice(&scrubbed).expect("it was just written");
            done.dead_letters += 1;
            changed = true;
        }
    }
    let mut without = vec![];
    head.encode(&mut without);
    without.extend_from_slice(&kept);
    Ok(changed.then_some(without))
}
