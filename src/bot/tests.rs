//! The bot in the sandbox, against rows that a test puts.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use async_trait::async_trait;
use eddy_schemas::rows::{Communities, CommunityNames, Sessions, TopUsers, UserNames, Users};
use eddy_schemas::{Cell, Name, Row};

use super::*;
use crate::demo::double;
use crate::log::Append;
use crate::messenger::sandbox::{Config as SandboxConfig, Sandbox};
use crate::messenger::{Button, Error, Me};
use crate::source::synthetic::world::SANDBOX_CHAT;

const TICK: u64 = 1_800_000_000_000;
const HERE: &str = "telegram:-1009000000001";

/// What was sent; fails first as it is told.
#[derive(Default)]
struct Sent {
    messages: Mutex<Vec<Outgoing>>,
    failures: Mutex<Vec<Error>>,
    attempts: AtomicU32,
    callbacks: Mutex<Vec<String>>,
}

#[async_trait]
impl Messenger for Sent {
    fn me(&self) -> Me {
        Me { id: 8, username: "eddy_demo_bot".into(), name: "eddy".into() }
    }
    async fn send(&self, message: &Outgoing) -> Result<i64, Error> {
        crate::messenger::check(&message.text, &message.buttons)?;
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = self.failures.lock().pop() {
            return Err(error);
        }
        self.messages.lock().push(message.clone());
        Ok(self.messages.lock().len() as i64)
    }
    async fn edit(&self, _: i64, _: i64, _: &str, _: &[Vec<Button>]) -> Result<(), Error> {
        Ok(())
    }
    async fn answer_callback(&self, callback: &str, _: &str) -> Result<(), Error> {
        self.callbacks.lock().push(callback.into());
        Ok(())
    }
    async fn delete(&self, _: i64, _: i64) -> Result<(), Error> {
        Ok(())
    }
}

struct Bench {
    log: Arc<dyn Log>,
    store: Arc<double::Store>,
    engine: Arc<double::Engine>,
    sent: Arc<Sent>,
    answered: Arc<Answered>,
    sandbox: Sandbox,
    bot: Bot,
}

impl Bench {
    fn new() -> Bench {
        let log = double::log();
        let sandbox = Sandbox::new(SandboxConfig::default(), Box::new(log.clone()), || TICK as i64);
        let (store, engine, sent) = (Arc::<double::Store>::default(), Arc::<double::Engine>::default(), Arc::<Sent>::default());
        engine.0.lock().tick = TICK - 100;
        let answered = Arc::<Answered>::default();
        let bot = bot(&log, &store, &engine, &sent, &answered);
        Bench { log, store, engine, sent, answered, sandbox, bot }
    }

    /// Two people, and a subreddit.
    fn fill(&self) {
        let key = |key: &str| Cell::Key(Name::of(key));
        let display = |name: &str| Cell::Display(Name::of(&format!(":{name}")));
        let int = |n: i64| Cell::Int(n);
        let at = 1_799_999_000;
        for (community, messages) in [(HERE, 3), ("reddit:SmallTelescopes", 1234)] {
            let row = [messages, 2, 1, 40, 5, at, at + 60];
            self.store.put(Communities::VIEW, std::iter::once(key(community)).chain(row.map(int)).collect(), TICK);
        }
        self.store.put(CommunityNames::VIEW, vec![key(HERE), display("eddy sandbox")], TICK);
        for (rank, (user, messages)) in [("telegram:9000000001", 2), ("telegram:9000000002", 1)].into_iter().enumerate() {
            self.store.put(TopUsers::VIEW, vec![key(HERE), int(rank as i64 + 1), key(user), int(messages)], TICK);
            let row = [messages, 40, 0, 0, at, at + 60, 1, 1];
            self.store.put(Users::VIEW, std::iter::once(key(user)).chain(row.map(int)).collect(), TICK);
            self.store.put(UserNames::VIEW, vec![key(user), display(["Ann", "<b>Bo</b> _*"][rank])], TICK);
        }
        for n in 0..7 {
            let start = at + n * 10_000;
            self.store.put(Sessions::VIEW, vec![key("telegram:9000000001"), int(start), int(start + 60), int(n + 1)], TICK);
        }
        self.store.put(TopUsers::VIEW, vec![key("reddit:SmallTelescopes"), int(1), key("reddit:Quiet_Otter_0"), int(99)], TICK);
    }

    fn say(&self, who: &str, text: &str) {
        self.sandbox.say(who, None, text, None).expect("taken");
    }

    /// The answers to what has been said since.
    async fn answers(&mut self) -> Vec<Outgoing> {
        self.engine.close(&*self.log);
        self.bot.step().await;
        std::mem::take(&mut *self.sent.messages.lock())
    }

    async fn ask(&mut self, text: &str) -> String {
        self.say("ann", text);
        let answers = self.answers().await;
        assert_eq!(answers.len(), 1, "{text}: {answers:?}");
        answers[0].text.clone()
    }
}

fn bot(log: &Arc<dyn Log>, store: &Arc<double::Store>, engine: &Arc<double::Engine>, sent: &Arc<Sent>, answered: &Arc<Answered>) -> Bot {
    let parts = Parts {
        log: log.clone(),
        store: store.clone(),
        progress: Arc::new(engine.clone()),
        messenger: sent.clone(),
        answered: answered.clone(),
        telemetry: Arc::default(),
    };
    Bot::new(parts, Config { engine_wait_ms_max: 50, retry_after_ms_max: 1000, send_pause_ms: 1, ..Config::default() })
}

fn has(text: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} not all in:\n{text}");
}

#[tokio::test]
async fn each_command_is_answered_with_numbers_their_meaning_and_their_time() {
    let mut bench = Bench::new();
    bench.fill();
    has(&bench.ask("/help").await, &["a bot", "not a person", "/stats", "/me", "/top", "/sessions"]);
    has(&bench.ask("/stats").await, &["This chat", "messages: 3 (not deleted)", "removed: 5", "as of 2027-01-15 08:00:00 UTC"]);
    has(&bench.ask("/me").await, &["Ann", "messages: 2", "conversations: 1", "as of"]);
    has(&bench.ask("/top@eddy_demo_bot").await, &["1. Ann (you): 2", "2. <b>Bo</b> _*: 1", "as of"]);
    has(&bench.ask("/sessions").await, &["7 session(s)", "7 message(s)", "as of"]);
    assert!(!bench.ask("/sessions").await.contains(": 2 message(s)"), "only the last five");
    has(&bench.ask("/communities").await, &["r/SmallTelescopes: 1,234", "eddy sandbox: 3"]);
    has(&bench.ask("/stats r/SmallTelescopes").await, &["r/SmallTelescopes in numbers", "messages: 1,234"]);
    has(&bench.ask("Who talks most in r/SmallTelescopes?").await, &["1. reddit:Quiet_Otter_0: 99"]);
    has(&bench.ask("who talks most here?").await, &["1. Ann (you): 2"]);
    has(&bench.ask("/stats r/smalltelescopes").await, &["r/SmallTelescopes in numbers", "messages: 1,234"]);
    for command in ["/stats nonsense", "/top telegram:abc", "/stats reddit:"] {
        has(&bench.ask(command).await, &["is no community's key", "r/NAME", "telegram:ID"]);
    }
    has(&bench.ask("/top r/nowhere").await, &["Nobody has written in r/nowhere yet"]);
}

#[tokio::test]
async fn other_words_other_bots_and_other_chats_get_silence() {
    let mut bench = Bench::new();
    bench.fill();
    for text in ["hello", "/nope", "/stats@other_bot", "/", "I wonder who talks most here"] {
        bench.say("ann", text);
    }
    let other = r#"{"update_id":1,"message":{"message_id":1,"from":{"id":5,"is_bot":false},"chat":{"id":-5},"date":1,"text":"/help"}}"#;
    let robot = format!(
        r#"{{"update_id":2,"message":{{"message_id":1,"from":{{"id":5,"is_bot":true}},"chat":{{"id":{SANDBOX_CHAT}}},"date":1,"text":"/help"}}}}"#
    );
    let edited = robot.replace("\"message\":", "\"edited_message\":").replace("true", "false");
    for value in [other, &robot, &edited, "{", "-1009000000001"] {
        let record = Append { key: b"k".to_vec(), value: value.into(), received_at_ms: 0 };
        bench.log.append(Topic::Telegram, &[record]).expect("a log in memory");
    }
    assert_eq!(bench.answers().await, []);
}

#[tokio::test]
async fn answers_are_threaded_to_the_question_and_its_topic_and_count_each_person() {
    let mut bench = Bench::new();
    bench.fill();
    bench.say("ann", "/me");
    bench.say("bo", "/me");
    let answers = bench.answers().await;
    assert_eq!(answers.iter().map(|a| a.reply_to).collect::<Vec<_>>(), [Some(1), Some(2)]);
    has(&answers[0].text, &["Ann", "messages: 2"]);
    has(&answers[1].text, &["<b>Bo</b> _*", "messages: 1"]);
    let update = format!(
        r#"{{"update_id":9,"message":{{"message_id":70,"from":{{"id":5,"is_bot":false}},"chat":{{"id":{SANDBOX_CHAT}}},"date":1,"text":"/help","message_thread_id":11,"is_topic_message":true}}}}"#
    );
    let record = Append { key: b"k".to_vec(), value: update.into(), received_at_ms: 0 };
    bench.log.append(Topic::Telegram, &[record]).expect("a log in memory");
    let answers = bench.answers().await;
    assert_eq!((answers[0].topic, answers[0].reply_to), (Some(11), Some(70)));
}

#[tokio::test]
async fn buttons_ask_and_lead_to_the_other_communities() {
    let mut bench = Bench::new();
    bench.fill();
    bench.say("ann", "/top");
    let answer = bench.answers().await.remove(0);
    let button = answer.buttons.iter().flatten().find(|b| b.text == "Who talks most in r/SmallTelescopes?").expect("a button").clone();
    let shown = bench.sandbox.send(&answer).await.expect("shown");
    bench.sandbox.press("bo", None, shown, &button.data).expect("pressed");
    let answers = bench.answers().await;
    assert_eq!((answers.len(), answers[0].reply_to), (1, Some(shown)));
    has(&answers[0].text, &["1. reddit:Quiet_Otter_0: 99"]);
    assert_eq!(bench.sent.callbacks.lock().len(), 1);
}

#[tokio::test]
async fn a_pressed_button_is_no_message_that_counts() {
    let mut bench = Bench::new();
    bench.fill();
    has(&bench.ask("/me").await, &["messages: 2 (not deleted, this question included)"]);
    bench.say("ann", "/help");
    let help = bench.answers().await.remove(0);
    let shown = bench.sandbox.send(&help).await.expect("shown");
    bench.sandbox.press("ann", None, shown, "me").expect("pressed");
    has(&bench.answers().await[0].text, &["messages: 2 (not deleted)"]);
}

#[tokio::test]
async fn a_name_in_another_case_finds_its_community_only_if_there_is_one() {
    let mut bench = Bench::new();
    bench.fill();
    let rust = |key: &str| {
        let row = [5, 1, 1, 1, 0, 1, 1].map(Cell::Int);
        bench.store.put(Communities::VIEW, std::iter::once(Cell::Key(Name::of(key))).chain(row).collect(), TICK);
    };
    rust("reddit:BotRust");
    rust("reddit:botRUST");
    has(&bench.ask("/stats r/BotRust").await, &["r/BotRust in numbers"]);
    has(&bench.ask("/stats r/botrust").await, &["nothing in r/botrust yet"]);
}

#[tokio::test]
async fn an_update_that_comes_twice_or_is_read_again_gets_one_answer() {
    let mut bench = Bench::new();
    bench.fill();
    bench.say("ann", "/me");
    let partition = bench.log.partitions().into_iter().find(|p| bench.log.end(*p) > 0).expect("a record");
    let record = bench.log.read(partition, 0, 1).expect("a record").remove(0);
    bench.log.append(Topic::Telegram, &[Append { key: b"another".to_vec(), value: record.value, received_at_ms: 0 }]).expect("a log");
    assert_eq!(bench.answers().await.len(), 1);
    assert_eq!(bench.bot.counters().repeated.load(Ordering::Relaxed), 1);
    // Started again, and made to read from the start.
    bench.bot = bot(&bench.log, &bench.store, &bench.engine, &bench.sent, &bench.answered).from(partition, 0);
    assert_eq!(bench.answers().await.len(), 0);
    // Started again: what was said before is not news.
    bench.say("ann", "/me");
    bench.bot = bot(&bench.log, &bench.store, &bench.engine, &bench.sent, &bench.answered);
    assert_eq!(bench.answers().await.len(), 0);
}

#[tokio::test]
async fn an_empty_store_and_an_engine_that_is_late_are_said_plainly() {
    let mut bench = Bench::new();
    has(&bench.ask("/stats").await, &["nothing in this chat yet"]);
    has(&bench.ask("/me").await, &["nothing of yours yet"]);
    has(&bench.ask("/top").await, &["Nobody has written in this chat yet"]);
    has(&bench.ask("/sessions").await, &["no session of yours yet"]);
    has(&bench.ask("/communities").await, &["nothing yet"]);
    bench.fill();
    bench.say("ann", "/me");
    bench.bot.step().await; // the engine has not closed past it
    let answers = std::mem::take(&mut *bench.sent.messages.lock());
    has(&answers[0].text, &["numbers are late"]);
    assert_eq!(bench.bot.counters().late.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_was_not_delivered_is_tried_again_and_what_may_have_been_is_not() {
    let mut bench = Bench::new();
    *bench.sent.failures.lock() = vec![Error::RetryAfter { seconds: 0 }, Error::Transient("down".into())];
    bench.ask("/help").await;
    assert_eq!(bench.sent.attempts.swap(0, Ordering::Relaxed), 3);
    let cases: [(Error, u32); 4] = [
        (Error::Ambiguous("timeout".into()), 1),
        (Error::Permanent("kicked".into()), 1),
        (Error::RetryAfter { seconds: 3600 }, 1),
        (Error::Transient("down".into()), 4),
    ];
    for (error, attempts) in cases {
        let same = || match &error {
            Error::Ambiguous(w) => Error::Ambiguous(w.clone()),
            Error::Permanent(w) => Error::Permanent(w.clone()),
            Error::RetryAfter { seconds } => Error::RetryAfter { seconds: *seconds },
            Error::Transient(w) => Error::Transient(w.clone()),
        };
        *bench.sent.failures.lock() = (0..attempts).map(|_| same()).collect();
        bench.say("ann", "/help");
        assert_eq!(bench.answers().await, [], "{error}");
        assert!(matches!(bench.bot.parts.telemetry.snapshot().components[0].state, State::Failed(_)), "{error}");
        assert_eq!(bench.sent.attempts.swap(0, Ordering::Relaxed), attempts, "{error}");
    }
    let counters = bench.bot.counters();
    let of = |c: &AtomicU64| c.load(Ordering::Relaxed);
    bench.ask("/help").await;
    let bot = bench.bot.parts.telemetry.snapshot().components.remove(0);
    assert!(bot.state == State::Ready && bot.last_error.is_some(), "{bot:?}");
    assert_eq!([of(&counters.sent), of(&counters.ambiguous), of(&counters.refused), of(&counters.given_up)], [2, 1, 1, 2]);
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let answered = Answered::default();
    assert!((0..100).all(|id| answered.claim((id, Rule::Me), 10)));
    assert!(!answered.claim((99, Rule::Me), 10) && answered.claim((99, Rule::Top), 10));
    assert!(answered.0.lock().0.len() <= 10);
}
