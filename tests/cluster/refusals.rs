//! What cannot be one cluster is refused before any work, by both sides, in words that say what to change.

use std::io::Write;
use std::net::TcpListener;
use std::process::Command;

use super::party::{Party, wait};
use crate::replays::bad_records::good;
use crate::replays::run::Ran;

fn party(processes: usize) -> Party {
    let mut party = Party::new(processes);
    party.files = vec![party.place.file("one.ndjson", good(1)), party.place.file("two.ndjson", good(2))];
    party
}

/// It ended with this code and one line that says this.
#[track_caller]
fn refused(ran: Ran, code: i32, what: &str) {
    let ran = ran.ends(code);
    assert!(ran.stderr.lines().count() == 1 && ran.stderr.contains(what), "{what}: {}", ran.stderr);
    assert!(ran.stdout.is_empty());
}

fn both(party: &Party, commands: [Command; 2]) -> Vec<Ran> {
    let children = commands.map(|mut command| command.spawn().expect("the binary starts")).into();
    let ran = wait(children);
    assert!(!party.place.out().join("users.tsv").exists());
    ran
}

#[test]
fn processes_that_were_started_differently_say_so() {
    let party = party(2);
    let hosts = party.hosts().join("\n");
    party.place.file("more", format!("{hosts}\n127.0.0.1:1\n"));
    let longer = party.place.file("longer.ndjson", good(1).repeat(2));
    let more = [&party.files[..], std::slice::from_ref(&longer)].concat();
    let changed = vec![party.files[0].clone(), longer];
    let with = |arguments: [&str; 2]| {
        let mut command = party.command(1);
        command.args(arguments);
        command
    };
    let others = [
        (with(["--workers", "2"]), "--workers 2"),
        (with(["--views", "users"]), "--views users"),
        (with(["--retention", "48h"]), "--retention 2d"),
        (with(["--keep-days", "90d"]), "--keep-days 90d"),
        (with(["--tick-records-max", "7"]), "--tick-records-max 7"),
        (party.other_command(1, "30", "hosts", &more), "files 3"),
        (party.other_command(1, "30", "hosts", &changed), "file 2 longer.ndjson"),
        (party.other_command(1, "30", "more", &party.files), "the hosts"),
    ];
    for (other, theirs) in others {
        let ran = both(&party, [party.command(0), other]);
        let field = theirs.split(' ').next().expect("a word");
        for ((me, ran), shown) in ran.into_iter().enumerate().zip([theirs, field]) {
            refused(ran, 2, &format!("process {} ({}) was started with {shown}", 1 - me, party.hosts()[1 - me]));
        }
    }
}

#[test]
fn a_place_in_the_cluster_is_taken_once() {
    let party = party(2);
    let _taken = TcpListener::bind(&party.hosts()[1]).expect("it was free");
    let ran = Ran::of(&mut party.command(1));
    refused(ran, 2, "the address of process 1, cannot be listened on: it is taken; is process 1 running already?");
}

#[test]
fn a_second_process_of_the_same_folder_is_refused() {
    let party = party(2);
    let waiting = party.command(1).spawn().expect("the binary starts");
    let folder = party.place.path("data/process-1");
    while !folder.join("texts-0").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let ran = Ran::of(&mut party.command(1));
    refused(ran, 2, &format!("in use by process {}", waiting.id()));
    super::party::signal(&waiting, "TERM");
    Ran::wait(waiting).ends(130);
}

#[test]
fn a_process_that_does_not_come_is_named() {
    let party = party(2);
    let ran = Ran::of(&mut party.other_command(0, "1", "hosts", &party.files));
    refused(ran, 3, &format!("process 1 ({}) did not come within 1 s", party.hosts()[1]));
}

#[test]
fn what_is_no_eddy_is_told_from_one_that_is_not_there_yet() {
    let party = party(2);
    let other = TcpListener::bind(&party.hosts()[0]).expect("it was free");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().expect("a call");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").expect("it reads");
        // Until it has hung up.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let ran = Ran::of(&mut party.command(1));
    refused(ran, 2, "the address of process 0, is no process of this cluster: it does not speak as eddy does");
    answering.join().expect("it answered");
}

#[test]
fn a_hosts_file_or_a_number_that_cannot_be_is_refused() {
    let party = party(2);
    refused(Ran::of(party.command(0).arg("--take-over")), 2, "give --state durable, too");
    refused(Ran::of(&mut party.command(2)), 2, "has no process 2: its processes are 0 to 1");
    party.place.file("hosts", "127.0.0.1\n");
    refused(Ran::of(&mut party.command(0)), 2, "line 1 is `127.0.0.1`");
    std::fs::remove_file(party.place.path("hosts")).expect("it was there");
    refused(Ran::of(&mut party.command(0)), 2, "cannot be read");
}
