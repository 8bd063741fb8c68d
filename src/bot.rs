//! The bot: answers the few questions that it knows, from the views, once each; otherwise it is silent.
//!
//! ```text
//!   log (eddy.telegram) --> update --> question --[ wait until the engine has closed past it ]--> store --> answer --> messenger
//! ```
//!
//! # Invariants
//! 1. An answer counts the message that asked: it is read after a tick that covers the update has closed. All its numbers are as of one
//!    tick, which it names.
//! 2. One answer a cause: its id is (update_id, rule), remembered in [`Answered`], which outlives a restart of the bot in this
//!    process; a bot starts reading at the log's end.
//! 3. An ambiguous send is not repeated. What was refused, given up or ambiguous is counted ([`Counters`]).
//! 4. Everything said is plain text: nothing of what people wrote can become markup or a command.

mod answer;
mod question;
mod send;
#[cfg(test)]
mod tests;
mod update;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;
use tracing::{debug, warn};

use crate::log::{Log, Partition, Topic};
use crate::messenger::{Error, Messenger, Outgoing};
use crate::progress::Progress;
use crate::store::Store;
use crate::telemetry::{BOT, State, Telemetry};
use answer::Answers;
use question::{Question, Rule};
use update::{Asked, Update};

#[derive(Clone, Debug)]
pub struct Config {
    /// The chats that the bot is in; `None`: any that the log tells of.
    pub chats: Option<Vec<i64>>,
    /// How long an answer waits for the engine, milliseconds; then it says that the numbers are late.
    pub engine_wait_ms_max: u64,
    /// Causes that are remembered as answered; older ones are forgotten.
    pub answered_max: usize,
    /// Bytes read from a partition at once.
    pub read_bytes_max: usize,
    /// Attempts of one send.
    pub send_attempts_max: u32,
    /// The first pause after a transient error, milliseconds; it doubles.
    pub send_pause_ms: u64,
    /// The longest `retry_after` that is waited for, milliseconds.
    pub retry_after_ms_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            chats: Some(vec![crate::source::synthetic::world::SANDBOX_CHAT]),
            engine_wait_ms_max: 15_000,
            answered_max: 10_000,
            read_bytes_max: 1 << 20,
            send_attempts_max: 4,
            send_pause_ms: 200,
            retry_after_ms_max: 60_000,
        }
    }
}

/// What has been answered: hand the same to the next bot of this process.
#[derive(Default)]
pub struct Answered(Mutex<(HashSet<(i64, Rule), FixedState>, VecDeque<(i64, Rule)>)>);

impl Answered {
    /// True the first time.
    fn claim(&self, id: (i64, Rule), max: usize) -> bool {
        let (known, order) = &mut *self.0.lock();
        if !known.insert(id) {
            return false;
        }
        order.push_back(id);
        while order.len() > max.max(1) {
            if let Some(oldest) = order.pop_front() {
                known.remove(&oldest);
            }
        }
        true
    }
}

/// What has become of what was asked.
#[derive(Default, Debug)]
pub struct Counters {
    /// Sent, and taken by the messenger.
    pub sent: AtomicU64,
    /// Asked again by the same update.
    pub repeated: AtomicU64,
    /// Refused by the messenger.
    pub refused: AtomicU64,
    /// Given up after the last attempt.
    pub given_up: AtomicU64,
    /// May or may not have been delivered; not repeated.
    pub ambiguous: AtomicU64,
    /// Answered with "the numbers are late".
    pub late: AtomicU64,
}

/// Stops a running bot.
#[derive(Default)]
pub struct Stop(AtomicBool);

impl Stop {
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What the bot works with.
pub struct Parts {
    pub log: Arc<dyn Log>,
    pub store: Arc<dyn Store>,
    pub progress: Arc<dyn Progress>,
    pub messenger: Arc<dyn Messenger>,
    pub answered: Arc<Answered>,
    /// Told whether the bot can read and answer.
    pub telemetry: Arc<Telemetry>,
}

pub struct Bot {
    parts: Parts,
    config: Config,
    offsets: HashMap<Partition, u64, FixedState>,
    counters: Arc<Counters>,
}

/// The longest wait for something new in the log: also how soon the bot stops.
const WAIT: Duration = Duration::from_millis(200);
/// Rounds of reading are at least this far apart, so that a fast log is read in larger pieces.
const ROUND: Duration = Duration::from_millis(15);

impl Bot {
    /// A bot that answers what is asked from now on.
    pub fn new(parts: Parts, config: Config) -> Self {
        let telegram = parts.log.partitions().into_iter().filter(|p| p.topic == Topic::Telegram);
        let offsets = telegram.map(|p| (p, parts.log.end(p))).collect();
        Bot { parts, config, offsets, counters: Arc::default() }
    }

    /// Reads again from an offset, such as one that was noted before.
    pub fn from(mut self, partition: Partition, offset: u64) -> Self {
        self.offsets.insert(partition, offset);
        self
    }

    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Answers until told to stop.
    pub async fn run(mut self, stop: Arc<Stop>) {
        let mut seen = 0;
        while !stop.is_set() {
            self.step().await;
            let log = self.parts.log.clone();
            // Waiting blocks a thread: one that is made for it.
            seen = tokio::task::spawn_blocking(move || log.wait(seen, WAIT)).await.unwrap_or(seen);
            tokio::time::sleep(ROUND).await;
        }
    }

    /// Answers what has been asked since the last step.
    pub async fn step(&mut self) {
        let mut state = State::Ready;
        let mut partitions: Vec<_> = self.offsets.keys().copied().collect();
        partitions.sort();
        for partition in partitions {
            loop {
                let offset = self.offsets[&partition];
                let records = match self.parts.log.read(partition, offset, self.config.read_bytes_max) {
                    Ok(records) => records,
                    Err(error) => {
                        warn!(%error, "the bot could not read the log");
                        state = State::Failed(format!("the log could not be read: {error}"));
                        break;
                    }
                };
                let Some(last) = records.last() else { break };
                let next = last.offset + 1;
                for record in &records {
                    if let Some(asked) = update::read(&record.value, self.config.chats.as_deref())
                        && let Err(error) = self.hear(partition, record.offset, asked).await
                    {
                        state = State::Failed(format!("an answer was not delivered: {error}"));
                    }
                }
                self.offsets.insert(partition, next);
            }
        }
        self.parts.telemetry.state(BOT, state);
    }

    async fn hear(&mut self, partition: Partition, offset: u64, update: Update) -> Result<(), Error> {
        let me = self.parts.messenger.me();
        let Some(question) = question::understand(&update, &me.username) else { return Ok(()) };
        // Claimed before it is sent: if the send is cut short, silence is better than twice the same.
        if !self.parts.answered.claim((update.update_id, question.rule()), self.config.answered_max) {
            self.counters.repeated.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        debug!(update_id = update.update_id, ?question, "asked");
        let callback = if let Asked::Pressed { id, .. } = &update.asked { Some(id.clone()) } else { None };
        if let Some(id) = callback
            && let Err(error) = self.parts.messenger.answer_callback(&id, "").await
        {
            debug!(%error, "the press of a button was not acknowledged");
        }
        let (text, buttons) = if self.closed_past(partition, offset).await {
            Answers::new(&*self.parts.store, &update, &me).answer(&question).await
        } else {
            self.counters.late.fetch_add(1, Ordering::Relaxed);
            (answer::late(), vec![])
        };
        let message =
            Outgoing { chat: update.chat, topic: update.topic, reply_to: Some(update.message_id), text: answer::fit(text), buttons };
        send::send(&*self.parts.messenger, &message, &self.config, &self.counters).await
    }

    /// Waits until the engine has closed past a record; false where that takes too long.
    async fn closed_past(&self, partition: Partition, offset: u64) -> bool {
        let from = Instant::now();
        while !self.parts.progress.closed().covers(partition, offset) {
            if from.elapsed() >= Duration::from_millis(self.config.engine_wait_ms_max) {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }
}

/// What a question is about; the second half of an answer's id.
impl Question {
    fn rule(&self) -> Rule {
        match self {
            Question::Help => Rule::Help,
            Question::Stats(_) => Rule::Stats,
            Question::Me => Rule::Me,
            Question::Top(_) => Rule::Top,
            Question::Sessions => Rule::Sessions,
            Question::Communities => Rule::Communities,
        }
    }
}
