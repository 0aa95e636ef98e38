//! One record's run: claim it, perform its plan, settle it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{Span, error, info, info_span, warn};

use super::super::asked::{Order, Stops};
use super::super::delivery::{Delivered, Delivering};
use super::super::lease::Renewal;
use super::super::newer::{self, Cases, LeftOut};
use super::super::observed::{Observed, Sighted};
use super::super::overlap::Overlap;
use super::super::verdict::{self, Begun, OpenVerdict};
use super::super::{Planned, QUEUE_AWAY, REMOVED, RunEnd, Worker};
use crate::destinations::Suspicion;
use crate::jobs::{self, Job};
use crate::plan::{Document, Plan, Refused};
use crate::queue::{
    Candidate, Claim, ClaimOutcome, ClaimResult, QueueError, RecordFailure, SettleResult, Written,
};
use crate::submission::{Cause, ErrorKind, Record, Status};

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
        mut candidate: Candidate,
        plan: Planned,
        slots: OwnedSemaphorePermit,
    ) -> RunResult {
        let (origin, doc_id) = (candidate.origin(), candidate.doc_id().to_owned());
        let writes = |(_, plan): &(_, Plan)| plan.written_keys(candidate.record(), &doc_id);
        let keys = plan.as_ref().map(writes).unwrap_or_default();
        candidate.will_write(keys);
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
                RunResult::ended(RunEnd::NotStarted(QUEUE_AWAY.to_owned()))
            }
        }
    }

    async fn run(self, mut claim: Claim, plan: Planned, slots: OwnedSemaphorePermit) -> RunResult {
        let started = Instant::now();
        self.renewal.add(&claim);
        let begun = Begun { tick: self.worker.evidence.tick(), time: self.worker.queue.now() };
        let left = match plan {
            Ok((destination, plan)) => match self.left_to_do(&claim, plan).await {
                Ok(Some((plan, note))) => match plan.refusal() {
                    Some(error) => Err(error),
                    None => Ok((destination, plan, note)),
                },
                Ok(None) => return self.end(claim, ClaimOutcome::Released, started).await,
                Err(error) => return self.end_unasked(claim, &error, started).await,
            },
            Err(error) => Err(error),
        };
        let (destination, plan, note) = match left {
            Ok(left) => left,
            Err(error) => {
                let failure = RecordFailure::new(ErrorKind::Permanent, Cause::Mapping, "mapping", error);
                return self.end(claim, ClaimOutcome::Failed(failure), started).await;
            }
        };
        let nothing_left = note.is_some() && plan.documents().is_empty();
        if plan.note.is_some() || nothing_left {
            let note = plan.note.clone().or(note);
            let outcome = ClaimOutcome::Completed { note, dry_run: None, unmapped: plan.unmapped.clone() };
            return self.end(claim, outcome, started).await;
        }
        if !self.order.force {
            match newer::superseded(&self.worker, &claim, &plan).await {
                Ok(None) => {}
                Ok(Some(failure)) => return self.end_superseded(claim, &plan, failure, begun, started).await,
                Err(error) => return self.end_unasked(claim, &error, started).await,
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
            is_awaited: job_of(&claim).is_some_and(Job::is_awaited),
        };
        let delivered = delivering.perform(&mut claim, &plan).await;
        // Only now may the next begin: it has to see whether this one was stopped.
        drop(slots);
        if delivered.took_something {
            self.worker.evidence.taken(destination, begun);
        }
        let Delivered { outcome, provided, is_unavailable, .. } = delivered;
        let outcome = noting(outcome, note);
        let is_sent = matches!(&outcome, ClaimOutcome::Completed { dry_run: None, .. });
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

    /// What is left of a record's plan, by the record as it is claimed: an operator may have asked for all of it again. The
    /// note tells what newer data keeps out of it. `None` where a newer record has to run first.
    async fn left_to_do(
        &self,
        claim: &Claim,
        plan: Plan,
    ) -> Result<Option<(Plan, Option<String>)>, QueueError> {
        let delivered = Cases::delivered_by(&plan, &claim.record().delivered);
        let left = left_to_do(plan, claim.record());
        if self.order.force {
            return Ok(Some((left, None)));
        }
        let left_out = newer::left_out(&self.worker, claim, &left, &delivered).await?;
        Ok(left_out.map(|LeftOut { positions, note }| (left.without(&positions), note)))
    }

    /// Nothing is sent while nobody knows what newer records have written.
    async fn end_unasked(self, claim: Claim, error: &QueueError, started: Instant) -> RunResult {
        error!(error = error as &dyn std::error::Error, "later forms could not be looked up");
        self.end(claim, ClaimOutcome::Released, started).await
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

/// An outcome that tells what was left out, where it completes.
fn noting(outcome: ClaimOutcome, left_out: Option<String>) -> ClaimOutcome {
    match outcome {
        ClaimOutcome::Completed { note, dry_run, unmapped } => {
            ClaimOutcome::Completed { note: note.or(left_out), dry_run, unmapped }
        }
        other => other,
    }
}

fn job_of(claim: &Claim) -> Option<&'static Job> {
    jobs::find(claim.origin(), &claim.record().job_name)
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

/// Writes an outcome. What the queue has written of it is logged, counted and reported.
pub(super) async fn settle(worker: &Worker, claim: Claim, outcome: ClaimOutcome, started: Instant) -> RunEnd {
    let observed = Observed::of(&claim, &outcome, started);
    let sighted = Sighted::of(&claim, &outcome);
    let failure = match &outcome {
        ClaimOutcome::Failed(failure) | ClaimOutcome::Undecided(failure) => Some(failure.clone()),
        ClaimOutcome::Completed { .. } | ClaimOutcome::Released => None,
    };
    let settled = worker.queue.settle_patiently(claim, outcome, SETTLE_PATIENCE).await;
    observed.settled(&worker.metrics, settled.as_ref().ok().copied());
    match settled {
        Ok(SettleResult::Written(written)) => {
            sighted.keep(&worker.queue).await;
            tell(written, failure)
        }
        Ok(SettleResult::Replaced) => {
            RunEnd::PutBack(Status::New, "an edited form replaced it meanwhile".to_owned())
        }
        Ok(SettleResult::Lost) => {
            RunEnd::Failed("another worker took it over; its outcome counts".to_owned())
        }
        Err(error) => {
            let failure = failure.map(|failure| failure.error);
            let error = &error as &dyn std::error::Error;
            error!(failure, error, "outcome of a record could not be written");
            RunEnd::Failed("its outcome could not be written; it will be processed again".to_owned())
        }
    }
}

/// Logs what has been written of a run's outcome.
fn tell(written: Written, failure: Option<RecordFailure>) -> RunEnd {
    match (written, failure) {
        (Written::Completed, _) => {
            info!("record completed");
            RunEnd::Completed
        }
        (Written::Failed { cause, awaits }, Some(RecordFailure { error, step, kind, .. })) => {
            let (error_kind, cause, awaits) = (kind.as_str(), cause.as_str(), awaits.as_str());
            warn!(processing_step = step, error_kind, cause, awaits, error, "record failed");
            RunEnd::Failed(error)
        }
        (Written::PutBack(status), Some(RecordFailure { error, step, .. })) => {
            warn!(processing_step = step, error, "record was put back: its failure may be the destination's");
            RunEnd::PutBack(status, error)
        }
        // A run that has no failure does not fail.
        (Written::PutBack(_) | Written::Failed { .. }, None) => {
            RunEnd::PutBack(Status::New, "it was put back untouched".to_owned())
        }
    }
}
