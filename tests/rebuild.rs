//! One bit of a state is flipped, in a file of any kind: it is refused, with the file and the way out, or nothing is wrong. The way out leads to
//! the same rows.
//!
//! More flips: `EDDY_FLIPS=100 cargo test --test tests rebuild`; other ones: `EDDY_SEED=2`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cluster::durable::{self, History};
use crate::cluster::party::wait;
use crate::generate::{self, Random, Shape};
use crate::harness::difference;
use crate::oracle::{Oracle, Tables};
use crate::replays::run::Ran;
use crate::torture::changes::Folded;
use crate::torture::process::{Place, get};

const FLIPS: usize = 16;
/// The number of a format can become a greater one.
const IS_NEWER: &str = "which this eddy reads: use a newer eddy";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn flips() -> usize {
    number("EDDY_FLIPS").map_or(FLIPS, |flips| flips as usize)
}

/// Files by kind: what their path says of them. (What is in `sums` is thrown away at a start.)
fn files(folder: &Path, kinds: &[&'static str]) -> BTreeMap<&'static str, Vec<PathBuf>> {
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, kinds).into_iter().for_each(|(kind, files)| found.entry(kind).or_default().extend(files));
        } else if path.metadata().expect("a file").len() > 0 && !path.to_string_lossy().contains("/sums/") {
            let kind = kinds.iter().find(|kind| path.to_string_lossy().contains(**kind));
            found.entry(*kind.unwrap_or_else(|| panic!("{} is of no kind", path.display()))).or_default().push(path);
        }
    }
    found.values_mut().for_each(|files| files.sort());
    found
}

/// Folders that are put back as they were before each flip.
struct Kept(Vec<(PathBuf, PathBuf)>);

impl Kept {
    fn keep(folders: Vec<PathBuf>) -> Kept {
        let kept = Kept(folders.into_iter().map(|folder| (folder.with_extension("kept"), folder)).collect());
        kept.0.iter().for_each(|(kept, folder)| copy(folder, kept));
        kept
    }

    fn put_back(&self) {
        for (kept, folder) in &self.0 {
            std::fs::remove_dir_all(folder).expect("it is there");
            copy(kept, folder);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-rT").args([from, to]).status().expect("cp is there").success());
}

/// Flips a bit in a file of a kind, each as likely; says where.
fn flip(folders: &[PathBuf], kinds: &[&'static str], random: &mut Random) -> (&'static str, PathBuf, String) {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    for folder in folders {
        files(folder, kinds).into_iter().for_each(|(kind, files)| all.entry(kind).or_default().extend(files));
    }
    let kind = random.pick(&all.keys().copied().collect::<Vec<_>>());
    let path = random.pick(&all[kind]);
    let mut bytes = std::fs::read(&path).expect("a file");
    let (at, bit) = (random.below(bytes.len()), random.below(8));
    bytes[at] ^= 1 << bit;
    std::fs::write(&path, &bytes).expect("room");
    let what = format!("bit {bit} of byte {at} of {} in {}", bytes.len(), path.display());
    (kind, path, what)
}

/// What came of flips, by kind: refused, harmless.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, [usize; 2]>);

impl Seen {
    fn refused(&mut self, kind: &'static str) {
        self.0.entry(kind).or_default()[0] += 1;
    }

    fn harmless(&mut self, kind: &'static str) {
        self.0.entry(kind).or_default()[1] += 1;
    }

    fn say(&self, of: &str) {
        let [refused, harmless] = self.0.values().fold([0, 0], |[a, b], [refused, harmless]| [a + refused, b + harmless]);
        println!("{of}: {refused} refused, {harmless} harmless; [refused, harmless] of {:?}", self.0);
        assert!(refused > 0, "nothing was found");
    }
}

/// Of `work`; a claim is what `work::state::claim` tests, since one that cannot be read is waited for.
const OF_WORK: [&str; 7] = [".claim", "/generation-", "texts-", "/lock", "/run-", "snapshot.json", ".journal"];

fn kinds_of_work() -> Vec<&'static str> {
    // (The folders of the last generation have its name, too.)
    ["texts-", "/lock", "/run-", "snapshot.json", ".journal", ".claim", "/generation-"].into()
}

fn single(history: &mut History, more: &[&str]) -> Ran {
    history.shape((1, 1));
    history.party.arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    wait(history.party.start()).remove(0)
}

#[test]
fn a_flipped_bit_in_a_folder_of_work_is_refused_or_harmless_and_the_state_is_made_anew() {
    let seed = number("EDDY_SEED").unwrap_or(1);
    let (mut random, mut seen, mut rebuilt) = (Random(seed), Seen::default(), BTreeSet::new());
    let mut history = durable::history(60, 2_500, 900);
    let data = history.data();
    // One that is killed, and one that ends on what that left.
    for is_killed in [true, true, false] {
        history.shape((2, 1));
        let before = durable::names(&data, "generation-");
        let mut children = history.party.start();
        if is_killed && durable::wait_for_work(&mut children, &data, &before, Duration::from_millis(150)) {
            children.iter_mut().for_each(|child| child.kill().expect("a child"));
            for mut child in children {
                child.wait().expect("a child");
            }
        } else {
            history.is_right(wait(children));
        }
    }
    let kept = Kept::keep(vec![data.clone()]);
    assert_eq!(files(&data, &kinds_of_work()).len(), OF_WORK.len(), "all kinds are there");
    for _ in 0..flips() {
        kept.put_back();
        let (kind, _, what) = flip(std::slice::from_ref(&data), &kinds_of_work(), &mut random);
        let ran = single(&mut history, if kind == ".claim" { &["--take-over"] } else { &[] });
        if ran.code == 0 {
            history.is_right(vec![ran]);
            seen.harmless(kind);
            continue;
        }
        let is_refused = ran.stderr.contains("is damaged") && ran.stderr.contains("with --rebuild");
        assert!(is_refused || ran.stderr.contains(IS_NEWER), "{what}: {}", ran.stderr);
        seen.refused(kind);
        if rebuilt.insert(kind) {
            let anew = single(&mut history, &["--rebuild"]);
            history.is_right(vec![anew]);
            // It goes on from there.
            let on = single(&mut history, &[]);
            history.is_right(vec![on]);
        }
    }
    seen.say("work");
    // Of several processes one finds it, and all end.
    let ended = (0..4).map(|_| {
        kept.put_back();
        let run = random.pick(&files(&data, &kinds_of_work())["/run-"]);
        let mut bytes = std::fs::read(&run).expect("a file");
        let (at, what) = (random.below(bytes.len()), run.display());
        bytes[at] ^= 2;
        std::fs::write(&run, &bytes).expect("room");
        history.shape((2, 1));
        let ran = wait(history.party.start());
        if ran.iter().all(|ran| ran.code == 0) {
            history.is_right(ran);
            return false;
        }
        let said: Vec<_> = ran.iter().map(|ran| (ran.code, &ran.stderr)).collect();
        assert!(said.iter().all(|(code, _)| [1, 3].contains(code)), "{what}: {said:?}");
        assert!(said.iter().any(|(code, said)| *code == 1 && said.contains("is damaged")), "{what}: {said:?}");
        true
    });
    assert!(ended.filter(|ended| *ended).count() > 0, "nothing was found");
}

const OF_RUN: [&str; 11] = [
    "/lock",
    "retention.json",
    "snapshot.json",
    "/run-",
    "/state/",
    "/intake/",
    "/log/manifest.json",
    "/log/",
    "sinks.json",
    "upper.json",
    ".ndjson",
];

/// A started `run` that serves, or what it said when it ended.
fn serve(mut command: Command) -> Result<(Child, String), String> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("UTF-8");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).map(str::to_owned);
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            let mut said = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
            assert!(!status.success() && status.code().is_some_and(|code| code < 100), "{status}: {said}");
            return Err(said);
        }
        if let Some(address) = &address
            && get(address, "/readyz").is_some_and(|(status, _)| status == 200)
        {
            return Ok((child, address.clone()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Rows that do not move with the watermark, which an oracle of records does not know.
fn steady(mut tables: Tables) -> Tables {
    for view in ["community_activity", "community_week", "unanswered", "user_states", "cohorts"] {
        tables.remove(view);
    }
    tables
}

struct Live {
    place: Place,
    expected: Tables,
    lines: usize,
}

impl Live {
    fn new() -> Live {
        let shape =
            Shape { records: 1_500, users: 40, conversations: 20, messages: 500, days: 10, documents: 0, reorder: 300, ..Shape::medium() };
        let mut oracle = Oracle::new(eddy::clock::Clock::now_s(&eddy::clock::System));
        let lines: Vec<String> = generate::history(61, &shape).into_iter().filter(|line| !line.trim().is_empty()).collect();
        lines.iter().for_each(|line| oracle.received(line.as_bytes(), eddy::clock::Clock::now_ms(&eddy::clock::System)));
        let place = Place::new();
        std::fs::write(&place.file, lines.join("\n") + "\n").expect("room");
        Live { place, expected: steady(oracle.tables()), lines: lines.len() }
    }

    /// With these arguments, until all is read and right; what it said where it does not come to serve.
    fn run(&self, more: &[&str], what: &str) -> Result<(), String> {
        let mut command = self.place.command(1, &[1]);
        command.args(more);
        let (mut child, address) = serve(command)?;
        let is_read = || {
            let metrics = get(&address, "/metrics").map(|(_, text)| text.as_str().unwrap_or_default().to_owned()).unwrap_or_default();
            let line = metrics.lines().find_map(|line| line.strip_prefix("eddy_records_read_total ")?.parse::<f64>().ok());
            line.is_some_and(|read| read as usize >= self.lines)
        };
        let began = std::time::Instant::now();
        while !is_read() {
            if child.try_wait().expect("a child").is_some() {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{what}: it does not read all");
            std::thread::sleep(Duration::from_millis(5));
        }
        if child.try_wait().expect("a child").is_none() {
            // It has been counted, and is visible a moment later.
            let mut tables = steady(self.tables(&address));
            while difference(&tables, &self.expected).is_some() && began.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(20));
                tables = steady(self.tables(&address));
            }
            if let Some(difference) = difference(&tables, &self.expected) {
                panic!("{what}: {difference}");
            }
            assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there").success());
        }
        let out = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!said.contains("panicked"), "{what}: {said}");
        if out.status.code() == Some(130) { Ok(()) } else { Err(said) }
    }

    fn tables(&self, address: &str) -> Tables {
        let mut tables = Tables::new();
        for view in eddy_dataflows::VIEWS.iter().map(|definition| definition.view) {
            let (mut rows, mut cursor) = (vec![], String::new());
            loop {
                let (status, page) = get(address, &format!("/v1/views/{}?limit=1000{cursor}", view.name)).expect("it serves");
                assert_eq!(status, 200, "{page}");
                let row =
                    |row: &serde_json::Value| view.all_columns().map(|column| crate::torture::changes::field(&row[column.name])).collect();
                rows.extend(page["rows"].as_array().expect("rows").iter().map(row));
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            rows.sort_by(|a: &Vec<String>, b: &Vec<String>| a[..view.key.len()].cmp(&b[..view.key.len()]));
            tables.insert(view.name, rows);
        }
        tables
    }

    fn changelog_is_right(&self, what: &str) {
        if let Some(difference) = difference(&steady(Folded::read(&self.place.changes(1)).tables), &self.expected) {
            panic!("{what}: the changelog: {difference}");
        }
    }
}

/// Of a view's files of a changelog.
fn is_last(path: &Path) -> bool {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let (view, rest) = name.split_once('.').expect("view.number.ndjson");
    let next = rest.split_once('.').expect("a number").0.parse::<u32>().expect("a number") + 1;
    !path.with_file_name(format!("{view}.{next:06}.ndjson")).exists()
}

#[test]
fn a_flipped_bit_in_a_folder_of_run_is_refused_or_harmless_and_the_state_is_made_anew() {
    let seed = number("EDDY_SEED").unwrap_or(1);
    let (mut random, mut seen, mut rebuilt) = (Random(seed), Seen::default(), BTreeSet::new());
    let live = Live::new();
    for _ in 0..2 {
        live.run(&[], "nothing was flipped").expect("it serves");
    }
    live.changelog_is_right("nothing was flipped");
    let folders = vec![live.place.data(), live.place.changes(1)];
    let kept = Kept::keep(folders.clone());
    let there = folders.iter().flat_map(|folder| files(folder, &OF_RUN).into_keys()).collect::<BTreeSet<_>>();
    assert_eq!(there.len(), OF_RUN.len(), "all kinds are there: {there:?}");
    for _ in 0..flips() {
        kept.put_back();
        let (kind, path, what) = flip(&folders, &OF_RUN, &mut random);
        match live.run(&[], &what) {
            Ok(()) => {
                seen.harmless(kind);
                // What is full is not read any more: its sum is for whoever reads it.
                if kind != ".ndjson" || is_last(&path) {
                    live.changelog_is_right(&what);
                }
            }
            Err(said) => {
                let names = [IS_NEWER, "is damaged", "ends at", "manifest.json cannot be used", "is shorter than it was"];
                assert!(names.iter().any(|name| said.contains(name)), "{what}: {said}");
                seen.refused(kind);
                if said.contains("with --rebuild") && rebuilt.insert(kind) {
                    live.run(&["--rebuild"], &what).unwrap_or_else(|said| panic!("{what}, with --rebuild: {said}"));
                    live.changelog_is_right(&what);
                    live.run(&[], &what).unwrap_or_else(|said| panic!("{what}, once more: {said}"));
                }
            }
        }
    }
    seen.say("run");
    assert!(!rebuilt.is_empty(), "nothing was made anew");
}
