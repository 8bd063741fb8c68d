//! Deterministic random histories: raw ndjson lines in order of arrival, dense with the cases that the
//! contract's rules are about. Everything comes from one seed; nothing here reads a clock.
//!
//! A history is made of *versions* of a small pool of messages, in the order of their versions; then
//! neighbours (or all) change places, and exact repeats and noise are put between them.
//!
//! Two versions that the contract's order of versions cannot tell apart never differ in anything else
//! (`edited: true` comes with a score of its own; names come with an update_id of their own), and what
//! interface.md leaves open is made only where `Shape::open` says so.

mod documents;
mod json;
mod noise;
mod reddit;
mod telegram;
mod words;

use self::reddit::{comment_id, fullname, submission_id};
use self::words::{COMMUNITIES, QUESTIONS, TEXTS, USERS};

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
}
