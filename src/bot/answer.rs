//! Answers: numbers from the views, each with what it counts, all of one answer as of one tick.

use std::time::Duration;

use eddy_schemas::rows::{Communities, CommunityNames, Sessions, TopUsers, UserNames, Users};
use eddy_schemas::{Cell, Name, Row, View};

use super::question::{self, Question};
use super::update::{Asked, Update};
use crate::clock::utc;
use crate::messenger::{Button, Me, TEXT_CHARACTERS_MAX};
use crate::store::{self, AsOf, Page, Store, Stored};

/// Communities that are offered as buttons, at most.
const OFFERED_MAX: usize = 6;
/// Communities that are looked through to find those, at most.
const LISTED_MAX: usize = 200;
/// Sessions that are shown, and read to find the last ones, at most.
const SESSIONS_SHOWN: usize = 5;
const SESSIONS_READ_MAX: usize = 2000;
/// An answer whose reads were of different ticks is made again, so often and after such a pause. Ticks are some milliseconds apart, and
/// the reads of an answer take less.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(1);

pub type Buttons = Vec<Vec<Button>>;

/// Answers to one update.
pub struct Answers<'a> {
    pub store: &'a dyn Store,
    pub update: &'a Update,
    pub me: &'a Me,
    /// The tick of what has been read; `None`: nothing yet.
    as_of: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("they change faster than I can read them")]
    Moved,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Said when the engine has not come far enough in time.
pub fn late() -> String {
    "The numbers are late: the engine has not read your message yet. Please ask again in a moment.".into()
}

/// Cuts what is too long for one message, and says so.
pub fn fit(text: String) -> String {
    if text.chars().count() <= TEXT_CHARACTERS_MAX {
        return text;
    }
    let end = "\n(cut: too long for one message)";
    let kept: String = text.chars().take(TEXT_CHARACTERS_MAX - end.chars().count()).collect();
    kept + end
}

fn int(row: &Stored, view: &View, column: &str) -> Option<i64> {
    let at = view.all_columns().position(|c| c.name == column)?;
    match row.cells.get(at) {
        Some(Cell::Int(n)) => Some(*n),
        _ => None,
    }
}

impl<'a> Answers<'a> {
    pub fn new(store: &'a dyn Store, update: &'a Update, me: &'a Me) -> Self {
        Answers { store, update, me, as_of: None }
    }

    pub async fn answer(&mut self, question: &Question) -> (String, Buttons) {
        if let Question::Stats(Some(key)) | Question::Top(Some(key)) = question
            && !is_key(key)
        {
            let shown: String = key.chars().take(60).collect();
            return (format!("\"{shown}\" is no community's key: one looks like r/NAME, reddit:NAME or telegram:ID."), vec![]);
        }
        let mut made = self.attempt(question).await;
        for _ in 1..ATTEMPTS {
            if !matches!(made, Err(Error::Moved)) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            made = self.attempt(question).await;
        }
        match (made, self.as_of) {
            (Ok((text, buttons)), Some(tick)) => (format!("{text}\n\nas of {}", utc(tick)), buttons),
            (Ok(plain), None) => plain,
            (Err(error), _) => (format!("I cannot read the numbers just now: {error}."), vec![]),
        }
    }

    async fn attempt(&mut self, question: &Question) -> Result<(String, Buttons), Error> {
        self.as_of = None;
        match question {
            Question::Help => Ok(self.help()),
            Question::Stats(key) => self.stats(key.as_deref()).await,
            Question::Me => self.mine().await,
            Question::Top(key) => self.top(key.as_deref()).await,
            Question::Sessions => self.sessions().await,
            Question::Communities => self.communities().await,
        }
    }

    /// What a read gave, if it is of the tick that the others were of.
    fn of_one_tick<T>(&mut self, read: AsOf<T>) -> Result<T, Error> {
        let before = self.as_of.replace(read.tick);
        if before.is_some_and(|tick| tick != read.tick) { Err(Error::Moved) } else { Ok(read.value) }
    }

    fn help(&self) -> (String, Buttons) {
        let text = format!(
            "I am {}, a bot (a program, not a person). I count what is written and answer:\n\
             /stats - this chat: messages, people, characters\n\
             /me - what you have written\n\
             /top - who writes most here\n\
             /sessions - when you were here\n\
             /communities - others that I count\n\
             /stats and /top take a community, such as /top r/SmallTelescopes. Everything counts messages that are not deleted; \
             times are UTC. To anything else I say nothing.",
            self.me.name
        );
        let here = [("Who talks most here?", Question::Top(None)), ("What have I written?", Question::Me)];
        let there = [("This chat in numbers", Question::Stats(None)), ("Other communities", Question::Communities)];
        (
            text,
            vec![
                here.map(|(t, q)| button(t, &q)).into_iter().flatten().collect(),
                there.map(|(t, q)| button(t, &q)).into_iter().flatten().collect(),
            ],
        )
    }

    /// The key of the community in question, and how to speak of it.
    async fn place(&mut self, key: Option<&str>) -> Result<(String, String), Error> {
        let here = format!("telegram:{}", self.update.chat);
        let Some(key) = key.filter(|key| *key != here) else { return Ok((here, "this chat".into())) };
        let key = self.as_written(key).await?;
        let title = self.title(&key).await?;
        Ok((key, title))
    }

    /// Reddit takes names in any case, a key has the case as written: the one community that differs by nothing else was meant.
    async fn as_written(&mut self, key: &str) -> Result<String, Error> {
        if !key.starts_with("reddit:") || self.get(Communities::VIEW, key).await?.is_some() {
            return Ok(key.into());
        }
        let listed = self.busiest().await?;
        let mut alike = listed.into_iter().filter(|(other, _)| other.eq_ignore_ascii_case(key)).map(|(other, _)| other);
        let meant = alike.next().filter(|_| alike.next().is_none());
        Ok(meant.unwrap_or_else(|| key.into()))
    }

    async fn title(&mut self, key: &str) -> Result<String, Error> {
        if let Some(name) = key.strip_prefix("reddit:") {
            return Ok(format!("r/{name}"));
        }
        Ok(self.name(CommunityNames::VIEW, key).await?.unwrap_or_else(|| key.to_string()))
    }

    async fn name(&mut self, view: &'static View, key: &str) -> Result<Option<String>, Error> {
        let row = self.get(view, key).await?;
        Ok(row.and_then(|row| match row.cells.get(1) {
            Some(Cell::Display(name)) => Some(name.bare().to_string()),
            _ => None,
        }))
    }

    /// The row of a user or community. A key that this process has never met has none, and is not made one by asking.
    async fn get(&mut self, view: &'static View, key: &str) -> Result<Option<Stored>, Error> {
        let Some(name) = Name::find(key) else { return Ok(None) };
        let read = self.store.get(view, &[Cell::Key(name)]).await?;
        self.of_one_tick(read)
    }

    async fn scan(&mut self, view: &'static View, prefix: &[Cell], limit: usize) -> Result<Page, Error> {
        let read = self.store.scan(view, prefix, None, limit).await?;
        self.of_one_tick(read)
    }

    async fn stats(&mut self, key: Option<&str>) -> Result<(String, Buttons), Error> {
        let (key, place) = self.place(key).await?;
        let Some(row) = self.get(Communities::VIEW, &key).await? else {
            return Ok((format!("I have counted nothing in {place} yet."), self.offers(&key, Question::Stats).await?));
        };
        let n = |column| int(&row, Communities::VIEW, column);
        let mut lines = vec![
            format!("{} in numbers:", capital(&place)),
            format!("messages: {} (not deleted)", number(n("messages"))),
            format!("people: {} (who wrote at least one of them)", number(n("posters"))),
            format!("conversations: {} (submissions with comments, or topics)", number(n("conversations"))),
            format!("characters: {} (of all their texts)", number(n("characters"))),
            format!("removed: {} (messages deleted since)", number(n("removed"))),
        ];
        if let (Some(first), Some(last)) = (n("first_at"), n("last_at")) {
            lines.push(format!("from {} to {} (first and last message)", seconds(first), seconds(last)));
        }
        let mut buttons =
            vec![button(&format!("Who talks most in {place}?"), &Question::Top(Some(key.clone()))).into_iter().collect::<Vec<_>>()];
        buttons.extend(self.offers(&key, Question::Stats).await?);
        Ok((lines.join("\n"), buttons))
    }

    async fn mine(&mut self) -> Result<(String, Buttons), Error> {
        let Some(user) = &self.update.user else { return Ok(("I cannot see who you are.".into(), vec![])) };
        let Some(row) = self.get(Users::VIEW, user).await? else {
            return Ok(("I have counted nothing of yours yet.".into(), vec![]));
        };
        let n = |column| int(&row, Users::VIEW, column);
        let name = self.name(UserNames::VIEW, user).await?.unwrap_or_else(|| user.clone());
        // A pressed button is no message.
        let included = if matches!(self.update.asked, Asked::Said { .. }) { ", this question included" } else { "" };
        let mut lines = vec![
            format!("{name}, in all communities that I count:"),
            format!("messages: {} (not deleted{included})", number(n("messages"))),
            format!("characters: {} (of their texts)", number(n("characters"))),
            format!("edited: {} (messages changed since)", number(n("edited"))),
            format!("conversations: {}, communities: {} (with a message of yours)", number(n("conversations")), number(n("communities"))),
        ];
        if let (Some(first), Some(last)) = (n("first_at"), n("last_at")) {
            lines.push(format!("from {} to {} (first and last message)", seconds(first), seconds(last)));
        }
        let buttons = [("When was I here?", Question::Sessions), ("Who talks most here?", Question::Top(None))];
        Ok((lines.join("\n"), vec![buttons.map(|(text, q)| button(text, &q)).into_iter().flatten().collect()]))
    }

    async fn top(&mut self, key: Option<&str>) -> Result<(String, Buttons), Error> {
        let (key, place) = self.place(key).await?;
        let rows = match Name::find(&key) {
            Some(name) => self.scan(TopUsers::VIEW, &[Cell::Key(name)], 10).await?.rows,
            None => vec![],
        };
        let offers = self.offers(&key, Question::Top).await?;
        if rows.is_empty() {
            return Ok((format!("Nobody has written in {place} yet."), offers));
        }
        let mut lines = vec![format!("Who writes most in {place} (messages that are not deleted):")];
        for row in &rows {
            let [_, Cell::Int(rank), Cell::Key(user), Cell::Int(messages)] = row.cells[..] else { continue };
            let name = self.name(UserNames::VIEW, user.as_str()).await?.unwrap_or_else(|| user.as_str().to_string());
            let you = if self.update.user.as_deref() == Some(user.as_str()) { " (you)" } else { "" };
            lines.push(format!("{rank}. {name}{you}: {}", number(Some(messages))));
        }
        Ok((lines.join("\n"), offers))
    }

    async fn sessions(&mut self) -> Result<(String, Buttons), Error> {
        let none = "I have seen no session of yours yet.";
        let Some(user) = &self.update.user else { return Ok(("I cannot see who you are.".into(), vec![])) };
        let Some(name) = Name::find(user) else { return Ok((none.into(), vec![])) };
        let page = self.scan(Sessions::VIEW, &[Cell::Key(name)], SESSIONS_READ_MAX).await?;
        let rows = page.rows;
        if rows.is_empty() {
            return Ok((none.into(), vec![]));
        }
        let read = rows.len();
        let count = if page.next.is_none() { number(Some(read as i64)) } else { format!("more than {read}") };
        let mut lines =
            vec![format!("You were here in {count} session(s): runs of your messages with no gap over 30 minutes. Latest last:")];
        // They come oldest first.
        for row in &rows[read.saturating_sub(SESSIONS_SHOWN)..] {
            let [_, Cell::Int(start), Cell::Int(end), Cell::Int(messages)] = row.cells[..] else { continue };
            lines.push(format!("{} to {}: {} message(s)", seconds(start), seconds(end), number(Some(messages))));
        }
        Ok((lines.join("\n"), vec![]))
    }

    async fn communities(&mut self) -> Result<(String, Buttons), Error> {
        let here = format!("telegram:{}", self.update.chat);
        let listed = self.busiest().await?;
        if listed.is_empty() {
            return Ok(("I have counted nothing yet.".into(), vec![]));
        }
        let mut lines = vec!["Communities that I count, by messages (not deleted):".to_string()];
        for (key, messages) in listed.iter().take(20) {
            lines.push(format!("{}: {}", self.title(key).await?, number(Some(*messages))));
        }
        Ok((lines.join("\n"), self.offers(&here, Question::Top).await?))
    }

    /// Keys of communities, and their messages.
    async fn busiest(&mut self) -> Result<Vec<(String, i64)>, Error> {
        let rows = self.scan(Communities::VIEW, &[], LISTED_MAX).await?.rows;
        let mut listed: Vec<_> = rows
            .iter()
            .filter_map(|row| {
                let Some(Cell::Key(name)) = row.cells.first() else { return None };
                Some((name.as_str().to_string(), int(row, Communities::VIEW, "messages")?))
            })
            .collect();
        listed.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Ok(listed)
    }

    /// Buttons that ask the same of other communities: one a row, they are long.
    async fn offers(&mut self, but: &str, ask: fn(Option<String>) -> Question) -> Result<Buttons, Error> {
        let mut rows = Vec::new();
        for (key, _) in self.busiest().await?.into_iter().filter(|(key, _)| key != but).take(OFFERED_MAX) {
            let title = if key == format!("telegram:{}", self.update.chat) { "this chat".into() } else { self.title(&key).await? };
            let question = ask(Some(key));
            let text = match question {
                Question::Top(_) => format!("Who talks most in {title}?"),
                _ => format!("{} in numbers", capital(&title)),
            };
            rows.extend(button(&text, &question).map(|button| vec![button]));
        }
        Ok(rows)
    }
}

/// `reddit:NAME` or `telegram:ID`.
fn is_key(key: &str) -> bool {
    let is_chat = |id: &str| id.parse::<i64>().is_ok();
    key.strip_prefix("reddit:").is_some_and(|name| !name.is_empty()) || key.strip_prefix("telegram:").is_some_and(is_chat)
}

fn button(text: &str, question: &Question) -> Option<Button> {
    Some(Button { text: text.chars().take(64).collect(), data: question::data(question)? })
}

fn capital(text: &str) -> String {
    if text == "this chat" { "This chat".into() } else { text.into() }
}

/// Digits in groups of three.
fn number(n: Option<i64>) -> String {
    let Some(n) = n else { return "none".into() };
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn seconds(at: i64) -> String {
    utc(u64::try_from(at).unwrap_or(0).saturating_mul(1000)).trim_end_matches(" UTC").to_string()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([0, 999, 1000, -1_234_567].map(|n| number(Some(n))), ["0", "999", "1,000", "-1,234,567"]);
    }

    #[test]
    fn over_long_answers_are_cut_to_fit() {
        let cut = fit("é".repeat(5000));
        assert_eq!(cut.chars().count(), TEXT_CHARACTERS_MAX);
        assert!(cut.ends_with("one message)"));
    }
}
