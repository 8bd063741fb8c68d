//! `eddy demo` as a process: how it starts, what it leaves, how it ends.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// From the signal to the end, with pages open.
const END_MAX: Duration = Duration::from_millis(1_500);

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command.args(["demo", "--listen", "127.0.0.1:0", "--rate", "50", "--data-dir"]).arg(folder).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A demo that serves.
struct Demo {
    child: Child,
    address: String,
}

impl Demo {
    fn start(folder: &Path, arguments: &[&str]) -> Demo {
        let mut child = command(folder, arguments).spawn().expect("the binary starts");
        let line = first_line(child.stdout.take().expect("a pipe"));
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        Demo { address: address.unwrap_or_else(|| panic!("no address in {line:?}")).into(), child }
    }

    /// Answers of a request, once the first of its body has come.
    fn stream(&self, path: &str) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).expect("it listens");
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).expect("it reads");
        socket.read_exact(&mut [0; 500]).expect("a head and the beginning of an event");
        socket
    }

    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).expect("it listens");
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Its exit code, and how long it took.
    fn end(mut self, signal: &str) -> (Option<i32>, Duration) {
        self.signal(signal);
        let from = Instant::now();
        (self.child.wait().expect("it ends").code(), from.elapsed())
    }
}

fn first_line(from: impl Read) -> String {
    let mut line = String::new();
    BufReader::new(from).read_line(&mut line).expect("UTF-8");
    line
}

fn left(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// Whether HUP is ignored by whoever started the tests, such as nohup: then by a demo, too, as it should.
fn is_ignored_here() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let is = ignored.is_some_and(|ignored| ignored & 1 != 0);
    if is {
        println!("HUP is not tried: it is ignored here");
    }
    is
}

#[test]
fn it_ends_soon_and_leaves_nothing_though_pages_are_open() {
    let folder = TempDir::new().expect("a folder");
    for signal in ["INT", "TERM", "HUP"].into_iter().filter(|signal| *signal != "HUP" || !is_ignored_here()) {
        let demo = Demo::start(folder.path(), &[]);
        let _pages = ["/v1/stream", "/v1/stream?chat", "/v1/stream?chat"].map(|path| demo.stream(path));
        let _idle = TcpStream::connect(&demo.address).expect("it listens");
        assert_eq!(left(folder.path()).len(), 1);
        let (code, took) = demo.end(signal);
        assert_eq!(code, Some(130), "{signal}");
        assert!(took < END_MAX, "{signal}: {took:?}");
        assert_eq!(left(folder.path()), [""; 0], "{signal}");
    }
}

#[test]
fn what_a_killed_demo_left_goes_when_the_next_one_starts() {
    let folder = TempDir::new().expect("a folder");
    Demo::start(folder.path(), &[]).end("KILL");
    fs::create_dir(folder.path().join("eddy-demo-of-somebody")).expect("a folder");
    let running = Demo::start(folder.path(), &[]);
    assert_eq!(left(folder.path()).len(), 2, "{:?}", left(folder.path()));
    let another = Demo::start(folder.path(), &[]);
    assert_eq!(left(folder.path()).len(), 3, "one that runs is left alone: {:?}", left(folder.path()));
    another.end("INT");
    assert!(running.get("/livez").ends_with("ok\n"));
    running.end("INT");
    assert_eq!(left(folder.path()), ["eddy-demo-of-somebody"], "it has no lock: it may not be a demo's");
}

#[test]
fn a_result_that_cannot_be_written_ends_nothing() {
    let folder = TempDir::new().expect("a folder");
    let mut child = command(folder.path(), &[]).stdout(File::create("/dev/full").expect("it is there")).spawn().expect("it starts");
    let line = first_line(child.stderr.take().expect("a pipe"));
    let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://")).unwrap_or_else(|| panic!("{line:?}")).to_string();
    let demo = Demo { child, address };
    assert!(demo.get("/livez").ends_with("ok\n"));
    assert_eq!(demo.end("INT").0, Some(130));
}

#[test]
fn health_tells_of_each_part() {
    let folder = TempDir::new().expect("a folder");
    let demo = Demo::start(folder.path(), &[]);
    let from = Instant::now();
    loop {
        let health = demo.get("/health");
        let ready = ["bot", "engine", "log", "source", "store", "truth"].iter().all(|name| {
            let component = format!("{{\"name\":\"{name}\",\"state\":\"ready\"");
            health.contains(&component)
        });
        if ready && health.contains("\"status\":\"ready\"") {
            break;
        }
        assert!(from.elapsed() < Duration::from_secs(20), "{health}");
        std::thread::sleep(Duration::from_millis(50));
    }
    demo.end("INT");
}

#[test]
fn after_the_last_event_the_community_is_silent_and_says_so() {
    let folder = TempDir::new().expect("a folder");
    let mut demo = Demo::start(folder.path(), &["--events-max", "20"]);
    let said = BufReader::new(demo.child.stderr.take().expect("a pipe")).lines().map(|line| line.expect("UTF-8"));
    let said: Vec<_> = said.take(2).collect();
    assert!(said[0].contains("bytes an event") && said[1].contains("20 events (--events-max)"), "{said:?}");
    assert!(demo.get("/readyz").ends_with("ready\n"));
    demo.end("INT");
}

#[test]
fn what_cannot_be_started_says_why() {
    let folder = TempDir::new().expect("a folder");
    let refused = |arguments: &[&str], code: i32, says: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_eddy")).arg("demo").args(arguments).stdin(Stdio::null()).output().expect("it starts");
        let text = String::from_utf8(ran.stderr).expect("UTF-8");
        assert_eq!(ran.status.code(), Some(code), "{text}");
        for word in says {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
        text
    };
    std::fs::write(folder.path().join("file"), "").expect("room");
    let nowhere = folder.path().join("file/nowhere");
    let text = refused(
        &["--listen", "127.0.0.1:0", "--data-dir", nowhere.to_str().expect("UTF-8")],
        1,
        &["the demo did not start", "no log can be made in", "Not a directory"],
    );
    assert!(!text.contains("ended"), "{text}");
    refused(&["--rate", "-1"], 2, &["invalid value '-1'", "--rate <N>"]);
    refused(&["--listen", "localhost"], 2, &["it looks like 127.0.0.1:8080 or localhost:8080"]);
    refused(&["--listen", "0.0.0.0:0"], 2, &["there is no API key"]);
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("bound").to_string();
    refused(&["--listen", &address], 2, &["taken by another program", "Address already in use"]);
}
