//! The rows that must be there, recounted from the facts of one entity in the plainest way (`interface.md`, Views).

use eddy_schemas::row::Kind;
use eddy_schemas::{Cell, MessageId, Name, Place};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::facts::{Facts, Slot};
use super::ledger::Ledger;
use super::pace::Pace;
use super::{
    COMMUNITIES, COMMUNITY_DAYS, COMMUNITY_HOURS, COMMUNITY_NAMES, CONVERSATIONS, Entity, MESSAGES, REPLIES, SESSIONS, TOP_USERS,
    UNANSWERED, USER_HOURS, USER_NAMES, USERS, VIEWS,
};
use crate::source::synthetic::fact::{ASKS, EDITED, PLACED, RENAMED, SCORED, TOMBSTONE};
use crate::source::synthetic::world::{NONE, SANDBOX, TOPICS};

mod moving;

const SESSION_GAP_S: u32 = 1800;
/// A post that asks is unanswered from so long after it on.
const UNANSWERED_S: i64 = 6 * 3600;

/// A row that must be there.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Its place in [`VIEWS`].
    pub view: usize,
    /// Key, then the other columns. Of a text only that there is one.
    pub cells: Vec<Cell>,
    /// Another value of the last column that is as good: the rules do not say which of two equals wins.
    pub or: Option<Cell>,
}

/// How often a loop looks at the clock.
const LOOK: usize = 512;

struct Recount<'a> {
    facts: &'a Facts,
    ledger: &'a Ledger,
    watermark: Option<i64>,
    pace: &'a mut Pace,
    rows: Vec<Row>,
    steps: usize,
}

/// The rows of an entity. The facts stay as they are meanwhile.
pub async fn rows(facts: &Facts, ledger: &Ledger, watermark: Option<i64>, pace: &mut Pace, entity: &Entity) -> Vec<Row> {
    let mut recount = Recount { facts, ledger, watermark, pace, rows: Vec::new(), steps: 0 };
    match entity {
        Entity::User(user) => recount.user(*user).await,
        Entity::Conversation(conversation) => recount.conversation(*conversation).await,
        Entity::Community(community) => recount.community(*community).await,
        Entity::Message(message) => {
            recount.message(*message);
            recount.unanswered(*message).await;
        }
        Entity::Stray(..) => {}
    }
    recount.rows
}

/// Every row that must be there, of every view: for tests, and worlds that are small.
pub async fn all(facts: &Facts, ledger: &Ledger, watermark: Option<i64>) -> Vec<Row> {
    let (users, made, typed) = facts.ends();
    let mut entities: Vec<_> = (0..users).map(Entity::User).collect();
    entities.extend((0..facts.world.communities.len() as u8).map(Entity::Community));
    entities.extend((0..made).chain(facts.world.topics()).map(Entity::Conversation));
    entities.extend((0..made).chain(SANDBOX..typed).map(Entity::Message));
    let mut pace = Pace::new(1.0);
    let mut all = Vec::new();
    for entity in entities {
        all.extend(rows(facts, ledger, watermark, &mut pace, &entity).await);
    }
    all
}

/// The first key column of an entity's rows. `None`: it is written out in the entity itself.
pub fn key(facts: &Facts, entity: &Entity) -> Option<Cell> {
    let world = &facts.world;
    let id = |key: String| Cell::Id(MessageId::parse(&key).expect("the world's ids are ids"));
    Some(match entity {
        Entity::User(user) => Cell::Key(Name::of(&world.user_key(*user))),
        Entity::Conversation(conversation) => id(world.conversation_key(*conversation)),
        Entity::Community(community) => Cell::Key(Name::of(&world.community(*community).key)),
        Entity::Message(message) => {
            let slot = facts.slot(*message);
            id(world.message_key(*message, slot.community, slot.conversation == *message))
        }
        Entity::Stray(..) => return None,
    })
}

fn int(n: impl TryInto<i64>) -> Cell {
    Cell::Int(n.try_into().ok().expect("counts are below 2^63"))
}

fn maybe(n: Option<u32>) -> Cell {
    n.map_or(Cell::Null, int)
}

type Set<T> = HashSet<T, FixedState>;
type Map<K, V> = HashMap<K, V, FixedState>;

impl Recount<'_> {
    async fn step(&mut self) {
        self.steps += 1;
        if self.steps.is_multiple_of(LOOK) {
            self.pace.breathe().await;
        }
    }

    fn push(&mut self, view: usize, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), VIEWS[view].all_columns().count(), "{}", VIEWS[view].name);
        self.rows.push(Row { view, cells, or: None });
    }

    fn user_key(&self, user: u32) -> Cell {
        Cell::Key(Name::of(&self.facts.world.user_key(user)))
    }

    fn display(&self, user: u32, renamed: bool) -> Cell {
        let name = self.ledger.person(user).unwrap_or_else(|| self.facts.world.display(user, renamed));
        Cell::Display(Name::of(&format!(":{name}")))
    }

    async fn user(&mut self, user: u32) {
        let facts = self.facts;
        let mut live: Vec<u32> = Vec::new();
        let (mut characters, mut score, mut edited) = (0i64, 0i64, 0i64);
        let (mut conversations, mut communities) = (Set::default(), Set::default());
        let mut answered: Map<u32, u64> = Map::default();
        // The latest message, and whether another of the same second gives another name.
        let (mut latest, mut renamed, mut both) = (0, false, false);
        for message in facts.of_user(user) {
            self.step().await;
            let slot = facts.slot(message);
            if !slot.is_live() || slot.user != user {
                continue;
            }
            live.push(slot.created_at);
            characters += i64::from(slot.characters);
            score += if slot.is(SCORED) { i64::from(slot.score) } else { 0 };
            edited += i64::from(slot.is(EDITED));
            conversations.insert(slot.conversation);
            communities.insert(slot.community);
            let parent = facts.slot(slot.parent);
            if parent.is_held() && parent.conversation == slot.conversation && parent.user != NONE && parent.user != user {
                *answered.entry(parent.user).or_default() += 1;
            }
            let name = slot.is(RENAMED);
            if slot.created_at > latest {
                (latest, renamed, both) = (slot.created_at, name, false);
            } else if slot.created_at == latest {
                both |= name != renamed;
            }
        }
        if live.is_empty() {
            return;
        }
        live.sort_unstable();
        self.pace.breathe().await;
        let key = self.user_key(user);
        let (first, last, count) = (live[0], live[live.len() - 1], live.len() as u64);
        let row = vec![
            key,
            int(count),
            int(characters),
            int(score),
            int(edited),
            int(first),
            int(last),
            int(conversations.len()),
            int(communities.len()),
        ];
        self.push(USERS, row);
        self.hours_and_sessions(key, &live).await;
        for (to, replies) in answered {
            self.step().await;
            let to = self.user_key(to);
            self.push(REPLIES, vec![key, to, int(replies)]);
        }
        let or = both.then(|| self.display(user, !renamed));
        let name = self.display(user, renamed);
        self.rows.push(Row { view: USER_NAMES, cells: vec![key, name], or });
    }

    /// `live`: times in order.
    async fn hours_and_sessions(&mut self, key: Cell, live: &[u32]) {
        for of_hour in live.chunk_by(|a, b| a / 3600 == b / 3600) {
            self.step().await;
            self.push(USER_HOURS, vec![key, int(of_hour[0] / 3600), int(of_hour.len())]);
        }
        for session in live.chunk_by(|a, b| b - a <= SESSION_GAP_S) {
            self.step().await;
            let (start, end) = (session[0], session[session.len() - 1]);
            self.push(SESSIONS, vec![key, int(start), int(end), int(session.len())]);
        }
    }

    async fn conversation(&mut self, conversation: u32) {
        let facts = self.facts;
        let mut held: Vec<u32> = Vec::new();
        for message in facts.of_conversation(conversation) {
            self.step().await;
            held.push(message);
        }
        if held.is_empty() {
            return;
        }
        // A message is made after the one that it answers, so its number is greater: parents come first.
        held.sort_unstable();
        self.pace.breathe().await;
        let submission = facts.slot(conversation);
        let opener = (conversation < TOPICS && submission.is_live()).then_some(submission);
        let (mut messages, mut removed, mut characters) = (0u64, 0u64, 0i64);
        let (mut first, mut last, mut depth, mut response) = (None::<u32>, None::<u32>, None::<u32>, None::<u32>);
        let mut participants = Set::default();
        let mut depths: Vec<u32> = Vec::with_capacity(held.len());
        let mut community = None;
        for message in &held {
            self.step().await;
            let slot = facts.slot(*message);
            let own = if *message == conversation {
                0
            } else {
                // Held of this conversation, or it does not count as a parent.
                held.binary_search(&slot.parent).ok().and_then(|at| depths.get(at)).map_or(1, |depth| depth + 1)
            };
            depths.push(own);
            if slot.is(PLACED) {
                community = Some(slot.community);
            }
            if !slot.is_live() {
                removed += 1;
                continue;
            }
            messages += 1;
            characters += i64::from(slot.characters);
            first = Some(first.map_or(slot.created_at, |at| at.min(slot.created_at)));
            last = last.max(Some(slot.created_at));
            depth = depth.max(Some(own));
            if slot.user != NONE {
                participants.insert(slot.user);
            }
            if let Some(opener) = opener
                && *message != conversation
                && slot.user != NONE
                && slot.user != opener.user
                && slot.created_at >= opener.created_at
            {
                let after = slot.created_at - opener.created_at;
                response = Some(response.map_or(after, |least| least.min(after)));
            }
        }
        let Some(key) = key(facts, &Entity::Conversation(conversation)) else { return };
        let community = community.map_or(Cell::Null, |c| Cell::Key(Name::of(&facts.world.community(c).key)));
        let row = vec![
            key,
            community,
            int(messages),
            int(participants.len()),
            int(characters),
            int(removed),
            maybe(first),
            maybe(last),
            maybe(depth),
            maybe(response),
        ];
        self.push(CONVERSATIONS, row);
    }

    async fn community(&mut self, community: u8) {
        let facts = self.facts;
        let (users_end, made_end, typed_end) = facts.ends();
        let numbers = if facts.world.sandbox == Some(community) { SANDBOX..typed_end } else { 0..made_end };
        let (mut messages, mut removed, mut characters) = (0u64, 0u64, 0i64);
        let (mut first, mut last) = (None::<u32>, None::<u32>);
        // One bit a message that may open a conversation, one number a user: a million messages are gone through in milliseconds.
        let mut opened: Vec<u64> = vec![0; made_end as usize / 64 + 1];
        let (mut conversations, mut topics) = (0u64, Set::default());
        let mut of_user: Vec<u64> = vec![0; users_end as usize];
        let mut latest_hour: Vec<u32> = vec![NONE; users_end as usize];
        let (mut hours, mut days) = (Map::<u32, u64>::default(), Map::<u32, u64>::default());
        let (mut user_hours, mut user_days) = (Set::<(u32, u32)>::default(), Set::<(u32, u32)>::default());
        let (mut posts, mut responses) = (Vec::new(), Map::<u32, u32>::default());
        for start in numbers.clone().step_by(LOOK) {
            for message in start..numbers.end.min(start + LOOK as u32) {
                let slot: &Slot = facts.slot(message);
                if !slot.is_held() || slot.community != community {
                    continue;
                }
                if slot.is(TOMBSTONE) {
                    removed += u64::from(slot.is(PLACED));
                    continue;
                }
                messages += 1;
                characters += i64::from(slot.characters);
                first = Some(first.map_or(slot.created_at, |at| at.min(slot.created_at)));
                last = last.max(Some(slot.created_at));
                if facts.is_post(message) {
                    posts.push(message);
                }
                let post = if slot.conversation < TOPICS { slot.conversation } else { slot.parent };
                if facts.is_post(post)
                    && let Some(seconds) = facts.responds(post, message)
                {
                    let least = responses.entry(post).or_insert(seconds);
                    *least = seconds.min(*least);
                }
                match opened.get_mut(slot.conversation as usize / 64) {
                    Some(bits) => {
                        let bit = 1 << (slot.conversation % 64);
                        conversations += u64::from(*bits & bit == 0);
                        *bits |= bit;
                    }
                    None => conversations += u64::from(topics.insert(slot.conversation)),
                }
                let (hour, day) = (slot.created_at / 3600, slot.created_at / 86_400);
                *hours.entry(hour).or_default() += 1;
                *days.entry(day).or_default() += 1;
                if slot.user != NONE {
                    of_user[slot.user as usize] += 1;
                    // Mostly the same hour as the message before.
                    if std::mem::replace(&mut latest_hour[slot.user as usize], hour) != hour {
                        user_hours.insert((hour, slot.user));
                        user_days.insert((day, slot.user));
                    }
                }
            }
            self.pace.breathe().await;
        }
        if messages + removed == 0 {
            return;
        }
        let key = Cell::Key(Name::of(&facts.world.community(community).key));
        let row = vec![
            key,
            int(messages),
            int(of_user.iter().filter(|count| **count > 0).count()),
            int(conversations),
            int(characters),
            int(removed),
            maybe(first),
            maybe(last),
        ];
        self.push(COMMUNITIES, row);
        if messages == 0 {
            return;
        }
        let title = Cell::Display(Name::of(&format!(":{}", facts.world.community(community).title)));
        self.push(COMMUNITY_NAMES, vec![key, title]);
        let mut posters: Map<u32, u64> = Map::default();
        for (hour, _) in &user_hours {
            self.step().await;
            *posters.entry(*hour).or_default() += 1;
        }
        for (hour, count) in &hours {
            self.push(COMMUNITY_HOURS, vec![key, int(*hour), int(*count), int(posters.get(hour).copied().unwrap_or(0))]);
        }
        self.week(key, &hours).await;
        self.responses(key, &posts, &responses).await;
        self.activity(key, &user_days).await;
        self.days(key, days, &user_days).await;
        self.top(key, of_user).await;
    }

    async fn days(&mut self, key: Cell, days: Map<u32, u64>, user_days: &Set<(u32, u32)>) {
        let mut first_day: Map<u32, u32> = Map::default();
        for (day, user) in user_days {
            self.step().await;
            let first = first_day.entry(*user).or_insert(*day);
            *first = (*first).min(*day);
        }
        for (day, count) in days {
            let (mut posters, mut new, mut week, mut month) = (0u64, 0u64, Set::default(), Set::default());
            for (other, user) in user_days {
                self.step().await;
                if *other == day {
                    posters += 1;
                    new += u64::from(first_day.get(user) == Some(&day));
                }
                if *other <= day && day - *other < 7 {
                    week.insert(*user);
                }
                if *other <= day && day - *other < 30 {
                    month.insert(*user);
                }
            }
            self.push(COMMUNITY_DAYS, vec![key, int(day), int(count), int(posters), int(new), int(week.len()), int(month.len())]);
        }
    }

    async fn top(&mut self, key: Cell, of_user: Vec<u64>) {
        let mut most: Vec<(u64, String)> = Vec::new();
        // Only those that can be among the ten need their names written out.
        let mut counts: Vec<u64> = of_user.iter().copied().filter(|count| *count > 0).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let least = counts.get(9).or(counts.last()).copied().unwrap_or(0).max(1);
        for (user, count) in (0..).zip(of_user) {
            self.step().await;
            if count >= least {
                most.push((count, self.facts.world.user_key(user)));
            }
        }
        most.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        for (at, (count, user)) in most.into_iter().take(10).enumerate() {
            self.push(TOP_USERS, vec![key, int(at + 1), Cell::Key(Name::of(&user)), int(count)]);
        }
    }

    fn message(&mut self, message: u32) {
        let facts = self.facts;
        let slot = facts.slot(message);
        if !slot.is_live() {
            return;
        }
        let Some(key) = key(facts, &Entity::Message(message)) else { return };
        let Some(conversation) = self::key(facts, &Entity::Conversation(slot.conversation)) else { return };
        let parent = (slot.parent != NONE).then(|| {
            let parent = facts.world.message_key(slot.parent, slot.community, slot.parent == slot.conversation);
            MessageId::parse(&parent).expect("the world's ids are ids")
        });
        let row = vec![
            key,
            conversation,
            Cell::Key(Name::of(&facts.world.community(slot.community).key)),
            if slot.user == NONE { Cell::Null } else { self.user_key(slot.user) },
            parent.map_or(Cell::Null, Cell::Id),
            int(slot.created_at),
            if slot.edited_at == 0 { Cell::Null } else { int(slot.edited_at) },
            if slot.is(SCORED) { int(slot.score) } else { Cell::Null },
            Cell::Text(Place::default()),
        ];
        self.push(MESSAGES, row);
    }
}

impl Recount<'_> {
    async fn unanswered(&mut self, message: u32) {
        let (facts, slot) = (self.facts, self.facts.slot(message));
        let is_due = self.watermark.is_some_and(|watermark| watermark >= i64::from(slot.created_at) + UNANSWERED_S);
        if !is_due || !slot.is(ASKS) || !facts.is_post(message) {
            return;
        }
        if slot.conversation < TOPICS {
            for other in facts.of_conversation(slot.conversation) {
                self.step().await;
                if facts.responds(message, other).is_some() {
                    return;
                }
            }
        } else {
            for other in facts.of_parent(message) {
                self.step().await;
                if facts.responds(message, other).is_some() {
                    return;
                }
            }
        }
        let Some(key) = key(facts, &Entity::Message(message)) else { return };
        let community = Cell::Key(Name::of(&facts.world.community(slot.community).key));
        let user = if slot.user == NONE { Cell::Null } else { self.user_key(slot.user) };
        self.push(UNANSWERED, vec![key, community, user, int(slot.created_at)]);
    }
}

/// Equal as people see them: names for display by their text, texts not at all.
pub fn same(expected: &Cell, stored: &Cell, kind: Kind) -> bool {
    match (expected, stored) {
        (Cell::Display(a), Cell::Display(b)) => a.bare() == b.bare(),
        (Cell::Text(_), Cell::Text(_)) => kind == Kind::Text,
        (a, b) => a == b,
    }
}
