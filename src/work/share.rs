//! A process's share of the job: which files it reads, and what tells that all processes were given the same job.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crossbeam_channel::{Receiver, Sender};

use crate::cli::Error;
use crate::replay::Job;
use crate::source::dumps::{self, Block, Reader};

/// How much of a file is looked at to know it again.
const HEAD_BYTES: u64 = 64 << 10;

/// What all processes must have been started with.
pub(super) fn given(job: &Job, hosts: &[String]) -> Result<Vec<(String, String)>, Error> {
    let named = |name: &str, value: String| (name.to_owned(), value);
    let views: Vec<&str> = job.views.iter().map(|definition| definition.view.name).collect();
    let mut given = vec![
        named("version", env!("CARGO_PKG_VERSION").into()),
        named("the hosts", hosts.join(" ")),
        named("--workers", job.workers.to_string()),
        named("--views", views.join(",")),
        named("--record-bytes-max", job.limits.record_bytes_max.to_string()),
        named("--tick-records-max", job.tick_records_max.to_string()),
        named("files", job.files.len().to_string()),
    ];
    for (number, path) in job.files.iter().enumerate() {
        let known = known(path).map_err(|e| Error::Usage(format!("{} cannot be shared by processes: {e}", path.display())))?;
        given.push((format!("file {}", number + 1), known));
    }
    Ok(given)
}

/// What tells a file from another, wherever it is mounted.
fn known(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no file, which each of them could read"));
    }
    let mut head = vec![];
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    let name = path.file_name().unwrap_or_default().display();
    Ok(format!("{name} ({} bytes, checksum of the start {:08x})", meta.len(), crc32fast::hash(&head)))
}

/// What the reader says.
pub(super) enum Read {
    Block {
        block: Block,
        rereadable: bool,
        bytes_read: u64,
    },
    Failed(dumps::Error),
    /// All files are at their end. (A reader that only hangs up has panicked.)
    End,
}

/// Reads until the end, or until nobody takes it.
pub(super) fn read(mut reader: Reader, spares: &Receiver<Vec<u8>>, reads: &Sender<Read>) {
    loop {
        let read = match reader.next(spares.try_recv().ok()) {
            Ok(None) => Read::End,
            Ok(Some(block)) => Read::Block { rereadable: reader.input_is_plain(block.input), block, bytes_read: reader.bytes_read() },
            Err(error) => Read::Failed(error),
        };
        let ended = matches!(read, Read::End);
        if reads.send(read).is_err() || ended {
            return;
        }
    }
}
