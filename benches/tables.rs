//! The end of a replay: changes become a sorted file.
//!
//!     cargo bench --bench benches -- tables
//!
//! - `users`: 100,000 rows keyed by a name, each changed four times: the last change of a key is found, names are sorted.
//! - `user_hours`: 400,000 rows keyed by a name and a number, once each: the sort and the writing, and W2's largest table.
//! - `conversations`: 100,000 rows keyed by an id, twice each: ids become text to be sorted.

use criterion::{Criterion, Throughput};
use eddy::sink::tables::{Format, Table};
use eddy_schemas::id::mix;
use eddy_schemas::name::REDDIT;
use eddy_schemas::rows::{Conversations, ConversationsKey, UserHours, UserHoursKey, Users, UsersKey};
use eddy_schemas::{Changes, MessageId, Name, Row};

use crate::feed::NoTexts;

fn user(n: u64) -> Name {
    Name::new(REDDIT, &format!("user_{:x}", mix(n) >> 40))
}

fn users(n: u64) -> (UsersKey, Users) {
    let row = Users {
        messages: 3,
        characters: 500,
        score: 7,
        edited: 0,
        first_at: 1_700_000_000,
        last_at: 1_700_100_000,
        conversations: 2,
        communities: 1,
    };
    (UsersKey { user: user(n % 100_000) }, row)
}

fn user_hours(n: u64) -> (UserHoursKey, UserHours) {
    (UserHoursKey { user: user(n % 100_000), hour: 482_000 + (n / 100_000) as i64 }, UserHours { messages: 2 })
}

fn conversations(n: u64) -> (ConversationsKey, Conversations) {
    let row = Conversations {
        community: Some(user(n % 1_000)),
        messages: 20,
        participants: 11,
        characters: 3_000,
        removed: 1,
        first_at: Some(1_700_000_000),
        last_at: Some(1_700_100_000),
        depth: Some(5),
        first_response_s: None,
    };
    (ConversationsKey { conversation: MessageId::submission(&(310_000_000 + n % 100_000).to_string()) }, row)
}

fn table<R: Row>(changes: u64, row: fn(u64) -> (R::Key, R)) -> Table {
    let mut table = Table::new(R::VIEW);
    let mut scratch = vec![];
    for tick in 0..changes / 100_000 {
        let mut part = Changes::new(R::VIEW);
        for n in 0..100_000 {
            let (key, row) = row(tick * 100_000 + n);
            part.push(&key, Some(&row), &mut scratch);
        }
        table.append(&part);
    }
    table
}

pub fn benches(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut group = criterion.benchmark_group("tables");
    for (name, changes, table) in [
        ("users", 400_000, table(400_000, users)),
        ("user_hours", 400_000, table(400_000, user_hours)),
        ("conversations", 200_000, table(200_000, conversations)),
    ] {
        group.throughput(Throughput::Elements(changes));
        group.bench_function(name, |b| {
            b.iter(|| table.write(folder.path(), folder.path(), Format::Tsv, &NoTexts).expect("room for a table"))
        });
    }
    group.finish();
}
