//! Keys as people write them, looked up without meeting new names.

use eddy_schemas::{Cell, Column, Kind, MessageId, Name};

use super::problem::{self, Problem};
use crate::telemetry::letters::cut;

/// What a text says in a key column: `None` where nothing here has that key.
pub fn cell(column: &Column, text: &str) -> Result<Option<Cell>, Problem> {
    match column.kind {
        Kind::Int => match text.parse() {
            Ok(n) => Ok(Some(Cell::Int(n))),
            Err(_) => Err(malformed(column, text)),
        },
        Kind::Key | Kind::Display if is_platform_key(text) => Ok(Name::find(text).map(Cell::Key)),
        Kind::Id if is_id(column, text) => Ok(MessageId::find(text).map(Cell::Id)),
        _ => Err(malformed(column, text)),
    }
}

/// How a key of the column looks, for docs and errors.
pub fn form(column: &Column) -> &'static str {
    match (column.kind, column.name) {
        (Kind::Int, _) => "a whole number",
        (Kind::Id, "conversation") => "reddit:t3_ID or telegram:CHAT.TOPIC",
        (Kind::Id, _) => "reddit:t1_ID, reddit:t3_ID or telegram:CHAT:MESSAGE",
        (Kind::Key, "community") => "reddit:SUBREDDIT or telegram:CHAT",
        _ => "reddit:NAME or telegram:ID",
    }
}

/// A key of the column, for the docs.
pub fn example(column: &Column) -> &'static str {
    match (column.kind, column.name) {
        (Kind::Int, _) => "494000",
        (Kind::Id, "conversation") => "reddit:t3_17863",
        (Kind::Id, _) => "reddit:t1_c13",
        (Kind::Key, "community") => "reddit:AskWomen",
        _ => "reddit:spez",
    }
}

fn malformed(column: &Column, text: &str) -> Problem {
    let shown = cut(text, 80);
    problem::KEY.with(format!("{shown:?} is not a {}: it looks like {}", column.name, form(column)))
}

/// Conversations and messages share a kind; a column says by its name which it holds.
fn is_id(column: &Column, text: &str) -> bool {
    if column.name == "conversation" { MessageId::is_conversation_key(text) } else { MessageId::is_message_key(text) }
}

/// `reddit:` and any name, or `telegram:` and a number as Telegram writes it.
fn is_platform_key(text: &str) -> bool {
    if let Some(number) = text.strip_prefix("telegram:") {
        return number.parse::<i64>().is_ok_and(|n| n.to_string() == number);
    }
    text.strip_prefix("reddit:").is_some_and(|name| !name.is_empty())
}
