//! Which state a folder and a store hold: the same one, or they are refused.
//!
//! ```text
//!   D/shared.json  { lineage, url }        URL/lineage.json  { format, lineage }
//!
//!   D has one, URL the same         --> good                      D has one, of a URL that is empty now --> it is made the mirror of D
//!   D has one, URL another, or none --> refused                   D has none and no state      --> D becomes one of URL's
//!                                                                 D has none, and a state      --> the same where URL holds nothing yet, else refused
//!
//!   URL's is damaged     --> an error that says to remove it: then it is made anew, that of D or another
//! ```
//!
//! Numbers of generations are claimed in the store, so that what is below a number has one writer. So a folder that belongs to a store is
//! refused where it is to be worked in without.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::{Manifest, begin, claim, unreadable};
use super::Shared;
use crate::cli;
use crate::files::Files;
use crate::record;

/// Of `D/shared.json`, and of all that is in a store. What is newer is refused.
const FORMAT: u32 = 1;
const FILE: &str = "shared.json";
const OBJECT: &str = "lineage.json";

#[derive(Serialize, Deserialize)]
struct Here {
    lineage: String,
    url: String,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct There {
    format: u32,
    lineage: String,
}

fn here(files: &dyn Files, folder: &Path) -> Result<Option<Here>, cli::Error> {
    record::read_in(files, &folder.join(FILE), FORMAT).map_err(|e| unreadable(&e.into()))
}

/// The store that a folder belongs to.
pub(in super::super) fn belongs(files: &dyn Files, folder: &Path) -> Result<Option<String>, cli::Error> {
    Ok(here(files, folder)?.map(|here| here.url))
}

impl Shared {
    /// Makes a folder and this store one state, where they can be.
    pub fn agree(&self, files: &dyn Files, folder: &Path) -> Result<(), cli::Error> {
        let (here, there) = (here(files, folder)?, self.there()?);
        let d = folder.display();
        let lineage = match (here, there) {
            (Some(here), Some(there)) if here.lineage == there => return Ok(()),
            (Some(here), Some(_)) => {
                let what = format!("the state in {d} is mirrored in {}, and {} holds another", here.url, self.url);
                return Err(cli::Error::Usage(format!("{what}: give that one, or another --data-dir")));
            }
            (Some(here), None) if here.url == self.url => here.lineage,
            (Some(here), None) => {
                let what = format!("the state in {d} is mirrored in {}, and {} holds nothing", here.url, self.url);
                return Err(cli::Error::Usage(format!("{what}: give that one, which is made anew where it is lost")));
            }
            (None, there) => {
                let has_state = claim::newest(files, folder).is_ok_and(|newest| newest > 0);
                if has_state && self.newest_manifest().map_err(self.failed())? > 0 {
                    let what = format!("the state in {d} is not the one in {}", self.url);
                    return Err(cli::Error::Usage(format!("{what}: give another --shared, or an empty --data-dir")));
                }
                let salt = || files.salt().map_err(|e| cli::Error::failed("no random number can be had", e));
                let new = || Ok::<_, cli::Error>(format!("{:08x}{:08x}{:08x}{:08x}", salt()?, salt()?, salt()?, salt()?));
                there.map_or_else(new, Ok)?
            }
        };
        self.make(&lineage)?;
        let failed = |e| cli::Error::failed(format!("{d} could not be written"), e);
        record::write_in(files, &folder.join(FILE), FORMAT, &Here { lineage, url: self.url.clone() }).map_err(failed)
    }

    fn there(&self) -> Result<Option<String>, cli::Error> {
        let Some(bytes) = self.store.get(OBJECT).map_err(self.failed())? else { return Ok(None) };
        let damaged = |_| {
            let what =
                format!("--shared {url}: {OBJECT} is damaged: remove {url}/{OBJECT}, and the same command makes it anew", url = self.url);
            cli::Error::Failed { what, source: None }
        };
        let there: There = serde_json::from_slice(&bytes).map_err(damaged)?;
        if there.format > FORMAT {
            let what = format!("{} has format {}, newer than {FORMAT} which this eddy reads: use a newer eddy", self.url, there.format);
            return Err(cli::Error::Usage(what));
        }
        Ok(Some(there.lineage))
    }

    fn make(&self, lineage: &str) -> Result<(), cli::Error> {
        let there = There { format: FORMAT, lineage: lineage.into() };
        let bytes = serde_json::to_vec(&there).expect("plain data");
        if self.store.create(OBJECT, &bytes).map_err(self.failed())? {
            return Ok(());
        }
        // The second of two starts at once.
        Err(cli::Error::Lost(format!("another cluster has begun with {}: start again", self.url)))
    }

    /// The newest manifest, where the folder has only older ones.
    pub fn ahead(&self, files: &dyn Files, folder: &Path) -> Result<Option<Manifest>, cli::Error> {
        let newest = self.newest_manifest().map_err(self.failed())?;
        let here = begin::last(files, folder)?.map_or(0, |last| last.generation);
        if newest <= here { Ok(None) } else { self.manifest(newest).map(|(_, manifest)| Some(manifest)).map_err(self.failed()) }
    }
}
