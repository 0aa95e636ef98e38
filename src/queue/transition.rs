//! The life of a claim, as pure functions from record to record (`docs/service.md`, guarantees 3, 6 and 7).

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::backoff::Failed;
use super::{SettleResult, Written};
use crate::config::RetryPolicy;
use crate::submission::{
    ATTEMPTS_KEPT, Attempt, AttemptOutcome, Awaits, Caller, Cause, ErrorKind, FETCHED, NextRetry, Record,
    Status, Trigger, Unmapped,
};
use crate::text;

/// Characters of an error that an attempt keeps.
const ERROR_KEPT: usize = 1_000;
/// Characters of the last error, which may list those of many records.
const LIST_KEPT: usize = 4_000;
/// Unmapped answers that a record keeps.
const UNMAPPED_KEPT: usize = 100;

/// Why a lease ran out although nobody died.
const QUEUE_AWAY: &str = "its outcome could not be written in time: the queue took no writes";

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
    },
    /// The record failed.
    Failed(RecordFailure),
    /// The run failed, and nobody can say yet whether that is the destination's trouble (`docs/service.md`, guarantee
    /// 7): the record goes back to what it was, uncounted.
    Undecided(RecordFailure),
    /// The run was cut off before its plan was done, or before anything was sent: back to `new`, also where the record
    /// was failed, and uncounted.
    Released,
}

/// Why a record failed.
#[derive(Debug, Clone)]
pub struct RecordFailure {
    /// Decides whether and when it is retried.
    pub kind: ErrorKind,
    /// The same as a word for programs.
    pub cause: Cause,
    /// The step that failed.
    pub step: String,
    /// Why, in words; ids only.
    pub error: String,
    /// What it waits for, where that is missing: `object/external id`.
    pub waits_for: Vec<String>,
    /// Answers whose code no label table knows.
    pub unmapped: Vec<Unmapped>,
}

impl RecordFailure {
    /// The step of what happens to a lease.
    pub const LEASE: &str = "lease";

    /// A failure of the step that is named so.
    pub fn new(kind: ErrorKind, cause: Cause, step: &str, error: String) -> Self {
        Self { kind, cause, step: step.to_owned(), error, waits_for: Vec::new(), unmapped: Vec::new() }
    }
}

/// What taking a free record does to it.
pub(super) enum Taken {
    /// It runs.
    Run(Box<Record>),
    /// It has used up its tries: it waits for a person.
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
        self.forget_surplus();
    }

    /// The same, before the run that is under way, if any: the last attempt is that run's.
    pub(super) fn remember_before_run(&mut self, attempt: Attempt) {
        let runs = self.attempts.last().is_some_and(|last| last.outcome.is_none());
        self.attempts.insert(self.attempts.len() - usize::from(runs), attempt);
        self.forget_surplus();
    }

    fn forget_surplus(&mut self) {
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
        self.cause = None;
        self.waits_for = Vec::new();
        self.last_step = None;
        self.next_retry_at = NextRetry::Unset;
        self.note = self.fetched_at.map(|_| FETCHED.to_owned());
        self.dry_run = false;
        self.plan = None;
        self.expires_at = None;
    }

    pub(super) fn complete(&mut self, now: DateTime<Utc>, policy: &RetryPolicy) {
        self.status = Status::Completed;
        self.undecided_since = None;
        self.expires_at = policy.retention.map(|kept| now + kept);
    }

    /// Says why the last run failed.
    fn explain(&mut self, failure: &RecordFailure) {
        self.error_kind = Some(failure.kind);
        self.cause = Some(failure.cause);
        self.last_step = Some(failure.step.clone());
        self.error = Some(text::shorten(&failure.error, LIST_KEPT));
        self.waits_for.clone_from(&failure.waits_for);
        self.unmapped = failure.unmapped.iter().take(UNMAPPED_KEPT).cloned().collect();
    }

    fn fail(&mut self, failure: &RecordFailure, next_retry_at: NextRetry) -> Written {
        self.forget_outcome();
        self.status = Status::Failed;
        self.undecided_since = None;
        self.explain(failure);
        self.next_retry_at = next_retry_at;
        self.as_failed(failure.cause)
    }

    fn as_failed(&self, cause: Cause) -> Written {
        Written::Failed { cause, awaits: self.awaits().unwrap_or(Awaits::Person) }
    }

    /// Back to what it was, with this error to be seen. A failed record keeps why it had failed, what it waits for, and
    /// its time, which has come: the outage decides none of them.
    fn put_back_undecided(&mut self, was: Status, failure: &RecordFailure) {
        let before = self.clone();
        self.forget_outcome();
        self.explain(failure);
        if was == Status::Failed {
            self.status = Status::Failed;
            self.error_kind = before.error_kind.or(self.error_kind);
            self.cause = before.cause.or(self.cause);
            self.waits_for = before.waits_for;
            self.next_retry_at = before.next_retry_at;
        } else {
            self.status = Status::New;
        }
    }

    /// Workers in a row that died while they worked on the record.
    pub fn deaths(&self) -> usize {
        let ended = self.attempts.iter().rev().filter_map(|attempt| attempt.outcome);
        // A run that was put back untouched says nothing either way.
        let told = ended.filter(|outcome| *outcome != AttemptOutcome::Released);
        told.take_while(|outcome| *outcome == AttemptOutcome::Abandoned).count()
    }
}

/// Who claims a record, and why.
pub(super) struct Claimer<'c> {
    /// The claim's own name.
    pub(super) owner: &'c str,
    pub(super) trigger: Trigger,
    /// Who asks, where a person does.
    pub(super) caller: Option<&'c Caller>,
}

/// Gives a free record to a claimer. `worker_died` says whether the worker did whose lease ran out, where one did.
pub(super) fn take(
    stored: &Record,
    claimer: &Claimer<'_>,
    worker_died: bool,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
) -> Taken {
    let Claimer { owner, trigger, caller } = *claimer;
    let mut record = stored.clone();
    record.updated_at = Some(now);
    record.expires_at = None;
    let was_in_work = stored.status == Status::Processing;
    let takes_over = was_in_work && worker_died;
    if takes_over {
        record.close_attempt(AttemptOutcome::Abandoned, now, None);
    } else if was_in_work {
        record.close_attempt(AttemptOutcome::Undecided, now, Some((RecordFailure::LEASE, QUEUE_AWAY)));
    }
    let by_hand = trigger == Trigger::Manual;
    let is_retry = counts(stored.status, stored.error_kind, trigger) && was_in_work == takes_over;
    if trigger == Trigger::AutoRetry && is_retry && stored.run_retries >= policy.max_retries {
        // `MAX_RETRIES` was lowered since it failed.
        record.next_retry_at = NextRetry::Never;
        return Taken::Exhausted(Box::new(record));
    }
    if is_retry {
        record.run_retries += 1;
    }
    if stored.status != Status::New {
        record.last_retried_at = Some(now);
    }
    let deaths = record.deaths();
    let patience = usize::try_from(policy.max_retries).unwrap_or(usize::MAX).clamp(1, ATTEMPTS_KEPT);
    // A person who asks for it gets another try.
    if takes_over && deaths >= patience && !by_hand {
        record.end_lease();
        let error = format!(
            "its worker disappeared {deaths} times while processing it; retry it by hand once the cause is known"
        );
        let failure =
            RecordFailure::new(ErrorKind::Permanent, Cause::WorkerLost, RecordFailure::LEASE, error);
        let failure = RecordFailure { unmapped: record.unmapped.clone(), ..failure };
        record.fail(&failure, NextRetry::Never);
        return Taken::Exhausted(Box::new(record));
    }
    if stored.status == Status::Completed {
        // Asked for again, all of it.
        record.delivered = BTreeSet::new();
    }
    if by_hand {
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
        role: caller.map(|caller| caller.role),
        by: caller.and_then(|caller| caller.name.clone()),
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

/// A claim, as it was made.
pub(super) struct Claimed<'c> {
    /// The record's status before.
    pub(super) was: Status,
    /// The record since.
    pub(super) record: &'c Record,
}

/// Whether a claim of a record with this status counts as a retry. The first processing does not, and a record that was
/// put back untouched is still first. Nor does a look for a missing reference: it uses up no `MAX_RETRIES`.
fn counts(was: Status, kind: Option<ErrorKind>, trigger: Trigger) -> bool {
    match was {
        Status::New => false,
        Status::Processing | Status::Completed => true,
        Status::Failed => trigger == Trigger::Manual || kind != Some(ErrorKind::Dependency),
    }
}

/// Takes back the count of a retry that never ran. The count of a take-over stays: it counts the worker that was
/// lost.
fn uncount(record: &mut Record, was: Status) {
    let trigger = record.attempts.last().map(|attempt| attempt.trigger);
    if was != Status::Processing && trigger.is_some_and(|trigger| counts(was, record.error_kind, trigger)) {
        record.run_retries = record.run_retries.saturating_sub(1);
    }
}

/// Writes the outcome of the claim that `claimed` was, unless the record is someone else's by now.
pub(super) fn settle(
    stored: &Record,
    claim: &Claimed<'_>,
    outcome: &ClaimOutcome,
    now: DateTime<Utc>,
    policy: &RetryPolicy,
    jitter: f64,
) -> Option<(Record, SettleResult)> {
    let claimed = claim.record;
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
    let written = match outcome {
        ClaimOutcome::Completed { note, dry_run, unmapped } => {
            record.forget_outcome();
            record.complete(now, policy);
            if note.is_some() {
                record.note.clone_from(note);
            }
            record.dry_run = dry_run.is_some();
            record.plan.clone_from(dry_run);
            record.unmapped = unmapped.iter().take(UNMAPPED_KEPT).cloned().collect();
            record.close_attempt(AttemptOutcome::Completed, now, None);
            Written::Completed
        }
        ClaimOutcome::Failed(failure) => {
            let failed =
                Failed { kind: failure.kind, retries: record.run_retries, arrived: record.came_in() };
            record.close_attempt(AttemptOutcome::Failed, now, Some((&failure.step, &failure.error)));
            record.fail(failure, failed.next_retry(now, policy, jitter))
        }
        ClaimOutcome::Undecided(failure) => {
            record.close_attempt(AttemptOutcome::Undecided, now, Some((&failure.step, &failure.error)));
            let since = *record.undecided_since.get_or_insert(now);
            if now - since >= TimeDelta::from_std(policy.outage_patience).unwrap_or(TimeDelta::MAX) {
                let outage = RecordFailure { cause: Cause::Outage, ..failure.clone() };
                record.fail(&outage, NextRetry::Never)
            } else {
                uncount(&mut record, claim.was);
                record.put_back_undecided(claim.was, failure);
                Written::PutBack(record.status)
            }
        }
        ClaimOutcome::Released => {
            record.status = Status::New;
            uncount(&mut record, claim.was);
            record.forget_outcome();
            record.close_attempt(AttemptOutcome::Released, now, None);
            Written::PutBack(record.status)
        }
    };
    Some((record, SettleResult::Written(written)))
}

/// What became of a claim that is no longer there to settle: its attempt says whether its outcome
/// was written.
pub(super) fn settled_before(stored: &Record, claimed: &Record) -> SettleResult {
    let of_claim = |attempt: &&Attempt| Some(&attempt.worker) == claimed.lease_owner.as_ref();
    let cause = stored.cause.unwrap_or(Cause::Refused);
    match stored.attempts.iter().find(of_claim).and_then(|attempt| attempt.outcome) {
        Some(AttemptOutcome::Completed) => SettleResult::Written(Written::Completed),
        Some(AttemptOutcome::Failed) => SettleResult::Written(stored.as_failed(cause)),
        // A record that is put back keeps `undecided_since`.
        Some(AttemptOutcome::Undecided) if cause == Cause::Outage && stored.undecided_since.is_none() => {
            SettleResult::Written(stored.as_failed(cause))
        }
        Some(AttemptOutcome::Undecided | AttemptOutcome::Released) => {
            SettleResult::Written(Written::PutBack(stored.status))
        }
        Some(AttemptOutcome::Replaced) => SettleResult::Replaced,
        Some(AttemptOutcome::Abandoned | AttemptOutcome::Updated) | None => SettleResult::Lost,
    }
}

pub(super) fn shorten(text: &str) -> String {
    text::shorten(text, ERROR_KEPT)
}
