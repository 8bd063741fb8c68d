//! What the bot needs of an update: who asked, where, and what.

use memchr::memmem;
use serde::Deserialize;

/// A message or a pressed button.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    pub update_id: i64,
    pub chat: i64,
    /// The topic, where it is one.
    pub topic: Option<i64>,
    /// What is to be answered: the message, or the one with the button.
    pub message_id: i64,
    /// Key of whoever asked, such as `telegram:42`.
    pub user: Option<String>,
    pub asked: Asked,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    Said { text: String },
    Pressed { id: String, data: String },
}

#[derive(Deserialize)]
struct Raw {
    update_id: i64,
    message: Option<Message>,
    callback_query: Option<Callback>,
}

#[derive(Deserialize)]
struct Message {
    message_id: i64,
    from: Option<From>,
    sender_chat: Option<Chat>,
    chat: Chat,
    text: Option<String>,
    message_thread_id: Option<i64>,
    #[serde(default)]
    is_topic_message: bool,
}

#[derive(Deserialize)]
struct From {
    id: i64,
    #[serde(default)]
    is_bot: bool,
}

#[derive(Deserialize)]
struct Chat {
    id: i64,
}

#[derive(Deserialize)]
struct Callback {
    id: String,
    from: From,
    message: Option<Message>,
    data: Option<String>,
}

/// Reads an update; `None` for whatever is not for the bot: other chats, edits (a question that was edited has been answered), other
/// bots, and what cannot be read (the engine makes a dead letter of it).
pub fn read(raw: &[u8], chats: Option<&[i64]>) -> Option<Update> {
    // Most records are of other chats: those are not worth parsing.
    if let Some(chats) = chats
        && !chats.iter().any(|chat| memmem::find(raw, chat.to_string().as_bytes()).is_some())
    {
        return None;
    }
    let raw: Raw = serde_json::from_slice(raw).ok()?;
    let update_id = raw.update_id;
    let (message, from, asked) = match (raw.message, raw.callback_query) {
        (Some(mut message), _) => {
            let (text, from) = (message.text.take()?, message.from.take());
            (message, from, Asked::Said { text })
        }
        (None, Some(callback)) => (callback.message?, Some(callback.from), Asked::Pressed { id: callback.id, data: callback.data? }),
        (None, None) => return None,
    };
    if from.as_ref().is_some_and(|from| from.is_bot) || chats.is_some_and(|chats| !chats.contains(&message.chat.id)) {
        return None;
    }
    let anonymous = message.sender_chat.filter(|_| matches!(asked, Asked::Said { .. })).map(|chat| chat.id);
    let user = anonymous.or(from.map(|from| from.id)).map(|id| format!("telegram:{id}"));
    let topic = message.message_thread_id.filter(|_| message.is_topic_message);
    Some(Update { update_id, chat: message.chat.id, topic, message_id: message.message_id, user, asked })
}
