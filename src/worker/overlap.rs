//! Runs of two forms that write one record and overlap: the newer form's values stay
//! (`docs/service.md`, guarantee 10).
//!
//! A repeat looks for later writers before it delivers, and within a drain such forms keep their order.
//! What neither sees is a form that another drain delivers at the same moment. So a drain looks again once the outcomes
//! are written: of two forms that overlapped, the second to end finds the first, and the newer one is put back, to be
//! written once more on top. A chain of forms that write one record is looked at once, when the last of them has
//! ended, and of several newer forms only those are put back that no newer one covers: n forms cause at most 2 n
//! writes.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::{Worker, order};
use crate::jobs;
use crate::plan::{Field, Plan};
use crate::queue::Claim;
use crate::submission::{Attempt, AttemptOutcome, Origin, Record, Turn};

/// A run that may have overlapped others: what it was when it was claimed, and what it writes.
pub(super) struct Overlap {
    doc_id: String,
    record: Record,
    /// Its place among the forms, which the payload tells; `record` is without it.
    turn: Turn,
    plan: Plan,
    shared: Vec<String>,
    writes: Vec<String>,
    /// Whether somebody wants it to win over newer forms.
    force: bool,
    /// Whether this run wrote its records.
    delivered: bool,
    /// From when on it may have written.
    begun: DateTime<Utc>,
    /// Until when.
    ended: DateTime<Utc>,
}

impl Overlap {
    /// A run that has ended; `None` where it cannot have written anything that others write too.
    pub(super) fn new(
        worker: &Worker,
        claim: &Claim,
        plan: Plan,
        force: bool,
        begun: DateTime<Utc>,
        delivered: bool,
    ) -> Option<Self> {
        let shared = plan.shared_records_of(claim.record(), claim.doc_id());
        let overlap = Self {
            doc_id: claim.doc_id().to_owned(),
            turn: claim.record().turn(),
            record: Record { data: std::sync::Arc::default(), ..claim.record().clone() },
            writes: order::writes(&plan),
            plan,
            shared,
            force,
            delivered,
            begun,
            ended: worker.queue.now(),
        };
        // An earlier attempt, whose answer was lost, may have written as well.
        let is_possible =
            !overlap.shared.is_empty() && (delivered || overlap.earlier_runs().next().is_some());
        is_possible.then_some(overlap)
    }

    /// What it writes, by external id.
    pub(super) fn writes(&self) -> &[String] {
        &self.writes
    }

    /// The runs before this one, whose answers may have been lost.
    fn earlier_runs(&self) -> impl Iterator<Item = &Attempt> {
        let this_one = self.record.attempts.len().saturating_sub(1);
        self.record.attempts.iter().take(this_one).filter(|attempt| ran(attempt))
    }

    /// Since when this run, or one before it whose answer was lost, may have written.
    fn since(&self) -> DateTime<Utc> {
        self.earlier_runs().map(|run| run.started).fold(self.begun, DateTime::min)
    }

    fn is_newer_than(&self, other: &str, record: &Record) -> bool {
        self.turn.compare(&record.turn()).then_with(|| self.doc_id.as_str().cmp(other)).is_gt()
    }

    /// Whether this run may have written over the later form's values.
    fn may_have_undone(&self, later: &Record) -> bool {
        if self.force {
            return false;
        }
        let begun = later.attempts.iter().rfind(|attempt| ran(attempt)).map(|run| run.started);
        let before = |ended| begun.is_none_or(|begun| begun <= ended);
        (self.delivered && before(self.ended))
            || self.earlier_runs().any(|run| run.finished.is_some_and(before))
    }

    /// Whether an older form's run, which has ended, may have written over this run's values.
    fn may_be_undone_by(&self, older: &Record) -> bool {
        let mut runs = older.attempts.iter().filter(|attempt| ran(attempt));
        self.delivered && runs.any(|run| run.finished.is_some_and(|finished| finished >= self.begun))
    }
}

/// Puts back the newer one of each pair that may have been written in the wrong order.
pub(super) async fn mend(worker: &Worker, origin: Origin, runs: &[Overlap]) {
    let Some(first) = runs.iter().map(|run| run.turn.earliest()).min() else { return };
    let Some(since) = runs.iter().map(Overlap::since).min() else { return };
    let mut shared: Vec<String> = runs.iter().flat_map(|run| run.shared.clone()).collect();
    shared.sort_unstable();
    shared.dedup();
    let found = worker.queue.other_writers(origin, first, since, &shared).await;
    let others = match found {
        Ok(others) => others,
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "overlapping forms could not be looked up");
            return;
        }
    };
    let planned: Vec<(&str, &Record, Plan)> = others
        .iter()
        .filter_map(|(other, record)| Some((other.as_str(), record, plan_of(worker, origin, record)?)))
        .collect();
    let mut overtaken = HashSet::new();
    for run in runs {
        overtaken.extend(run.overtaken(&planned));
    }
    for (newer, other) in overtaken {
        let why = format!(
            "written again: {newer} and {other} wrote the same record at the same time, and {newer} is the newer"
        );
        match worker.queue.write_again(origin, &newer, &why).await {
            Ok(true) => info!(doc_id = newer, "record is written again, on top of an older form"),
            Ok(false) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, doc_id = newer, "record could not be put back to be written again");
            }
        }
    }
}

impl Overlap {
    /// The forms whose values may stand below those of an older one, each with that one.
    fn overtaken(&self, others: &[(&str, &Record, Plan)]) -> Vec<(String, String)> {
        let mut overtaken = Vec::new();
        // The newest first: what it writes again needs no other form for it.
        let mut covered: HashSet<Field> = HashSet::new();
        let mut newer: Vec<_> = others.iter().filter(|(other, ..)| *other != self.doc_id).collect();
        newer.sort_by(|(a, one, _), (b, other, _)| (other.arrived(), b).cmp(&(one.arrived(), a)));
        for (other, record, plan) in newer {
            if self.is_newer_than(other, record) {
                if self.may_be_undone_by(record) && !plan.undone_of(&self.plan).is_empty() {
                    overtaken.push((self.doc_id.clone(), (*other).to_owned()));
                    break;
                }
            } else if self.may_have_undone(record) {
                let undone = self.plan.undone_of(plan);
                if undone.iter().any(|field| !covered.contains(field)) {
                    overtaken.push(((*other).to_owned(), self.doc_id.clone()));
                    covered.extend(plan.fields());
                }
            }
        }
        overtaken
    }
}

/// Whether an attempt may have written something: a run that was put back untouched is begun again, and one that set the
/// status ran nothing.
fn ran(attempt: &Attempt) -> bool {
    !matches!(attempt.outcome, Some(AttemptOutcome::Released | AttemptOutcome::Updated))
}

/// What a record writes.
pub(super) fn plan_of(worker: &Worker, origin: Origin, record: &Record) -> Option<Plan> {
    let job = jobs::find(origin, &record.job_name)?;
    let (_, plan) = worker.plan_of(job, record).ok()?;
    Some(plan)
}
