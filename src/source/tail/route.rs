//! Which partition a line goes to, and which of a batch's lines are there already.

use std::collections::BTreeMap;

use eddy_schemas::Place;
use eddy_schemas::parse::{Context, Parsed, Parser};
use memchr::memmem;

use crate::log::{Append, Log, Partition, Topic, partition_of};

const TOPICS: [Topic; 2] = [Topic::Reddit, Topic::Telegram];

pub struct Router {
    parser: Parser,
    /// Partitions of each topic.
    counts: [u32; 2],
}

impl Router {
    pub fn new(log: &dyn Log) -> Router {
        let partitions = log.partitions();
        let counts = TOPICS.map(|topic| partitions.iter().filter(|partition| partition.topic == topic).count() as u32);
        Router { parser: Parser::default(), counts }
    }

    /// Records of some lines, by topic, in order.
    pub fn records(&mut self, lines: &[u8], received_at_ms: i64) -> [(Topic, Vec<Append>); 2] {
        let mut records = TOPICS.map(|topic| (topic, vec![]));
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace)) {
            let (topic, key) = self.key(line);
            records[usize::from(topic == Topic::Telegram)].1.push(Append { key, value: line.to_vec(), received_at_ms });
        }
        records
    }

    /// Of what is no message, or none that can be read, only the platform matters.
    fn key(&mut self, line: &[u8]) -> (Topic, Vec<u8>) {
        // Whether it is from the future is for the engine to say.
        let context = Context { place: Place::default(), received_at_ms: None, now: i64::MAX / 4 };
        let Parsed::Version(version, _) = self.parser.parse(line, &context) else {
            let telegram = memmem::find(line, b"\"update_id\"").is_some();
            return (if telegram { Topic::Telegram } else { Topic::Reddit }, vec![]);
        };
        let conversation = version.conversation.to_string();
        match conversation.split_once(':') {
            Some(("telegram", topic)) => (Topic::Telegram, topic.rsplit_once('.').map_or(topic, |(chat, _)| chat).into()),
            Some((_, submission)) => (Topic::Reddit, submission.into()),
            None => (Topic::Reddit, conversation.into()),
        }
    }

    pub fn partition(&self, topic: Topic, key: &[u8]) -> Partition {
        Partition { topic, number: partition_of(key, self.counts[usize::from(topic == Topic::Telegram)]) }
    }

    /// Where the partitions end that lines go to.
    pub fn ends(&self, log: &dyn Log) -> BTreeMap<String, u64> {
        let sent = log.partitions().into_iter().filter(|partition| TOPICS.contains(&partition.topic));
        sent.map(|partition| (partition.name(), log.end(partition))).collect()
    }
}

/// The first records of each partition, which are in the log already.
pub struct Skip(BTreeMap<String, u64>);

impl Skip {
    /// Of a batch before which the log ended at `before`.
    pub fn new(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> Skip {
        Skip(now.iter().map(|(partition, end)| (partition.clone(), end - before.get(partition).copied().unwrap_or(0).min(*end))).collect())
    }

    /// Whether the next record of this partition is there.
    pub fn has(&mut self, partition: Partition) -> bool {
        let left = self.0.get_mut(&partition.name());
        left.filter(|left| **left > 0).map(|left| *left -= 1).is_some()
    }
}
