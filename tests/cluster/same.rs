//! Tables, dead letters and sums are those of the oracle, whatever the processes and workers.

use super::party::{Party, is_clean, wait};
use crate::generate::{self, Random, Shape};
use crate::harness::difference;
use crate::replays::archives::{gzip, zstd};
use crate::replays::run::oracle;

const RUNS: u64 = 6;

fn one(seed: u64) {
    let mut random = Random(seed ^ 0xc105);
    let (name, shape) = random.pick(&Shape::all());
    let shape = Shape { records: 1_500, reorder: usize::MAX, ..shape };
    // The first two without chance: so few runs must have both.
    let (processes, workers) = [(2, 1), (3, 2), (2, 2), (1, 2), (4, 1)][if seed < 2 { seed as usize } else { random.below(5) }];
    let again = format!("EDDY_SEED={seed} cargo test --test tests cluster (shape {name}, {processes} processes, {workers} workers)");
    let mut party = Party::new(processes);
    let lines = generate::history(seed, &shape);
    let mut oracle = oracle();
    lines.iter().for_each(|line| oracle.record(line.as_bytes()));
    // Texts of archives are in the spools of whoever reads them; those of plain files are read again by whoever wants them.
    party.files = (lines.chunks(lines.len() / 5 + 1).enumerate())
        .map(|(n, lines)| {
            let bytes = (lines.join("\n") + "\n").into_bytes();
            match n {
                1 => party.place.file("1.ndjson.zst", zstd(&bytes)),
                2 => party.place.file("2.ndjson.gz", gzip(&bytes)),
                n => party.place.file(&format!("{n}.ndjson"), bytes),
            }
        })
        .collect();
    let tick = [1, 40, 1_000, 1 << 18][random.below(4)];
    party.arguments = ["--workers", &workers.to_string(), "--tick-records-max", &tick.to_string()].map(str::to_owned).to_vec();
    let mut ran = wait(party.start()).into_iter().enumerate().map(|(process, ran)| {
        assert_eq!(ran.code, 0, "process {process}: {}\n{again}", ran.stderr);
        ran
    });
    let summary = ran.next().expect("process 0").summary();
    ran.for_each(|other| assert_eq!(other.stdout, "", "only process 0 says a summary"));
    if let Some(difference) = difference(&party.place.tables(), &oracle.tables()) {
        panic!("{difference}\n{again}");
    }
    let (expected, dead) = (oracle.counts(), oracle.counts().dead.values().sum::<u64>());
    let got = (summary.n("read"), summary.versions(), summary.n("dead_letters"), party.place.letters().len() as u64);
    assert_eq!(got, (expected.read, expected.accepted, dead, dead), "{}\n{again}", summary.0);
    assert_eq!((summary.n("workers"), summary.n("processes")), ((processes * workers) as u64, processes as u64));
    is_clean(&party.place.path("data"));
    party.place.is_clean();
}

#[test]
fn random_histories_by_several_processes_equal_the_oracle() {
    let seeds = match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse().expect("EDDY_SEED is a number")],
        Err(_) => (0..std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)).collect::<Vec<u64>>(),
    };
    seeds.into_iter().for_each(one);
}

#[test]
fn a_broken_archive_is_named_whoever_reads_it() {
    let mut party = Party::new(2);
    let whole = zstd(crate::replays::bad_records::good(1).repeat(3_000).as_bytes());
    let cut = party.place.file("cut.zst", &whole[..whole.len() / 2]);
    party.files = vec![party.place.file("good.ndjson", crate::replays::bad_records::good(2)), cut];
    let ran = wait(party.start());
    // Its reader says so, too, but only process 0 speaks for the job.
    let summary = serde_json::from_str::<serde_json::Value>(&ran[0].stdout).expect("a summary");
    assert!(summary["incomplete"][0].as_str().is_some_and(|path| path.ends_with("cut.zst")), "{summary}");
    assert_eq!((ran[0].code, ran[1].code), (1, 0), "{} {}", ran[0].stderr, ran[1].stderr);
    assert!(ran[1].stderr.contains("cut.zst"), "{}", ran[1].stderr);
    assert_eq!(party.place.tables()["messages"].len(), 1);
}
