//! Ctrl-C and SIGTERM: it ends soon, with 130, and leaves nothing half done.

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::bad_records::good;
use super::run::{Place, Ran};

/// From the signal to the end, however much was on its way.
const END_MAX: Duration = Duration::from_secs(10);

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.replay(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts")
}

/// It ended as an interrupted replay does; the tables of the run before are still there.
fn ended_cleanly(place: &Place, ran: Ran, what: &str) {
    let ran = ran.ends(130);
    assert!(ran.stdout.is_empty(), "{what}: {}", ran.stdout);
    assert_eq!(ran.stderr.lines().last(), Some("eddy: interrupted"), "{what}");
    assert_eq!(place.tables()["messages"].len(), 1, "{what}: the old tables");
    place.is_clean();
}

fn with_old_tables() -> Place {
    let place = Place::new();
    place.run([place.file("old.ndjson", good(1))]).ends(0);
    place
}

#[test]
fn an_interrupt_while_a_pipe_is_silent_is_heard() {
    for name in ["INT", "TERM"] {
        let place = with_old_tables();
        let mut child = start(&place, &["-"]);
        let mut stdin = child.stdin.take().expect("a pipe");
        writeln!(stdin, "{}\nbroken", good(2)).expect("it reads");
        std::thread::sleep(Duration::from_millis(200));
        signal(&child, name);
        let signalled = Instant::now();
        // Stdin stays open all the while.
        let ran = Ran::wait(child);
        assert!(signalled.elapsed() < END_MAX);
        ended_cleanly(&place, ran, name);
        drop(stdin);
    }
}

#[test]
fn an_interrupt_while_records_pour_in_is_heard() {
    for workers in ["1", "2"] {
        let place = with_old_tables();
        let mut child = start(&place, &["--workers", workers, "-"]);
        let mut stdin = child.stdin.take().expect("a pipe");
        let ended = std::thread::scope(|scope| {
            scope.spawn(move || {
                // It stops reading at some point, and then writing fails.
                (0..4_000_000).try_for_each(|number| writeln!(stdin, "{}", good(number)))
            });
            std::thread::sleep(Duration::from_millis(700));
            signal(&child, "INT");
            let signalled = Instant::now();
            let ran = Ran::wait(child);
            println!("{workers} workers: ended {:?} after the signal", signalled.elapsed());
            assert!(signalled.elapsed() < END_MAX);
            ran
        });
        ended_cleanly(&place, ended, workers);
    }
}

#[test]
fn an_interrupt_before_a_fifo_has_a_writer_is_heard() {
    let place = with_old_tables();
    let fifo = place.path("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo is there").success());
    let child = start(&place, &[&fifo.to_string_lossy()]);
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, "INT");
    ended_cleanly(&place, Ran::wait(child), "fifo");
}

/// At whatever moment it comes: either all is old and the exit is 130, or all is new and the exit is 0.
#[test]
fn an_interrupt_at_any_moment_leaves_old_tables_or_new_ones() {
    let records: String = (0..20_000).map(|number| format!("{}\n", good(number))).collect();
    let mut codes = vec![];
    for step in 0..24 {
        let place = with_old_tables();
        let file = place.file("new.ndjson", &records);
        let child = start(&place, &[&file.to_string_lossy()]);
        std::thread::sleep(Duration::from_millis(8 + 25 * step));
        // It may have ended by now.
        let _ = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).stderr(Stdio::null()).status();
        let ran = Ran::wait(child);
        let messages = place.tables()["messages"].len();
        match ran.code {
            130 => assert_eq!(messages, 1, "{}", ran.stderr),
            0 => assert_eq!(messages, 20_000, "{}", ran.stderr),
            code => panic!("exit {code}: {}", ran.stderr),
        }
        codes.push(ran.code);
        place.is_clean();
    }
    println!("{codes:?}");
}
