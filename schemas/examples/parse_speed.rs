//! How fast records parse: `cargo run --release -p eddy-schemas --example parse_speed FILE [ROUNDS]`.
//!
//! FILE has one record a line. Each round times, over the same lines in memory, what any engine would do (serde_json into a
//! struct of borrowed strings, keeping nothing), the full parse, and `Parser::parse`; machines vary, so compare within a round.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::borrow::Cow;
use std::hint::black_box;

use eddy_schemas::Place;
use eddy_schemas::parse::{Context, Parsed, Parser, parse_full, parse_scan};

#[derive(serde::Deserialize)]
struct Comment<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    author: Option<Cow<'a, str>>,
    #[serde(borrow)]
    subreddit: Option<Cow<'a, str>>,
    #[serde(borrow)]
    link_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    parent_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    body: Option<Cow<'a, str>>,
    score: Option<i64>,
    created_utc: serde_json::Value,
    seq: Option<i64>,
    #[serde(borrow)]
    op: Option<Cow<'a, str>>,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("FILE of records");
    let rounds = args.next().map_or(5, |n| n.parse().expect("ROUNDS is a number"));
    let bytes = std::fs::read(file).expect("FILE can be read");
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let context = Context { place: Place(0), received_at_ms: None, now: 4_000_000_000 };
    let scanned = lines.iter().filter(|line| parse_scan(line, &context).is_some()).count();
    println!("{} records of {} bytes, {scanned} scanned", lines.len(), bytes.len() / lines.len().max(1));
    for _ in 0..rounds {
        let floor = time(&lines, |line| {
            serde_json::from_slice::<Comment>(line).is_ok_and(|c| {
                black_box(&c.id);
                black_box((&c.author, &c.subreddit, &c.link_id, &c.parent_id, &c.body, c.score, &c.created_utc, c.seq, &c.op));
                true
            })
        });
        let full = time(&lines, |line| matches!(black_box(parse_full(line, &context)), Parsed::Version(..)));
        let mut parser = Parser::default();
        let parsed = time(&lines, |line| matches!(black_box(parser.parse(line, &context)), Parsed::Version(..)));
        let rate = bytes.len() as f64 / 1e3 / lines.len() as f64;
        println!(
            "serde_json {floor:.0} ns ({:.0} MB/s)   full {full:.0} ns   parse {parsed:.0} ns ({:.0} MB/s)   {:.2} x serde_json",
            rate / floor * 1e6,
            rate / parsed * 1e6,
            floor / parsed
        );
    }
}

/// Nanoseconds that this thread was on a processor: what other processes take does not count (Linux).
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says how long a thread ran");
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds")
}

/// Nanoseconds a record.
fn time(lines: &[&[u8]], mut parse: impl FnMut(&[u8]) -> bool) -> f64 {
    let start = cpu_ns();
    let parsed = lines.iter().filter(|line| parse(line)).count();
    black_box(parsed);
    (cpu_ns() - start) as f64 / lines.len() as f64
}
