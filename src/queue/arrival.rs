//! Arriving submissions, as pure functions: a fresh record, and what it does to the stored one
//! (`docs/service.md`, section 2).

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Arriving;
use super::edition::{content_hash, is_older_edition};
use crate::submission::{AttemptOutcome, NextRetry, Record, Status};

/// What an arriving submission does to the record that has its id.
pub(super) enum Replacement {
    Duplicate,
    Stale,
    Replace(Box<Record>),
}

/// The record of a submission that arrives for the first time.
pub(super) fn arrive(arriving: &Arriving, now: DateTime<Utc>) -> Record {
    Record {
        payload_hash: Some(content_hash(&arriving.data)),
        data: Arc::clone(&arriving.data),
        job_name: arriving.job_name.clone(),
        job_id: Some(arriving.job_id.clone()),
        status: Status::New,
        created_at: Some(now),
        timestamp: Some(now),
        updated_at: Some(now),
        first_received_at: None,
        run_retries: 0,
        last_retried_at: None,
        error: None,
        error_kind: None,
        cause: None,
        waits_for: Vec::new(),
        undecided_since: None,
        last_step: None,
        next_retry_at: NextRetry::Unset,
        lease_owner: None,
        lease_expires_at: None,
        expires_at: None,
        revision: 0,
        attempts: Vec::new(),
        note: None,
        dry_run: false,
        plan: None,
        unmapped: Vec::new(),
        written: Vec::new(),
        first_position: None,
        delivered: BTreeSet::new(),
        refused: BTreeSet::new(),
        refusals: Vec::new(),
    }
}

/// What `arrived`, a fresh record of the same submission id, does to `stored`.
pub(super) fn replace(stored: &Record, arrived: &Record, now: DateTime<Utc>) -> Replacement {
    let is_same = match &stored.payload_hash {
        Some(hash) => Some(hash) == arrived.payload_hash.as_ref(),
        // A document of the original service.
        None => Some(content_hash(&stored.data)) == arrived.payload_hash,
    };
    if is_same {
        return Replacement::Duplicate;
    }
    if is_older_edition(&arrived.data, &stored.data) {
        return Replacement::Stale;
    }
    let mut record = stored.clone();
    record.forget_outcome();
    record.undecided_since = None;
    record.unmapped = Vec::new();
    record.data = Arc::clone(&arrived.data);
    record.payload_hash.clone_from(&arrived.payload_hash);
    record.job_name.clone_from(&arrived.job_name);
    record.job_id.clone_from(&arrived.job_id);
    record.first_received_at = stored.first_received_at.or(stored.created_at);
    record.created_at = Some(now);
    record.timestamp = Some(now);
    record.updated_at = Some(now);
    record.run_retries = 0;
    record.revision += 1;
    record.first_position = arrived.first_position;
    record.delivered = BTreeSet::new();
    record.forget_refusals();
    if stored.is_free(now) {
        if stored.status == Status::Processing {
            record.close_attempt(AttemptOutcome::Abandoned, now, None);
        }
        record.status = Status::New;
        record.end_lease();
    }
    Replacement::Replace(Box::new(record))
}
