//! What carries no message, or none that counts.

use super::documents::{listing_of, thing};
use super::json::object;
use super::{DAY, Generator, NOW};

impl Generator<'_> {
    pub(super) fn noise(&mut self) -> String {
        let telegram = self.r.chance(self.shape.telegram);
        match self.r.below(8) {
            0 => return self.r.pick(&["", "   ", "\t", "\r"]).into(),
            1 => {
                // Cut off, at a place where no record can end.
                let v = self.reddit();
                let line = self.reddit_line(&v);
                let cut = (line.len() / 2..line.len() - 1).find(|&i| line.is_char_boundary(i)).unwrap();
                return line[..cut].into();
            }
            2 => {
                return self
                    .r
                    .pick(&[
                        "{\"hello\":1}",
                        "{\"id\":\"x\",\"author\":\"ann\"}",
                        "{}",
                        "17",
                        "\"body\"",
                        "null",
                        // (One brace more would close a line cut off at a value: both would be one document.)
                        "{\"a\":1}]",
                        "not json",
                        "{\"body\":\"\u{fffd}",
                        "{\"ok\":false,\"description\":\"Unauthorized\"}",
                    ])
                    .into();
            }
            _ => {}
        }
        if telegram {
            return self.telegram_noise();
        }
        let mut v = self.reddit();
        match self.r.below(5) {
            // Inbox items, deletions that do not say of which thread.
            0 | 1 => {
                if v.submission {
                    v.submission = false;
                }
                let mut f = self.reddit_fields(&v, false);
                f.retain(|(name, _)| *name != "link_id");
                object(&mut self.r, f)
            }
            // Years ahead by any clock.
            2 => {
                v.created = 4_102_444_800 + v.created % DAY;
                v.op = None;
                self.reddit_line(&v)
            }
            3 if self.shape.boundary => {
                v.created = NOW + DAY + self.r.below(2) as i64;
                v.op = None;
                self.reddit_line(&v)
            }
            _ => listing_of(&[
                thing("more", "{\"count\":3,\"id\":\"x\",\"children\":[\"a\"]}"),
                thing("t4", "{\"id\":\"m\",\"body\":\"private\",\"author\":\"ann\",\"created_utc\":1}"),
                thing("t5", "{\"id\":\"s\",\"title\":\"a community\"}"),
            ]),
        }
    }

    fn telegram_noise(&mut self) -> String {
        let mut v = self.telegram();
        let text = v.content.clone();
        let service = [
            ("new_chat_members", "[{\"id\":41,\"first_name\":\"Ann\"}]"),
            ("left_chat_member", "{\"id\":41,\"first_name\":\"Ann\"}"),
            ("migrate_to_chat_id", "-1001234567890"),
            ("forum_topic_created", "{\"name\":\"t\",\"icon_color\":1}"),
            ("new_chat_title", "\"new\""),
            ("pinned_message", "{\"message_id\":100,\"date\":1650000000,\"chat\":{\"id\":-4017},\"text\":\"inside\"}"),
        ];
        match self.r.below(5) {
            0 | 1 => {
                let (name, value) = self.r.pick(&service);
                v.content = (name, value.into());
                v.caption = None;
                self.update(&v)
            }
            2 => {
                v.content = text;
                v.date = 0;
                v.edit_date = None;
                self.update(&v)
            }
            3 => {
                v.date = 4_102_444_800;
                v.edit_date = None;
                self.update(&v)
            }
            _ => {
                let kind = self.r.pick(&[
                    "business_message",
                    "edited_business_message",
                    "guest_message",
                    "callback_query",
                    "message_reaction",
                    "poll_answer",
                    "my_chat_member",
                ]);
                let message = self.message(&v);
                let value = match kind {
                    "business_message" | "edited_business_message" | "guest_message" => message,
                    _ => format!("{{\"id\":\"1\",\"data\":\"x\",\"message\":{message}}}"),
                };
                object(&mut self.r, vec![("update_id", v.update.to_string()), (kind, value)])
            }
        }
    }
}
