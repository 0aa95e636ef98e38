//! One record's delivery: what it does, and what keeps its progress while it does it.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, warn};

use super::Worker;
use super::asked::Stops;
use crate::destinations::{Delivery, DeliveryError, Failure, Suspicion, Tally};
use crate::plan::{Effects, Plan, case_key};
use crate::queue::{Claim, ClaimOutcome, Lease, Queue, RecordFailure};
use crate::submission::{Cause, Destination, ErrorKind, Progress};

/// How often progress is saved: `docs/service.md`, section 3, allows two seconds, and saving takes some of
/// them.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// Records that a record waits for, at most: a document has room for so many.
const AWAITED_KEPT: usize = 100;

/// What a delivery needs beside its record.
pub(super) struct Delivering<'d> {
    pub(super) worker: &'d Worker,
    pub(super) destination: Destination,
    /// When the drain ends.
    pub(super) deadline: Instant,
    /// The destinations that could not take more, for all runs of the drain to see.
    pub(super) stops: &'d Stops,
    pub(super) suspicion: Suspicion,
    /// Whether other records may wait for what this one writes.
    pub(super) is_awaited: bool,
}

/// What a delivery came to.
pub(super) struct Delivered {
    pub(super) outcome: ClaimOutcome,
    /// Whether the destination took the record, or a part of it.
    pub(super) took_something: bool,
    /// What it took that other records may wait for.
    pub(super) provided: Vec<String>,
    /// Whether the destination takes no record at all: then nothing is known of this one.
    pub(super) is_unavailable: bool,
}

impl Delivering<'_> {
    /// Performs a plan, unless the drain's time or the service's grace period ends before: what was sent
    /// by then is sent again, without harm, except the documents that are known to be taken.
    pub(super) async fn perform(&self, claim: &mut Claim, plan: &Plan) -> Delivered {
        let tally = Tally::default();
        let in_parts = matches!(plan.effects, Effects::Documents(_));
        let delivered = tokio::select! {
            delivered = self.worker.destinations.perform(plan, &tally, self.suspicion) => Some(delivered),
            () = self.worker.shutdown.grace_is_over() => None,
            () = sleep_until(self.deadline) => None,
            () = keep_progress(&self.worker.queue, claim.lease(), &tally), if in_parts => None,
        };
        let progress = tally.progress();
        let took_something = !progress.delivered.is_empty() || matches!(delivered, Some(Ok(Delivery::Sent)));
        let cases =
            plan.documents().iter().filter(|document| progress.delivered.contains(&document.position));
        let mut provided: Vec<String> = cases.map(|document| case_key(&document.case_id)).collect();
        if matches!(delivered, Some(Ok(Delivery::Sent))) {
            provided.extend(Plan::awaitable(&plan.shared_records_of(claim.record(), claim.doc_id())));
        }
        if !self.is_awaited {
            provided.clear();
        }
        claim.report(progress);
        let is_unavailable = matches!(&delivered, Some(Err(error)) if error.failure == Failure::Unavailable);
        let outcome = match delivered {
            Some(delivered) => self.outcome(plan, delivered),
            None => ClaimOutcome::Released,
        };
        Delivered { outcome, took_something, provided, is_unavailable }
    }

    fn outcome(&self, plan: &Plan, delivered: Result<Delivery, DeliveryError>) -> ClaimOutcome {
        let unmapped = plan.unmapped.clone();
        let DeliveryError { failure, step, message, missing } = match delivered {
            Ok(Delivery::Sent) => {
                return ClaimOutcome::Completed { note: None, dry_run: None, unmapped };
            }
            Ok(Delivery::Recorded(plan)) => {
                let note = Some("dry run: the plan was recorded, nothing was sent".to_owned());
                return ClaimOutcome::Completed { note, dry_run: Some(plan), unmapped };
            }
            Err(error) => error,
        };
        let (kind, cause) = match failure {
            Failure::Transient => (ErrorKind::Transient, Cause::Lock),
            Failure::Unclear => (ErrorKind::Transient, Cause::Unanswered),
            Failure::Dependency => (ErrorKind::Dependency, Cause::ReferenceMissing),
            Failure::Permanent => (ErrorKind::Permanent, Cause::Refused),
            Failure::Unavailable => {
                let destination = self.destination;
                warn!(destination = destination.as_str(), reason = message, "destination takes no records");
                self.stops.add(destination, message.clone());
                (ErrorKind::Transient, Cause::Unanswered)
            }
        };
        let failed = RecordFailure::new(kind, cause, &step, message);
        let mut failed = RecordFailure { unmapped, ..failed };
        if kind == ErrorKind::Dependency {
            failed.waits_for = if missing.is_empty() { plan.awaited_records() } else { missing };
            failed.waits_for.sort_unstable();
            failed.waits_for.dedup();
            failed.waits_for.truncate(AWAITED_KEPT);
        }
        match failure {
            Failure::Unclear | Failure::Unavailable => ClaimOutcome::Undecided(failed),
            Failure::Transient | Failure::Dependency | Failure::Permanent => ClaimOutcome::Failed(failed),
        }
    }
}

/// Saves what is new, again and again.
async fn keep_progress(queue: &Queue, lease: Lease, tally: &Tally) {
    let mut saved = Progress::default();
    loop {
        sleep(SAVED_EVERY).await;
        let progress = tally.progress();
        if progress == saved {
            continue;
        }
        match queue.save_progress(&lease, &progress).await {
            Ok(true) => saved = progress,
            // Its outcome will not be written either: the queue fences it.
            Ok(false) => warn!("progress belongs to another worker's record by now"),
            // The next round tries again.
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "progress of a record could not be saved");
            }
        }
    }
}
