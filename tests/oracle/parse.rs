//! Raw bytes -> JSON -> plain owned messages: the sections "Records" and "Identity", and the `version` of
//! "Which version of a message counts".
//!
//! Names of reasons that interface.md does not give are this file's own (`service`, `date_0`, `json`,
//! `shape`, `id`, `time`, `depth`, `bytes`): compare sums, not names.

use serde_json::de::Deserializer;
use serde_json::{Map, Value};

/// What became of one record.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)]
pub enum Outcome {
    Held(Message),
    Ignored(String),
    Dead(&'static str),
}

/// One version of one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// `reddit:t1_ID`, `reddit:t3_ID`, `telegram:CHAT:MESSAGE`
    pub id: String,
    pub submission: bool,
    pub tombstone: bool,
    /// Reddit: (seconds or seq, null); Telegram: (edit_date or date, update_id).
    pub version: (Option<i64>, Option<i64>),
    pub conversation: String,
    /// Null in a deletion that names none, and in promoted submissions (no `subreddit`).
    pub community: Option<String>,
    pub user: Option<String>,
    pub parent: Option<String>,
    /// Null only in tombstones.
    pub created_at: Option<i64>,
    pub edited_at: Option<i64>,
    pub edited: bool,
    pub score: Option<i64>,
    pub text: Option<String>,
    pub user_name: Option<String>,
    pub community_name: Option<String>,
}

impl Message {
    pub fn live(&self) -> bool {
        !self.tombstone
    }
    /// Time of a live message.
    pub fn at(&self) -> i64 {
        self.created_at.expect("a message that is no tombstone has its time")
    }
    pub fn characters(&self) -> u64 {
        self.text.as_deref().unwrap_or("").chars().count() as u64
    }
}

const RECORD_BYTES_MAX: usize = 16 << 20;
const NESTED_MAX: usize = 256;
/// Documents (nested listings) may nest deeper than a record. OPEN: how deep; more is one dead letter.
const DOCUMENT_NESTED_MAX: usize = 2_000;
const DAY: i64 = 86_400;

/// What a record says about itself beyond its bytes.
#[derive(Clone, Copy)]
pub struct Context {
    pub now: i64,
    pub received_at_ms: Option<i64>,
}

/// All records in one line, or in one document. Blank: none.
pub fn records(bytes: &[u8], context: Context) -> Vec<Outcome> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return vec![];
    }
    match nesting_of_bytes(bytes) {
        0..100 => parse_and_read(bytes, context),
        // All of it recurses: on a stack that is large enough.
        100..=DOCUMENT_NESTED_MAX => std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(256 << 20)
                .spawn_scoped(scope, || parse_and_read(bytes, context))
                .expect("a thread")
                .join()
                .expect("no panic")
        }),
        _ => vec![Outcome::Dead("depth")],
    }
}

fn parse_and_read(bytes: &[u8], context: Context) -> Vec<Outcome> {
    let mut reader = Deserializer::from_slice(bytes);
    reader.disable_recursion_limit();
    // One value and nothing after it.
    let mut values = reader.into_iter::<Value>();
    let (first, second) = (values.next(), values.next());
    // OPEN: a lone surrogate (`"\ud83d"`), bytes that are not UTF-8 and numbers beyond f64 are not JSON here.
    let (Some(Ok(value)), None) = (first, second) else {
        return vec![Outcome::Dead("json")];
    };
    match unpack(&value) {
        Some(things) => things.into_iter().map(|thing| read(thing, context)).collect(),
        None if bytes.len() > RECORD_BYTES_MAX => vec![Outcome::Dead("bytes")],
        None => vec![read(Thing::Bare(&value), context)],
    }
}

/// One record, still as JSON, with what the document around it tells about it.
enum Thing<'a> {
    /// An object (or whatever it is) that stands for itself.
    Bare(&'a Value),
    /// A thing of a Reddit listing.
    Reddit(&'a str, &'a Value),
    /// A message of a Telegram Desktop export, and its chat.
    Desktop(&'a Value, &'a Map<String, Value>),
}

/// The records of a document that holds several, or None where the value is one record itself.
fn unpack(value: &Value) -> Option<Vec<Thing<'_>>> {
    if let Value::Object(o) = value {
        // An unwrapped record comes first: its own fields might look like anything.
        let bare =
            o.contains_key("update_id") || o.contains_key("body") || o.contains_key("title") || o.get("op").is_some_and(|op| op == "d");
        if bare {
            return None;
        }
        if let Some(things) = desktop_messages(o) {
            return Some(things);
        }
        // The answer of getUpdates.
        if let (Some(_), Some(Value::Array(updates))) = (o.get("ok"), o.get("result")) {
            return Some(updates.iter().map(Thing::Bare).collect());
        }
    }
    let mut things = vec![];
    let listing = walk_listing(value, &mut things);
    (listing || !things.is_empty()).then_some(things)
}

/// Every t1, t3, t4, t5 and more, to any depth. True where there was a Listing (it may be empty).
fn walk_listing<'a>(value: &'a Value, things: &mut Vec<Thing<'a>>) -> bool {
    match value {
        Value::Array(a) => {
            let mut seen = false;
            for v in a {
                seen |= walk_listing(v, things);
            }
            seen
        }
        Value::Object(o) => {
            let mut seen = false;
            if let (Some(Value::String(kind)), Some(data @ Value::Object(_))) = (o.get("kind"), o.get("data")) {
                seen = kind == "Listing";
                if ["t1", "t3", "t4", "t5", "more"].contains(&kind.as_str()) {
                    things.push(Thing::Reddit(kind, data));
                }
            }
            for (name, v) in o {
                if name != "crosspost_parent_list" {
                    seen |= walk_listing(v, things);
                }
            }
            seen
        }
        _ => false,
    }
}

/// `result.json` of one chat, or of a whole account (`chats.list`, `left_chats.list`).
fn desktop_messages(o: &Map<String, Value>) -> Option<Vec<Thing<'_>>> {
    fn of_chat(chat: &Value) -> Option<Vec<Thing<'_>>> {
        let chat = chat.as_object()?;
        let messages = chat.get("messages")?.as_array()?;
        Some(messages.iter().map(|m| Thing::Desktop(m, chat)).collect())
    }
    if let Some(Value::Array(messages)) = o.get("messages")
        && o.contains_key("type")
        && o.contains_key("id")
    {
        return Some(messages.iter().map(|m| Thing::Desktop(m, o)).collect());
    }
    let lists: Vec<&Vec<Value>> = ["chats", "left_chats"].iter().filter_map(|name| o.get(*name)?.get("list")?.as_array()).collect();
    (!lists.is_empty()).then(|| lists.into_iter().flatten().filter_map(of_chat).flatten().collect())
}

fn read(thing: Thing, context: Context) -> Outcome {
    let (value, skip_replies) = match &thing {
        Thing::Bare(v) | Thing::Desktop(v, _) => (*v, false),
        Thing::Reddit(_, v) => (*v, true),
    };
    // Counted from the record's own braces = 1.
    if nesting_of(value, skip_replies) > NESTED_MAX {
        return Outcome::Dead("depth");
    }
    let Value::Object(o) = value else {
        return Outcome::Dead("shape");
    };
    match thing {
        Thing::Reddit("t1", _) => reddit(o, Reddit::Comment, context),
        Thing::Reddit("t3", _) => reddit(o, Reddit::Submission, context),
        Thing::Reddit(kind, _) => Outcome::Ignored(format!("kind:{kind}")),
        Thing::Desktop(_, chat) => desktop(o, chat, context),
        Thing::Bare(_) if o.contains_key("update_id") => telegram(o, context),
        Thing::Bare(_) if o.get("op").is_some_and(|op| op == "d") => reddit(o, Reddit::Deletion, context),
        Thing::Bare(_) if o.contains_key("body") => reddit(o, Reddit::Comment, context),
        Thing::Bare(_) if o.contains_key("title") => reddit(o, Reddit::Submission, context),
        Thing::Bare(_) => Outcome::Dead("shape"),
    }
}

// ---------------------------------------------------------------- Reddit

#[derive(PartialEq, Clone, Copy)]
enum Reddit {
    Comment,
    Submission,
    Deletion,
}

fn reddit(o: &Map<String, Value>, what: Reddit, context: Context) -> Outcome {
    // `id` comes with or without its prefix; a deletion without is of a comment. Only the one prefix is
    // taken off, so `A_b` stays `A_b`.
    let Some(id) = string(o, "id") else {
        return Outcome::Dead("id");
    };
    let (submission, bare_id) = match (what, id.split_once('_')) {
        (Reddit::Deletion, Some(("t3", rest))) => (true, rest),
        (Reddit::Deletion | Reddit::Comment, Some(("t1", rest))) => (false, rest),
        (Reddit::Submission, Some(("t3", rest))) => (true, rest),
        _ => (what == Reddit::Submission, id),
    };
    if bare_id.is_empty() {
        return Outcome::Dead("id");
    }
    let id = format!("reddit:{}_{bare_id}", if submission { "t3" } else { "t1" });

    // A submission, or its deletion, is its own conversation (OPEN: also without `link_id`).
    let conversation = if submission {
        id.clone()
    } else {
        // OPEN: `link_id` is taken with or without its prefix.
        match string(o, "link_id").map(|link| link.strip_prefix("t3_").unwrap_or(link)) {
            Some(link) if !link.is_empty() => format!("reddit:t3_{link}"),
            _ => return Outcome::Ignored("no_conversation".into()),
        }
    };

    let (text, tombstone);
    if what == Reddit::Deletion {
        text = string(o, "body").map(str::to_owned); // it hardly ever has one
        tombstone = true;
    } else if submission {
        let selftext = string(o, "selftext");
        let title = string(o, "title").unwrap_or("");
        text = Some(match selftext {
            Some(selftext) => format!("{title}\n{selftext}"),
            None => title.to_owned(),
        });
        tombstone = matches!(selftext, Some("[deleted]" | "[removed]"));
    } else {
        text = o.get("body").and_then(Value::as_str).map(str::to_owned);
        tombstone = matches!(text.as_deref(), Some("[deleted]" | "[removed]"));
    }

    let created_at = o.get("created_utc").and_then(seconds);
    if created_at.is_none() && !tombstone {
        return Outcome::Dead("time");
    }
    if created_at.is_some_and(|t| t.saturating_sub(context.now) > DAY) {
        return Outcome::Dead("future");
    }

    let edited_at = o.get("edited").and_then(number);
    let edited = edited_at.is_some() || o.get("edited") == Some(&Value::Bool(true)) || o.get("op").is_some_and(|op| op == "u");

    let name = string(o, "author").filter(|name| *name != "[deleted]");
    let subreddit = string(o, "subreddit");
    // OPEN: a parent that says neither t1_ nor t3_ is none.
    let parent = match string(o, "parent_id") {
        Some(p) if !submission && (p.starts_with("t1_") || p.starts_with("t3_")) => Some(format!("reddit:{p}")),
        _ => None,
    };
    Outcome::Held(Message {
        id,
        submission,
        tombstone,
        version: (reddit_version(o, created_at, edited_at, context), None),
        conversation,
        community: subreddit.map(|s| format!("reddit:{s}")),
        user: name.map(|n| format!("reddit:{n}")),
        parent,
        created_at,
        edited_at,
        edited,
        score: o.get("score").and_then(number),
        text,
        user_name: name.map(str::to_owned),
        community_name: subreddit.map(str::to_owned),
    })
}

fn reddit_version(o: &Map<String, Value>, created_at: Option<i64>, edited_at: Option<i64>, context: Context) -> Option<i64> {
    if let Some(seq) = seq(o) {
        return Some(seq);
    }
    let retrieved = [o.get("_meta").and_then(|meta| meta.get("retrieved_2nd_on")), o.get("retrieved_utc"), o.get("retrieved_on")]
        .into_iter()
        .flatten()
        .filter_map(seconds)
        .max();
    // OPEN: the header's milliseconds count as whole seconds.
    let received = context.received_at_ms.map(|ms| ms.div_euclid(1_000));
    retrieved.or(received).max(edited_at).max(created_at)
}

/// `seq` where it is a JSON integer (5.0 and "5" are not).
fn seq(o: &Map<String, Value>) -> Option<i64> {
    o.get("seq").and_then(Value::as_i64)
}

// ---------------------------------------------------------------- Telegram

/// Kinds of updates that carry no message of ours (Bot API 10.1).
const OTHER_UPDATES: &[&str] = &[
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "guest_message",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
    "managed_bot",
];

/// What a person sends. OPEN: checklist, rich_message, invoice, giveaway are not in the contract's list.
const CONTENT: &[&str] = &[
    "text",
    "caption",
    "animation",
    "audio",
    "document",
    "live_photo",
    "paid_media",
    "photo",
    "sticker",
    "video",
    "video_note",
    "voice",
    "poll",
    "location",
    "contact",
    "dice",
    "story",
    "game",
    "venue",
];

fn telegram(update: &Map<String, Value>, context: Context) -> Outcome {
    let ours = ["message", "edited_message", "channel_post", "edited_channel_post"];
    let Some(m) = ours.iter().find_map(|kind| update.get(*kind)?.as_object()) else {
        return match OTHER_UPDATES.iter().find(|kind| update.contains_key(**kind)) {
            Some(kind) => Outcome::Ignored(format!("kind:{kind}")),
            // OPEN: an update of a kind that nobody knows (yet).
            None => Outcome::Dead("shape"),
        };
    };
    let chat = m.get("chat").and_then(Value::as_object);
    let (Some(chat), Some(chat_id), Some(message_id), Some(date)) =
        (chat, chat.and_then(|c| integer(c, "id")), integer(m, "message_id"), integer(m, "date"))
    else {
        return Outcome::Dead("shape");
    };
    if date == 0 {
        return Outcome::Ignored("date_0".into());
    }
    if !CONTENT.iter().any(|name| present(m, name)) {
        return Outcome::Ignored("service".into());
    }
    if date.saturating_sub(context.now) > DAY {
        return Outcome::Dead("future");
    }

    let sender = ["sender_chat", "from"].iter().find_map(|name| m.get(*name)?.as_object());
    // The reply that every message of a topic has, to the message that made the topic, is no parent.
    let parent = m
        .get("reply_to_message")
        .and_then(Value::as_object)
        .filter(|to| !present(to, "forum_topic_created"))
        .and_then(|to| integer(to, "message_id"));
    let in_topic = m.get("is_topic_message") == Some(&Value::Bool(true));
    let topic = integer(m, "message_thread_id").filter(|_| in_topic).unwrap_or(0);
    let edit_date = integer(m, "edit_date");
    let version = match seq(update) {
        Some(seq) => (Some(seq), None),
        None => (Some(edit_date.unwrap_or(date)), integer(update, "update_id")),
    };
    Outcome::Held(Message {
        id: format!("telegram:{chat_id}:{message_id}"),
        submission: false,
        tombstone: false,
        version,
        conversation: format!("telegram:{chat_id}.{topic}"),
        community: Some(format!("telegram:{chat_id}")),
        user: sender.and_then(|s| integer(s, "id")).map(|id| format!("telegram:{id}")),
        parent: parent.map(|id| format!("telegram:{chat_id}:{id}")),
        created_at: Some(date),
        edited_at: edit_date,
        edited: edit_date.is_some(),
        score: None,
        text: string(m, "text").or(string(m, "caption")).map(str::to_owned),
        user_name: sender.and_then(sender_name),
        community_name: string(chat, "title").map(str::to_owned),
    })
}

/// @username, else first and last name (OPEN: of a `sender_chat`, which has no such names, its title).
fn sender_name(sender: &Map<String, Value>) -> Option<String> {
    if let Some(username) = string(sender, "username") {
        return Some(format!("@{username}"));
    }
    match (string(sender, "first_name"), string(sender, "last_name")) {
        (Some(first), Some(last)) => Some(format!("{first} {last}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => string(sender, "title").map(str::to_owned),
    }
}

/// A message of a Telegram Desktop export.
fn desktop(m: &Map<String, Value>, chat: &Map<String, Value>, context: Context) -> Outcome {
    if string(m, "type") != Some("message") {
        return Outcome::Ignored("service".into());
    }
    let (Some(message_id), Some(number)) = (integer(m, "id"), integer(chat, "id")) else {
        return Outcome::Dead("shape");
    };
    let chat_type = string(chat, "type").unwrap_or("");
    // OPEN: personal, bot and saved chats: the number as it is. `-100ID` is written as text, as it stands
    // in the contract (for the ten-digit IDs of real chats that is also Telegram's arithmetic).
    let chat_id = if chat_type.ends_with("supergroup") || chat_type.ends_with("channel") {
        format!("-100{number}")
    } else if chat_type.ends_with("group") {
        format!("-{number}")
    } else {
        number.to_string()
    };
    let text = match m.get("text") {
        Some(Value::String(s)) => s.clone(),
        // A list of plain strings and of {"type", "text"}.
        Some(Value::Array(parts)) => parts.iter().map(|part| part.as_str().or(part["text"].as_str()).unwrap_or("")).collect(),
        _ => String::new(),
    };
    let media = ["photo", "file", "media_type", "poll", "location_information", "contact_information", "game_title", "dice"];
    if text.is_empty() && !media.iter().any(|name| present(m, name)) {
        return Outcome::Ignored("service".into());
    }
    let Some(date) = m.get("date_unixtime").and_then(seconds) else {
        return Outcome::Dead("no_utc_time");
    };
    if date == 0 {
        return Outcome::Ignored("date_0".into());
    }
    if date.saturating_sub(context.now) > DAY {
        return Outcome::Dead("future");
    }
    let edit_date = m.get("edited_unixtime").and_then(seconds);
    let from = string(m, "from_id");
    let user = from.and_then(|from| {
        if let Some(n) = from.strip_prefix("user") { Some(n.to_owned()) } else { from.strip_prefix("channel").map(|n| format!("-100{n}")) }
    });
    // OPEN: `reply_to_peer_id` says that the answer is to a message of another chat: like external_reply.
    let parent = integer(m, "reply_to_message_id").filter(|_| !present(m, "reply_to_peer_id"));
    Outcome::Held(Message {
        id: format!("telegram:{chat_id}:{message_id}"),
        submission: false,
        tombstone: false,
        // No update_id: null, so at equal times the record with one wins.
        version: (Some(edit_date.unwrap_or(date)), None),
        conversation: format!("telegram:{chat_id}.0"),
        community: Some(format!("telegram:{chat_id}")),
        user: user.map(|n| format!("telegram:{n}")),
        parent: parent.map(|id| format!("telegram:{chat_id}:{id}")),
        created_at: Some(date),
        edited_at: edit_date,
        edited: edit_date.is_some(),
        score: None,
        text: (!text.is_empty()).then_some(text),
        user_name: string(m, "from").map(str::to_owned),
        community_name: string(chat, "name").map(str::to_owned),
    })
}

// ---------------------------------------------------------------- fields

/// A string that is there and not empty.
fn string<'a>(o: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    o.get(name)?.as_str().filter(|s| !s.is_empty())
}

fn integer(o: &Map<String, Value>, name: &str) -> Option<i64> {
    o.get(name)?.as_i64()
}

fn present(o: &Map<String, Value>, name: &str) -> bool {
    o.get(name).is_some_and(|v| !v.is_null())
}

/// A JSON number as whole, fractions cut.
fn number(v: &Value) -> Option<i64> {
    let n = v.as_number()?;
    n.as_i64().or_else(|| n.as_f64().map(|f| f.trunc() as i64))
}

/// A number, or a string of one.
fn seconds(v: &Value) -> Option<i64> {
    let Some(s) = v.as_str() else {
        return number(v);
    };
    s.parse::<i64>().ok().or_else(|| {
        let f = s.parse::<f64>().ok().filter(|f| f.is_finite())?;
        Some(f.trunc() as i64)
    })
}

/// Braces and brackets around each other, outside strings, without parsing.
fn nesting_of_bytes(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for &b in bytes {
        if in_string {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match b {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The same of a parsed value; the answers below a listing's comment are records of their own.
fn nesting_of(value: &Value, skip_replies: bool) -> usize {
    match value {
        Value::Array(a) => 1 + a.iter().map(|v| nesting_of(v, false)).max().unwrap_or(0),
        Value::Object(o) => {
            1 + o.iter().filter(|(name, _)| !(skip_replies && *name == "replies")).map(|(_, v)| nesting_of(v, false)).max().unwrap_or(0)
        }
        _ => 0,
    }
}
