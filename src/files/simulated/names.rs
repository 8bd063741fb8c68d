//! Which names there are: as processes see them, and as they are on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

#[derive(Default)]
pub struct Names {
    folders: BTreeSet<PathBuf>,
    seen: BTreeMap<PathBuf, u64>,
    disk: BTreeMap<PathBuf, u64>,
    pending: Vec<Change>,
}

/// A change of names.
#[derive(Clone)]
pub enum Change {
    Made {
        path: PathBuf,
        file: u64,
    },
    Renamed {
        from: PathBuf,
        to: PathBuf,
        file: u64,
    },
    Removed {
        path: PathBuf,
    },
    /// A folder.
    Moved {
        from: PathBuf,
        to: PathBuf,
    },
}

impl Change {
    fn folder(&self) -> Option<&Path> {
        match self {
            Change::Made { path, .. } | Change::Removed { path } => path.parent(),
            Change::Renamed { to, .. } | Change::Moved { to, .. } => to.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Change::Made { path, file } => drop(names.insert(path.clone(), *file)),
            Change::Renamed { from, to, file } => {
                // If only this one reaches the disk, the old name was never there.
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            Change::Removed { path } => drop(names.remove(path)),
            Change::Moved { from, to } => {
                let moved = std::mem::take(names).into_iter();
                names.extend(moved.map(|(path, file)| (under(&path, from, to).unwrap_or(path), file)));
            }
        }
    }
}

/// A path under a folder that has another name.
fn under(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    // (Joining nothing would add a slash.)
    path.strip_prefix(from).ok().map(|rest| if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) })
}

impl Names {
    pub fn file(&self, path: &Path) -> Option<u64> {
        self.seen.get(path).copied()
    }

    /// Files that have a name.
    pub fn files(&self) -> BTreeSet<u64> {
        self.seen.values().copied().collect()
    }

    pub fn paths(&self) -> impl Iterator<Item = (&PathBuf, u64)> {
        self.seen.iter().map(|(path, file)| (path, *file))
    }

    pub fn is_folder(&self, folder: &Path) -> bool {
        self.folders.contains(folder)
    }

    pub fn make_folder(&mut self, folder: &Path) {
        self.folders.extend(folder.ancestors().map(Path::to_owned));
    }

    pub fn of(&self, folder: &Path) -> io::Result<Vec<String>> {
        if !self.is_folder(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let within = |path: &&PathBuf| path.parent() == Some(folder);
        let files = self.seen.keys().filter(within);
        let mut names: Vec<_> = files.chain(self.folders.iter().filter(within)).filter_map(|path| path.file_name()).collect();
        names.sort_unstable();
        Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
    }

    pub fn change(&mut self, change: Change) -> io::Result<()> {
        if !change.folder().is_some_and(|folder| self.is_folder(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Change::Moved { from, to } = &change {
            for within in self.pending.extract_if(.., |change| change.folder().is_some_and(|folder| folder.starts_with(from))) {
                within.apply(&mut self.disk);
            }
            let moved = std::mem::take(&mut self.folders).into_iter();
            self.folders.extend(moved.map(|folder| under(&folder, from, to).unwrap_or(folder)));
        }
        change.apply(&mut self.seen);
        self.pending.push(change);
        Ok(())
    }

    pub fn remove_folder(&mut self, folder: &Path) {
        self.folders.retain(|other| !other.starts_with(folder));
    }

    pub fn sync(&mut self, folder: &Path) -> io::Result<()> {
        if !self.is_folder(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        for change in self.pending.extract_if(.., |change| change.folder() == Some(folder)) {
            change.apply(&mut self.disk);
        }
        Ok(())
    }

    /// Keeps any of what is pending.
    pub fn power_cut(&mut self, random: &mut Xoshiro256PlusPlus) {
        let all = random.random_range(0..4);
        for change in std::mem::take(&mut self.pending) {
            if all == 0 || (all > 1 && random.random()) {
                change.apply(&mut self.disk);
            } else if let Change::Moved { to, .. } = &change {
                self.folders.retain(|folder| !folder.starts_with(to));
            }
        }
        self.seen.clone_from(&self.disk);
        // Folders whose new name, or end, has not come to the disk.
        let folders: Vec<_> = self.seen.keys().flat_map(|path| path.ancestors().skip(1)).map(Path::to_owned).collect();
        self.folders.extend(folders);
    }
}
