//! The folder of a local store: what `file:///folder` names, and where it may not be.
//!
//! A store that is the state's own folder, or in it, or around it, goes with the folder that it is to outlive; and each would sweep what it does not
//! know of the other.

use std::path::{Component, Path, PathBuf};

use url::Url;

/// What `file:///a%20folder` names; none where it is no such address.
pub fn folder(url: &str) -> Option<PathBuf> {
    let url = Url::parse(url).ok()?;
    // What stands after a `?` or `#` of a name would be lost: it is written %3F, %23.
    let is_path = url.query().is_none() && url.fragment().is_none() && has_whole_bytes(url.path());
    is_path.then(|| url.to_file_path().ok()).flatten()
}

/// Each `%` begins a byte, as `%2F` does. (What does not would be taken as it stands.)
fn has_whole_bytes(path: &str) -> bool {
    let mut after = path.split('%').skip(1).map(str::as_bytes);
    after.all(|after| after.len() >= 2 && after[..2].iter().all(u8::is_ascii_hexdigit))
}

/// An error that says how the two lie, where they are not apart.
pub fn is_apart(store: &Path, state: &Path) -> Result<(), &'static str> {
    let (store, state) = (real(store), real(state));
    if store == state {
        Err("it is --data-dir itself")
    } else if store.starts_with(&state) {
        Err("it is in --data-dir, and would be lost with it")
    } else if state.starts_with(&store) {
        Err("--data-dir is in it")
    } else {
        Ok(())
    }
}

/// A path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let (mut there, mut rest) = (std::path::absolute(path).unwrap_or_else(|_| path.into()), vec![]);
    loop {
        if let Ok(real) = there.canonicalize() {
            there = real;
            break;
        }
        match there.components().next_back() {
            Some(last @ (Component::Normal(_) | Component::ParentDir)) => rest.push(last.as_os_str().to_owned()),
            _ => break,
        }
        there.pop();
    }
    for name in rest.into_iter().rev() {
        if name == ".." {
            there.pop();
        } else {
            there.push(name);
        }
    }
    there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_decoded_as_addresses_are() {
        let named = |url| folder(url).map(|folder| folder.display().to_string());
        assert_eq!(named("file:///a/b").as_deref(), Some("/a/b"));
        assert_eq!(named("file:///a%20b/c%25").as_deref(), Some("/a b/c%"));
        assert_eq!(named("file:///a b/../\u{e9}").as_deref(), Some("/\u{e9}"));
        assert_eq!(["file:///a#b", "file:///a?b", "file:///a%zz", "file:///a%2", "file://host/a", "/a"].map(named), [const { None }; 6]);
    }

    #[test]
    fn what_is_one_folder_or_in_one_is_not_apart_by_whichever_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("data")).expect("room");
        std::os::unix::fs::symlink(at("data"), at("link")).expect("room");
        let way = |store: &Path| is_apart(store, &at("data")).err().unwrap_or("apart");
        let (itself, inside, around) = ("it is --data-dir itself", "it is in --data-dir, and would be lost with it", "--data-dir is in it");
        assert_eq!(["data", "link", "link/../data", "new/../data"].map(|name| way(&at(name))), [itself; 4]);
        assert_eq!(["data/store", "link/a/b"].map(|name| way(&at(name))), [inside; 2]);
        assert_eq!([way(dir.path()), way(Path::new("/"))], [around; 2]);
        assert_eq!(["store", "data2", "data/../store", "new/data"].map(|name| way(&at(name))), ["apart"; 4]);
    }
}
