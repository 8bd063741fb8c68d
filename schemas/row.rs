//! What a view's rows are made of, described once, so that stores, tables, HTTP and docs need not name a view.
//!
//! ```text
//!   rows.rs: row! { Users "users" ... }  -->  struct UsersKey, struct Users, and a View: names, kinds, path, definitions
//! ```

use serde::Serialize;

use crate::{ConversationId, MessageId, Name, Place};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A whole number; its unit is in the column's name or definition.
    Int,
    /// A user or community key, such as `reddit:spez`.
    Key,
    /// A name for people: the part after the platform.
    Display,
    /// A message's or conversation's key.
    Id,
    /// The text of a message, read from the log.
    Text,
}

/// One field of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cell {
    Null,
    Int(i64),
    Key(Name),
    Display(Name),
    Id(MessageId),
    Text(Place),
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub nullable: bool,
    /// One sentence: what it counts.
    pub means: &'static str,
}

/// Where a view is read over HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Path {
    /// `/v1/<0>/{key}`: one row.
    One(&'static str),
    /// `/v1/<0>/{key}/<1>`: the rows whose first key column is `key`.
    Many(&'static str, &'static str),
    /// Not by itself: as any other, through `/v1/views/<name>`, `POST /v1/batch` and `eddy show`.
    Unlisted,
}

/// A view as the outside sees it.
#[derive(Debug)]
pub struct View {
    pub name: &'static str,
    /// What its rows are, in a sentence.
    pub means: &'static str,
    pub key: &'static [Column],
    pub columns: &'static [Column],
    pub path: Path,
}

impl View {
    /// Key columns, then the others.
    pub fn all_columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.key.iter().chain(self.columns)
    }
}

/// A row of one view.
pub trait Row: Copy + PartialEq + 'static {
    type Key: Copy + Ord + std::hash::Hash + 'static;
    const VIEW: &'static View;
    fn key_cells(key: &Self::Key, out: &mut Vec<Cell>);
    fn cells(&self, out: &mut Vec<Cell>);
}

/// A Rust type that can stand in a column.
pub trait Field: Copy {
    const KIND: Kind;
    const NULLABLE: bool = false;
    fn cell(self) -> Cell;
}

/// A name for people, of a user or community.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Display(pub Name);

macro_rules! field {
    ($type:ty, $kind:ident, |$x:ident| $cell:expr) => {
        impl Field for $type {
            const KIND: Kind = Kind::$kind;
            fn cell(self) -> Cell {
                let $x = self;
                $cell
            }
        }
    };
}
field!(i64, Int, |x| Cell::Int(x));
field!(u32, Int, |x| Cell::Int(i64::from(x)));
field!(Name, Key, |x| Cell::Key(x));
field!(Display, Display, |x| Cell::Display(x.0));
field!(ConversationId, Id, |x| Cell::Id(x));
field!(Place, Text, |x| Cell::Text(x));

impl<F: Field> Field for Option<F> {
    const KIND: Kind = F::KIND;
    const NULLABLE: bool = true;
    fn cell(self) -> Cell {
        self.map_or(Cell::Null, F::cell)
    }
}

/// Declares a view's row: the key's struct, the row's struct, and their description.
#[macro_export]
macro_rules! row {
    (
        $(#[doc = $doc:literal])+
        $Row:ident $Key:ident $name:literal at $path:expr;
        key { $( $(#[doc = $kdoc:literal])+ $key:ident: $ktype:ty, )+ }
        columns { $( $(#[doc = $cdoc:literal])+ $column:ident: $ctype:ty, )+ }
    ) => {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $Key { $( $(#[doc = $kdoc])+ pub $key: $ktype, )+ }

        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $Row { $( $(#[doc = $cdoc])+ pub $column: $ctype, )+ }

        impl $crate::row::Row for $Row {
            type Key = $Key;
            const VIEW: &'static $crate::row::View = &$crate::row::View {
                name: $name,
                means: concat!($($doc),+),
                key: &[ $( $crate::row::column::<$ktype>(stringify!($key), concat!($($kdoc),+)), )+ ],
                columns: &[ $( $crate::row::column::<$ctype>(stringify!($column), concat!($($cdoc),+)), )+ ],
                path: $path,
            };
            fn key_cells(key: &$Key, out: &mut Vec<$crate::row::Cell>) {
                $( out.push($crate::row::Field::cell(key.$key)); )+
            }
            fn cells(&self, out: &mut Vec<$crate::row::Cell>) {
                $( out.push($crate::row::Field::cell(self.$column)); )+
            }
        }
    };
}

/// Describes a column of type `F`; for [`row!`].
pub const fn column<F: Field>(name: &'static str, means: &'static str) -> Column {
    Column { name, kind: F::KIND, nullable: F::NULLABLE, means }
}
