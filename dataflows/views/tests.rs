//! Views as the watermark moves: with no message, by a year at once, and within a day. (That they are right under any history is compared
//! with the oracle in `tests/`.)

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use eddy_schemas::{Cell, Changes, MessageId, Name, Place, Version, codec};
use timely::dataflow::operators::Input;

use super::{build, find};
use crate::batch::Batch;
use crate::calendar::{DAY_S, HOUR_S, Second};
use crate::{Inputs, Moment, Outputs, Update, work};

const MOVING: [&str; 6] = ["community_activity", "community_week", "responses", "unanswered", "user_states", "cohorts"];
/// A Thursday, as the first of 1970.
const DAY: i64 = 7 * 2_000;

/// What happens in a tick: messages that come, and where the watermark is at its end.
#[derive(Clone, Default)]
struct Tick {
    updates: Vec<Update>,
    watermark: Option<i64>,
}

/// What a tick has done.
struct Closed {
    /// Rows that changed, groups that were looked at and buckets that were opened.
    changed: usize,
    work: u64,
    /// All rows of each view, as text.
    rows: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Closed {
    fn of(&self, view: &str) -> Vec<String> {
        self.rows.get(view).into_iter().flatten().map(|(key, row)| format!("{key} | {row}")).collect()
    }
}

fn text(cells: &[Cell]) -> String {
    let text = |cell: &Cell| match cell {
        Cell::Null => "-".to_owned(),
        Cell::Int(n) => n.to_string(),
        Cell::Key(name) | Cell::Display(name) => name.bare().to_owned(),
        Cell::Id(id) => id.to_string(),
        Cell::Text(place) => place.0.to_string(),
    };
    cells.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// Runs the views that move through ticks.
fn run(ticks: Vec<Tick>) -> Vec<Closed> {
    timely::execute_directly(move |worker| {
        let changes: Rc<RefCell<Vec<Changes>>> = Rc::default();
        let sink = Rc::clone(&changes);
        let (mut versions, mut moments, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (versions, of_versions) = scope.new_input::<Batch<Update>>();
            let (moments, of_moments) = scope.new_input::<Batch<Moment>>();
            let mut outputs = Outputs::new(Rc::new(move |_tick, changes| sink.borrow_mut().push(changes)));
            let views: Vec<_> = MOVING.iter().map(|name| find(name).expect("a view")).collect();
            build(&views, &Inputs::new(scope, of_versions, of_moments), &mut outputs);
            (versions, moments, outputs.probe)
        });
        let mut rows: BTreeMap<&'static str, BTreeMap<String, String>> = BTreeMap::new();
        let mut closed = vec![];
        for Tick { updates, watermark } in ticks {
            work::take();
            if !updates.is_empty() {
                versions.send_batch(&mut Batch::new(updates));
            }
            if let Some(watermark) = watermark {
                moments.send_batch(&mut Batch::new(vec![Moment { watermark: Second::new(watermark) }]));
            }
            versions.advance_to(versions.time() + 1);
            moments.advance_to(moments.time() + 1);
            while probe.less_than(versions.time()) {
                worker.step();
            }
            let mut changed = 0;
            for changes in changes.borrow_mut().drain(..) {
                changed += changes.len();
                let view = rows.entry(changes.view.name).or_default();
                for change in changes.iter() {
                    let (mut key, mut row) = (vec![], vec![]);
                    codec::decode_key(changes.view.key, change.key, &mut key);
                    if let Some(bytes) = change.row {
                        codec::decode_row(changes.view.columns, bytes, &mut row);
                        view.insert(text(&key), text(&row));
                    } else {
                        assert!(view.remove(&text(&key)).is_some(), "what goes was there");
                    }
                }
            }
            closed.push(Closed { changed, work: work::take(), rows: rows.clone() });
        }
        closed
    })
}

/// A message of a user in community `c`: a submission that asks, with an id of its own.
fn message(id: u64, user: &str, created_at: i64) -> Version {
    let id = MessageId::submission(&id.to_string());
    Version {
        id,
        conversation: id,
        parent: None,
        community: Some(Name::of("reddit:c")),
        user: Some(Name::of(&format!("reddit:{user}"))),
        user_name: None,
        community_name: None,
        created_at: Some(created_at),
        edited_at: None,
        score: None,
        version: created_at,
        update_id: None,
        characters: 1,
        text_hash: Some(1),
        place: Place::default(),
        tombstone: false,
        edited: false,
        bot: false,
        asks: true,
    }
}

fn says(versions: &[Version]) -> Tick {
    let watermark = versions.iter().filter_map(|version| version.created_at).max();
    Tick { updates: versions.iter().map(|version| Update { version: *version, diff: 1 }).collect(), watermark }
}

fn waits(watermark: i64) -> Tick {
    Tick { updates: vec![], watermark: Some(watermark) }
}

#[test]
fn rows_follow_the_watermark_with_no_message() {
    let noon = DAY * DAY_S + 12 * HOUR_S;
    let after = |days: i64| waits(noon + days * DAY_S);
    let closed = run(vec![
        says(&[message(1, "ada", noon - DAY_S), message(2, "ada", noon), message(3, "bob", noon)]),
        waits(noon + 21_599),
        waits(noon + 21_600),
        after(1),
        after(2),
        after(7),
        after(29),
        after(30),
        after(31),
        after(59),
        after(60),
    ]);
    let activity: Vec<_> = closed.iter().map(|tick| tick.of("community_activity").concat()).collect();
    let day = |days: i64| DAY + days;
    assert_eq!(activity[0], format!("c | {} 2 2 2", day(0)));
    assert_eq!(activity[3], format!("c | {} 0 2 2", day(1)));
    assert_eq!(activity[5], format!("c | {} 0 0 2", day(7)));
    assert_eq!(activity[6], format!("c | {} 0 0 2", day(29)));
    assert_eq!(activity[7], "", "no one in 30 days");
    // new, returning, resurrected, churned, dormant
    let states: Vec<_> = closed.iter().map(|tick| tick.of("user_states").concat()).collect();
    assert_eq!(states[0], "c | 2 0 0 0 0");
    assert_eq!(states[6], "c | 1 1 0 0 0", "ada's first day was 30 days ago");
    assert_eq!(states[7], "c | 0 0 0 2 0");
    assert_eq!(states[9], "c | 0 0 0 2 0");
    assert_eq!(states[10], "c | 0 0 0 0 2");
    let cohorts: Vec<_> = closed.iter().map(|tick| tick.of("cohorts")).collect();
    let cohort = |days: i64, row: &str| format!("c {} | {row}", day(days));
    assert_eq!(cohorts[0], [cohort(-1, "1 - - -"), cohort(0, "1 - - -")]);
    assert_eq!(cohorts[3], [cohort(-1, "1 1 - -"), cohort(0, "1 - - -")]);
    assert_eq!(cohorts[4], [cohort(-1, "1 1 - -"), cohort(0, "1 0 - -")]);
    assert_eq!(cohorts[8], [cohort(-1, "1 1 0 0"), cohort(0, "1 0 0 0")]);
    let week: Vec<_> = closed.iter().map(|tick| tick.of("community_week")).collect();
    // The day before was a Wednesday, today is a Thursday.
    assert_eq!(week[0], ["c 60 | 1"]);
    assert_eq!(week[3], ["c 60 | 1", "c 84 | 2"]);
    assert_eq!(week[6], Vec::<String>::new());
    let unanswered: Vec<_> = closed.iter().map(|tick| tick.of("unanswered").len()).collect();
    assert_eq!(unanswered[..3], [1, 1, 3]);
    assert_eq!(closed[0].of("responses"), [format!("c {} | 1 0 - -", day(-1)), format!("c {} | 2 0 - -", day(0))]);
}

/// Users who come, stay, leave and come back over 200 days; some of it is taken back.
fn history() -> Vec<Tick> {
    let mut ticks = vec![];
    for day in 0..200 {
        let mut said = vec![];
        for user in 0..24i64 {
            if (user * 7 + day * (1 + user % 3)) % (3 + user * 2) == 0 {
                let id = (day * 100 + user) as u64;
                said.push(message(id, &format!("u{user}"), (DAY + day) * DAY_S + user * HOUR_S));
            }
        }
        let mut tick = Tick { watermark: Some((DAY + day + 1) * DAY_S - 1), ..says(&said) };
        let gone = said.into_iter().filter(|version| version.created_at.is_some_and(|at| at % 5 == 0)).step_by(3);
        tick.updates.extend(gone.map(|version| Update { version, diff: -1 }));
        ticks.push(tick);
    }
    ticks
}

#[test]
fn a_jump_of_a_year_gives_the_rows_that_a_year_of_days_gives() {
    let end = (DAY + 200) * DAY_S;
    for days in [3, 31, 366] {
        let (mut slow, mut fast) = (history(), history());
        slow.extend((0..=days).map(|day| waits(end + day * DAY_S)));
        fast.push(waits(end + days * DAY_S));
        let (slow, fast) = (run(slow).pop().expect("ticks"), run(fast).pop().expect("ticks"));
        assert_eq!(slow.rows, fast.rows, "{days} days");
    }
    // What is due later than a month or two after the last message is nothing: a long jump is no more work than a short one.
    let far = [366, 18_000].map(|days| {
        let mut ticks = history();
        ticks.push(waits(end + days * DAY_S));
        run(ticks).pop().expect("ticks").work
    });
    assert_eq!(far[0], far[1]);
}

#[test]
fn before_any_watermark_there_is_no_row_and_the_first_one_gives_all() {
    let told = run(history());
    let mut untold: Vec<Tick> = history().into_iter().map(|tick| Tick { watermark: None, ..tick }).collect();
    untold.push(waits((DAY + 200) * DAY_S - 1));
    let untold = run(untold);
    let moving = |closed: &Closed| MOVING.map(|view| if view == "responses" { vec![] } else { closed.of(view) });
    assert!(moving(&untold[199]).iter().all(Vec::is_empty), "{:?}", moving(&untold[199]));
    assert_eq!(moving(&untold[200]), moving(&told[199]));
}

#[test]
fn a_tick_within_the_day_does_the_same_little_work_whatever_is_live() {
    let work = |users: u64| {
        let start = DAY * DAY_S;
        let said: Vec<_> = (0..users).map(|id| message(id, &format!("idle{id}"), start + id as i64 % 1_000)).collect();
        let closed = run(vec![says(&said), Tick::default(), waits(start + 2_000), waits(start + 2_001), waits(start + 3_000)]);
        assert!(closed[1..].iter().all(|tick| tick.changed == 0));
        closed[1..].iter().map(|tick| tick.work).collect::<Vec<_>>()
    };
    assert_eq!(work(20_000), [0, 0, 0, 0]);
    assert_eq!(work(10), [0, 0, 0, 0]);
}

#[test]
fn a_new_day_costs_what_changes_and_not_what_is_live() {
    let work = |users: u64| {
        let start = DAY * DAY_S;
        let said: Vec<_> = (0..users).map(|id| message(id, &format!("new{id}"), start - (id as i64 % 20) * DAY_S)).collect();
        let closed = run(vec![says(&said), waits(start + DAY_S)]);
        closed[1].work
    };
    let (few, many) = (work(2_000), work(20_000));
    assert!(few < 200 && many == few, "{few} {many}: users and messages are in counts that move together");
}
