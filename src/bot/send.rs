//! Sending with bounds: what was not delivered is tried again, what may have been is not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::warn;

use super::{Config, Counters};
use crate::messenger::{Error, Messenger, Outgoing};

/// Sends once, or says in the counters why not.
pub async fn send(messenger: &dyn Messenger, message: &Outgoing, config: &Config, counters: &Counters) {
    for attempt in 1..=config.send_attempts_max.max(1) {
        let pause_ms = match messenger.send(message).await {
            Ok(_) => {
                counters.sent.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(Error::Transient(_)) => config.send_pause_ms << (attempt - 1).min(6),
            Err(Error::RetryAfter { seconds }) => {
                let pause_ms = seconds.saturating_mul(1000);
                if pause_ms > config.retry_after_ms_max {
                    warn!(seconds, "the messenger wants a longer pause than an answer is worth");
                    break;
                }
                pause_ms
            }
            Err(error @ Error::Permanent(_)) => {
                warn!(%error, "an answer was refused");
                counters.refused.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(error @ Error::Ambiguous(_)) => {
                warn!(%error, "an answer may not have arrived; it is not repeated");
                counters.ambiguous.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        if attempt < config.send_attempts_max {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }
    counters.given_up.fetch_add(1, Ordering::Relaxed);
}
