//! Messages of desktop exports.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../message.rs"]
mod message;

fuzz_target!(|data: &[u8]| message::check(data));
