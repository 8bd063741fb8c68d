//! A process's share of the job: which files it reads, and what tells that all processes were given the same job.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crossbeam_channel::{Receiver, Sender};

use super::state::Position;
use crate::cli::Error;
use crate::cli::duration::text;
use crate::replay::Job;
use crate::source::dumps::{self, Block, Reader};

/// How much of a file is looked at to know it again.
const HEAD_BYTES: u64 = 64 << 10;

/// What all processes must have been started with.
pub(super) fn given(job: &super::Job, files: &[String]) -> Vec<(String, String)> {
    let (hosts, durable, job) = (&job.hosts, &job.durable, &job.replay);
    let named = |name: &str, value: String| (name.to_owned(), value);
    let views: Vec<&str> = job.views.iter().map(|definition| definition.view.name).collect();
    let time = |seconds: Option<i64>| seconds.map_or_else(|| "none".to_owned(), text);
    let mut given = vec![
        named("version", env!("CARGO_PKG_VERSION").into()),
        named("the hosts", hosts.join(" ")),
        named("--workers", job.workers.to_string()),
        named("--views", views.join(",")),
        named("--record-bytes-max", job.limits.record_bytes_max.to_string()),
        named("--tick-records-max", job.tick_records_max.to_string()),
        named("--retention", time(job.keep.messages_s)),
        named("--keep-hours", time(job.keep.hours_s)),
        named("--keep-days", time(job.keep.days_s)),
        named("--state", if durable.is_some() { "durable" } else { "none" }.into()),
        named("--rebuild", durable.as_ref().is_some_and(|durable| durable.rebuild).to_string()),
        named("--shared", durable.as_ref().and_then(|durable| durable.shared.clone()).unwrap_or_else(|| "none".into())),
        named("files", job.files.len().to_string()),
    ];
    given.extend((1..).zip(files).map(|(number, file)| (format!("file {number}"), file.clone())));
    given
}

/// What tells the files from others.
pub(super) fn files(job: &Job) -> Result<Vec<String>, Error> {
    let refused = |path: &Path, e| Error::Usage(format!("{} cannot be shared by processes: {e}", path.display()));
    job.files.iter().map(|path| known(path).map_err(|e| refused(path, e))).collect()
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

/// Reads until the end, or until nobody takes it, what comes after this position.
pub(super) fn read(mut reader: Reader, from: &Position, spares: &Receiver<Vec<u8>>, reads: &Sender<Read>) {
    // Where blocks are cut depends on the file and the limits alone.
    let (mut file, mut known) = (u32::MAX, 0);
    loop {
        let read = match reader.next(spares.try_recv().ok()) {
            Ok(None) => Read::End,
            Ok(Some(block)) => {
                if std::mem::replace(&mut file, block.input) != block.input {
                    known = from.blocks(block.input);
                }
                if known > 0 {
                    known -= 1;
                    continue;
                }
                Read::Block { rereadable: reader.input_is_plain(block.input), block, bytes_read: reader.bytes_read() }
            }
            Err(error) => Read::Failed(error),
        };
        let ended = matches!(read, Read::End);
        if reads.send(read).is_err() || ended {
            return;
        }
    }
}
