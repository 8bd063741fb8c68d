//! `--shared` with a retention: wherever a store stands when all else is lost, what goes on from it gives what one process gives, late records and
//! all.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::durable::{History, names, wait_for_work};
use super::fence::end;
use super::party::{signal, wait};
use super::sealed;
use crate::generate::Random;

/// At most, unless `EDDY_RUNS` says how many: until it was gone on from snapshots.
const RUNS: u64 = 5;
/// Clusters that are killed before one is left alone.
const LOSSES: usize = 3;
/// Images that are gone on from.
const IMAGES: usize = 3;
const SHAPES: [(usize, usize); 4] = [(1, 2), (2, 1), (2, 2), (4, 1)];

/// A history once again: it need not meet everything.
fn is_one() -> bool {
    std::env::var_os("EDDY_SEED").is_some()
}

fn seeds() -> Vec<u64> {
    match std::env::var("EDDY_SEED") {
        Ok(seed) => vec![seed.parse().expect("EDDY_SEED is a number")],
        Err(_) => (0..std::env::var("EDDY_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS)).collect(),
    }
}

/// So that whatever is started next is mirrored there, and takes it from whoever has it.
fn mirrored_in(history: &mut History, arguments: &[String], store: &Path) {
    let url = format!("file://{}", store.display());
    history.arguments = [arguments, &["--shared".into(), url, "--take-over".into(), "--watchdog".into(), "20s".into()]].concat();
}

/// The tick of the snapshots that the newest generation of a folder goes on from; 0: of none.
fn goes_on_from(data: &Path) -> u64 {
    let newest = names(data, "generation-").into_iter().filter(|name| name.ends_with(".json")).max().expect("one has begun");
    let record = std::fs::read_to_string(data.join(newest)).expect("a record");
    let manifest: serde_json::Value = serde_json::from_str(record.split_once('\n').expect("its head").1).expect("JSON");
    manifest["held"].as_array().expect("a list").iter().filter_map(|held| held["snapshot"].as_u64()).max().unwrap_or(0)
}

/// What the processes of the newest generation in a store say of their snapshots.
fn snapshots(store: &Path) -> Vec<String> {
    let newest = names(store, "generation-").into_iter().filter(|name| !name.contains('.')).max().map(|name| store.join(name));
    let processes = newest.iter().flat_map(|of| names(of, "process-").into_iter().map(move |process| of.join(process)));
    processes.filter_map(|process| std::fs::read_to_string(process.join("snapshots/snapshot.json")).ok()).collect()
}

#[test]
fn a_cluster_that_seals_and_loses_its_folder_goes_on_from_its_store_as_if_it_had_not() {
    let (mut losses, mut from) = (0, 0);
    for seed in seeds() {
        if from > 0 && std::env::var_os("EDDY_RUNS").is_none() {
            break;
        }
        let (mut history, mut random) = (sealed::longest_history(seed), Random(seed));
        history.again = history.again.replace("cluster::sealed", "cluster::mirrored");
        let arguments = history.arguments.clone();
        let store = history.party.place.path("store");
        mirrored_in(&mut history, &arguments, &store);
        for loss in 0..LOSSES {
            history.shape(random.pick(&SHAPES));
            let before = names(&history.data(), "generation-");
            let mut children = history.party.start();
            let mut is_at_work = wait_for_work(&mut children, &history.data(), &before, Duration::from_millis(random.below(300) as u64));
            // Some are killed before all have shipped a snapshot; the last is not.
            let is_waited_for = loss + 1 == LOSSES || random.chance(50);
            while is_at_work && is_waited_for && snapshots(&store).len() < children.len() {
                std::thread::sleep(Duration::from_millis(1 + random.below(20) as u64));
                is_at_work = children[0].try_wait().expect("a child").is_none();
            }
            if !is_at_work {
                history.is_right(wait(children));
                break;
            }
            end(children);
            losses += 1;
            if random.chance(70) {
                std::fs::remove_dir_all(history.data()).expect("it was there");
            }
        }
        // Once more from the store alone: there is nothing left to read.
        for _ in 0..2 {
            history.shape(random.pick(&SHAPES));
            history.is_right(wait(history.party.start()));
            from += usize::from(goes_on_from(&history.data()) > 0);
            std::fs::remove_dir_all(history.data()).expect("it was there");
        }
    }
    println!("{losses} losses, {from} starts that went on from snapshots");
    assert!(is_one() || losses > 0 && from > 0, "{losses} losses, {from} starts that went on from snapshots");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("room");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("its kind").is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("room");
        }
    }
}

/// Starts a cluster, and stops all of it now and then to look at its store; to the end, or until `most` images are there.
fn images(history: &History, store: &Path, random: &mut Random, most: usize) -> Vec<PathBuf> {
    let (mut children, mut images, began) = (history.party.start(), vec![], Instant::now());
    let mut last = vec![];
    while images.len() < most && children.iter_mut().all(|child| child.try_wait().expect("a child").is_none()) {
        assert!(began.elapsed() < Duration::from_secs(300), "it does not end");
        children.iter().for_each(|child| signal(child, "STOP"));
        let now = snapshots(store);
        // Those in which something of snapshots has moved are of interest.
        if !now.is_empty() && (now != last || random.chance(5)) {
            let image = store.with_file_name(format!("image-{}", random.draw()));
            copy(store, &image);
            images.push(image);
            last = now;
        }
        children.iter().for_each(|child| signal(child, "CONT"));
        std::thread::sleep(Duration::from_millis(20 + random.below(100) as u64));
    }
    end(children);
    images
}

#[test]
fn whatever_a_store_holds_while_messages_are_sealed_is_gone_on_from() {
    let mut from = 0;
    for seed in seeds() {
        if from > 0 && std::env::var_os("EDDY_RUNS").is_none() {
            break;
        }
        let (mut history, mut random) = (sealed::longest_history(seed ^ 5), Random(seed));
        history.again = format!("EDDY_SEED={seed} cargo test --test tests cluster::mirrored");
        let arguments = history.arguments.clone();
        let store = history.party.place.path("store");
        mirrored_in(&mut history, &arguments, &store);
        // The second adopts what the first left.
        history.shape((4, 1));
        let most = 2 + random.below(3);
        let mut all = images(&history, &store, &mut random, most);
        history.shape((2, 1));
        all.extend(images(&history, &store, &mut random, usize::MAX));
        println!("{} images", all.len());
        for n in 0..IMAGES.min(all.len()) {
            // The last, which has most behind it, and some others.
            let image = if n == 0 { all.pop().expect("some") } else { all.remove(random.below(all.len())) };
            history.party.data = format!("data-{n}");
            mirrored_in(&mut history, &arguments, &image);
            history.shape(random.pick(&SHAPES));
            history.is_right(wait(history.party.start()));
            from += usize::from(goes_on_from(&history.data()) > 0);
        }
    }
    assert!(is_one() || from > 0, "none went on from snapshots");
}
