//! The lines of the workloads: raw Reddit comments as dumps have them, with `op` and `seq`, from a seed.
//!
//! ```text
//!   W1  c c c c c c ...          creates only
//!   W2  c c c u c c d c ...      97 % creates, 2 % edits (the whole row again, another body), 1 % deletes
//! ```
//!
//! Everything about a message follows from its number (the `seq` of its create), so an edit writes the row again without the row
//! having been kept. Only what depends on others is: each message's parent, and what is deleted.
//!
//! # Invariants
//! 1. The lines of fewer records are a prefix of the lines of more.
//! 2. A message that was deleted is not changed again; `seq` is the number of the line.

use std::io::Write;

use eddy_schemas::id::mix;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Kind;
use super::words::{Bodies, WORDS};

/// Part of the parameters: another number, another workload.
pub const SEED: u64 = 20_250_101;

pub const AUTHORS: u32 = 200_000;
pub const THREADS: u32 = 50_000;
pub const COMMUNITIES: u32 = 2_000;
/// Popularity of authors, threads and communities: the first of 200,000 authors writes a tenth of everything.
pub const ZIPF: f64 = 1.05;

/// Records of W2 that edit or delete, in 1,000.
const EDITS: u64 = 20;
const DELETES: u64 = 10;
/// Nine of ten changes are of a message among the latest so many.
const RECENT: u64 = 100_000;

/// 2025-01-01; ten records in three seconds, a little out of order.
const START_S: i64 = 1_735_689_600;
/// Ids of messages and threads, so that they have as many digits as today's.
const FIRST_COMMENT: u64 = 4_300_000_000;
const FIRST_THREAD: u64 = 310_000_000;

/// Writes line after line.
pub struct Lines {
    kind: Kind,
    seq: u64,
    authors: Zipf<f64>,
    threads: Zipf<f64>,
    communities: Vec<u32>,
    bodies: Bodies,
    /// 1 + number of the message that each message answers; 0: the thread.
    parents: Vec<u32>,
    /// The latest messages of each thread, 1 + number.
    latest: Vec<[u32; 4]>,
    deleted: hashbrown::HashSet<u64, foldhash::fast::FixedState>,
}

/// What a record does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Create,
    Edit,
    Delete,
}

/// What follows from a message's number.
struct Message {
    number: u64,
    author: u32,
    thread: u32,
    created_at: i64,
    score: i32,
}

fn random(number: u64, purpose: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(mix(SEED ^ mix(number << 3 | purpose)))
}

impl Lines {
    pub fn new(kind: Kind) -> Self {
        let zipf = |n: u32| Zipf::new(f64::from(n), ZIPF).expect("a positive exponent");
        let community = zipf(COMMUNITIES);
        let of_thread = |thread| community.sample(&mut random(thread, 0)) as u32 - 1;
        Lines {
            kind,
            seq: 0,
            authors: zipf(AUTHORS),
            threads: zipf(THREADS),
            communities: (0..u64::from(THREADS)).map(of_thread).collect(),
            bodies: Bodies::default(),
            parents: vec![],
            latest: vec![[0; 4]; THREADS as usize],
            deleted: hashbrown::HashSet::default(),
        }
    }

    /// Appends the next line, with its line feed.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        let (op, number) = self.next();
        let message = self.message(number);
        match op {
            Op::Delete => delete(self.seq, &message, out),
            Op::Create | Op::Edit => self.row(op, &message, out),
        }
        self.seq += 1;
    }

    fn op(&self, seq: u64) -> Op {
        match (self.kind, random(seq, 1).random_range(0..1_000)) {
            (Kind::W2, draw) if draw < EDITS => Op::Edit,
            (Kind::W2, draw) if draw < EDITS + DELETES => Op::Delete,
            _ => Op::Create,
        }
    }

    /// What the next record does, and to which message.
    fn next(&mut self) -> (Op, u64) {
        let mut draws = random(self.seq, 2);
        // The first records have nothing to change.
        let op = if self.seq < 1_000 { Op::Create } else { self.op(self.seq) };
        if op == Op::Create {
            self.answer(&mut draws);
            return (op, self.seq);
        }
        self.parents.push(0);
        let since = if draws.random_range(0..10) == 0 { 0 } else { self.seq.saturating_sub(RECENT) };
        loop {
            let number = draws.random_range(since..self.seq);
            let is_create = number < 1_000 || self.op(number) == Op::Create;
            if is_create && !self.deleted.contains(&number) {
                if op == Op::Delete {
                    self.deleted.insert(number);
                }
                return (op, number);
            }
        }
    }

    /// Half of the messages answer one of the latest in their thread.
    fn answer(&mut self, draws: &mut impl Rng) {
        let latest = &mut self.latest[self.threads.sample(&mut random(self.seq, 3)) as usize - 1];
        let parent = if draws.random() { latest[draws.random_range(0..latest.len())] } else { 0 };
        self.parents.push(parent);
        latest[self.seq as usize % latest.len()] = u32::try_from(self.seq + 1).expect("fewer than 2^32 records");
    }

    fn message(&self, number: u64) -> Message {
        let mut draws = random(number, 4);
        let late = draws.random_range(-15..=15);
        Message {
            number,
            author: self.authors.sample(&mut draws) as u32 - 1,
            thread: self.threads.sample(&mut random(number, 3)) as u32 - 1,
            created_at: START_S + number as i64 * 3 / 10 + late,
            score: draws.random_range(-3..6i32).pow(2) * if draws.random_range(0..8) == 0 { -1 } else { 1 },
        }
    }

    /// The whole row, thirty fields.
    fn row(&self, op: Op, message: &Message, out: &mut Vec<u8>) {
        let Message { number, author, created_at, score, .. } = *message;
        let (id, thread) = (Base36(FIRST_COMMENT + 3 * number), Base36(FIRST_THREAD + u64::from(message.thread)));
        let community = self.communities[message.thread as usize];
        let is_edit = op == Op::Edit;
        put(out, format_args!(r#"{{"op":"{}","seq":{},"all_awardings":[],"archived":false,"#, if is_edit { 'u' } else { 'c' }, self.seq));
        put(out, format_args!(r#""author":"{}","author_flair_css_class":null,"author_flair_text":null,"#, Author(author)));
        put(out, format_args!(r#""author_fullname":"t2_{}","body":""#, Base36(u64::from(author) + 100_000_000)));
        self.bodies.write(&mut random(self.seq, 5), out);
        put(out, format_args!(r#"","can_gild":true,"collapsed":false,"controversiality":0,"created_utc":{created_at},"#));
        match is_edit {
            true => put(out, format_args!(r#""distinguished":null,"edited":{},"#, START_S + self.seq as i64 * 3 / 10 + 20)),
            false => put(out, format_args!(r#""distinguished":null,"edited":false,"#)),
        }
        put(out, format_args!(r#""gilded":0,"id":"{id}","is_submitter":false,"link_id":"t3_{thread}","locked":false,"no_follow":true,"#));
        match self.parents[number as usize] {
            0 => put(out, format_args!(r#""parent_id":"t3_{thread}","#)),
            parent => put(out, format_args!(r#""parent_id":"t1_{}","#, Base36(FIRST_COMMENT + 3 * u64::from(parent - 1)))),
        }
        put(out, format_args!(r#""permalink":"/r/{0}/comments/{thread}/the_title_of_it/{id}/","#, Community(community)));
        put(out, format_args!(r#""retrieved_on":{},"score":{score},"send_replies":true,"stickied":false,"#, created_at + 3_600));
        put(
            out,
            format_args!(r#""subreddit":"{}","subreddit_id":"t5_{}","#, Community(community), Base36(9_000_000 + u64::from(community))),
        );
        put(out, format_args!("\"total_awards_received\":0}}\n"));
    }
}

fn delete(seq: u64, message: &Message, out: &mut Vec<u8>) {
    let (id, thread) = (Base36(FIRST_COMMENT + 3 * message.number), Base36(FIRST_THREAD + u64::from(message.thread)));
    put(out, format_args!("{{\"op\":\"d\",\"seq\":{seq},\"id\":\"{id}\",\"link_id\":\"t3_{thread}\"}}\n"));
}

fn put(out: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("memory takes it");
}

/// A number as Reddit writes it.
struct Base36(u64);

impl std::fmt::Display for Base36 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (mut digits, mut at, mut n) = ([0; 13], 13, self.0);
        while n > 0 || at == 13 {
            at -= 1;
            digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(n % 36) as usize];
            n /= 36;
        }
        f.write_str(std::str::from_utf8(&digits[at..]).expect("digits are ASCII"))
    }
}

/// An author's name: a word and a number.
struct Author(u32);

impl std::fmt::Display for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = WORDS[mix(u64::from(self.0)) as usize % WORDS.len()];
        write!(f, "{word}{}{}", ["", "_", "-"][self.0 as usize % 3], Base36(u64::from(self.0) + 46_656))
    }
}

struct Community(u32);

impl std::fmt::Display for Community {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b] = [self.0, self.0 / 7].map(|n| WORDS[mix(u64::from(n) << 32) as usize % WORDS.len()]);
        write!(f, "{a}{b}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kind: Kind, records: usize) -> Vec<u8> {
        let (mut lines, mut out) = (Lines::new(kind), vec![]);
        (0..records).for_each(|_| lines.write(&mut out));
        out
    }

    #[test]
    fn fewer_lines_are_a_prefix() {
        assert!(lines(Kind::W2, 3_000).starts_with(&lines(Kind::W2, 1_500)));
    }

    #[test]
    fn a_line_has_thirty_fields_and_some_800_bytes() {
        let text = lines(Kind::W2, 30_000);
        let (mut edits, mut deletes, mut bytes, mut escaped) = (0, 0, 0, 0);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let row: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).expect("JSON");
            match row["op"].as_str() {
                Some("d") => deletes += 1,
                op => {
                    assert_eq!(row.len(), 30, "{row:?}");
                    edits += i32::from(op == Some("u"));
                    bytes += line.len() + 1;
                    escaped += i32::from(line.contains(&b'\\'));
                }
            }
        }
        let mean = bytes / (30_000 - deletes);
        assert!((780..=840).contains(&mean), "{mean} bytes a line");
        assert!((450..=750).contains(&edits) && (200..=400).contains(&deletes), "{edits} edits, {deletes} deletes");
        assert!((3_000..=5_000).contains(&escaped), "{escaped} of 30,000 lines have a backslash");
    }
}
