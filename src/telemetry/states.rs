//! States of the components, and what went wrong last.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use serde::Serialize;

/// How a component is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "state", content = "message", rename_all = "lowercase")]
pub enum State {
    Starting,
    /// It reads back what an earlier process has decided.
    Recovering,
    Ready,
    /// It does not do its work; the message says why.
    Failed(String),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LastError {
    pub message: String,
    pub at_ms: u64,
}

/// A component and its state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Component {
    pub name: &'static str,
    #[serde(flatten)]
    pub state: State,
    pub since_ms: u64,
    pub last_error: Option<LastError>,
}

#[derive(Default)]
pub struct States(RwLock<BTreeMap<&'static str, Component>>);

impl States {
    pub fn set(&self, name: &'static str, state: State) {
        let now = now_ms();
        let mut states = self.0.write();
        let component = states.entry(name).or_insert(Component { name, state: State::Starting, since_ms: now, last_error: None });
        if let State::Failed(message) = &state {
            component.last_error = Some(LastError { message: message.clone(), at_ms: now });
        }
        if component.state != state {
            component.since_ms = now;
        }
        component.state = state;
    }

    pub fn is_ready(&self, name: &str) -> bool {
        self.0.read().get(name).is_some_and(|component| component.state == State::Ready)
    }

    /// Components that do not do their work, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, String)> {
        let failed = |component: Component| match component.state {
            State::Failed(message) => Some((component.name, message)),
            _ => None,
        };
        self.all().into_iter().filter_map(failed)
    }

    pub fn all(&self) -> Vec<Component> {
        self.0.read().values().cloned().collect()
    }
}

/// Milliseconds since 1970, for people to read.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
