//! Reddit's objects: dumps, change streams, API listings.

use std::mem;

use super::text::{self, Text, asks, characters, is_ended, text_hash, title_and_selftext};
use super::value::Value;
use super::{Context, Parser, Read, Rejected};
use crate::{MessageId, Version};

/// The fields that are read, of comments, submissions and deletions alike.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub op: Value<'a>,
    pub seq: Value<'a>,
    pub id: Value<'a>,
    pub link_id: Value<'a>,
    pub parent_id: Value<'a>,
    pub author: Value<'a>,
    pub subreddit: Value<'a>,
    pub body: Value<'a>,
    pub title: Value<'a>,
    pub selftext: Value<'a>,
    pub score: Value<'a>,
    pub edited: Value<'a>,
    pub created_utc: Value<'a>,
    pub retrieved_on: Value<'a>,
    pub retrieved_utc: Value<'a>,
    /// Of `_meta`, where that is an object.
    pub retrieved_2nd_on: Value<'a>,
}

impl<'a> Fields<'a> {
    /// The field that an entry of the record itself fills.
    pub fn field(&mut self, key: &str) -> Option<&mut Value<'a>> {
        Some(match key {
            "op" => &mut self.op,
            "seq" => &mut self.seq,
            "id" => &mut self.id,
            "link_id" => &mut self.link_id,
            "parent_id" => &mut self.parent_id,
            "author" => &mut self.author,
            "subreddit" => &mut self.subreddit,
            "body" => &mut self.body,
            "title" => &mut self.title,
            "selftext" => &mut self.selftext,
            "score" => &mut self.score,
            "edited" => &mut self.edited,
            "created_utc" => &mut self.created_utc,
            "retrieved_on" => &mut self.retrieved_on,
            "retrieved_utc" => &mut self.retrieved_utc,
            _ => return None,
        })
    }
}

/// What an object is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Thing {
    Comment,
    Submission,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    None,
    Create,
    Update,
    Delete,
}

/// What an object says, checked: everything that could make it no version has been looked at.
struct Checked<'b> {
    thing: Thing,
    id: &'b str,
    /// A comment's only.
    link: &'b str,
    parent: Option<&'b str>,
    author: Option<&'b str>,
    subreddit: Option<&'b str>,
    score: Option<i64>,
    created_at: Option<i64>,
    edited_at: Option<i64>,
    version: i64,
    ended: bool,
    edited: bool,
}

/// Reads one object; `thing` is known where it came in a listing.
pub(super) fn read<'a>(thing: Option<Thing>, fields: &mut Fields<'a>, context: &Context, parser: &mut Parser) -> Read<'a> {
    let (checked, text) = check(thing, fields, context, &mut parser.text)?;
    let (id, conversation) = match checked.thing {
        Thing::Submission => (MessageId::submission(checked.id), MessageId::submission(checked.id)),
        Thing::Comment => (MessageId::comment(checked.id), MessageId::submission(checked.link)),
    };
    [checked.subreddit, checked.author].into_iter().flatten().for_each(|name| parser.known.fetch(name));
    let words = text.as_ref().map(|text| text.get(&parser.text));
    // (Meanwhile the names' memory comes.)
    let (characters, text_hash, asks) = (words.map_or(0, characters), words.map(text_hash), words.is_some_and(asks));
    let community = checked.subreddit.map(|name| parser.known.name(name));
    let user = checked.author.map(|name| parser.known.name(name));
    let version = Version {
        id,
        conversation,
        parent: checked.parent.map(MessageId::fullname),
        community,
        user,
        user_name: None,
        community_name: None,
        created_at: checked.created_at,
        edited_at: checked.edited_at,
        score: checked.score,
        version: checked.version,
        update_id: None,
        characters,
        text_hash,
        place: context.place,
        tombstone: checked.ended,
        edited: checked.edited,
        bot: checked.author.is_some_and(|author| parser.is_bot(author)),
        asks,
    };
    Ok((version, text))
}

/// The text of one object that [`read`] would make a version of, without making it.
pub(super) fn read_text<'a>(
    thing: Option<Thing>,
    fields: &mut Fields<'a>,
    context: &Context,
    scratch: &mut String,
) -> Result<Option<Text<'a>>, Rejected> {
    check(thing, fields, context, scratch).map(|(_, text)| text)
}

#[inline(always)]
fn check<'a, 'b>(
    thing: Option<Thing>,
    fields: &'b mut Fields<'a>,
    context: &Context,
    scratch: &mut String,
) -> Result<(Checked<'b>, Option<Text<'a>>), Rejected> {
    let op = op(&fields.op)?;
    let thing = match thing {
        Some(thing) => thing,
        None => shape(op, fields)?,
    };
    let (body, title, selftext) = (mem::take(&mut fields.body), mem::take(&mut fields.title), mem::take(&mut fields.selftext));
    let fields = &*fields;
    let id = id(thing, &fields.id)?;
    let seq = match fields.seq {
        Value::Missing => None,
        Value::Int(seq) => Some(seq),
        _ => return Err(Rejected::Dead("seq")),
    };
    let score = fields.score.int("score")?;
    let created_at = fields.created_utc.created("created_utc", context)?;
    let edited_at = edited_at(&fields.edited)?;
    let latest = latest(fields, created_at, edited_at, context)?;
    let author = fields.author.string("author")?.filter(|author| *author != "[deleted]");
    let subreddit = fields.subreddit.string("subreddit")?;
    let parent = fields.parent_id.string("parent_id")?.filter(|_| thing == Thing::Comment);
    let link = link(&fields.link_id)?;

    let (text, ended) = match (op, thing) {
        (Op::Delete, _) => (None, true),
        (_, Thing::Comment) => {
            let text = text::body(body, scratch)?;
            let ended = is_ended(text.get(scratch));
            (Some(text), ended)
        }
        (_, Thing::Submission) => {
            let (text, ended) = title_and_selftext(title, selftext, scratch)?;
            (Some(text), ended)
        }
    };
    if created_at.is_none() && !ended {
        return Err(Rejected::Dead("created_utc"));
    }
    let version = seq.or(latest).ok_or(Rejected::Dead("no_version"))?;
    let link = match (thing, link) {
        (Thing::Comment, None) => return Err(Rejected::Ignored("no_conversation")),
        (_, link) => link.unwrap_or_default(),
    };
    let edited = op == Op::Update || edited_at.is_some() || fields.edited == Value::Bool(true);
    let checked = Checked { thing, id, link, parent, author, subreddit, score, created_at, edited_at, version, ended, edited };
    Ok((checked, text))
}

fn op(op: &Value<'_>) -> Result<Op, Rejected> {
    match op {
        Value::Missing | Value::Null => Ok(Op::None),
        op => match op.string("op")? {
            Some("c") => Ok(Op::Create),
            Some("u") => Ok(Op::Update),
            Some("d") => Ok(Op::Delete),
            // What stands where a record of a forgotten user stood.
            Some("forgotten") => Err(Rejected::Ignored("forgotten")),
            _ => Err(Rejected::Dead("op")),
        },
    }
}

/// What an object out of a listing is of. A deletion says so in its id, or is of a comment.
fn shape(op: Op, fields: &Fields<'_>) -> Result<Thing, Rejected> {
    if op == Op::Delete {
        let id = fields.id.string("id")?;
        return Ok(if id.is_some_and(|id| id.starts_with("t3_")) { Thing::Submission } else { Thing::Comment });
    }
    match (&fields.body, &fields.title) {
        (Value::Missing | Value::Null, Value::Missing | Value::Null) => {
            Err(Rejected::Dead(if fields.body == Value::Null { "body" } else { "shape" }))
        }
        (Value::Missing | Value::Null, _) => Ok(Thing::Submission),
        _ => Ok(Thing::Comment),
    }
}

/// The id without its `t1_` or `t3_`.
fn id<'b>(thing: Thing, id: &'b Value<'_>) -> Result<&'b str, Rejected> {
    let Some(id) = id.string("id")? else { return Err(Rejected::Dead("no_id")) };
    let prefix = if thing == Thing::Comment { "t1_" } else { "t3_" };
    match bare(id, prefix) {
        Some("") => Err(Rejected::Dead("no_id")),
        Some(id) => Ok(id),
        None => Err(Rejected::Dead("id")),
    }
}

/// The submission that a comment is under, without its `t3_`.
fn link<'b>(link: &'b Value<'_>) -> Result<Option<&'b str>, Rejected> {
    match link.string("link_id")?.map(|link| bare(link, "t3_")) {
        None => Ok(None),
        Some(Some(link)) if !link.is_empty() => Ok(Some(link)),
        Some(_) => Err(Rejected::Dead("link_id")),
    }
}

/// Strips `prefix` where it is there. `None`: it has the prefix of something else.
fn bare<'b>(id: &'b str, prefix: &str) -> Option<&'b str> {
    if let Some(bare) = id.strip_prefix(prefix) {
        return Some(bare);
    }
    match id.as_bytes() {
        [b't', b'0'..=b'9', b'_', ..] => None,
        _ => Some(id),
    }
}

/// The time of the edit, where there is one: `edited` is false, true, or seconds.
fn edited_at(edited: &Value<'_>) -> Result<Option<i64>, Rejected> {
    match edited {
        Value::Missing | Value::Null | Value::Bool(_) => Ok(None),
        Value::Int(_) | Value::Float(_) => edited.time("edited"),
        _ => Err(Rejected::Dead("edited")),
    }
}

/// The latest time that the record names; when it was received counts only where nothing says when it was retrieved.
fn latest(fields: &Fields<'_>, created: Option<i64>, edited: Option<i64>, context: &Context) -> Result<Option<i64>, Rejected> {
    let retrieved = fields.retrieved_on.time("retrieved_on")?;
    let retrieved = retrieved.max(fields.retrieved_utc.time("retrieved_utc")?);
    let retrieved = retrieved.max(fields.retrieved_2nd_on.time("retrieved_2nd_on")?);
    let received = context.received_at_ms.map(|ms| ms.div_euclid(1000));
    Ok(retrieved.or(received).max(edited).max(created))
}
