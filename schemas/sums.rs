//! Sealed sums: what sealed messages left, as facts that outlive the process.
//!
//! ```text
//!   fact:   length | kind 1 | length, key | value                 key: names, ids and numbers, as the kind says
//!   value:  of sums, a column each: add, least, greatest, ...     of others: what is known of the key since; empty: nothing any more
//!
//!   older  users ada: +2 messages, first 10, last 30
//!   newer  users ada: +1 messages, first 40, last 40   --merge--> users ada: +3 messages, first 10, last 40
//! ```
//!
//! An operator says what it keeps at the tick that seals; facts of one key merge, in the order in which they were said, to what it would have
//! now. Names and ids are written out, as in [`crate::stored`].
//!
//! # Invariants
//! 1. Merging is associative: facts may be merged in any groups that keep their order.
//! 2. The numbers of kinds are for ever; whoever holds facts says which format they have.

mod sorted;

use std::cmp::Ordering;

pub use sorted::Sorted;

use crate::parse::known::Known;
use crate::stored::{self, Malformed, Reader};
use crate::{MessageId, Name};

/// What a key, or what is known of one, is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Name,
    Id,
    Int,
    MaybeName,
    MaybeInt,
}

/// How columns of sums merge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Add,
    /// Of numbers, where there are some.
    Least,
    Greatest,
    /// Of names, bytewise.
    GreatestName,
    /// Of (time, message by its text, name), where there are some.
    LatestNaming,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Sums(&'static [Rule]),
    /// The newest is what is known; an empty one ends it.
    Known(&'static [Part]),
}

/// What leaves with time, and is no fact any more then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaves {
    Never,
    /// The key begins with an hour or a day whose row is kept for a while after it.
    Hour,
    Day,
    /// The key begins with an hour, of a day that counts in the 28 after it.
    Month,
}

/// Days after its own in which a day counts in `community_week`.
pub const MONTH_DAYS: i64 = 28;

/// For how long rows of hours and days stay, and where time is.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub watermark: i64,
    pub hours_s: Option<i64>,
    pub days_s: Option<i64>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal: $key:expr => $value:expr, $leaves:ident;)+) => {
        /// Of which operator a fact is.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $kind = $number,)+ }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$kind,)+];

            fn shape(self) -> (&'static [Part], Value, Leaves) {
                match self { $(Kind::$kind => (&$key, $value, Leaves::$leaves),)+ }
            }

            fn of(number: u8) -> Result<Kind, Malformed> {
                match number { $($number => Ok(Kind::$kind),)+ _ => Err(Malformed) }
            }
        }
    };
}

use Part::{Id, Int, MaybeInt, MaybeName};
use Rule::{Add, Greatest, GreatestName, LatestNaming, Least};
use Value::{Known as Knows, Sums};

kinds! {
    /// Messages, characters, score, edited, first, last.
    Users = 1: [Part::Name] => Sums(&[Add, Add, Add, Add, Least, Greatest]), Never;
    UserConversations = 2: [Part::Name, Id] => Sums(&[]), Never;
    UserCommunities = 3: [Part::Name, Part::Name] => Sums(&[]), Never;
    CommunityConversations = 4: [Part::Name, Id] => Sums(&[]), Never;
    /// Messages, characters, removed, first, last, depth, community.
    Conversations = 5: [Id] => Sums(&[Add, Add, Add, Least, Greatest, Greatest, GreatestName]), Never;
    /// Of the submission that was sealed last: when it was posted, by whom, when it was first responded to.
    Openings = 6: [Id] => Knows(&[Int, MaybeName, MaybeInt]), Never;
    /// Of a held message: its parent, which is sealed, and the depth that it has from it.
    Depths = 7: [Id, Id] => Knows(&[Id, MaybeInt]), Never;
    /// Of a held message: the author of its parent, which is sealed.
    Answers = 8: [Id, Id] => Knows(&[MaybeName]), Never;
    Replies = 9: [Part::Name, Part::Name] => Sums(&[Add]), Never;
    /// Messages, characters, removed, first, last.
    Communities = 10: [Part::Name] => Sums(&[Add, Add, Add, Least, Greatest]), Never;
    UserHours = 11: [Int, Part::Name] => Sums(&[Add]), Hour;
    /// Messages, and users of hours that are sealed to their end.
    CommunityHours = 12: [Int, Part::Name] => Sums(&[Add, Add]), Hour;
    /// Users of hours that are not.
    HourPosters = 13: [Int, Part::Name, Part::Name] => Knows(&[Int]), Never;
    /// Messages; and posters, wau, mau of days that are told no more.
    CommunityDays = 14: [Int, Part::Name] => Sums(&[Add, Add, Add, Add]), Day;
    /// Days that are told.
    PosterDays = 15: [Part::Name, Part::Name, Int] => Knows(&[Int]), Never;
    /// d1, d7, d30 of days that are told no more.
    Cohorts = 16: [Int, Part::Name] => Sums(&[Add, Add, Add]), Day;
    CommunityWeek = 17: [Int, Part::Name] => Sums(&[Add]), Month;
    TopUsers = 18: [Part::Name, Part::Name] => Sums(&[Add]), Never;
    /// Of a thread: when the sealed post was created (none: there is none), whether it asks, its community and user; the earliest response
    /// that is sealed.
    Threads = 19: [Id, Id] => Knows(&[MaybeInt, Int, MaybeName, MaybeName, MaybeInt]), Never;
    UserNames = 20: [Part::Name] => Sums(&[LatestNaming]), Never;
    CommunityNames = 21: [Part::Name] => Sums(&[LatestNaming]), Never;
    /// Of a held message that names another, in the thread of that one: it does not count there.
    LateReplies = 22: [Id, Id, Id] => Knows(&[Int]), Never;
    /// Posts of a day by the seconds to their first response (-1: none), of posts that no thread has any more.
    Responses = 23: [Int, Part::Name, Int] => Sums(&[Add]), Day;
}

/// A fact as it stands in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fact<'a> {
    pub kind: Kind,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// The next fact of some, and what comes after it.
pub fn split(facts: &[u8]) -> Result<(Fact<'_>, &[u8]), Malformed> {
    let mut reader = Reader::new(facts);
    let mut fact = Reader::new(reader.slice()?);
    let (kind, key) = (Kind::of(fact.byte()?)?, fact.slice()?);
    Ok((Fact { kind, key, value: fact.rest() }, reader.rest()))
}

/// Some facts, one after the other, that were split before.
pub struct Facts<'a>(&'a [u8]);

impl<'a> Iterator for Facts<'a> {
    type Item = Fact<'a>;

    fn next(&mut self) -> Option<Fact<'a>> {
        let (fact, rest) = (!self.0.is_empty()).then(|| split(self.0).expect("split before"))?;
        self.0 = rest;
        Some(fact)
    }
}

/// Appends a fact.
pub fn fact(fact: Fact, out: &mut Vec<u8>) {
    let start = begin(fact.kind, out);
    out.extend_from_slice(fact.key);
    prefix(start + KEY, out);
    out.extend_from_slice(fact.value);
    prefix(start, out);
}

/// Appends a fact whose key and value are written in place.
pub fn say(
    kind: Kind,
    key: impl for<'a> FnOnce(Writer<'a>) -> Writer<'a>,
    value: impl for<'a> FnOnce(Writer<'a>) -> Writer<'a>,
    out: &mut Vec<u8>,
) {
    let start = begin(kind, out);
    key(Writer(out));
    prefix(start + KEY, out);
    value(Writer(out));
    prefix(start, out);
}

/// Where the length of the key stands, from the fact's start, as long as that has one byte of length.
const KEY: usize = 2;

fn begin(kind: Kind, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0, kind as u8, 0]);
    start
}

/// Puts the length of what follows it at `at`, where a byte is left for it: most are shorter than 128 bytes.
fn prefix(at: usize, out: &mut Vec<u8>) {
    let length = out.len() - at - 1;
    if length < 128 {
        out[at] = length as u8;
    } else {
        let mut long = Vec::with_capacity(10);
        stored::varint(length as u64, &mut long);
        out.splice(at..=at, long);
    }
}

/// Writes keys and values.
pub struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    pub fn name(self, name: Name) -> Self {
        stored::name(name, self.0);
        self
    }

    pub fn id(self, id: MessageId) -> Self {
        id.store(self.0);
        self
    }

    pub fn int(self, n: i64) -> Self {
        stored::varint(stored::zigzag(n), self.0);
        self
    }

    fn maybe<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        self.0.push(u8::from(value.is_some()));
        match value {
            Some(value) => write(self, value),
            None => self,
        }
    }

    pub fn maybe_name(self, name: Option<Name>) -> Self {
        self.maybe(name, Self::name)
    }

    pub fn maybe_int(self, n: Option<i64>) -> Self {
        self.maybe(n, Self::int)
    }

    pub fn naming(self, naming: Option<Naming>) -> Self {
        self.maybe(naming, |out, naming| out.int(naming.at).id(naming.message).maybe_name(naming.name))
    }
}

/// What a message called its user or community.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Naming {
    pub at: i64,
    pub message: MessageId,
    pub name: Option<Name>,
}

impl Naming {
    fn order(&self, other: &Naming) -> Ordering {
        self.at.cmp(&other.at).then_with(|| self.message.cmp_text(other.message))
    }
}

/// Reads keys and values back.
pub struct Cells<'a, 'k> {
    rest: Reader<'a>,
    known: &'k mut Known,
}

impl<'a, 'k> Cells<'a, 'k> {
    pub fn new(bytes: &'a [u8], known: &'k mut Known) -> Self {
        Cells { rest: Reader::new(bytes), known }
    }

    pub fn name(&mut self) -> Result<Name, Malformed> {
        self.rest.name(self.known)
    }

    pub fn id(&mut self) -> Result<MessageId, Malformed> {
        MessageId::load(&mut self.rest, self.known)
    }

    pub fn int(&mut self) -> Result<i64, Malformed> {
        self.rest.number()
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<Option<T>, Malformed> {
        match self.rest.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Malformed),
        }
    }

    pub fn maybe_name(&mut self) -> Result<Option<Name>, Malformed> {
        self.maybe(Self::name)
    }

    pub fn maybe_int(&mut self) -> Result<Option<i64>, Malformed> {
        self.maybe(Self::int)
    }

    pub fn naming(&mut self) -> Result<Option<Naming>, Malformed> {
        self.maybe(|cells| Ok(Naming { at: cells.int()?, message: cells.id()?, name: cells.maybe_name()? }))
    }

    /// Reads a part; tells `met` of what it names.
    fn part(&mut self, part: Part, met: &mut impl FnMut(Met)) -> Result<(), Malformed> {
        match part {
            Part::Name => met(Met::Name(self.name()?)),
            Part::Id => met(Met::Id(self.id()?)),
            Part::Int => drop(self.int()?),
            Part::MaybeName => self.maybe_name()?.into_iter().for_each(|name| met(Met::Name(name))),
            Part::MaybeInt => drop(self.maybe_int()?),
        }
        Ok(())
    }

    /// The same of a column.
    fn column(&mut self, rule: Rule, met: &mut impl FnMut(Met)) -> Result<(), Malformed> {
        match rule {
            Rule::Add => self.part(Part::Int, met),
            Rule::Least | Rule::Greatest => self.part(Part::MaybeInt, met),
            Rule::GreatestName => self.part(Part::MaybeName, met),
            Rule::LatestNaming => {
                if let Some(naming) = self.naming()? {
                    met(Met::Id(naming.message));
                    naming.name.into_iter().for_each(|name| met(Met::Name(name)));
                }
                Ok(())
            }
        }
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// What a fact names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Met {
    Name(Name),
    Id(MessageId),
}

impl Fact<'_> {
    /// Reads all of it; tells `met` of each name and id in it.
    pub fn walk(&self, known: &mut Known, mut met: impl FnMut(Met)) -> Result<(), Malformed> {
        let (parts, value, _) = self.kind.shape();
        let mut key = Cells::new(self.key, known);
        parts.iter().try_for_each(|part| key.part(*part, &mut met))?;
        key.end()?;
        let mut cells = Cells::new(self.value, known);
        match value {
            Value::Sums(rules) => rules.iter().try_for_each(|rule| cells.column(*rule, &mut met))?,
            Value::Known(_) if self.is_end() => {}
            Value::Known(parts) => parts.iter().try_for_each(|part| cells.part(*part, &mut met))?,
        }
        cells.end()
    }

    /// It says that nothing is known any more: with nothing older to end it is none.
    pub fn is_end(&self) -> bool {
        self.value.is_empty() && matches!(self.kind.shape().1, Value::Known(_))
    }

    /// Spreads facts over workers as what they are of is: by the first name or id of their key.
    pub fn route(&self, known: &mut Known) -> Result<u64, Malformed> {
        let mut route = None;
        let mut key = Cells::new(self.key, known);
        for part in self.kind.shape().0 {
            key.part(*part, &mut |met| route = route.or(Some(met)))?;
        }
        Ok(match route.ok_or(Malformed)? {
            Met::Name(name) => name.route(),
            Met::Id(id) => id.route(),
        })
    }

    /// Whether what it is of has left by now, so that nobody asks for it again.
    pub fn has_left(&self, now: &Now) -> Result<bool, Malformed> {
        const HOUR_S: i64 = 3_600;
        const DAY_S: i64 = 86_400;
        let leaves = self.kind.shape().2;
        let ended = |unit_s: i64, keep_s: Option<i64>| {
            let end = Cells::new(self.key, &mut Known::default()).int()?.saturating_add(1).saturating_mul(unit_s);
            Ok(keep_s.is_some_and(|keep_s| end < now.watermark - keep_s))
        };
        match leaves {
            Leaves::Never => Ok(false),
            Leaves::Hour => ended(HOUR_S, now.hours_s),
            Leaves::Day => ended(DAY_S, now.days_s),
            Leaves::Month => {
                let hour = Cells::new(self.key, &mut Known::default()).int()?;
                Ok(hour.saturating_mul(HOUR_S).div_euclid(DAY_S) + MONTH_DAYS < now.watermark.div_euclid(DAY_S))
            }
        }
    }
}

/// Appends the value of two facts of one key together.
pub fn merge(kind: Kind, older: &[u8], newer: &[u8], known: &mut Known, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let Value::Sums(rules) = kind.shape().1 else {
        out.extend_from_slice(newer);
        return Ok(());
    };
    let mut none = Known::default();
    let (mut older, mut newer, mut out) = (Cells::new(older, known), Cells::new(newer, &mut none), Writer(out));
    for rule in rules {
        out = match rule {
            Rule::Add => out.int(older.int()?.wrapping_add(newer.int()?)),
            Rule::Least => out.maybe_int(older.maybe_int()?.into_iter().chain(newer.maybe_int()?).min()),
            Rule::Greatest => out.maybe_int(older.maybe_int()?.max(newer.maybe_int()?)),
            Rule::GreatestName => {
                let names = older.maybe_name()?.into_iter().chain(newer.maybe_name()?);
                out.maybe_name(names.max_by_key(|name| name.as_str()))
            }
            Rule::LatestNaming => out.naming(older.naming()?.into_iter().chain(newer.naming()?).max_by(Naming::order)),
        };
    }
    older.end()?;
    newer.end()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn ada() -> Name {
        Name::of("reddit:ada")
    }

    fn chat() -> MessageId {
        MessageId::topic(Name::of("telegram:-100123"), 0)
    }

    pub(super) fn names(at: i64, message: i64, name: &str) -> Vec<u8> {
        let message = MessageId::telegram(Name::of("telegram:-100123"), message);
        let naming = Naming { at, message, name: Some(Name::of(name)) };
        one(Kind::CommunityNames, |key| key.name(Name::of("telegram:-100123")), |left| left.naming(Some(naming)))
    }

    fn one(
        kind: Kind,
        key: impl for<'a> FnOnce(Writer<'a>) -> Writer<'a>,
        value: impl for<'a> FnOnce(Writer<'a>) -> Writer<'a>,
    ) -> Vec<u8> {
        let mut out = vec![];
        say(kind, key, value, &mut out);
        out
    }

    pub(super) fn users(messages: i64, first: i64, last: i64) -> Vec<u8> {
        one(
            Kind::Users,
            |key| key.name(ada()),
            |left| left.int(messages).int(10 * messages).int(-messages).int(0).maybe_int(Some(first)).maybe_int(Some(last)),
        )
    }

    /// Some of each way to merge, as the golden file has them.
    pub(super) fn some() -> Vec<u8> {
        let conversation = |depth: Option<i64>, community: &str| {
            let community = Name::of(community);
            one(
                Kind::Conversations,
                |key| key.id(chat()),
                |left| left.int(1).int(5).int(0).maybe_int(Some(7)).maybe_int(Some(7)).maybe_int(depth).maybe_name(Some(community)),
            )
        };
        let answer =
            |author: Option<Name>| one(Kind::Answers, |key| key.id(chat()).id(MessageId::comment("c1")), |known| known.maybe_name(author));
        let ended = |comment: &str| {
            let id = MessageId::comment(comment);
            one(Kind::Answers, |key| key.id(chat()).id(id), |ended| ended)
        };
        [
            users(2, 10, 30),
            conversation(Some(3), "telegram:-100123"),
            answer(Some(ada())),
            names(20, 7, ":the old name"),
            users(1, 40, 40),
            conversation(None, "telegram:-100124"),
            ended("c2"),
            answer(None),
            names(20, 12, ":the new name"),
            one(Kind::HourPosters, |key| key.int(-1).name(ada()).name(ada()), |known| known.int(1)),
            one(Kind::UserConversations, |key| key.name(ada()).id(chat()), |value| value),
        ]
        .concat()
    }

    fn golden() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/sums.2.bin")
    }

    /// What was written once must be read, for ever: a new format is a new file beside it.
    #[test]
    fn the_golden_facts_are_what_is_written_and_read() {
        let (mut all, mut sorted) = (Sorted::default(), vec![]);
        all.add(&some()).expect("facts");
        all.facts().expect("facts").for_each(|one| fact(one, &mut sorted));
        if std::env::var_os("EDDY_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(golden(), &sorted).expect("golden facts written");
        }
        let golden = std::fs::read(golden()).expect("golden facts");
        assert_eq!(sorted, golden);
        let (mut rest, mut kinds) = (golden.as_slice(), vec![]);
        while !rest.is_empty() {
            let (fact, after) = split(rest).expect("a fact");
            fact.walk(&mut Known::default(), |_| {}).expect("as its kind says");
            kinds.push(fact.kind);
            rest = after;
        }
        let expected = [Kind::Users, Kind::UserConversations, Kind::Conversations, Kind::Answers, Kind::Answers];
        assert_eq!(kinds, [&expected[..], &[Kind::HourPosters, Kind::CommunityNames]].concat());
    }

    #[test]
    fn a_fact_leaves_with_its_row() {
        let now = |watermark| Now { watermark, hours_s: Some(60), days_s: None };
        let hour = one(Kind::UserHours, |key| key.int(2).name(ada()), |left| left.int(1));
        let left = |bytes: &[u8], watermark| split(bytes).expect("a fact").0.has_left(&now(watermark)).expect("an hour");
        assert!(!left(&hour, 3 * 3_600 + 60) && left(&hour, 3 * 3_600 + 61), "as rows do");
        let week = one(Kind::CommunityWeek, |key| key.int(25).name(ada()), |left| left.int(1));
        assert!(!left(&week, 30 * 86_400 - 1) && left(&week, 30 * 86_400));
        let day = one(Kind::Cohorts, |key| key.int(2).name(ada()), |left| left.int(1).int(0).int(0));
        assert!(!left(&day, i64::MAX), "days stay for ever");
    }

    #[test]
    fn what_a_fact_names_is_met() {
        let (mut met, bytes) = (vec![], some());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (fact, after) = split(rest).expect("a fact");
            fact.walk(&mut Known::default(), |what| met.push(what)).expect("as its kind says");
            rest = after;
        }
        assert_eq!(met.iter().filter(|what| **what == Met::Name(ada())).count(), 6);
        assert!(met.contains(&Met::Id(chat())) && met.contains(&Met::Name(Name::of(":the old name"))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_fact_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok((fact, _)) = split(&bytes) {
                let _ = (fact.walk(&mut Known::default(), |_| {}), fact.route(&mut Known::default()));
                let _ = fact.has_left(&Now { watermark: 0, hours_s: Some(0), days_s: Some(0) });
            }
        }
    }
}
