//! What was asked: a command, a pressed button, or one of a few plain sentences.

use super::update::{Asked, Update};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    Help,
    /// Of a community's key; `None`: of this chat.
    Stats(Option<String>),
    Me,
    Top(Option<String>),
    Sessions,
    Communities,
}

/// Which rule answers: a part of the answer's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    Help,
    Stats,
    Me,
    Top,
    Sessions,
    Communities,
}

/// The question in an update, if it is one for this bot.
pub fn understand(update: &Update, username: &str) -> Option<Question> {
    match &update.asked {
        Asked::Pressed { data, .. } => pressed(data),
        Asked::Said { text } => match text.strip_prefix('/') {
            Some(command) => self::command(command, username),
            None => plain(text),
        },
    }
}

/// The data of a button that asks `question`; at most 64 bytes, or there is no such button.
pub fn data(question: &Question) -> Option<String> {
    let of = |name: &str, key: &Option<String>| key.as_ref().map_or_else(|| name.to_string(), |key| format!("{name} {key}"));
    let data = match question {
        Question::Help => "help".into(),
        Question::Stats(key) => of("stats", key),
        Question::Me => "me".into(),
        Question::Top(key) => of("top", key),
        Question::Sessions => "sessions".into(),
        Question::Communities => "communities".into(),
    };
    (data.len() <= crate::messenger::DATA_BYTES_MAX).then_some(data)
}

fn pressed(data: &str) -> Option<Question> {
    let (name, key) = data.split_once(' ').map_or((data, None), |(name, key)| (name, Some(key.to_string())));
    named(name, key)
}

fn command(text: &str, username: &str) -> Option<Question> {
    if text.starts_with(char::is_whitespace) {
        return None;
    }
    let mut words = text.split_whitespace();
    let head = words.next()?;
    // `/stats@other_bot` is for that one.
    let (name, to) = head.split_once('@').map_or((head, None), |(name, to)| (name, Some(to)));
    if to.is_some_and(|to| !to.eq_ignore_ascii_case(username)) {
        return None;
    }
    let name = name.to_ascii_lowercase();
    named(if name == "start" { "help" } else { &name }, words.next().map(community))
}

/// `r/NAME` and keys name a community.
fn community(word: &str) -> String {
    let name = word.trim_start_matches('/');
    name.strip_prefix("r/").or_else(|| name.strip_prefix("R/")).map_or_else(|| word.to_string(), |name| format!("reddit:{name}"))
}

fn named(name: &str, key: Option<String>) -> Option<Question> {
    Some(match name {
        "help" => Question::Help,
        "stats" => Question::Stats(key),
        "me" => Question::Me,
        "top" => Question::Top(key),
        "sessions" => Question::Sessions,
        "communities" => Question::Communities,
        _ => return None,
    })
}

/// Whole sentences only: a bot that joins in whenever a word fits is a nuisance.
fn plain(text: &str) -> Option<Question> {
    if text.len() > 120 {
        return None;
    }
    let said: String = text.to_lowercase().chars().map(|c| if c.is_alphanumeric() || c == '/' || c == '_' { c } else { ' ' }).collect();
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let top = ["who talks most", "who talks the most", "who writes most", "who writes the most"];
    if let Some(rest) = top.iter().find_map(|start| said.strip_prefix(start)) {
        return match rest.strip_prefix(" in ").unwrap_or(rest) {
            "" | " here" | "here" | " in here" | "this chat" => Some(Question::Top(None)),
            // Names of communities have their case: it is in the text as it was typed.
            place if place.starts_with("r/") && !place.contains(' ') => {
                let at = text.to_ascii_lowercase().find("r/")?;
                let word = text[at..].split_whitespace().next()?.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
                Some(Question::Top(Some(community(word))))
            }
            _ => None,
        };
    }
    Some(match said.as_str() {
        "how many messages"
        | "how many messages here"
        | "how many messages are there"
        | "how busy is it here"
        | "how busy is this chat"
        | "how much is said here" => Question::Stats(None),
        "how much did i write"
        | "how much have i written"
        | "how many messages did i write"
        | "how many messages have i written"
        | "what did i write"
        | "what about me" => Question::Me,
        "when was i here" | "my sessions" | "how long was i here" | "what are my sessions" => Question::Sessions,
        "what can you do" | "who are you" | "are you a bot" | "are you human" | "what do you know" => Question::Help,
        "which communities are there" | "what communities are there" | "which communities do you know" => Question::Communities,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<Question> {
        let asked = Asked::Said { text: text.into() };
        understand(&Update { update_id: 1, chat: 1, topic: None, message_id: 1, user: None, asked }, "eddy_demo_bot")
    }

    #[test]
    fn commands_and_sentences_are_understood_and_nothing_else() {
        assert_eq!(said("/help"), Some(Question::Help));
        assert_eq!(said("/STATS@Eddy_Demo_Bot"), Some(Question::Stats(None)));
        assert_eq!(said("/stats@other_bot"), None);
        assert_eq!(said("/top r/SmallTelescopes"), Some(Question::Top(Some("reddit:SmallTelescopes".into()))));
        assert_eq!(said("Who talks most in r/SmallTelescopes?"), Some(Question::Top(Some("reddit:SmallTelescopes".into()))));
        assert_eq!(said("who talks most here?"), Some(Question::Top(None)));
        assert_eq!(said("Who talks the most?"), Some(Question::Top(None)));
        assert_eq!(said("How much did I write?"), Some(Question::Me));
        assert_eq!(said("When was I here?"), Some(Question::Sessions));
        for silence in ["", "/", "/nope", "hello", "who talks most in my family", "i wonder who talks most", "/ help", "@", "İ/r/"] {
            assert_eq!(said(silence), None, "{silence}");
        }
    }
}
