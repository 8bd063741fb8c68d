//! What could not be read and names a forgotten user: it does not come back when the state is made anew from the files.

use tempfile::TempDir;

use super::{USER, WORDS, comment, forget, lines, traces, write};
use crate::replays::run::{Ran, eddy};

/// Broken, each in another way, and by the user or naming the user.
fn broken() -> Vec<String> {
    vec![
        // It breaks off before it says who wrote it, and within that.
        format!(r#"{{"id":"b1","body":"{WORDS}","by":"{USER}","body":"x"#),
        format!(r#"{{"id":"b2","body":"{WORDS}","author":"{USER}"#),
        format!("no JSON at all, by u/{}: {WORDS}", USER.to_uppercase()),
        // JSON, but no record: somebody else's, that says whom it answers.
        comment(9_990, "bob", "an answer", &format!(r#","link_author":"{USER}""#)).replace("1700009990", "\"never\""),
        // Broken off within an envelope.
        format!(r#"{{"kind":"Listing","data":{{"children":[{{"kind":"t1","data":{{"id":"b3","body":"{WORDS}","author":"{USER}","#),
    ]
}

#[test]
fn what_is_broken_and_names_a_forgotten_user_does_not_come_back() {
    let dir = TempDir::new().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    write(&at("all.ndjson"), lines().into_iter().map(|(_, line)| line).chain(["no JSON, by nobody".into()]).chain(broken()));
    let replay = |output: &str, more: &[&str]| {
        let mut command = eddy(["replay", "--state", "durable", "--data-dir"]);
        Ran::of(command.arg(at("data")).arg("--output").arg(at(output)).args(more).arg(at("all.ndjson"))).ends(0).summary()
    };
    let before = replay("before", &[]);
    assert!(!traces(&at("data")).is_empty(), "there is something to forget");
    forget(&at("data"));
    assert_eq!(traces(&at("data")), Vec::<String>::new());
    for more in [&[][..], &["--rebuild"], &["--rebuild", "--workers", "3"]] {
        let after = replay("after", more);
        assert_eq!([traces(&at("data")), traces(&at("after"))].concat(), Vec::<String>::new(), "{more:?}");
        assert_eq!(after.n("read"), before.n("read"));
    }
    let letters = std::fs::read_to_string(at("after").join("dead_letters.ndjson")).expect("dead letters");
    assert!(letters.contains("no JSON, by nobody") && letters.contains("an answer"), "what others wrote is kept: {letters}");
}
