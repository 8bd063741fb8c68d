//! A version as bytes that outlive the process: what frames and snapshots hold.
//!
//! ```text
//!   length | flags u16 | id | conversation | parent? | community? | user? | user_name? | community_name? | created_at? | edited_at? | score?
//!             | version | update_id? | characters | text_hash? 8 | place 8          numbers: varints, zigzag where they may be negative
//!   id:   tag 1 | number                     Reddit             name:  prefix 1 | length | bytes      prefix: "" reddit: telegram: ":"
//!         tag 1 | chat's name | number       Telegram
//!         tag 1 | name                       whatever is neither
//! ```
//!
//! Names and ids are written out, since their numbers are good in one process only. The format has no version of its own: whoever holds
//! versions says which it is ([`crate::frame`]).

use crate::name::{DISPLAY, REDDIT, TELEGRAM};
use crate::parse::known::Known;
use crate::{MessageId, Name, Place, Version};

/// Bytes that are no version. Frames are checksummed, so whoever wrote them had another format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the bytes are not what this eddy writes")]
pub struct Malformed;

const TOMBSTONE: u16 = 1;
const EDITED: u16 = 1 << 1;
const BOT: u16 = 1 << 2;
const PARENT: u16 = 1 << 3;
const COMMUNITY: u16 = 1 << 4;
const USER: u16 = 1 << 5;
const USER_NAME: u16 = 1 << 6;
const COMMUNITY_NAME: u16 = 1 << 7;
const CREATED_AT: u16 = 1 << 8;
const EDITED_AT: u16 = 1 << 9;
const SCORE: u16 = 1 << 10;
const UPDATE_ID: u16 = 1 << 11;
const TEXT_HASH: u16 = 1 << 12;
/// Frames of format 1 from before this flag say of no version that it asks.
const ASKS: u16 = 1 << 13;

/// The id comes next.
const FLAGS_BYTES: usize = size_of::<u16>();

const PREFIXES: [&str; 4] = ["", REDDIT, TELEGRAM, DISPLAY];

/// Appends a version.
pub fn version(version: &Version, out: &mut Vec<u8>) {
    // Most are shorter than 128 bytes: their length has one byte.
    let start = out.len();
    out.push(0);
    fields(version, out);
    let length = out.len() - start - 1;
    if length < 128 {
        out[start] = length as u8;
    } else {
        let mut long = Vec::with_capacity(10);
        varint(length as u64, &mut long);
        out.splice(start..=start, long);
    }
}

/// The next version's bytes without their length, and what comes after it.
pub fn split(rows: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut reader = Reader::new(rows);
    Ok((reader.slice()?, reader.rest))
}

/// The bytes of the message's id within those of a version: equal for versions of one message only.
pub fn id(row: &[u8]) -> Result<&[u8], Malformed> {
    let whole = row.get(FLAGS_BYTES..).ok_or(Malformed)?;
    let mut reader = Reader::new(whole);
    MessageId::skip(&mut reader)?;
    Ok(&whole[..whole.len() - reader.left()])
}

/// Sorts ids about as platforms give them, a chat's together: what is fed in that order finds its neighbours in near memory, and its parents
/// there. Ids that are not equal may be so here. (Files are sorted by it: it stays as it is.)
pub fn order(id: &[u8]) -> Result<u64, Malformed> {
    MessageId::order(&mut Reader::new(id))
}

/// Spreads messages over workers, by the bytes of their ids.
pub fn route(id: &[u8], known: &mut Known) -> Result<u64, Malformed> {
    MessageId::load(&mut Reader::new(id), known).map(MessageId::route)
}

/// The version's number within the bytes of a version: of two with different numbers the greater wins.
pub fn number(row: &[u8]) -> Result<i64, Malformed> {
    let mut reader = Reader::new(row);
    let flags = u16::from_le_bytes(reader.bytes()?);
    let count = |of: &[u16]| of.iter().filter(|flag| flags & **flag != 0).count();
    for _ in 0..2 + count(&[PARENT]) {
        MessageId::skip(&mut reader)?;
    }
    for _ in 0..count(&[COMMUNITY, USER, USER_NAME, COMMUNITY_NAME]) {
        reader.skip_name()?;
    }
    for _ in 0..count(&[CREATED_AT, EDITED_AT, SCORE]) {
        reader.varint()?;
    }
    reader.number()
}

/// When the message of a version's bytes was created, as [`Version::at`] says.
pub fn at(row: &[u8]) -> Result<Option<i64>, Malformed> {
    let mut reader = Reader::new(row);
    let flags = u16::from_le_bytes(reader.bytes()?);
    let has = |flag| flags & flag != 0;
    if !has(CREATED_AT) {
        let place = row.last_chunk().ok_or(Malformed)?;
        return Ok(Place(u64::from_le_bytes(*place)).as_arrival());
    }
    for _ in 0..2 + u32::from(has(PARENT)) {
        MessageId::skip(&mut reader)?;
    }
    for _ in [COMMUNITY, USER, USER_NAME, COMMUNITY_NAME].iter().filter(|flag| has(**flag)) {
        reader.skip_name()?;
    }
    reader.number().map(Some)
}

fn fields(version: &Version, out: &mut Vec<u8>) {
    let flags = [
        (TOMBSTONE, version.tombstone),
        (EDITED, version.edited),
        (BOT, version.bot),
        (PARENT, version.parent.is_some()),
        (COMMUNITY, version.community.is_some()),
        (USER, version.user.is_some()),
        (USER_NAME, version.user_name.is_some()),
        (COMMUNITY_NAME, version.community_name.is_some()),
        (CREATED_AT, version.created_at.is_some()),
        (EDITED_AT, version.edited_at.is_some()),
        (SCORE, version.score.is_some()),
        (UPDATE_ID, version.update_id.is_some()),
        (TEXT_HASH, version.text_hash.is_some()),
        (ASKS, version.asks),
    ];
    let flags = flags.iter().filter(|(_, is)| *is).fold(0, |flags, (flag, _)| flags | flag);
    out.extend_from_slice(&flags.to_le_bytes());
    version.id.store(out);
    version.conversation.store(out);
    version.parent.inspect(|parent| parent.store(out));
    for named in [version.community, version.user, version.user_name, version.community_name].into_iter().flatten() {
        name(named, out);
    }
    for number in [version.created_at, version.edited_at, version.score].into_iter().flatten() {
        varint(zigzag(number), out);
    }
    varint(zigzag(version.version), out);
    version.update_id.inspect(|update| varint(zigzag(*update), out));
    varint(u64::from(version.characters), out);
    version.text_hash.inspect(|hash| out.extend_from_slice(&hash.to_le_bytes()));
    out.extend_from_slice(&version.place.0.to_le_bytes());
}

pub(crate) fn name(name: Name, out: &mut Vec<u8>) {
    let text = name.as_str();
    let prefix = (1..PREFIXES.len()).find(|at| text.starts_with(PREFIXES[*at])).unwrap_or(0);
    let rest = &text[PREFIXES[prefix].len()..];
    out.push(prefix as u8);
    varint(rest.len() as u64, out);
    out.extend_from_slice(rest.as_bytes());
}

/// Appends a length and so many bytes.
pub fn slice(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

pub(crate) fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 128 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
}

pub(crate) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// Reads back what this module writes.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes that are not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// `known` saves most looks for names in far memory; keep one for many versions.
    pub fn version(&mut self, known: &mut Known) -> Result<Version, Malformed> {
        let mut row = Reader::new(self.slice()?);
        let version = row.fields(known)?;
        if row.is_empty() { Ok(version) } else { Err(Malformed) }
    }

    fn fields(&mut self, known: &mut Known) -> Result<Version, Malformed> {
        let flags = u16::from_le_bytes(self.bytes()?);
        let has = |flag| flags & flag != 0;
        if flags >= ASKS << 1 {
            return Err(Malformed);
        }
        // Fields are read in the order in which they stand here, which is that of `version`.
        let (id, conversation) = (MessageId::load(self, known)?, MessageId::load(self, known)?);
        let parent = has(PARENT).then(|| MessageId::load(self, known)).transpose()?;
        let mut name = |flag| has(flag).then(|| self.name(known)).transpose();
        let (community, user, user_name, community_name) = (name(COMMUNITY)?, name(USER)?, name(USER_NAME)?, name(COMMUNITY_NAME)?);
        let mut number = |flag| has(flag).then(|| self.number()).transpose();
        let (created_at, edited_at, score) = (number(CREATED_AT)?, number(EDITED_AT)?, number(SCORE)?);
        let version = self.number()?;
        let update_id = has(UPDATE_ID).then(|| self.number()).transpose()?;
        let characters = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let text_hash = has(TEXT_HASH).then(|| self.bytes().map(u64::from_le_bytes)).transpose()?;
        let place = Place(u64::from_le_bytes(self.bytes()?));
        Ok(Version {
            id,
            conversation,
            parent,
            community,
            user,
            user_name,
            community_name,
            created_at,
            edited_at,
            score,
            version,
            update_id,
            characters,
            text_hash,
            place,
            tombstone: has(TOMBSTONE),
            edited: has(EDITED),
            bot: has(BOT),
            asks: has(ASKS),
        })
    }

    pub(crate) fn name(&mut self, known: &mut Known) -> Result<Name, Malformed> {
        let prefix = *PREFIXES.get(usize::from(self.byte()?)).ok_or(Malformed)?;
        let rest = self.text()?;
        Ok(if prefix == REDDIT { known.name(rest) } else { Name::new(prefix, rest) })
    }

    pub(crate) fn skip_name(&mut self) -> Result<(), Malformed> {
        self.byte()?;
        self.slice().map(|_| ())
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.slice()?).map_err(|_| Malformed)
    }

    /// A length and so many bytes.
    pub(crate) fn slice(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        let (slice, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(slice)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.bytes()?;
        Ok(byte)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 127);
            if bits << shift >> shift != bits {
                return Err(Malformed);
            }
            n |= bits << shift;
            if byte < 128 {
                return Ok(n);
            }
        }
        Err(Malformed)
    }

    pub(crate) fn number(&mut self) -> Result<i64, Malformed> {
        self.varint().map(|n| (n >> 1) as i64 ^ -((n & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = MessageId> {
        prop_oneof![
            "[0-9a-z]{1,14}".prop_map(|id| MessageId::comment(&id)),
            "\\PC{0,6}".prop_map(|id| MessageId::submission(&id)),
            (any::<i64>(), any::<i64>()).prop_map(|(chat, n)| MessageId::telegram(Name::of(&format!("telegram:{chat}")), n)),
            (-9..9i64, 0..9i64).prop_map(|(chat, n)| MessageId::topic(Name::of(&format!("telegram:{chat}")), n)),
        ]
    }

    fn named() -> impl Strategy<Value = Option<Name>> {
        proptest::option::of("(|:|reddit:|telegram:)\\PC{0,9}".prop_map(|text| Name::of(&text)))
    }

    prop_compose! {
        fn any_version()(
            (id, conversation, parent) in (id(), id(), proptest::option::of(id())),
            (community, user, user_name, community_name) in (named(), named(), named(), named()),
            (created_at, edited_at, score, update_id) in any::<(Option<i64>, Option<i64>, Option<i64>, Option<i64>)>(),
            (version, characters, text_hash, place) in any::<(i64, u32, Option<u64>, u64)>(),
            (tombstone, edited, bot, asks) in any::<(bool, bool, bool, bool)>(),
        ) -> Version {
            Version {
                id, conversation, parent, community, user, user_name, community_name, created_at, edited_at, score, version, update_id,
                characters, text_hash, place: Place(place), tombstone, edited, bot, asks,
            }
        }
    }

    #[test]
    fn ids_are_sorted_as_platforms_give_them() {
        let chat = |chat: &str| Name::of(&format!("telegram:{chat}"));
        let sorted = [
            MessageId::submission("zz"),
            MessageId::comment("9"),
            MessageId::comment("zz"),
            MessageId::comment("100"),
            MessageId::comment("abcdefgh"),
            MessageId::telegram(chat("-100123"), 127),
            MessageId::telegram(chat("-100123"), 128),
            MessageId::telegram(chat("-100123"), 70_000),
        ];
        let orders = sorted.map(|id| {
            let mut bytes = vec![];
            id.store(&mut bytes);
            order(&bytes).expect("an id")
        });
        assert!(orders.is_sorted_by(|a, b| a < b), "{orders:x?}");
        // Runs on disk have this order.
        assert_eq!((orders[3], orders[6]), (0x2000_0000_0000_0510, 0x7958_5908_0000_0080));
    }

    proptest! {
        #[test]
        fn a_version_reads_back_as_it_was(versions in proptest::collection::vec(any_version(), 0..5)) {
            let mut bytes = vec![];
            versions.iter().for_each(|one| version(one, &mut bytes));
            let mut known = Known::new();
            let mut reader = Reader::new(&bytes);
            let mut rest = &bytes[..];
            for version in versions {
                prop_assert_eq!(reader.version(&mut known), Ok(version));
                let (row, after) = split(rest).expect("a version");
                let mut stored = vec![];
                version.id.store(&mut stored);
                prop_assert_eq!(super::id(row), Ok(&stored[..]));
                prop_assert_eq!(super::number(row), Ok(version.version));
                prop_assert_eq!(super::at(row), Ok(version.at()));
                rest = after;
            }
            prop_assert!(reader.is_empty() && rest.is_empty());
        }

        #[test]
        fn any_bytes_are_a_version_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader::new(&bytes).version(&mut Known::default());
        }

        #[test]
        fn a_version_that_is_cut_is_an_error(one in any_version(), cut in any::<prop::sample::Index>()) {
            let mut bytes = vec![];
            version(&one, &mut bytes);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert_eq!(Reader::new(&bytes).version(&mut Known::default()), Err(Malformed));
        }
    }
}
