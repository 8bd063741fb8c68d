//! Cursors of lists: the store's own, bound to the list that it came from.
//!
//! ```text
//!   base64url( scope: 8 bytes | the store's cursor )
//! ```
//!
//! The scope is a hash of the process, the view, the key and the store's cursor, so one that was altered is told. The process is in it because the store's cursors hold handles
//! that mean something else in the next one; then the answer is an error, and never another list's page.

use std::hash::{BuildHasher, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eddy_schemas::View;
use foldhash::fast::FixedState;

use super::problem::{self, Problem};

/// Longer ones are not ours.
const CURSOR_BYTES_MAX: usize = 1024;

/// What cursors of this process are bound to.
pub struct Scope(FixedState);

impl Default for Scope {
    fn default() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        Scope(FixedState::with_seed(nanos ^ u64::from(std::process::id())))
    }
}

impl Scope {
    fn of(&self, view: &View, key: &str, cursor: &[u8]) -> [u8; 8] {
        let mut hasher = self.0.build_hasher();
        hasher.write(view.name.as_bytes());
        hasher.write_u8(0);
        hasher.write(key.as_bytes());
        hasher.write_u8(0);
        hasher.write(cursor);
        hasher.finish().to_be_bytes()
    }

    pub fn write(&self, view: &View, key: &str, cursor: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([&self.of(view, key, cursor)[..], cursor].concat())
    }

    /// The store's cursor.
    pub fn read(&self, view: &View, key: &str, text: &str) -> Result<Vec<u8>, Problem> {
        let bytes = if text.len() <= CURSOR_BYTES_MAX { URL_SAFE_NO_PAD.decode(text).unwrap_or_default() } else { Vec::new() };
        match bytes.split_first_chunk() {
            Some((scope, cursor)) if *scope == self.of(view, key, cursor) => Ok(cursor.to_vec()),
            _ => Err(problem::CURSOR.with(
                "it is not the \"next\" of an earlier page of this list, or eddy has started anew since: begin without a cursor".into(),
            )),
        }
    }
}
