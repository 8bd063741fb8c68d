//! Ids of messages and conversations, packed into 64 bits.
//!
//! ```text
//!   bits 63..61   60..0
//!   1 t1          the base-36 number             reddit:t1_c13
//!   2 t3          the base-36 number             reddit:t3_17863     (a submission, and the conversation it opens)
//!   3 message     chat's name (29) | number (32) telegram:-100123:45
//!   4 topic       chat's name (29) | number (32) telegram:-100123.0
//!   5 text        name of the whole key (32)     whatever does not fit above, such as reddit:t1_A_b
//! ```
//!
//! Two ids are equal exactly when their texts are. Tags 3 to 5 hold names, so the numbers are good in this process only;
//! serde writes the text, to programs as it stands in eddy's own files.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{Name, REDDIT, TELEGRAM};
use crate::parse::known::Known;
use crate::{route, stored};

const TAG: u32 = 61;
const COMMENT: u64 = 1;
const SUBMISSION: u64 = 2;
const MESSAGE: u64 = 3;
const TOPIC: u64 = 4;
const TEXT: u64 = 5;
const CHATS: u32 = 1 << 29;
/// Base-36 digits of a Reddit id's number.
const DIGITS_MAX: u32 = 11;
/// One for the kind, 57 for the digits, 4 for how many there are.
pub const TEXT_ORDER_BITS: u32 = 62;

/// `reddit:t1_ID`, `reddit:t3_ID` or `telegram:CHAT:MESSAGE`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(NonZeroU64);

/// `reddit:t3_ID` or `telegram:CHAT.TOPIC`. A Reddit conversation is the id of its submission.
pub type ConversationId = MessageId;

/// Finalizer of splitmix64: spreads ids that differ in few bits.
#[inline]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The number of a canonical base-36 text of at most 11 digits; other texts are kept as text.
#[inline]
fn base36(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > DIGITS_MAX as usize || (text[0] == b'0' && text.len() > 1) {
        return None;
    }
    let mut n = 0u64;
    for &byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'z' => byte - b'a' + 10,
            _ => return None,
        };
        n = n * 36 + u64::from(digit);
    }
    Some(n)
}

impl MessageId {
    fn pack(tag: u64, payload: u64) -> Self {
        MessageId(NonZeroU64::new(tag << TAG | payload).expect("tags are not zero"))
    }

    fn text(key: &str) -> Self {
        Self::pack(TEXT, u64::from(Name::of(key).index()))
    }

    /// A comment, by its id without `t1_`.
    #[inline]
    pub fn comment(id: &str) -> Self {
        match base36(id.as_bytes()) {
            Some(n) => Self::pack(COMMENT, n),
            None => Self::text(&format!("reddit:t1_{id}")),
        }
    }

    /// A submission or the conversation it opens, by its id without `t3_`.
    #[inline]
    pub fn submission(id: &str) -> Self {
        match base36(id.as_bytes()) {
            Some(n) => Self::pack(SUBMISSION, n),
            None => Self::text(&format!("reddit:t3_{id}")),
        }
    }

    /// A Reddit fullname of any kind: `t1_...`, `t3_...`, or text that is neither.
    #[inline]
    pub fn fullname(name: &str) -> Self {
        if let Some(id) = name.strip_prefix("t1_") {
            Self::comment(id)
        } else if let Some(id) = name.strip_prefix("t3_") {
            Self::submission(id)
        } else {
            Self::text(&format!("reddit:{name}"))
        }
    }

    /// A Telegram message; `chat` is the community's name (`telegram:CHAT`).
    pub fn telegram(chat: Name, message: i64) -> Self {
        match u32::try_from(message) {
            Ok(n) if chat.index() < CHATS => Self::pack(MESSAGE, u64::from(chat.index()) << 32 | u64::from(n)),
            _ => Self::text(&format!("{}:{message}", chat.as_str())),
        }
    }

    /// A Telegram conversation: a topic of a chat, 0 where there is none.
    pub fn topic(chat: Name, topic: i64) -> Self {
        match u32::try_from(topic) {
            Ok(n) if chat.index() < CHATS => Self::pack(TOPIC, u64::from(chat.index()) << 32 | u64::from(n)),
            _ => Self::text(&format!("{}.{topic}", chat.as_str())),
        }
    }

    /// A key as people write it. `None` where no message or conversation can have it.
    pub fn parse(key: &str) -> Option<Self> {
        match shape(key)? {
            Shape::Reddit(name) => Some(Self::fullname(name)),
            Shape::Message(chat, number) => Some(Self::telegram(Name::new(TELEGRAM, chat), number)),
            Shape::Topic(chat, number) => Some(Self::topic(Name::new(TELEGRAM, chat), number)),
        }
    }

    /// As [`parse`](Self::parse), but meets no new name: reads must not grow memory. `None` also where no message or
    /// conversation of this process has it.
    pub fn find(key: &str) -> Option<Self> {
        let text = || Some(Self::pack(TEXT, u64::from(Name::find(key)?.index())));
        let (tag, chat, number) = match shape(key)? {
            Shape::Reddit(name) => {
                let tag = if name.starts_with("t1_") { COMMENT } else { SUBMISSION };
                return base36(&name.as_bytes()[3..]).map(|n| Self::pack(tag, n)).or_else(text);
            }
            Shape::Message(chat, number) => (MESSAGE, chat, number),
            Shape::Topic(chat, number) => (TOPIC, chat, number),
        };
        let chat = Name::find(&key[..TELEGRAM.len() + chat.len()])?;
        match u32::try_from(number) {
            Ok(n) if chat.index() < CHATS => Some(Self::pack(tag, u64::from(chat.index()) << 32 | u64::from(n))),
            _ => text(),
        }
    }

    /// A text that a message's key can be.
    pub fn is_message_key(key: &str) -> bool {
        matches!(shape(key), Some(Shape::Reddit(_) | Shape::Message(..)))
    }

    /// A text that a conversation's key can be.
    pub fn is_conversation_key(key: &str) -> bool {
        match shape(key) {
            Some(Shape::Reddit(name)) => name.starts_with("t3_"),
            Some(Shape::Topic(..)) => true,
            _ => false,
        }
    }

    /// The name of an id of unusual text.
    pub fn as_name(self) -> Option<Name> {
        let (tag, payload) = self.split();
        (tag == TEXT).then(|| name_at(payload))
    }

    fn split(self) -> (u64, u64) {
        (self.0.get() >> TAG, self.0.get() & ((1 << TAG) - 1))
    }

    /// A Reddit submission (`t3`).
    #[inline]
    pub fn is_submission(self) -> bool {
        match self.split() {
            (SUBMISSION, _) => true,
            (TEXT, name) => name_at(name).as_str().starts_with("reddit:t3_"),
            _ => false,
        }
    }

    pub fn bits(self) -> u64 {
        self.0.get()
    }

    pub fn from_bits(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(MessageId)
    }

    /// Spreads ids over hash tables of this process.
    #[inline]
    pub fn spread(self) -> u64 {
        mix(self.0.get())
    }

    /// Spreads ids over workers, of whatever process. Not a persistent hash.
    #[inline]
    pub fn route(self) -> u64 {
        if route::is_by_text() { self.route_by_text() } else { self.spread() }
    }

    /// Each process packs an id as its own names are numbered, so this looks at nothing but the text.
    fn route_by_text(self) -> u64 {
        let numbered = |chat: &str, tag, number| mix(route::of(chat) ^ mix(tag << TAG | number));
        match self.split() {
            (COMMENT | SUBMISSION, _) => self.spread(),
            (tag @ (MESSAGE | TOPIC), payload) => numbered(name_at(payload >> 32).bare(), tag, payload & u64::from(u32::MAX)),
            (_, payload) => {
                let text = name_at(payload).as_str();
                match shape(text) {
                    Some(Shape::Message(chat, number)) => numbered(chat, MESSAGE, number as u64),
                    Some(Shape::Topic(chat, number)) => numbered(chat, TOPIC, number as u64),
                    _ => route::of(text),
                }
            }
        }
    }

    /// A number of [`TEXT_ORDER_BITS`] bits that sorts among those of other Reddit ids as their texts do; `None` where the text is not just a
    /// number's.
    pub fn text_order(self) -> Option<u64> {
        let (tag, payload) = self.split();
        if tag != COMMENT && tag != SUBMISSION {
            return None;
        }
        // Digits from the left, as texts compare; then the length: `1` before `10`.
        let length = payload.checked_ilog(36).map_or(1, |log| log + 1);
        let aligned = payload * 36u64.pow(DIGITS_MAX - length);
        Some((tag - COMMENT) << (TEXT_ORDER_BITS - 1) | aligned << 4 | u64::from(length))
    }

    /// Of Reddit, whatever its text.
    pub fn is_reddit(self) -> bool {
        match self.split() {
            (COMMENT | SUBMISSION, _) => true,
            (TEXT, name) => name_at(name).as_str().starts_with(REDDIT),
            _ => false,
        }
    }

    /// Order of the texts, bytewise.
    pub fn cmp_text(self, other: Self) -> Ordering {
        if self == other { Ordering::Equal } else { self.to_string().cmp(&other.to_string()) }
    }
}

/// What a key's text says, before any name is looked up.
enum Shape<'a> {
    /// `t1_ID` or `t3_ID`.
    Reddit(&'a str),
    Message(&'a str, i64),
    Topic(&'a str, i64),
}

fn shape(key: &str) -> Option<Shape<'_>> {
    if let Some(name) = key.strip_prefix(REDDIT) {
        return (name.len() > 3 && (name.starts_with("t1_") || name.starts_with("t3_"))).then_some(Shape::Reddit(name));
    }
    let rest = key.strip_prefix(TELEGRAM)?;
    let at = rest.rfind([':', '.'])?;
    let (chat, number) = (&rest[..at], &rest[at + 1..]);
    let canonical = |text: &str| text.parse::<i64>().ok().filter(|n| n.to_string() == text);
    canonical(chat)?;
    let number = canonical(number)?;
    Some(if rest.as_bytes()[at] == b':' { Shape::Message(chat, number) } else { Shape::Topic(chat, number) })
}

fn name_at(index: u64) -> Name {
    u32::try_from(index).ok().and_then(Name::from_index).expect("ids hold names that exist")
}

impl MessageId {
    /// Appends the key's text.
    pub fn write(self, out: &mut Vec<u8>) {
        let (tag, payload) = self.split();
        match tag {
            COMMENT | SUBMISSION => {
                out.extend_from_slice(if tag == COMMENT { b"reddit:t1_" } else { b"reddit:t3_" });
                let (mut digits, mut at, mut n) = ([0u8; 13], 13, payload);
                loop {
                    at -= 1;
                    digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(n % 36) as usize];
                    n /= 36;
                    if n == 0 {
                        break;
                    }
                }
                out.extend_from_slice(&digits[at..]);
            }
            MESSAGE | TOPIC => {
                out.extend_from_slice(name_at(payload >> 32).as_str().as_bytes());
                out.push(if tag == MESSAGE { b':' } else { b'.' });
                out.extend_from_slice((payload as u32).to_string().as_bytes());
            }
            _ => out.extend_from_slice(name_at(payload).as_str().as_bytes()),
        }
    }
}

/// How an id stands in eddy's own files: its tag, then what does not depend on this process (`stored.rs`).
impl MessageId {
    pub(crate) fn store(self, out: &mut Vec<u8>) {
        let (tag, payload) = self.split();
        out.push(tag as u8);
        match tag {
            COMMENT | SUBMISSION => stored::varint(payload, out),
            MESSAGE | TOPIC => {
                stored::name(name_at(payload >> 32), out);
                stored::varint(payload & u64::from(u32::MAX), out);
            }
            _ => stored::name(name_at(payload), out),
        }
    }

    pub(crate) fn load(reader: &mut stored::Reader, known: &mut Known) -> Result<Self, stored::Malformed> {
        Ok(match u64::from(reader.byte()?) {
            tag @ (COMMENT | SUBMISSION) => match reader.varint()? {
                payload if payload < 1 << TAG => Self::pack(tag, payload),
                _ => return Err(stored::Malformed),
            },
            tag @ (MESSAGE | TOPIC) => {
                let (chat, number) = (reader.name(known)?, reader.varint()?);
                let number = i64::try_from(number).map_err(|_| stored::Malformed)?;
                if tag == MESSAGE { Self::telegram(chat, number) } else { Self::topic(chat, number) }
            }
            // The text says what it is.
            TEXT => {
                let name = reader.name(known)?;
                Self::pack(TEXT, u64::from(name.index()))
            }
            _ => return Err(stored::Malformed),
        })
    }

    /// See [`stored::order`].
    pub(crate) fn order(reader: &mut stored::Reader) -> Result<u64, stored::Malformed> {
        let tag = u64::from(reader.byte()?);
        let mut name = || {
            reader.byte()?;
            Ok(reader.slice()?.iter().fold(0, |hash, byte| mix(hash ^ u64::from(*byte))))
        };
        let payload = match tag {
            COMMENT | SUBMISSION => reader.varint()?,
            MESSAGE | TOPIC => name()? << 32 | (reader.varint()? & u64::from(u32::MAX)),
            _ => name()?,
        };
        // Comments stand under submissions.
        let rank = if tag == SUBMISSION { 0 } else { tag };
        Ok(rank << TAG | payload & ((1 << TAG) - 1))
    }

    /// Goes past what `load` would read.
    pub(crate) fn skip(reader: &mut stored::Reader) -> Result<(), stored::Malformed> {
        let tag = u64::from(reader.byte()?);
        if tag >= MESSAGE {
            reader.skip_name()?;
        }
        if tag < TEXT {
            reader.varint()?;
        }
        Ok(())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = vec![];
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("names and digits are text"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        let mut bytes = Vec::with_capacity(24);
        self.store(&mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            let bytes = <&'de [u8]>::deserialize(deserializer)?;
            return Self::load(&mut stored::Reader::new(bytes), &mut Known::default()).map_err(serde::de::Error::custom);
        }
        let key = String::deserialize(deserializer)?;
        Ok(MessageId::parse(&key).unwrap_or_else(|| MessageId::text(&key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_reads_back_as_its_text() {
        for id in ["c13", "0", "zzzzzzzzzzz", "zzzzzzzzzzzz", "A_b", "007", "", "é", "_"] {
            assert_eq!(MessageId::comment(id).to_string(), format!("reddit:t1_{id}"));
            assert_eq!(MessageId::submission(id).to_string(), format!("reddit:t3_{id}"));
            assert!(MessageId::submission(id).is_submission());
            assert!(!MessageId::comment(id).is_submission());
        }
        let chat = Name::of("telegram:-1001234567890");
        for n in [0, 1, i64::from(u32::MAX), i64::from(u32::MAX) + 1, -5] {
            assert_eq!(MessageId::telegram(chat, n).to_string(), format!("telegram:-1001234567890:{n}"));
            assert_eq!(MessageId::topic(chat, n).to_string(), format!("telegram:-1001234567890.{n}"));
        }
    }

    #[test]
    fn looking_an_id_up_finds_what_was_met_and_meets_nothing() {
        for key in ["reddit:t1_c99", "reddit:t3_X_y", "telegram:-77:7", "telegram:-77.0", "telegram:-77:-3", "telegram:-77.9999999999"] {
            let id = MessageId::parse(key);
            assert_eq!(MessageId::find(key), id, "{key}");
        }
        // Names are the process's: these keys are no other test's.
        for key in ["reddit:t3_never_Met", "telegram:-7830211:7", "telegram:-77:-4130211", "reddit:nobody_30211"] {
            assert_eq!(MessageId::find(key), None, "{key}");
            assert_eq!(Name::find(key), None, "{key}");
        }
        assert_eq!(Name::find("telegram:-7830211"), None);
        assert!(MessageId::is_conversation_key("reddit:t3_a") && !MessageId::is_conversation_key("reddit:t1_a"));
        assert!(MessageId::is_message_key("telegram:1:2") && !MessageId::is_message_key("telegram:1.2"));
    }

    #[test]
    fn a_route_by_text_depends_on_nothing_else() {
        let chat = Name::of("telegram:-100987");
        for (packed, text) in [
            (MessageId::telegram(chat, 7), "telegram:-100987:7"),
            (MessageId::topic(chat, 7), "telegram:-100987.7"),
            (MessageId::telegram(chat, 0), "telegram:-100987:0"),
        ] {
            assert_ne!(packed.bits(), MessageId::text(text).bits());
            assert_eq!(packed.route_by_text(), MessageId::text(text).route_by_text(), "{text}");
        }
        let ids = ["reddit:t1_c13", "reddit:t3_c13", "reddit:t3_A_b", "telegram:-100987:7", "telegram:-100987.7", "telegram:-100988:7"];
        let routes: std::collections::BTreeSet<u64> = ids.iter().map(|key| MessageId::parse(key).expect("a key").route_by_text()).collect();
        assert_eq!(routes.len(), ids.len(), "and what differs is spread");
    }

    #[test]
    fn a_key_parses_to_the_id_that_prints_it() {
        for key in ["reddit:t1_c13", "reddit:t3_A_b", "telegram:-5:7", "telegram:12.0"] {
            assert_eq!(MessageId::parse(key).expect(key).to_string(), key);
        }
        for key in ["reddit:spez", "telegram:x:1", "telegram:1", "twitter:1", "", "telegram:01:1"] {
            assert!(MessageId::parse(key).is_none(), "{key}");
        }
    }

    #[test]
    fn the_order_of_reddit_ids_is_that_of_their_texts() {
        let numbers =
            ["0", "1", "9", "a", "z", "10", "1z", "z0", "zz", "100", "zzzzzzzzzzz", "10000000000", "1z141z4", "1z141z", "1z141z40"];
        let mut ids: Vec<MessageId> = numbers.iter().flat_map(|id| [MessageId::comment(id), MessageId::submission(id)]).collect();
        ids.sort_by_key(|id| id.text_order());
        assert!(ids.iter().all(|id| id.text_order().expect("a number's") >> TEXT_ORDER_BITS == 0));
        assert!(ids.is_sorted_by_key(MessageId::to_string));
        assert_eq!(MessageId::comment("A_b").text_order(), None);
        assert!(MessageId::comment("A_b").is_reddit() && !MessageId::topic(Name::of("telegram:-5"), 0).is_reddit());
    }
}
