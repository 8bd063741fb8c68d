//! Runs `eddy replay` as people do and takes apart what it leaves.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::difference;
use crate::oracle::{Oracle, Tables};

/// No run in these tests takes this long.
const RUN_MAX: Duration = Duration::from_secs(120);

/// The binary with these arguments, deaf to the environment of whoever runs the tests.
pub fn eddy<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command.args(arguments).env_remove("NO_COLOR").env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    command
}

/// What a command left.
pub struct Ran {
    /// 128 + the signal where it was killed by one.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Ran {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        Ran::wait(child)
    }

    /// Waits for a child whose stdout and stderr are pipes.
    pub fn wait(mut child: Child) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let read = |pipe: &mut dyn Read| {
            let mut bytes = vec![];
            pipe.read_to_end(&mut bytes).expect("a pipe");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        std::thread::scope(|scope| {
            let stdout = scope.spawn(|| out.as_mut().map(|pipe| read(pipe)).unwrap_or_default());
            let stderr = scope.spawn(|| err.as_mut().map(|pipe| read(pipe)).unwrap_or_default());
            let started = Instant::now();
            let status = loop {
                if let Some(status) = child.try_wait().expect("a child") {
                    break status;
                }
                if started.elapsed() > RUN_MAX {
                    child.kill().expect("a child");
                    panic!("the run did not end in {RUN_MAX:?}");
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            let code = status.code().or(status.signal().map(|signal| 128 + signal)).expect("an exit");
            let ran = Ran { code, stdout: stdout.join().expect("read"), stderr: stderr.join().expect("read") };
            assert!(!ran.stderr.contains("panicked"), "a panic: {}", ran.stderr);
            ran
        })
    }

    /// It ended with this code, or the test says what it said.
    #[track_caller]
    pub fn ends(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one line on stdout.
    #[track_caller]
    pub fn summary(&self) -> Summary {
        assert_eq!(self.stdout.matches('\n').count(), 1, "one line on stdout: {:?}\nstderr: {}", self.stdout, self.stderr);
        let summary = Summary(serde_json::from_str(&self.stdout).expect("stdout is JSON"));
        let ignored: u64 = summary.ignored().values().sum();
        assert_eq!(summary.n("read"), summary.n("applied") + ignored + summary.n("dead_letters"), "it adds up: {}", self.stdout);
        summary
    }
}

/// The summary of a run.
pub struct Summary(pub Value);

impl Summary {
    #[track_caller]
    pub fn n(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} in {}", self.0))
    }

    pub fn ignored(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.0["ignored"].clone()).expect("counts by reason")
    }

    pub fn rows(&self, view: &str) -> u64 {
        self.0["views"][view].as_u64().unwrap_or_else(|| panic!("{view} in {}", self.0))
    }

    pub fn incomplete(&self) -> Vec<String> {
        serde_json::from_value(self.0["incomplete"].clone()).expect("names")
    }

    /// Records that are versions of messages, however they fared.
    pub fn versions(&self) -> u64 {
        let ignored = self.ignored();
        self.n("applied") + ignored["stale"] + ignored["repeated"]
    }

    /// What has to be the same whatever the workers and the order of the files.
    pub fn steady(&self) -> Value {
        let mut ignored = self.ignored();
        ignored.retain(|reason, _| reason != "stale" && reason != "repeated");
        serde_json::json!([self.n("read"), self.versions(), ignored, self.n("dead_letters"), self.0["views"]])
    }
}

/// A folder for one test: its inputs and the output folder `out`.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Writes an input; gives its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("room for a test");
        path
    }

    /// The command `eddy replay --output out`, with its temporary files here too.
    pub fn replay<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = eddy(["replay", "--output"]);
        command.arg(self.out()).args(arguments).env("TMPDIR", self.0.path());
        command
    }

    /// Runs it to its end.
    pub fn run<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        Ran::of(&mut self.replay(arguments))
    }

    /// Runs it with `bytes` on stdin.
    pub fn run_on<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>, bytes: &[u8]) -> Ran {
        let mut command = self.replay(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::thread::scope(|scope| {
            // It may end before it has read all.
            scope.spawn(move || stdin.write_all(bytes));
            Ran::wait(child)
        })
    }

    /// The tables it left, as the oracle gives them.
    pub fn tables(&self) -> Tables {
        tables(&self.out())
    }

    pub fn letters(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out().join("dead_letters.ndjson")).expect("dead letters");
        text.lines().map(|line| serde_json::from_str(line).expect("a dead letter")).collect()
    }

    pub fn reasons(&self) -> BTreeMap<String, u64> {
        let mut reasons = BTreeMap::new();
        for letter in self.letters() {
            *reasons.entry(letter["reason"].as_str().expect("a reason").to_owned()).or_default() += 1;
        }
        reasons
    }

    /// Nothing is left that a table, the dead letters or the test itself did not put here.
    #[track_caller]
    pub fn is_clean(&self) {
        for folder in [self.0.path().to_owned(), self.out()] {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries {
                let name = entry.expect("an entry").file_name().into_string().expect("a name");
                assert!(!name.starts_with('.'), "{name} was left in {}", folder.display());
            }
        }
    }
}

pub fn views() -> impl Iterator<Item = &'static str> {
    eddy_dataflows::VIEWS.iter().map(|definition| definition.view.name)
}

/// Every table of a folder. Headers are what the contract says.
pub fn tables(folder: &Path) -> Tables {
    let table = |view: &'static str| {
        let text = std::fs::read_to_string(folder.join(format!("{view}.tsv"))).unwrap_or_else(|e| panic!("{view}.tsv: {e}"));
        let mut lines = text.split_terminator('\n').map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
        let header = lines.next().unwrap_or_default();
        assert_eq!(header, Oracle::header(view).unwrap_or_default(), "the header of {view}");
        (view, lines.collect())
    };
    views().map(table).collect()
}

/// The same of `--format ndjson`, each value as a field of the TSV.
pub fn tables_of_json(folder: &Path) -> Tables {
    let field = |value: &Value| match value {
        Value::Null => String::new(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r"),
        other => panic!("{other} in a table"),
    };
    let table = |view: &'static str| {
        let text = std::fs::read_to_string(folder.join(format!("{view}.ndjson"))).unwrap_or_else(|e| panic!("{view}.ndjson: {e}"));
        let rows = text.lines().map(|line| {
            let row: serde_json::Map<String, Value> = serde_json::from_str(line).expect("a row is an object");
            assert!(row.keys().eq(Oracle::header(view).unwrap_or_default()), "the columns of {view}");
            row.values().map(field).collect()
        });
        (view, rows.collect())
    };
    views().map(table).collect()
}

/// The tables are the oracle's. Rows are shown only on request: they name real people.
#[track_caller]
pub fn equal(eddy: &Tables, oracle: &Tables, what: &str) {
    let Some(difference) = difference(eddy, oracle) else { return };
    let shown = match std::env::var_os("EDDY_PRINT") {
        Some(_) => difference.as_str(),
        None => difference.lines().next().unwrap_or_default(),
    };
    panic!("{what}: {shown}\n(EDDY_PRINT=1 shows the rows)");
}

/// The oracle on the clock of this machine.
pub fn oracle() -> Oracle {
    use eddy::clock::Clock;
    Oracle::new(eddy::clock::System.now_s())
}
