//! Takes a person out of a raw record: what the person wrote goes whole, what others wrote keeps all but what it says of the person.
//!
//! ```text
//!   a record by the person                         -->  {"op":"forgotten"}                  (read as: ignored, `forgotten`)
//!   an answer that carries the person's message    -->  the same, that message without its words and its sender
//!   a record that is no JSON and names the person  -->  {"op":"forgotten"}
//! ```
//!
//! # Invariants
//! 1. A record comes out changed only if it holds the person's key, and then it is a record still: one of the person is ignored, one of
//!    somebody else has the version that it had.
//! 2. What others wrote about the person in their own words stays: [`Person::is_mentioned`] tells.
//! 3. Whoever is mentioned is among those who are [`named`]: so a list that names nobody can be asked what is to be taken out of a record.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::name::{REDDIT, TELEGRAM};

/// What stands where a record of the person stood.
pub const FORGOTTEN: &[u8] = br#"{"op":"forgotten"}"#;

/// Whom to take out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Person {
    /// A Reddit name, in lower case: names are the same without regard to case.
    Reddit(String),
    /// A Telegram user's, channel's or group's number.
    Telegram(i64),
}

impl Person {
    /// Of a user's key, such as `reddit:spez` or `telegram:42`.
    pub fn of(key: &str) -> Option<Person> {
        if let Some(name) = key.strip_prefix(REDDIT) {
            return (!name.is_empty() && name != "[deleted]").then(|| Person::Reddit(name.to_lowercase()));
        }
        let id: i64 = key.strip_prefix(TELEGRAM)?.parse().ok()?;
        Some(Person::Telegram(id))
    }

    /// The key, which is the same for all spellings of a name.
    pub fn key(&self) -> String {
        match self {
            Person::Reddit(name) => format!("{REDDIT}{name}"),
            Person::Telegram(id) => format!("{TELEGRAM}{id}"),
        }
    }

    /// Whether a text has the name or number in it as a word of its own.
    pub fn is_mentioned(&self, text: &[u8]) -> bool {
        match self {
            Person::Reddit(name) => has_word(text, name, |byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            Person::Telegram(id) => {
                let digits = id.unsigned_abs().to_string();
                // Exports write `user42`, and a channel's number without its -100.
                let bare = digits.strip_prefix("100").filter(|bare| *id < 0 && !bare.is_empty());
                [Some(&*digits), bare].into_iter().flatten().any(|digits| has_word(text, digits, |byte| byte.is_ascii_digit()))
            }
        }
    }

    fn is_named(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Person::Reddit(name), Some(Value::String(text))) => text.to_lowercase() == *name,
            (Person::Telegram(id), Some(Value::Number(number))) => number.as_i64() == Some(*id),
            _ => false,
        }
    }

    /// An object that stands for the person: `from`, `sender_chat`, a private `chat`, the user of an entity.
    fn is_party(&self, value: Option<&Value>) -> bool {
        matches!(self, Person::Telegram(_)) && value.is_some_and(|party| self.is_named(party.get("id")))
    }

    /// A message, comment or submission that the person wrote, or that was written to the person alone.
    fn wrote(&self, object: &Map<String, Value>) -> bool {
        match self {
            Person::Reddit(_) => self.is_named(object.get("author")),
            Person::Telegram(_) => {
                // As the parser has it: who a message is sent in the name of comes first, but both are people to be forgotten.
                ["from", "sender_chat", "chat"].iter().any(|party| self.is_party(object.get(*party)))
                    || matches!(self, Person::Telegram(id) if object.get("from_id").and_then(exported) == Some(*id))
            }
        }
    }
}

/// Whether `word` stands in a text, in any case, with no `part` of a word beside it.
fn has_word(text: &[u8], word: &str, part: impl Fn(u8) -> bool) -> bool {
    let word = word.as_bytes();
    let ends = |at: usize| {
        let starts = at.checked_sub(1).is_none_or(|before| !part(text[before]));
        starts && text.get(at + word.len()).is_none_or(|after| !part(*after))
    };
    text.windows(word.len()).enumerate().any(|(at, window)| window.eq_ignore_ascii_case(word) && ends(at))
}

/// A name of Reddit has at most 20.
const NAME_BYTES_MAX: usize = 32;

/// Everybody whom a text may mention: what could be a name of Reddit or a number of Telegram in it. (Names in other letters than Reddit's are not
/// found.)
pub fn named(text: &[u8]) -> BTreeSet<Person> {
    let mut all = BTreeSet::new();
    // An escape may hide a letter of a name.
    let record = memchr::memmem::find(text, b"\\u").and_then(|_| serde_json::from_slice::<Value>(text).ok());
    let plain = record.map(|record| serde_json::to_vec(&record).expect("what was read can be written"));
    for text in [Some(text), plain.as_deref()].into_iter().flatten() {
        names(text, &mut all);
        numbers(text, &mut all);
    }
    all
}

fn names(text: &[u8], all: &mut BTreeSet<Person>) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    for run in text.split(|byte| !is_part(*byte) && *byte != b'-') {
        // A dash may be of a name, or stand beside one.
        let starts = |at: &usize| at.checked_sub(1).is_none_or(|before| !is_part(run[before]));
        let ends = |at: &usize| run.get(*at).is_none_or(|after| !is_part(*after));
        for start in (0..run.len()).filter(starts) {
            for end in (start + 1..=run.len().min(start + NAME_BYTES_MAX)).filter(ends) {
                let name = String::from_utf8_lossy(&run[start..end]).to_ascii_lowercase();
                all.insert(Person::Reddit(name));
            }
        }
    }
}

fn numbers(text: &[u8], all: &mut BTreeSet<Person>) {
    for run in text.split(|byte| !byte.is_ascii_digit()).filter(|run| !run.is_empty()) {
        let digits = String::from_utf8_lossy(run);
        let ids = ["", "-", "-100"].into_iter().filter_map(|sign| format!("{sign}{digits}").parse().ok());
        all.extend(ids.map(Person::Telegram));
    }
}

/// The number in an export's `from_id`: `user42`, `channel42`, or (before 2021) a bare one.
fn exported(from: &Value) -> Option<i64> {
    let Some(from) = from.as_str() else { return from.as_i64() };
    let number = |prefix: &str, sign: &str| from.strip_prefix(prefix).and_then(|digits| format!("{sign}{digits}").parse().ok());
    number("user", "").or_else(|| number("channel", "-100")).or_else(|| number("chat", "-"))
}

/// The record without the person; none where it needs no change.
pub fn scrub(raw: &[u8], person: &Person) -> Option<Vec<u8>> {
    // An escape may hide a letter of a name; few records have one.
    if !person.is_mentioned(raw) && memchr::memmem::find(raw, b"\\u").is_none() {
        return None;
    }
    let Ok(mut record) = serde_json::from_slice::<Value>(raw) else {
        return person.is_mentioned(raw).then(|| FORGOTTEN.to_vec());
    };
    if is_of(&record, person) {
        return Some(FORGOTTEN.to_vec());
    }
    strip(&mut record, person).then(|| serde_json::to_vec(&record).expect("what was read can be written"))
}

/// The key of who wrote a record, as far as a record that may be broken tells.
pub fn author(raw: &[u8]) -> Option<String> {
    let Ok(record) = serde_json::from_slice::<Value>(raw) else {
        let at = memchr::memmem::find(raw, br#""author""#)? + br#""author""#.len();
        let rest = raw[at..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
        let name = std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()?;
        return Some(format!("{REDDIT}{name}"));
    };
    let object = message(&record)?;
    if let Some(name) = object.get("author").and_then(Value::as_str) {
        return Some(format!("{REDDIT}{name}"));
    }
    let id = ["sender_chat", "from"].iter().find_map(|party| object.get(*party)?.get("id")?.as_i64());
    id.or_else(|| exported(object.get("from_id")?)).map(|id| format!("{TELEGRAM}{id}"))
}

/// Whether the record as a whole is the person's: a message of a platform, bare or in its wrapper.
fn is_of(record: &Value, person: &Person) -> bool {
    let of = |object: Option<&Map<String, Value>>| object.is_some_and(|object| person.wrote(object));
    of(record.as_object()) || of(message(record))
}

/// What a record is about: the message itself, bare or in its wrapper (a thing's `data`, an update's only object, an export's message).
fn message(record: &Value) -> Option<&Map<String, Value>> {
    let object = record.as_object()?;
    let inner = match object.get("desktop_export") {
        Some(export) => export.get("message"),
        None if object.contains_key("update_id") => object.values().find(|value| value.is_object()),
        None if object.get("kind").is_some_and(Value::is_string) => object.get("data"),
        None => Some(record),
    };
    inner?.as_object()
}

/// What is left of an object of the person inside another's record: that there was one, and where.
const KEPT: [&str; 8] = ["message_id", "date", "id", "name", "link_id", "parent_id", "kind", "type"];

/// Fields of others' records that name somebody, and that no version is made of.
const NAMING: [&str; 6] = ["link_author", "approved_by", "banned_by", "removed_by", "dest", "user_id"];

/// Takes the person out of everything inside; tells whether there was anything.
fn strip(value: &mut Value, person: &Person) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().fold(false, |found, item| strip(item, person) | found),
        Value::Object(object) if matches!(person, Person::Telegram(_)) && person.is_named(object.get("id")) => {
            object.clear();
            // A number that nobody has: some readers want one.
            object.insert("id".into(), 0.into());
            true
        }
        Value::Object(object) if person.wrote(object) => {
            object.retain(|key, inner| KEPT.contains(&key.as_str()) && !inner.is_object() && !inner.is_array());
            true
        }
        Value::Object(object) => object.iter_mut().fold(false, |found, (key, inner)| {
            if NAMING.contains(&key.as_str()) && person.is_named(Some(inner)) {
                *inner = Value::Null;
                return true;
            }
            strip(inner, person) | found
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
    use crate::parse::{Context, Parsed, parse};

    fn parsed(raw: &[u8]) -> Parsed<'_> {
        parse(raw, &Context { place: Place::default(), received_at_ms: None, now: 1_800_000_000 })
    }

    fn reddit() -> Person {
        Person::of("reddit:Ada_L").expect("a key")
    }

    fn telegram() -> Person {
        Person::of("telegram:4242").expect("a key")
    }

    #[test]
    fn a_record_of_the_person_goes_whole_in_every_wrapper() {
        let comment = r#"{"id":"c1","link_id":"t3_s","subreddit":"r","author":"aDa_l","body":"secret","created_utc":1700000000}"#;
        let message =
            r#"{"message_id":1,"date":1700000000,"chat":{"id":-5,"title":"T"},"from":{"id":4242,"first_name":"Ada"},"text":"secret"}"#;
        let records = [
            (reddit(), comment.to_owned()),
            (reddit(), format!(r#"{{"kind":"t1","data":{comment}}}"#)),
            (reddit(), comment.replace("aDa_l", r"\u0061da_l")),
            (telegram(), format!(r#"{{"update_id":7,"message":{message}}}"#)),
            (
                telegram(),
                format!(r#"{{"update_id":7,"message":{}}}"#, message.replace(r#""from":{"id":4242"#, r#""sender_chat":{"id":4242"#)),
            ),
            (telegram(), r#"{"update_id":7,"callback_query":{"id":"1","from":{"id":4242},"data":"secret"}}"#.into()),
            (
                telegram(),
                r#"{"desktop_export":{"chat":{"id":5,"type":"private_group"},"message":{"id":1,"from_id":"user4242","text":"secret"}}}"#
                    .into(),
            ),
        ];
        for (person, raw) in records {
            let scrubbed = scrub(raw.as_bytes(), &person);
            assert_eq!(scrubbed.as_deref(), Some(FORGOTTEN), "{raw}");
        }
        assert_eq!(parsed(FORGOTTEN), Parsed::Ignored("forgotten".into()));
    }

    #[test]
    fn an_answer_to_the_person_keeps_its_version_and_loses_the_person() {
        let raw = r#"{"update_id":8,"message":{"message_id":2,"date":1700000001,"chat":{"id":-5,"title":"T"},"from":{"id":1,"first_name":"Bob"},
            "text":"no","reply_to_message":{"message_id":1,"date":4242,"chat":{"id":-5},"from":{"id":4242,"first_name":"Ada"},"text":"secret"},
            "entities":[{"type":"text_mention","offset":0,"length":2,"user":{"id":4242,"first_name":"Ada"}}],"contact":{"user_id":4242}}}"#;
        let scrubbed = scrub(raw.as_bytes(), &telegram()).expect("it carries the person");
        let text = String::from_utf8(scrubbed.clone()).expect("JSON is UTF-8");
        assert!(!text.contains("secret") && !text.contains("Ada"), "{text}");
        assert_eq!(parsed(&scrubbed), parsed(raw.as_bytes()));
        assert_eq!(scrub(&scrubbed, &telegram()), None, "{text}");
    }

    #[test]
    fn a_listing_of_others_loses_what_names_the_person() {
        let raw = r#"{"kind":"t1","data":{"id":"c2","link_id":"t3_s","subreddit":"r","author":"bob","body":"ada_l","link_author":"Ada_L","created_utc":1700000000,
            "replies":{"kind":"Listing","data":{"children":[{"kind":"t1","data":{"id":"c3","author":"Ada_L","body":"secret"}}]}}}}"#;
        let scrubbed = scrub(raw.as_bytes(), &reddit()).expect("it carries the person");
        let text = String::from_utf8(scrubbed.clone()).expect("JSON is UTF-8");
        assert!(!text.contains("secret") && !text.contains("Ada_L"), "{text}");
        assert_eq!(parsed(&scrubbed), parsed(raw.as_bytes()));
        assert!(reddit().is_mentioned(&scrubbed), "somebody else's words stay");
    }

    #[test]
    fn what_is_no_json_goes_where_it_names_the_person_and_everything_else_stays() {
        assert_eq!(scrub(br#"{"author":"ada_l","body":"se"#, &reddit()).as_deref(), Some(FORGOTTEN));
        assert_eq!(scrub(br#"{"author":"ada_lovelace","body":"se"#, &reddit()), None);
        assert_eq!(scrub(br#"{"id":"c1","author":"ada_lovelace","body":"ada_l"}"#, &reddit()), None);
        assert_eq!(scrub(br#"{"update_id":4242,"message":{"message_id":4242,"date":4242,"from":{"id":1}}}"#, &telegram()), None);
        assert_eq!(scrub(b"\xff 4242 \xff", &telegram()).as_deref(), Some(FORGOTTEN));
    }

    #[test]
    fn whoever_is_mentioned_is_among_those_who_are_named() {
        let people = ["reddit:Ada_L", "reddit:a-b", "reddit:-a", "telegram:4242", "telegram:-4242", "telegram:-1004242"];
        let people = people.map(|key| Person::of(key).expect("a key"));
        let texts = [
            r#"{"author":"aDa_l","body":"se"#,
            "ada_l",
            "ada_lovelace, x-ada_l-y, u/ADA_L.",
            "a-b c-a-b-d xa-b a-bx -a b-a",
            "user4242 -4242 42420 1004242",
            "\u{e9}ada_l\u{e9}4242",
            "nobody",
            "",
        ];
        for text in texts {
            for person in &people {
                assert_eq!(named(text.as_bytes()).contains(person), person.is_mentioned(text.as_bytes()), "{person:?} in {text}");
            }
        }
        assert!(named(br#"{"author":"\u0061da_l"}"#).contains(&people[0]));
    }

    #[test]
    fn a_record_tells_who_wrote_it_even_where_it_is_broken() {
        let authors = [
            (r#"{"author":"Ada_L","body":"#, Some("reddit:Ada_L")),
            (r#"{"author" : "Ada_L","body":7}"#, Some("reddit:Ada_L")),
            (r#"{"update_id":1,"message":{"from":{"id":7},"sender_chat":{"id":-10042}}}"#, Some("telegram:-10042")),
            (r#"{"desktop_export":{"message":{"from_id":"channel42"}}}"#, Some("telegram:-10042")),
            (r#"{"author":null}"#, None),
            ("[1,2]", None),
            ("nothing", None),
        ];
        authors.into_iter().for_each(|(raw, key)| assert_eq!(author(raw.as_bytes()).as_deref(), key, "{raw}"));
    }

    #[test]
    fn keys_are_of_a_platform() {
        assert_eq!(Person::of("reddit:SPEZ"), Person::of("reddit:spez"));
        assert_eq!(["reddit:", "telegram:x", "spez", "reddit:[deleted]"].map(Person::of), [const { None }; 4]);
        assert_eq!(reddit().key(), "reddit:ada_l");
    }
}
