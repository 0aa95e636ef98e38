//! One call's work: batches of claimed records, run in order or side by side, and one report.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, Span, error, info, info_span, warn};

use super::delivery::{self, Delivering};
use super::lease::Renewal;
use super::observed::{Observed, Sighted};
use super::overlap::{self, Overlap};
use super::{DrainReport, End, Planned, Stopped, Worker, order};
use crate::jobs;
use crate::plan::{Document, Plan, Refused};
use crate::queue::{Claim, ClaimOutcome, Exhausted, QueueError, SettleResult};
use crate::submission::{AttemptOutcome, Destination, ErrorKind, Origin, Record, Unmapped};

/// How long an outcome is offered to a queue that does not answer, before the record is left to
/// its lease: several of the back ends' own time-outs.
const SETTLE_PATIENCE: Duration = Duration::from_secs(40);

/// What a run came to.
enum Ran {
    Ended(End),
    /// It was not begun, and must not be tried again in this drain.
    Held(Box<Claim>),
}

/// A drain under way. [`Drain::finish`] ends it.
pub(super) struct Drain {
    worker: Worker,
    origin: Origin,
    deadline: Instant,
    /// Whether to overwrite what later forms have written.
    force: bool,
    renewal: Renewal,
    /// The destination that could not take more, for all runs to see.
    stopped: Arc<OnceLock<Stopped>>,
    /// External ids of the records that failed forms of this drain did not write.
    unwritten: HashSet<String>,
    /// Forms that cannot run in this drain, and why: kept, so that it does not claim them again, and
    /// put back at its end.
    held: Vec<(Claim, &'static str)>,
    report: DrainReport,
}

impl Drain {
    pub(super) fn new(worker: Worker, origin: Origin, deadline: Instant, force: bool) -> Self {
        let renewal = Renewal::start(&worker.queue, worker.retry.lease);
        Self {
            worker,
            origin,
            deadline,
            force,
            renewal,
            stopped: Arc::default(),
            unwritten: HashSet::new(),
            held: Vec::new(),
            report: DrainReport::default(),
        }
    }

    /// Whether nothing more is to be begun.
    pub(super) fn is_over(&self) -> bool {
        self.stopped.get().is_some() || self.worker.shutdown.is_stopping() || Instant::now() >= self.deadline
    }

    /// Whether nothing has been claimed for it yet.
    pub(super) fn is_untouched(&self) -> bool {
        let report = &self.report;
        report.completed.is_empty()
            && report.failed.is_empty()
            && report.released.is_empty()
            && self.held.is_empty()
    }

    /// Ends the drain for a destination that takes no more.
    pub(super) fn stop(&mut self, destination: Destination, reason: String) {
        // The first reason stands.
        let _ = self.stopped.set(Stopped { destination, reason });
    }

    /// Puts back what was held; what the drain did.
    pub(super) async fn finish(mut self) -> DrainReport {
        for (claim, reason) in std::mem::take(&mut self.held) {
            let doc_id = claim.doc_id().to_owned();
            let end = settle(&self.worker, claim, ClaimOutcome::Released, Instant::now()).await;
            let end = match end {
                End::New(_) => End::New(reason.to_owned()),
                other => other,
            };
            self.report(doc_id, end);
        }
        self.report.stopped = self.stopped.get().cloned();
        if let Some(stopped) = &self.report.stopped {
            self.worker.metrics.drain_stopped(stopped.destination.as_str());
        }
        self.report
    }

    /// Reports records that killed their workers, instead of running them once more.
    pub(super) fn give_up(&mut self, exhausted: Vec<Exhausted>) {
        for record in exhausted {
            self.worker.count_given_up(self.origin, &record);
            self.report.failed.push((record.doc_id, record.error));
        }
    }

    /// Works off claimed records: conflicting ones in their order, others in parallel, and all of
    /// them begun in arrival order. How many there were.
    pub(super) async fn run_batch(&mut self, claims: Vec<Claim>) -> usize {
        let claimed = claims.len();
        for claim in &claims {
            self.renewal.add(claim);
        }
        let planned: Vec<(Claim, Planned)> = claims
            .into_iter()
            .map(|claim| {
                let plan = plan(&self.worker, &claim);
                (claim, plan)
            })
            .collect();
        let plans: Vec<Option<&Plan>> = planned.iter().map(|(_, plan)| plan_of(plan)).collect();
        let mut waiting = order::Waiting::new(&plans);
        let mut planned: Vec<Option<(Claim, Planned)>> = planned.into_iter().map(Some).collect();
        let slots = Arc::clone(&self.worker.lane(self.origin).slots);
        let mut tasks = JoinSet::new();
        let mut running = HashMap::new();
        loop {
            tokio::select! {
                Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                    let (task, ran) = ended.unwrap_or_else(|panic| {
                        // Where it did has been logged; its message may quote a payload.
                        error!("worker.run_broke_down");
                        // The record stays with its lease; whoever takes it over counts that.
                        let reason = "its processing broke down; it is tried again once its lease runs out";
                        (panic.id(), Ran::Ended(End::Failed(reason.to_owned())))
                    });
                    if let Some((position, doc_id, writes)) = running.remove(&task) {
                        waiting.finished(position);
                        if !matches!(ran, Ran::Ended(End::Completed | End::New(_))) {
                            self.unwritten.extend::<Vec<String>>(writes);
                        }
                        match ran {
                            Ran::Ended(end) => self.report(doc_id, end),
                            Ran::Held(claim) => self.held.push((*claim, "later forms could not be looked up")),
                        }
                    }
                }
                // The semaphore is never closed: the worker owns it.
                Ok(slot) = Arc::clone(&slots).acquire_owned(), if waiting.any_ready() => {
                    let Some(position) = waiting.next_ready() else { continue };
                    let Some((claim, plan)) = planned[position].take() else { continue };
                    let writes = plan_of(&plan).map(order::writes).unwrap_or_default();
                    if plan_of(&plan).is_some_and(|plan| order::touches(plan, &self.unwritten)) {
                        waiting.finished(position);
                        self.unwritten.extend(writes);
                        self.held.push((claim, "a form before it that writes the same record failed"));
                        continue;
                    }
                    let doc_id = claim.doc_id().to_owned();
                    let task = tasks.spawn(self.run(claim, plan, slot));
                    running.insert(task.id(), (position, doc_id, writes));
                }
                else => break,
            }
        }
        claimed
    }

    /// One record's run: perform its plan and settle it.
    fn run(
        &self,
        mut claim: Claim,
        plan: Planned,
        slot: OwnedSemaphorePermit,
    ) -> impl Future<Output = Ran> + Send + 'static {
        let worker = self.worker.clone();
        let stopped = Arc::clone(&self.stopped);
        let (force, deadline) = (self.force, self.deadline);
        let over = self.worker.shutdown.is_stopping()
            || Instant::now() >= self.deadline
            || !self.renewal.holds(claim.doc_id());
        let span = record_span(&claim);
        let run = async move {
            let started = Instant::now();
            let plan = plan.map(|(destination, plan)| (destination, Arc::new(plan)));
            let overlap = plan.as_ref().ok().map(|(_, plan)| Overlap::of(&claim, plan, force));
            let outcome = match plan {
                Err(error) => failed(ErrorKind::Permanent, "mapping", error, Vec::new()),
                Ok((_, plan)) if plan.note.is_some() => {
                    let (note, unmapped) = (plan.note.clone(), plan.unmapped.clone());
                    ClaimOutcome::Completed { note, dry_run: None, unmapped, written: Vec::new() }
                }
                Ok(_) if over || stopped.get().is_some() => ClaimOutcome::Released,
                Ok((destination, plan)) => {
                    let delivery = Delivering { worker: &worker, destination, deadline, stopped: &stopped };
                    match superseded(&worker, &claim, &plan, force).await {
                        Ok(Some(outcome)) => outcome,
                        Ok(None) => delivery.perform(&mut claim, &plan).await,
                        Err(error) => {
                            error!(error = &error as &dyn std::error::Error, "worker.later_forms_unknown");
                            return Ran::Held(Box::new(claim));
                        }
                    }
                }
            };
            // Only now may the next begin: it has to see whether this one was stopped.
            drop(slot);
            let delivered = matches!(&outcome, ClaimOutcome::Completed { note: None, dry_run: None, .. });
            // Else the plan is let go before its outcome, which may be as large, is written.
            let overlap = overlap.filter(|overlap| overlap.is_possible(delivered));
            let end = settle(&worker, claim, outcome, started).await;
            if let (Some(overlap), End::Completed | End::Failed(_)) = (overlap, &end) {
                overlap.mend(&worker, delivered).await;
            }
            Ran::Ended(end)
        };
        run.instrument(span)
    }

    fn report(&mut self, doc_id: String, end: End) {
        self.renewal.forget(&doc_id);
        match end {
            End::Completed => self.report.completed.push(doc_id),
            End::Failed(error) => self.report.failed.push((doc_id, error)),
            End::New(reason) | End::NotStarted(reason) => self.report.released.push((doc_id, reason)),
            End::Processing => {}
        }
    }
}

fn plan(worker: &Worker, claim: &Claim) -> Planned {
    let record = claim.record();
    match jobs::find(claim.origin(), &record.job_name) {
        Some(job) => {
            let (destination, plan) = worker.plan_of(job, record)?;
            let plan = left_to_do(plan, record);
            match plan.refusal() {
                Some(error) => Err(error),
                None => Ok((destination, plan)),
            }
        }
        None => Err(format!("no form type is named {:?}", record.job_name)),
    }
}

fn plan_of(planned: &Planned) -> Option<&Plan> {
    planned.as_ref().ok().map(|(_, plan)| plan)
}

fn record_span(claim: &Claim) -> Span {
    let record = claim.record();
    info_span!("record", request_id = record.job_id, doc_id = claim.doc_id(), job_name = record.job_name)
}

/// Why a repeated run must not take place: a form that arrived later has already written what it
/// would write (`docs/service.md`, guarantee 10). Nothing newer is overwritten, unless by force.
async fn superseded(
    worker: &Worker,
    claim: &Claim,
    plan: &Plan,
    force: bool,
) -> Result<Option<ClaimOutcome>, QueueError> {
    let record = claim.record();
    if force || !is_repeat(record) {
        return Ok(None);
    }
    let shared = delivery::shared_records(claim, plan);
    let later = worker.queue.later_writers(claim.origin(), record, &shared).await?;
    Ok(later.into_iter().find_map(|(later, record)| {
        let newer = overlap::plan_of(worker, claim.origin(), &record)?;
        let (object, external_id) = plan.overwrites(&newer)?;
        let error = format!(
            "form {later} arrived later and has written {object} {external_id}: nothing newer is overwritten (a \
             retry with force=true does)"
        );
        Some(failed(ErrorKind::Permanent, object, error, plan.unmapped.clone()))
    }))
}

/// Whether a claimed record has run before. One that was only put back has not; and one that was completed
/// and put back to be written again is as good as new: in both cases later forms that were faster are
/// written again on top ([`Overlap`]).
fn is_repeat(record: &Record) -> bool {
    let earlier = &record.attempts[..record.attempts.len().saturating_sub(1)];
    let last = earlier.iter().rev().find(|attempt| attempt.outcome != Some(AttemptOutcome::Released));
    match last {
        None => record.run_retries > 0,
        Some(attempt) => attempt.outcome != Some(AttemptOutcome::Updated) || attempt.role.is_some(),
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

async fn settle(worker: &Worker, claim: Claim, outcome: ClaimOutcome, started: Instant) -> End {
    let observed = Observed::of(&claim, &outcome, started);
    let sighted = Sighted::of(&claim, &outcome);
    let end = match &outcome {
        ClaimOutcome::Completed { .. } => {
            info!("worker.record_completed");
            End::Completed
        }
        ClaimOutcome::Failed { error, step, kind, .. } => {
            warn!(processing_step = step, error_kind = ?kind, error, "worker.record_failed");
            End::Failed(error.clone())
        }
        ClaimOutcome::Released => End::New("it was put back untouched".to_owned()),
    };
    let settled = worker.queue.settle_patiently(claim, outcome, SETTLE_PATIENCE).await;
    observed.settled(&worker.metrics, settled.as_ref().ok().copied());
    match settled {
        Ok(SettleResult::Written) => {
            sighted.keep(&worker.queue).await;
            end
        }
        Ok(SettleResult::Replaced) => End::New("an edited form replaced it meanwhile".to_owned()),
        Ok(SettleResult::Lost) => End::Failed("another worker took it over; its outcome counts".to_owned()),
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "worker.outcome_not_written");
            End::Failed("its outcome could not be written; it will be processed again".to_owned())
        }
    }
}

pub(super) fn failed(kind: ErrorKind, step: &str, error: String, unmapped: Vec<Unmapped>) -> ClaimOutcome {
    ClaimOutcome::Failed { kind, step: step.to_owned(), error, unmapped }
}
