//! Records in the hands of workers.

use super::stored::Stored;
use crate::submission::{Origin, Progress, Record};

/// A record in the hands of one worker, until it is settled or its lease runs out.
#[derive(Debug)]
#[must_use = "a claim that is not settled blocks its record until the lease runs out"]
pub struct Claim {
    pub(super) stored: Stored,
    pub(super) progress: Progress,
}

impl Claim {
    /// The document.
    pub fn doc_id(&self) -> &str {
        &self.stored.doc_id
    }

    /// The collection's origin.
    pub fn origin(&self) -> Origin {
        self.stored.origin
    }

    /// The record as claimed.
    pub fn record(&self) -> &Record {
        &self.stored.record
    }

    /// Keeps what the run has delivered, to be written when the claim is settled.
    pub fn report(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// What renews this claim's lease while the claim itself is being worked on.
    pub fn lease(&self) -> Lease {
        Lease {
            origin: self.stored.origin,
            doc_id: self.stored.doc_id.clone(),
            owner: self.stored.record.lease_owner.clone().unwrap_or_default(),
            revision: self.stored.record.revision,
        }
    }
}

/// Names one claim's lease.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(super) origin: Origin,
    pub(super) doc_id: String,
    pub(super) owner: String,
    /// The edition of the payload that was claimed.
    pub(super) revision: u32,
}

/// What a claim's end did to its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleResult {
    /// The outcome was written.
    Written,
    /// An edited form arrived meanwhile: the record is `new` again.
    Replaced,
    /// Someone else has the record, or it is gone: nothing was written.
    Lost,
}

/// What [`Queue::claim_for_retry`](super::Queue::claim_for_retry) found.
#[derive(Debug)]
pub enum Retry {
    /// It is this worker's now.
    Claimed(Box<Claim>),
    /// Another worker has it.
    Processing,
    /// It killed its workers and has just failed for good.
    Exhausted(Exhausted),
}

/// What claiming from the queue came to.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Records that are this worker's now, oldest first.
    pub claims: Vec<Claim>,
    /// Records that have just failed for good instead.
    pub exhausted: Vec<Exhausted>,
}

/// A record that killed its workers too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The document.
    pub doc_id: String,
    /// Its routing name.
    pub job_name: String,
    /// What stands in it now.
    pub error: String,
}

/// What trying to take one record came to.
pub(super) enum Take {
    Claimed(Box<Claim>),
    Exhausted(Exhausted),
    Busy,
}
