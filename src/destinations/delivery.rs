//! The words in which a delivery ends.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::plan::record_key;
use crate::submission::Progress;

/// What a failed delivery means for its record, and for the drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: the record fails with a back-off time.
    Transient,
    /// It may be the record's trouble or the destination's (no answer, too much to do, an answer that is not the vendor's
    /// own): the worker decides by what the destination takes next (`docs/service.md`, guarantee 7).
    Unclear,
    /// Something that the record refers to is not there yet: the record fails with a back-off time.
    Dependency,
    /// Trying again changes nothing: the record fails for good.
    Permanent,
    /// The destination's trouble, not the record's (a refused login, a used-up quota): the drain stops for
    /// this destination, and its unfinished records go back to `new`, uncounted.
    Unavailable,
}

/// Why a plan could not be performed. The text holds ids, never other payload values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// What it means.
    pub failure: Failure,
    /// The step that failed, e.g. `Participant__c`; `login` or `admission` before any step.
    pub step: String,
    /// What happened, in words an operator can act on.
    pub message: String,
    /// The keys of the records that a dependency failure misses, where the destination names them ([`record_key`]).
    pub missing: Vec<String>,
}

impl DeliveryError {
    /// A failure of the step that is named so.
    pub(super) fn new(failure: Failure, step: &str, message: String) -> Self {
        Self { failure, step: step.to_owned(), message, missing: Vec::new() }
    }

    /// The same, where the destination names the record that is missing.
    pub(super) fn missing(self, object: &str, external_id: &str) -> Self {
        Self { missing: vec![record_key(object, external_id)], ..self }
    }

    /// Whether the destination refuses the credential, as opposed to giving no answer.
    pub fn is_refused_login(&self) -> bool {
        self.failure == Failure::Unavailable && self.step == "login"
    }

    /// The error of a delivery that was not begun.
    pub(super) fn paused(reason: String) -> Self {
        Self::new(Failure::Unavailable, "admission", reason)
    }
}

/// What is known of a record before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// Nothing.
    None,
    /// It is worth one try, and no more within the call: its last delivery got no usable answer, or that of another record
    /// before it.
    Suspected,
}

/// What became of a plan.
#[derive(Debug)]
pub enum Delivery {
    /// Its effects are done.
    Sent,
    /// There is nowhere to send it to: the plan, to be kept with the record.
    Recorded(Value),
}

/// What has become of a plan's documents so far, for whoever watches the delivery.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Progress>);

impl Tally {
    /// The progress so far.
    pub fn progress(&self) -> Progress {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn accepted(&self, position: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).delivered.insert(position);
    }

    pub(super) fn refused(&self, position: u32, error: &str) {
        let mut progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        progress.refused.insert(position, error.to_owned());
    }
}
