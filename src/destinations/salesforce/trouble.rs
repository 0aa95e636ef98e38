//! A call that failed: what that means for the record, and what for the destination.

use std::time::Duration;

use reqwest::StatusCode;

use super::failure;
use crate::destinations::{DeliveryError, Failure};
use crate::metrics::CallOutcome;

/// Whose trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The record's: Salesforce is well.
    Record,
    /// Nobody's that can be named: Salesforce did not answer, or something before it did.
    Outage,
    /// The daily calls are used up.
    Quota,
    /// Salesforce refuses this service, whatever the record.
    Refusal,
}

/// Why a call failed.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) error: DeliveryError,
    pub(super) blame: Blame,
    /// How long Salesforce asks to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Trouble {
    /// No answer, or not a whole one.
    pub(super) fn outage(step: &str, message: String) -> Self {
        let error = DeliveryError { failure: Failure::Transient, step: step.to_owned(), message };
        Self { error, blame: Blame::Outage, retry_after: None }
    }

    /// What needs a person, whatever the record.
    pub(super) fn refusal(step: &str, message: String) -> Self {
        let error = DeliveryError { failure: Failure::Unavailable, step: step.to_owned(), message };
        Self { error, blame: Blame::Refusal, retry_after: None }
    }

    /// An answer that says no. A 503, or a 5xx without an error code, is not the org's answer but
    /// that of something before it (REST API guide, Status Codes: maintenance or overload).
    pub(super) fn answered(error: DeliveryError, status: StatusCode, code: &str) -> Self {
        let blame = match error.failure {
            Failure::Unavailable if failure::is_quota(code) => Blame::Quota,
            Failure::Unavailable => Blame::Refusal,
            Failure::Transient if status == StatusCode::SERVICE_UNAVAILABLE => Blame::Outage,
            Failure::Transient if status.is_server_error() && code.is_empty() => Blame::Outage,
            Failure::Transient | Failure::Dependency | Failure::Permanent => Blame::Record,
        };
        Self { error, blame, retry_after: None }
    }

    /// What the call came to.
    pub(super) fn call_outcome(&self) -> CallOutcome {
        match self.blame {
            Blame::Outage => CallOutcome::NoAnswer,
            Blame::Quota | Blame::Refusal => CallOutcome::Refused,
            Blame::Record => CallOutcome::Failed,
        }
    }

    /// What an error of one record means: Salesforce took the request and answered.
    pub(super) fn of_record(error: DeliveryError, code: &str) -> Self {
        Self::answered(error, StatusCode::OK, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blame(failure: Failure, status: u16, code: &str) -> Blame {
        let error = DeliveryError { failure, step: String::new(), message: String::new() };
        Trouble::answered(error, StatusCode::from_u16(status).unwrap(), code).blame
    }

    #[test]
    fn only_what_is_no_answer_of_the_org_counts_as_an_outage() {
        use Failure::{Dependency, Permanent, Transient, Unavailable};
        for (failure, status, code, expected) in [
            (Transient, 503, "SERVER_UNAVAILABLE", Blame::Outage),
            (Transient, 503, "", Blame::Outage),
            (Transient, 502, "", Blame::Outage),
            (Transient, 500, "UNKNOWN_EXCEPTION", Blame::Record),
            (Transient, 429, "", Blame::Record),
            (Transient, 400, "UNABLE_TO_LOCK_ROW", Blame::Record),
            (Dependency, 400, "INVALID_FIELD", Blame::Record),
            (Permanent, 400, "", Blame::Record),
            (Unavailable, 403, "REQUEST_LIMIT_EXCEEDED", Blame::Quota),
            (Unavailable, 401, "INVALID_SESSION_ID", Blame::Refusal),
            (Unavailable, 404, "", Blame::Refusal),
        ] {
            assert_eq!(blame(failure, status, code), expected, "{failure:?} {status} {code}");
        }
    }
}
