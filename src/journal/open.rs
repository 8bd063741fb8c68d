//! Opening: what a crash can have left is mended and said; anything else is refused.
//!
//! ```text
//!   last segment:  [ good frames ][ a bad one ][ nothing valid ]        --> cut at the bad one
//!                  [ good frames ][ a bad one ][ a valid one ]          --> damage, unless the machine lost its power since
//!                                                                           and no valid one says that the bad one was synced
//! ```
//!
//! A killed process leaves a first part of what it wrote, so nothing valid can follow a bad frame. After a power cut any
//! page that was not synced may be missing, so there it can; but never below a position that was synced.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use parking_lot::{Mutex, RwLock};

use super::segment::{self, Entry, Index, Sealed};
use super::{Active, Config, Cut, Error, Journal, Lock, Shared, frame};
use crate::files::{Files, Open, read_all};

pub fn open(files: Arc<dyn Files>, dir: &Path, config: Config) -> Result<Journal, Error> {
    assert!(config.segment_bytes <= 1 << 30, "segments of at most 1 GiB");
    files.make_folder(dir).map_err(Error::io(dir, "make the folder"))?;
    let lock = Lock::take_in(&*files, dir)?;
    let firsts = list(&*files, dir)?;
    let (shared, cut) = match firsts.split_last() {
        None => (fresh(&*files, dir, VecDeque::new(), 0)?, None),
        Some((&last, sealed)) => {
            check_sealed(&*files, dir, &firsts)?;
            open_last(&*files, dir, sealed.iter().copied().collect(), last, lock.same_boot)?
        }
    };
    // A killed process may have named a segment, or removed one, and not have come to sync that.
    segment::sync_dir(&*files, dir)?;
    lock.settled(dir)?;
    if let Some(Cut { path, at, bytes }) = &cut {
        tracing::warn!(path = %path.display(), at, bytes, "torn tail cut off");
    }
    Ok(Journal {
        files,
        dir: dir.into(),
        config,
        cut,
        writer: Mutex::default(),
        shared: RwLock::new(shared),
        opened: Mutex::default(),
        failed: AtomicBool::new(false),
        _lock: Some(lock),
    })
}

/// Opens a journal to be read, whoever has it and may still append to it: what was there at this moment is read, and nothing is changed; it is
/// safe against a power cut then. None where there is none.
pub fn look(files: Arc<dyn Files>, dir: &Path, config: Config) -> Result<Option<Journal>, Error> {
    let names = match files.names(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        names => names.map_err(Error::io(dir, "list"))?,
    };
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment::first_of(name)).collect();
    firsts.sort_unstable();
    let Some((&first, sealed)) = firsts.split_last() else { return Ok(None) };
    check_sealed(&*files, dir, &firsts)?;
    let path = segment::path(dir, first);
    let file = files.open(&path, Open::Read).map_err(Error::io(&path, "open"))?;
    // A killed process left it to the kernel. (Sealed segments were synced.)
    file.sync().map_err(Error::io(&path, "sync"))?;
    let bytes = read_all(&*file).map_err(Error::io(&path, "read"))?;
    let salt = segment::check_header(&bytes, &path, first)?;
    // Where it breaks off its writer has been cut off, or is at it. (A frame that was damaged since looks the same: whoever reads a journal so
    // must know what has to be there.)
    let scan = scan(&bytes, salt, first);
    let end = scan.end as u32;
    let rest = bytes.len() - scan.end;
    let cut = (rest > 0 && !scan.sealed).then(|| Cut { path: path.clone(), at: scan.end as u64, bytes: rest as u64 });
    let active = Arc::new(Active { path, file, salt, first, synced: AtomicU32::new(end) });
    let shared = Shared { sealed: sealed.iter().copied().collect(), active, end, next: scan.next, index: scan.index };
    Ok(Some(Journal {
        files,
        dir: dir.into(),
        config,
        cut,
        writer: Mutex::default(),
        shared: RwLock::new(shared),
        opened: Mutex::default(),
        // It takes no frame.
        failed: AtomicBool::new(true),
        _lock: None,
    }))
}

/// First numbers of the segments there are, ascending. Segments that never got their name are removed.
fn list(files: &dyn Files, dir: &Path) -> Result<Vec<u64>, Error> {
    let mut firsts = vec![];
    for name in files.names(dir).map_err(Error::io(dir, "list"))? {
        if let Some(first) = segment::first_of(&name) {
            firsts.push(first);
        } else if name.ends_with(".tmp") {
            let path = dir.join(name);
            files.remove(&path).map_err(Error::io(path, "remove"))?;
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Each segment but the last is sealed and ends where the next starts.
fn check_sealed(files: &dyn Files, dir: &Path, firsts: &[u64]) -> Result<(), Error> {
    for pair in firsts.windows(2) {
        let sealed = Sealed::open(files, dir, pair[0])?;
        if sealed.next != pair[1] {
            return Err(Error::Corrupt { path: sealed.path, at: u64::from(sealed.end), what: "the segment after this one is missing" });
        }
    }
    Ok(())
}

fn fresh(files: &dyn Files, dir: &Path, sealed: VecDeque<u64>, next: u64) -> Result<Shared, Error> {
    let active = Arc::new(segment::prepare(files, dir, next)?.publish(files, dir)?);
    Ok(Shared { sealed, active, end: segment::HEADER_BYTES, next, index: Index::default() })
}

fn open_last(
    files: &dyn Files,
    dir: &Path,
    mut sealed: VecDeque<u64>,
    first: u64,
    same_boot: bool,
) -> Result<(Shared, Option<Cut>), Error> {
    let path = segment::path(dir, first);
    let file = files.open(&path, Open::Write).map_err(Error::io(&path, "open"))?;
    let bytes = read_all(&*file).map_err(Error::io(&path, "read"))?;
    let salt = segment::check_header(&bytes, &path, first)?;
    let scan = scan(&bytes, salt, first);
    // A sync may have failed in an earlier process, and the kernel does not try again what it failed to write: it shows it all the same.
    let synced = scan.synced.min(scan.end);
    let mend = |end: usize| file.write_at(&bytes[synced..end], synced as u64).and_then(|()| file.sync()).map_err(Error::io(&path, "sync"));
    if scan.sealed {
        mend(bytes.len())?;
        sealed.push_back(first);
        return Ok((fresh(files, dir, sealed, scan.next)?, None));
    }
    let at = scan.end as u64;
    let cut = if scan.end < bytes.len() {
        if let Some(synced) = valid_after(&bytes, salt, &scan)
            && (same_boot || synced > at)
        {
            return Err(Error::Corrupt { path, at, what: "a bad frame with valid ones after it" });
        }
        file.set_len(at).map_err(Error::io(&path, "cut"))?;
        Some(Cut { path: path.clone(), at, bytes: bytes.len() as u64 - at })
    } else {
        None
    };
    // From here on frames may say that all before them is synced, also what a killed process left to the kernel.
    mend(scan.end)?;
    let end = scan.end as u32;
    let active = Arc::new(Active { path, file, salt, first, synced: AtomicU32::new(end) });
    Ok((Shared { sealed, active, end, next: scan.next, index: scan.index }, cut))
}

struct Scan {
    index: Index,
    /// Where the good frames end.
    end: usize,
    next: u64,
    /// Up to where a frame says that the segment was synced.
    synced: usize,
    sealed: bool,
}

fn scan(bytes: &[u8], salt: u32, first: u64) -> Scan {
    let header = segment::HEADER_BYTES as usize;
    let mut scan = Scan { index: Index::default(), end: header, next: first, synced: header, sealed: false };
    while let Some(found) = frame::parse(&bytes[scan.end..], salt) {
        scan.synced = scan.synced.max(found.synced as usize);
        if found.number == frame::SEAL {
            let trailer = segment::parse_trailer(&bytes[scan.end + found.size()..], salt);
            scan.sealed = trailer == Some((scan.end as u32, scan.next));
            break;
        }
        if found.number != scan.next {
            break;
        }
        scan.index.note(Entry { number: (scan.next - first) as u32, position: scan.end as u32 });
        scan.next += 1;
        scan.end += found.size();
    }
    scan
}

/// Bytes checksummed while looking for valid frames, in lengths of the segment. Only a payload made of false heads reaches
/// this; the segment is then refused rather than looked through for hours.
const SEARCH_TIMES_MAX: usize = 256;

/// Whether a valid frame stands anywhere after the bad one at the end of a scan; gives the greatest position that one of
/// them says was synced. Tried at every byte: the length of the bad one may be what is bad.
fn valid_after(bytes: &[u8], salt: u32, scan: &Scan) -> Option<u64> {
    let most = scan.next + (bytes.len() / frame::HEAD_BYTES) as u64;
    let mut found = None;
    let mut at = scan.end + 1;
    let mut checked = 0;
    while let Some(number) = frame::number(&bytes[at.min(bytes.len())..]) {
        let len = frame::length(&bytes[at..]).unwrap_or(0);
        let plausible = (number == frame::SEAL || (scan.next..=most).contains(&number)) && len <= bytes.len() - at;
        checked += if plausible { len } else { 0 };
        if checked > SEARCH_TIMES_MAX * bytes.len() {
            return Some(u64::MAX);
        }
        match plausible.then(|| frame::parse(&bytes[at..], salt)).flatten() {
            Some(frame) => {
                found = found.max(Some(u64::from(frame.synced)));
                at += frame.size();
            }
            None => at += 1,
        }
    }
    found
}
