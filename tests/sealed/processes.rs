//! The binary, killed for real. Where ticks end is chance there, so the history is one of which it does not matter: nothing comes so late that
//! it may be sealed, and nobody answers or changes what may be.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::generate::{NOW, Random};
use crate::harness::difference;
use crate::oracle::Oracle;
use crate::replays::durable::kill_after;
use crate::replays::run::{self, Ran};
use crate::torture::process;

pub const RETENTION: [&str; 6] = ["--retention", "2d", "--keep-hours", "3d", "--keep-days", "20d"];
const DAY_S: i64 = 86_400;
/// Messages are answered and changed while they are this young, at most.
const YOUNG_S: i64 = DAY_S;
/// Longer than anything here takes; a test that waits this long has failed.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// So many records of sixty days.
pub fn lines(seed: u64, records: usize) -> Vec<String> {
    let mut random = Random(seed ^ 0xa6ed);
    let start = NOW - 60 * DAY_S;
    // (id, link, author, created_at) of what is young.
    let mut young: Vec<(String, String, String, i64)> = vec![];
    let mut lines = vec![];
    for n in 0..records {
        let at = start + (n as i64 * 60 * DAY_S) / records as i64;
        young.retain(|(.., created_at)| *created_at > at - YOUNG_S);
        let user = format!("u{}", random.below(40));
        let community = |link: &str| format!("r{}", link.len() % 2 + usize::from(link.ends_with(['1', '3', '7'])));
        match random.below(20) {
            0 => {
                let (id, link) = (format!("s{n}"), format!("t3_s{n}"));
                let subreddit = community(&link);
                lines.push(format!(
                    r#"{{"op":"c","id":"{id}","title":"what is {n}?","selftext":"","author":"{user}","subreddit":"{subreddit}","created_utc":{at},"seq":{n}}}"#
                ));
                young.push((link.clone(), link, user, at));
            }
            what @ 1..4 if !young.is_empty() => {
                let (id, link, author, created_at) = random.pick(&young);
                let Some(bare) = id.strip_prefix("t1_") else { continue };
                let subreddit = community(&link);
                let (op, body) = if what == 1 { ("u", "[removed]") } else { ("u", "other words") };
                lines.push(format!(
                    r#"{{"op":"{op}","id":"{bare}","body":"{body}","author":"{author}","subreddit":"{subreddit}","link_id":"{link}","created_utc":{created_at},"seq":{n},"score":{}}}"#,
                    random.below(9)
                ));
            }
            _ if !young.is_empty() => {
                let (parent, link, ..) = random.pick(&young);
                let subreddit = community(&link);
                lines.push(format!(
                    r#"{{"op":"c","id":"c{n}","body":"words","author":"{user}","subreddit":"{subreddit}","link_id":"{link}","parent_id":"{parent}","created_utc":{at},"seq":{n},"score":1}}"#
                ));
                young.push((format!("t1_c{n}"), link, user, at));
            }
            _ => {}
        }
    }
    lines
}

pub fn oracle(lines: &[String]) -> Oracle {
    let mut oracle = Oracle::new(NOW).with_retention(2 * DAY_S, Some(3 * DAY_S), Some(20 * DAY_S));
    for tick in lines.chunks(50) {
        tick.iter().for_each(|line| oracle.record(line.as_bytes()));
        oracle.tick();
    }
    assert_eq!(oracle.counts().ignored.get("sealed"), None, "nothing comes too late");
    oracle
}

#[test]
fn a_replay_that_seals_and_is_killed_ends_as_if_it_had_not_been() {
    let (place, mut random, mut kills) = (run::Place::new(), Random(7), 0);
    let lines = lines(7, 12_000);
    let file = place.file("lines.ndjson", lines.join("\n") + "\n");
    let replay = |workers: usize| {
        let mut command = place.replay(["--state", "durable", "--tick-records-max", "40", "--snapshot-bytes", "30000", "--data-dir"]);
        command.arg(place.path("data")).args(RETENTION).args(["--workers", &workers.to_string()]).arg(&file);
        command
    };
    for _ in 0..8 {
        let mut child = replay(1 + random.below(4)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts");
        let bytes = random.below(60_000) as u64;
        if bytes < 20_000 {
            std::thread::sleep(Duration::from_millis(random.below(80) as u64));
        }
        if !kill_after(&mut child, &place.path("data"), bytes) {
            break;
        }
        kills += 1;
    }
    let tables = oracle(&lines).tables();
    for workers in [2, 1] {
        Ran::of(&mut replay(workers)).ends(0);
        run::equal(&place.tables(), &tables, "after kills");
    }
    assert!(kills > 2, "{kills} kills");
    let other = Ran::of(replay(1).args(["--views", "users"])).ends(2);
    assert!(other.stderr.contains("is asked for the views users"), "{}", other.stderr);
}

#[test]
fn a_live_run_that_seals_and_is_killed_goes_on_as_if_it_had_not_been() {
    let (place, mut random) = (process::Place::sealing(&RETENTION), Random(11));
    let lines = lines(11, 6_000);
    let (last, lines) = lines.split_last().expect("some");
    let start = |workers: usize| place.spawn(place.command(workers, &[1]));
    let mut file = std::fs::File::create(&place.file).expect("room");
    for part in lines.chunks(lines.len() / 6 + 1) {
        let run = start(1 + random.below(4));
        if random.chance(70) {
            run.ready();
        }
        file.write_all((part.join("\n") + "\n").as_bytes()).expect("room");
        std::thread::sleep(Duration::from_millis(random.below(700) as u64));
        run.kill();
    }
    let run = start(2);
    run.ready();
    run.has_read(lines.len() as u64, "sealed");
    // Once all partitions are idle the watermark is what the last line says.
    run.is_idle();
    let from = Instant::now();
    file.write_all(format!("{last}\n").as_bytes()).expect("room");
    let mut all = lines.to_vec();
    all.push(last.clone());
    let tables = oracle(&all).tables();
    while let Some(difference) = difference(&run.tables(), &tables) {
        assert!(from.elapsed() < WAIT_MAX, "{difference}");
        std::thread::sleep(Duration::from_millis(100));
    }
    run.interrupt();
}
