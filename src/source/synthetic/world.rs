//! Who and where: the communities, users and ids of the synthetic world, all derived from small numbers.
//!
//! ```text
//!   message       0 ..                     of the generator: reddit:t1_/t3_(first_id + n), telegram:CHAT:(n + 1000)
//!                 SANDBOX ..               typed by people: telegram:CHAT:(n - SANDBOX)
//!   conversation  number of a submission   reddit:t3_...
//!                 TOPICS + 16 c + t        topic t of chat c
//!   user          0 .. users               Reddit;  users .. 2 users  Telegram;  2 users ..  people of the sandbox
//! ```
//!
//! No string is kept per message or user: numbers become texts here, and texts numbers again.

/// Messages typed by people start here.
pub const SANDBOX: u32 = 0xC000_0000;
/// Conversations of chats start here.
pub const TOPICS: u32 = 0xF000_0000;
/// No user, no parent.
pub const NONE: u32 = u32::MAX;
/// Telegram message ids of the generator are its numbers plus this: below it are the messages that made the topics.
const FIRST_MESSAGE_ID: i64 = 1000;
const FIRST_USER_ID: i64 = 5_100_000_000;
const FIRST_PERSON_ID: i64 = 9_000_000_001;

#[derive(Clone, Debug)]
pub enum Kind {
    Subreddit,
    /// Topics by `message_thread_id`; 0 is the chat itself.
    Chat {
        id: i64,
        topics: Vec<i64>,
    },
}

#[derive(Clone, Debug)]
pub struct Community {
    /// `reddit:NAME` or `telegram:CHAT`.
    pub key: String,
    /// What to call it: the name, the chat's title.
    pub title: String,
    pub kind: Kind,
    /// Its share of the traffic, relative to the others; 0: nothing is generated here.
    pub weight: f64,
}

/// Everything that does not change.
#[derive(Clone, Debug)]
pub struct World {
    pub communities: Vec<Community>,
    /// Users of each platform.
    pub users: u32,
    /// Reddit's ids count from here.
    pub first_id: u64,
    /// The community where people type, if there is one.
    pub sandbox: Option<u8>,
}

const SUBREDDITS: [(&str, f64); 4] =
    [("SmallTelescopes", 3.0), ("slow_cooking_club", 5.0), ("HomeNetworkers", 2.0), ("riverside_gardens", 1.0)];
const CHATS: [(i64, &str, &[i64], f64); 2] =
    [(-1_001_000_000_001, "Riverside Cyclists 🚲", &[0], 3.0), (-1_001_000_000_002, "Static Site Builders", &[0, 11, 42], 2.0)];
/// The chat where people type.
pub const SANDBOX_CHAT: i64 = -1_009_000_000_001;
pub const SANDBOX_TITLE: &str = "eddy sandbox";

impl Default for World {
    fn default() -> Self {
        World::new(20_000)
    }
}

impl World {
    /// Four subreddits, two chats and the sandbox, with `users` users on each platform.
    pub fn new(users: u32) -> World {
        assert!((1..1 << 28).contains(&users), "1 to 2^28 users");
        let subreddits = SUBREDDITS.iter().map(|(name, weight)| Community {
            key: format!("reddit:{name}"),
            title: (*name).into(),
            kind: Kind::Subreddit,
            weight: *weight,
        });
        let chat = |id: i64, title: &str, topics: &[i64], weight| Community {
            key: format!("telegram:{id}"),
            title: title.into(),
            kind: Kind::Chat { id, topics: topics.to_vec() },
            weight,
        };
        let chats = CHATS.iter().map(|(id, title, topics, weight)| chat(*id, title, topics, *weight));
        let mut communities: Vec<_> = subreddits.chain(chats).collect();
        communities.push(chat(SANDBOX_CHAT, SANDBOX_TITLE, &[0], 0.0));
        let sandbox = Some(communities.len() as u8 - 1);
        World { communities, users, first_id: 2_000_000_000, sandbox }
    }

    pub fn community(&self, number: u8) -> &Community {
        &self.communities[usize::from(number)]
    }

    /// `t1_` or `t3_` and the id.
    pub fn fullname(&self, message: u32, submission: bool) -> String {
        let mut text = String::from(if submission { "t3_" } else { "t1_" });
        base36(self.first_id + u64::from(message), &mut text);
        text
    }

    /// The id of a message in its chat.
    pub fn message_id(&self, message: u32) -> i64 {
        if message >= SANDBOX { i64::from(message - SANDBOX) } else { i64::from(message) + FIRST_MESSAGE_ID }
    }

    /// The key of a message.
    pub fn message_key(&self, message: u32, community: u8, submission: bool) -> String {
        match self.community(community).kind {
            Kind::Subreddit => format!("reddit:{}", self.fullname(message, submission)),
            Kind::Chat { id, .. } => format!("telegram:{id}:{}", self.message_id(message)),
        }
    }

    /// The number that a message's key stands for; whether there is such a message is another question.
    pub fn message_number(&self, key: &str) -> Option<u32> {
        if let Some(name) = key.strip_prefix("reddit:t1_").or_else(|| key.strip_prefix("reddit:t3_")) {
            let number = u64::from_str_radix(name, 36).ok()?.checked_sub(self.first_id)?;
            return u32::try_from(number).ok().filter(|n| *n < SANDBOX);
        }
        let (chat, id) = key.strip_prefix("telegram:")?.split_once(':')?;
        let (chat, id) = (chat.parse::<i64>().ok()?, id.parse::<i64>().ok()?);
        let number = if self.is_sandbox(chat) { id.checked_add(i64::from(SANDBOX))? } else { id.checked_sub(FIRST_MESSAGE_ID)? };
        u32::try_from(number).ok().filter(|n| (*n >= SANDBOX) == self.is_sandbox(chat) && *n < TOPICS)
    }

    fn is_sandbox(&self, chat: i64) -> bool {
        self.sandbox.is_some_and(|at| matches!(self.community(at).kind, Kind::Chat { id, .. } if id == chat))
    }

    /// The number of a topic's conversation.
    pub fn topic(community: u8, topic: usize) -> u32 {
        assert!(topic < 16, "at most 16 topics a chat");
        TOPICS + u32::from(community) * 16 + topic as u32
    }

    /// The community and `message_thread_id` of a topic's conversation.
    pub fn topic_of(&self, conversation: u32) -> Option<(u8, i64)> {
        let at = conversation.checked_sub(TOPICS)?;
        let community = u8::try_from(at / 16).ok()?;
        match &self.communities.get(usize::from(community))?.kind {
            Kind::Chat { topics, .. } => Some((community, *topics.get(at as usize % 16)?)),
            Kind::Subreddit => None,
        }
    }

    /// The conversations of chats.
    pub fn topics(&self) -> impl Iterator<Item = u32> + '_ {
        self.communities.iter().enumerate().flat_map(|(c, community)| {
            let topics = match &community.kind {
                Kind::Chat { topics, .. } => topics.len(),
                Kind::Subreddit => 0,
            };
            (0..topics).map(move |t| World::topic(c as u8, t))
        })
    }

    /// The key of a conversation.
    pub fn conversation_key(&self, conversation: u32) -> String {
        match self.topic_of(conversation) {
            Some((community, topic)) => format!("{}.{topic}", self.community(community).key),
            None => format!("reddit:{}", self.fullname(conversation, true)),
        }
    }

    /// The number that a conversation's key stands for.
    pub fn conversation_number(&self, key: &str) -> Option<u32> {
        if key.starts_with("reddit:t3_") {
            return self.message_number(key);
        }
        self.topics().find(|c| self.conversation_key(*c) == key)
    }

    /// Telegram's number of a user.
    pub fn user_id(&self, user: u32) -> i64 {
        if user >= 2 * self.users { FIRST_PERSON_ID + i64::from(user - 2 * self.users) } else { FIRST_USER_ID + i64::from(user) * 97 }
    }

    /// The user number of a person of the sandbox.
    pub fn person(&self, user_id: i64) -> Option<u32> {
        user_id
            .checked_sub(FIRST_PERSON_ID)
            .and_then(|n| u32::try_from(n).ok())
            .and_then(|n| n.checked_add(2 * self.users))
            .filter(|n| *n != NONE)
    }

    /// Telegram's number of the `n`th person of the sandbox.
    pub fn person_id(n: u32) -> i64 {
        FIRST_PERSON_ID + i64::from(n)
    }

    /// The key of a user.
    pub fn user_key(&self, user: u32) -> String {
        if user < self.users { format!("reddit:{}", reddit_name(user)) } else { format!("telegram:{}", self.user_id(user)) }
    }

    /// The number that a user's key stands for.
    pub fn user_number(&self, key: &str) -> Option<u32> {
        let user = if let Some(name) = key.strip_prefix("reddit:") {
            let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            name[name.len() - digits..].parse().ok()?
        } else {
            let id = key.strip_prefix("telegram:")?.parse::<i64>().ok()?;
            match self.person(id) {
                Some(user) => user,
                None => u32::try_from(id.checked_sub(FIRST_USER_ID)? / 97).ok()?,
            }
        };
        (self.user_key(user) == key).then_some(user)
    }

    /// A Telegram user as they name themselves: username, first and last name.
    pub fn telegram_names(&self, user: u32, renamed: bool) -> (Option<String>, &'static str, Option<&'static str>) {
        let first = FIRST[user as usize % FIRST.len()];
        let last = (!user.is_multiple_of(3)).then(|| LAST[(user / 7) as usize % LAST.len()]);
        let username = (user % 5 < 3).then(|| {
            let mut name = format!("{}_{user}", first.to_lowercase());
            if renamed {
                name.push_str("_new");
            }
            name
        });
        (username, if renamed { "Renamed" } else { first }, last)
    }

    /// What to call a user (`interface.md`, `user_names`). People of the sandbox are not known here.
    pub fn display(&self, user: u32, renamed: bool) -> String {
        if user < self.users {
            return reddit_name(user);
        }
        match self.telegram_names(user, renamed) {
            (Some(username), ..) => format!("@{username}"),
            (None, first, Some(last)) => format!("{first} {last}"),
            (None, first, None) => first.to_string(),
        }
    }

    /// Says of itself that it is a program.
    pub fn is_bot(user: u32) -> bool {
        user % 499 == 498
    }
}

fn reddit_name(user: u32) -> String {
    let (a, b) = (ADJECTIVES[user as usize % ADJECTIVES.len()], NOUNS[(user / 31) as usize % NOUNS.len()]);
    match user % 3 {
        0 => format!("{a}_{b}_{user}"),
        1 => format!("{}-{b}{user}", a.to_lowercase()),
        _ => format!("{a}{b}{user}"),
    }
}

fn base36(mut n: u64, out: &mut String) {
    let (mut digits, mut at) = ([0u8; 13], 13);
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(n % 36) as usize];
        n /= 36;
        if n == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|d| char::from(*d)));
}

const ADJECTIVES: [&str; 16] = [
    "Quiet", "Amber", "Rusty", "Gentle", "Hollow", "Early", "Salty", "Brisk", "Paper", "Lunar", "Mellow", "Odd", "Plain", "Tidy", "Wry",
    "Zesty",
];
const NOUNS: [&str; 16] = [
    "Otter", "Lantern", "Kettle", "Finch", "Harbor", "Pixel", "Walnut", "Comet", "Ladder", "Meadow", "Needle", "Quartz", "Raven", "Spoon",
    "Tulip", "Vale",
];
const FIRST: [&str; 14] =
    ["Ada", "Boris", "Chloé", "Дарья", "Emil", "Fatima", "Goran", "Hana", "Иван", "José", "Kofi", "Lin", "Mira", "Noor"];
const LAST: [&str; 11] =
    ["Abbott", "Brandt", "Castillo", "Дмитриев", "Eriksen", "Fischer", "Guzmán", "Hughes", "Ito", "Jansen", "Kowalska"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_texts_and_numbers_again() {
        let world = World::new(1000);
        for user in (0..2003).step_by(7) {
            assert_eq!(world.user_number(&world.user_key(user)), Some(user), "{}", world.user_key(user));
        }
        for message in [0, 1, 35, 36, 1_000_000, SANDBOX - 1] {
            for community in 0..6 {
                assert_eq!(world.message_number(&world.message_key(message, community, false)), Some(message));
            }
            assert_eq!(world.conversation_number(&world.conversation_key(message)), Some(message));
        }
        assert_eq!(world.message_number(&world.message_key(SANDBOX + 5, 6, false)), Some(SANDBOX + 5));
        for topic in world.topics() {
            assert_eq!(world.conversation_number(&world.conversation_key(topic)), Some(topic));
        }
        for strange in ["reddit:ghost", "reddit:spez1", "telegram:1", "telegram:x", "reddit:t3_", "reddit:t1_é", ""] {
            assert_eq!((world.user_number(strange), world.message_number(strange)), (None, None), "{strange}");
        }
    }
}
