//! What a record's run tells the metrics and the operators, kept while the run gives its record away.

use tokio::time::Instant;
use tracing::warn;

use crate::metrics::{Metrics, RecordEnd};
use crate::queue::{Claim, ClaimOutcome, Queue, SettleResult, Written};
use crate::submission::{Origin, Trigger, Unmapped};

/// A run that has come to its outcome.
pub(super) struct Observed {
    origin: Origin,
    job_name: String,
    started: Instant,
    /// How it ends unless the record is put back.
    end: RecordEnd,
    /// What made it run, where that counts as a retry.
    retry: Option<Trigger>,
    /// Form paths of answers with unknown codes.
    unmapped: Vec<String>,
}

impl Observed {
    pub(super) fn of(claim: &Claim, outcome: &ClaimOutcome, started: Instant) -> Self {
        let record = claim.record();
        let (end, unmapped): (_, &[Unmapped]) = match outcome {
            // A dry run has a note too, but its plan would have had an effect; and so has a payload of which a part was
            // left out.
            ClaimOutcome::Completed { note: Some(_), dry_run: None, unmapped } if !claim.has_delivered() => {
                (RecordEnd::WithoutEffect, unmapped)
            }
            ClaimOutcome::Completed { unmapped, .. } => (RecordEnd::Completed, unmapped),
            ClaimOutcome::Failed(failure) | ClaimOutcome::Undecided(failure) => {
                (RecordEnd::Failed(failure.kind), &failure.unmapped)
            }
            ClaimOutcome::Released => (RecordEnd::Released, &[]),
        };
        // A claim that counts as a retry bears its time.
        let attempt = record.attempts.last();
        let counted = attempt.filter(|attempt| Some(attempt.started) == record.last_retried_at);
        Self {
            origin: claim.origin(),
            job_name: record.job_name.clone(),
            started,
            end,
            retry: counted.map(|attempt| attempt.trigger),
            unmapped: unmapped.iter().map(|answer| answer.path.clone()).collect(),
        }
    }

    /// The queue has taken the outcome, or not.
    pub(super) fn settled(self, metrics: &Metrics, settled: Option<SettleResult>) {
        let end = match settled {
            Some(SettleResult::Written(Written::PutBack(_))) => RecordEnd::Released,
            Some(SettleResult::Written(Written::Completed | Written::Failed { .. })) => self.end,
            Some(SettleResult::Replaced) => RecordEnd::Replaced,
            Some(SettleResult::Lost) | None => RecordEnd::Lost,
        };
        metrics.record_ended(self.origin, &self.job_name, end, self.started.elapsed());
        // One that is put back gives its count back.
        if let Some(trigger) = self.retry.filter(|_| end != RecordEnd::Released) {
            metrics.record_retried(self.origin, trigger);
        }
        if end == self.end {
            for path in self.unmapped {
                metrics.answer_unmapped(self.origin, &self.job_name, &path);
            }
        }
    }
}

/// Answers with unknown codes that no earlier run of the record has had.
pub(super) struct Sighted {
    origin: Origin,
    job_name: String,
    doc_id: String,
    answers: Vec<Unmapped>,
}

impl Sighted {
    pub(super) fn of(claim: &Claim, outcome: &ClaimOutcome) -> Self {
        let record = claim.record();
        let unmapped: &[Unmapped] = match outcome {
            ClaimOutcome::Completed { unmapped, .. } => unmapped,
            ClaimOutcome::Failed(failure) | ClaimOutcome::Undecided(failure) => &failure.unmapped,
            ClaimOutcome::Released => &[],
        };
        let answers = unmapped.iter().filter(|answer| !record.unmapped.contains(answer)).cloned().collect();
        let (origin, doc_id) = (claim.origin(), claim.doc_id().to_owned());
        Self { origin, job_name: record.job_name.clone(), doc_id, answers }
    }

    /// Adds them to those that operators see. The record has them all the same.
    pub(super) async fn keep(self, queue: &Queue) {
        let kept = queue.add_unmapped(self.origin, &self.job_name, &self.doc_id, self.answers);
        if let Err(error) = kept.await {
            warn!(error = &error as &dyn std::error::Error, "unmapped answers could not be counted");
        }
    }
}
