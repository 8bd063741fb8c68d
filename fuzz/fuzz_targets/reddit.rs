//! The scan against the full parse: fresh, and through a parser that remembers the records before.

#![no_main]

use std::cell::RefCell;

use eddy_schemas::Place;
use eddy_schemas::parse::{Context, Parsed, Parser, parse, parse_full, parse_scan};
use libfuzzer_sys::fuzz_target;

thread_local! {
    static PARSER: RefCell<Parser> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let context = Context { place: Place::new(1, 2), received_at_ms: Some(1_700_000_000_000), now: 1_800_000_000 };
    PARSER.with_borrow_mut(|parser| {
        for raw in data.split(|byte| *byte == b'\n') {
            let full = parse_full(raw, &context);
            assert_eq!(parse(raw, &context), full);
            if let Some(scanned) = parse_scan(raw, &context) {
                assert_eq!(scanned, full);
            }
            // Once as the records before have it, and again with what this one taught.
            for _ in 0..3 {
                assert_eq!(parser.parse(raw, &context), full);
                let text = match &full {
                    Parsed::Version(_, text) => text.as_deref(),
                    Parsed::Ignored(_) | Parsed::Dead(_) => None,
                };
                assert_eq!(parser.text(raw, &context).as_deref(), text);
            }
        }
    });
});
