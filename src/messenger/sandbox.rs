//! A chat in the browser that behaves like a Telegram group with a bot in it.
//!
//! ```text
//!   person --say, press--> Update --> inlet --> log (eddy.telegram)
//!   bot    --Messenger--+
//!                       +--> ring of events --listen--> every browser
//! ```
//!
//! Browsers come to it over HTTP (`serve`).
//!
//! # Invariants
//! 1. What a person types is in the log before anyone sees it: the log's order is the chat's order.
//! 2. The ring, the people, what one of them may send in a second and how many may come in one are bounded. Of the people whoever has been
//!    silent longest is forgotten; the others are told so. What is refused takes no place.
//! 3. The bot's own messages are not updates, as on Telegram.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast;

use super::{ANSWER_CHARACTERS_MAX, Button, Error, Me, Messenger, Outgoing, TEXT_CHARACTERS_MAX, check};
use crate::log::{self, Append, Log, Topic};
use crate::source::synthetic::world::{SANDBOX_CHAT, SANDBOX_TITLE, World};

#[derive(Clone, Debug)]
pub struct Config {
    pub chat: i64,
    pub title: String,
    pub bot: Me,
    /// The first `message_id` and `update_id`.
    pub first_message_id: i64,
    pub first_update_id: i64,
    /// Events kept for those who come later.
    pub history_max: usize,
    /// People at most; then a newcomer takes the place of whoever has been silent longest, who is someone new when they come back.
    pub people_max: usize,
    /// People who may come at once, and in each second after that: a session is whatever a client says, so this bounds those who make up many.
    pub newcomers_burst: u32,
    pub newcomers_per_second: u32,
    /// What one person may send at once, and in each second after that.
    pub person_burst: u32,
    pub person_per_second: u32,
    /// Bot messages a minute, as Telegram limits a group's (20); `None`: no limit, so that a chat full of curious people gets its answers.
    pub bot_per_minute: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            chat: SANDBOX_CHAT,
            title: SANDBOX_TITLE.into(),
            bot: Me { id: 8_000_000_001, username: "eddy_demo_bot".into(), name: "eddy".into() },
            first_message_id: 1,
            first_update_id: 500_000_000,
            history_max: 500,
            people_max: 10_000,
            newcomers_burst: 30,
            newcomers_per_second: 10,
            person_burst: 30,
            person_per_second: 10,
            bot_per_minute: None,
        }
    }
}

/// A message as a person typed it, told along with its record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Typed {
    pub message_id: i64,
    pub user_id: i64,
    /// First name.
    pub name: String,
    pub text: String,
    /// Seconds.
    pub date: i64,
    pub reply_to: Option<i64>,
}

/// Where updates go.
///
/// # Contract
/// - **Durable**: the record can be read from the log when `accept` has returned.
/// - **Told with it**: whoever keeps the truth has heard of a message by the time that anyone can read it.
pub trait Inlet: Send + Sync {
    /// `typed`: the message, `None` for other updates.
    fn accept(&self, record: Append, typed: Option<&Typed>) -> Result<(), log::Error>;
}

/// Straight to the log, with no truth kept.
impl Inlet for Arc<dyn Log> {
    fn accept(&self, record: Append, _: Option<&Typed>) -> Result<(), log::Error> {
        self.append(Topic::Telegram, &[record]).map(|_| ())
    }
}

/// Who said something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct From {
    pub id: i64,
    pub name: String,
    pub is_bot: bool,
}

/// A message as the browser shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Shown {
    pub message_id: i64,
    pub from: From,
    pub text: String,
    /// Seconds since 1970.
    pub date: i64,
    pub reply_to: Option<i64>,
    pub buttons: Vec<Vec<Button>>,
}

/// One event of the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Counts from 1.
    pub id: u64,
    /// `message`, `edit`, `delete` or `notice`.
    pub kind: &'static str,
    pub data: String,
}

struct Person {
    id: i64,
    name: String,
    allowance: Allowance,
    /// Counts what all people have sent: where that was when this one did so last.
    last: u64,
}

/// So many at once, and so many in each second after that.
struct Allowance {
    burst: f64,
    per_second: f64,
    left: f64,
    since: Instant,
}

impl Allowance {
    fn new(burst: u32, per_second: u32) -> Self {
        Allowance { burst: f64::from(burst), per_second: f64::from(per_second), left: f64::from(burst), since: Instant::now() }
    }

    /// Takes one, if there is one.
    fn take(&mut self) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.since).as_secs_f64() * self.per_second;
        (self.left, self.since) = ((self.left + earned).min(self.burst), now);
        let may = self.left >= 1.0;
        self.left -= f64::from(u8::from(may));
        may
    }
}

struct Chat {
    /// By session.
    people: HashMap<String, Person, FixedState>,
    people_made: u32,
    newcomers: Allowance,
    /// What people have sent, all together.
    sent_by_people: u64,
    /// Messages that can still be edited, pressed and answered, by id.
    messages: VecDeque<Shown>,
    events: VecDeque<Event>,
    events_made: u64,
    next_message: i64,
    next_update: i64,
    /// Times of the bot's latest messages.
    sent: VecDeque<Instant>,
}

/// The chat. Cheap to clone: clones are the same chat.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    config: Config,
    inlet: Box<dyn Inlet>,
    now_ms: Box<dyn Fn() -> i64 + Send + Sync>,
    chat: Mutex<Chat>,
    live: broadcast::Sender<Event>,
}

/// Why something that a person sent was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("a message has 1 to {TEXT_CHARACTERS_MAX} characters, this one {0}")]
    Length(usize),
    #[error("there is no button with this data under message {0}")]
    Button(i64),
    #[error("there is no message {0} to answer any more")]
    Reply(i64),
    #[error("not so fast: try again in a second")]
    Fast,
    #[error("many people come just now: try again in a second")]
    Crowd,
    #[error("a session is 1 to 64 characters and a name 1 to 32, without control characters")]
    Name,
    #[error("the log did not take it")]
    Log(#[from] log::Error),
}

/// What became of what a person sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Taken {
    pub update_id: i64,
    /// The new message, or the one whose button was pressed.
    pub message_id: i64,
    pub user_id: i64,
    pub name: String,
}

impl Sandbox {
    /// `now_ms` is the clock, milliseconds since 1970.
    pub fn new(config: Config, inlet: Box<dyn Inlet>, now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        let chat = Chat {
            people: HashMap::default(),
            people_made: 0,
            newcomers: Allowance::new(config.newcomers_burst, config.newcomers_per_second),
            sent_by_people: 0,
            messages: VecDeque::new(),
            events: VecDeque::new(),
            events_made: 0,
            next_message: config.first_message_id,
            next_update: config.first_update_id,
            sent: VecDeque::new(),
        };
        let (live, _) = broadcast::channel(256);
        Sandbox(Arc::new(Inner { config, inlet, now_ms: Box::new(now_ms), chat: Mutex::new(chat), live }))
    }

    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// What was said by people; `session` tells one from another, `name` is used when they first come.
    pub fn say(&self, session: &str, name: Option<&str>, text: &str, reply_to: Option<i64>) -> Result<Taken, Refused> {
        let config = &self.0.config;
        let length = text.chars().count();
        if !(1..=TEXT_CHARACTERS_MAX).contains(&length) || text.trim().is_empty() {
            return Err(Refused::Length(if text.trim().is_empty() { 0 } else { length }));
        }
        let mut chat = self.0.chat.lock();
        let quoted = match reply_to {
            Some(id) => Some(chat.find(id).ok_or(Refused::Reply(id))?.clone()),
            None => None,
        };
        let (user_id, name) = chat.person(session, name, config)?;
        let date = (self.0.now_ms)() / 1000;
        let (message_id, update_id) = (chat.next_message, chat.next_update);
        let mut message = json!({
            "message_id": message_id, "from": self.person(user_id, &name), "chat": self.place(), "date": date, "text": text,
        });
        if let Some(length) = command_length(text) {
            message["entities"] = json!([{"type": "bot_command", "offset": 0, "length": length}]);
        }
        if let Some(quoted) = quoted {
            message["reply_to_message"] = self.inner(&quoted);
        }
        let typed = Typed { message_id, user_id, name: name.clone(), text: text.into(), date, reply_to };
        self.append(&json!({"update_id": update_id, "message": message}), Some(&typed))?;
        chat.next_message += 1;
        chat.next_update += 1;
        let from = From { id: user_id, name: name.clone(), is_bot: false };
        self.show(&mut chat, Shown { message_id, from, text: text.into(), date, reply_to, buttons: vec![] });
        Ok(Taken { update_id, message_id, user_id, name })
    }

    /// A button was pressed.
    pub fn press(&self, session: &str, name: Option<&str>, message_id: i64, data: &str) -> Result<Taken, Refused> {
        let mut chat = self.0.chat.lock();
        let pressed = chat.find(message_id).filter(|m| m.buttons.iter().flatten().any(|b| b.data == data));
        let pressed = pressed.ok_or(Refused::Button(message_id))?.clone();
        let (user_id, name) = chat.person(session, name, &self.0.config)?;
        let update_id = chat.next_update;
        let mut message = self.inner(&pressed);
        let rows: Vec<Vec<_>> =
            pressed.buttons.iter().map(|row| row.iter().map(|b| json!({"text": b.text, "callback_data": b.data})).collect()).collect();
        message["reply_markup"] = json!({"inline_keyboard": rows});
        let update = json!({"update_id": update_id, "callback_query": {
            "id": update_id.to_string(), "from": self.person(user_id, &name), "message": message,
            "chat_instance": self.0.config.chat.unsigned_abs().to_string(), "data": data,
        }});
        self.append(&update, None)?;
        chat.next_update += 1;
        Ok(Taken { update_id, message_id, user_id, name })
    }

    fn person(&self, id: i64, name: &str) -> serde_json::Value {
        json!({"id": id, "is_bot": false, "first_name": name, "language_code": "en"})
    }

    fn place(&self) -> serde_json::Value {
        json!({"id": self.0.config.chat, "title": self.0.config.title, "type": "supergroup"})
    }

    /// A message inside another update.
    fn inner(&self, shown: &Shown) -> serde_json::Value {
        let bot = &self.0.config.bot;
        let from = if shown.from.is_bot {
            json!({"id": bot.id, "is_bot": true, "first_name": bot.name, "username": bot.username})
        } else {
            self.person(shown.from.id, &shown.from.name)
        };
        json!({"message_id": shown.message_id, "from": from, "chat": self.place(), "date": shown.date, "text": shown.text})
    }

    fn append(&self, update: &serde_json::Value, typed: Option<&Typed>) -> Result<(), log::Error> {
        let record = Append {
            key: self.0.config.chat.to_string().into_bytes(),
            value: update.to_string().into_bytes(),
            received_at_ms: (self.0.now_ms)(),
        };
        self.0.inlet.accept(record, typed)
    }

    fn show(&self, chat: &mut Chat, shown: Shown) {
        let data = serde_json::to_string(&shown).expect("a message is JSON");
        chat.messages.push_back(shown);
        if chat.messages.len() > self.0.config.history_max {
            chat.messages.pop_front();
        }
        self.tell(chat, "message", data, true);
    }

    fn tell(&self, chat: &mut Chat, kind: &'static str, data: String, keep: bool) {
        chat.events_made += 1;
        let event = Event { id: chat.events_made, kind, data };
        if keep {
            chat.events.push_back(event.clone());
            if chat.events.len() > self.0.config.history_max {
                chat.events.pop_front();
            }
        }
        // No browser is listening: then there is nobody to tell.
        let _ = self.0.live.send(event);
    }

    /// Events after `last` (0: all) that are still kept, and those to come: none is missed or doubled in between.
    pub fn listen(&self, last: u64) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let chat = self.0.chat.lock();
        (chat.events.iter().filter(|e| e.id > last).cloned().collect(), self.0.live.subscribe())
    }

    /// Bot messages are limited as a group's are.
    fn limit(&self, chat: &mut Chat) -> Result<(), Error> {
        let Some(per_minute) = self.0.config.bot_per_minute else { return Ok(()) };
        let now = Instant::now();
        while chat.sent.front().is_some_and(|at| now.duration_since(*at).as_secs() >= 60) {
            chat.sent.pop_front();
        }
        match chat.sent.front() {
            Some(first) if chat.sent.len() >= per_minute as usize => {
                Err(Error::RetryAfter { seconds: 60 - now.duration_since(*first).as_secs().min(59) })
            }
            _ => {
                chat.sent.push_back(now);
                Ok(())
            }
        }
    }

    fn own<'a>(&self, chat: &'a mut Chat, place: i64, message: i64) -> Result<&'a mut Shown, Error> {
        let found = chat.messages.iter_mut().find(|m| m.message_id == message && m.from.is_bot && place == self.0.config.chat);
        found.ok_or_else(|| Error::Permanent(format!("message {message} is not there, or not the bot's")))
    }
}

impl Chat {
    fn find(&self, message_id: i64) -> Option<&Shown> {
        self.messages.iter().find(|m| m.message_id == message_id)
    }

    /// Who this is, if they may send something now.
    fn person(&mut self, session: &str, name: Option<&str>, config: &Config) -> Result<(i64, String), Refused> {
        let fits = |text: &str, max: usize| (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if !fits(session, 64) || name.is_some_and(|name| !fits(name, 32) || name.trim().is_empty()) {
            return Err(Refused::Name);
        }
        if !self.people.contains_key(session) {
            self.welcome(session, name, config)?;
        }
        let person = self.people.get_mut(session).expect("welcomed");
        if !person.allowance.take() {
            return Err(Refused::Fast);
        }
        self.sent_by_people += 1;
        person.last = self.sent_by_people;
        Ok((person.id, person.name.clone()))
    }

    fn welcome(&mut self, session: &str, name: Option<&str>, config: &Config) -> Result<(), Refused> {
        if !self.newcomers.take() {
            return Err(Refused::Crowd);
        }
        // All are looked through: that is as often as newcomers may come.
        while self.people.len() >= config.people_max.max(1) {
            let silent = self.people.iter().min_by_key(|(_, person)| person.last).map(|(session, _)| session.clone());
            self.people.remove(&silent.expect("there are people"));
        }
        let person = Person {
            id: World::person_id(self.people_made),
            name: name.map_or_else(|| format!("guest {}", self.people_made + 1), |name| name.trim().to_string()),
            allowance: Allowance::new(config.person_burst, config.person_per_second),
            last: self.sent_by_people,
        };
        self.people_made += 1;
        self.people.insert(session.to_string(), person);
        Ok(())
    }
}

/// UTF-16 units of the command that a text starts with.
fn command_length(text: &str) -> Option<usize> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (text.starts_with('/') && end > 1).then(|| text[..end].encode_utf16().count())
}

#[async_trait]
impl Messenger for Sandbox {
    fn me(&self) -> Me {
        self.0.config.bot.clone()
    }

    async fn send(&self, message: &Outgoing) -> Result<i64, Error> {
        check(&message.text, &message.buttons)?;
        if message.chat != self.0.config.chat {
            return Err(Error::Permanent(format!("chat {} not found", message.chat)));
        }
        let mut chat = self.0.chat.lock();
        self.limit(&mut chat)?;
        let message_id = chat.next_message;
        chat.next_message += 1;
        let bot = &self.0.config.bot;
        let shown = Shown {
            message_id,
            from: From { id: bot.id, name: bot.name.clone(), is_bot: true },
            text: message.text.clone(),
            date: (self.0.now_ms)() / 1000,
            reply_to: message.reply_to,
            buttons: message.buttons.clone(),
        };
        self.show(&mut chat, shown);
        Ok(message_id)
    }

    async fn edit(&self, place: i64, message: i64, text: &str, buttons: &[Vec<Button>]) -> Result<(), Error> {
        check(text, buttons)?;
        let mut chat = self.0.chat.lock();
        self.own(&mut chat, place, message)?;
        self.limit(&mut chat)?;
        let shown = self.own(&mut chat, place, message)?;
        (shown.text, shown.buttons) = (text.into(), buttons.to_vec());
        let data = serde_json::to_string(shown).expect("a message is JSON");
        self.tell(&mut chat, "edit", data, true);
        Ok(())
    }

    async fn answer_callback(&self, callback: &str, text: &str) -> Result<(), Error> {
        if text.chars().count() > ANSWER_CHARACTERS_MAX {
            return Err(Error::Permanent(format!("an answer has at most {ANSWER_CHARACTERS_MAX} characters")));
        }
        let mut chat = self.0.chat.lock();
        self.tell(&mut chat, "notice", json!({"callback_query_id": callback, "text": text}).to_string(), false);
        Ok(())
    }

    async fn delete(&self, place: i64, message: i64) -> Result<(), Error> {
        let mut chat = self.0.chat.lock();
        self.own(&mut chat, place, message)?;
        chat.messages.retain(|m| m.message_id != message);
        self.tell(&mut chat, "delete", json!({"message_id": message}).to_string(), true);
        Ok(())
    }
}
