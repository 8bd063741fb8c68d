//! The journal, the logs and the stores, by themselves.
//!
//! ```text
//! cargo bench --bench rooms                       speed
//! cargo bench --bench rooms -- memory             bytes a row of the memory store, and which part of them is the row itself
//! ```
//!
//! Shapes: records of 100 bytes (the cost of the frame) and of 700 (a Reddit comment) in batches of 1,000, as sources append them;
//! reads of 1 MiB (a worker) and of one record anywhere (a text); rows of `messages` (long, random keys) and of `user_hours`
//! (short, many to a first column), put in random order and then changed in random order, in ticks of 10,000.
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use eddy::journal;
use eddy::log::{Append, Counts, Embedded, Log, Memory as MemoryLog, Partition, Topic};
use eddy::store::Memory;
use eddy_schemas::rows::{Messages, MessagesKey, UserHours, UserHoursKey};
use eddy_schemas::{Cell, Changes, MessageId, Name, Place, Row};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const ROWS: u64 = 1_000_000;
const TICK_ROWS: usize = 10_000;
const FIRST_TICK: u64 = 1_760_000_000_000;

fn main() {
    if std::env::args().any(|arg| arg == "memory") {
        return memory();
    }
    let mut criterion = Criterion::default().configure_from_args().sample_size(10).measurement_time(Duration::from_secs(3));
    appends(&mut criterion);
    logs(&mut criterion);
    stores(&mut criterion);
    criterion.final_summary();
}

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    for bytes in [100, 700] {
        let dir = tempfile::tempdir().expect("a folder");
        let journal = journal::Journal::open(dir.path(), journal::Config::default()).expect("opens");
        let batch = vec![vec![b'x'; bytes]; 1000];
        group.throughput(Throughput::Elements(1000));
        group.bench_function(format!("append 1000 frames of {bytes} B"), |bench| {
            bench.iter(|| {
                let end = journal.append(&batch).expect("appends").end;
                // Retention, so that the disk does not fill.
                if end.is_multiple_of(1_000_000) {
                    journal.truncate_before(end - 1_000_000).expect("truncates");
                }
            });
        });
    }
}

fn records() -> Vec<Append> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let value = vec![b'x'; 700];
    let mut record = || Append { key: random.random::<[u8; 8]>().to_vec(), value: value.clone(), received_at_ms: 1 };
    (0..1000).map(|_| record()).collect()
}

fn logs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    let dir = tempfile::tempdir().expect("a folder");
    let counts = Counts { reddit: 8, telegram: 1 };
    let embedded = Embedded::open(dir.path(), counts, &journal::Config::default()).expect("opens");
    let memory = MemoryLog::new(counts);
    let batch = records();
    group.throughput(Throughput::Elements(batch.len() as u64));
    group.bench_function("embedded: append 1000 records of 700 B to 8 partitions", |bench| {
        let mut appends = 0u64;
        bench.iter(|| {
            embedded.append(Topic::Reddit, &batch).expect("appends");
            appends += 1;
            // Retention, so that the disk does not fill.
            if appends.is_multiple_of(1000) {
                for partition in embedded.partitions() {
                    embedded.truncate_before(partition, embedded.end(partition)).expect("truncates");
                }
            }
        });
    });
    // The sizes of the logs that are read do not depend on how often the machine could append.
    let dir = tempfile::tempdir().expect("a folder");
    let embedded = Embedded::open(dir.path(), counts, &journal::Config::default()).expect("opens");
    for log in [&embedded as &dyn Log, &memory] {
        (0..1000).for_each(|_| _ = log.append(Topic::Reddit, &batch).expect("appends"));
    }
    let members: [(&str, &dyn Log); 2] = [("embedded", &embedded), ("memory", &memory)];
    for (name, log) in members {
        let partition = Partition { topic: Topic::Reddit, number: 0 };
        let end = log.end(partition);
        let some = log.read(partition, 0, 1 << 20).expect("reads").len();
        group.throughput(Throughput::Elements(some as u64));
        group.bench_function(format!("{name}: read 1 MiB"), |bench| bench.iter(|| log.read(partition, 0, 1 << 20).expect("reads").len()));
        let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name}: read one record anywhere"), |bench| {
            bench.iter(|| log.read(partition, random.random_range(0..end), 1).expect("reads").len());
        });
    }
}

fn users() -> Vec<Name> {
    (0..100_000).map(|n| Name::of(&format!("reddit:bench{n}"))).collect()
}

fn message(n: u64, users: &[Name]) -> (MessagesKey, Messages) {
    let row = Messages {
        conversation: MessageId::submission(&format!("s{}", n / 20)),
        community: Some(users[n as usize % 300]),
        user: Some(users[n as usize * 7 % users.len()]),
        parent: (!n.is_multiple_of(3)).then(|| MessageId::comment(&format!("c{}", n / 2))),
        created_at: 1_760_000_000 + n as i64 / 100,
        edited_at: None,
        score: Some(n as i64 % 50),
        text: Place::new(n as u32 % 8, n * 700),
    };
    (MessagesKey { message: MessageId::comment(&format!("c{n}")) }, row)
}

fn hour(n: u64, users: &[Name]) -> (UserHoursKey, UserHours) {
    let key = UserHoursKey { user: users[n as usize % users.len()], hour: 489_000 + n as i64 / users.len() as i64 };
    (key, UserHours { messages: 1 + n as i64 % 5 })
}

/// All rows in random order, in ticks.
fn ticks<R: Row>(seed: u64, row: impl Fn(u64) -> (R::Key, R)) -> Vec<Changes> {
    let mut order: Vec<u64> = (0..ROWS).collect();
    order.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    let mut scratch = vec![];
    let tick = |rows: &[u64]| {
        let mut changes = Changes::new(R::VIEW);
        for (key, row) in rows.iter().map(|&n| row(n)) {
            changes.push(&key, Some(&row), &mut scratch);
        }
        changes
    };
    order.chunks(TICK_ROWS).map(tick).collect()
}

fn stores(criterion: &mut Criterion) {
    let users = users();
    let mut group = criterion.benchmark_group("store");
    group.sampling_mode(criterion::SamplingMode::Flat);
    let store = Memory::new();
    let mut tick = FIRST_TICK;
    for (name, batches) in
        [("messages", ticks::<Messages>(1, |n| message(n, &users))), ("user_hours", ticks::<UserHours>(2, |n| hour(n, &users)))]
    {
        group.throughput(Throughput::Elements(ROWS));
        group.bench_function(format!("put 1M {name}"), |bench| {
            bench.iter_custom(|times| {
                let once = |_| {
                    let store = Memory::new();
                    let started = Instant::now();
                    batches.iter().zip(FIRST_TICK..).for_each(|(batch, tick)| store.apply_now(tick, std::slice::from_ref(batch)));
                    started.elapsed()
                };
                (0..times).map(once).sum()
            });
        });
        for batch in &batches {
            tick += 1;
            store.apply_now(tick, std::slice::from_ref(batch));
        }
        group.throughput(Throughput::Elements(TICK_ROWS as u64));
        let mut next = batches.iter().cycle();
        group.bench_function(format!("change 10,000 of 1M {name}"), |bench| {
            bench.iter(|| {
                tick += 1;
                store.apply_now(tick, std::slice::from_ref(next.next().expect("endless")));
            });
        });
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    group.throughput(Throughput::Elements(1));
    let keys: Vec<_> =
        (0..1000).map(|_| [(Messages::VIEW, vec![Cell::Id(message(random.random_range(0..ROWS), &users).0.message)])]).collect();
    let mut next = keys.iter().cycle();
    group.bench_function("get one of 1M messages", |bench| {
        bench.iter(|| black_box(store.get_many_now(next.next().expect("endless"))));
    });
    group.bench_function("scan the 10 hours of a user", |bench| {
        bench.iter(|| {
            let user = users[random.random_range(0..users.len())];
            store.scan_now(UserHours::VIEW, &[Cell::Key(user)], None, 100).expect("scans").value.rows.len()
        });
    });
    group.throughput(Throughput::Elements(1000));
    group.bench_function("scan a page of 1,000 messages", |bench| {
        bench.iter(|| store.scan_now(Messages::VIEW, &[], None, 1000).expect("scans").value.rows.len());
    });
}

fn memory() {
    let users = users();
    measure("messages", ticks::<Messages>(1, |n| message(n, &users)));
    measure("user_hours", ticks::<UserHours>(2, |n| hour(n, &users)));
}

fn measure(name: &str, batches: Vec<Changes>) {
    let itself: usize = batches.iter().flat_map(Changes::iter).map(|change| change.key.len() + change.row.map_or(0, <[u8]>::len)).sum();
    let store = Memory::new();
    let (rss, malloc) = (resident_bytes(), allocated_bytes());
    let mut tick = FIRST_TICK;
    for round in ["put", "changed"] {
        let started = Instant::now();
        for batch in &batches {
            tick += 1000;
            store.apply_now(tick, std::slice::from_ref(batch));
        }
        let per = |bytes: usize| bytes as f64 / ROWS as f64;
        println!(
            "{name}, {round}: {:.1} B a row resident, {:.1} allocated, {:.1} key and row; {:.2} M changes/s",
            per(resident_bytes().saturating_sub(rss)),
            per(allocated_bytes().saturating_sub(malloc)),
            per(itself),
            ROWS as f64 / started.elapsed().as_secs_f64() / 1e6
        );
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// What glibc has handed out; 0 under another allocator.
fn allocated_bytes() -> usize {
    // SAFETY: reads counters of the allocator.
    unsafe { libc::mallinfo2().uordblks }
}
