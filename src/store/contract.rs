//! One suite for every store: each clause of [`Store`]'s contract, on every member, against a plain map.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use eddy_schemas::rows::{CommunityHours, CommunityHoursKey, Messages, MessagesKey, UserHours, UserHoursKey, Users, UsersKey};
use eddy_schemas::{MessageId, Name, Place, Row};
use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::journal::tests::seeded;

fn members() -> Vec<(&'static str, Arc<dyn Store>)> {
    vec![("memory", Arc::new(Memory::new()))]
}

/// Waits for a member's answer; the thread sleeps while the member works elsewhere.
fn now<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::yield_now(),
        }
    }
}

fn user(n: u64) -> Name {
    Name::of(&format!("reddit:store user {n}"))
}

fn hours_key(n: u64, hour: i64) -> UserHoursKey {
    UserHoursKey { user: user(n), hour }
}

fn changes<R: Row>(of: impl IntoIterator<Item = (R::Key, Option<R>)>) -> Changes {
    let (mut changes, mut scratch) = (Changes::new(R::VIEW), vec![]);
    for (key, row) in of {
        changes.push(&key, row.as_ref(), &mut scratch);
    }
    changes
}

fn cells<R: Row>(key: &R::Key, row: Option<&R>) -> Vec<Cell> {
    let mut cells = vec![];
    R::key_cells(key, &mut cells);
    if let Some(row) = row {
        row.cells(&mut cells);
    }
    cells
}

fn apply(store: &dyn Store, tick: u64, changes: &[Changes]) {
    now(store.apply(tick, changes)).expect("applies");
}

fn get<R: Row>(store: &dyn Store, key: &R::Key) -> Option<Stored> {
    now(store.get(R::VIEW, &cells::<R>(key, None))).expect("the store answers").value
}

fn count(store: &dyn Store, view: &'static View) -> u64 {
    now(store.count(&[view])).expect("counts").value[0]
}

/// All rows of a prefix, in pages of so many.
fn scan(store: &dyn Store, view: &'static View, prefix: &[Cell], limit: usize) -> Vec<Stored> {
    let (mut rows, mut cursor) = (vec![], None::<Vec<u8>>);
    loop {
        let page = now(store.scan(view, prefix, cursor.as_deref(), limit)).expect("the store answers").value;
        assert!(page.rows.len() <= limit);
        assert!(page.next.is_none() || page.rows.len() == limit, "only the last page is short");
        rows.extend(page.rows);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return rows,
        }
    }
}

/// What the contract says of one view, plainly.
struct Model<R: Row>(BTreeMap<R::Key, Stored>);

impl<R: Row> Model<R> {
    fn apply(&mut self, tick: u64, changes: &BTreeMap<R::Key, Option<R>>) {
        for (key, row) in changes {
            match row {
                Some(row) => _ = self.0.insert(*key, Stored { cells: cells(key, Some(row)), as_of: tick }),
                None => _ = self.0.remove(key),
            }
        }
    }

    /// In whatever order.
    fn equals(&self, rows: Vec<Stored>) -> bool {
        let sorted = |mut rows: Vec<Stored>| {
            rows.sort_by_cached_key(|row| format!("{:?}", row.cells));
            rows
        };
        sorted(rows) == sorted(self.0.values().cloned().collect())
    }
}

/// Rows of any length, keys that meet often.
fn random_message(random: &mut Xoshiro256PlusPlus) -> (MessagesKey, Option<Messages>) {
    let id = |n: u64| MessageId::comment(&format!("c{n}"));
    let message = id(random.random_range(0..300));
    let bits = random.random_range(1..60);
    let row = Messages {
        conversation: id(1),
        community: random.random_bool(0.5).then(|| user(random.random_range(0..9))),
        user: random.random_bool(0.5).then(|| user(random.random_range(0..9))),
        parent: random.random_bool(0.5).then(|| id(2)),
        created_at: random.random_range(-5..1 << bits),
        edited_at: random.random_bool(0.3).then(|| random.random()),
        score: random.random_bool(0.3).then_some(3),
        text: Place::new(1, 77),
    };
    (MessagesKey { message }, random.random_bool(0.6).then_some(row))
}

#[test]
fn random_ticks_and_repeats_equal_a_plain_map() {
    let mut seeded = seeded();
    for (name, store) in members() {
        let random = &mut seeded.random;
        let (mut messages, mut hours) = (Model::<Messages>(BTreeMap::new()), Model::<UserHours>(BTreeMap::new()));
        let mut last = 0;
        for round in 0..300u64 {
            // Now and then one that was there before, with other changes: they must not count.
            let tick = if round > 0 && random.random_bool(0.2) { random.random_range(0..=last) } else { last + random.random_range(1..40) };
            let some: BTreeMap<_, _> = (0..random.random_range(0..40)).map(|_| random_message(random)).collect();
            let others: BTreeMap<_, _> = (0..random.random_range(0..9))
                .map(|_| (hours_key(random.random_range(0..9), random.random_range(-9..9)), random.random_bool(0.6).then_some(hour(7))))
                .collect();
            // One worker's and another's.
            let mut made = vec![changes(others.clone())];
            let half = some.len() / 2;
            made.push(changes(some.clone().into_iter().take(half)));
            made.push(changes(some.clone().into_iter().skip(half)));
            (0..random.random_range(1..3)).for_each(|_| apply(&*store, tick, &made));
            if tick > last {
                messages.apply(tick, &some);
                hours.apply(tick, &others);
                last = tick;
            }
            let counts = now(store.count(&[Messages::VIEW, Users::VIEW, UserHours::VIEW])).expect("counts");
            assert_eq!(counts, AsOf { value: vec![messages.0.len() as u64, 0, hours.0.len() as u64], tick: last }, "{name}, round {round}");
            if !round.is_multiple_of(10) {
                continue;
            }
            let keys: Vec<_> = (0..310).map(|n| MessagesKey { message: MessageId::comment(&format!("c{n}")) }).collect();
            let asked: Vec<_> = keys.iter().map(|key| (Messages::VIEW, cells::<Messages>(key, None))).collect();
            let got = now(store.get_many(&asked)).expect("answers");
            assert_eq!(got.tick, last, "{name}");
            assert!(got.value.iter().zip(&keys).all(|(got, key)| got.as_ref() == messages.0.get(key)), "{name}, round {round}");
            assert_eq!(get::<Messages>(&*store, &keys[7]), messages.0.get(&keys[7]).cloned(), "{name}");
            for limit in [1, 7, 256, 257, usize::MAX] {
                assert!(messages.equals(scan(&*store, Messages::VIEW, &[], limit)), "{name}, round {round}, limit {limit}");
                assert!(hours.equals(scan(&*store, UserHours::VIEW, &[], limit)), "{name}, round {round}, limit {limit}");
            }
        }
    }
}

fn hour(messages: i64) -> UserHours {
    UserHours { messages }
}

#[test]
fn a_tick_at_or_below_the_last_changes_nothing() {
    for (name, store) in members() {
        let keys = [hours_key(1, 5), hours_key(2, 5)];
        let put = |tick, rows: [Option<UserHours>; 2]| apply(&*store, tick, &[changes(keys.into_iter().zip(rows))]);
        let held = || keys.map(|key| get::<UserHours>(&*store, &key).map(|stored| (stored.as_of, stored.cells[2])));
        let tick = || now(store.get_many(&[])).expect("answers").tick;
        assert_eq!(tick(), 0, "{name}: nothing has been applied");
        put(0, [Some(hour(1)), None]);
        assert_eq!((held(), tick()), ([None, None], 0), "{name}: ticks ascend from 1");
        put(10, [Some(hour(1)), None]);
        for other in [10, 9, 0] {
            put(other, [None, Some(hour(2))]);
            put(other, [Some(hour(3)), Some(hour(3))]);
        }
        assert_eq!((held(), tick()), ([Some((10, Cell::Int(1))), None], 10), "{name}");
        put(11, [None, Some(hour(4))]);
        put(10, [Some(hour(1)), None]);
        assert_eq!((held(), tick()), ([None, Some((11, Cell::Int(4)))], 11), "{name}: what is gone stays gone");
        apply(&*store, 15, &[]);
        assert_eq!((held(), tick()), ([None, Some((11, Cell::Int(4)))], 15), "{name}: a tick may change nothing");
        put(u64::MAX, [Some(hour(5)), None]);
        assert_eq!((held(), tick()), ([Some((u64::MAX, Cell::Int(5))), None], u64::MAX), "{name}");
    }
}

#[test]
fn restored_rows_are_as_of_the_snapshot_whatever_part_they_came_in() {
    for (name, store) in members() {
        let restore = |changes: &[Changes]| now(store.restore(50, changes)).expect("restores");
        restore(&[changes([(hours_key(1, 1), Some(hour(1))), (hours_key(2, 1), Some(hour(1)))])]);
        restore(&[changes([(hours_key(1, 1), Some(hour(2))), (hours_key(2, 1), None), (hours_key(3, 1), Some(hour(3)))])]);
        assert_eq!(now(store.get_many(&[])).expect("answers").tick, 0, "{name}: no tick has been applied");
        apply(&*store, 50, &[changes([(hours_key(3, 1), Some(hour(4)))])]);
        let as_of = [1, 2, 3].map(|user| get::<UserHours>(&*store, &hours_key(user, 1)).map(|row| (row.as_of, row.cells[2])));
        assert_eq!(as_of, [Some((50, Cell::Int(2))), None, Some((50, Cell::Int(4)))], "{name}");
        assert_eq!(now(store.get_many(&[])).expect("answers").tick, 50, "{name}");
    }
}

#[test]
fn scans_of_a_prefix_are_in_order_with_every_limit() {
    for (name, store) in members() {
        let hours = [i64::MIN, -300, -1, 0, 1, 255, 256, 70_000, i64::MAX];
        let all = (0..40).flat_map(|n| hours.map(|hour| (hours_key(n, hour), Some(UserHours { messages: hour ^ n as i64 }))));
        apply(&*store, 1, &[changes(all)]);
        for n in 0..41 {
            let prefix = [Cell::Key(user(n))];
            let expected: Vec<_> = hours.iter().filter(|_| n < 40).map(|&hour| Cell::Int(hour)).collect();
            for limit in 1..12 {
                let rows = scan(&*store, UserHours::VIEW, &prefix, limit);
                assert!(rows.iter().all(|row| row.cells[0] == prefix[0]), "{name}");
                assert_eq!(rows.iter().map(|row| row.cells[1]).collect::<Vec<_>>(), expected, "{name}, limit {limit}");
            }
        }
        let whole = cells::<UserHours>(&hours_key(3, 255), None);
        assert_eq!(scan(&*store, UserHours::VIEW, &whole, 5).len(), 1, "{name}: a whole key is a prefix too");
        let every = scan(&*store, UserHours::VIEW, &[], 13);
        assert_eq!(every, scan(&*store, UserHours::VIEW, &[], usize::MAX), "{name}: one order");
        assert_eq!(every.len(), 40 * hours.len(), "{name}");
        let none = now(store.scan(UserHours::VIEW, &[], None, 0)).expect("answers");
        assert_eq!(none, AsOf { value: Page::default(), tick: 1 }, "{name}");
    }
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    for (name, store) in members() {
        let hours = changes((0..10).flat_map(|n| [(hours_key(n, 1), Some(hour(1))), (hours_key(n, 2), Some(hour(1)))]));
        let key = |n| CommunityHoursKey { community: user(n), hour: 1 };
        let row = CommunityHours { messages: 1, posters: 1 };
        apply(&*store, 1, &[hours, changes((0..10).map(|n| (key(n), Some(row))))]);
        let prefix = |n| [Cell::Key(user(n))];
        let page = now(store.scan(UserHours::VIEW, &prefix(1), None, 1)).expect("answers");
        let cursor = page.value.next.expect("there is more");
        let with = |view, prefix: &[Cell], cursor: &[u8]| now(store.scan(view, prefix, Some(cursor), 1));
        assert_eq!(with(UserHours::VIEW, &prefix(1), &cursor).expect("its own").value.rows.len(), 1, "{name}");
        for (view, prefix) in [(UserHours::VIEW, &prefix(2)[..]), (UserHours::VIEW, &[]), (CommunityHours::VIEW, &prefix(1))] {
            assert!(matches!(with(view, prefix, &cursor), Err(Error::Cursor)), "{name}");
        }
        for bytes in 0..cursor.len() {
            assert!(matches!(with(UserHours::VIEW, &prefix(1), &cursor[..bytes]), Err(Error::Cursor)), "{name}");
        }
    }
}

#[test]
fn keys_of_other_columns_and_views_without_rows_have_none() {
    for (name, store) in members() {
        let key = UsersKey { user: user(1) };
        assert_eq!(get::<Users>(&*store, &key), None, "{name}");
        assert_eq!(count(&*store, Users::VIEW), 0, "{name}");
        assert!(scan(&*store, Users::VIEW, &[], 3).is_empty(), "{name}");
        apply(&*store, 1, &[changes([(hours_key(1, 1), Some(hour(1)))])]);
        let id = MessageId::comment("c1");
        for key in [&[][..], &[Cell::Key(user(1))], &[Cell::Id(id), Cell::Int(1)], &[Cell::Key(user(1)), Cell::Null], &[Cell::Int(1); 3]] {
            assert_eq!(now(store.get(UserHours::VIEW, key)).expect("answers").value, None, "{name}: {key:?}");
        }
        for prefix in [&[Cell::Int(1)][..], &[Cell::Null], &[Cell::Key(user(1)), Cell::Int(1), Cell::Int(1)]] {
            let page = now(store.scan(UserHours::VIEW, prefix, None, 9)).expect("answers");
            assert_eq!(page.value, Page::default(), "{name}: {prefix:?}");
        }
    }
}

/// Keys with even hours stay; odd ones come and go meanwhile.
#[test]
fn scans_during_writes_give_every_row_that_stays_once_and_in_order() {
    for (name, store) in members() {
        const HOURS: i64 = 600;
        let staying = (0..3).flat_map(|n| (0..HOURS).step_by(2).map(move |hour| (hours_key(n, hour), Some(UserHours { messages: 0 }))));
        apply(&*store, 1, &[changes(staying)]);
        let done = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                for tick in 2..120u64 {
                    let row = Some(UserHours { messages: tick as i64 });
                    let rows = (0..HOURS).map(|hour| (hours_key(1, hour), row.filter(|_| hour % 2 == 0 || tick % 3 > 0)));
                    apply(&*store, tick, &[changes(rows)]);
                    let seen = get::<UserHours>(&*store, &hours_key(1, 0)).expect("stays");
                    assert_eq!(seen.as_of, tick, "what was applied is seen");
                }
                done.store(true, Ordering::Release);
            });
            let mut scans = 0;
            while !done.load(Ordering::Acquire) || scans < 5 {
                for (prefix, users) in [(vec![Cell::Key(user(1))], 1), (vec![], 3)] {
                    let rows = scan(&*store, UserHours::VIEW, &prefix, [7, 100, 10_000][scans % 3]);
                    let even: Vec<_> = rows.iter().filter(|row| matches!(row.cells[1], Cell::Int(hour) if hour % 2 == 0)).collect();
                    assert_eq!(even.len() as i64, users * HOURS / 2, "{name}");
                    let ascending = rows.windows(2).all(|pair| match (pair[0].cells[1], pair[1].cells[1]) {
                        (Cell::Int(a), Cell::Int(b)) => pair[0].cells[0] != pair[1].cells[0] || a < b,
                        _ => false,
                    });
                    assert!(ascending, "{name}");
                }
                scans += 1;
            }
        });
    }
}

/// In each tick one message moves from an hour of a user, whose row goes with it, to the same hour of a community; when all have moved,
/// back again. So what each hour has at a tick is known.
struct Moves;

impl Moves {
    const HOURS: i64 = 64;

    /// Messages of the user's hour, and of the community's.
    fn at(tick: u64, hour: i64) -> (i64, i64) {
        let (round, step) = (tick as i64 / Self::HOURS, tick as i64 % Self::HOURS);
        let has_moved = (round % 2 == 0) == (hour <= step);
        if has_moved { (0, 2) } else { (1, 1) }
    }

    /// All rows anew, in as many sets as many workers would make: a tick that is not seen whole takes long.
    fn apply(store: &dyn Store, tick: u64) {
        let of = |hour| {
            let row = UserHours { messages: Self::at(tick, hour).0 };
            changes([(hours_key(1, hour), Some(row).filter(|row| row.messages > 0))])
        };
        let to = |hour| {
            let row = CommunityHours { messages: Self::at(tick, hour).1, posters: 1 };
            changes([(CommunityHoursKey { community: user(1), hour }, Some(row))])
        };
        let sets: Vec<_> = (0..Self::HOURS).flat_map(|hour| [of(hour), to(hour)]).collect();
        apply(store, tick, &sets);
    }

    /// All rows must be as of the tick: of a row its messages are the third column, after the key's.
    fn check<'r>(tick: u64, rows: impl IntoIterator<Item = (i64, Option<&'r Stored>, bool)>) -> i64 {
        let check = |(hour, row, of_user): (i64, Option<&Stored>, bool)| {
            let messages = row.map_or(0, |row| match row.cells[2] {
                Cell::Int(messages) => messages,
                _ => unreachable!("messages are counted"),
            });
            let (of, to) = Moves::at(tick, hour);
            assert_eq!(messages, if of_user { of } else { to }, "hour {hour} as of tick {tick}: {row:?}");
            assert!(row.is_none_or(|row| row.as_of <= tick), "{row:?} is newer than tick {tick}");
            messages
        };
        rows.into_iter().map(check).sum()
    }
}

/// Ends the writer, also where the reader fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_tick_is_seen_whole_or_not_at_all() {
    for (name, store) in members() {
        Moves::apply(&*store, 1);
        let done = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                (2..).take_while(|_| !done.load(Ordering::Acquire)).for_each(|tick| Moves::apply(&*store, tick));
            });
            let _done = Done(&done);
            let asked: Vec<_> = (0..Moves::HOURS)
                .flat_map(|hour| {
                    let key = vec![Cell::Key(user(1)), Cell::Int(hour)];
                    [(UserHours::VIEW, key.clone()), (CommunityHours::VIEW, key)]
                })
                .collect();
            let (mut last, mut seen) = (0, BTreeSet::new());
            for _ in 0..1000 {
                let mut later = |tick| {
                    assert!(tick >= last, "{name}: tick {tick} after {last}");
                    last = tick;
                    seen.insert(tick);
                };
                let batch = now(store.get_many(&asked)).expect("answers");
                later(batch.tick);
                let rows = batch.value.iter().zip(0..).map(|(row, at)| (at / 2, row.as_ref(), at % 2 == 0));
                assert_eq!(Moves::check(batch.tick, rows), 2 * Moves::HOURS, "{name}: none is lost on the way");
                for (view, of_user) in [(UserHours::VIEW, true), (CommunityHours::VIEW, false)] {
                    let page = now(store.scan(view, &[Cell::Key(user(1))], None, 1000)).expect("answers");
                    later(page.tick);
                    let row = |hour| page.value.rows.iter().find(|row| row.cells[1] == Cell::Int(hour));
                    Moves::check(page.tick, (0..Moves::HOURS).map(|hour| (hour, row(hour), of_user)));
                }
                let counts = now(store.count(&[UserHours::VIEW])).expect("answers");
                later(counts.tick);
                let rows = (0..Moves::HOURS).map(|hour| Moves::at(counts.tick, hour).0).sum::<i64>();
                assert_eq!(counts.value, [rows as u64], "{name}");
            }
            assert!(seen.len() > 10, "{name}: {} ticks were seen", seen.len());
        });
    }
}
