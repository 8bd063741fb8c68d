//! Raw records to versions: `schemas::parse`.
//!
//!     cargo bench --bench benches -- parse
//!
//! - `w2`: today's Reddit comments, 30 fields, 805 bytes, a tenth with escapes: what a replay spends most on. Scan.
//! - `w2 full`: the same without the scan: what the scan is worth, and what an unusual record costs.
//! - `dump`: comments as the dumps of the first years have them, 17 fields, half the bytes text. Scan.
//! - `telegram`: updates as `getUpdates` answers, nested: no scan, serde_json.

use criterion::{Criterion, Throughput};
use eddy_schemas::parse::{Parser, parse_full};

use crate::feed;

const RECORDS: usize = 10_000;

fn dump(n: usize) -> Vec<u8> {
    let body = "It depends on what you compare it with, and most people do not. ".repeat(1 + n % 11);
    format!(
        r#"{{"controversiality":0,"body":"{body}","subreddit_id":"t5_6","link_id":"t3_{n}","stickied":false,"subreddit":"reddit.com","score":{},"ups":3,"author_flair_css_class":null,"created_utc":{},"author_flair_text":null,"author":"user{}","id":"c{n}","edited":false,"parent_id":"t1_c{}","gilded":0,"distinguished":null,"retrieved_on":1473738411}}"#,
        n % 40,
        1_134_365_188 + n,
        n % 997,
        n / 2,
    )
    .into_bytes()
}

fn update(n: usize) -> Vec<u8> {
    let reply = match n % 3 {
        0 => format!(
            r#","reply_to_message":{{"message_id":{},"from":{{"id":5,"is_bot":false,"first_name":"Bo"}},"chat":{{"id":-1001}},"date":1,"text":"so?"}}"#,
            n / 2
        ),
        _ => String::new(),
    };
    format!(
        r#"{{"update_id":{n},"message":{{"message_id":{n},"from":{{"id":{},"is_bot":false,"first_name":"Ann","username":"ann{}","language_code":"en"}},"chat":{{"id":-1001,"title":"Rust & co","type":"supergroup"}},"date":{}{reply},"text":"does anybody know why this \u00e9 is here? {n}","entities":[{{"offset":0,"length":4,"type":"bold"}}]}}}}"#,
        n % 500,
        n % 500,
        1_700_000_000 + n,
    )
    .into_bytes()
}

pub fn benches(criterion: &mut Criterion) {
    let w2 = feed::lines(RECORDS);
    let shapes = [("dump", (0..RECORDS).map(dump).collect()), ("telegram", (0..RECORDS).map(update).collect()), ("w2", w2.clone())];
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for (name, lines) in shapes {
        let mut parser = Parser::default();
        group.bench_function(name, |b| {
            b.iter(|| {
                for line in &lines {
                    std::hint::black_box(parser.parse(line, &feed::context()));
                }
            });
        });
    }
    group.bench_function("w2 full", |b| {
        b.iter(|| {
            for line in &w2 {
                std::hint::black_box(parse_full(line, &feed::context()));
            }
        });
    });
    group.finish();
}
