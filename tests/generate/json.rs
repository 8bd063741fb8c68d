//! JSON, with every way to write it.

use std::fmt::Write as _;

use super::Random;

/// Fields with raw JSON as values.
pub(super) type Fields = Vec<(&'static str, String)>;

pub(super) fn quote(r: &mut Random, s: &str) -> String {
    let mut out = String::from("\"");
    let escape_all = r.chance(30);
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '/' if r.chance(30) => out.push_str("\\/"),
            // Beyond the basic plane that is a pair of surrogates.
            c if (c as u32) < 0x20 || (!c.is_ascii() && (escape_all || r.chance(20))) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub(super) fn object(r: &mut Random, mut fields: Fields) -> String {
    if r.chance(40) {
        r.shuffle(&mut fields);
    }
    let (colon, comma) = r.pick(&[(":", ","), (": ", ", "), (":", ", ")]);
    let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\"{colon}{value}")).collect();
    format!("{{{}}}", fields.join(comma))
}

pub(super) fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}
