//! A call that failed: what that means for the record, and what for the destination.

use std::fmt;
use std::time::Duration;

use super::delivery::{DeliveryError, Failure};

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The record's: the destination is well.
    Record,
    /// It may be the destination's: no answer, too much to do, or not the vendor's own answer.
    Outage,
    /// The destination is not where it is looked for, and no other record would find it. The next drain may.
    Down,
    /// The calls that the destination allows are used up.
    Quota,
    /// The destination refuses this service, whatever the record.
    Refusal,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) error: DeliveryError,
    pub(super) blame: Blame,
    /// How long the destination asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Trouble {
    pub(super) fn new(error: DeliveryError, blame: Blame) -> Self {
        Self { error, blame, retry_after: None }
    }

    /// No answer, or not a whole one.
    pub(super) fn outage(step: &str, message: String) -> Self {
        Self::new(DeliveryError::new(Failure::Unclear, step, message), Blame::Outage)
    }

    /// What needs a person, whatever the record.
    pub(super) fn refusal(step: &str, message: String) -> Self {
        Self::new(DeliveryError::new(Failure::Unavailable, step, message), Blame::Refusal)
    }

    /// Whether another try may go better, and how long to wait at least.
    pub(super) fn may_pass(&self) -> Option<Duration> {
        let passes = matches!(self.error.failure, Failure::Transient | Failure::Unclear);
        // A wrong address is no other within seconds.
        let passes = passes && self.blame != Blame::Down;
        passes.then_some(self.retry_after.unwrap_or_default())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
