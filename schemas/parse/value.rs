//! What a field that is read may hold, whoever read it: the scan or serde_json.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{AHEAD_MAX_S, Context, Rejected};

/// Times outside the years 1 to 9999 are in another unit, or no times.
const TIMES: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

/// The value of one field.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Value<'a> {
    #[default]
    Missing,
    Null,
    Bool(bool),
    Int(i64),
    /// Any other number, such as an integer beyond 64 bits.
    Float(f64),
    Text(&'a str),
    Owned(String),
    /// Between the quotes, escapes and all. Of the scan only, in the fields that make the text.
    Raw(&'a str),
    /// An array or an object.
    Other,
}

impl<'a> Value<'a> {
    pub fn is_missing(&self) -> bool {
        matches!(self, Value::Missing | Value::Null)
    }

    /// A string, `None` where it is null, missing or empty; `field` is the dead letter where it is anything else.
    #[inline]
    pub fn string(&self, field: &'static str) -> Result<Option<&str>, Rejected> {
        match self {
            Value::Text("") | Value::Missing | Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Owned(text) => Ok(Some(text)),
            Value::Raw(_) => Err(Rejected::Unclear),
            _ => Err(Rejected::Dead(field)),
        }
    }

    /// A string if that is what it is: for fields that may be anything.
    pub fn any_string(&self) -> Option<&str> {
        self.string("").ok().flatten()
    }

    /// A text to keep.
    pub fn into_text(self, field: &'static str) -> Result<Option<Cow<'a, str>>, Rejected> {
        match self {
            Value::Missing | Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(Cow::Borrowed(text))),
            Value::Owned(text) => Ok(Some(Cow::Owned(text))),
            Value::Raw(_) => Err(Rejected::Unclear),
            _ => Err(Rejected::Dead(field)),
        }
    }

    /// An integer of 64 bits.
    #[inline]
    pub fn int(&self, field: &'static str) -> Result<Option<i64>, Rejected> {
        match self {
            Value::Missing | Value::Null => Ok(None),
            Value::Int(n) => Ok(Some(*n)),
            _ => Err(Rejected::Dead(field)),
        }
    }

    /// Whole seconds since 1970: an integer, a float or a string of one. Fractions are cut towards the past, also before 1970.
    #[inline]
    fn seconds(&self, field: &'static str) -> Result<Option<i64>, Rejected> {
        Ok(Some(match self {
            Value::Missing | Value::Null => return Ok(None),
            Value::Int(n) => *n,
            Value::Float(x) => floor(*x),
            Value::Text(text) => number(text).ok_or(Rejected::Dead(field))?,
            Value::Owned(text) => number(text).ok_or(Rejected::Dead(field))?,
            Value::Raw(_) => return Err(Rejected::Unclear),
            Value::Bool(_) | Value::Other => return Err(Rejected::Dead(field)),
        }))
    }

    /// When something happened to a message.
    #[inline]
    pub fn time(&self, field: &'static str) -> Result<Option<i64>, Rejected> {
        match self.seconds(field)? {
            Some(seconds) if !TIMES.contains(&seconds) => Err(Rejected::Dead(field)),
            seconds => Ok(seconds),
        }
    }

    /// When a message was written.
    #[inline]
    pub fn created(&self, field: &'static str, context: &Context) -> Result<Option<i64>, Rejected> {
        match self.seconds(field)? {
            Some(seconds) if seconds < TIMES.start => Err(Rejected::Dead(field)),
            Some(seconds) if seconds > context.now.saturating_add(AHEAD_MAX_S) => Err(Rejected::Dead("future")),
            seconds => Ok(seconds),
        }
    }
}

/// Saturates; JSON numbers are never NaN.
fn floor(x: f64) -> i64 {
    x.floor() as i64
}

/// A JSON number that fills the string.
fn number(text: &str) -> Option<i64> {
    if !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    match serde_json::from_str(text).ok()? {
        Value::Int(n) => Some(n),
        Value::Float(x) => Some(floor(x)),
        _ => None,
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Any<'a> {
            type Value = Value<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E>(self) -> Result<Value<'a>, E> {
                Ok(Value::Null)
            }
            fn visit_bool<E>(self, b: bool) -> Result<Value<'a>, E> {
                Ok(Value::Bool(b))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Value<'a>, E> {
                Ok(Value::Int(n))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Value<'a>, E> {
                Ok(i64::try_from(n).map_or(Value::Float(n as f64), Value::Int))
            }
            fn visit_f64<E>(self, x: f64) -> Result<Value<'a>, E> {
                Ok(Value::Float(x))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'a>, E> {
                Ok(Value::Text(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Value<'a>, E> {
                Ok(Value::Owned(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'a>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'a>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other)
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
pub(super) struct Key<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Reads an object's entries.
pub(super) trait Entries<'de>: Sized {
    fn read<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

/// Where an object belongs.
#[derive(Debug, Default)]
pub(super) enum Node<T> {
    #[default]
    Missing,
    Null,
    Object(T),
    /// Anything else.
    Other,
}

impl<T> Node<T> {
    /// The object, `None` where it is null or missing; `field` is the dead letter where it is anything else.
    pub fn get(self, field: &'static str) -> Result<Option<T>, Rejected> {
        match self {
            Node::Missing | Node::Null => Ok(None),
            Node::Object(object) => Ok(Some(object)),
            Node::Other => Err(Rejected::Dead(field)),
        }
    }
}

impl<'de, T: Entries<'de>> Deserialize<'de> for Node<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Entries<'de>> Visitor<'de> for Any<T> {
            type Value = Node<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_unit<E>(self) -> Result<Node<T>, E> {
                Ok(Node::Null)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Node<T>, E> {
                Ok(Node::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Node<T>, E> {
                Ok(Node::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Node<T>, E> {
                Ok(Node::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Node<T>, E> {
                Ok(Node::Other)
            }
            fn visit_str<E>(self, _: &str) -> Result<Node<T>, E> {
                Ok(Node::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<T>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Node::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Node<T>, A::Error> {
                T::read(map).map(Node::Object)
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// A struct read from an object: the last of repeated keys counts, other keys are skipped. (serde's derive refuses
/// repeated keys.)
macro_rules! object {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $key:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        struct $name<'a> {
            $($field: $type,)*
        }

        impl<'de: 'a, 'a> $crate::parse::value::Entries<'de> for $name<'a> {
            fn read<A: serde::de::MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
                let mut object = $name::default();
                while let Some(key) = map.next_key::<$crate::parse::value::Key<'de>>()? {
                    match &*key.0 {
                        $($key => object.$field = map.next_value()?,)*
                        _ => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(object)
            }
        }
    };
}
pub(super) use object;
