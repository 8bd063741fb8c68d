//! What the members and elements of a document mean, by where they stand.
//!
//! ```text
//!   root, or an element of an array at the root
//!     kind, data{ children|things[ THING ], replies{ Listing } }        a listing, a thing
//!     json{ data{ things[ THING ] } }   any{ kind: Listing, data{ children[ THING ] } }
//!     ok, result[ UPDATE ]                                              an answer of getUpdates
//!     name, type, id, messages[ MESSAGE ]                               a chat export
//!     chats|left_chats{ list[ { name, type, id, messages[ MESSAGE ] } ] }
//! ```
//!
//! Every other value is opaque: it is kept or skipped as bytes. So `crosspost_parent_list`, `reply_to_message` and whatever else holds
//! something like a record stays inside the record it belongs to.

use super::json::Token;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Kind,
    Data,
    Children,
    Replies,
    Ok,
    Result,
    UpdateId,
    Messages,
    Id,
    Type,
    Name,
    Date,
    Chats,
    List,
    Json,
    Crossposts,
    Other,
}

impl Key {
    pub fn of(name: &[u8]) -> Key {
        match name {
            b"kind" => Key::Kind,
            b"data" => Key::Data,
            b"children" | b"things" => Key::Children,
            b"replies" => Key::Replies,
            b"ok" => Key::Ok,
            b"result" => Key::Result,
            b"update_id" => Key::UpdateId,
            b"messages" => Key::Messages,
            b"id" => Key::Id,
            b"type" => Key::Type,
            b"name" => Key::Name,
            b"date" | b"date_unixtime" => Key::Date,
            b"chats" | b"left_chats" => Key::Chats,
            b"list" => Key::List,
            b"json" => Key::Json,
            b"crosspost_parent_list" => Key::Crossposts,
            _ => Key::Other,
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// An array whose elements may be records or hold some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Array {
    /// At the root: of listings, things, answers.
    Top,
    Things,
    Updates,
    Messages,
    Chats,
}

/// Where a value stands that may be a record, hold some, or be the whole document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Root,
    Element(Array),
    Member(Key),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Value(Position),
    /// The object under `data`.
    Data,
    Array(Array),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Unknown,
    Thing,
    Listing,
}

/// What becomes of the value of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descent {
    Opaque,
    /// A scalar that says something about what encloses it.
    Read,
    Into(Role),
}

/// An open value that is looked into.
#[derive(Debug)]
pub(super) struct Frame {
    pub role: Role,
    /// Open containers, itself among them. A scalar counts as one here.
    pub depth: usize,
    /// Open containers where it was deepest, but for what was cut out.
    pub deepest: usize,
    /// Where its text starts.
    pub start: usize,
    pub line: u64,
    pub offset: u64,
    /// It is the document, or the first of a line that begins a record.
    pub begins_line: bool,
    /// The member being read, of an object.
    pub key: Key,
    /// The members it has, as bits.
    seen: u32,
    pub kind: Kind,
    /// Elements so far, of an array.
    pub elements: u64,
    /// It is an envelope: records came out of it, or it is one that happens to be empty.
    pub cut: bool,
    /// The answers to it came out of it.
    pub replies_cut: bool,
    /// An array that had nothing in it makes its owner an envelope by itself.
    pub empty: bool,
    /// It is longer than a record may be: its first bytes; the others are not kept.
    pub over: Option<Vec<u8>>,
}

impl Frame {
    pub fn new(role: Role, depth: usize, deepest: usize, start: usize, line: u64, offset: u64) -> Self {
        Frame {
            role,
            depth,
            deepest,
            start,
            line,
            offset,
            begins_line: role == Role::Value(Position::Root),
            key: Key::Other,
            seen: 0,
            kind: Kind::Unknown,
            elements: 0,
            cut: false,
            replies_cut: false,
            empty: false,
            over: None,
        }
    }

    pub fn see(&mut self, key: Key) {
        self.seen |= key.bit();
    }

    pub fn has(&self, key: Key) -> bool {
        self.seen & key.bit() != 0
    }

    /// Levels of nesting in its text.
    pub fn levels(&self) -> usize {
        self.deepest + 1 - self.depth
    }

    pub fn is_value(&self) -> bool {
        matches!(self.role, Role::Value(_))
    }

    /// Whether it is a record of an envelope, or the part of one that is opaque.
    pub fn is_part_of_envelope(&self) -> bool {
        matches!(self.role, Role::Value(Position::Element(Array::Things | Array::Updates | Array::Messages)))
    }

    pub fn is_thing(&self) -> bool {
        self.kind == Kind::Thing && self.has(Key::Data)
    }

    /// Whether it is a record of the array it stands in.
    pub fn is_record_of(&self, array: Array) -> bool {
        match array {
            Array::Top | Array::Things => self.is_thing(),
            Array::Updates => self.has(Key::UpdateId),
            Array::Messages => self.has(Key::Id) && self.has(Key::Date),
            Array::Chats => false,
        }
    }

    /// Whether it wraps records, if only none of them.
    pub fn is_envelope(&self) -> bool {
        let empty_listing = || self.kind == Kind::Listing || self.role == Role::Value(Position::Member(Key::Json));
        let empty_answer = || self.has(Key::Ok) && self.has(Key::Result);
        let empty_chat = || self.has(Key::Messages) && (self.has(Key::Type) || self.has(Key::Name));
        let empty_chats = || self.role == Role::Value(Position::Member(Key::Chats));
        self.cut || self.empty && (self.has(Key::Data) && empty_listing() || empty_answer() || empty_chat() || empty_chats())
    }

    /// What to do with a value that starts with `token` directly inside this one.
    pub fn descend(&self, token: Token) -> Descent {
        let position = match self.role {
            Role::Array(array) => return Descent::Into(Role::Value(Position::Element(array))),
            Role::Data => {
                return match (self.key, token) {
                    (Key::Children, Token::ArrayOpen) => Descent::Into(Role::Array(Array::Things)),
                    (Key::Replies, Token::ObjectOpen) => Descent::Into(Role::Value(Position::Member(Key::Replies))),
                    _ => Descent::Opaque,
                };
            }
            Role::Value(position) => position,
        };
        let top = matches!(position, Position::Root | Position::Element(Array::Top));
        let chat = top || position == Position::Element(Array::Chats);
        let listing = top || matches!(position, Position::Element(Array::Things) | Position::Member(_));
        // No record says so, but an envelope does that begins where a record is due.
        let record = self.is_part_of_envelope();
        match (self.key, token) {
            (Key::Kind, Token::ScalarOpen) if listing || record => Descent::Read,
            (Key::Data, Token::ObjectOpen) if listing => Descent::Into(Role::Data),
            (Key::Id | Key::Type | Key::Name, Token::ScalarOpen) if chat => Descent::Read,
            (Key::Messages, Token::ArrayOpen) if chat => Descent::Into(Role::Array(Array::Messages)),
            (Key::Ok, Token::ScalarOpen) if top || record => Descent::Read,
            (Key::Result, Token::ArrayOpen) if top => Descent::Into(Role::Array(Array::Updates)),
            (Key::List, Token::ArrayOpen) if position == Position::Member(Key::Chats) => Descent::Into(Role::Array(Array::Chats)),
            (Key::Crossposts, _) => Descent::Opaque,
            (key, Token::ObjectOpen) if top => Descent::Into(Role::Value(Position::Member(key))),
            _ => Descent::Opaque,
        }
    }
}
