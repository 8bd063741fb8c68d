//! Whole documents on one line: listings, answers of getUpdates, exports of Telegram Desktop.

use super::Generator;
use super::json::{Fields, array, object, quote};

impl Generator<'_> {
    pub(super) fn document(&mut self) -> String {
        let telegram = self.r.chance(self.shape.telegram);
        match (telegram, self.shape.seq) {
            (true, _) if self.r.chance(50) => self.desktop(),
            // A stream has seq throughout or not at all, and a listing has none.
            (true, _) | (false, true) if self.shape.telegram > 0 => {
                let updates: Vec<String> = (0..1 + self.r.below(4))
                    .map(|_| {
                        let v = self.telegram();
                        self.update(&v)
                    })
                    .collect();
                format!("{{\"ok\":true,\"result\":{}}}", array(&updates))
            }
            (_, false) => self.listing(),
            _ => {
                let v = self.reddit();
                self.reddit_line(&v)
            }
        }
    }

    /// As GET /comments/ID answers: a listing of one submission, and one of comments, nested.
    fn listing(&mut self) -> String {
        let submission = loop {
            let v = self.reddit();
            if v.submission {
                break v;
            }
        };
        let fields = self.reddit_fields(&submission, true);
        let submission = thing("t3", &object(&mut self.r, fields));
        let mut nested: Option<String> = None;
        for _ in 0..1 + self.r.below(5) {
            let v = self.reddit();
            if v.submission {
                continue;
            }
            let mut fields = self.reddit_fields(&v, true);
            fields.push((
                "replies",
                match nested.take() {
                    Some(inner) => listing_of(&[inner]),
                    None => "\"\"".into(),
                },
            ));
            let mut this = thing("t1", &object(&mut self.r, fields));
            if self.r.chance(30) {
                this.push(',');
                this.push_str(&thing("more", "{\"count\":0,\"id\":\"_\",\"children\":[]}"));
            }
            nested = Some(this);
        }
        let comments: Vec<String> = nested.into_iter().collect();
        let comments = listing_of(&comments);
        match self.r.below(3) {
            0 => array(&[listing_of(&[submission]), comments]),
            1 => array(&[listing_of(&[submission, thing("t5", "{\"display_name\":\"b\"}")]), comments]),
            _ => comments,
        }
    }

    /// An export of the first supergroup. Each message has a text of its own, so that two exports of one
    /// message are never equal in the order and different in the name.
    fn desktop(&mut self) -> String {
        let mut messages = vec![];
        for _ in 0..1 + self.r.below(4) {
            let mut v = self.telegram();
            while v.chat != 0 {
                v = self.telegram();
            }
            let unique = self.unique();
            let r = &mut self.r;
            let user = 41 + r.below(2);
            let mut f: Fields = vec![
                ("id", v.message.to_string()),
                ("type", "\"message\"".into()),
                ("date", "\"2023-01-01T00:00:00\"".into()),
                ("from", quote(r, &format!("Exported {user}"))),
                ("from_id", format!("\"user{user}\"")),
            ];
            let service = r.chance(10);
            if service {
                f[1].1 = "\"service\"".into();
                f.push(("action", "\"pin_message\"".into()));
            }
            if service || !r.chance(10) {
                f.push(("date_unixtime", format!("\"{}\"", v.date)));
                if let Some(edit) = v.edit_date {
                    f.push(("edited", "\"2023-01-01T00:00:01\"".into()));
                    f.push(("edited_unixtime", format!("\"{edit}\"")));
                }
            }
            if r.chance(40) {
                f.push(("reply_to_message_id", (v.message - 1).to_string()));
            }
            let text = quote(r, &format!("export {unique} ü😀"));
            if r.chance(40) {
                let list = format!("[{text},{{\"type\":\"bold\",\"text\":\"b\"}},\" end\"]");
                f.push(("text", list));
            } else {
                f.push(("text", text));
            }
            messages.push(object(r, f));
        }
        format!("{{\"name\":\"Exported chat\",\"type\":\"public_supergroup\",\"id\":1234567890,\"messages\":{}}}", array(&messages))
    }
}

pub(super) fn thing(kind: &str, data: &str) -> String {
    format!("{{\"kind\":\"{kind}\",\"data\":{data}}}")
}

pub(super) fn listing_of(things: &[String]) -> String {
    thing("Listing", &format!("{{\"after\":null,\"before\":null,\"children\":{}}}", array(things)))
}
