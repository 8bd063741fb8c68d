//! What holds of any record of Telegram, an update or a message of an export: it has an outcome, and a version keeps its own promises.

use eddy_schemas::parse::{Context, Parsed, parse, parse_full, text_hash};
use eddy_schemas::{MessageId, Place};

pub fn check(data: &[u8]) {
    let context = Context { place: Place::new(1, 2), received_at_ms: None, now: 1_800_000_000 };
    let parsed = parse(data, &context);
    assert_eq!(parsed, parse_full(data, &context));
    let Parsed::Version(version, text) = parsed else { return };
    assert_eq!(version.place, context.place);
    assert_eq!(text.as_ref().map(|text| text.chars().count()), text.as_ref().map(|_| version.characters as usize));
    assert_eq!(text.as_ref().map(|text| text_hash(text)), version.text_hash);
    assert!(version.created_at.is_some_and(|at| at <= context.now + 86_400) || version.tombstone);
    if version.id.to_string().starts_with("telegram:") {
        assert_eq!(MessageId::parse(&version.id.to_string()), Some(version.id));
        assert_eq!(MessageId::parse(&version.conversation.to_string()), Some(version.conversation));
        assert!(version.community.is_some() && !version.tombstone);
    }
}
