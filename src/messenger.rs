//! The messenger: what the bot says, where people read it.
//!
//! ```text
//!   bot -- Outgoing --> messenger --> Telegram | sandbox (a chat in the browser)
//!        <-- Sent(message_id) | Error by class
//! ```

pub mod sandbox;

#[cfg(test)]
pub mod contract;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Characters of a message, at most.
pub const TEXT_CHARACTERS_MAX: usize = 4096;
/// Bytes of a button's data, at most.
pub const DATA_BYTES_MAX: usize = 64;
/// Buttons of a message and of a row, at most.
pub const BUTTONS_MAX: usize = 100;
pub const ROW_BUTTONS_MAX: usize = 8;
/// Characters of the answer to a pressed button, at most.
pub const ANSWER_CHARACTERS_MAX: usize = 200;

/// A button under a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Button {
    pub text: String,
    /// What comes back when it is pressed: 1 to 64 bytes.
    pub data: String,
}

/// A message to be sent: plain text, as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outgoing {
    pub chat: i64,
    /// `message_thread_id` of a topic.
    pub topic: Option<i64>,
    /// The message that is answered.
    pub reply_to: Option<i64>,
    pub text: String,
    /// Rows of buttons.
    pub buttons: Vec<Vec<Button>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the messenger could not be reached and has not taken it: {0}")]
    Transient(String),
    #[error("too many messages: try again in {seconds} s")]
    RetryAfter { seconds: u64 },
    #[error("the messenger refuses it: {0}")]
    Permanent(String),
    #[error("the messenger may or may not have taken it: {0}")]
    Ambiguous(String),
}

/// Who the bot is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Me {
    pub id: i64,
    /// Without `@`.
    pub username: String,
    pub name: String,
}

/// Sends on behalf of one bot.
///
/// # Contract
/// - **Limits are refused, not cut**: an empty or over-long text, bad buttons and unknown messages are `Permanent`.
/// - **Classes**: after `Transient` and `RetryAfter` nothing was delivered, so the same can be sent again; after `Ambiguous` it may have been.
/// - **No idempotency key**: sending twice is two messages.
/// - **Own messages only**: `edit` and `delete` take ids that `send` gave, in the same chat.
/// - **Ids grow** within a chat.
#[async_trait]
pub trait Messenger: Send + Sync {
    fn me(&self) -> Me;
    /// Gives the id of the message.
    async fn send(&self, message: &Outgoing) -> Result<i64, Error>;
    /// Replaces text and buttons.
    async fn edit(&self, chat: i64, message: i64, text: &str, buttons: &[Vec<Button>]) -> Result<(), Error>;
    /// Tells whoever pressed a button that it was heard; the text may be empty.
    async fn answer_callback(&self, callback: &str, text: &str) -> Result<(), Error>;
    async fn delete(&self, chat: i64, message: i64) -> Result<(), Error>;
}

/// What every messenger refuses.
pub fn check(text: &str, buttons: &[Vec<Button>]) -> Result<(), Error> {
    let refuse = |what: String| Err(Error::Permanent(what));
    match text.chars().count() {
        0 => return refuse("message text is empty".into()),
        n if n > TEXT_CHARACTERS_MAX => return refuse(format!("message is too long: {n} of at most {TEXT_CHARACTERS_MAX} characters")),
        _ => {}
    }
    if buttons.iter().map(Vec::len).sum::<usize>() > BUTTONS_MAX || buttons.iter().any(|row| row.len() > ROW_BUTTONS_MAX) {
        return refuse(format!("too many buttons: at most {BUTTONS_MAX}, {ROW_BUTTONS_MAX} in a row"));
    }
    for button in buttons.iter().flatten() {
        if button.text.is_empty() || !(1..=DATA_BYTES_MAX).contains(&button.data.len()) {
            return refuse(format!("button `{}` needs a text and 1 to {DATA_BYTES_MAX} bytes of data", button.text));
        }
    }
    Ok(())
}
