//! Telegram's updates, as `getUpdates` and webhooks give them.

use std::io::Write;

use serde::de::{IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use super::full::json;
use super::text::{asks, characters, text_hash};
use super::value::{Entries, Key, Node, Value, object};
use super::{Context, Parser, Read, Rejected};
use crate::name::{DISPLAY, TELEGRAM};
use crate::{MessageId, Name, Version};

/// The kinds of update. The first four count; the others are ignored by name.
const KINDS: [(&str, &str); 27] = [
    ("message", ""),
    ("edited_message", ""),
    ("channel_post", ""),
    ("edited_channel_post", ""),
    ("business_connection", "kind:business_connection"),
    ("business_message", "kind:business_message"),
    ("edited_business_message", "kind:edited_business_message"),
    ("deleted_business_messages", "kind:deleted_business_messages"),
    ("guest_message", "kind:guest_message"),
    ("message_reaction", "kind:message_reaction"),
    ("message_reaction_count", "kind:message_reaction_count"),
    ("inline_query", "kind:inline_query"),
    ("chosen_inline_result", "kind:chosen_inline_result"),
    ("callback_query", "kind:callback_query"),
    ("shipping_query", "kind:shipping_query"),
    ("pre_checkout_query", "kind:pre_checkout_query"),
    ("purchased_paid_media", "kind:purchased_paid_media"),
    ("poll", "kind:poll"),
    ("poll_answer", "kind:poll_answer"),
    ("my_chat_member", "kind:my_chat_member"),
    ("chat_member", "kind:chat_member"),
    ("chat_join_request", "kind:chat_join_request"),
    ("chat_boost", "kind:chat_boost"),
    ("removed_chat_boost", "kind:removed_chat_boost"),
    ("managed_bot", "kind:managed_bot"),
    ("subscription", "kind:subscription"),
    ("stopped_message_generation", "kind:stopped_message_generation"),
];
const COUNTED: usize = 4;

/// What an update holds.
#[derive(Default)]
pub(super) struct Update<'a> {
    counted: [Option<&'a RawValue>; COUNTED],
    /// The kind of what does not count.
    ignored: Option<usize>,
}

impl<'a> Update<'a> {
    /// The kind that a key names.
    pub fn kind(key: &str) -> Option<usize> {
        KINDS.iter().position(|(kind, _)| *kind == key)
    }

    /// Takes what stands under a kind's key; null is nothing.
    pub fn set(&mut self, kind: usize, raw: &'a RawValue) {
        let held = raw.get() != "null";
        match self.counted.get_mut(kind) {
            Some(counted) => *counted = held.then_some(raw),
            None if held => self.ignored = Some(kind),
            None if self.ignored == Some(kind) => self.ignored = None,
            None => {}
        }
    }
}

object!(
    /// A user or a chat.
    Party {
        id: Value<'a> = "id",
        is_bot: Value<'a> = "is_bot",
        title: Value<'a> = "title",
        username: Value<'a> = "username",
        first_name: Value<'a> = "first_name",
        last_name: Value<'a> = "last_name",
    }
);

object!(
    /// The message that another answers.
    Answered {
        message_id: Value<'a> = "message_id",
        forum_topic_created: Value<'a> = "forum_topic_created",
    }
);

#[derive(Default)]
struct Message<'a> {
    message_id: Value<'a>,
    date: Value<'a>,
    edit_date: Value<'a>,
    chat: Node<Party<'a>>,
    from: Node<Party<'a>>,
    sender_chat: Node<Party<'a>>,
    message_thread_id: Value<'a>,
    is_topic_message: Value<'a>,
    reply_to_message: Node<Answered<'a>>,
    text: Value<'a>,
    caption: Value<'a>,
    /// It holds something else that a person sends.
    media: bool,
}

impl<'de: 'a, 'a> Entries<'de> for Message<'a> {
    fn read<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut message = Message::default();
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "message_id" => message.message_id = map.next_value()?,
                "date" => message.date = map.next_value()?,
                "edit_date" => message.edit_date = map.next_value()?,
                "chat" => message.chat = map.next_value()?,
                "from" => message.from = map.next_value()?,
                "sender_chat" => message.sender_chat = map.next_value()?,
                "message_thread_id" => message.message_thread_id = map.next_value()?,
                "is_topic_message" => message.is_topic_message = map.next_value()?,
                "reply_to_message" => message.reply_to_message = map.next_value()?,
                "text" => message.text = map.next_value()?,
                "caption" => message.caption = map.next_value()?,
                "animation" | "audio" | "checklist" | "contact" | "dice" | "document" | "game" | "live_photo" | "location"
                | "paid_media" | "photo" | "poll" | "rich_message" | "sticker" | "story" | "venue" | "video" | "video_note" | "voice" => {
                    message.media |= map.next_value::<&RawValue>()?.get() != "null";
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(message)
    }
}

/// Reads one update.
pub(super) fn read<'a>(update_id: i64, update: &Update<'a>, context: &Context, parser: &mut Parser) -> Read<'a> {
    let Some(raw) = update.counted.into_iter().flatten().next() else {
        return Err(update.ignored.map_or(Rejected::Dead("shape"), |kind| Rejected::Ignored(KINDS[kind].1)));
    };
    let Node::Object(message) = json::<Node<Message>>(raw.get())? else { return Err(Rejected::Dead("shape")) };
    message.read(update_id, context, &mut parser.text)
}

impl<'a> Message<'a> {
    fn read(self, update_id: i64, context: &Context, scratch: &mut String) -> Read<'a> {
        let id = self.message_id.int("message_id")?.ok_or(Rejected::Dead("no_id"))?;
        let created_at = self.date.created("date", context)?.ok_or(Rejected::Dead("date"))?;
        if created_at == 0 {
            return Err(Rejected::Ignored("inaccessible"));
        }
        let edited_at = self.edit_date.time("edit_date")?.filter(|at| *at != 0);
        let chat = self.chat.get("chat")?.ok_or(Rejected::Dead("chat"))?;
        let chat_id = chat.id.int("chat")?.ok_or(Rejected::Dead("chat"))?;
        let topic = match self.is_topic_message {
            Value::Bool(true) => self.message_thread_id.int("message_thread_id")?.unwrap_or(0),
            _ => 0,
        };
        let parent = match self.reply_to_message.get("reply_to_message")? {
            Some(answered) if answered.forum_topic_created.is_missing() => answered.message_id.int("reply_to_message")?,
            _ => None,
        };
        let from = self.from.get("from")?;
        let sender_chat = self.sender_chat.get("sender_chat")?;
        let bot = from.as_ref().is_some_and(|from| from.is_bot == Value::Bool(true));
        let user = match (&sender_chat, &from) {
            (Some(chat), _) => Some((chat.id.int("sender_chat")?.ok_or(Rejected::Dead("sender_chat"))?, chat)),
            (None, Some(from)) => Some((from.id.int("from")?.ok_or(Rejected::Dead("from"))?, from)),
            (None, None) => None,
        };
        let held = self.media || !self.text.is_missing() || !self.caption.is_missing();
        let text = match self.text.into_text("text")? {
            Some(text) => text,
            None => self.caption.into_text("caption")?.unwrap_or_default(),
        };
        if !held {
            return Err(Rejected::Ignored("service"));
        }
        let community = number_name(chat_id);
        let version = Version {
            id: MessageId::telegram(community, id),
            conversation: MessageId::topic(community, topic),
            parent: parent.map(|id| MessageId::telegram(community, id)),
            community: Some(community),
            user: user.map(|(id, _)| number_name(id)),
            user_name: user.and_then(|(_, party)| party.handle(scratch)),
            community_name: chat.title(scratch),
            created_at: Some(created_at),
            edited_at,
            score: None,
            version: edited_at.unwrap_or(created_at),
            update_id: Some(update_id),
            characters: characters(&text),
            text_hash: Some(text_hash(&text)),
            place: context.place,
            tombstone: false,
            edited: edited_at.is_some(),
            bot,
            asks: asks(&text),
        };
        Ok((version, Some(text.into())))
    }
}

impl Party<'_> {
    /// @username, else the title, else first and last name.
    fn handle(&self, scratch: &mut String) -> Option<Name> {
        let Some(username) = self.username.any_string() else { return self.title(scratch) };
        scratch.clear();
        scratch.push('@');
        scratch.push_str(username);
        Some(Name::new(DISPLAY, scratch))
    }

    /// The title, else (a private chat) what the person is called.
    fn title(&self, scratch: &mut String) -> Option<Name> {
        if let Some(title) = self.title.any_string() {
            return Some(Name::new(DISPLAY, title));
        }
        match (self.first_name.any_string(), self.last_name.any_string()) {
            (Some(first), Some(last)) => {
                scratch.clear();
                scratch.extend([first, " ", last]);
                Some(Name::new(DISPLAY, scratch))
            }
            (first, last) => first.or(last).map(|name| Name::new(DISPLAY, name)),
        }
    }
}

/// The name of a user or chat by number.
pub(super) fn number_name(id: i64) -> Name {
    let mut digits = [0; 20];
    let mut rest = &mut digits[..];
    write!(rest, "{id}").expect("64 bits are at most 20 characters");
    let length = 20 - rest.len();
    Name::new(TELEGRAM, std::str::from_utf8(&digits[..length]).expect("digits are ASCII"))
}
