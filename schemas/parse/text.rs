//! Texts: put together, unescaped, counted, hashed.

use std::borrow::Cow;

use super::Rejected;
use super::value::Value;

/// Hash of a text's bytes, equal in every process of one version of eddy.
pub fn text_hash(text: &str) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(0x74_65_78_74).build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Unicode scalar values of a text. (Most are ASCII, and asking is cheaper than counting.)
pub(super) fn characters(text: &str) -> u32 {
    let characters = if text.is_ascii() { text.len() } else { text.chars().count() };
    u32::try_from(characters).unwrap_or(u32::MAX)
}

/// Whether a text asks: a question mark (also the full-width and the Arabic one) before white space, a closing quote or bracket, or the
/// end. The last byte of each of the latter two is the same, so one pass finds all three.
pub(super) fn asks(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'?', LAST_BYTE, bytes).any(|at| {
        let is_mark = bytes[at] == b'?' || ["\u{ff1f}", "\u{61f}"].iter().any(|mark| bytes[..=at].ends_with(mark.as_bytes()));
        is_mark && text[at + 1..].chars().next().is_none_or(|next| next.is_whitespace() || closes(next))
    })
}

/// Of `\u{ff1f}` and `\u{61f}`.
const LAST_BYTE: u8 = 0x9f;

/// Closing quotes and brackets: the straight quotes, and what Unicode calls final quotes and closing punctuation in common use.
fn closes(character: char) -> bool {
    matches!(character, '"' | '\'' | ')' | ']' | '}')
        || matches!(character, '\u{2019}' | '\u{201d}' | '\u{203a}' | '\u{bb}' | '\u{ff02}' | '\u{ff07}')
        || matches!(
            character,
            '\u{3009}' | '\u{300b}' | '\u{300d}' | '\u{300f}' | '\u{3011}' | '\u{3015}' | '\u{3017}' | '\u{3019}' | '\u{301b}'
        )
        || matches!(character, '\u{ff09}' | '\u{ff3d}' | '\u{ff5d}' | '\u{ff63}' | '\u{27e9}' | '\u{27eb}' | '\u{232a}')
}

/// Where a version's text is.
pub(super) enum Text<'a> {
    /// In the record, as it stands.
    Line(&'a str),
    /// In [`Parser::text`].
    Scratch,
    Owned(String),
}

impl<'a> Text<'a> {
    pub fn into_cow(self, scratch: &'a str) -> Cow<'a, str> {
        match self {
            Text::Line(text) => Cow::Borrowed(text),
            Text::Scratch => Cow::Borrowed(scratch),
            Text::Owned(text) => Cow::Owned(text),
        }
    }

    pub fn get<'b>(&'b self, scratch: &'b str) -> &'b str {
        match self {
            Text::Line(text) => text,
            Text::Scratch => scratch,
            Text::Owned(text) => text,
        }
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Text<'a> {
        match text {
            Cow::Borrowed(text) => Text::Line(text),
            Cow::Owned(text) => Text::Owned(text),
        }
    }
}

/// A text that ends its message.
pub(super) fn is_ended(text: &str) -> bool {
    matches!(text, "[deleted]" | "[removed]")
}

/// A comment's text.
pub(super) fn body<'a>(body: Value<'a>, scratch: &mut String) -> Result<Text<'a>, Rejected> {
    match body {
        Value::Text(text) => Ok(Text::Line(text)),
        Value::Owned(text) => Ok(Text::Owned(text)),
        Value::Raw(raw) => {
            scratch.clear();
            unescape(raw, scratch)?;
            Ok(Text::Scratch)
        }
        _ => Err(Rejected::Dead("body")),
    }
}

/// The title, then a line feed and the selftext where that is not empty; and whether the selftext ends the submission.
pub(super) fn title_and_selftext<'a>(title: Value<'a>, selftext: Value<'a>, scratch: &mut String) -> Result<(Text<'a>, bool), Rejected> {
    if title.is_missing() {
        return Err(Rejected::Dead("title"));
    }
    if let (Value::Text(title), Value::Missing | Value::Null | Value::Text("")) = (&title, &selftext) {
        return Ok((Text::Line(title), false));
    }
    scratch.clear();
    push(title, "title", scratch)?;
    let at = scratch.len();
    scratch.push('\n');
    push(selftext, "selftext", scratch)?;
    if scratch.len() == at + 1 {
        scratch.truncate(at);
        return Ok((Text::Scratch, false));
    }
    Ok((Text::Scratch, is_ended(&scratch[at + 1..])))
}

fn push(value: Value<'_>, field: &'static str, into: &mut String) -> Result<(), Rejected> {
    match value {
        Value::Missing | Value::Null => {}
        Value::Text(text) => into.push_str(text),
        Value::Owned(text) => into.push_str(&text),
        Value::Raw(raw) => unescape(raw, into)?,
        _ => return Err(Rejected::Dead(field)),
    }
    Ok(())
}

/// Appends what a string's inside means.
fn unescape(raw: &str, into: &mut String) -> Result<(), Rejected> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        into.push_str(&rest[..at]);
        let (character, length) = escape(&rest.as_bytes()[at..]).ok_or(Rejected::Unclear)?;
        into.push(character);
        rest = &rest[at + length..];
    }
    into.push_str(rest);
    Ok(())
}

/// The character that an escape stands for, and the length of the escape. `None`: no escape, or a lone surrogate.
#[inline]
pub(super) fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let character = match bytes.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\x08',
        b'f' => '\x0c',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(bytes.get(2..6)?)?;
            if !(0xd800..0xdc00).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            let second = hex(bytes.get(6..12)?.strip_prefix(b"\\u")?)?;
            if !(0xdc00..0xe000).contains(&second) {
                return None;
            }
            return Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12));
        }
        _ => return None,
    };
    Some((character, 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, digit| Some(n << 4 | char::from(*digit).to_digit(16)?))
}
