//! The full parse: serde_json, every shape.

use memchr::memchr2;
use serde::de::{IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use super::reddit::{Fields, Thing};
use super::value::{Entries, Key, Node, Value};
use super::{Context, DEPTH_MAX, Parser, Read, Rejected, export, reddit, telegram};

/// What the outermost object may hold. Objects inside are kept as they stand until the shape is known: in a shape that does
/// not read them they may be anything.
#[derive(Default)]
struct Top<'a> {
    fields: Fields<'a>,
    kind: Value<'a>,
    data: Option<&'a RawValue>,
    desktop_export: Option<&'a RawValue>,
    update_id: Value<'a>,
    update: telegram::Update<'a>,
}

impl<'de: 'a, 'a> Entries<'de> for Top<'a> {
    fn read<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut top = Top::default();
        while let Some(Key(key)) = map.next_key()? {
            if let Some(field) = top.fields.field(&key) {
                *field = map.next_value()?;
                continue;
            }
            match &*key {
                "_meta" => {
                    top.fields.retrieved_2nd_on = match map.next_value()? {
                        Node::Object(Meta { retrieved_2nd_on }) => retrieved_2nd_on,
                        _ => Value::Missing,
                    }
                }
                "kind" => top.kind = map.next_value()?,
                "data" => top.data = Some(map.next_value()?),
                "desktop_export" => top.desktop_export = Some(map.next_value()?),
                "update_id" => top.update_id = map.next_value()?,
                key => match telegram::Update::kind(key) {
                    Some(kind) => top.update.set(kind, map.next_value()?),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                },
            }
        }
        Ok(top)
    }
}

super::value::object!(
    /// What Arctic Shift adds to a record.
    Meta { retrieved_2nd_on: Value<'a> = "retrieved_2nd_on" }
);

/// Reads one record of any shape.
pub(super) fn read<'a>(line: &'a str, context: &Context, parser: &mut Parser) -> Read<'a> {
    if is_too_deep(line.as_bytes()) {
        return Err(Rejected::Dead("too_deep"));
    }
    let Node::Object(mut top) = json::<Node<Top>>(line)? else { return Err(Rejected::Dead("shape")) };
    if let Some(export) = top.desktop_export.filter(|raw| is_object(raw)) {
        return export::read(export.get(), context);
    }
    if let (Some(kind), Some(data)) = (top.kind.any_string(), top.data.filter(|raw| is_object(raw))) {
        let thing = thing(kind)?;
        let Node::Object(mut data) = json::<Node<Top>>(data.get())? else { return Err(Rejected::Dead("shape")) };
        return reddit::read(Some(thing), &mut data.fields, context, parser);
    }
    match top.update_id.int("update_id")? {
        Some(id) => telegram::read(id, &top.update, context, parser),
        None => reddit::read(None, &mut top.fields, context, parser),
    }
}

pub(super) fn json<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Rejected> {
    serde_json::from_str(text).map_err(|_| Rejected::Dead("json"))
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// What a listing's `kind` says of its `data`.
fn thing(kind: &str) -> Result<Thing, Rejected> {
    Err(match kind {
        "t1" => return Ok(Thing::Comment),
        "t3" => return Ok(Thing::Submission),
        "t2" => Rejected::Ignored("kind:t2"),
        "t4" => Rejected::Ignored("kind:t4"),
        "t5" => Rejected::Ignored("kind:t5"),
        "t6" => Rejected::Ignored("kind:t6"),
        "more" => Rejected::Ignored("kind:more"),
        "Listing" => Rejected::Ignored("kind:Listing"),
        _ => Rejected::Dead("kind"),
    })
}

/// Brackets open at once, outside strings. Looks at every byte only where there are enough brackets to matter.
fn is_too_deep(line: &[u8]) -> bool {
    // `[` and `{` differ in one bit. Sums of bytes, 192 at a time, are what the compiler makes wide instructions of.
    let open = |bytes: &[u8]| usize::from(bytes.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>());
    if line.chunks(192).map(open).sum::<usize>() <= DEPTH_MAX {
        return false;
    }
    let (mut depth, mut at) = (0, 0);
    while at < line.len() {
        match line[at] {
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(line, at + 1),
            _ => {}
        }
        at += 1;
    }
    false
}

/// The place of the quote that ends the string, or the line's end.
fn string_end(line: &[u8], mut at: usize) -> usize {
    while let Some(found) = line.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if line[at] == b'"' {
            return at;
        }
        at += 2;
    }
    line.len()
}
