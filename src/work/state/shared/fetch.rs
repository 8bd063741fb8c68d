//! Fetching: the newest generation of a store becomes that of a folder which has none, or an older one.
//!
//! ```text
//!   D/fetched-generation-000002/...   D/fetched-old-000001/...       made whole, and looked at
//!   D/generation-000001.json, generation-000001/, old-.../           removed: what was there is older
//!   D/generation-000002/   D/old-000001/                             renamed, and, as the last of all,
//!   D/generation-000002.json
//! ```
//!
//! If we crash before the last, the next start does all of it again.
//!
//! A store is listed in pieces, while somebody may still be shipping to it. So it is listed again when all is here, until both lists are the
//! same: then nothing was put or removed in between, and what is here was there at one moment. Texts are listed after that; they only grow.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Manifest, manifest_path, number_of, position, process_folder, taken_folder, unreadable};
use super::ship::PIECES_MAX;
use super::{Error, Shared, names};
use crate::cli;
use crate::engine::snapshot::adopt::Source;
use crate::files::{Files, Open};
use crate::pause;

/// How often it is begun again because somebody was shipping, and after what time: a pass of whoever was superseded is over then.
const TRIES_MAX: usize = 20;
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Names begin so until what has them is in its place.
const BESIDE: &str = "fetched-";

/// An object of a file: its name and range, and how much of it is left out.
type Part = (String, Range<u64>, u64);

pub(super) fn written(path: &Path) -> impl FnOnce(io::Error) -> Error {
    Error::disk("write", path)
}

impl Shared {
    /// Makes the folder what the newest manifest says.
    pub fn fetch(&self, files: &Arc<dyn Files>, folder: &Path) -> Result<(), cli::Error> {
        let (bytes, manifest) = self.fetch_beside(&**files, folder).map_err(self.failed())?;
        look(files, folder, &manifest).map_err(|e| unreadable(&e))?;
        place(&**files, folder, &bytes, &manifest).map_err(self.failed())?;
        pause::at("fetched");
        Ok(())
    }

    fn fetch_beside(&self, files: &dyn Files, folder: &Path) -> Result<(Vec<u8>, Manifest), Error> {
        for _ in 0..TRIES_MAX {
            sweep(files, folder, |name| name.starts_with(BESIDE))?;
            let newest = self.newest_manifest()?;
            let fetched = self.manifest(newest).and_then(|manifest| {
                let below = names::generation(newest);
                let listed = self.store.list(&below)?;
                self.copy(files, folder, newest, listed.iter().map(|object| &object.name))?;
                let is_same = self.store.list(&below)? == listed && self.newest_manifest()? == newest;
                Ok(is_same.then_some(manifest))
            });
            match fetched {
                Ok(Some((bytes, manifest))) => {
                    for generation in manifest.since..=newest {
                        let texts = self.store.list(&names::texts(generation))?;
                        self.copy(files, folder, newest, texts.iter().map(|object| &object.name))?;
                    }
                    return Ok((bytes, manifest));
                }
                Ok(None) => {}
                Err(e) if e.is_gone() => {}
                Err(e) => return Err(e),
            }
            std::thread::sleep(TRY_AGAIN);
        }
        let path = Path::new(&self.url);
        Err(Error::disk("read", path)(io::Error::other("it changes all the time: stop whoever writes it")))
    }

    /// Makes files of objects, beside their places.
    fn copy<'a>(&self, files: &dyn Files, folder: &Path, newest: u64, objects: impl Iterator<Item = &'a String>) -> Result<(), Error> {
        let mut ranges: BTreeMap<&str, Vec<Range<u64>>> = BTreeMap::new();
        let mut made: BTreeMap<PathBuf, Vec<Part>> = BTreeMap::new();
        for object in objects {
            match names::of_part(object) {
                (file, Some(range)) => ranges.entry(file).or_default().push(range),
                (file, None) => drop(here(file, newest).map(|path| made.insert(path, vec![(object.clone(), 0..u64::MAX, 0)]))),
            }
        }
        for (file, ranges) in ranges {
            let (Some(path), Some(parts)) = (here(file, newest), names::whole(ranges)) else { continue };
            let parts = parts.into_iter().map(|(range, before)| (names::part(file, &range), range, before));
            made.insert(path, parts.collect());
        }
        for (path, parts) in made {
            self.write_file(files, &folder.join(path), &parts)?;
        }
        Ok(())
    }

    fn write_file(&self, files: &dyn Files, path: &Path, parts: &[Part]) -> Result<(), Error> {
        let parent = path.parent().expect("it is in a folder");
        files.make_folder(parent).map_err(written(path))?;
        let file = files.open(path, Open::New).map_err(written(path))?;
        let mut at = 0;
        for some in parts.chunks(PIECES_MAX) {
            let all = self.store.get_all(&some.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>())?;
            for ((name, range, before), bytes) in some.iter().zip(all) {
                let is_cut = range.end != u64::MAX && bytes.len() as u64 != range.end - range.start;
                let Some(bytes) = bytes.get(*before as usize..).filter(|_| !is_cut) else {
                    return Err(Error::Damaged { name: name.clone(), source: None });
                };
                file.write_at(bytes, at).map_err(written(path))?;
                at += bytes.len() as u64;
            }
        }
        file.sync().and_then(|()| files.sync_folder(parent)).map_err(written(path))
    }
}

/// Where a file goes, beside its place; none: it is not one that is known.
fn here(name: &str, newest: u64) -> Option<PathBuf> {
    let (top, rest) = name.split_once('/')?;
    if let Some(generation) = number_of(top, "texts-", "") {
        let of = if generation == newest { names::generation(newest) } else { format!("old-{generation:06}") };
        return Some(Path::new(&format!("{BESIDE}{of}")).join(rest));
    }
    number_of(top, "generation-", "")?;
    match rest.split_once('/') {
        Some((old, rest)) if number_of(old, "old-", "").is_some() => Some(Path::new(&format!("{BESIDE}{old}")).join(rest)),
        _ => Some(Path::new(&format!("{BESIDE}{top}")).join(rest)),
    }
}

/// All that will be read of it is there, and is what it says.
fn look(files: &Arc<dyn Files>, folder: &Path, manifest: &Manifest) -> Result<(), crate::engine::durable::Error> {
    let beside = |name: PathBuf| folder.join(format!("{BESIDE}{}", name.display()));
    let generation = beside(names::generation(manifest.generation).into());
    let look = |process| Source::look(files, &process_folder(&generation, process), position::share(manifest.processes), u64::MAX);
    let own = (0..manifest.processes).map(look).collect::<Result<Vec<_>, _>>()?;
    let mut adopted: Vec<bool> = own.iter().map(|source| source.snapshots.manifest.adopted).collect();
    if manifest.keep().is_some() {
        let least = own.iter().map(|source| source.snapshots.manifest.tick).min().expect("some process");
        own.into_iter().try_for_each(|source| source.together(least, manifest.generation).map(drop))?;
        adopted.fill(least > 0);
    }
    // What has been adopted may be on its way out.
    for (_, held) in manifest.held().into_iter().enumerate().filter(|(number, _)| !adopted[number % manifest.processes]) {
        held.look_in(files, &beside(taken_folder(Path::new(""), held.generation)))?;
    }
    Ok(())
}

/// Puts what has been fetched in the place of what was there.
fn place(files: &dyn Files, folder: &Path, bytes: &[u8], manifest: &Manifest) -> Result<(), Error> {
    let is_state = |name: &str| {
        let of = |before, after| number_of(name, before, after).is_some();
        of("generation-", ".json") || of("generation-", "") || of("old-", "")
    };
    sweep(files, folder, is_state)?;
    let place = || {
        for name in files.names(folder)? {
            if let Some(own) = name.strip_prefix(BESIDE) {
                files.rename(&folder.join(&name), &folder.join(own))?;
            }
        }
        files.sync_folder(folder)?;
        let (path, beside) = (manifest_path(folder, manifest.generation), folder.join(format!("{BESIDE}manifest")));
        write(files, &beside, bytes)?;
        files.rename(&beside, &path)?;
        files.sync_folder(folder)
    };
    place().map_err(written(folder))
}

pub(super) fn write(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = files.open(path, Open::New)?;
    file.write_at(bytes, 0)?;
    file.sync()
}

/// Removes files and folders, records first: what they name is whole as long as they are there.
fn sweep(files: &dyn Files, folder: &Path, goes: impl Fn(&str) -> bool) -> Result<(), Error> {
    let sweep = || {
        let (records, folders): (Vec<_>, Vec<_>) =
            files.names(folder)?.into_iter().filter(|name| goes(name)).partition(|name| files.names(&folder.join(name)).is_err());
        for name in records {
            files.remove(&folder.join(name))?;
        }
        files.sync_folder(folder)?;
        folders.iter().try_for_each(|name| files.remove_folder(&folder.join(name)))
    };
    sweep().map_err(Error::disk("make room in", folder))
}
