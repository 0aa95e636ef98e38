//! One record's delivery: what it does, and what keeps its progress while it does it.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, warn};

use super::drain::failed;
use super::{Stopped, Worker};
use crate::destinations::{Delivery, DeliveryError, Failure, Tally};
use crate::plan::{Effects, Plan};
use crate::queue::{Claim, ClaimOutcome, Lease, Queue};
use crate::submission::{Destination, ErrorKind, Progress};

/// How often progress is saved: `docs/service.md`, section 3, allows two seconds, and saving takes some of
/// them.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// What a delivery needs beside its record.
pub(super) struct Delivering<'d> {
    pub(super) worker: &'d Worker,
    pub(super) destination: Destination,
    /// When the drain ends.
    pub(super) deadline: Instant,
    /// The destination that could not take more, for all runs of the drain to see.
    pub(super) stopped: &'d OnceLock<Stopped>,
}

impl Delivering<'_> {
    /// Performs a plan, unless the drain's time or the service's grace period ends before: what was sent
    /// by then is sent again, without harm, but for the documents that are known to be taken.
    pub(super) async fn perform(&self, claim: &mut Claim, plan: &Plan) -> ClaimOutcome {
        let tally = Tally::default();
        let in_parts = matches!(plan.effects, Effects::Documents(_));
        let delivered = tokio::select! {
            delivered = self.worker.destinations.perform(plan, &tally) => Some(delivered),
            () = self.worker.shutdown.grace_is_over() => None,
            () = sleep_until(self.deadline) => None,
            () = keep_progress(&self.worker.queue, claim.lease(), &tally), if in_parts => None,
        };
        claim.report(tally.progress());
        match delivered {
            Some(delivered) => self.outcome(claim, plan, delivered),
            None => ClaimOutcome::Released,
        }
    }

    fn outcome(
        &self,
        claim: &Claim,
        plan: &Plan,
        delivered: Result<Delivery, DeliveryError>,
    ) -> ClaimOutcome {
        let unmapped = plan.unmapped.clone();
        let DeliveryError { failure, step, message } = match delivered {
            Ok(Delivery::Sent) => {
                let written = shared_records(claim, plan);
                return ClaimOutcome::Completed { note: None, dry_run: None, unmapped, written };
            }
            Ok(Delivery::Recorded(plan)) => {
                let note = Some("dry run: the plan was recorded, nothing was sent".to_owned());
                return ClaimOutcome::Completed { note, dry_run: Some(plan), unmapped, written: Vec::new() };
            }
            Err(error) => error,
        };
        let kind = match failure {
            Failure::Transient => ErrorKind::Transient,
            Failure::Dependency => ErrorKind::Dependency,
            Failure::Permanent => ErrorKind::Permanent,
            Failure::Unavailable => {
                let destination = self.destination;
                warn!(destination = destination.as_str(), reason = message, "worker.destination_down");
                // The first reason stands.
                let _ = self.stopped.set(Stopped { destination, reason: message });
                return ClaimOutcome::Released;
            }
        };
        failed(kind, &step, message, unmapped)
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
            Ok(false) => warn!("worker.progress_not_ours"),
            // The next round tries again.
            Err(error) => error!(error = &error as &dyn std::error::Error, "worker.progress_not_saved"),
        }
    }
}

/// The Salesforce records that a plan writes and that are not the form's own.
pub(super) fn shared_records(claim: &Claim, plan: &Plan) -> Vec<String> {
    let record = claim.record();
    // The original service's documents may lack it beside their payload.
    let in_payload = || record.data.get("id").and_then(serde_json::Value::as_str);
    let job_id = record.job_id.as_deref().or_else(in_payload).unwrap_or(claim.doc_id());
    plan.shared_records(job_id)
}
