//! Snapshots against the frames that they are made of.

use eddy_schemas::frame::Head;

use super::*;
use crate::engine::durable::Tick;
use crate::journal;

/// A journal of the ticks 1.., whose workers' frames do not stand in order: of each tick the last worker's comes one tick late.
fn journal(dir: &Path, ticks: u64) -> Journal {
    let journal = Journal::open(dir, journal::Config { segment_bytes: 400, ..journal::Config::default() }).expect("a folder");
    let write = |tick, worker| {
        let mut frame = vec![];
        Head::part(tick, worker, 2).encode(&mut frame);
        journal.append(&[&frame]).expect("room");
        frame.clear();
        Head { tick, worker, workers: 2, binding: if worker == 0 { format!("tick {tick}") } else { String::new() }, ..Head::default() }
            .encode(&mut frame);
        journal.append(&[frame]).expect("room");
    };
    for tick in 1..=ticks {
        write(tick, 0);
        if tick > 1 {
            write(tick - 1, 1);
        }
    }
    journal
}

fn ticks(journal: &Journal, after: u64) -> Vec<u64> {
    let mut ticks = Ticks::after(journal, after);
    let whole = |tick: Tick| {
        assert_eq!((tick.frames.len(), tick.binding()), (4, format!("tick {}", tick.number).as_str()), "two of each worker");
        tick.number
    };
    std::iter::from_fn(|| ticks.next_whole().expect("frames").map(whole)).collect()
}

#[test]
fn a_snapshot_does_not_go_beyond_the_recovery_point_and_every_later_frame_stays() {
    let dir = tempfile::tempdir().expect("a folder");
    let journal = journal(&dir.path().join("state"), 60);
    let mut snapshots = Snapshots::open(&dir.path().join("snapshots")).expect("a folder");
    let (mut first, mut most, sealed) = (0, 0, journal.sealed_end());
    for upto in [0, 7, 7, 20, 3, 41, u64::MAX] {
        snapshots.take(&journal, upto, None).expect("room");
        let at = snapshots.manifest.tick;
        most = most.max(upto);
        assert!(at <= most, "a snapshot at {at} beyond {most}");
        assert_eq!(ticks(&journal, at), (at + 1..60).collect::<Vec<_>>(), "after {upto}");
        let now = journal.range().start;
        assert!(now >= first && (upto == u64::MAX || now < sealed));
        first = now;
        // As after a restart.
        snapshots = Snapshots::open(&dir.path().join("snapshots")).expect("a folder");
        assert_eq!(
            (snapshots.manifest.tick, snapshots.manifest.binding.clone()),
            (at, if at > 0 { format!("tick {at}") } else { String::new() })
        );
    }
    assert!(snapshots.manifest.tick > 41 && first > 0, "without a sink to wait for, it goes on");
}
