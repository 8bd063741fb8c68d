//! Whether the cost of an event grows with its group: it may not be more than 3 times as much at a million as at a thousand.
//!
//!     cargo bench --bench growth                                  every view, some four minutes, 2 GB
//!     cargo bench --bench growth -- users sessions                these views
//!     cargo bench --bench growth -- --members 100000              smaller groups
//!
//! Three kinds of groups, since each is somebody's worst case: a *community* with a user a member, a *user* with a message a
//! member, a *conversation* with a message a member. Three layouts of each:
//!
//! - `alone`: one group of 1,000, and nothing else: everything is in the processor's cache.
//! - `among`: one of a thousand groups of 1,000, another each round: as many messages are held in all as in
//! - `one`: a single group of 1,000,000.
//!
//! So `one / among` says what the size of the group costs, and `one / alone` what size costs at all: a hash map of a million keys
//! is slower than one of a thousand in any program, by some cache misses an event.
//!
//! Each round has four ticks of 250 events in one group, so that all layouts make as many rows: new messages, half of them late; edits; deletes, half of them of what was just said; and
//! tombstones that are forgotten. So groups keep their size. A figure is the median tick of that kind; `ns` is the mean of the four kinds,
//! and `worst` the kind whose `one / among` is greatest. `max ms` is the longest tick of the million: what an amortised cost can do to one.
#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eddy_dataflows::views::Definition;
use eddy_dataflows::{Update, VIEWS};
use eddy_schemas::name::REDDIT;
use eddy_schemas::{MessageId, Name, Place, Version};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

#[expect(dead_code, reason = "the other benches use the rest")]
mod feed;

const MEMBERS_FEW: u64 = 1_000;
const MEMBERS_MANY: u64 = 1_000_000;
const ROUNDS: usize = 40;
const EVENTS_PER_TICK: usize = 250;
const KINDS: [&str; 4] = ["new", "edit", "delete", "forget"];
/// What the messages spread over: 2021 to 2023.
const START_S: i64 = 1_609_459_200;
const SPAN_S: i64 = 3 * 365 * 86_400;
/// Ticks in which a group is filled.
const FILL: usize = 50_000;

/// What the group is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    Community,
    User,
    Conversation,
}

/// Messages of some groups of one size.
#[derive(Clone)]
struct World {
    of: Of,
    groups: u64,
    members: u64,
    random: Xoshiro256PlusPlus,
    next: u64,
    live: Vec<Version>,
    dead: Vec<Version>,
    now: i64,
    /// The group of this round.
    group: u64,
}

fn name(kind: char, n: u64) -> Name {
    Name::new(REDDIT, &format!("{kind}{n}"))
}

impl World {
    fn new(of: Of, groups: u64, members: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut world = World { of, groups, members, random, next: 1, live: vec![], dead: vec![], now: START_S + SPAN_S, group: 0 };
        for at in 0..groups * members {
            let created_at = START_S + world.random.random_range(0..SPAN_S);
            let version = world.message(at, created_at);
            world.live.push(version);
        }
        world
    }

    /// A message of member `at`, counted through all groups.
    fn message(&mut self, at: u64, created_at: i64) -> Version {
        let (group, draw) = (at / self.members, self.random.random_range(0..self.members / 10));
        let (community, conversation, user) = match self.of {
            Of::Community => (group, group * self.members + draw, at),
            Of::User => (draw % 50, group * self.members + draw, group),
            Of::Conversation => (group % 50, group, group * self.members + draw),
        };
        let id = MessageId::comment(&self.next.to_string());
        self.next += 1;
        Version {
            id,
            conversation: MessageId::submission(&(conversation + 1).to_string()),
            parent: self.parent(at),
            community: Some(name('c', community)),
            user: Some(name('u', user)),
            user_name: None,
            community_name: None,
            created_at: Some(created_at),
            edited_at: None,
            score: Some(1),
            version: self.next as i64,
            update_id: None,
            characters: 100,
            text_hash: Some(self.next),
            place: Place::default(),
            tombstone: false,
            edited: false,
            bot: false,
            asks: self.next % 8 == 0,
        }
    }

    /// In a conversation, half of the messages answer one that is there. (Elsewhere chance would rarely meet one.)
    fn parent(&mut self, at: u64) -> Option<MessageId> {
        let group = at / self.members;
        let (first, end) = (group * self.members, (self.live.len() as u64).min((group + 1) * self.members));
        let wanted = self.of == Of::Conversation && first < end && self.random.random();
        wanted.then(|| self.live[self.random.random_range(first..end) as usize].id)
    }

    /// The next tick of that kind.
    fn tick(&mut self, kind: usize) -> Vec<Update> {
        if kind == 0 {
            self.group = self.random.random_range(0..self.groups);
        }
        // Messages of a group stand together: what is taken out is replaced by a new one of the same group.
        let (first, end) = (self.group * self.members, (self.group + 1) * self.members);
        let mut updates = vec![];
        let mut say = |version, diff| updates.push(Update { version, diff });
        for event in 0..EVENTS_PER_TICK {
            match KINDS[kind] {
                "new" => {
                    let at = self.random.random_range(first..end);
                    self.now += 7;
                    let late = self.random.random_range(0..SPAN_S) * i64::from(event % 2 == 0);
                    let version = self.message(at, self.now - late);
                    self.live.push(version);
                    say(version, 1);
                }
                "edit" => {
                    let version = &mut self.live[self.random.random_range(first..end) as usize];
                    say(*version, -1);
                    version.version += 1_000_000_000;
                    version.characters += 1;
                    version.score = version.score.map(|score| score + 1);
                    version.edited = true;
                    say(*version, 1);
                }
                "delete" => {
                    let at = match event % 2 {
                        0 => self.live.len() - 1,
                        _ => self.random.random_range(first..end) as usize,
                    };
                    let version = self.live.swap_remove(at);
                    say(version, -1);
                    let tombstone = Version { tombstone: true, text_hash: None, characters: 0, ..version };
                    say(tombstone, 1);
                    self.dead.push(tombstone);
                }
                _ => say(self.dead.pop().expect("as many were deleted"), -1),
            }
        }
        updates
    }
}

/// Nanoseconds an event: the median tick of each kind; and the longest tick.
struct Cost {
    ns: [f64; KINDS.len()],
    longest: Duration,
}

impl Cost {
    fn mean(&self) -> f64 {
        self.ns.iter().sum::<f64>() / self.ns.len() as f64
    }
}

fn cost(view: &'static Definition, world: &World) -> Cost {
    let mut world = world.clone();
    let fill: Vec<Version> = world.live.clone();
    let fills = fill.len().div_ceil(FILL);
    let (mut filled, mut ticks) = (0, 0);
    let next = move || {
        if filled < fills {
            let part = &fill[filled * FILL..((filled + 1) * FILL).min(fill.len())];
            filled += 1;
            return Some(part.iter().map(|version| Update { version: *version, diff: 1 }).collect());
        }
        ticks += 1;
        (ticks <= ROUNDS * KINDS.len()).then(|| world.tick((ticks - 1) % KINDS.len()))
    };
    let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let sink = Arc::clone(&times);
    feed::run(vec![view], next, move |took| sink.lock().expect("one thread").push(took));
    let times = times.lock().expect("one thread").split_off(fills);
    let median = |kind: usize| {
        let mut ticks: Vec<Duration> = times.iter().copied().skip(kind).step_by(KINDS.len()).collect();
        ticks.sort();
        ticks[ticks.len() / 2].as_nanos() as f64 / EVENTS_PER_TICK as f64
    };
    Cost { ns: std::array::from_fn(median), longest: times.iter().copied().max().unwrap_or_default() }
}

fn row(view: &str, of: Of, [alone, among, one]: &[Cost; 3]) {
    let ratio = |other: &Cost| one.mean() / other.mean();
    let of_kind = |kind: usize| one.ns[kind] / among.ns[kind];
    let worst = (0..KINDS.len()).max_by(|a, b| of_kind(*a).total_cmp(&of_kind(*b))).expect("there are kinds");
    println!(
        "{view:<16} {:<13}{:>8.0}{:>8.0}{:>8.0}{:>13.2}{:>13.2}   {:<7}{:>6.2}{:>9.2}{}",
        format!("{of:?}").to_lowercase(),
        alone.mean(),
        among.mean(),
        one.mean(),
        ratio(among),
        ratio(alone),
        KINDS[worst],
        of_kind(worst),
        one.longest.as_secs_f64() * 1e3,
        if ratio(among).max(of_kind(worst)) > 3.0 { "   > 3" } else { "" },
    );
}

fn main() {
    let (mut many, mut names, mut arguments) = (MEMBERS_MANY, vec![], std::env::args().skip(1));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--members" => many = arguments.next().and_then(|n| n.parse().ok()).expect("--members N"),
            // cargo adds it.
            "--bench" => {}
            name => names.push(eddy_dataflows::views::find(name).unwrap_or_else(|| panic!("no view is called {name}"))),
        }
    }
    if names.is_empty() {
        names.extend(VIEWS);
    }
    println!("ns an event; groups of {MEMBERS_FEW} alone, {} of them, one of {many}", many / MEMBERS_FEW);
    println!(
        "{:<16} {:<13}{:>8}{:>8}{:>8}{:>13}{:>13}   {:<13}{:>9}",
        "view", "group", "alone", "among", "one", "one/among", "one/alone", "worst", "max ms"
    );
    for of in [Of::Community, Of::User, Of::Conversation] {
        let worlds = [World::new(of, 1, MEMBERS_FEW), World::new(of, many / MEMBERS_FEW, MEMBERS_FEW), World::new(of, 1, many)];
        for definition in &names {
            row(definition.view.name, of, &worlds.each_ref().map(|world| cost(definition, world)));
        }
    }
}
