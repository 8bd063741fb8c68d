//! `eddy run` for half an hour under a steady load, with a retention so short that messages are sealed all the time: memory must stand still,
//! and what it says must be what it was sent.
//!
//!     cargo bench --bench soak                                      20,000 events a second for 30 minutes; 16 GB of disk under the temporary folder
//!     cargo bench --bench soak -- --rate 5000 --seconds 120         less
//!
//! Event time runs 600 times as fast as the clock, so half an hour of load is 12 days of messages: retention 12 h, rows of hours 24 h, of days
//! 48 h. Half of the events are of Reddit (comments under 300 submissions in 20 subreddits; new, 2 % edits, 2 % deletions), half of Telegram
//! (100 chats; new, 2 % edits); 300 people each; 1 % of the records come twice, 2 % up to 20 minutes of event time late. Keys are so few since sums
//! of sealed messages stay, by definition, for every key and pair there ever was: all of them have come before the second half begins. (With 2,000
//! people who answers whom are 8 million pairs, and memory grows with them all along.)
//!
//! What was sent is counted by community and by user, and what the views say at the end must be the same.
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SEED: u64 = 1;
const PEOPLE: u32 = 300;
const SUBREDDITS: u32 = 20;
const SUBMISSIONS: u32 = 300;
const CHATS: u32 = 100;
/// Messages that can be answered, edited or deleted.
const RECENT: usize = 50_000;
const DEPTH_MAX: u8 = 12;
/// Seconds of event time a second.
const SPEED: f64 = 600.0;
const LATE_S: i64 = 1_200;
const FLAGS: [&str; 6] = ["--retention", "12h", "--keep-hours", "24h", "--keep-days", "48h"];
/// Between two looks.
const LOOK: Duration = Duration::from_secs(10);
const WORDS: &str = "so the river bends where nobody asked it to and everyone who stood there says that it was always so, which is how it goes with rivers and with people, is it not? ";

/// A message that can still change.
#[derive(Clone, Copy)]
struct Recent {
    number: u64,
    place: u32,
    user: u32,
    at: i64,
    depth: u8,
    is_live: bool,
}

/// Makes the events, and counts what they must come to.
struct Source {
    rng: Xoshiro256PlusPlus,
    reddit: VecDeque<Recent>,
    telegram: VecDeque<Recent>,
    number: u64,
    expected: BTreeMap<String, i64>,
}

impl Source {
    fn new() -> Source {
        let rng = Xoshiro256PlusPlus::seed_from_u64(SEED);
        Source { rng, reddit: VecDeque::new(), telegram: VecDeque::new(), number: 0, expected: BTreeMap::new() }
    }

    fn text(&mut self) -> &'static str {
        let (start, length) = (self.rng.random_range(0..40), self.rng.random_range(20..120));
        &WORDS[start..start + length]
    }

    fn count(&mut self, message: Recent, is_reddit: bool, by: i64) {
        let keys = if is_reddit {
            [format!("communities/reddit:r{}", message.place % SUBREDDITS), format!("users/reddit:u{}", message.user)]
        } else {
            [format!("communities/telegram:{}", chat(message.place)), format!("users/telegram:{}", message.user + 1)]
        };
        keys.into_iter().for_each(|key| *self.expected.entry(key).or_default() += by);
    }

    /// Writes the next event as a line.
    fn event(&mut self, now: i64, out: &mut Vec<u8>) {
        self.number += 1;
        let is_reddit = self.rng.random();
        let start = out.len();
        match self.rng.random_range(0..100) {
            0..2 => self.edit(is_reddit, now, out),
            2..4 if is_reddit => self.delete(out),
            _ => self.create(is_reddit, now, out),
        }
        if self.rng.random_range(0..100) == 0 {
            out.extend_from_within(start..);
        }
    }

    fn create(&mut self, is_reddit: bool, now: i64, out: &mut Vec<u8>) {
        let late = if self.rng.random_range(0..100) < 2 { self.rng.random_range(0..LATE_S) } else { 0 };
        let recent = if is_reddit { &self.reddit } else { &self.telegram };
        let answered = (!recent.is_empty() && self.rng.random_range(0..10) < 4).then(|| recent[self.rng.random_range(0..recent.len())]);
        let answered = answered.filter(|answered| answered.is_live && answered.depth < DEPTH_MAX);
        let places = if is_reddit { SUBMISSIONS } else { CHATS };
        let message = Recent {
            number: self.number,
            place: answered.map_or_else(|| self.rng.random_range(0..places), |answered| answered.place),
            user: self.rng.random_range(0..PEOPLE),
            at: now - late,
            depth: answered.map_or(0, |answered| answered.depth) + 1,
            is_live: true,
        };
        self.write(is_reddit, message, answered, None, out);
        self.count(message, is_reddit, 1);
        let recent = if is_reddit { &mut self.reddit } else { &mut self.telegram };
        recent.push_back(message);
        if recent.len() > RECENT {
            recent.pop_front();
        }
    }

    fn edit(&mut self, is_reddit: bool, now: i64, out: &mut Vec<u8>) {
        let recent = if is_reddit { &self.reddit } else { &self.telegram };
        if recent.is_empty() {
            return;
        }
        let message = recent[self.rng.random_range(0..recent.len())];
        if message.is_live {
            self.write(is_reddit, message, None, Some(now), out);
        }
    }

    fn delete(&mut self, out: &mut Vec<u8>) {
        if self.reddit.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.reddit.len());
        let message = self.reddit[at];
        if std::mem::replace(&mut self.reddit[at].is_live, false) {
            let (id, post, seq) = (message.number, message.place, self.number);
            writeln!(out, r#"{{"op":"d","id":"t1_{id}","link_id":"t3_{post}","seq":{seq},"created_utc":{}}}"#, message.at).expect("memory");
            self.count(message, true, -1);
        }
    }

    fn write(&mut self, is_reddit: bool, message: Recent, answered: Option<Recent>, edited: Option<i64>, out: &mut Vec<u8>) {
        let (text, seq) = (self.text(), self.number);
        let Recent { number, place, user, at, .. } = message;
        if is_reddit {
            let parent = answered.map_or_else(|| format!("t3_{place}"), |answered| format!("t1_{}", answered.number));
            let (op, subreddit) = (if edited.is_some() { "u" } else { "c" }, place % SUBREDDITS);
            write!(out, r#"{{"op":"{op}","seq":{seq},"id":"{number}","link_id":"t3_{place}","parent_id":"{parent}","author":"u{user}","#)
                .and_then(|()| writeln!(out, r#""subreddit":"r{subreddit}","body":"{text}","score":{},"created_utc":{at}}}"#, seq % 50))
        } else {
            let (what, chat, user) = (if edited.is_some() { "edited_message" } else { "message" }, chat(place), user + 1);
            let from = format!(r#""from":{{"id":{user},"is_bot":false,"first_name":"U{user}"}}"#);
            let of = format!(r#""chat":{{"id":{chat},"type":"supergroup","title":"C{place}"}}"#);
            let edit = edited.map(|edited| format!(r#""edit_date":{edited},"#)).unwrap_or_default();
            let reply = |to: Recent| format!(r#""reply_to_message":{{"message_id":{},"date":{},{of}}},"#, to.number, to.at);
            let reply = answered.map(reply).unwrap_or_default();
            write!(out, r#"{{"update_id":{seq},"{what}":{{"message_id":{number},"date":{at},{edit}{from},{of},{reply}"text":"{text}"}}}}"#)
                .and_then(|()| writeln!(out))
        }
        .expect("memory");
    }
}

fn chat(place: u32) -> i64 {
    -1_000_000_000_000 - i64::from(place)
}

/// Feeds a pipe at a steady rate until the time is over; gives what must have become of it.
fn feed(mut pipe: impl Write, rate: u64, seconds: u64, sent: &AtomicU64) -> BTreeMap<String, i64> {
    let mut source = Source::new();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    // It ends before the clock.
    let start = now_s - (seconds as f64 * SPEED) as i64 - 3_600;
    let (began, events, mut made, mut lines) = (Instant::now(), rate * seconds, 0, vec![]);
    while made < events {
        let due = ((began.elapsed().as_secs_f64() * rate as f64) as u64).min(events);
        while made < due {
            source.event(start + (made as f64 / rate as f64 * SPEED) as i64, &mut lines);
            made += 1;
        }
        pipe.write_all(&lines).expect("eddy reads");
        sent.store(made, Ordering::Relaxed);
        lines.clear();
        std::thread::sleep(Duration::from_millis(5));
    }
    source.expected
}

/// A sum over all samples of a metric whose line begins with `name`.
fn metric(text: &str, name: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, |sum, value| sum + value)
}

/// What `/metrics` says at one moment.
#[derive(Clone)]
struct Look {
    at: Duration,
    text: String,
}

impl Look {
    fn rss_mb(&self) -> f64 {
        metric(&self.text, "process_resident_memory_bytes") / 1e6
    }

    /// The least bucket that at least this part of what came since an earlier look is in, seconds.
    fn quantile_since(&self, before: &Look, histogram: &str, quantile: f64) -> f64 {
        let all = metric(&self.text, &format!("{histogram}_count")) - metric(&before.text, &format!("{histogram}_count"));
        let name = format!("{histogram}_bucket{{le=\"");
        let uppers = self.text.lines().filter_map(|line| line.strip_prefix(name.as_str())?.split('"').next());
        let within = |upper: &&str| {
            let line = format!("{name}{upper}\"}}");
            metric(&self.text, &line) - metric(&before.text, &line) >= all * quantile
        };
        uppers.filter(|upper| *upper != "+Inf").find(within).map_or(f64::INFINITY, |upper| upper.parse().expect("a number"))
    }
}

fn get(address: &str, path: &str) -> Option<String> {
    ureq::get(format!("{address}{path}")).call().ok()?.body_mut().read_to_string().ok()
}

fn start(folder: &Path) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eddy"));
    command.args(["run", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder).args(FLAGS).arg("-");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("eddy starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says where it is");
    let address = line.split_whitespace().find(|word| word.starts_with("http://")).expect("an address").to_owned();
    (child, address)
}

fn argument(name: &str, default: u64) -> u64 {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).map_or(default, |value| value.parse().expect("a number"))
}

fn main() {
    let (rate, seconds) = (argument("--rate", 20_000), argument("--seconds", 1_800));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut child, address) = start(folder.path());
    let pipe = child.stdin.take().expect("piped");
    let (began, sent) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let feeder = std::thread::spawn({
        let sent = Arc::clone(&sent);
        move || feed(pipe, rate, seconds, &sent)
    });
    println!("{:>8}{:>12}{:>12}{:>12}{:>10}{:>10}{:>14}", "s", "sent", "read", "live", "RSS MB", "CPU s", "fresh p99 ms");
    let mut looks = vec![];
    while !feeder.is_finished() {
        std::thread::sleep(LOOK);
        let Some(text) = get(&address, "/metrics") else { panic!("eddy run has ended: {:?}", child.try_wait()) };
        let look = Look { at: began.elapsed(), text };
        let told = |name: &str| metric(&look.text, name);
        println!(
            "{:>8.0}{:>12}{:>12.0}{:>12.0}{:>10.1}{:>10.1}{:>14.1}",
            look.at.as_secs_f64(),
            sent.load(Ordering::Relaxed),
            told("eddy_records_read_total"),
            told("eddy_messages_live"),
            look.rss_mb(),
            told("process_cpu_seconds_total"),
            told("eddy_freshness_last_minute_seconds{quantile=\"0.99\"}") * 1e3,
        );
        looks.push(look);
    }
    let expected = feeder.join().expect("the feeder does not panic");
    report(&looks);
    agree(&address, &expected);
    // SAFETY: a signal to a child that has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    child.wait().expect("a child");
}

/// Of the second half.
fn report(looks: &[Look]) {
    let half = &looks[looks.len() / 2..];
    let (first, last) = (&half[0], half.last().expect("it ran"));
    let (least, most) = half.iter().map(Look::rss_mb).fold((f64::MAX, 0f64), |(least, most), mb| (least.min(mb), most.max(mb)));
    let told = |name: &str| metric(&last.text, name) - metric(&first.text, name);
    let took = (last.at - first.at).as_secs_f64();
    println!("\nsecond half: {took:.0} s, {:.0} records/s", told("eddy_records_read_total") / took);
    println!("RSS {least:.1} to {most:.1} MB: {:.2} %", (most / least - 1.0) * 100.0);
    println!("CPU {:.1} % of a core", told("process_cpu_seconds_total") / took * 100.0);
    for (what, histogram) in [("freshness", "eddy_freshness_seconds"), ("commit of a tick", "eddy_tick_commit_seconds")] {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| last.quantile_since(first, histogram, quantile) * 1e3);
        println!("{what}: p50 <= {p50} ms, p99 <= {p99} ms, p99.9 <= {p999} ms");
    }
    let (sealed, dead) =
        (metric(&last.text, "eddy_records_ignored_total{reason=\"sealed\"}"), metric(&last.text, "eddy_dead_letters_total"));
    println!("ignored as sealed {sealed}, dead letters {dead}");
}

/// What the views say is what was sent.
fn agree(address: &str, expected: &BTreeMap<String, i64>) {
    let all: i64 = expected.iter().filter(|(key, _)| key.starts_with("users/")).map(|(_, messages)| messages).sum();
    let said = |key: &str| {
        let row: serde_json::Value = serde_json::from_str(&get(address, &format!("/v1/{key}"))?).ok()?;
        row.get("messages").or_else(|| row.pointer("/row/messages")).and_then(serde_json::Value::as_i64)
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let wrong: Vec<_> = expected.iter().filter(|(key, messages)| said(key) != Some(**messages)).collect();
        if wrong.is_empty() {
            println!("{} communities and users have the {all} messages that were sent", expected.len());
            return;
        }
        assert!(Instant::now() < deadline, "{} keys differ, such as {:?}, which says {:?}", wrong.len(), wrong[0], said(wrong[0].0));
        std::thread::sleep(Duration::from_millis(500));
    }
}
