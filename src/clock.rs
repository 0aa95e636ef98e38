//! The one place that reads the clock.
//!
//! Firestore keeps microseconds and drops the rest, so every time of a record is cut to
//! microseconds before it is used: what is compared is then what was stored.

use chrono::{DateTime, SubsecRound, Utc};

/// The current time, in whole microseconds.
pub fn now() -> DateTime<Utc> {
    #[expect(clippy::disallowed_methods, reason = "the place that everyone else reads it through")]
    Utc::now().trunc_subsecs(6)
}
