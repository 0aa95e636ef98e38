//! One record's run: claim it, perform its plan, settle it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{Span, error, info, info_span, warn};

use super::super::asked::{Order, Stops};
use super::super::delivery::{Delivered, Delivering};
use super::super::lease::Renewal;
use super::super::observed::{Observed, Sighted};
use super::super::overlap::{self, Overlap};
use super::super::verdict::{self, Begun, OpenVerdict};
use super::super::{Planned, REMOVED, RunEnd, Worker};
use crate::destinations::Suspicion;
use crate::jobs;
use crate::plan::{Document, Plan, Refused};
use crate::queue::{Candidate, Claim, ClaimOutcome, ClaimResult, QueueError, RecordFailure, SettleResult};
use crate::submission::{AttemptOutcome, Cause, ErrorKind, Record, Status, Trigger};

/// How long an outcome is offered to a queue that does not answer, before the record is left to
/// its lease: several of the back ends' own time-outs.
const SETTLE_PATIENCE: Duration = Duration::from_secs(40);

/// What a run came to.
pub(super) struct RunResult {
    /// How it ended; or its failure, whose verdict is open.
    pub(super) end: Result<RunEnd, Box<OpenVerdict>>,
    /// What others may have written at the same time.
    pub(super) overlap: Option<Overlap>,
    /// Records that it wrote and that others may wait for.
    pub(super) provided: Vec<String>,
}

impl RunResult {
    fn ended(end: RunEnd) -> Self {
        Self { end: Ok(end), overlap: None, provided: Vec::new() }
    }

    /// A run that panicked. The record stays with its lease; whoever takes it over counts that.
    pub(super) fn broken_down() -> Self {
        Self::ended(RunEnd::Failed(
            "its processing broke down; it is tried again once its lease runs out".to_owned(),
        ))
    }
}

/// What a run needs beside its record.
pub(super) struct Run {
    pub(super) worker: Worker,
    pub(super) order: Order,
    /// When the drain ends.
    pub(super) deadline: Instant,
    pub(super) renewal: Arc<Renewal>,
    pub(super) stops: Stops,
    /// Whether another record of the drain got no usable answer, and none was taken since: then the next record tells more
    /// than another try of this one.
    pub(super) in_doubt: bool,
}

impl Run {
    /// Claims a record and runs it. The slots are given back before its outcome is written.
    pub(super) async fn perform(
        self,
        candidate: Candidate,
        plan: Planned,
        slots: OwnedSemaphorePermit,
    ) -> RunResult {
        let (origin, doc_id) = (candidate.origin(), candidate.doc_id().to_owned());
        let Order { trigger, caller, .. } = &self.order;
        match self.worker.queue.claim(candidate, &self.worker.name, *trigger, caller.as_ref()).await {
            Ok(ClaimResult::Claimed(claim)) => Box::pin(self.run(*claim, plan, slots)).await,
            Ok(ClaimResult::Exhausted(exhausted)) => {
                RunResult::ended(RunEnd::Failed(self.worker.give_up(origin, exhausted)))
            }
            Ok(ClaimResult::Busy) => RunResult::ended(RunEnd::Processing),
            Ok(ClaimResult::Gone) => RunResult::ended(RunEnd::Failed(REMOVED.to_owned())),
            Err(error) => {
                error!(doc_id, error = &error as &dyn std::error::Error, "record could not be claimed");
                RunResult::ended(RunEnd::NotStarted("the queue did not answer".to_owned()))
            }
        }
    }

    async fn run(self, mut claim: Claim, plan: Planned, slots: OwnedSemaphorePermit) -> RunResult {
        let started = Instant::now();
        self.renewal.add(&claim);
        let begun = Begun { tick: self.worker.evidence.tick(), time: self.worker.queue.now() };
        // By the record as it is claimed: an operator may have asked for all of it again.
        let left = plan.map(|(destination, plan)| (destination, left_to_do(plan, claim.record())));
        let left = left.and_then(|(destination, plan)| match plan.refusal() {
            Some(error) => Err(error),
            None => Ok((destination, plan)),
        });
        let (destination, plan) = match left {
            Ok(left) => left,
            Err(error) => {
                let failure = RecordFailure::new(ErrorKind::Permanent, Cause::Mapping, "mapping", error);
                return self.end(claim, ClaimOutcome::Failed(failure), started).await;
            }
        };
        if plan.note.is_some() {
            let (note, unmapped) = (plan.note.clone(), plan.unmapped.clone());
            let outcome = ClaimOutcome::Completed { note, dry_run: None, unmapped, written: Vec::new() };
            return self.end(claim, outcome, started).await;
        }
        match superseded(&self.worker, &claim, &plan, self.order.force).await {
            Ok(None) => {}
            Ok(Some(failure)) => return self.end_superseded(claim, &plan, failure, begun, started).await,
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "later forms could not be looked up");
                return self.end(claim, ClaimOutcome::Released, started).await;
            }
        }
        let suspicion = verdict::suspicion(claim.record());
        let failed_before = self.worker.evidence.forget(destination, claim.doc_id());
        let delivering = Delivering {
            worker: &self.worker,
            destination,
            deadline: self.deadline,
            stops: &self.stops,
            suspicion: if self.in_doubt { Suspicion::Suspected } else { suspicion },
        };
        let delivered = delivering.perform(&mut claim, &plan).await;
        // Only now may the next begin: it has to see whether this one was stopped.
        drop(slots);
        if delivered.took_something {
            self.worker.evidence.taken(destination, begun);
        }
        let Delivered { outcome, is_unavailable, .. } = delivered;
        let is_sent = matches!(&outcome, ClaimOutcome::Completed { dry_run: None, .. });
        let provided =
            if is_sent { plan.shared_records_of(claim.record(), claim.doc_id()) } else { Vec::new() };
        let overlap = Overlap::new(&self.worker, &claim, plan, self.order.force, begun.time, is_sent);
        let end = match outcome {
            // Not sent, or refused like every other record: no later one says anything about it.
            outcome if is_unavailable => Ok(self.settle(claim, outcome, started).await),
            ClaimOutcome::Undecided(failure) => {
                let failed = self.worker.evidence.tick();
                Err(Box::new(OpenVerdict { claim, failure, destination, failed, suspicion, failed_before }))
            }
            outcome => Ok(self.settle(claim, outcome, started).await),
        };
        let counts = matches!(end, Ok(RunEnd::Completed | RunEnd::Failed(_)) | Err(_));
        RunResult { end, overlap: overlap.filter(|_| counts), provided }
    }

    /// Writes an outcome.
    async fn settle(&self, claim: Claim, outcome: ClaimOutcome, started: Instant) -> RunEnd {
        self.renewal.forget(claim.doc_id());
        settle(&self.worker, claim, outcome, started).await
    }

    async fn end(self, claim: Claim, outcome: ClaimOutcome, started: Instant) -> RunResult {
        RunResult::ended(self.settle(claim, outcome, started).await)
    }

    /// A later form has written the same records. An earlier run of this one may have written over it all the same.
    async fn end_superseded(
        self,
        claim: Claim,
        plan: &Plan,
        failure: RecordFailure,
        begun: Begun,
        started: Instant,
    ) -> RunResult {
        let force = self.order.force;
        let overlap = Overlap::new(&self.worker, &claim, plan.clone(), force, begun.time, false);
        let end = self.settle(claim, ClaimOutcome::Failed(failure), started).await;
        RunResult { end: Ok(end), overlap, provided: Vec::new() }
    }
}

/// What a record writes, whatever earlier runs have done.
pub(super) fn plan(worker: &Worker, candidate: &Candidate) -> Planned {
    let record = candidate.record();
    match jobs::find(candidate.origin(), &record.job_name) {
        Some(job) => worker.plan_of(job, record),
        None => Err(format!("no form type is named {:?}", record.job_name)),
    }
}

/// The span of a record's log lines, within the span of the request that makes it run.
pub(super) fn record_span(candidate: &Candidate) -> Span {
    let record = candidate.record();
    info_span!("record", request_id = record.job_id, doc_id = candidate.doc_id(), job_name = record.job_name)
}

/// Why a repeated run must not take place: a form that arrived later has already written what it
/// would write (`docs/service.md`, guarantee 10). Nothing newer is overwritten, unless by force.
async fn superseded(
    worker: &Worker,
    claim: &Claim,
    plan: &Plan,
    force: bool,
) -> Result<Option<RecordFailure>, QueueError> {
    let record = claim.record();
    if force || !is_repeat(record) {
        return Ok(None);
    }
    let shared = plan.shared_records_of(record, claim.doc_id());
    let later = worker.queue.later_writers(claim.origin(), record, &shared).await?;
    Ok(later.into_iter().find_map(|(later, record)| {
        let newer = overlap::plan_of(worker, claim.origin(), &record)?;
        let (object, external_id) = plan.overwrites(&newer)?;
        let error = format!(
            "form {later} arrived later and has written {object} {external_id}: nothing newer is overwritten (a \
             retry with force=true does)"
        );
        let failure = RecordFailure::new(ErrorKind::Permanent, Cause::Superseded, object, error);
        Some(RecordFailure { unmapped: plan.unmapped.clone(), ..failure })
    }))
}

/// Whether a claimed record may come after forms that are later than it: it has run before, or a reconciliation fetched it.
/// A record that was only put back has not run; and one that was completed and put back to be written again is as good as
/// new: in both cases later forms that were faster are written again on top ([`Overlap`]).
fn is_repeat(record: &Record) -> bool {
    let earlier = &record.attempts[..record.attempts.len().saturating_sub(1)];
    let last = earlier.iter().rev().find(|attempt| attempt.outcome != Some(AttemptOutcome::Released));
    match last {
        None => record.run_retries > 0,
        Some(attempt) => {
            attempt.trigger == Trigger::Reconcile
                || attempt.outcome != Some(AttemptOutcome::Updated)
                || attempt.role.is_some()
        }
    }
}

/// A plan without what earlier runs have done: documents that were taken, and those that were refused
/// for good, which stay errors.
fn left_to_do(plan: Plan, record: &Record) -> Plan {
    let mut plan = plan.without(&record.delivered);
    let again = |document: &&Document| record.refused.contains(&document.position);
    let refused = plan.documents().iter().filter(again).map(|document| {
        let position = document.position;
        let known = record.refusals.iter().find(|refusal| refusal.position == position);
        let error = known.map_or_else(
            || format!("record {position} ({}): CommCare refused it for good", document.case_id),
            |refusal| refusal.error.clone(),
        );
        Refused { position, field: None, error }
    });
    let refused: Vec<Refused> = refused.collect();
    plan.refused.extend(refused);
    plan.refused.sort_by_key(|refused| refused.position);
    plan.without(&record.refused)
}

pub(super) async fn settle(worker: &Worker, claim: Claim, outcome: ClaimOutcome, started: Instant) -> RunEnd {
    let observed = Observed::of(&claim, &outcome, started);
    let sighted = Sighted::of(&claim, &outcome);
    let end = match &outcome {
        ClaimOutcome::Completed { .. } => {
            info!("record completed");
            RunEnd::Completed
        }
        ClaimOutcome::Failed(RecordFailure { error, step, kind, cause, .. }) => {
            let (error_kind, cause) = (kind.as_str(), cause.as_str());
            warn!(processing_step = step, error_kind, cause, error, "record failed");
            RunEnd::Failed(error.clone())
        }
        ClaimOutcome::Undecided(RecordFailure { error, step, .. }) => {
            warn!(processing_step = step, error, "record was put back: its failure may be the destination's");
            let back = if claim.was() == Status::Failed { Status::Failed } else { Status::New };
            RunEnd::PutBack(back, error.clone())
        }
        ClaimOutcome::Released => RunEnd::PutBack(Status::New, "it was put back untouched".to_owned()),
    };
    let settled = worker.queue.settle_patiently(claim, outcome, SETTLE_PATIENCE).await;
    observed.settled(&worker.metrics, settled.as_ref().ok().copied());
    match settled {
        Ok(SettleResult::Written) => {
            sighted.keep(&worker.queue).await;
            end
        }
        Ok(SettleResult::Replaced) => {
            RunEnd::PutBack(Status::New, "an edited form replaced it meanwhile".to_owned())
        }
        Ok(SettleResult::Lost) => {
            RunEnd::Failed("another worker took it over; its outcome counts".to_owned())
        }
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "outcome of a record could not be written");
            RunEnd::Failed("its outcome could not be written; it will be processed again".to_owned())
        }
    }
}
