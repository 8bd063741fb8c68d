//! Generations among simulated files: one process ends, is frozen, or loses its power between any two operations of beginning.

use eddy_schemas::frame::Head;

use super::*;
use crate::files::Simulated;
use crate::files::simulated::{Done, Fault};
use crate::journal::{self, Journal};

const LEASE: Duration = Duration::from_secs(10);
const WORKERS: usize = 2;

fn data() -> &'static Path {
    Path::new("/d")
}

fn job(processes: usize, files: &[&str]) -> Job {
    let files = files.iter().map(|file| (*file).to_owned()).collect();
    Job { processes, workers: WORKERS, files, record_bytes_max: 100, retention: None, output: None, rebuild: false, shared: None }
}

fn begin(files: &Arc<dyn Files>, job: &Job, at: &mut dyn FnMut(&str)) -> Result<State, Error> {
    files.make_folder(data()).expect("made");
    begin::begin(files, data(), job, LEASE, at).map(|(state, _)| state)
}

/// Each process of a generation writes the frames of some ticks, of each the last worker only where `is_whole` says so.
fn work(state: &State, ticks: std::ops::RangeInclusive<u64>, is_whole: impl Fn(u64, usize) -> bool) {
    let Manifest { processes, .. } = state.manifest;
    for process in 0..processes {
        let folder = state.own(process).expect("room");
        let journal = Journal::open_in(Arc::clone(&state.files), &folder, journal::Config::default()).expect("a folder");
        for tick in ticks.clone() {
            for worker in process * WORKERS..(process + 1) * WORKERS {
                let mut position = Position::default();
                position.set(process as u32, Reached::Blocks(tick));
                let binding = if worker == process * WORKERS { position.binding() } else { String::new() };
                let head = Head { tick, worker: worker as u32, workers: (processes * WORKERS) as u32, binding, ..Head::default() };
                let mut frame = vec![];
                head.encode(&mut frame);
                if worker == process * WORKERS || is_whole(tick, process) {
                    journal.append(&[frame]).expect("room");
                }
            }
        }
        journal.sync().expect("synced");
    }
}

/// How far a state goes, and how far files had come.
fn reached(state: &State) -> (u64, u64, u64) {
    (state.manifest.until(), state.manifest.position.blocks(0), state.manifest.position.blocks(1))
}

#[test]
fn a_later_start_goes_on_from_what_all_workers_had_written_and_ends_the_lease_of_the_one_before() {
    let files = Simulated::new(1).files();
    let first = begin(&files, &job(2, &["a"]), &mut |_| {}).expect("nobody was there");
    first.check_lease().expect("it is the last");
    // Of tick 13 process 1 lacks a frame.
    work(&first, 10..=13, |tick, process| (tick, process) != (13, 1));
    let second = begin(&files, &job(1, &["a", "b"]), &mut |_| {}).expect("it goes on, with more files");
    assert!(matches!(first.check_lease(), Err(Error::Lost(_))));
    second.check_lease().expect("it is the last");
    assert_eq!(reached(&second), (12, 12, 12));
    assert_eq!((first.spools().len(), second.spools().len()), (4, 6));
    assert!(begin(&files, &job(1, &["b", "a"]), &mut |_| {}).is_err(), "another job");
    let third = begin(&files, &job(3, &["a", "b"]), &mut |_| {}).expect("it goes on");
    assert_eq!(reached(&third), (12, 12, 12), "the second did nothing");
    assert_eq!(third.spools()[..4], second.spools()[..4], "spools keep their numbers");
    assert_eq!(third.spools().len(), 4 + 2 + 6, "as do those of a start that was refused: none");
    assert_eq!(third.manifest.held(), second.manifest.held());
    let joined = State::join(&files, data(), third.manifest.generation).expect("it has begun");
    assert_eq!(joined.manifest.files, ["a", "b"]);
    assert!(State::join(&files, data(), 9).is_err(), "it has not begun");
}

#[test]
fn a_state_that_is_made_anew_has_nothing_of_the_one_before() {
    let files = Simulated::new(1).files();
    let first = begin(&files, &job(2, &["a"]), &mut |_| {}).expect("nobody was there");
    work(&first, 10..=13, |_, _| true);
    let anew = begin(&files, &Job { rebuild: true, ..job(1, &["b"]) }, &mut |_| {}).expect("whatever was there");
    assert_eq!((reached(&anew), anew.spools().len(), anew.manifest.generation), ((0, 0, 0), 2, 2));
    let next = begin(&files, &job(1, &["b"]), &mut |_| {}).expect("it goes on");
    assert_eq!((reached(&next), next.spools().len()), ((0, 0, 0), 4));
    assert!(files.names(data()).expect("listed").iter().all(|name| !name.starts_with("old-000001")), "it is gone");
}

#[test]
fn wherever_a_start_is_stopped_the_next_one_goes_on_from_the_same() {
    let mut stops = 0;
    for (power, done) in [(false, Done::Nothing), (false, Done::All), (true, Done::Nothing), (true, Done::All), (true, Done::Part)] {
        for after in 1.. {
            let simulated = Simulated::new(after);
            let files = simulated.files();
            let first = begin(&files, &job(2, &["a"]), &mut |_| {}).expect("nobody was there");
            work(&first, 10..=12, |_, _| true);
            simulated.fault(Fault { after, done, stop: true, error: io::ErrorKind::Other });
            let stopped = begin(&files, &job(3, &["a"]), &mut |_| {});
            let was_stopped = simulated.is_stopped();
            assert!(was_stopped || stopped.is_ok());
            if power {
                simulated.power_cut()
            } else {
                simulated.kill()
            }
            let next = begin(&files, &job(1, &["a"]), &mut |_| {}).unwrap_or_else(|e| panic!("stopped at {after}, {power} {done:?}: {e}"));
            assert_eq!(reached(&next), (12, 12, 12), "stopped at {after}, {power} {done:?}");
            assert_eq!(next.manifest.held().len(), 2, "stopped at {after}, {power} {done:?}");
            for held in next.manifest.held() {
                held.look(&files, data()).expect("it is there").ticks().expect("frames").next_whole().expect("whole").expect("a tick");
            }
            stops += usize::from(was_stopped);
            if !was_stopped {
                break;
            }
        }
    }
    assert!(stops > 50, "{stops}");
}

#[test]
fn whoever_is_frozen_between_two_steps_while_another_begins_changes_nothing_when_it_goes_on() {
    let mut points = vec![];
    begin(&Simulated::new(1).files(), &job(1, &["a"]), &mut |point| points.push(point.to_owned())).expect("nobody was there");
    assert_eq!(points, ["claimed", "taken", "counted", "begun"]);
    for frozen_at in points {
        for (seed, does_work) in [(1, true), (2, false)] {
            let files = Simulated::new(seed).files();
            let first = begin(&files, &job(2, &["a"]), &mut |_| {}).expect("nobody was there");
            work(&first, 10..=12, |_, _| true);
            let mut later = None;
            let frozen = begin(&files, &job(3, &["a"]), &mut |point| {
                if point == frozen_at {
                    let state = begin(&files, &job(1, &["a"]), &mut |_| {}).expect("it takes over");
                    if does_work {
                        work(&state, 20..=21, |_, _| true);
                    }
                    later = Some(state);
                }
            });
            let later = later.expect("it came to the point");
            match frozen {
                Err(error) => assert!(matches!(error, Error::Lost(_)), "{frozen_at}: {error}"),
                Ok(state) => {
                    assert_eq!(frozen_at, "begun");
                    assert!(matches!(state.check_lease(), Err(Error::Lost(_))));
                    work(&state, 15..=40, |_, _| true);
                    assert!(matches!(state.check_own(), Err(Error::Lost(_))), "it was made anew");
                }
            }
            later.check_lease().and_then(|()| later.check_own()).expect("it is the last");
            // The first, too, goes on writing where it can.
            work(&first, 10..=50, |_, _| true);
            let next = begin(&files, &job(2, &["a"]), &mut |_| {}).expect("it goes on");
            let expected = if does_work { (21, 21, 12) } else { (12, 12, 12) };
            assert_eq!(reached(&next), expected, "frozen at {frozen_at}");
            let generations: Vec<_> = next.manifest.held().iter().map(|held| held.generation).collect();
            assert_eq!(generations, if does_work { vec![1, 1, 3] } else { vec![1, 1] }, "frozen at {frozen_at}");
        }
    }
}

fn sealing(processes: usize) -> Job {
    let keep = Keep { messages_s: Some(60), hours_s: None, days_s: None };
    Job { retention: Retention::of(&[], keep), ..job(processes, &["a"]) }
}

/// Each process in turn makes a snapshot of the ticks up to this one; an error where one is stopped.
fn take(state: &State, snapshots: &mut [Snapshots], upto: u64) -> Result<(), String> {
    for (process, snapshots) in snapshots.iter_mut().enumerate() {
        let config = journal::Config { segment_bytes: 400, ..journal::Config::default() };
        let folder = state.own(process).map_err(|e| e.to_string())?;
        let journal = Journal::open_in(Arc::clone(&state.files), &folder, config).map_err(|e| e.to_string())?;
        snapshots.take_together(&journal, upto, None).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The snapshot's tick that all sources have, and the ticks after it by process.
fn goes_on_from(state: &State) -> (u64, Vec<Vec<u64>>) {
    let sources = state.sources(0).unwrap_or_else(|e| panic!("{e}"));
    let mut at: Vec<u64> = sources.iter().map(|source| source.snapshots.manifest.tick).collect();
    at.dedup();
    assert_eq!(at.len(), 1, "all have one tick: {at:?}");
    let ticks = sources.iter().map(|source| {
        let mut ticks = source.ticks().expect("frames");
        std::iter::from_fn(|| Some(ticks.next_whole().expect("frames")?.number)).collect()
    });
    (at[0], ticks.collect())
}

#[test]
fn wherever_a_process_is_stopped_that_makes_its_snapshots_with_others_all_go_on_from_one_tick() {
    let (mut stops, mut from) = (0, std::collections::BTreeSet::new());
    for (power, done) in [(false, Done::Nothing), (false, Done::All), (true, Done::Nothing), (true, Done::All), (true, Done::Part)] {
        for after in 1.. {
            let simulated = Simulated::new(after);
            let files = simulated.files();
            work(&begin(&files, &sealing(2), &mut |_| {}).expect("nobody was there"), 10..=12, |_, _| true);
            let second = begin(&files, &sealing(2), &mut |_| {}).expect("it goes on");
            let own = |process| second.snapshots(process).expect("room").adopting(second.sources(process).expect("they are there"));
            let mut snapshots: Vec<_> = (0..2).map(own).collect();
            work(&second, 20..=25, |_, _| true);
            simulated.fault(Fault { after, done, stop: true, error: io::ErrorKind::Other });
            let stopped = [12, 21, 22, 25].into_iter().try_for_each(|upto| take(&second, &mut snapshots, upto));
            let was_stopped = simulated.is_stopped();
            assert!(was_stopped || stopped.is_ok(), "{stopped:?}");
            if power {
                simulated.power_cut()
            } else {
                simulated.kill()
            }
            let what = format!("stopped at {after}, {power} {done:?}");
            let third = begin(&files, &sealing(1), &mut |_| {}).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(reached(&third), (25, 25, 25), "{what}");
            let (tick, ticks) = goes_on_from(&third);
            let after_it = |ticks: std::ops::RangeInclusive<u64>| ticks.filter(|one| *one > tick).collect::<Vec<_>>();
            let expected = [10..=12, 10..=12, 20..=25, 20..=25].map(after_it).to_vec();
            // Once all have adopted what the first left, that is not there any more.
            assert_eq!(ticks, if tick == 0 { &expected[..] } else { &expected[2..] }, "{what}, from {tick}");
            from.insert(tick);
            stops += usize::from(was_stopped);
            if !was_stopped {
                break;
            }
        }
    }
    assert!(stops > 100 && from.into_iter().eq([0, 12, 21, 22, 25]), "{stops}");
}

#[test]
fn a_state_goes_on_with_its_retention_and_no_other() {
    let files = Simulated::new(1).files();
    begin(&files, &job(2, &["a"]), &mut |_| {}).expect("nobody was there");
    begin(&files, &sealing(2), &mut |_| {}).expect("it begins to seal");
    let head = crate::files::read(&*files, &manifest_path(data(), 2)).expect("it has begun");
    assert!(head.starts_with(b"eddy 3 "), "what seals is refused by an eddy that does not know of it");
    assert!(matches!(begin(&files, &job(2, &["a"]), &mut |_| {}), Err(Error::Usage(why)) if why.contains("is asked for no retention")));
    begin(&files, &Job { rebuild: true, ..job(2, &["a"]) }, &mut |_| {}).expect("made anew it has none");
    begin(&files, &job(1, &["a"]), &mut |_| {}).expect("it goes on");
    record::write_in(&*files, &manifest_path(data(), 9), 4, &"of a newer eddy").expect("room");
    assert!(matches!(begin(&files, &job(1, &["a"]), &mut |_| {}), Err(Error::Usage(why)) if why.contains("newer than 3")));
}

#[test]
fn a_manifest_of_format_1_is_gone_on_from() {
    let files = Simulated::new(1).files();
    let first = begin(&files, &job(2, &["a"]), &mut |_| {}).expect("nobody was there");
    work(&first, 10..=12, |_, _| true);
    // As it was written, where the folder of each generation kept its name.
    files.make_folder(data()).expect("made");
    let before = serde_json::json!([{"processes": 2, "workers": WORKERS, "until": 12}]);
    let manifest = serde_json::json!({"generation": 2, "processes": 1, "workers": 1, "before": before,
        "position": {"files": {"0": {"Blocks": 12}, "1": {"Blocks": 12}}, "incomplete": []}, "files": ["a"], "record_bytes_max": 100});
    record::write_in(&*files, &manifest_path(data(), 2), 1, &manifest).expect("room");
    files.remove(&claim::path(data(), 1)).expect("there were none");
    let next = begin(&files, &job(1, &["a"]), &mut |_| {}).expect("it goes on");
    assert_eq!((reached(&next), next.manifest.generation, next.spools().len()), ((12, 12, 12), 3, 4 + 1 + 2));
    assert_eq!(next.manifest.held().len(), 2);
}
