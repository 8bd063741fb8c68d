//! The objects of a store behind calls that wait: a local folder or S3, through the crate `object_store`.
//!
//! # Invariants
//! 1. An object is there whole or not at all; what has been put is found by whoever looks later.
//! 2. Of all who `create` a name exactly one makes it.
//! 3. Every call ends: a request is tried again a bounded number of times, for a bounded time, by the crate itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Place;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use super::{Error, local};
use crate::cli;

/// A request is tried again so often, and no longer than this after it was made first.
const TRIES_AGAIN_MAX: usize = 5;
const TRY_AGAIN_MAX: Duration = Duration::from_secs(20);
/// Between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What is known of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    pub name: String,
    pub bytes: u64,
    /// It is another where the object is.
    tag: Option<String>,
}

pub struct Store {
    runtime: Runtime,
    inner: Arc<dyn ObjectStore>,
    /// Names are below it.
    prefix: Place,
    /// Where a local one is.
    folder: Option<PathBuf>,
}

impl Store {
    /// The store that an address names: a local one neither holds `away` nor is in it, which it is to outlive.
    pub fn open(url: &str, away: &Path) -> Result<Store, cli::Error> {
        let usage =
            || cli::Error::Usage(format!("--shared {url}: it looks like file:///folder (a `%` is written `%25`) or s3://bucket/prefix"));
        let failed = |e: &dyn std::error::Error| cli::Error::Usage(format!("--shared {url} cannot be used: {}", cli::chain(e)));
        if url.starts_with("file:///") {
            let folder = local::folder(url).ok_or_else(usage)?;
            local::is_apart(&folder, away).map_err(|what| cli::Error::Usage(format!("--shared {url}: {what}: give a folder elsewhere")))?;
            std::fs::create_dir_all(&folder).map_err(|e| failed(&e))?;
            let inner = LocalFileSystem::new_with_prefix(&folder).map_err(|e| failed(&e))?.with_fsync(true);
            return Store::of(Arc::new(inner), Place::ROOT, Some(folder));
        }
        let (bucket, prefix) = url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or_else(usage)?;
        if bucket.is_empty() {
            return Err(usage());
        }
        let prefix = Place::from_url_path(prefix).map_err(|e| failed(&e))?;
        let backoff = BackoffConfig { max_backoff: BACKOFF_MAX, ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: TRIES_AGAIN_MAX, retry_timeout: TRY_AGAIN_MAX };
        let inner = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build().map_err(|e| failed(&e))?;
        Store::of(Arc::new(inner), prefix, None)
    }

    pub fn of(inner: Arc<dyn ObjectStore>, prefix: Place, folder: Option<PathBuf>) -> Result<Store, cli::Error> {
        // One thread is enough for what waits.
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("eddy-store").enable_all().build();
        let runtime = runtime.map_err(|e| cli::Error::failed("no thread can be started", e))?;
        Ok(Store { runtime, inner, prefix, folder })
    }

    fn place(&self, name: &str) -> Place {
        name.split('/').fold(self.prefix.clone(), |place, part| place.join(part))
    }

    fn name(&self, place: &Place) -> String {
        let parts: Vec<_> = place.prefix_match(&self.prefix).into_iter().flatten().collect();
        parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/")
    }

    /// Makes an object, or makes it another.
    pub fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.put_all(vec![(name.to_owned(), bytes)])
    }

    /// The same of some at once, in any order. Where one cannot be put, some may have been.
    pub fn put_all(&self, objects: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        self.runtime.block_on(async {
            let mut puts = JoinSet::new();
            for (name, bytes) in objects {
                let (inner, place) = (Arc::clone(&self.inner), self.place(&name));
                puts.spawn(async move { inner.put(&place, bytes.into()).await.map_err(Error::store("write", &name)) });
            }
            while let Some(put) = puts.join_next().await {
                put.expect("it does not panic, and nobody ends it")?;
            }
            Ok(())
        })
    }

    /// Makes an object that is not there; false where another is. (One that is the same may be this one's, whose answer was lost.)
    pub fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, Error> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let place = self.place(name);
        match self.runtime.block_on(self.inner.put_opts(&place, bytes.to_vec().into(), options)) {
            Err(object_store::Error::AlreadyExists { .. }) => Ok(self.get(name)?.is_some_and(|there| there == bytes)),
            put => put.map(|_| true).map_err(Error::store("make", name)),
        }
    }

    /// None where it is not there.
    pub fn get(&self, name: &str) -> Result<Option<Bytes>, Error> {
        match self.get_all(&[name.to_owned()]) {
            Err(e) if e.is_gone() => Ok(None),
            read => read.map(|mut all| all.pop()),
        }
    }

    /// Some at once, in the order of their names; an error where one is not there.
    pub fn get_all(&self, names: &[String]) -> Result<Vec<Bytes>, Error> {
        self.runtime.block_on(async {
            let mut gets = JoinSet::new();
            for (number, name) in names.iter().cloned().enumerate() {
                let (inner, place) = (Arc::clone(&self.inner), self.place(&name));
                gets.spawn(async move {
                    let read = async { inner.get(&place).await?.bytes().await };
                    read.await.map(|bytes| (number, bytes)).map_err(Error::store("read", &name))
                });
            }
            let mut all = vec![Bytes::new(); names.len()];
            while let Some(read) = gets.join_next().await {
                let (number, bytes) = read.expect("it does not panic, and nobody ends it")?;
                all[number] = bytes;
            }
            Ok(all)
        })
    }

    /// All objects below a name, sorted.
    pub fn list(&self, below: &str) -> Result<Vec<Object>, Error> {
        let listed = self.runtime.block_on(self.inner.list(Some(&self.place(below))).collect::<Result<Vec<_>, _>>());
        let mut objects: Vec<_> = (listed.map_err(Error::store("list", below))?.into_iter())
            .map(|meta| Object { name: self.name(&meta.location), bytes: meta.size, tag: meta.e_tag })
            .collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(objects)
    }

    /// What is at the top: objects, and names that others are below.
    pub fn top(&self) -> Result<Vec<String>, Error> {
        let listed = self.runtime.block_on(self.inner.list_with_delimiter(Some(&self.prefix))).map_err(Error::store("list", "its top"))?;
        let objects = listed.objects.iter().map(|meta| &meta.location);
        Ok(objects.chain(&listed.common_prefixes).map(|place| self.name(place)).collect())
    }

    /// Removes objects, in any order; those that are not there are no error.
    pub fn remove(&self, names: &[String]) -> Result<(), Error> {
        let places: Vec<_> = names.iter().map(|name| Ok(self.place(name))).collect();
        let mut gone = self.inner.delete_stream(Box::pin(tokio_stream::iter(places)));
        self.runtime.block_on(async {
            while let Some(removed) = gone.next().await {
                match removed {
                    Err(object_store::Error::NotFound { .. }) | Ok(_) => {}
                    Err(e) => return Err(Error::store("remove", names.first().map_or("nothing", String::as_str))(e)),
                }
            }
            Ok(())
        })?;
        self.sync_removed(names)
    }

    /// In a folder a power cut may bring back what was removed, and not what was removed after it.
    fn sync_removed(&self, names: &[String]) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let parents: BTreeSet<_> = names.iter().filter_map(|name| folder.join(name).parent().map(PathBuf::from)).collect();
        for parent in parents {
            match std::fs::File::open(&parent).and_then(|parent| parent.sync_all()) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::disk("sync", &parent)(e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes what a killed process may have left beside the objects of a local store: `NAME#7`, an object on its way. Nobody else may be at
    /// it.
    pub fn sweep(&self) -> std::io::Result<()> {
        self.folder.as_deref().map_or(Ok(()), sweep)
    }
}

fn sweep(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_on_its_way = |name: &str| name.split_once('#').is_some_and(|(_, rest)| rest.bytes().all(|byte| byte.is_ascii_digit()));
        if entry.file_type()?.is_dir() {
            sweep(&entry.path())?;
        } else if name.to_str().is_some_and(is_on_its_way) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
