//! A community that does not exist: people who post, answer, edit, delete and come back, as the platforms would tell it.
//!
//! ```text
//!   seed --> [ choose: post, answer, edit, end, revive ] --> Event { topic, key, value, fact } --[ pace ]--> log
//!                    |                      ^                        |
//!                    +--> recent messages --+                        +--> held back, repeated, cut: as in real streams
//! ```
//!
//! # Invariants
//! 1. The events are a function of the seed, the configuration and the times given.
//! 2. Memory is bounded, whatever the number of events: only the latest messages of each community ([`RECENT`]) can be answered,
//!    edited or ended. (The truth, which must know all of them, keeps [`Fact`]s.)
//! 3. A [`Fact`] says exactly what its event's bytes say. Events without one change no view.
//! 4. Versions of one message are numbered in the order in which they win (Reddit by `seq`, Telegram by `edit_date`, then
//!    `update_id`), also where they are emitted in another.

pub mod fact;
pub mod pace;
pub mod wire;
pub mod words;
pub mod world;

use std::collections::VecDeque;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::log::Topic;
pub use fact::Fact;
use fact::{ASKS, EDITED, PLACED, RENAMED, SCORED, TOMBSTONE};
use wire::{Carrier, End};
pub use world::World;
use world::{Kind, NONE, SANDBOX};

/// Messages of a community that can still be answered, edited or ended.
pub const RECENT: usize = 4096;
/// Conversations of a community that a new comment may start from.
const OPEN: usize = 256;
/// Events held back at once; at the limit they are emitted at once.
const HELD_MAX: usize = 512;
/// Answers deeper than this go to the submission instead.
const DEPTH_MAX: u8 = 60;

/// How much of what, of a thousand events, besides new messages.
#[derive(Clone, Debug)]
pub struct Config {
    pub edits: u32,
    pub ends: u32,
    pub revivals: u32,
    /// Accounts that are deleted while their words stay.
    pub orphans: u32,
    /// Emitted again, byte for byte.
    pub repeats: u32,
    /// Emitted seconds after their time.
    pub late: u32,
    /// Emitted a few events after their turn.
    pub reordered: u32,
    /// Of no consequence: someone joined.
    pub service: u32,
    /// Of a million: cut short, so that they cannot be read.
    pub malformed: u32,
    /// How unequal people are: the exponent of Zipf's law.
    pub skew: f64,
}

impl Default for Config {
    fn default() -> Self {
        Config { edits: 45, ends: 18, revivals: 3, orphans: 2, repeats: 8, late: 5, reordered: 10, service: 2, malformed: 300, skew: 1.05 }
    }
}

/// One record for the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub topic: Topic,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// What it changes; `None`: nothing.
    pub fact: Option<Fact>,
}

/// A message that can still change.
#[derive(Clone, Copy)]
struct Recent {
    fact: Fact,
    depth: u8,
}

/// What one community remembers.
#[derive(Default)]
struct Place {
    recent: VecDeque<Recent>,
    open: VecDeque<u32>,
}

/// When a held event goes out.
#[derive(Clone, Copy)]
enum Until {
    Time(i64),
    Event(u64),
}

/// The generator.
pub struct Synthetic {
    world: Arc<World>,
    config: Config,
    rng: Xoshiro256PlusPlus,
    users: Zipf<f64>,
    places: Vec<Place>,
    weights: f64,
    held: VecDeque<(Until, Event)>,
    /// The last event, should it be repeated.
    last: Option<Event>,
    emitted: u64,
    messages: u32,
    seq: u64,
    update_id: u64,
    now_ms: i64,
}

impl Synthetic {
    /// A generator over the default [`World`].
    pub fn new(seed: u64, config: Config) -> Self {
        Self::of(Arc::new(World::default()), seed, config)
    }

    pub fn of(world: Arc<World>, seed: u64, config: Config) -> Self {
        let weights = world.communities.iter().map(|c| c.weight).sum();
        assert!(weights > 0.0, "a world needs a community that is talked in");
        Synthetic {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            users: Zipf::new(f64::from(world.users), config.skew).expect("at least one user and a positive exponent"),
            places: world.communities.iter().map(|_| Place::default()).collect(),
            weights,
            held: VecDeque::new(),
            last: None,
            emitted: 0,
            messages: 0,
            seq: 0,
            update_id: 100_000_000,
            now_ms: 0,
            world,
            config,
        }
    }

    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The next event, at `now_ms` (milliseconds since 1970; an earlier one than before is taken as the same).
    pub fn next(&mut self, now_ms: i64) -> Event {
        // A clock that goes back would give an edit an earlier version than what it edits.
        let now_ms = now_ms.max(self.now_ms);
        self.now_ms = now_ms;
        let event = self.due(now_ms).unwrap_or_else(|| self.fresh(now_ms));
        self.emitted += 1;
        event
    }

    fn due(&mut self, now_ms: i64) -> Option<Event> {
        let emitted = self.emitted;
        let at = self.held.iter().take(64).position(|(until, _)| match until {
            Until::Time(at) => *at <= now_ms,
            Until::Event(at) => *at <= emitted,
        })?;
        self.held.remove(at).map(|(_, event)| event)
    }

    fn fresh(&mut self, now_ms: i64) -> Event {
        loop {
            let (kind, malformed) = (self.rng.random_range(0..1000), self.rng.random_ratio(self.config.malformed, 1_000_000));
            if malformed {
                return self.cut(now_ms);
            }
            let event = match self.last.take() {
                Some(last) if kind < self.config.repeats => Event { fact: None, ..last },
                last => {
                    self.last = last;
                    self.make(now_ms)
                }
            };
            let Some(until) = self.delay(now_ms) else {
                // Only what has gone out can be repeated: a repeat that came first would count.
                if event.fact.is_some() && self.rng.random_ratio(1, 16) {
                    self.last = Some(event.clone());
                }
                return event;
            };
            self.held.push_back((until, event));
        }
    }

    fn delay(&mut self, now_ms: i64) -> Option<Until> {
        if self.held.len() >= HELD_MAX {
            return None;
        }
        let at = self.rng.random_range(0..1000);
        if at < self.config.late {
            return Some(Until::Time(now_ms + self.rng.random_range(1_000..30_000)));
        }
        (at < self.config.late + self.config.reordered).then(|| Until::Event(self.emitted + self.rng.random_range(1..9)))
    }

    /// A record that broke on its way.
    fn cut(&mut self, now_ms: i64) -> Event {
        let event = self.make(now_ms);
        // What was cut must come whole as well: otherwise the generator would go on from something nobody has heard of.
        let half = event.value.len() / 2;
        let broken = Event { value: event.value[..half].to_vec(), fact: None, topic: event.topic, key: event.key.clone() };
        self.held.push_front((Until::Event(0), event));
        broken
    }

    fn make(&mut self, now_ms: i64) -> Event {
        let community = self.community();
        let now = u32::try_from(now_ms / 1000).expect("a time before 2106");
        let kind = self.rng.random_range(0..1000);
        let c = &self.config;
        let (edits, ends, revivals, orphans, service) = (c.edits, c.ends, c.revivals, c.orphans, c.service);
        let reddit = matches!(self.world.community(community).kind, Kind::Subreddit);
        let changed = if kind < edits {
            self.edit(community, now, reddit)
        } else if kind < edits + ends && reddit {
            self.end(community)
        } else if kind < edits + ends + revivals && reddit {
            self.revive(community, now)
        } else if kind < edits + ends + revivals + orphans && reddit {
            self.orphan(community)
        } else if kind < edits + ends + revivals + orphans + service && !reddit {
            Some(self.service(community, now))
        } else {
            None
        };
        changed.unwrap_or_else(|| self.post(community, now, reddit))
    }

    fn community(&mut self) -> u8 {
        let mut at = self.rng.random::<f64>() * self.weights;
        for (number, community) in self.world.communities.iter().enumerate() {
            at -= community.weight;
            if at < 0.0 {
                return number as u8;
            }
        }
        self.world.communities.iter().rposition(|c| c.weight > 0.0).expect("checked when made") as u8
    }

    fn user(&mut self, community: u8, reddit: bool) -> u32 {
        // Each community has favourites of its own.
        let rank = self.users.sample(&mut self.rng) as u32 - 1;
        let user = (rank + u32::from(community) * 7919) % self.world.users;
        if reddit { user } else { self.world.users + user }
    }

    /// A message to answer: mostly a late one, so that talk moves on.
    fn answered(&mut self, community: u8) -> Option<Recent> {
        let back = (-(1.0 - self.rng.random::<f64>()).ln() * 120.0) as usize;
        let recent = &self.places[usize::from(community)].recent;
        let at = recent.len().checked_sub(1 + back)?;
        Some(recent[at]).filter(|r| !r.fact.is(TOMBSTONE) && r.depth < DEPTH_MAX)
    }

    fn post(&mut self, community: u8, now: u32, reddit: bool) -> Event {
        assert!(self.messages < SANDBOX, "a run makes at most 3.2 billion messages");
        let number = self.messages;
        self.messages += 1;
        let mut fact = Fact {
            message: number,
            conversation: number,
            user: self.user(community, reddit),
            parent: NONE,
            created_at: now,
            edited_at: 0,
            text_hash: 0,
            characters: 0,
            score: 1,
            version: 0,
            community,
            flags: PLACED,
        };
        let mut depth = 0;
        if reddit {
            if !self.rng.random_ratio(1, 20) {
                fact.flags |= SCORED;
            }
            if let Some((conversation, parent, at)) = self.place_comment(community) {
                (fact.conversation, fact.parent, depth) = (conversation, parent, at);
            } else {
                let open = &mut self.places[usize::from(community)].open;
                open.push_back(number);
                if open.len() > OPEN {
                    open.pop_front();
                }
            }
        } else {
            depth = 1;
            if self.renamed(fact.user, number) {
                fact.flags |= RENAMED;
            }
            let answers = self.rng.random_bool(0.4);
            match self.answered(community).filter(|_| answers) {
                Some(to) => (fact.conversation, fact.parent, depth) = (to.fact.conversation, to.fact.message, to.depth + 1),
                None => fact.conversation = self.topic(community),
            }
        }
        let text = self.text(&mut fact, reddit);
        let event = if reddit { self.reddit(&fact, &text, false) } else { self.telegram(&fact, &text) };
        let recent = &mut self.places[usize::from(community)].recent;
        recent.push_back(Recent { fact, depth });
        if recent.len() > RECENT {
            recent.pop_front();
        }
        event
    }

    /// Conversation, parent and depth of a comment; `None`: this is to be a submission.
    fn place_comment(&mut self, community: u8) -> Option<(u32, u32, u8)> {
        let kind = self.rng.random_range(0..100);
        if kind < 6 {
            return None;
        }
        if kind < 70
            && let Some(to) = self.answered(community)
        {
            return Some((to.fact.conversation, to.fact.message, to.depth + 1));
        }
        let open = &self.places[usize::from(community)].open;
        let back = (-(1.0 - self.rng.random::<f64>()).ln() * 12.0) as usize;
        let conversation = *open.get(open.len().checked_sub(1)?.saturating_sub(back))?;
        Some((conversation, conversation, 1))
    }

    fn topic(&mut self, community: u8) -> u32 {
        let Kind::Chat { topics, .. } = &self.world.community(community).kind else { unreachable!("a chat") };
        World::topic(community, self.rng.random_range(0..topics.len()))
    }

    /// One user in fifty goes by another name from some message on.
    fn renamed(&self, user: u32, message: u32) -> bool {
        user.is_multiple_of(50) && message > user % 977 * 10
    }

    fn text(&mut self, fact: &mut Fact, reddit: bool) -> String {
        let text = if fact.message == fact.conversation {
            let title = words::text(&mut self.rng, 6, 3).replace('\n', " ");
            if self.rng.random_bool(0.6) { format!("{title}\n{}", words::text(&mut self.rng, 30, 5)) } else { title }
        } else if !reddit && carrier(fact.message) == Carrier::Sticker {
            String::new()
        } else {
            words::text(&mut self.rng, if reddit { 18 } else { 8 }, 10)
        };
        fact.characters = u16::try_from(text.chars().count()).expect("texts of at most 200 words");
        fact.text_hash = fact::hash(&text);
        fact.flags = fact.flags & !ASKS | if fact::asks(&text) { ASKS } else { 0 };
        text
    }

    /// A recent message of a community that `fits`, and has versions left.
    fn pick(&mut self, community: u8, fits: impl Fn(&Recent) -> bool) -> Option<usize> {
        let recent = &self.places[usize::from(community)].recent;
        for _ in 0..4 {
            let at = self.rng.random_range(0..recent.len().max(1));
            if recent.get(at).is_some_and(|r| r.fact.version < u8::MAX && fits(r)) {
                return Some(at);
            }
        }
        None
    }

    /// Makes the next version of a recent message.
    fn change(&mut self, community: u8, at: usize, change: impl FnOnce(&mut Fact, &mut Xoshiro256PlusPlus)) -> Fact {
        let fact = &mut self.places[usize::from(community)].recent[at].fact;
        fact.version += 1;
        change(fact, &mut self.rng);
        *fact
    }

    fn keep(&mut self, community: u8, at: usize, fact: Fact) {
        self.places[usize::from(community)].recent[at].fact = fact;
    }

    fn edit(&mut self, community: u8, now: u32, reddit: bool) -> Option<Event> {
        let at = self.pick(community, |r| !r.fact.is(TOMBSTONE) && (reddit || carrier(r.fact.message) != Carrier::Sticker))?;
        // Reddit: an edit with its time, an old `edited: true`, or no more than a new score.
        let kind = if reddit { self.rng.random_range(0..10) } else { 0 };
        let mut fact = self.change(community, at, |fact, rng| {
            fact.flags |= EDITED;
            fact.edited_at = if kind < 6 { now } else { 0 };
            if fact.is(SCORED) {
                fact.score = fact.score.saturating_add(rng.random_range(-3..9));
            }
        });
        let text = self.text(&mut fact, reddit);
        self.keep(community, at, fact);
        Some(if reddit { self.reddit(&fact, &text, kind == 6) } else { self.telegram(&fact, &text) })
    }

    fn end(&mut self, community: u8) -> Option<Event> {
        let at = self.pick(community, |r| !r.fact.is(TOMBSTONE))?;
        let end = [End::Deletion, End::Deleted, End::Removed][self.rng.random_range(0..3)];
        let kept = self.change(community, at, |fact, _| fact.flags = fact.flags & (PLACED | SCORED) | TOMBSTONE | EDITED);
        let mut fact = Fact { edited_at: 0, ..kept };
        match end {
            End::Deletion => {
                (fact.user, fact.parent, fact.created_at, fact.flags) = (NONE, NONE, 0, TOMBSTONE);
                self.seq += 1;
                let value = wire::deletion(&self.world, &fact, self.seq);
                return Some(self.event(&fact, value));
            }
            End::Deleted => fact.user = NONE,
            End::Removed => {}
        }
        let gone = if end == End::Deleted { "[deleted]" } else { "[removed]" };
        let text = if fact.message == fact.conversation { format!("a title that stays\n{gone}") } else { gone.to_string() };
        Some(self.reddit(&fact, &text, false))
    }

    fn revive(&mut self, community: u8, now: u32) -> Option<Event> {
        let at = self.pick(community, |r| r.fact.is(TOMBSTONE))?;
        let mut fact = self.change(community, at, |fact, _| {
            fact.flags = fact.flags & SCORED | PLACED | EDITED;
            fact.edited_at = now;
        });
        let text = self.text(&mut fact, true);
        self.keep(community, at, fact);
        Some(self.reddit(&fact, &text, false))
    }

    fn orphan(&mut self, community: u8) -> Option<Event> {
        let at = self.pick(community, |r| !r.fact.is(TOMBSTONE) && r.fact.user != NONE)?;
        let mut fact = self.change(community, at, |fact, _| {
            (fact.user, fact.edited_at) = (NONE, 0);
            fact.flags |= EDITED;
        });
        // The words would stay as they are, but the generator keeps none: they change, which the record says as well.
        let text = self.text(&mut fact, true);
        self.keep(community, at, fact);
        Some(self.reddit(&fact, &text, false))
    }

    fn service(&mut self, community: u8, now: u32) -> Event {
        let message = self.messages;
        self.messages += 1;
        self.update_id += 1;
        let user = self.user(community, false);
        let value = wire::joined(&self.world, community, message, user, self.update_id, now);
        Event { topic: Topic::Telegram, key: self.key(community, 0), value, fact: None }
    }

    fn reddit(&mut self, fact: &Fact, text: &str, edited_flag: bool) -> Event {
        self.seq += 1;
        let value = wire::reddit(&self.world, fact, self.seq, text, edited_flag);
        self.event(fact, value)
    }

    fn telegram(&mut self, fact: &Fact, text: &str) -> Event {
        self.update_id += 1;
        let value = wire::telegram(&self.world, fact, self.update_id, text, carrier(fact.message), self.world.users);
        self.event(fact, value)
    }

    fn key(&self, community: u8, conversation: u32) -> Vec<u8> {
        match self.world.community(community).kind {
            Kind::Subreddit => self.world.conversation_key(conversation).into_bytes(),
            Kind::Chat { id, .. } => id.to_string().into_bytes(),
        }
    }

    fn event(&self, fact: &Fact, value: Vec<u8>) -> Event {
        let topic = match self.world.community(fact.community).kind {
            Kind::Subreddit => Topic::Reddit,
            Kind::Chat { .. } => Topic::Telegram,
        };
        Event { topic, key: self.key(fact.community, fact.conversation), value, fact: Some(*fact) }
    }
}

/// How a Telegram message carries its text: for good, so that an edit keeps it.
fn carrier(message: u32) -> Carrier {
    match message % 41 {
        7 => Carrier::Photo,
        23 => Carrier::Sticker,
        _ => Carrier::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const START_MS: i64 = 1_800_000_000_000;

    #[test]
    fn a_seed_gives_the_same_events() {
        let run = |seed| {
            let mut synthetic = Synthetic::new(seed, Config::default());
            (0..3000).map(|i| synthetic.next(START_MS + i * 5)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn events_are_what_platforms_emit() {
        let seed = 11;
        let mut synthetic = Synthetic::new(seed, Config::default());
        let (mut broken, mut kinds) = (0, std::collections::BTreeMap::<String, u32>::new());
        for i in 0..50_000 {
            let event = synthetic.next(START_MS + i);
            let Ok(value) = serde_json::from_slice::<Value>(&event.value) else {
                broken += 1;
                assert!(event.fact.is_none(), "seed {seed}");
                continue;
            };
            let kind = if value["update_id"].is_u64() {
                let kind = if value["message"].is_object() { "message" } else { "edited_message" };
                assert!(value[kind]["chat"]["id"].is_i64() && value[kind]["date"].is_u64(), "{value}");
                assert_eq!(event.key, value[kind]["chat"]["id"].to_string().into_bytes());
                kind
            } else {
                assert!(value["seq"].is_u64() && value["id"].is_string(), "{value}");
                match (value["op"].as_str(), value["body"].is_string()) {
                    (Some("d"), _) => "d",
                    (_, true) => "comment",
                    _ if value["title"].is_string() => "submission",
                    _ => panic!("seed {seed}: {value}"),
                }
            };
            *kinds.entry(kind.to_string()).or_default() += 1;
        }
        assert!((1..100).contains(&broken), "seed {seed}: {broken} broken");
        assert_eq!(kinds.len(), 5, "seed {seed}: {kinds:?}");
        assert!(kinds["submission"] * 40 > kinds["comment"] && kinds["d"] > 50, "seed {seed}: {kinds:?}");
    }

    #[test]
    fn trees_are_deep_and_conversations_uneven() {
        let mut synthetic = Synthetic::new(3, Config::default());
        let mut sizes = std::collections::BTreeMap::<u32, u32>::new();
        for i in 0..50_000 {
            if let Some(fact) = synthetic.next(START_MS + i * 5).fact.filter(|f| f.version == 0) {
                *sizes.entry(fact.conversation).or_default() += 1;
            }
        }
        let depth = synthetic.places.iter().flat_map(|p| &p.recent).map(|r| r.depth).max();
        assert!(depth > Some(6), "{depth:?}");
        assert!(sizes.values().max() > Some(&50));
    }
}
