//! The shapes that the platforms emit: Reddit's objects in change form, Telegram's updates.

use std::fmt::Write;

use super::fact::{EDITED, Fact, RENAMED, SCORED};
use super::world::{Kind, NONE, World};

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// How a Reddit message ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// A change record `d`: names neither user nor community.
    Deletion,
    /// By its author: `[deleted]` for both.
    Deleted,
    /// By a moderator: the body is gone, the author stays.
    Removed,
}

/// A submission or comment in change form. `text` of a submission is its title, a line feed and its selftext.
pub fn reddit(world: &World, fact: &Fact, seq: u64, text: &str, edited_flag: bool) -> Vec<u8> {
    let submission = fact.message == fact.conversation;
    let name = world.fullname(fact.message, submission);
    let community = world.community(fact.community);
    let author = if fact.user == NONE { "[deleted]".to_string() } else { world.user_key(fact.user)["reddit:".len()..].to_string() };
    let op = if fact.is(EDITED) { 'u' } else { 'c' };
    let mut out = String::with_capacity(text.len() + 320);
    let _ = write!(out, "{{\"op\":\"{op}\",\"seq\":{seq},\"id\":\"{}\",\"name\":\"{name}\",\"author\":\"{author}\"", &name[3..]);
    let _ = write!(out, ",\"subreddit\":\"{}\",\"created_utc\":{}.0", community.title, fact.created_at);
    match (fact.edited_at, edited_flag) {
        (0, flag) => _ = write!(out, ",\"edited\":{flag}"),
        (at, _) => _ = write!(out, ",\"edited\":{at}.0"),
    }
    if fact.is(SCORED) {
        let _ = write!(out, ",\"score\":{}", fact.score);
    }
    if submission {
        let (title, selftext) = text.split_once('\n').unwrap_or((text, ""));
        let _ = write!(out, ",\"title\":{},\"selftext\":{},\"is_self\":true}}", quoted(title), quoted(selftext));
    } else {
        let link = world.fullname(fact.conversation, true);
        let parent = if fact.parent == fact.conversation { link.clone() } else { world.fullname(fact.parent, false) };
        let _ = write!(out, ",\"link_id\":\"{link}\",\"parent_id\":\"{parent}\",\"body\":{}}}", quoted(text));
    }
    out.into_bytes()
}

/// A deletion in change form.
pub fn deletion(world: &World, fact: &Fact, seq: u64) -> Vec<u8> {
    let id = world.fullname(fact.message, fact.message == fact.conversation);
    format!("{{\"op\":\"d\",\"seq\":{seq},\"id\":\"{id}\",\"link_id\":\"{}\"}}", world.fullname(fact.conversation, true)).into_bytes()
}

fn person(world: &World, user: u32, renamed: bool, out: &mut String) {
    let (username, first, last) = world.telegram_names(user, renamed);
    let _ = write!(out, "{{\"id\":{},\"is_bot\":{},\"first_name\":{}", world.user_id(user), World::is_bot(user), quoted(first));
    if let Some(last) = last {
        let _ = write!(out, ",\"last_name\":{}", quoted(last));
    }
    if let Some(username) = username {
        let _ = write!(out, ",\"username\":{}", quoted(&username));
    }
    out.push('}');
}

/// How a Telegram message carries its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    Text,
    /// A photo with a caption.
    Photo,
    /// No text at all.
    Sticker,
}

/// An update with a message or an edited message.
pub fn telegram(world: &World, fact: &Fact, update_id: u64, text: &str, carrier: Carrier, parent_user: u32) -> Vec<u8> {
    let community = world.community(fact.community);
    let Kind::Chat { id: chat, topics } = &community.kind else { unreachable!("a chat") };
    let topic = world.topic_of(fact.conversation).map_or(0, |(_, topic)| topic);
    let mut out = String::with_capacity(text.len() + 512);
    let kind = if fact.is(EDITED) { "edited_message" } else { "message" };
    let _ = write!(out, "{{\"update_id\":{update_id},\"{kind}\":{{\"message_id\":{},\"from\":", world.message_id(fact.message));
    person(world, fact.user, fact.is(RENAMED), &mut out);
    let forum = if topics.len() > 1 { ",\"is_forum\":true" } else { "" };
    let place = format!("\"chat\":{{\"id\":{chat},\"title\":{},\"type\":\"supergroup\"{forum}}}", quoted(&community.title));
    let _ = write!(out, ",{place},\"date\":{}", fact.created_at);
    if fact.edited_at != 0 {
        let _ = write!(out, ",\"edit_date\":{}", fact.edited_at);
    }
    if topic != 0 {
        let _ = write!(out, ",\"message_thread_id\":{topic},\"is_topic_message\":true");
    }
    if fact.parent != NONE {
        // The message inside is no record: what it says here does not matter.
        let _ = write!(out, ",\"reply_to_message\":{{\"message_id\":{},\"from\":", world.message_id(fact.parent));
        person(world, parent_user, false, &mut out);
        let _ = write!(out, ",{place},\"date\":{},\"text\":\"...\"}}", fact.created_at);
    } else if topic != 0 {
        let _ = write!(out, ",\"reply_to_message\":{{\"message_id\":{topic},{place},\"date\":1700000000,\"message_thread_id\":{topic}");
        let _ = write!(out, ",\"forum_topic_created\":{{\"name\":\"topic {topic}\",\"icon_color\":7322096}},\"is_topic_message\":true}}");
    }
    match carrier {
        Carrier::Text => _ = write!(out, ",\"text\":{}}}}}", quoted(text)),
        Carrier::Photo => {
            let _ =
                write!(out, ",\"photo\":[{{\"file_id\":\"p{0}\",\"file_unique_id\":\"u{0}\",\"width\":90,\"height\":67}}]", fact.message);
            let _ = write!(out, ",\"caption\":{}}}}}", quoted(text));
        }
        Carrier::Sticker => {
            let _ = write!(out, ",\"sticker\":{{\"file_id\":\"s{0}\",\"file_unique_id\":\"u{0}\",\"type\":\"regular\",", fact.message);
            out.push_str("\"width\":512,\"height\":512,\"is_animated\":false,\"is_video\":false,\"emoji\":\"👍\"}}}");
        }
    }
    out.into_bytes()
}

/// An update that holds nothing a person says: someone joined.
pub fn joined(world: &World, community: u8, message: u32, user: u32, update_id: u64, at: u32) -> Vec<u8> {
    let place = world.community(community);
    let Kind::Chat { id, .. } = &place.kind else { unreachable!("a chat") };
    let mut who = String::new();
    person(world, user, false, &mut who);
    format!(
        "{{\"update_id\":{update_id},\"message\":{{\"message_id\":{},\"from\":{who},\"chat\":{{\"id\":{id},\"title\":{},\"type\":\"supergroup\"}},\
         \"date\":{at},\"new_chat_members\":[{who}]}}}}",
        world.message_id(message),
        quoted(&place.title)
    )
    .into_bytes()
}
