//! `eddy show` against a served store: what people and scripts see, and how it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use eddy::serve::{self, App};
use eddy::store::Memory;
use eddy::telemetry::{ENGINE, State, Telemetry};
use eddy::texts::{self, Texts};
use eddy_schemas::row::Row;
use eddy_schemas::rows::{Messages, MessagesKey, TopUsers, TopUsersKey, UserHours, UserHoursKey, Users, UsersKey};
use eddy_schemas::{Changes, MessageId, Name, Place, View};

static VIEWS: [&View; 4] = [Users::VIEW, UserHours::VIEW, TopUsers::VIEW, Messages::VIEW];
/// More than a page that `show` asks for.
const HOURS: i64 = 500;
/// 2026-12-31 23:59:59 UTC.
const TICK: u64 = 1_798_761_599_000;

struct Said;

impl Texts for Said {
    fn text(&self, _: Place) -> Result<String, texts::Error> {
        Ok("a line\nand \u{1b}[31ma red one".into())
    }
}

fn changes<R: Row>(rows: impl IntoIterator<Item = (R::Key, R)>) -> Changes {
    let (mut changes, mut scratch) = (Changes::new(R::VIEW), vec![]);
    rows.into_iter().for_each(|(key, row)| changes.push(&key, Some(&row), &mut scratch));
    changes
}

fn rows() -> Memory {
    let (store, ada) = (Memory::new(), Name::of("reddit:show ada&co"));
    let user =
        |messages| Users { messages, characters: 40, score: -2, edited: 0, first_at: 1, last_at: 9, conversations: 1, communities: 1 };
    let message = Messages {
        conversation: MessageId::submission("show1"),
        community: None,
        user: Some(ada),
        parent: None,
        created_at: 5,
        edited_at: None,
        score: Some(-1),
        text: Place::new(0, 7),
    };
    let rows = [
        changes([(UsersKey { user: ada }, user(3)), (UsersKey { user: Name::of("telegram:-100779") }, user(12))]),
        changes((0..HOURS).map(|hour| (UserHoursKey { user: ada, hour }, UserHours { messages: hour + 1 }))),
        changes([(MessagesKey { message: MessageId::comment("show2") }, message)]),
        changes([(TopUsersKey { community: Name::of("telegram:-5"), rank: 1 }, TopUsers { user: ada, messages: 3 })]),
    ];
    store.apply_now(9, &rows);
    store.apply_now(TICK, &[]);
    store
}

/// An eddy that serves made-up rows until the runtime is dropped.
struct Served {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Served {
    fn new(state: State) -> Served {
        Served::of(state, rows())
    }

    fn of(state: State, store: Memory) -> Served {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let telemetry = Arc::new(Telemetry::new());
        telemetry.state(ENGINE, state);
        let listener = runtime.block_on(serve::listen(([127, 0, 0, 1], 0).into())).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let app = App::new(VIEWS.to_vec(), Arc::new(store), Arc::new(Said), telemetry);
        runtime.spawn(serve::run(listener, app, std::future::pending()));
        Served { address, _runtime: runtime }
    }

    fn show(&self, args: &[&str]) -> Shown {
        let url = format!("http://{}/", self.address);
        show(&[&["--url", &url], args].concat())
    }
}

struct Shown {
    code: Option<i32>,
    out: String,
    err: String,
}

fn show(args: &[&str]) -> Shown {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_eddy"))
        .arg("show")
        .args(args)
        // A proxy is not asked for what is on this machine.
        .env("http_proxy", "http://127.0.0.1:1")
        .stdin(Stdio::null())
        .output()
        .expect("eddy starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Shown { code: status.code(), out: text(stdout), err: text(stderr) }
}

impl Shown {
    /// It ended with this code, and said each of these.
    #[track_caller]
    fn refused(&self, code: i32, says: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{}", self.err);
        for word in says {
            assert!(self.err.contains(word), "{word:?} is not in {:?}", self.err);
        }
    }
}

#[test]
fn a_row_is_shown_as_a_table_and_as_of_when_it_is() {
    let served = Served::new(State::Ready);
    let shown = served.show(&["users", "reddit:show ada&co"]);
    assert_eq!(
        shown.out,
        "user                messages  characters  score  edited  first_at  last_at  conversations  communities\n\
         reddit:show ada&co         3          40     -2       0         1        9              1            1\n"
    );
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), "1 row as of 2026-12-31 23:59:59 UTC\n"));
    let message = served.show(&["messages", "reddit:t1_show2"]).out;
    assert!(message.starts_with("message          conversation     community  user                parent  created_at"), "{message}");
    assert!(message.ends_with("5          -     -1  a line\\nand \\u{1b}[31ma red one\n"), "{message}");
}

#[test]
fn rows_of_every_view_are_listed_without_a_key() {
    let served = Served::new(State::Ready);
    for (view, rows) in [("users", 2), ("user_hours", 20), ("top_users", 1), ("messages", 1)] {
        let shown = served.show(&[view]);
        assert_eq!((shown.code, shown.out.lines().count()), (Some(0), rows + 1), "{view}: {}{}", shown.out, shown.err);
        assert_eq!(shown.err.contains("there are more (--limit)"), view == "user_hours", "{}", shown.err);
    }
}

#[test]
fn a_limit_may_be_more_than_a_page() {
    let served = Served::new(State::Ready);
    for (limit, rows) in [(1, 1), (200, 200), (401, 401), (500, 500), (100_000, 500)] {
        let shown = served.show(&["user_hours", "reddit:show ada&co", "--limit", &limit.to_string(), "--json"]);
        let hours: Vec<i64> = shown
            .out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object")["hour"].as_i64().expect("an hour"))
            .collect();
        assert_eq!(hours, (0..rows).collect::<Vec<_>>(), "limit {limit}: {}", shown.err);
    }
}

#[test]
fn before_the_first_record_it_says_that_there_is_nothing_yet() {
    let shown = Served::of(State::Ready, Memory::new()).show(&["users", "--json"]);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), "nothing yet: no record has been counted\n"));
}

#[test]
fn json_is_an_object_a_line_as_the_api_gives_it() {
    let shown = Served::new(State::Ready).show(&["user_hours", "reddit:show ada&co", "30", "--json"]);
    assert_eq!(shown.out, "{\"user\":\"reddit:show ada&co\",\"hour\":30,\"messages\":31,\"as_of\":9}\n");
}

#[test]
fn what_is_not_there_is_told_with_what_there_is() {
    let served = Served::new(State::Ready);
    served.show(&["user"]).refused(2, &["no view is called `user` (did you mean `users`?)", "users, user_hours, top_users, messages"]);
    served.show(&["../health"]).refused(2, &["no view is called `../health`: there are"]);
    served.show(&["users", "reddit:show_nobody"]).refused(1, &["users has no row of reddit:show_nobody as of tick"]);
    served.show(&["users", "ada"]).refused(2, &["\"ada\" is not a user: it looks like reddit:NAME or telegram:ID"]);
    served.show(&["users", "reddit:a", "30"]).refused(2, &["2 values were given for the key, and that of users is: user"]);
    served.show(&["users", "--limit", "0"]).refused(2, &["--limit"]);
    served.show(&[]).refused(2, &["<VIEW>"]);
}

#[test]
fn who_does_not_answer_is_told_with_how_to_start_one() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    show(&["users", "--url", &format!("http://{free}")])
        .refused(1, &[&format!("no eddy answers at http://{free}"), "`eddy demo` starts one"]);
    for url in ["127.0.0.1:8080", "https://127.0.0.1:8080", "http://", "http:///x", "http://a b"] {
        show(&["users", "--url", url]).refused(2, &["it looks like http://127.0.0.1:8080"]);
    }
    Served::new(State::Starting).show(&["users"]).refused(1, &["/health"]);
}

#[test]
fn another_program_at_the_address_is_told() {
    for answer in ["200 OK\r\ncontent-length: 5\r\n\r\nhello", "404 Not Found\r\ncontent-length: 4\r\n\r\nnope"] {
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", other.local_addr().expect("bound"));
        let answering = std::thread::spawn(move || {
            let (mut asked, _) = other.accept().expect("one asks");
            assert!(asked.read(&mut [0; 4096]).expect("a request") > 0);
            asked.write_all(format!("HTTP/1.1 {answer}").as_bytes()).expect("it is read");
        });
        show(&["users", "--url", &url]).refused(1, &["is no eddy"]);
        answering.join().expect("it answered");
    }
}

#[test]
fn the_help_starts_with_two_examples() {
    let help = show(&["--help"]);
    let lines: Vec<_> = help.out.lines().take(3).collect();
    assert!(lines[0] == "Examples:" && lines[1..].iter().all(|line| line.starts_with("  eddy show ")), "{lines:?}");
}
