//! One suite for every store: each clause of [`Store`]'s contract, on every member, against a plain map.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

fn get<R: Row>(store: &dyn Store, key: &R::Key) -> Option<Stored> {
    now(store.get(R::VIEW, &cells::<R>(key, None))).expect("the store answers")
}

/// All rows of a prefix, in pages of so many.
fn scan(store: &dyn Store, view: &'static View, prefix: &[Cell], limit: usize) -> Vec<Stored> {
    let (mut rows, mut cursor) = (vec![], None::<Vec<u8>>);
    loop {
        let page = now(store.scan(view, prefix, cursor.as_deref(), limit)).expect("the store answers");
        assert!(page.rows.len() <= limit);
        assert!(page.next.is_none() || page.rows.len() == limit, "only the last page is short");
        rows.extend(page.rows);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return rows,
        }
    }
}

/// What the contract says of one view, plainly: tombstones are kept for ever.
struct Model<R: Row> {
    rows: BTreeMap<R::Key, (u64, Option<R>)>,
}

impl<R: Row> Model<R> {
    fn apply(&mut self, tick: u64, key: R::Key, row: Option<R>) {
        let held = self.rows.get(&key);
        if held.is_none_or(|(at, _)| tick > *at) {
            self.rows.insert(key, (tick, row));
        }
    }

    fn stored(&self) -> impl Iterator<Item = (&R::Key, Stored)> {
        self.rows.iter().filter_map(|(key, (tick, row))| Some((key, Stored { cells: cells(key, Some(row.as_ref()?)), as_of: *tick })))
    }
}

/// Rows of any length, keys that meet often, ticks that come late and again.
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
fn random_changes_repeats_and_late_ticks_equal_a_plain_map() {
    let mut seeded = seeded();
    for (name, store) in members() {
        let random = &mut seeded.random;
        let mut model = Model::<Messages> { rows: BTreeMap::new() };
        let mut settled = 0;
        for round in 0..150u64 {
            // Ticks run ahead and fall back, but not to what was settled.
            let tick = settled + 1 + random.random_range(0..40);
            let batch: BTreeMap<_, _> = (0..random.random_range(0..40)).map(|_| random_message(random)).collect();
            let made = changes(batch.iter().map(|(key, row)| (*key, *row)));
            for _ in 0..random.random_range(1..3) {
                now(store.apply(tick, &made)).expect("applies");
            }
            batch.into_iter().for_each(|(key, row)| model.apply(tick, key, row));
            if random.random_bool(0.2) {
                settled += random.random_range(0..20);
                now(store.settle(settled)).expect("settles");
            }
            let expected: BTreeMap<_, _> = model.stored().map(|(key, stored)| (*key, stored)).collect();
            assert_eq!(now(store.count(Messages::VIEW)).expect("counts"), expected.len() as u64, "{name}, round {round}");
            if round % 10 != 0 {
                continue;
            }
            let keys: Vec<_> = (0..310).map(|n| MessagesKey { message: MessageId::comment(&format!("c{n}")) }).collect();
            let asked: Vec<_> = keys.iter().map(|key| (Messages::VIEW, cells::<Messages>(key, None))).collect();
            let got = now(store.get_many(&asked)).expect("answers");
            assert!(got.iter().zip(&keys).all(|(got, key)| got.as_ref() == expected.get(key)), "{name}, round {round}");
            assert_eq!(get::<Messages>(&*store, &keys[7]), expected.get(&keys[7]).cloned(), "{name}");
            for limit in [1, 7, 256, 257, usize::MAX] {
                let mut rows = scan(&*store, Messages::VIEW, &[], limit);
                rows.sort_by_key(|stored| match stored.cells[0] {
                    Cell::Id(id) => id,
                    _ => unreachable!("the key is an id"),
                });
                assert!(rows.iter().eq(expected.values()), "{name}, round {round}, limit {limit}");
            }
        }
    }
}

fn hour(messages: i64) -> UserHours {
    UserHours { messages }
}

#[test]
fn older_and_equal_ticks_change_nothing() {
    for (name, store) in members() {
        let key = hours_key(1, 5);
        let apply = |tick, row| now(store.apply(tick, &changes([(key, row)]))).expect("applies");
        let held = || get::<UserHours>(&*store, &key).map(|stored| (stored.as_of, stored.cells[2]));
        apply(10, Some(hour(1)));
        apply(10, Some(hour(2)));
        apply(9, Some(hour(3)));
        apply(9, None);
        apply(10, None);
        assert_eq!(held(), Some((10, Cell::Int(1))), "{name}");
        apply(11, Some(hour(4)));
        assert_eq!(held(), Some((11, Cell::Int(4))), "{name}");
        apply(u64::MAX, Some(hour(5)));
        assert_eq!(held(), Some((u64::MAX, Cell::Int(5))), "{name}");
    }
}

#[test]
fn a_deleted_key_stays_dead_for_older_puts_also_when_it_was_never_there() {
    for (name, store) in members() {
        for (n, first) in [(1, Some(hour(1))), (2, None)] {
            let key = hours_key(n, 5);
            let apply = |tick, row| now(store.apply(tick, &changes([(key, row)]))).expect("applies");
            if first.is_some() {
                apply(10, first);
            }
            apply(20, None);
            apply(15, Some(hour(2)));
            apply(20, Some(hour(3)));
            assert_eq!(get::<UserHours>(&*store, &key), None, "{name}");
            assert_eq!(now(store.count(UserHours::VIEW)).expect("counts"), 0, "{name}");
            assert!(scan(&*store, UserHours::VIEW, &[], 10).is_empty(), "{name}");
            now(store.settle(19)).expect("settles");
            apply(20, Some(hour(4)));
            assert_eq!(get::<UserHours>(&*store, &key), None, "{name}: settled below it only");
            now(store.settle(18)).expect("settling less changes nothing");
            apply(21, Some(hour(5)));
            assert_eq!(get::<UserHours>(&*store, &key).map(|stored| stored.as_of), Some(21), "{name}");
            apply(22, None);
        }
    }
}

#[test]
fn settling_changes_no_row() {
    for (name, store) in members() {
        let all = changes((0..500).map(|n| (hours_key(n % 7, n as i64), Some(hour(1)))));
        now(store.apply(5, &all)).expect("applies");
        now(store.apply(6, &changes((0..500).step_by(2).map(|n| (hours_key(n % 7, n as i64), None::<UserHours>))))).expect("applies");
        let before = scan(&*store, UserHours::VIEW, &[], 100);
        assert_eq!(before.len(), 250, "{name}");
        now(store.settle(6)).expect("settles");
        assert_eq!(scan(&*store, UserHours::VIEW, &[], 100), before, "{name}");
        assert_eq!(now(store.count(UserHours::VIEW)).expect("counts"), 250, "{name}");
        now(store.apply(5, &all)).expect("applies");
        assert_eq!(scan(&*store, UserHours::VIEW, &[], 100), before, "{name}: a repeat");
    }
}

#[test]
fn scans_of_a_prefix_are_in_order_with_every_limit() {
    for (name, store) in members() {
        let hours = [i64::MIN, -300, -1, 0, 1, 255, 256, 70_000, i64::MAX];
        let all = (0..40).flat_map(|n| hours.map(|hour| (hours_key(n, hour), Some(UserHours { messages: hour ^ n as i64 }))));
        now(store.apply(1, &changes(all))).expect("applies");
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
        assert_eq!(none, Page::default(), "{name}");
    }
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    for (name, store) in members() {
        let hours = changes((0..10).flat_map(|n| [(hours_key(n, 1), Some(hour(1))), (hours_key(n, 2), Some(hour(1)))]));
        now(store.apply(1, &hours)).expect("applies");
        let key = |n| CommunityHoursKey { community: user(n), hour: 1 };
        let row = CommunityHours { messages: 1, posters: 1 };
        now(store.apply(1, &changes((0..10).map(|n| (key(n), Some(row)))))).expect("applies");
        let prefix = |n| [Cell::Key(user(n))];
        let page = now(store.scan(UserHours::VIEW, &prefix(1), None, 1)).expect("answers");
        let cursor = page.next.expect("there is more");
        let with = |view, prefix: &[Cell], cursor: &[u8]| now(store.scan(view, prefix, Some(cursor), 1));
        assert_eq!(with(UserHours::VIEW, &prefix(1), &cursor).expect("its own").rows.len(), 1, "{name}");
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
        assert_eq!(now(store.count(Users::VIEW)).expect("answers"), 0, "{name}");
        assert!(scan(&*store, Users::VIEW, &[], 3).is_empty(), "{name}");
        now(store.apply(1, &changes([(hours_key(1, 1), Some(hour(1)))]))).expect("applies");
        let id = MessageId::comment("c1");
        for key in [&[][..], &[Cell::Key(user(1))], &[Cell::Id(id), Cell::Int(1)], &[Cell::Key(user(1)), Cell::Null], &[Cell::Int(1); 3]] {
            assert_eq!(now(store.get(UserHours::VIEW, key)).expect("answers"), None, "{name}: {key:?}");
        }
        for prefix in [&[Cell::Int(1)][..], &[Cell::Null], &[Cell::Key(user(1)), Cell::Int(1), Cell::Int(1)]] {
            let page = now(store.scan(UserHours::VIEW, prefix, None, 9)).expect("answers");
            assert_eq!(page, Page::default(), "{name}: {prefix:?}");
        }
    }
}

/// Keys with even hours stay; odd ones come and go meanwhile.
#[test]
fn scans_during_writes_give_every_row_that_stays_once_and_in_order() {
    for (name, store) in members() {
        const HOURS: i64 = 600;
        for n in 0..3 {
            let staying = (0..HOURS).step_by(2).map(|hour| (hours_key(n, hour), Some(UserHours { messages: 0 })));
            now(store.apply(1, &changes(staying))).expect("applies");
        }
        let (done, at) = (AtomicBool::new(false), [AtomicU64::new(0), AtomicU64::new(0)]);
        thread::scope(|threads| {
            for writer in 0..2 {
                let (store, done, at) = (&store, &done, &at);
                threads.spawn(move || {
                    for tick in 2..120u64 {
                        let row = (tick % 3 > 0).then_some(UserHours { messages: tick as i64 });
                        let odd = (0..HOURS).filter(|hour| hour % 2 == 1 && hour % 4 / 2 == writer);
                        let even = (0..HOURS).filter(|hour| hour % 2 == 0 && hour % 4 / 2 == writer);
                        let keep = |hour| (hours_key(1, hour), Some(UserHours { messages: tick as i64 }));
                        let batch = changes(odd.map(|hour| (hours_key(1, hour), row)).chain(even.map(keep)));
                        now(store.apply(tick, &batch)).expect("applies");
                        let seen = get::<UserHours>(&**store, &hours_key(1, writer * 2)).expect("stays");
                        assert_eq!(seen.as_of, tick, "what was applied is seen");
                        at[writer as usize].store(tick, Ordering::Release);
                        let by_all = at.iter().map(|at| at.load(Ordering::Acquire)).min().unwrap_or(0);
                        now(store.settle(by_all)).expect("settles");
                    }
                    done.store(true, Ordering::Release);
                });
            }
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

#[test]
fn the_memory_store_forgets_settled_deletions_and_bounds_the_others() {
    let store = Memory::new();
    for tick in 1..=400u64 {
        // The same keys die again and again, some come back.
        let batch = changes((0..200).map(|n| (hours_key(n, 1), (tick % 2 == 0).then_some(hour(1)))));
        store.apply_now(tick, &batch);
        assert!(store.tombstones() <= 200);
        if tick % 100 == 0 {
            store.settle_now(tick);
            assert_eq!(store.tombstones(), 0);
            assert_eq!(store.count_now(UserHours::VIEW), 200);
        }
    }
    store.apply_now(401, &changes((0..200).map(|n| (hours_key(n, 1), None::<UserHours>))));
    assert_eq!((store.tombstones(), store.count_now(UserHours::VIEW)), (200, 0));
    store.settle_now(401);
    assert_eq!(store.tombstones(), 0);
    assert!(scan(&store, UserHours::VIEW, &[], 10).is_empty());
}
