//! Replays of real dumps, against the oracle and the counts that are known of them.
