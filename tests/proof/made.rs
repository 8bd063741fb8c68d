//! Long histories, in order of arrival, of any length: each record is a function of the seed, its message's number and which version it is,
//! so nothing of it is kept.
//!
//! ```text
//!   message 0, 1, 2, ...   created one after another over `DAYS`
//!     versions: created, edits, deletions, exact repeats --each after a delay within the retention--> [ heap ] --> lines in order of arrival
//! ```
//!
//! Of the records a fifth are edits, a tenth deletions, a tenth repeats. Delays are spread over the retention, and a few are beyond it.
//! No two versions of a message that differ have the same version number: the order of ties is what `random` is about.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;

use crate::generate::Random;

const DAY: i64 = 86_400;
const START: i64 = 1_600_041_600;
/// Over which messages are created.
const DAYS: i64 = 100;
/// Records arrive this much later than their message was created, at most; the thirtieth part of them does not meet it in time.
pub const RETENTION_S: i64 = 25 * DAY;
const LATE_S: i64 = RETENTION_S + RETENTION_S / 30;
/// What the clock says.
pub const NOW: i64 = START + (DAYS + 40) * DAY;

/// Messages among which answers are sought, and conversations in them.
const WINDOW: u64 = 4_096;
const CONVERSATIONS: u64 = 256;
const CHATS: u64 = 40;
/// The first version that is a repeat.
const REPEATS: u8 = 128;

const TEXTS: &[&str] =
    &["yes", "why?", "so it is.", "is it (really?)", "", "日本語のテキスト？", "a\\tb \\\"quoted\\\"", "what?! no", "line one\\nline two"];

pub struct Made {
    seed: u64,
    messages: u64,
    users: u64,
    next: u64,
    /// (arrival, a draw, message, version)
    due: BinaryHeap<Reverse<(i64, u64, u64, u8)>>,
}

fn base36(mut n: u64) -> String {
    let mut digits = vec![];
    while digits.is_empty() || n > 0 {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(n % 36) as usize]);
        n /= 36;
    }
    digits.reverse();
    String::from_utf8(digits).expect("ASCII")
}

impl Made {
    /// About so many records.
    pub fn new(seed: u64, records: u64) -> Made {
        let messages = (records * 6 / 10).max(1);
        Made { seed, messages, users: (messages / 8).max(12), next: 0, due: BinaryHeap::new() }
    }

    /// Draws that belong to a message, and to what is asked of it.
    fn random(&self, message: u64, what: u64) -> Random {
        let mut random = Random(self.seed ^ message.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ what.wrapping_mul(0xa076_1d64_78bd_642f));
        random.draw();
        random
    }

    fn created(&self, message: u64) -> i64 {
        let even = (u128::from(message) * (DAYS * DAY) as u128 / u128::from(self.messages)) as i64;
        // In bursts, so that there are sessions.
        START + even / 1_200 * 1_200 + self.random(message, 1).below(2_400) as i64
    }

    fn telegram(&self, message: u64) -> bool {
        self.random(message, 2).chance(30)
    }

    fn push(&mut self, message: u64, version: u8) {
        let mut random = self.random(message, 100 + u64::from(version));
        let arrives = self.created(message) + random.below(LATE_S as usize) as i64;
        self.due.push(Reverse((arrives, random.draw(), message, version)));
        if version < REPEATS && random.below(9) == 0 {
            self.push(message, version + REPEATS);
        }
    }

    /// Plans the records of the next message.
    fn plan(&mut self) {
        let message = self.next;
        self.next += 1;
        let mut random = self.random(message, 3);
        let edits = [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][random.below(12)];
        // Only Reddit deletes.
        let is_deleted = !self.telegram(message) && random.below(42) < 10;
        (0..=edits).for_each(|version| self.push(message, version));
        if is_deleted {
            self.push(message, [3, 3, 4, 5][random.below(4)]);
        }
    }

    /// The next record.
    pub fn next(&mut self, line: &mut String) -> bool {
        while self.next < self.messages && self.due.peek().is_none_or(|Reverse((arrives, ..))| *arrives >= self.created(self.next) - 2_400)
        {
            self.plan();
        }
        let Some(Reverse((_, _, message, version))) = self.due.pop() else { return false };
        line.clear();
        self.write(message, version % REPEATS, line);
        true
    }

    fn user(&self, random: &mut Random) -> u64 {
        let at = random.below(1 << 20) as f64 / (1 << 20) as f64;
        (at * at * at * self.users as f64) as u64
    }

    fn write(&self, message: u64, version: u8, line: &mut String) {
        let mut whose = self.random(message, 4);
        let mut random = self.random(message, 200 + u64::from(version));
        if random.below(5_000) == 0 {
            let _ = write!(line, r#"{{"id":"{}","body":"never","created_utc":"never"}}"#, base36(message));
        } else if self.telegram(message) {
            self.update(message, version, &mut whose, &mut random, line);
        } else {
            self.reddit(message, version, &mut whose, &mut random, line);
        }
    }

    fn created_of(&self, message: u64, version: u8, random: &mut Random) -> i64 {
        // Some versions say another time than their message's first.
        let moved = if version > 0 && random.below(150) == 0 { random.below(4 * DAY as usize) as i64 - DAY } else { 0 };
        self.created(message) + moved
    }

    fn reddit(&self, message: u64, version: u8, whose: &mut Random, random: &mut Random, line: &mut String) {
        let (window, place) = (message / WINDOW, message % WINDOW);
        let is_submission = place < CONVERSATIONS;
        // A few have many messages.
        let slot = if is_submission || whose.chance(70) { place % CONVERSATIONS } else { place % 5 };
        let is_edit = (1..=2).contains(&version);
        let slot = if is_edit && !is_submission && random.below(100) == 0 { random.below(CONVERSATIONS as usize) as u64 } else { slot };
        let conversation = window * CONVERSATIONS + slot;
        let id = if is_submission { format!("t3_{conversation}") } else { base36(message) };
        let seq = [10, 20, 30, 100, 15, 25][version as usize];
        if version >= 3 && random.chance(60) {
            let _ = write!(line, r#"{{"op":"d","id":"{id}","link_id":"t3_{conversation}","seq":{seq}"#);
            if random.chance(50) {
                let _ = write!(line, r#","created_utc":{},"author":"u{}""#, self.created(message), self.user(whose));
            }
            line.push('}');
            return;
        }
        let community = conversation * conversation % 61;
        let (user, score) = (self.user(whose), random.below(60) as i64 - 10);
        let author = if whose.below(50) == 0 || version >= 3 { "[deleted]".into() } else { format!("u{user}") };
        let op = if is_edit { "u" } else { "c" };
        let created = self.created_of(message, version, random);
        let _ = write!(
            line,
            r#"{{"op":"{op}","id":"{id}","subreddit":"r{community}","author":"{author}","score":{score},"seq":{seq},"created_utc":{created}"#
        );
        if is_edit && random.chance(80) {
            let _ = write!(line, r#","edited":{}"#, created + 60 * i64::from(version));
        }
        let text = if version >= 3 { "[deleted]" } else { random.pick(TEXTS) };
        if is_submission {
            let _ = write!(line, r#","title":"{}","selftext":"{text}"}}"#, whose.pick(TEXTS));
            return;
        }
        let parent = if is_edit && random.below(20) != 0 { &mut self.random(message, 200) } else { random };
        let answered = |place: u64| base36(window * WINDOW + slot + CONVERSATIONS * place);
        let rows = place / CONVERSATIONS;
        let parent = match parent.below(100) {
            0..30 => format!("t3_{conversation}"),
            30..85 => format!("t1_{}", answered(1 + parent.below(rows.max(2) as usize - 1) as u64)),
            // Later ones, too: some of these are cycles.
            85..90 => format!("t1_{}", answered(1 + parent.below((WINDOW / CONVERSATIONS - 1) as usize) as u64)),
            90..95 => format!("t1_nobody{message}"),
            _ => String::new(),
        };
        let _ = write!(line, r#","link_id":"t3_{conversation}","parent_id":"{parent}","body":"{text}"}}"#);
    }

    fn chat(&self, message: u64) -> (u64, Option<u64>) {
        let mut random = self.random(message, 5);
        let chat = random.below(CHATS as usize).min(random.below(CHATS as usize)) as u64;
        (chat, random.chance(20).then(|| 1 + random.below(3) as u64))
    }

    fn update(&self, message: u64, version: u8, whose: &mut Random, random: &mut Random, line: &mut String) {
        let ((chat, topic), user) = (self.chat(message), self.user(whose));
        let what = if version == 0 { "message" } else { "edited_message" };
        let date = self.created_of(message, version, random);
        let update = message * 8 + u64::from(version);
        let _ = write!(
            line,
            r#"{{"update_id":{update},"{what}":{{"message_id":{message},"date":{date},"chat":{{"id":-100{chat},"type":"supergroup","title":"chat {chat}{}"}}"#,
            if random.below(40) == 0 { "!" } else { "" }
        );
        if whose.below(30) != 0 {
            let name = if user % 3 == 0 { format!(r#""username":"n{user}""#) } else { format!(r#""last_name":"{}""#, random.below(3)) };
            let _ = write!(line, r#","from":{{"id":{user},"is_bot":false,"first_name":"f{user}",{name}}}"#);
        }
        if version > 0 {
            let _ = write!(line, r#","edit_date":{}"#, self.created(message) + 5 * DAY + 100 * i64::from(version));
        }
        if let Some(topic) = topic {
            let _ = write!(line, r#","message_thread_id":{topic},"is_topic_message":true"#);
        }
        if whose.chance(60) && message > 0 {
            let before = |random: &mut Random| message - 1 - (random.below(600) as u64).min(message - 1);
            let same = |other: &u64| self.telegram(*other) && self.chat(*other) == (chat, topic);
            let mut tries = (0..30).map(|_| before(whose));
            let answered = tries.find(same).unwrap_or(message + 1);
            let _ = write!(
                line,
                r#","reply_to_message":{{"message_id":{answered},"date":{date},"chat":{{"id":-100{chat},"type":"supergroup"}}}}"#
            );
        }
        let _ = write!(line, r#","text":"{} {message}"}}}}"#, random.pick(TEXTS));
    }
}

#[test]
fn a_long_history_has_the_parts_that_it_is_said_to_have() {
    let (mut made, mut again) = (Made::new(3, 60_000), Made::new(3, 60_000));
    let (mut line, mut other) = (String::new(), String::new());
    let (mut lines, mut edits, mut deletions) = (0u32, 0u32, 0u32);
    let mut seen = std::collections::BTreeSet::new();
    let mut repeats = 0u32;
    while made.next(&mut line) {
        assert!(again.next(&mut other) && line == other);
        lines += 1;
        edits += u32::from(line.contains(r#""op":"u""#) || line.contains("edited_message"));
        deletions += u32::from(line.contains(r#""op":"d""#) || line.contains(r#"":"[deleted]"}"#));
        repeats += u32::from(!seen.insert(line.clone()));
    }
    let percent = |part: u32| part * 100 / lines;
    println!("{lines} lines, {edits} edits, {deletions} deletions, {repeats} repeats");
    assert!((18..=24).contains(&percent(edits)) && (9..=12).contains(&percent(deletions)) && (9..=11).contains(&percent(repeats)));
}
