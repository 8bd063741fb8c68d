//! The floor: the loop that somebody writes by hand for just these tables, on one thread, to measure the engine against.
//!
//! An honest first version: serde_json into a struct of borrowed strings, hash maps keyed by strings, names numbered once. Not tuned,
//! and not slowed: what the engine gives beyond it (any order of arrival, every tick exact, more views, workers) it does not have.
//!
//! ```text
//!   line --serde_json--> Record --upsert by id, highest seq wins--> authors, threads, hours --> authors.tsv, threads.tsv, hours.tsv
//! ```

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::{Entry, EntryRef};
use serde::Deserialize;

use super::Kind;

const BUFFER_BYTES: usize = 1 << 18;

/// The fields that are wanted.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    link_id: Cow<'a, str>,
    #[serde(borrow, default)]
    author: Cow<'a, str>,
    #[serde(borrow, default)]
    body: Cow<'a, str>,
    #[serde(default)]
    created_utc: i64,
}

type Map<K, V> = HashMap<K, V, FixedState>;

/// Numbers for strings, in order of arrival.
#[derive(Default)]
struct Names {
    numbers: Map<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }
}

#[derive(Default)]
struct Author {
    messages: i64,
    characters: i64,
    last: i64,
}

#[derive(Default)]
struct Thread {
    messages: i64,
    participants: i64,
}

/// The winning version of a message.
#[derive(Clone, Copy)]
struct Held {
    seq: u64,
    author: u32,
    thread: u32,
    created_utc: i64,
    characters: u32,
    live: bool,
}

/// The tables.
#[derive(Default)]
struct Tables {
    author_names: Names,
    thread_names: Names,
    authors: Vec<Author>,
    threads: Vec<Thread>,
    /// Live messages of an author in a thread, in an hour.
    participants: Map<(u32, u32), u32>,
    hours: Map<(u32, i64), u32>,
    held: Map<String, Held>,
}

impl Tables {
    fn numbers(&mut self, record: &Record) -> (u32, u32) {
        let author = self.author_names.number(&record.author);
        let thread = self.thread_names.number(&record.link_id);
        if author as usize == self.authors.len() {
            self.authors.push(Author::default());
        }
        if thread as usize == self.threads.len() {
            self.threads.push(Thread::default());
        }
        (author, thread)
    }

    /// W1: everything is new.
    fn create(&mut self, record: &Record) {
        let (author, thread) = self.numbers(record);
        let row = &mut self.authors[author as usize];
        row.messages += 1;
        row.characters += record.body.chars().count() as i64;
        row.last = row.last.max(record.created_utc);
        let row = &mut self.threads[thread as usize];
        row.messages += 1;
        row.participants += i64::from(add_one(self.participants.entry((thread, author))));
    }

    /// W2: the highest seq of an id wins.
    fn upsert(&mut self, record: &Record) {
        let live = record.op != "d";
        let (author, thread) = if live { self.numbers(record) } else { (0, 0) };
        let characters = record.body.chars().count() as u32;
        let new = Held { seq: record.seq, author, thread, created_utc: record.created_utc, characters, live };
        let old = match self.held.entry_ref(&*record.id) {
            EntryRef::Vacant(entry) => {
                entry.insert(new);
                None
            }
            EntryRef::Occupied(entry) if entry.get().seq < new.seq => Some(std::mem::replace(entry.into_mut(), new)),
            EntryRef::Occupied(_) => return,
        };
        if let Some(old) = old.filter(|old| old.live) {
            self.take(&old);
        }
        if live {
            self.add(&new);
        }
    }

    fn add(&mut self, held: &Held) {
        let author = &mut self.authors[held.author as usize];
        author.messages += 1;
        author.characters += i64::from(held.characters);
        let thread = &mut self.threads[held.thread as usize];
        thread.messages += 1;
        thread.participants += i64::from(add_one(self.participants.entry((held.thread, held.author))));
        add_one(self.hours.entry((held.author, held.created_utc.div_euclid(3_600))));
    }

    fn take(&mut self, held: &Held) {
        let author = &mut self.authors[held.author as usize];
        author.messages -= 1;
        author.characters -= i64::from(held.characters);
        let thread = &mut self.threads[held.thread as usize];
        thread.messages -= 1;
        thread.participants -= i64::from(take_one(self.participants.entry((held.thread, held.author))));
        take_one(self.hours.entry((held.author, held.created_utc.div_euclid(3_600))));
    }

    /// The last created_utc of each author, once for all at the end: a delete may take the last away at any time.
    fn finish(&mut self) {
        for held in self.held.values().filter(|held| held.live) {
            let author = &mut self.authors[held.author as usize];
            author.last = author.last.max(held.created_utc);
        }
    }

    fn write(&self, folder: &Path, kind: Kind) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let create = |name: &str| Ok::<_, io::Error>(BufWriter::with_capacity(BUFFER_BYTES, File::create(folder.join(name))?));
        let mut out = create("authors.tsv")?;
        for (name, author) in self.author_names.names.iter().zip(&self.authors).filter(|(_, author)| author.messages > 0) {
            writeln!(out, "{name}\t{}\t{}\t{}", author.messages, author.characters, author.last)?;
        }
        out.flush()?;
        let mut out = create("threads.tsv")?;
        for (name, thread) in self.thread_names.names.iter().zip(&self.threads).filter(|(_, thread)| thread.messages > 0) {
            writeln!(out, "{name}\t{}\t{}", thread.messages, thread.participants)?;
        }
        out.flush()?;
        if kind == Kind::W2 {
            let mut out = create("hours.tsv")?;
            for ((author, hour), messages) in &self.hours {
                writeln!(out, "{}\t{hour}\t{messages}", self.author_names.names[*author as usize])?;
            }
            out.flush()?;
        }
        Ok(())
    }
}

/// Counts one more; says whether it is the first.
fn add_one<K: std::hash::Hash>(entry: Entry<'_, K, u32, FixedState>) -> bool {
    let count = entry.or_default();
    *count += 1;
    *count == 1
}

/// Counts one less; says whether it was the last.
fn take_one<K: std::hash::Hash>(entry: Entry<'_, K, u32, FixedState>) -> bool {
    let Entry::Occupied(mut entry) = entry else { unreachable!("added before") };
    *entry.get_mut() -= 1;
    let is_last = *entry.get() == 0;
    if is_last {
        entry.remove();
    }
    is_last
}

/// Reads the files and writes the tables; gives the number of records.
pub fn run(kind: Kind, files: &[PathBuf], folder: &Path) -> io::Result<u64> {
    let (mut tables, mut line, mut read) = (Tables::default(), vec![], 0);
    for path in files {
        let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        while file.read_until(b'\n', &mut line)? > 0 {
            let record: Record = serde_json::from_slice(&line)?;
            match kind {
                Kind::W1 => tables.create(&record),
                Kind::W2 => tables.upsert(&record),
            }
            read += 1;
            line.clear();
        }
    }
    tables.finish();
    tables.write(folder, kind)?;
    Ok(read)
}
