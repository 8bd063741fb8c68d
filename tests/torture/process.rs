//! An `eddy run`, from outside.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::WAIT_MAX;
use super::changes::field;
use crate::oracle::Tables;

/// Who wrote the last line.
pub const LAST: &str = "reddit:the_last";

/// Where it all stands.
pub struct Place {
    dir: TempDir,
    pub file: PathBuf,
    /// How long what stays, where messages are sealed.
    retention: Vec<String>,
    /// Where the last one serves.
    address: Mutex<Option<String>>,
}

impl Place {
    pub fn new() -> Place {
        let dir = TempDir::new().expect("a folder");
        Place { file: dir.path().join("lines.ndjson"), dir, retention: vec![], address: Mutex::default() }
    }

    /// Whoever runs there has this retention.
    pub fn sealing(retention: &[&str]) -> Place {
        Place { retention: retention.iter().map(|&argument| argument.to_owned()).collect(), ..Place::new() }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn changes(&self, number: usize) -> PathBuf {
        self.dir.path().join(format!("changes-{number}"))
    }

    pub fn address(&self) -> Option<String> {
        self.address.lock().expect("no panic").clone()
    }

    /// A snapshot is being made, or was when a kill came.
    pub fn has_half_a_snapshot(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(self.data().join("snapshots")) else { return false };
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(".new-"))
    }

    /// With these changelogs; the last one is slow.
    pub fn command(&self, workers: usize, changelogs: &[usize]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
        command.args(["run", "--listen", "127.0.0.1:0", "--snapshot-bytes", "30000", "--changelog-file-bytes", "100000"]);
        command.args(["--changelog-rest-ms", "150", "--workers", &workers.to_string(), "--data-dir"]).arg(self.data()).arg(&self.file);
        for number in changelogs {
            command.arg("--changelog").arg(self.changes(*number));
        }
        command.args(&self.retention).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        command
    }

    pub fn start(&self, workers: usize) -> Run {
        self.spawn(self.command(workers, &[1, 2]))
    }

    pub fn spawn(&self, mut command: Command) -> Run {
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("UTF-8");
        let Some(address) = line.split_whitespace().find_map(|word| word.strip_prefix("http://")) else {
            let out = child.wait_with_output().expect("it ends");
            panic!("no address in {line:?}: {}", String::from_utf8_lossy(&out.stderr));
        };
        *self.address.lock().expect("no panic") = Some(address.into());
        Run { child: Some(child), address: address.into(), started }
    }
}

/// An answer's status and JSON, or text.
pub fn get(address: &str, path: &str) -> Option<(u16, Value)> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(WAIT_MAX)).build().into();
    let mut answer = agent.get(format!("http://{address}{path}")).call().ok()?;
    let text = answer.body_mut().with_config().limit(1 << 30).read_to_string().ok()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some((answer.status().as_u16(), body))
}

pub struct Counters {
    pub read: u64,
    pub applied: u64,
    pub ignored: u64,
    pub dead: u64,
}

/// One that serves. Dropped, it is killed: a test that failed leaves none.
pub struct Run {
    child: Option<Child>,
    address: String,
    started: Instant,
}

impl Run {
    pub fn get(&self, path: &str) -> (u16, Value) {
        get(&self.address, path).unwrap_or_else(|| panic!("{path}: no answer"))
    }

    /// Since it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until it serves rows; gives how long that took from its start.
    pub fn ready(&self) -> Duration {
        loop {
            // A connection that comes as one who waits for room hands over to the parts may be closed.
            let answer = get(&self.address, "/readyz");
            if answer.as_ref().is_some_and(|(status, _)| *status == 200) {
                return self.started.elapsed();
            }
            let waits = answer.as_ref().is_none_or(|(status, _)| *status == 503);
            assert!(waits && self.started.elapsed() < WAIT_MAX, "{answer:?}, {:?}", get(&self.address, "/health"));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The last tick that closed.
    pub fn tick(&self) -> u64 {
        self.get("/health").1["tick"].as_u64().unwrap_or(0)
    }

    pub fn counters(&self) -> Counters {
        let text = self.get("/metrics").1;
        let sum = |name: &str| -> u64 {
            let lines = text.as_str().expect("text").lines().filter(|line| line.starts_with(name));
            lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<f64>().expect("a number") as u64).sum()
        };
        Counters {
            read: sum("eddy_records_read_total "),
            applied: sum("eddy_records_applied_total "),
            ignored: sum("eddy_records_ignored_total{"),
            dead: sum("eddy_dead_letters_total{"),
        }
    }

    /// Waits until so many records have been counted.
    pub fn has_read(&self, records: u64, again: &str) {
        let from = Instant::now();
        while self.counters().read < records {
            assert!(from.elapsed() < WAIT_MAX, "{} of {records} were read\n{again}", self.counters().read);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until no partition is waited for: then the watermark is what the next line says.
    pub fn is_idle(&self) {
        let from = Instant::now();
        let idle = |health: Value| health["partitions"].as_array().is_some_and(|all| all.iter().all(|one| one["state"] == "idle"));
        while !idle(self.get("/health").1) {
            assert!(from.elapsed() < WAIT_MAX, "{}", self.get("/health").1);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until all lines are visible, the last of which nobody has appended yet: its tick comes after all of theirs.
    pub fn shows_all(&self, place: &Place, lines: &[String], again: &str) {
        let (last, before) = lines.split_last().expect("some lines");
        self.has_read(before.len() as u64, again);
        let mut file = std::fs::File::options().append(true).open(&place.file).expect("it is there");
        file.write_all(format!("{last}\n").as_bytes()).expect("room");
        let from = Instant::now();
        // What is counted is told a moment after it is visible.
        let is_told = |c: Counters| c.read == lines.len() as u64 && c.read == c.applied + c.ignored + c.dead;
        while self.get(&format!("/v1/users/{LAST}")).0 != 200 || !is_told(self.counters()) {
            assert!(from.elapsed() < WAIT_MAX, "the last line is not shown\n{again}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every row of every view, as the oracle gives them.
    pub fn tables(&self) -> Tables {
        let table = |name: &'static str| {
            let view = eddy_dataflows::VIEWS.iter().map(|definition| definition.view).find(|view| view.name == name).expect("a view");
            let (mut rows, mut cursor) = (vec![], String::new());
            loop {
                let (status, page) = self.get(&format!("/v1/views/{name}?limit=1000{cursor}"));
                assert_eq!(status, 200, "{page}");
                for row in page["rows"].as_array().expect("rows") {
                    rows.push(view.all_columns().map(|column| field(&row[column.name])).collect::<Vec<_>>());
                }
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            rows.sort_by(|a, b| a[..view.key.len()].cmp(&b[..view.key.len()]));
            rows
        };
        eddy_dataflows::VIEWS.iter().map(|definition| (definition.view.name, table(definition.view.name))).collect()
    }

    pub fn kill(self) {
        self.killed();
    }

    /// Kills it; gives what it has said on stderr.
    pub fn killed(mut self) -> String {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("a child");
        let out = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("it runs");
        let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Ends it as people do.
    pub fn interrupt(mut self) {
        let child = self.child.take().expect("it runs");
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
        let out = child.wait_with_output().expect("it ends");
        assert_eq!(out.status.code(), Some(130), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
