//! The checker: which entity is compared when, and what is told of it.
//!
//! ```text
//!   round: what is wrong | what changed last | the next of all users, conversations, messages | a page of the store, for strays
//!          | the next community, when its share of the time has come
//! ```
//!
//! A community is recounted from all facts, which takes milliseconds a hundred thousand messages: it gets at most a third of the time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eddy_schemas::Cell;
use tokio::sync::watch;

use super::compare::{Difference, compare};
use super::facts::Facts;
use super::ledger::Ledger;
use super::pace::Pace;
use super::{
    COMMUNITY_ACTIVITY, CONVERSATIONS, Entity, MESSAGES, OF_COMMUNITY, OF_MESSAGE, OF_USER, TruthRow, UNANSWERED, USERS, VIEWS, expected,
};
use crate::progress::{Bound, Progress};
use crate::source::synthetic::fact;
use crate::source::synthetic::world::{NONE, SANDBOX, TOPICS};
use crate::store::{Error, Store, Stored};
use crate::texts::Texts;

#[derive(Clone, Debug)]
pub struct Config {
    /// Share of one core for comparing, while there is something new and once all has been looked at.
    pub share: f64,
    pub share_idle: f64,
    /// The pause after a round once all has been looked at, and how often results are told, milliseconds.
    pub idle_ms: u64,
    pub tell_ms: u64,
    /// Readings of an entity, a millisecond apart, until all of it is as of the bound's tick.
    pub attempts: u32,
    /// Changed entities that wait to be looked at; older ones give way.
    pub recent_max: usize,
    /// Wrong entities that are remembered one by one.
    pub wrong_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { share: 0.03, share_idle: 0.01, idle_ms: 200, tell_ms: 500, attempts: 12, recent_max: 1024, wrong_max: 256 }
    }
}

/// What it works with.
pub struct Parts {
    pub ledger: Arc<Ledger>,
    pub store: Arc<dyn Store>,
    pub progress: Arc<dyn Progress>,
    /// To compare what messages say; `None`: their texts are not compared.
    pub texts: Option<Arc<dyn Texts>>,
}

/// Stops a running checker.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Entities looked at in one round.
const RECENT: usize = 24;
const ROLLING: usize = 32;
const MESSAGES_ROLLING: usize = 128;
const WRONG: usize = 32;
/// Rows of one page.
const PAGE: usize = 256;
/// Facts applied at once.
const BATCH: usize = 4096;
/// Rows of one entity in one view that are read, at most: beyond that the view of that entity is left out.
const ROWS_MAX: usize = 200_000;

/// A sweep over something that grows: where it stands, and how often it has come to the end.
#[derive(Default, Clone, Copy)]
struct Sweep {
    at: u32,
    passes: u64,
}

impl Sweep {
    fn next(&mut self, start: u32, end: u32) -> Option<u32> {
        if start >= end {
            return None;
        }
        if self.at < start || self.at >= end {
            self.passes += u64::from(self.at >= end);
            self.at = start;
        }
        self.at += 1;
        Some(self.at - 1)
    }

    /// How much has been looked at: 0 to 1.
    fn share(&self, start: u32, end: u32) -> f64 {
        match self.passes {
            0 => f64::from(self.at.saturating_sub(start)) / f64::from(end.saturating_sub(start).max(1)),
            _ => 1.0,
        }
    }

    fn say(&self, share: f64) -> String {
        match self.passes {
            0 => format!("{:.0} % looked at", (share * 100.0).floor()),
            n => format!("all looked at {n} time{}", if n == 1 { "" } else { "s" }),
        }
    }
}

pub struct Truth {
    parts: Parts,
    config: Config,
    facts: Facts,
    pace: Pace,
    told: watch::Sender<Vec<TruthRow>>,
    last_told: Instant,
    checked: [u64; VIEWS.len()],
    recent: VecDeque<Entity>,
    wrong: Vec<(Entity, Difference)>,
    users: Sweep,
    conversations: Sweep,
    messages: Sweep,
    typed: Sweep,
    communities: Sweep,
    strays: (usize, Option<Vec<u8>>, u64),
    community_time: Duration,
    recent_time: Duration,
    counts: [Option<String>; VIEWS.len()],
    changed: bool,
}

impl Truth {
    /// The checker, and where it tells what it found: one row a view.
    pub fn new(parts: Parts, config: Config) -> (Self, watch::Receiver<Vec<TruthRow>>) {
        let rows = VIEWS.iter().map(|view| TruthRow {
            view: view.name.into(),
            checked: 0,
            share: 0.0,
            ok: true,
            detail: Some("nothing looked at yet".into()),
        });
        let (told, receiver) = watch::channel(rows.collect());
        let truth = Truth {
            facts: Facts::new(parts.ledger.world().clone()),
            pace: Pace::new(config.share),
            parts,
            config,
            told,
            last_told: Instant::now(),
            checked: [0; VIEWS.len()],
            recent: VecDeque::new(),
            wrong: Vec::new(),
            users: Sweep::default(),
            conversations: Sweep::default(),
            messages: Sweep::default(),
            typed: Sweep::default(),
            communities: Sweep::default(),
            strays: (0, None, 0),
            community_time: Duration::ZERO,
            recent_time: Duration::ZERO,
            counts: Default::default(),
            changed: false,
        };
        (truth, receiver)
    }

    /// Time worked so far.
    pub fn worked(&self) -> Duration {
        self.pace.worked()
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Compares until told to stop.
    pub async fn run(mut self, stop: Arc<Stop>) {
        while !stop.0.load(Ordering::Acquire) {
            let passes = self.messages.passes;
            if let Err(error) = self.round().await {
                self.pace.sleep(Duration::from_millis(self.config.idle_ms)).await;
                tracing::warn!(%error, "the truth check could not read the store");
            }
            if self.last_told.elapsed() >= Duration::from_millis(self.config.tell_ms) {
                self.tell();
            }
            // All looked at and nothing new: rows can still go wrong, but not in a hurry.
            let idle = !self.changed && self.messages.passes > 0 && self.wrong.is_empty();
            self.pace.set_share(if idle { self.config.share_idle } else { self.config.share });
            if idle || self.facts.ends().1 == 0 {
                self.pace.sleep(Duration::from_millis(self.config.idle_ms)).await;
            } else {
                self.pace.breathe().await;
            }
            if self.messages.passes > passes {
                self.changed = false;
            }
        }
        self.tell();
    }

    /// One round.
    pub async fn round(&mut self) -> Result<(), Error> {
        self.advance().await;
        if self.parts.ledger.broken().is_some() {
            return Ok(());
        }
        // Each round others of them: the list is turned as it is walked.
        for _ in 0..self.wrong.len().min(WRONG) {
            let Some((entity, _)) = self.wrong.first().cloned() else { break };
            self.wrong.rotate_left(1);
            self.look(entity).await?;
        }
        // The busiest change all the time and are the longest to recount: they, too, get no more than a third.
        let before = self.pace.worked();
        for _ in 0..RECENT {
            let spent = self.recent_time + (self.pace.worked() - before);
            let Some(entity) = self.recent.pop_back().filter(|_| spent * 3 <= self.pace.worked()) else { break };
            self.look(entity).await?;
        }
        self.recent_time += self.pace.worked() - before;
        self.roll().await?;
        self.strays().await?;
        self.count().await?;
        if self.community_time * 3 <= self.pace.worked() {
            let before = self.pace.worked();
            let end = self.facts.world.communities.len() as u32;
            if let Some(community) = self.communities.next(0, end) {
                self.look(Entity::Community(community as u8)).await?;
            }
            self.community_time += self.pace.worked() - before;
        }
        Ok(())
    }

    async fn roll(&mut self) -> Result<(), Error> {
        let (users_end, made_end, typed_end) = self.facts.ends();
        let mut seen = 0;
        // Numbers without rows cost nothing, but a bounded look.
        for _ in 0..4096 {
            let Some(user) = self.users.next(0, users_end).filter(|_| seen < ROLLING) else { break };
            if self.facts.has_user(user) {
                seen += 1;
                self.look(Entity::User(user)).await?;
            }
        }
        seen = 0;
        for _ in 0..4096 {
            let Some(message) = self.conversations.next(0, made_end).filter(|_| seen < ROLLING) else { break };
            if self.facts.slot(message).conversation == message {
                seen += 1;
                self.look(Entity::Conversation(message)).await?;
            }
            if message == 0 {
                // With each pass, the topics of chats.
                for topic in self.facts.world.clone().topics() {
                    self.look(Entity::Conversation(topic)).await?;
                }
            }
        }
        for _ in 0..MESSAGES_ROLLING {
            let Some(message) = self.messages.next(0, made_end) else { break };
            if self.facts.slot(message).is_held() {
                self.look(Entity::Message(message)).await?;
            }
        }
        for _ in 0..8 {
            let Some(message) = self.typed.next(SANDBOX, typed_end) else { break };
            if self.facts.slot(message).is_held() {
                self.look(Entity::Message(message)).await?;
            }
        }
        Ok(())
    }

    /// Applies what has closed, up to a bound that is still the latest one when it is done.
    async fn advance(&mut self) -> Bound {
        loop {
            let from = Instant::now();
            let bound = self.parts.progress.closed();
            let closed = self.parts.ledger.drain(&bound, BATCH);
            if closed.is_empty() {
                return bound;
            }
            for fact in &closed {
                if self.facts.apply(fact) {
                    self.changed = true;
                    let user = (fact.user != NONE).then_some(Entity::User(fact.user));
                    let others = [Entity::Conversation(fact.conversation), Entity::Message(fact.message)];
                    for entity in user.into_iter().chain(others) {
                        if self.recent.len() >= self.config.recent_max {
                            self.recent.pop_front();
                        }
                        self.recent.push_back(entity);
                    }
                }
            }
            // Keeping the facts is the source's cost (about 0.2 us an event): if it waited for a share, the source would wait for it.
            self.pace.forgive(from.elapsed());
            tokio::task::yield_now().await;
        }
    }

    /// Compares the rows of one entity.
    async fn look(&mut self, entity: Entity) -> Result<(), Error> {
        let mut attempt = 1;
        let (bound, stored, at_once) = loop {
            // From here to the last read nothing pauses: the longer it takes, the likelier is a tick in between.
            let bound = self.advance().await;
            let (stored, at_once) = self.read(&entity, bound.tick).await?;
            if at_once || attempt >= self.config.attempts {
                break (bound, stored, at_once);
            }
            // Reading is cheap beside recounting: a moment between two ticks is waited for.
            attempt += 1;
            self.pace.sleep(Duration::from_millis(1)).await;
        };
        let wanted = match self.resolved(&entity) {
            true => expected::rows(&self.facts, &self.parts.ledger, bound.watermark, &mut self.pace, &entity).await,
            false => return Ok(()), // a stray that has found its place
        };
        let (mut differences, checked) = compare(&wanted, &stored);
        differences.extend(self.text(&entity, &stored, &differences));
        if at_once {
            checked.into_iter().for_each(|(view, rows)| self.checked[view] += rows);
        } else {
            differences.retain(|difference| difference.as_of.is_some_and(|as_of| as_of <= bound.tick));
        }
        // Without a difference, what was not read at once is neither wrong nor mended.
        if at_once || !differences.is_empty() {
            self.found(&entity, differences);
        }
        self.pace.breathe().await;
        Ok(())
    }

    /// Remembers what differs, in place of what was known of the entity.
    fn found(&mut self, entity: &Entity, differences: Vec<Difference>) {
        if let (true, [first, ..]) = (self.wrong.is_empty(), &differences[..]) {
            tracing::error!(detail = first.detail, "a row is not what it must be");
        }
        self.wrong.retain(|(wrong, _)| wrong != entity);
        let room = self.config.wrong_max.saturating_sub(self.wrong.len());
        self.wrong.extend(differences.into_iter().take(room).map(|difference| (entity.clone(), difference)));
    }

    /// Of a message: that its text can be read, and is the one that was generated.
    fn text(&self, entity: &Entity, stored: &[(usize, Vec<Stored>)], differences: &[Difference]) -> Option<Difference> {
        let (Entity::Message(message), Some(texts), true) = (entity, &self.parts.texts, differences.is_empty()) else { return None };
        let row = stored.first()?.1.first()?;
        let slot = self.facts.slot(*message);
        let Some(Cell::Text(place)) = row.cells.last() else { return None };
        if slot.characters == 0 {
            return None; // a sticker: whether it has an empty text or none is not said
        }
        let wrong = match texts.text(*place) {
            Ok(text) if fact::hash(&text) == slot.text_hash => return None,
            Ok(text) => format!("says \"{}\", which was not written", text.chars().take(60).collect::<String>()),
            Err(error) => error.to_string(),
        };
        let key = self.facts.world.message_key(*message, slot.community, slot.conversation == *message);
        Some(Difference { view: MESSAGES, as_of: Some(row.as_of), detail: format!("messages {key}: {wrong} (as of {})", row.as_of) })
    }

    /// False for a stray that the truth knows by now.
    fn resolved(&self, entity: &Entity) -> bool {
        match entity {
            Entity::Stray(view, key) => self.is_stray(*view, key),
            _ => true,
        }
    }

    /// The rows of an entity as the store holds them, by view, and whether all of them are as of `tick`.
    async fn read(&self, entity: &Entity, tick: u64) -> Result<(Vec<(usize, Vec<Stored>)>, bool), Error> {
        let store = &self.parts.store;
        let key = match entity {
            Entity::Stray(_, key) => key.clone(),
            _ => expected::key(&self.facts, entity).into_iter().collect(),
        };
        let (mut all, mut at_once) = (Vec::new(), true);
        for view in entity.views() {
            let (mut rows, mut cursor) = (Vec::new(), None::<Vec<u8>>);
            loop {
                let page = store.scan(VIEWS[view], &key, cursor.as_deref(), PAGE).await?;
                at_once &= page.tick == tick;
                rows.extend(page.value.rows);
                cursor = page.value.next;
                if cursor.is_none() || rows.len() > ROWS_MAX {
                    break;
                }
            }
            if cursor.is_none() {
                all.push((view, rows));
            }
        }
        Ok((all, at_once))
    }

    /// Reads on through the store, for rows of nothing.
    async fn strays(&mut self) -> Result<(), Error> {
        let (view, cursor, _) = &self.strays;
        let view = *view;
        let page = self.parts.store.scan(VIEWS[view], &[], cursor.as_deref(), PAGE).await?.value;
        self.strays.1 = page.next;
        if self.strays.1.is_none() {
            self.strays.0 = (view + 1) % VIEWS.len();
            self.strays.2 += u64::from(self.strays.0 == 0);
        }
        let keys = VIEWS[view].key.len();
        for row in page.rows {
            if self.is_stray(view, &row.cells[..keys]) {
                self.look(Entity::Stray(view, row.cells[..keys].to_vec())).await?;
            }
        }
        self.pace.breathe().await;
        Ok(())
    }

    /// No message that was generated can give this key a row.
    fn is_stray(&self, view: usize, key: &[Cell]) -> bool {
        let (facts, world) = (&self.facts, &self.facts.world);
        let known = match (key.first(), view) {
            (Some(Cell::Key(name)), view) if OF_USER.contains(&view) => {
                world.user_number(name.as_str()).is_some_and(|user| facts.has_user(user))
            }
            (Some(Cell::Key(name)), view) if OF_COMMUNITY.contains(&view) => {
                world.communities.iter().any(|community| community.key == name.as_str())
            }
            (Some(Cell::Id(id)), CONVERSATIONS) => {
                world.conversation_number(&id.to_string()).is_some_and(|c| c >= TOPICS || facts.of_conversation(c).next().is_some())
            }
            (Some(cell @ Cell::Id(id)), view) if OF_MESSAGE.contains(&view) => world
                .message_number(&id.to_string())
                .is_some_and(|m| facts.slot(m).is_held() && expected::key(facts, &Entity::Message(m)).as_ref() == Some(cell)),
            _ => false,
        };
        !known
    }

    /// Counts of whole views, where the truth keeps them.
    async fn count(&mut self) -> Result<(), Error> {
        let bound = self.advance().await;
        let counted = self.parts.store.count(&[VIEWS[MESSAGES], VIEWS[USERS]]).await?;
        if counted.tick != bound.tick {
            return Ok(()); // the next round may come between two ticks
        }
        let (messages, users) = self.facts.live();
        for ((view, expected), counted) in [(MESSAGES, messages), (USERS, users)].into_iter().zip(counted.value) {
            let told = || format!("{}: the store counts {counted} rows, there should be {expected}", VIEWS[view].name);
            self.counts[view] = (counted != expected).then(told);
        }
        // What no record says cannot have been reached.
        let latest = self.facts.latest_at().map(i64::from);
        let told = || format!("the watermark is {:?}, the latest record says {latest:?}", bound.watermark);
        self.counts[COMMUNITY_ACTIVITY] = (bound.watermark > latest).then(told);
        Ok(())
    }

    /// Tells what is known now.
    pub fn tell(&mut self) {
        self.last_told = Instant::now();
        let (users, made, typed) = self.facts.ends();
        let broken = self.parts.ledger.broken();
        let rows = VIEWS.iter().enumerate().map(|(view, of)| {
            let mut wrong = self.wrong.iter().filter(|(_, difference)| difference.view == view).map(|(_, d)| d.detail.clone());
            let detail = wrong.next().or_else(|| self.counts[view].clone());
            let more = wrong.count();
            let (sweep, start, end) = match view {
                view if OF_USER.contains(&view) => (&self.users, 0, users),
                CONVERSATIONS | MESSAGES | UNANSWERED if made == 0 => (&self.typed, SANDBOX, typed),
                CONVERSATIONS => (&self.conversations, 0, made),
                MESSAGES | UNANSWERED => (&self.messages, 0, made),
                _ => (&self.communities, 0, self.facts.world.communities.len() as u32),
            };
            let share = sweep.share(start, end);
            let (ok, detail) = match (&broken, detail) {
                (Some(why), _) => (true, format!("not compared any more: {why}, so it is not known what was written")),
                (None, None) => (true, sweep.say(share)),
                (None, Some(detail)) if more > 0 => (false, format!("{detail}, and {more} more")),
                (None, Some(detail)) => (false, detail),
            };
            TruthRow { view: of.name.into(), checked: self.checked[view], share, ok, detail: Some(detail) }
        });
        self.told.send_replace(rows.collect());
    }
}
