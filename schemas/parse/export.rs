//! Messages of a Telegram Desktop `result.json`, each wrapped with its chat by the reader of dumps:
//! `{"desktop_export":{"chat":{"id","type","name"},"message":{..}}}`.
//!
//! An export names no topic (a message in a topic answers the topic's first message, which only that message itself could
//! tell), so all of a forum is topic 0 here; where the live stream has the message too, its version wins.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::full::json;
use super::telegram::number_name;
use super::text::{asks, characters, text_hash};
use super::value::{Key, Node, Value, object};
use super::{Context, Read, Rejected};
use crate::name::DISPLAY;
use crate::{MessageId, Name, Version};

object!(
    Wrapped {
        chat: Node<Chat<'a>> = "chat",
        message: Node<Message<'a>> = "message",
    }
);

object!(
    Chat {
        id: Value<'a> = "id",
        kind: Value<'a> = "type",
        name: Value<'a> = "name",
    }
);

object!(
    Message {
        id: Value<'a> = "id",
        kind: Value<'a> = "type",
        date_unixtime: Value<'a> = "date_unixtime",
        edited_unixtime: Value<'a> = "edited_unixtime",
        from: Value<'a> = "from",
        from_id: Value<'a> = "from_id",
        reply_to_message_id: Value<'a> = "reply_to_message_id",
        reply_to_peer_id: Value<'a> = "reply_to_peer_id",
        text: Option<&'a RawValue> = "text",
    }
);

object!(
    /// A part of a text that is more than characters, such as a link.
    Part { text: Value<'a> = "text" }
);

/// Reads one message of an export.
pub(super) fn read<'a>(raw: &'a str, context: &Context) -> Read<'a> {
    let Node::Object(wrapped) = json::<Node<Wrapped>>(raw)? else { return Err(Rejected::Dead("shape")) };
    let (Node::Object(chat), Node::Object(message)) = (wrapped.chat, wrapped.message) else {
        return Err(Rejected::Dead("shape"));
    };
    match message.kind.string("type")? {
        Some("message") => {}
        Some("service") => return Err(Rejected::Ignored("service")),
        Some("unsupported") => return Err(Rejected::Ignored("kind:unsupported")),
        _ => return Err(Rejected::Dead("type")),
    }
    let id = message.id.int("id")?.ok_or(Rejected::Dead("no_id"))?;
    let created_at = message.date_unixtime.created("date_unixtime", context)?.ok_or(Rejected::Dead("no_utc_time"))?;
    if created_at == 0 {
        return Err(Rejected::Ignored("inaccessible"));
    }
    let edited_at = message.edited_unixtime.time("edited_unixtime")?.filter(|at| *at != 0);
    let community_id = chat.number()?;
    let user = message.user()?;
    let answered = message.reply_to_message_id.int("reply_to_message_id")?.filter(|_| message.reply_to_peer_id.is_missing());
    let text = text(message.text)?;
    let community = number_name(community_id);
    let version = Version {
        id: MessageId::telegram(community, id),
        conversation: MessageId::topic(community, 0),
        parent: answered.map(|id| MessageId::telegram(community, id)),
        community: Some(community),
        user: user.map(number_name),
        user_name: user.and(message.from.any_string()).map(|name| Name::new(DISPLAY, name)),
        community_name: chat.name.any_string().map(|name| Name::new(DISPLAY, name)),
        created_at: Some(created_at),
        edited_at,
        score: None,
        version: edited_at.unwrap_or(created_at),
        update_id: None,
        characters: characters(&text),
        text_hash: Some(text_hash(&text)),
        place: context.place,
        tombstone: false,
        edited: edited_at.is_some(),
        bot: false,
        asks: asks(&text),
    };
    Ok((version, Some(text.into())))
}

impl Chat<'_> {
    /// The chat's number as the Bot API has it.
    fn number(&self) -> Result<i64, Rejected> {
        let id = self.id.int("chat")?.filter(|id| *id >= 0).ok_or(Rejected::Dead("chat"))?;
        match self.kind.string("chat")? {
            Some("private_supergroup" | "public_supergroup" | "private_channel" | "public_channel") => {
                channel(id).ok_or(Rejected::Dead("chat"))
            }
            Some("private_group") => Ok(-id),
            Some("personal_chat" | "bot_chat" | "saved_messages" | "replies" | "verify_codes") => Ok(id),
            _ => Err(Rejected::Dead("chat")),
        }
    }
}

/// `-100ID`: the digits put together. (Telegram adds 10^12, which is the same for the ten digits that ids have.)
fn channel(id: i64) -> Option<i64> {
    format!("-100{id}").parse().ok()
}

impl Message<'_> {
    /// The sender's number: `userN` is N, `channelN` is -100N. Exports before 2021 have the bare number of a user.
    fn user(&self) -> Result<Option<i64>, Rejected> {
        const DEAD: Rejected = Rejected::Dead("from_id");
        if let Value::Int(id) = self.from_id {
            return Ok(Some(id));
        }
        let Some(from) = self.from_id.string("from_id")? else { return Ok(None) };
        let number = |digits: &str| digits.parse().ok().filter(|n| *n >= 0 && !digits.starts_with('+')).ok_or(DEAD);
        if let Some(digits) = from.strip_prefix("user") {
            number(digits).map(Some)
        } else if let Some(digits) = from.strip_prefix("channel") {
            channel(number(digits)?).map(Some).ok_or(DEAD)
        } else if let Some(digits) = from.strip_prefix("chat") {
            number(digits).map(|n: i64| Some(-n))
        } else {
            Err(DEAD)
        }
    }
}

/// A text is a string, or a list of strings and parts.
fn text<'a>(raw: Option<&'a RawValue>) -> Result<Cow<'a, str>, Rejected> {
    let raw = raw.map_or("null", RawValue::get);
    match raw.as_bytes()[0] {
        b'n' => Ok(Cow::Borrowed("")),
        b'"' => Ok(json::<Key>(raw)?.0),
        b'[' => {
            let mut joined = String::new();
            for piece in json::<Vec<&RawValue>>(raw)? {
                match piece.get().as_bytes()[0] {
                    b'"' => joined.push_str(&json::<Key>(piece.get())?.0),
                    b'{' => {
                        let Node::Object(part) = json::<Node<Part>>(piece.get())? else { return Err(Rejected::Dead("text")) };
                        joined.push_str(&part.text.into_text("text")?.unwrap_or_default());
                    }
                    _ => return Err(Rejected::Dead("text")),
                }
            }
            Ok(Cow::Owned(joined))
        }
        _ => Err(Rejected::Dead("text")),
    }
}
