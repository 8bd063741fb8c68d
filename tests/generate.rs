//! Deterministic random histories: raw ndjson lines in order of arrival, dense with the cases that the
//! contract's rules are about. Everything comes from one seed; nothing here reads a clock.
//!
//! A history is made of *versions* of a small pool of messages, in the order of their versions; then
//! neighbours (or all) change places, and exact repeats and noise are put between them.
//!
//! Two versions that the contract's order of versions cannot tell apart never differ in anything else
//! (`edited: true` comes with a score of its own; names come with an update_id of their own), and what
//! interface.md leaves open is made only where `Shape::open` says so.

use std::fmt::Write as _;

/// Every created_at of a history lies in the 70 days before this, or the 130 where `Shape::wide` says so;
/// give it to the engine as the time.
pub const NOW: i64 = 1_700_000_000;
const DAY: i64 = 86_400;
const START: i64 = (NOW / DAY - 70) * DAY;
/// From START; between them gaps of 1, 6, 7, 29 and 30 days. A shape uses the first few.
const DAYS: [i64; 10] = [10, 16, 17, 46, 11, 39, 40, 3, 60, 9];
/// The same over 130 days, for windows that end with the day of the watermark: all gaps of 1, 7, 30 and 60
/// days, both ends of 28, 30 and 60 days that end with the last few, Sundays (-58, 62) and Mondays (-57, 69).
const WIDE: [i64; 26] = [63, -57, 3, 33, 62, 69, 39, 10, 41, -56, -50, 9, 40, -27, 68, 4, 34, -58, 2, 35, -28, -26, 11, 38, 61, 67];
/// Seconds from a message to its answer: six hours, a day, a week and a month are where rules turn.
const ANSWERED_S: [i64; 14] = [0, 60, 60, 600, 3_600, 3_600, 21_600, 86_000, DAY - 4, DAY, DAY + 4, 2 * DAY, 7 * DAY, 30 * DAY];
/// Seconds from a record's created_at to its arrival, where records arrive as time goes.
const LATE_S: [i64; 12] = [0, 0, 0, 0, 0, 30, 1_800, 1_800, DAY, 7 * DAY, 30 * DAY, 60 * DAY];

#[derive(Clone, Debug)]
pub struct Shape {
    /// Lines, about.
    pub records: usize,
    /// Reddit's records as a change stream with `op` and `seq`; else as dumps have them.
    pub seq: bool,
    /// Percent of the records that are Telegram's.
    pub telegram: u64,
    pub users: usize,
    pub communities: usize,
    pub conversations: usize,
    /// Different messages of each platform.
    pub messages: usize,
    /// Different days, and half hours of a day.
    pub days: usize,
    pub slots: usize,
    /// Nearly every comment answers the one before it.
    pub chains: bool,
    /// Percent of the versions that have rivals of the same version.
    pub ties: u64,
    /// Percent of the lines that carry no message, or none that counts.
    pub noise: u64,
    /// Percent of the lines that are a whole document (listing, getUpdates, desktop export).
    pub documents: u64,
    /// How far a record may arrive from its place.
    pub reorder: usize,
    /// Percent of Reddit's versions with another created_at than their message's; none: nor do rivals have one.
    pub redated: u64,
    /// Days from all of `WIDE`, not from `DAYS`.
    pub wide: bool,
    /// Most texts ask, or nearly; comments answer within and after a day, some of them the poster's own.
    pub questions: bool,
    /// Records arrive in the order of their created_at, some of them late: the watermark moves on through the
    /// history, and late ones are edits and deletions of old messages.
    pub flows: bool,
    /// Also what the contract leaves open (see the report of the oracle): off by default.
    pub open: bool,
    /// Also created_at exactly at, and one second over, a day after NOW.
    pub boundary: bool,
}

impl Shape {
    /// 30 records of few messages: everything collides.
    pub fn tiny() -> Self {
        Shape {
            records: 30,
            seq: true,
            telegram: 20,
            users: 3,
            communities: 2,
            conversations: 2,
            messages: 9,
            days: 4,
            slots: 4,
            chains: false,
            ties: 10,
            noise: 10,
            documents: 0,
            reorder: usize::MAX,
            redated: 3,
            wide: false,
            questions: false,
            flows: false,
            open: false,
            boundary: false,
        }
    }
    pub fn medium() -> Self {
        Shape {
            records: 400,
            telegram: 35,
            users: 14,
            communities: 3,
            conversations: 8,
            messages: 110,
            days: 10,
            slots: 8,
            documents: 4,
            noise: 12,
            reorder: 40,
            ..Shape::tiny()
        }
    }
    /// Telegram only.
    pub fn telegram() -> Self {
        Shape { records: 200, telegram: 100, messages: 60, documents: 6, ..Shape::medium() }
    }
    /// Reddit's dumps and listings only: no seq.
    pub fn dump() -> Self {
        Shape { records: 300, seq: false, telegram: 0, messages: 90, ..Shape::medium() }
    }
    /// Long chains whose parents arrive late, change, and form cycles.
    pub fn chains() -> Self {
        Shape {
            records: 250,
            telegram: 10,
            conversations: 3,
            messages: 120,
            chains: true,
            noise: 3,
            documents: 0,
            ties: 0,
            reorder: usize::MAX,
            ..Shape::medium()
        }
    }
    /// Most versions have rivals: each field of the order has to decide.
    pub fn ties() -> Self {
        Shape { records: 120, messages: 12, telegram: 15, ties: 70, noise: 3, ..Shape::tiny() }
    }
    /// Posts that ask, and their answers: few comments a conversation, so that some have none.
    pub fn questions() -> Self {
        Shape {
            records: 300,
            telegram: 45,
            users: 6,
            conversations: 30,
            messages: 72,
            wide: true,
            questions: true,
            documents: 0,
            noise: 3,
            ..Shape::medium()
        }
    }
    /// Few messages a user, on days a day, a week, a month and two apart.
    pub fn returns() -> Self {
        Shape {
            records: 300,
            telegram: 15,
            users: 30,
            conversations: 12,
            messages: 200,
            wide: true,
            flows: true,
            noise: 3,
            ..Shape::medium()
        }
    }
    /// Time goes on, and old messages are edited, deleted, answered and read late. Each has one created_at, so that
    /// none comes again once it is sealed; in `returns` some do.
    pub fn ages() -> Self {
        Shape { redated: 0, questions: true, records: 350, telegram: 30, users: 8, messages: 90, ..Shape::returns() }
    }
    /// All of them, by name; Reddit's both with and without seq.
    pub fn all() -> Vec<(&'static str, Shape)> {
        let plain = |shape: Shape| Shape { seq: false, ..shape };
        vec![
            ("tiny", Shape::tiny()),
            ("tiny_plain", plain(Shape::tiny())),
            ("medium", Shape::medium()),
            ("medium_plain", plain(Shape::medium())),
            ("telegram", Shape::telegram()),
            ("dump", Shape::dump()),
            ("chains", Shape::chains()),
            ("chains_plain", plain(Shape::chains())),
            ("ties", Shape::ties()),
            ("ties_plain", plain(Shape::ties())),
            ("questions", Shape::questions()),
            ("questions_plain", plain(Shape::questions())),
            ("returns", Shape::returns()),
            ("ages", Shape::ages()),
            ("ages_plain", plain(Shape::ages())),
        ]
    }
}

/// splitmix64
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n.max(1) as u64) as usize
    }
    pub fn chance(&mut self, percent: u64) -> bool {
        self.draw() % 100 < percent
    }
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for i in (1..all.len()).rev() {
            all.swap(i, self.below(i + 1));
        }
    }
}

/// Raw ndjson lines in order of arrival.
pub fn history(seed: u64, shape: &Shape) -> Vec<String> {
    let mut g = Generator::new(seed, shape);
    let mut lines: Vec<String> = vec![];
    // Of each line the created_at that it is about, noise and documents of the line before.
    let mut times: Vec<i64> = vec![];
    let mut time = START;
    while lines.len() < shape.records {
        if g.r.chance(shape.noise) {
            let line = g.noise();
            lines.push(line);
        } else if g.r.chance(shape.documents) {
            let line = g.document();
            lines.push(line);
        } else if g.r.chance(shape.telegram) {
            let version = g.telegram();
            time = version.date;
            lines.push(g.update(&version));
            g.telegram_rivals(&version, &mut lines);
        } else {
            let version = g.reddit();
            time = version.created;
            lines.push(g.reddit_line(&version));
            g.reddit_rivals(&version, &mut lines);
        }
        times.resize(lines.len(), time);
    }
    // Exact repeats, some of them far from the first.
    for _ in 0..lines.len() / 12 {
        let from = g.r.below(lines.len());
        let at = g.r.below(lines.len() + 1);
        lines.insert(at, lines[from].clone());
        times.insert(at, times[from]);
    }
    // Arrival.
    let mut placed: Vec<(i64, String)> = lines
        .into_iter()
        .enumerate()
        .map(|(i, line)| {
            let at = if shape.flows { times[i] + g.r.pick(&LATE_S) } else { (i + g.r.below(shape.reorder.min(1 << 30))) as i64 };
            (at, line)
        })
        .collect();
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for (name, shape) in Shape::all() {
        assert_eq!(history(7, &shape), history(7, &shape), "{name}");
        assert_ne!(history(7, &shape), history(8, &shape), "{name}");
        assert!(history(7, &shape).iter().all(|line| !line.contains('\n')), "{name}");
    }
}

// ---------------------------------------------------------------- JSON, with every way to write it

/// Fields with raw JSON as values.
type Fields = Vec<(&'static str, String)>;

fn quote(r: &mut Random, s: &str) -> String {
    let mut out = String::from("\"");
    let escape_all = r.chance(30);
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '/' if r.chance(30) => out.push_str("\\/"),
            // Beyond the basic plane that is a pair of surrogates.
            c if (c as u32) < 0x20 || (!c.is_ascii() && (escape_all || r.chance(20))) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn object(r: &mut Random, mut fields: Fields) -> String {
    if r.chance(40) {
        r.shuffle(&mut fields);
    }
    let (colon, comma) = r.pick(&[(":", ","), (": ", ", "), (":", ", ")]);
    let fields: Vec<String> = fields.into_iter().map(|(name, value)| format!("\"{name}\"{colon}{value}")).collect();
    format!("{{{}}}", fields.join(comma))
}

fn array(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

const TEXTS: &[&str] = &[
    "",
    "yes",
    "no?",
    "a\tb",
    "line one\nline two\r\n",
    "back\\slash \\n \"quoted\" a/b",
    "日本語のテキスト",
    "grin 😀 family 👩‍👩‍👧 flag 🇩🇪",
    "e\u{301} ñ ÿ \u{feff}bom \u{2028}",
    "\u{1}control\u{1f}",
    " spaces ",
    "[deleted] is not all of it",
    "{\"op\":\"d\"}",
];
/// Texts that ask, and texts that only look like it.
const QUESTIONS: &[&str] = &[
    "why?",
    "why? because",
    "なぜ？",
    "なぜ？\u{3000}そう",
    "なぜ？そう",
    "「なぜ？」と",
    "لماذا؟",
    "لماذا؟ نعم",
    "؟x",
    "(really?) x",
    "[eh?]. x",
    "{so?}",
    "\"so?\" he said",
    "'so?'",
    "“so?”",
    "‘so?’",
    "«quoi ?»",
    "‹q?›",
    "（？）",
    "【？】",
    "『？』 x",
    "《？》",
    "〈？〉",
    "［？］",
    "｛？｝",
    "a?b why??",
    "x?\u{a0}y",
    "x?\u{2028}y",
    "x?\u{85}y",
    "x?\r\ny",
    "x?\ty",
    "what?!",
    "what?. ",
    "what?…",
    "a?b",
    "http://x/?q=1",
    "x?\u{200b}y",
    "x?\u{fe0f}",
    "x?(y",
    "x?“y",
    "?；",
    "<x?>",
    "¿x",
    "because",
    "",
];
const USERS: &[&str] = &["ann", "Ann", "böb", "we\\ird", "tab\tby", "new\nline", "日本", "a😀", "ann2", "ANN", "z-z", "_under"];
const COMMUNITIES: &[&str] = &["b", "B", "ünï", "b2", "a_b", "tab\tc"];

// ---------------------------------------------------------------- the pool

/// What versions of one Reddit message start from.
#[derive(Clone)]
struct Born {
    submission: bool,
    id: String,
    conversation: usize,
    author: Option<String>,
    created: i64,
    parent: Option<String>,
}

#[derive(Clone)]
struct Reddit {
    submission: bool,
    id: String,
    /// seq, or the time of retrieval.
    version: i64,
    /// Which of the fields holds the time of retrieval.
    retrieved_in: usize,
    op: Option<&'static str>,
    link: String,
    subreddit: Option<String>,
    author: Option<String>,
    parent: Option<String>,
    created: i64,
    /// Raw JSON.
    edited: Option<String>,
    score: Option<i64>,
    /// Body, or title.
    text: String,
    selftext: Option<String>,
}

#[derive(Clone)]
struct Telegram {
    chat: usize,
    message: i64,
    topic: i64,
    update: i64,
    date: i64,
    edit_date: Option<i64>,
    from: Option<String>,
    sender_chat: Option<String>,
    /// Raw JSON of reply_to_message.
    reply: Option<String>,
    /// Name and raw JSON of what it holds.
    content: (&'static str, String),
    caption: Option<String>,
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

struct Generator<'a> {
    r: Random,
    shape: &'a Shape,
    seed: u64,
    pool: Vec<Born>,
    /// Of each conversation, its messages in the pool.
    members: Vec<Vec<usize>>,
    seq: i64,
    update: i64,
    unique: i64,
}

fn submission_id(i: usize) -> String {
    match i % 5 {
        0 => format!("{i}"),
        1 => format!("0{i}"), // another id than without its zero
        2 => format!("S_{i}"),
        _ => format!("sub{i}"),
    }
}

fn comment_id(i: usize) -> String {
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

impl<'a> Generator<'a> {
    fn new(seed: u64, shape: &'a Shape) -> Self {
        let mut g = Generator {
            r: Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x0eed_1e55),
            shape,
            seed,
            pool: vec![],
            members: (0..shape.conversations).map(|i| vec![i]).collect(),
            seq: 1_000,
            update: 500_000,
            unique: 0,
        };
        for i in 0..shape.conversations {
            let (author, created) = (g.author(), g.time());
            g.pool.push(Born { submission: true, id: submission_id(i), conversation: i, author, created, parent: None });
        }
        for i in shape.conversations..shape.messages.max(shape.conversations + 3) {
            let (author, created) = (g.author(), g.time());
            let conversation = g.r.below(shape.conversations);
            let mut born = Born { submission: false, id: comment_id(i), conversation, author, created, parent: None };
            born.parent = if shape.chains && g.r.chance(88) {
                let before = &g.pool[*g.members[conversation].last().unwrap()];
                Some(fullname(before.submission, &before.id))
            } else {
                g.parent(conversation, &born.id)
            };
            if shape.questions {
                g.answer(&mut born);
            }
            g.members[conversation].push(i);
            g.pool.push(born);
        }
        g
    }

    /// A comment comes a while after what it answers, some of them before, or by the same user.
    fn answer(&mut self, born: &mut Born) {
        let to = self.pool.iter().find(|to| Some(fullname(to.submission, &to.id)) == born.parent);
        let Some(to) = to.cloned() else { return };
        if self.r.chance(25) {
            born.author = to.author;
        }
        let at = to.created + self.r.pick(&ANSWERED_S) + self.r.pick(&[0, 0, 0, 1, -1, -DAY]);
        if at <= NOW {
            born.created = at;
        }
    }

    fn unique(&mut self) -> i64 {
        self.unique += 1;
        self.unique
    }

    fn days(&self) -> &'static [i64] {
        if self.shape.wide { &WIDE } else { &DAYS[..self.shape.days.clamp(1, DAYS.len())] }
    }

    fn time(&mut self) -> i64 {
        let days = self.days();
        let day = self.r.pick(days);
        // Half hours from both ends of the day: sessions go on over midnight.
        let slot = self.r.below(self.shape.slots) as i64;
        let slot = if slot % 2 == 0 { slot / 2 } else { 47 - slot / 2 };
        let time = START + day * DAY + slot * 1_800;
        time + self.r.pick(&[0, 0, 0, 0, 1, -1, 2, 900])
    }

    fn author(&mut self) -> Option<String> {
        let users = self.shape.users;
        (!self.r.chance(8)).then(|| {
            let i = self.r.below(users);
            match USERS.get(i) {
                Some(name) => name.to_string(),
                None => format!("u{i}"),
            }
        })
    }

    /// Of any comment: the submission, one in the conversation, any at all, itself, one that never comes.
    fn parent(&mut self, conversation: usize, own: &str) -> Option<String> {
        match self.r.below(20) {
            0 | 1 => None,
            2..=6 => Some(fullname(true, &submission_id(conversation))),
            7 => Some(fullname(false, own)),
            8 => Some("t1_never".into()),
            9 => Some("t3_never".into()),
            10..=12 if !self.pool.is_empty() => {
                let any = self.r.pick(&self.pool);
                Some(fullname(any.submission, &any.id))
            }
            _ => {
                let members = &self.members[conversation];
                let near = &self.pool[self.r.pick(&members[members.len().saturating_sub(8)..])];
                Some(fullname(near.submission, &near.id))
            }
        }
    }

    fn text(&mut self) -> String {
        if self.shape.questions && self.r.chance(75) {
            return self.r.pick(QUESTIONS).into();
        }
        let text = self.r.pick(TEXTS);
        if self.r.chance(30) { format!("{text}{}", self.r.pick(TEXTS)) } else { text.into() }
    }

    fn community(&self, conversation: usize) -> String {
        let i = conversation % self.shape.communities;
        match COMMUNITIES.get(i) {
            Some(name) => name.to_string(),
            None => format!("r{i}"),
        }
    }

    // ------------------------------------------------------------ Reddit

    /// The next version of some message.
    fn reddit(&mut self) -> Reddit {
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
    fn reddit_rivals(&mut self, v: &Reddit, lines: &mut Vec<String>) {
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

    fn reddit_line(&mut self, v: &Reddit) -> String {
        let fields = self.reddit_fields(v, false);
        object(&mut self.r, fields)
    }

    /// In a listing there is no `op`, and `replies` is a field (which the caller adds).
    fn reddit_fields(&mut self, v: &Reddit, listed: bool) -> Fields {
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

    // ------------------------------------------------------------ Telegram

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
    fn telegram(&mut self) -> Telegram {
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

    fn telegram_rivals(&mut self, v: &Telegram, lines: &mut Vec<String>) {
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

    fn message(&mut self, v: &Telegram) -> String {
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

    fn update(&mut self, v: &Telegram) -> String {
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

    // ------------------------------------------------------------ documents on one line

    fn document(&mut self) -> String {
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

    // ------------------------------------------------------------ what carries no message that counts

    fn noise(&mut self) -> String {
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

fn fullname(submission: bool, id: &str) -> String {
    format!("{}_{id}", if submission { "t3" } else { "t1" })
}

fn thing(kind: &str, data: &str) -> String {
    format!("{{\"kind\":\"{kind}\",\"data\":{data}}}")
}

fn listing_of(things: &[String]) -> String {
    thing("Listing", &format!("{{\"after\":null,\"before\":null,\"children\":{}}}", array(things)))
}
