//! Arriving submissions, as pure functions: a fresh record, and what it does to the stored one
//! (`docs/service.md`, section 2).

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::Arriving;
use super::edition::{content_hash, is_older_edition, is_same_form};
use crate::submission::{Attempt, AttemptOutcome, FETCHED, NextRetry, Record, Status, Trigger, sent};

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
        fetched_at: None,
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

/// The record of a form that a reconciliation found missing. It takes the place in the queue that it would have had: that
/// of the time when CommCare got it (`docs/service.md`, guarantee 12).
pub(super) fn fetch(arriving: &Arriving, now: DateTime<Utc>) -> Record {
    let place = sent(&arriving.data).map_or(now, |sent| sent.min(now));
    let fetched = Attempt {
        started: now,
        finished: Some(now),
        worker: "reconciliation".to_owned(),
        trigger: Trigger::Reconcile,
        role: None,
        by: None,
        outcome: Some(AttemptOutcome::Updated),
        step: Some("fetched from CommCare HQ".to_owned()),
        error: None,
    };
    Record {
        created_at: Some(place),
        timestamp: Some(place),
        fetched_at: Some(now),
        note: Some(FETCHED.to_owned()),
        attempts: vec![fetched],
        ..arrive(arriving, now)
    }
}

/// Whether two payloads of one submission id have the same content.
fn is_same_content(stored: &Record, arrived: &Record) -> bool {
    let is_equal = match &stored.payload_hash {
        Some(hash) => Some(hash) == arrived.payload_hash.as_ref(),
        // A document of the original service.
        None => Some(content_hash(&stored.data)) == arrived.payload_hash,
    };
    is_equal || is_same_form(&stored.data, &arrived.data)
}

/// What `arrived`, a fresh record of the same submission id, does to `stored`.
pub(super) fn replace(stored: &Record, arrived: &Record, now: DateTime<Utc>) -> Replacement {
    if is_same_content(stored, arrived) {
        return Replacement::Duplicate;
    }
    if is_older_edition(&arrived.data, &stored.data) {
        return Replacement::Stale;
    }
    let mut record = stored.clone();
    record.fetched_at = arrived.fetched_at;
    record.forget_outcome();
    record.undecided_since = None;
    record.unmapped = Vec::new();
    record.data = Arc::clone(&arrived.data);
    record.payload_hash.clone_from(&arrived.payload_hash);
    record.job_name.clone_from(&arrived.job_name);
    record.job_id.clone_from(&arrived.job_id);
    record.first_received_at = stored.first_received_at.or(stored.created_at);
    record.created_at = arrived.created_at.filter(|_| arrived.fetched_at.is_some()).or(Some(now));
    record.timestamp = record.created_at;
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
    for fetched in &arrived.attempts {
        record.remember_before_run(fetched.clone());
    }
    Replacement::Replace(Box::new(record))
}
