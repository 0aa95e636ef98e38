//! A call of Salesforce under way. It is counted however it ends: a call that is given up in the middle (a time
//! limit, a shutdown) has had no answer.

use super::Metrics;

/// How a call ended, by its HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// Salesforce took it.
    Ok,
    /// Salesforce said no: 3xx or 4xx.
    Refused,
    /// Salesforce, or what stands before it, has trouble: 5xx.
    Failed,
    /// No answer, or not a whole one.
    NoAnswer,
}

impl CallOutcome {
    /// The outcome of a call that was answered with this HTTP status.
    pub fn from_status(status: u16) -> Self {
        match status {
            ..300 => Self::Ok,
            300..500 => Self::Refused,
            500.. => Self::Failed,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::NoAnswer => "no_answer",
        }
    }
}

/// A call that is counted when dropped.
#[must_use = "it is counted when dropped"]
pub struct SalesforceCall<'m> {
    metrics: &'m Metrics,
    call: &'static str,
    outcome: CallOutcome,
}

impl<'m> SalesforceCall<'m> {
    pub(super) fn new(metrics: &'m Metrics, call: &'static str) -> Self {
        Self { metrics, call, outcome: CallOutcome::NoAnswer }
    }

    /// Ends it with this outcome.
    pub fn ended(mut self, outcome: CallOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for SalesforceCall<'_> {
    fn drop(&mut self) {
        self.metrics.salesforce_called(self.call, self.outcome);
    }
}
