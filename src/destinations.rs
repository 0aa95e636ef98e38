//! Performing plans: what leaves the service, and how it can fail.

pub mod salesforce;

/// What a failed delivery means for the record, and for the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: the record fails with a back-off time.
    Transient,
    /// Something that the record refers to isn't there yet: the same.
    Dependency,
    /// Trying again changes nothing: the record fails for good.
    Permanent,
    /// The destination's trouble, not the record's (refused login, quota used up): the drain
    /// stops for this destination and its unfinished records go back to `new`, uncounted.
    Unavailable,
}

/// Why a plan could not be performed. Its text holds ids, never other payload values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// What it means.
    pub failure: Failure,
    /// The step that failed, e.g. `Participant__c`; `login` before any step.
    pub step: String,
    /// What happened, in words an operator can act on.
    pub message: String,
}
