//! Reddit's: versions of submissions and comments, and their rivals.

use super::json::{Fields, object, quote};
use super::{DAY, Generator};

#[derive(Clone)]
pub(super) struct Reddit {
    pub(super) submission: bool,
    pub(super) id: String,
    /// seq, or the time of retrieval.
    version: i64,
    /// Which of the fields holds the time of retrieval.
    retrieved_in: usize,
    pub(super) op: Option<&'static str>,
    link: String,
    subreddit: Option<String>,
    pub(super) author: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) created: i64,
    /// Raw JSON.
    edited: Option<String>,
    score: Option<i64>,
    /// Body, or title.
    text: String,
    selftext: Option<String>,
}

impl Reddit {
    /// Its content is gone.
    fn end(&mut self, how: &str) {
        if self.submission {
            self.selftext = Some(how.into());
        } else {
            self.text = how.into();
        }
    }
}

pub(super) fn submission_id(i: usize) -> String {
    match i % 5 {
        0 => format!("{i}"),
        1 => format!("0{i}"), // another id than without its zero
        2 => format!("S_{i}"),
        _ => format!("sub{i}"),
    }
}

pub(super) fn comment_id(i: usize) -> String {
    match i % 9 {
        0 => format!("{i}"), // the same letters as a submission's
        1 => format!("00{i}"),
        2 => format!("A_b{i}"), // not base 36
        3 => format!("C{i}"),
        4 => format!("c{i}"),                  // another case
        5 => format!("zzzzzzzzzzzzzzzzzz{i}"), // over 64 bits in base 36
        6 => format!("x-{i}"),
        _ => format!("k{i}"),
    }
}

pub(super) fn fullname(submission: bool, id: &str) -> String {
    format!("{}_{id}", if submission { "t3" } else { "t1" })
}

impl Generator<'_> {
    /// The next version of some message.
    pub(super) fn reddit(&mut self) -> Reddit {
        let born = self.r.pick(&self.pool);
        let mut conversation = born.conversation;
        if !born.submission && self.r.chance(6) {
            conversation = self.r.below(self.shape.conversations);
        }
        let mut community = self.community(born.conversation);
        if self.r.chance(5) {
            let any = self.r.below(self.shape.communities);
            community = self.community(any);
        }
        let mut v = Reddit {
            submission: born.submission,
            id: born.id.clone(),
            version: 0,
            retrieved_in: self.r.below(4),
            op: None,
            link: submission_id(conversation),
            subreddit: Some(community),
            author: born.author.clone(),
            parent: born.parent.clone(),
            created: born.created,
            edited: Some("false".into()),
            score: None,
            text: self.text(),
            selftext: None,
        };
        if self.shape.open && self.r.chance(5) {
            v.subreddit = None;
        }
        if !born.submission && self.r.chance(if self.shape.chains { 5 } else { 10 }) {
            v.parent = self.parent(conversation, &born.id);
        }
        if self.shape.chains && !born.submission && self.r.chance(3) {
            // Closes a cycle over those that came after.
            let any = &self.pool[self.r.pick(&self.members[conversation])];
            v.parent = Some(fullname(any.submission, &any.id));
        }
        if self.r.chance(5) {
            v.author = self.author();
        }
        if self.r.chance(self.shape.redated) {
            v.created = self.time();
        }
        if self.r.chance(75) {
            v.score = Some(self.r.below(9) as i64 - 3);
        }
        if born.submission && self.r.chance(50) {
            v.selftext = Some(self.text());
        }
        match self.r.below(12) {
            // It has no place in the order of versions, so it comes with a score that does.
            0 => {
                v.edited = Some("true".into());
                v.score = Some(1_000 + self.unique());
            }
            1 | 2 => v.edited = Some(self.edited_at(v.created)),
            3 => v.edited = None,
            _ => {}
        }
        // Deleted account, content kept; deleted content, account kept; both.
        match self.r.below(16) {
            0 => v.author = None,
            1 => v.end("[deleted]"),
            2 => v.end("[removed]"),
            3 => {
                v.end("[deleted]");
                v.author = None;
            }
            _ => {}
        }
        if self.shape.seq {
            self.seq += 1 + self.r.below(3) as i64;
            v.version = self.seq;
            v.op = self.r.pick(&[Some("c"), Some("u"), Some("u"), None]);
            if self.r.chance(10) {
                v.op = Some("d");
            }
        } else {
            v.version = v.created + self.r.pick(&[0, 60, 3_600, 3_600, DAY, 2 * DAY]);
        }
        v
    }

    fn edited_at(&mut self, created: i64) -> String {
        let at = created + self.r.pick(&[1, 60, 3_600, 7_200]);
        let fraction = if self.shape.open { ".7" } else { ".0" };
        match self.r.below(2) {
            0 => format!("{at}"),
            _ => format!("{at}{fraction}"),
        }
    }

    /// Versions of the same message and the same `version` that differ in one field or a few.
    pub(super) fn reddit_rivals(&mut self, v: &Reddit, lines: &mut Vec<String>) {
        while self.r.chance(self.shape.ties) && lines.len() < self.shape.records {
            let mut rival = v.clone();
            // More than one: then the earlier field has to decide against the later one.
            for _ in 0..self.r.pick(&[1, 1, 2, 3]) {
                match self.r.below(11) {
                    0 => rival.score = Some(self.r.below(12) as i64 - 4),
                    1 => rival.score = None,
                    2 => rival.edited = Some(self.edited_at(v.created)),
                    3 => rival.text = self.text(),
                    4 => rival.author = self.author(),
                    5 => {
                        let conversation = self.r.below(self.shape.conversations);
                        rival.parent = self.parent(conversation, &v.id);
                    }
                    6 => rival.link = submission_id(self.r.below(self.shape.conversations)),
                    7 => {
                        let any = self.r.below(self.shape.communities);
                        rival.subreddit = Some(self.community(any));
                    }
                    8 if self.shape.redated > 0 => rival.created = v.created - 1 - self.r.below(2) as i64,
                    9 => rival.end(self.r.pick(&["[deleted]", "[removed]"])),
                    _ if self.shape.seq => rival.op = Some("d"),
                    _ => rival.selftext = Some(self.text()),
                }
            }
            // `edited: true` must not meet its like without it (see the top).
            if rival.edited.as_deref() == Some("true") {
                rival.score = Some(1_000 + self.unique());
            }
            let line = self.reddit_line(&rival);
            lines.push(line);
        }
    }

    pub(super) fn reddit_line(&mut self, v: &Reddit) -> String {
        let fields = self.reddit_fields(v, false);
        object(&mut self.r, fields)
    }

    /// In a listing there is no `op`, and `replies` is a field (which the caller adds).
    pub(super) fn reddit_fields(&mut self, v: &Reddit, listed: bool) -> Fields {
        let seq = self.shape.seq && !listed;
        let deletion = seq && v.op == Some("d");
        let r = &mut self.r;
        let mut f: Fields = vec![];
        // Without a prefix a deletion is of a comment.
        let prefix = if v.submission { "t3_" } else { "t1_" };
        let id = if (deletion && v.submission) || r.chance(40) { format!("{prefix}{}", v.id) } else { v.id.clone() };
        f.push(("id", quote(r, &id)));
        if seq {
            f.push(("seq", v.version.to_string()));
            if let Some(op) = v.op {
                f.push(("op", quote(r, op)));
            }
        }
        let link = format!("t3_{}", if v.submission { &v.id } else { &v.link });
        if deletion {
            if !(self.shape.open && v.submission && r.chance(50)) {
                f.push(("link_id", quote(r, &link)));
            }
            if self.shape.open && r.chance(30) {
                f.push(("author", quote(r, v.author.as_deref().unwrap_or("[deleted]"))));
                f.push(("subreddit", quote(r, v.subreddit.as_deref().unwrap_or("b"))));
            }
            return f;
        }
        if !seq {
            let at = v.version.to_string();
            match v.retrieved_in {
                0 => f.push(("retrieved_on", at)),
                1 => f.push(("retrieved_utc", at)),
                2 => {
                    f.push(("retrieved_on", (v.version - 129_600).to_string()));
                    f.push(("_meta", format!("{{\"retrieved_2nd_on\":{at},\"is_edited\":false}}")));
                }
                _ => {} // edited and created_utc are all that there is
            }
        }
        let at = v.created;
        // A tenth of a second less than the next: the fraction is cut.
        let created = match r.below(10) {
            0 => format!("{at}.0"),
            1 => format!("{at}.9"),
            2 => format!("\"{at}\""),
            3 => format!("\"{at}.5\""),
            _ => format!("{at}"),
        };
        f.push(("created_utc", created));
        match &v.author {
            Some(author) => f.push(("author", quote(r, author))),
            None => match r.below(4) {
                0 => {}
                1 => f.push(("author", "null".into())),
                2 => f.push(("author", "\"\"".into())),
                _ => f.push(("author", "\"[deleted]\"".into())),
            },
        }
        if let Some(subreddit) = &v.subreddit {
            f.push(("subreddit", quote(r, subreddit)));
        }
        if let Some(edited) = &v.edited {
            f.push(("edited", edited.clone()));
        }
        match v.score {
            Some(score) => f.push(("score", score.to_string())),
            None if r.chance(40) => f.push(("score", "null".into())),
            None => {}
        }
        if v.submission {
            f.push(("title", quote(r, &v.text)));
            match &v.selftext {
                Some(selftext) => f.push(("selftext", quote(r, selftext))),
                None if r.chance(50) => f.push(("selftext", "\"\"".into())),
                None => {}
            }
            if r.chance(10) {
                // The post that this one points to is no record of its own.
                let other = "[{\"id\":\"never\",\"title\":\"x\",\"created_utc\":1,\"subreddit\":\"b\"}]";
                f.push(("crosspost_parent_list", other.into()));
            }
        } else {
            f.push(("body", quote(r, &v.text)));
            f.push(("link_id", quote(r, &link)));
            match &v.parent {
                Some(parent) => f.push(("parent_id", quote(r, parent))),
                None if r.chance(50) => f.push(("parent_id", "null".into())),
                None => {}
            }
        }
        if r.chance(30) {
            f.push(("gilded", "0".into()));
            f.push(("distinguished", "null".into()));
        }
        if r.chance(10) {
            // Names of fields inside others mean nothing.
            let inside = "{\"body\":\"x\",\"op\":\"d\",\"update_id\":1,\"author\":[\"y\",{\"id\":2}]}";
            f.push(("media", inside.into()));
        }
        f
    }
}
