//! The rules of the queue, as pure functions from record to record: `docs/service.md`, sections 2–4.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::edition::{content_hash, is_older_edition};
use super::{Arriving, SettleResult};
use crate::config::RetryPolicy;
use crate::submission::{
    ATTEMPTS_KEPT, Attempt, AttemptOutcome, ErrorKind, NextRetry, Record, Role, Status, Trigger, Unmapped,
};
use crate::text;

/// The back-off grows by this factor with each retry (`docs/service.md`, guarantee 6).
const BACKOFF_GROWTH: f64 = 5.0;
/// And varies by this share, so that a batch that failed together does not return together.
const BACKOFF_JITTER: f64 = 0.2;
/// No back-off is longer, whatever is configured.
const BACKOFF_CEILING: Duration = Duration::from_hours(30 * 24);
/// Characters of an error that an attempt keeps.
const ERROR_KEPT: usize = 1_000;
/// Characters of the last error, which may list those of many records.
const LIST_KEPT: usize = 4_000;
/// Unmapped answers that a record keeps.
const UNMAPPED_KEPT: usize = 100;

/// How a claim's work ended.
#[derive(Debug, Clone)]
pub enum ClaimOutcome {
    /// The effect is done, or there was none to have.
    Completed {
        /// Why nothing was sent.
        note: Option<String>,
        /// The recorded plan of a dry run.
        dry_run: Option<Value>,
        /// Answers whose code no label table knows.
        unmapped: Vec<Unmapped>,
        /// The records that were written and are not the form's own.
        written: Vec<String>,
    },
    /// The record failed.
    Failed {
        /// Decides whether and when it is retried.
        kind: ErrorKind,
        /// The step that failed.
        step: String,
        /// Why, in words; ids only.
        error: String,
        /// Answers whose code no label table knows.
        unmapped: Vec<Unmapped>,
    },
    /// Nothing was tried: back to `new`, uncounted.
    Released,
}

/// What an arriving submission does to the record that has its id.
pub(super) enum Replacement {
    Duplicate,
    Stale,
    Replace(Box<Record>),
}

/// What taking a free record does to it.
pub(super) enum Taken {
    /// It runs.
    Run(Box<Record>),
    /// It killed its worker too often: failed for good.
    Exhausted(Box<Record>),
}

impl Record {
    /// Whether a worker may take it: nobody has it, or the lease ran out.
    pub fn is_free(&self, now: DateTime<Utc>) -> bool {
        self.status != Status::Processing || self.lease_expires_at.is_none_or(|end| end <= now)
    }

    pub(super) fn close_attempt(
        &mut self,
        outcome: AttemptOutcome,
        now: DateTime<Utc>,
        failure: Option<(&str, &str)>,
    ) {
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.outcome.is_none()) {
            attempt.finished = Some(now);
            attempt.outcome = Some(outcome);
            attempt.step = failure.map(|(step, _)| step.to_owned());
            attempt.error = failure.map(|(_, error)| shorten(error));
        }
    }

    /// Adds to the history, of which the last are kept.
    pub(super) fn remember(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
        let surplus = self.attempts.len().saturating_sub(ATTEMPTS_KEPT);
        self.attempts.drain(..surplus);
    }

    pub(super) fn end_lease(&mut self) {
        self.lease_owner = None;
        self.lease_expires_at = None;
    }

    /// Forgets what the last run left, before the next outcome; not the answers without a label, by which
    /// the next run knows that they are counted.
    pub(super) fn forget_outcome(&mut self) {
        self.error = None;
        self.error_kind = None;
        self.last_step = None;
        self.next_retry_at = NextRetry::Unset;
        self.note = None;
        self.dry_run = false;
        self.plan = None;
        self.expires_at = None;
    }

    pub(super) fn complete(&mut self, now: DateTime<Utc>, policy: &RetryPolicy) {
        self.status = Status::Completed;
        self.expires_at = policy.retention.map(|kept| now + kept);
    }

    fn fail(&mut self, kind: ErrorKind, step: &str, error: &str, next_retry_at: NextRetry) {
        self.status = Status::Failed;
        self.error_kind = Some(kind);
        self.last_step = Some(step.to_owned());
        self.error = Some(text::shorten(error, LIST_KEPT));
        self.next_retry_at = next_retry_at;
    }
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
    let stored_hash = stored.payload_hash.clone().unwrap_or_else(|| content_hash(&stored.data));
    if Some(stored_hash) == arrived.payload_hash {
        return Replacement::Duplicate;
    }
    if is_older_edition(&arrived.data, &stored.data) {
        return Replacement::Stale;
    }
    let mut record = stored.clone();
    record.forget_outcome();
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

/// Gives a free record to `owner`.
pub(super) fn take(
    stored: &Record,
    owner: &str,
    trigger: Trigger,
    role: Option<Role>,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
) -> Taken {
    let mut record = stored.clone();
    record.updated_at = Some(now);
    record.expires_at = None;
    let takes_over = stored.status == Status::Processing;
    if takes_over {
        record.close_attempt(AttemptOutcome::Abandoned, now, None);
    }
    // The first processing is not a retry; a record that was put back untouched is still first.
    let is_retry = takes_over || matches!(stored.status, Status::Failed | Status::Completed);
    if is_retry {
        record.run_retries += 1;
        record.last_retried_at = Some(now);
    }
    let killed = record
        .attempts
        .iter()
        .rev()
        .take_while(|attempt| attempt.outcome == Some(AttemptOutcome::Abandoned))
        .count();
    let patience = usize::try_from(policy.max_retries).unwrap_or(usize::MAX).clamp(1, ATTEMPTS_KEPT);
    // A person who asks for it gets another try.
    if takes_over && killed >= patience && trigger != Trigger::Manual {
        record.end_lease();
        let error = format!(
            "its worker disappeared {killed} times while processing it; retry it by hand once the cause is known"
        );
        record.fail(ErrorKind::Permanent, "lease", &error, NextRetry::Never);
        return Taken::Exhausted(Box::new(record));
    }
    if stored.status == Status::Completed {
        // Asked for again, all of it.
        record.delivered = BTreeSet::new();
    }
    if trigger == Trigger::Manual {
        record.forget_refusals();
    }
    record.status = Status::Processing;
    record.lease_owner = Some(owner.to_owned());
    record.lease_expires_at = Some(now + policy.lease);
    record.remember(Attempt {
        started: now,
        finished: None,
        worker: owner.to_owned(),
        trigger,
        role,
        outcome: None,
        step: None,
        error: None,
    });
    Taken::Run(Box::new(record))
}

/// Prolongs the lease of `owner`; `None` where it is no longer theirs.
pub(super) fn renew(
    stored: &Record,
    owner: &str,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
) -> Option<Record> {
    let held = stored.status == Status::Processing && stored.lease_owner.as_deref() == Some(owner);
    held.then(|| Record { lease_expires_at: Some(now + policy.lease), ..stored.clone() })
}

/// Writes the outcome of the claim that `claimed` was, unless the record is someone else's by now.
pub(super) fn settle(
    stored: &Record,
    claimed: &Record,
    outcome: &ClaimOutcome,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
    jitter: f64,
) -> Option<(Record, SettleResult)> {
    if stored.status != Status::Processing || stored.lease_owner != claimed.lease_owner {
        return None;
    }
    let mut record = stored.clone();
    record.updated_at = Some(now);
    record.end_lease();
    if stored.revision != claimed.revision {
        record.close_attempt(AttemptOutcome::Replaced, now, None);
        record.status = Status::New;
        return Some((record, SettleResult::Replaced));
    }
    match outcome {
        ClaimOutcome::Completed { note, dry_run, unmapped, written } => {
            record.forget_outcome();
            record.complete(now, policy);
            record.note.clone_from(note);
            record.dry_run = dry_run.is_some();
            record.plan.clone_from(dry_run);
            record.unmapped = unmapped.iter().take(UNMAPPED_KEPT).cloned().collect();
            record.written.clone_from(written);
            record.close_attempt(AttemptOutcome::Completed, now, None);
        }
        ClaimOutcome::Failed { kind, step, error, unmapped } => {
            record.forget_outcome();
            let next = next_retry(*kind, record.run_retries, now, policy, jitter);
            record.fail(*kind, step, error, next);
            record.unmapped = unmapped.iter().take(UNMAPPED_KEPT).cloned().collect();
            record.close_attempt(AttemptOutcome::Failed, now, Some((step, error)));
        }
        ClaimOutcome::Released => {
            record.status = Status::New;
            // Uncounted: a retry that never ran gives its count back. The count of a take-over
            // stays, since it counts the worker that was lost.
            let mut latest = record.attempts.iter().rev();
            let this = latest.next();
            let took_over =
                latest.next().is_some_and(|before| before.outcome == Some(AttemptOutcome::Abandoned));
            if !took_over && this.is_some_and(|attempt| Some(attempt.started) == record.last_retried_at) {
                record.run_retries = record.run_retries.saturating_sub(1);
            }
            record.forget_outcome();
            record.close_attempt(AttemptOutcome::Released, now, None);
        }
    }
    Some((record, SettleResult::Written))
}

/// What became of a claim that is no longer there to settle: its attempt says whether its outcome
/// was written.
pub(super) fn settled_before(stored: &Record, claimed: &Record) -> SettleResult {
    let of_claim = |attempt: &&Attempt| Some(&attempt.worker) == claimed.lease_owner.as_ref();
    match stored.attempts.iter().find(of_claim).and_then(|attempt| attempt.outcome) {
        Some(AttemptOutcome::Completed | AttemptOutcome::Failed | AttemptOutcome::Released) => {
            SettleResult::Written
        }
        Some(AttemptOutcome::Replaced) => SettleResult::Replaced,
        Some(AttemptOutcome::Abandoned | AttemptOutcome::Updated) | None => SettleResult::Lost,
    }
}

/// When auto-retry may take a record that failed after `retries` retries.
fn next_retry(
    kind: ErrorKind,
    retries: u32,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
    jitter: f64,
) -> NextRetry {
    if kind == ErrorKind::Permanent || retries >= policy.max_retries {
        return NextRetry::Never;
    }
    let growth = BACKOFF_GROWTH.powi(i32::try_from(retries).unwrap_or(i32::MAX));
    let seconds = policy.retry_backoff.as_secs_f64() * growth * (1.0 + BACKOFF_JITTER * jitter);
    let delay = Duration::try_from_secs_f64(seconds).unwrap_or(BACKOFF_CEILING).min(BACKOFF_CEILING);
    let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
    NextRetry::At(now + TimeDelta::microseconds(micros))
}

pub(super) fn shorten(text: &str) -> String {
    text::shorten(text, ERROR_KEPT)
}
