//! Records on their way into the hands of workers, and in them.

use super::stored::Stored;
use crate::submission::{Awaits, Cause, Origin, Progress, Record, Status};

/// A record as it was read, which a worker may claim if it is still the same.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub(super) stored: Stored,
    /// The keys of the records that its run will write, once they are known.
    pub(super) written: Option<Vec<String>>,
}

impl Candidate {
    pub(super) fn new(stored: Stored) -> Self {
        Self { stored, written: None }
    }

    /// Says what its run writes, or would write if it went well: kept with the record from the claim on.
    pub fn will_write(&mut self, keys: Vec<String>) {
        self.written = Some(keys);
    }

    /// The document.
    pub fn doc_id(&self) -> &str {
        &self.stored.doc_id
    }

    /// The collection's origin.
    pub fn origin(&self) -> Origin {
        self.stored.origin
    }

    /// The record as it was read.
    pub fn record(&self) -> &Record {
        &self.stored.record
    }
}

/// A record in the hands of one worker, until it is settled or its lease runs out.
#[derive(Debug)]
#[must_use = "a claim that is not settled blocks its record until the lease runs out"]
pub struct Claim {
    pub(super) stored: Stored,
    /// The record's status before.
    pub(super) was: Status,
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

    /// The status that the record had before it was claimed.
    pub fn was(&self) -> Status {
        self.was
    }

    /// Keeps what the run has delivered, to be written when the claim is settled.
    pub fn report(&mut self, progress: Progress) {
        self.progress = progress;
    }

    /// Whether this run or one before it has delivered a part of the record.
    pub fn has_delivered(&self) -> bool {
        !self.progress.delivered.is_empty() || !self.record().delivered.is_empty()
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
    Written(Written),
    /// An edited form arrived meanwhile: the record is `new` again.
    Replaced,
    /// Someone else has the record, or it is gone: nothing was written.
    Lost,
}

/// What a run's outcome made of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It has completed.
    Completed,
    /// It has failed. An undecided run ends so too, where the trouble has lasted too long.
    Failed {
        /// Why, as a word.
        cause: Cause,
        /// What its next run waits for.
        awaits: Awaits,
    },
    /// It was put back, to this status.
    PutBack(Status),
}

/// What trying to claim a record came to.
#[derive(Debug)]
pub enum ClaimResult {
    /// It is this worker's now.
    Claimed(Box<Claim>),
    /// Its tries are used up: it waits for a person now.
    Exhausted(Exhausted),
    /// Another worker has it, or it is no longer what was read.
    Busy,
    /// It is no longer there.
    Gone,
}

/// A record that has used up its tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The document.
    pub doc_id: String,
    /// Its routing name.
    pub job_name: String,
    /// What stands in it now.
    pub error: String,
}
