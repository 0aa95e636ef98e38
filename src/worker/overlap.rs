//! Runs of two forms that write one record and overlap: the newer form's values stay
//! (`docs/service.md`, guarantee 10).
//!
//! A repeat looks for later writers before it delivers, and within a drain such forms keep their order.
//! What neither sees is a form that another drain delivers at the same moment. So each looks again once
//! its outcome is written: of two that overlapped, the second to end finds the first, and the newer one is
//! put back, to be written once more on top. That ends: only a strictly newer form is ever put back, and
//! not by a run that was over when it last began.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::{Worker, delivery};
use crate::clock;
use crate::jobs;
use crate::plan::Plan;
use crate::queue::Claim;
use crate::submission::{Attempt, AttemptOutcome, Origin, Record};

/// A run that may have overlapped others: what it was when it was claimed, and what it writes.
pub(super) struct Overlap {
    origin: Origin,
    doc_id: String,
    record: Record,
    plan: Arc<Plan>,
    shared: Vec<String>,
    /// Whether somebody wants it to win over newer forms.
    force: bool,
    /// From when on it may have written: it was claimed with others, and waited for those before it.
    begun: DateTime<Utc>,
}

impl Overlap {
    pub(super) fn of(claim: &Claim, plan: &Arc<Plan>, force: bool) -> Self {
        Self {
            origin: claim.origin(),
            doc_id: claim.doc_id().to_owned(),
            record: claim.record().clone(),
            plan: Arc::clone(plan),
            shared: delivery::shared_records(claim, plan),
            force,
            begun: clock::now(),
        }
    }

    /// Whether this run, or an earlier attempt whose answer was lost, may have written anything that others
    /// write too.
    pub(super) fn is_possible(&self, delivered: bool) -> bool {
        !self.shared.is_empty() && (delivered || self.earlier_runs().next().is_some())
    }

    /// Puts back the newer one of each pair that may have been written in the wrong order. `delivered`
    /// says whether this run wrote its records.
    pub(super) async fn mend(self, worker: &Worker, delivered: bool) {
        let Some(since) = self.record.attempts.first().map(|attempt| attempt.started) else { return };
        let found =
            worker.queue.other_writers(self.origin, &self.doc_id, &self.record, since, &self.shared).await;
        let others = match found {
            Ok(others) => others,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "worker.overlapping_forms_unknown");
                return;
            }
        };
        for (other, record) in others {
            if let Some(newer) = self.overtaken(worker, &other, &record, delivered) {
                let why = format!(
                    "written again: {} and {} wrote the same record at the same time, and this one is the newer",
                    self.doc_id, other
                );
                match worker.queue.write_again(self.origin, newer, &why).await {
                    Ok(true) => info!(doc_id = newer, "worker.written_again"),
                    Ok(false) => {}
                    Err(error) => {
                        warn!(
                            error = &error as &dyn std::error::Error,
                            doc_id = newer,
                            "worker.not_written_again"
                        );
                    }
                }
            }
        }
    }

    /// The runs before this one, whose answers may have been lost.
    fn earlier_runs(&self) -> impl Iterator<Item = &Attempt> {
        let this_one = self.record.attempts.len().saturating_sub(1);
        self.record.attempts.iter().take(this_one).filter(|attempt| ran(attempt))
    }

    /// The newer one, where the older one's values may stand over its own.
    fn overtaken<'d>(
        &'d self,
        worker: &Worker,
        other: &'d str,
        record: &Record,
        delivered: bool,
    ) -> Option<&'d str> {
        let (mine, theirs) = (self.record.arrived(), record.arrived());
        let is_newer = (mine, self.doc_id.as_str()) > (theirs, other);
        let mut their_runs = record.attempts.iter().filter(|attempt| ran(attempt));
        let in_question = if is_newer {
            // One that still runs looks for itself when it ends.
            delivered && their_runs.any(|run| run.finished.is_some_and(|finished| finished >= self.begun))
        } else if self.force {
            false
        } else {
            let last = their_runs.next_back().map(|run| run.started);
            delivered || self.earlier_runs().any(|run| last <= run.finished)
        };
        let conflicts = || {
            let plan = plan_of(worker, self.origin, record)?;
            self.plan.overwrites(&plan)
        };
        in_question.then(conflicts).flatten()?;
        Some(if is_newer { &self.doc_id } else { other })
    }
}

/// Whether an attempt may have written something: one that was put back was not begun, or is begun again,
/// and one that set the status ran nothing.
fn ran(attempt: &Attempt) -> bool {
    !matches!(attempt.outcome, Some(AttemptOutcome::Released | AttemptOutcome::Updated))
}

/// What a record writes.
pub(super) fn plan_of(worker: &Worker, origin: Origin, record: &Record) -> Option<Plan> {
    let job = jobs::find(origin, &record.job_name)?;
    let (_, plan) = worker.plan_of(job, record).ok()?;
    Some(plan)
}
