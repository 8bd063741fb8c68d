//! Sending with bounds: what was not delivered is tried again, what may have been is not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::warn;

use super::{Config, Counters};
use crate::messenger::{Error, Messenger, Outgoing};

/// Sends once, or gives the error why not and counts it.
pub async fn send(messenger: &dyn Messenger, message: &Outgoing, config: &Config, counters: &Counters) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        let error = match messenger.send(message).await {
            Ok(_) => {
                counters.sent.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Err(error) => error,
        };
        let (counted, pause_ms) = match &error {
            Error::Transient(_) => (&counters.given_up, Some(config.send_pause_ms << (attempt - 1).min(6))),
            // A longer pause than that no answer is worth.
            Error::RetryAfter { seconds } => {
                (&counters.given_up, Some(seconds.saturating_mul(1000)).filter(|pause_ms| *pause_ms <= config.retry_after_ms_max))
            }
            Error::Permanent(_) => (&counters.refused, None),
            Error::Ambiguous(_) => (&counters.ambiguous, None),
        };
        match pause_ms.filter(|_| attempt < config.send_attempts_max) {
            Some(pause_ms) => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
            None => {
                warn!(%error, "an answer was not delivered, or may not have been; it is not repeated");
                counted.fetch_add(1, Ordering::Relaxed);
                return Err(error);
            }
        }
        attempt += 1;
    }
}
