//! Telegram's: versions of messages as updates, and their rivals.

use super::json::{Fields, object, quote};
use super::{ANSWERED_S, DAY, Generator, NOW, Random, START};

#[derive(Clone)]
pub(super) struct Telegram {
    pub(super) chat: usize,
    pub(super) message: i64,
    topic: i64,
    pub(super) update: i64,
    pub(super) date: i64,
    pub(super) edit_date: Option<i64>,
    from: Option<String>,
    sender_chat: Option<String>,
    /// Raw JSON of reply_to_message.
    reply: Option<String>,
    /// Name and raw JSON of what it holds.
    pub(super) content: (&'static str, String),
    pub(super) caption: Option<String>,
    title: Option<String>,
}

struct Chat {
    id: i64,
    kind: &'static str,
}

const CHATS: &[Chat] = &[
    Chat { id: -1001234567890, kind: "supergroup" },
    Chat { id: -4017, kind: "group" },
    Chat { id: -1009876543210, kind: "channel" },
    Chat { id: -1001234567891, kind: "supergroup" },
];
/// No title, so only where `open` says so.
const PRIVATE_CHAT: Chat = Chat { id: 7_000_000_001, kind: "private" };

impl Generator<'_> {
    fn chat(&self, i: usize) -> &'static Chat {
        CHATS.get(i).unwrap_or(&PRIVATE_CHAT)
    }

    fn chats(&self) -> usize {
        CHATS.len() + usize::from(self.shape.open)
    }

    /// Ids of one width, so that the order of their numbers is the order of their text.
    fn message_id(&mut self) -> i64 {
        let first = if self.shape.open { 7 } else { 100_000 };
        first + self.r.below((self.shape.messages / 4).clamp(4, 800_000)) as i64
    }

    /// A person as they are called now: names change every few updates.
    fn person(&mut self, i: usize) -> String {
        let era = (self.update - 500_000) / 9;
        let id = [41, 7_000_000_001, 1 << 40, 42, 900_000_000][i % 5] + (i / 5 * 5) as i64;
        let r = &mut self.r;
        let mut f: Fields = vec![("id", id.to_string()), ("is_bot", "false".into())];
        let first = ["Ann", "Bo\tb", "Zoë 😀", "李"][(i + era as usize) % 4];
        f.push(("first_name", quote(r, first)));
        if (i as i64 + era) % 3 != 0 {
            f.push(("last_name", quote(r, ["Lee", "O'Hara", "ß"][era as usize % 3])));
        }
        if (i as i64 + era / 2) % 2 == 0 {
            f.push(("username", quote(r, &format!("user{i}_{}", era % 4))));
        }
        object(r, f)
    }

    /// What never changes about a message comes from its ids: its user, its time, and what is drawn next.
    fn sent(&self, chat: usize, message: i64) -> (Random, usize, i64) {
        let mut born = Random(self.seed << 40 ^ (chat as u64) << 32 ^ message as u64);
        let user = born.below(self.shape.users);
        let slot = born.below(self.shape.slots) as i64;
        let slot = if slot % 2 == 0 { slot / 2 } else { 47 - slot / 2 };
        let mut date = START + born.pick(self.days()) * DAY + slot * 1_800;
        if !self.shape.open {
            // Each chat has seconds of its own: no two messages of different chats at the same time,
            // where which is "the greatest id" would be open.
            date += chat as i64 + born.pick(&[0, 0, 0, 4]);
        }
        (born, user, date)
    }

    /// The next version of some message: as it was sent, or an edit.
    pub(super) fn telegram(&mut self) -> Telegram {
        let chats = self.chats();
        let chat = self.r.below(chats);
        let message = self.message_id();
        let (mut born, user, mut date) = self.sent(chat, message);
        // The first of each four is a post, the others answer it.
        let post = message - message % 4;
        let answers = self.shape.questions && message != post;
        if answers {
            let at = self.sent(chat, post).2 + born.pick(&ANSWERED_S);
            date = if at <= NOW { at } else { date };
        }
        self.update += 1;
        let era = (self.update - 500_000) / 11;
        let channel = self.chat(chat).kind == "channel";
        let topics = chat == 0;
        let mut topic = if topics { born.pick(&[0, 0, 3, 3, 900]) } else { 0 };
        if topics && self.r.chance(4) {
            topic = 3; // a version that names another conversation
        }
        let title = (self.chat(chat).kind != "private").then(|| format!("Chat {chat}.{}", era % 3));
        let mut v = Telegram {
            chat,
            message,
            topic,
            update: self.update,
            date,
            edit_date: None,
            from: None,
            sender_chat: None,
            reply: None,
            content: ("text", String::new()),
            caption: None,
            title,
        };
        if !channel || self.r.chance(10) {
            v.from = Some(self.person(user));
        }
        if (channel && born.chance(50)) || (!channel && born.chance(8)) {
            let id = self.chat(chat).id;
            let title = format!("As chat {}", era % 3);
            let mut f: Fields = vec![("id", id.to_string()), ("title", quote(&mut self.r, &title))];
            f.push(("type", "\"channel\"".into()));
            // OPEN: the name of a sender_chat without a username.
            if !self.shape.open || self.r.chance(50) {
                f.push(("username", quote(&mut self.r, &format!("chat{chat}_{}", era % 2))));
            }
            v.sender_chat = Some(object(&mut self.r, f));
        }
        if answers && self.r.chance(90) {
            v.reply = Some(self.reply(post, chat));
        } else if born.chance(if self.shape.questions { 10 } else { 60 }) {
            let to = match self.r.below(12) {
                0 => message,
                1 => 999_999,
                _ if self.shape.chains => message - 1,
                2 => self.message_id(),
                _ => message - 1 - born.below(5) as i64,
            };
            v.reply = Some(self.reply(to, chat));
        } else if topic != 0 {
            // Telegram's own reply to what made the topic.
            v.reply =
                Some(format!("{{\"message_id\":{topic},\"date\":{date},\"forum_topic_created\":{{\"name\":\"t\",\"icon_color\":1}}}}"));
        }
        (v.content, v.caption) = self.content();
        if self.r.chance(45) {
            v.edit_date = Some(date + self.r.pick(&[0, 60, 60, 3_600, DAY]));
        }
        v
    }

    /// A message inside a message is no record.
    fn reply(&mut self, to: i64, chat: usize) -> String {
        let id = self.chat(chat).id;
        let text = self.text();
        let text = quote(&mut self.r, &text);
        format!(
            "{{\"message_id\":{to},\"date\":1650000000,\"chat\":{{\"id\":{id}}},\"from\":{{\"id\":5,\"first_name\":\"inside\"}},\"text\":{text}}}"
        )
    }

    fn content(&mut self) -> ((&'static str, String), Option<String>) {
        let mut text = self.text();
        if text.is_empty() {
            text.push('.');
        }
        let text = quote(&mut self.r, &text);
        match self.r.below(8) {
            0 => (("photo", "[{\"file_id\":\"f\"}]".into()), Some(text)),
            1 => (("sticker", "{\"file_id\":\"f\",\"emoji\":\"😀\"}".into()), None),
            2 => {
                let poll = format!("{{\"id\":\"1\",\"question\":{text},\"options\":[]}}");
                (("poll", poll), None)
            }
            _ => (("text", text), None),
        }
    }

    pub(super) fn telegram_rivals(&mut self, v: &Telegram, lines: &mut Vec<String>) {
        while self.r.chance(self.shape.ties) && lines.len() < self.shape.records {
            let mut rival = v.clone();
            match self.r.below(4) {
                0 | 1 => (rival.content, rival.caption) = self.content(),
                2 => {
                    let to = self.message_id();
                    rival.reply = Some(self.reply(to, v.chat));
                }
                _ => rival.reply = None,
            }
            let line = self.update(&rival);
            lines.push(line);
        }
    }

    pub(super) fn message(&mut self, v: &Telegram) -> String {
        let chat = self.chat(v.chat);
        let mut c: Fields = vec![("id", chat.id.to_string()), ("type", format!("\"{}\"", chat.kind))];
        if let Some(title) = &v.title {
            c.push(("title", quote(&mut self.r, title)));
        }
        let c = object(&mut self.r, c);
        let mut f: Fields =
            vec![("message_id", v.message.to_string()), ("date", v.date.to_string()), ("chat", c), (v.content.0, v.content.1.clone())];
        if let Some(caption) = &v.caption {
            f.push(("caption", caption.clone()));
        }
        if let Some(from) = &v.from {
            f.push(("from", from.clone()));
        }
        if let Some(sender) = &v.sender_chat {
            f.push(("sender_chat", sender.clone()));
        }
        if v.topic != 0 {
            f.push(("message_thread_id", v.topic.to_string()));
            f.push(("is_topic_message", "true".into()));
        } else if self.r.chance(30) {
            // A thread of answers, not a topic.
            f.push(("message_thread_id", "77".into()));
        }
        match &v.reply {
            Some(reply) => f.push(("reply_to_message", reply.clone())),
            None if self.r.chance(10) => f.push(("external_reply", "{\"message_id\":100,\"chat\":{\"id\":-4017}}".into())),
            None => {}
        }
        if let Some(edit_date) = v.edit_date {
            f.push(("edit_date", edit_date.to_string()));
        }
        object(&mut self.r, f)
    }

    pub(super) fn update(&mut self, v: &Telegram) -> String {
        let channel = self.chat(v.chat).kind == "channel";
        let kind = match (channel, v.edit_date) {
            (false, None) => "message",
            (false, Some(_)) => "edited_message",
            (true, None) => "channel_post",
            (true, Some(_)) => "edited_channel_post",
        };
        let message = self.message(v);
        object(&mut self.r, vec![("update_id", v.update.to_string()), (kind, message)])
    }
}
