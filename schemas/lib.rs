//! What eddy reads and says: identities, messages, view rows, and their bytes.
//!
//! ```text
//!   raw bytes --parse--> Parsed { Version, text } --(engine, dataflows)--> Row --cells--> table, JSON, store
//! ```
//!
//! This crate does no I/O and reads no clock. Strings that repeat (users, communities, display names) are interned once
//! per process as a [`Name`]; message and conversation ids are packed into 64 bits ([`MessageId`]). Both are handles of
//! this process: anything that leaves it (tables, stores, other processes) carries their text.

pub mod cells;
pub mod changes;
pub mod codec;
pub mod control;
pub mod frame;
pub mod id;
pub mod name;
pub mod parse;
mod prefetch;
mod room;
pub mod route;
pub mod row;
pub mod rows;
pub mod scrub;
pub mod stored;
pub mod sums;
pub mod version;

pub use changes::{Change, Changes};
pub use id::{ConversationId, MessageId};
pub use name::Name;
pub use prefetch::prefetch;
pub use room::empty;
pub use row::{Cell, Column, Kind, Path, Row, View};
pub use version::{Place, Version};
