//! What newer submissions have written already stays (`docs/service.md`, guarantee 10).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Worker, overlap};
use crate::plan::{Document, Plan, case_key, list_errors};
use crate::queue::{Claim, QueueError, RecordFailure};
use crate::submission::{AttemptOutcome, Cause, ErrorKind, Record, Trigger};

/// Cases that are asked for at a time: Firestore takes thirty in one query, and so ten queries are under way.
const CASES_AT_A_TIME: usize = 300;

/// Why a repeated run must not take place: a form that arrived later has already written what it would write.
pub(super) async fn superseded(
    worker: &Worker,
    claim: &Claim,
    plan: &Plan,
) -> Result<Option<RecordFailure>, QueueError> {
    let record = claim.record();
    if !is_repeat(record) {
        return Ok(None);
    }
    let shared = plan.shared_records_of(record, claim.doc_id());
    let later = worker.queue.later_writers(claim.origin(), claim.doc_id(), record, &shared).await?;
    // One whose run may have written them is written again on top ([`overlap::Overlap`]).
    let mut wrote = later.into_iter().filter(|(_, record)| record.has_completed());
    Ok(wrote.find_map(|(later, record)| {
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
/// new: in both cases later forms that were faster are written again on top ([`overlap::Overlap`]).
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

/// The documents of `left` whose case a later record has written: a record further back in the payload, or one of a
/// later payload. CommCare takes no document a second time, so that a newer one cannot be written again on top: the first
/// run looks too, and where nobody knows whether CommCare has a newer one already, that one runs first: `None`.
pub(super) async fn left_out(
    worker: &Worker,
    claim: &Claim,
    left: &Plan,
    delivered: &Cases,
) -> Result<Option<LeftOut>, QueueError> {
    let mut left_out = BTreeMap::new();
    // By case: its documents whose later writers are not known yet.
    let mut open: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for document in left.documents() {
        match delivered.0.get(&document.case_id) {
            Some(position) if *position > document.position => {
                left_out.insert(document.position, format!("record {position} of this payload"));
            }
            _ => open.entry(&document.case_id).or_default().push(document.position),
        }
    }
    while !open.is_empty() {
        let cases: Vec<&str> = open.keys().copied().take(CASES_AT_A_TIME).collect();
        let keys: Vec<String> = cases.iter().map(|case_id| case_key(case_id)).collect();
        let later = worker.queue.later_writers(claim.origin(), claim.doc_id(), claim.record(), &keys).await?;
        for (later, record) in later {
            let Some(plan) = overlap::plan_of(worker, claim.origin(), &record) else { continue };
            // The others of its cases need not be asked for any more.
            let written = Cases::written(&plan, &record);
            let is_open = |document: &&Document| {
                open.contains_key(document.case_id.as_str())
                    && !written.0.contains_key(&document.case_id)
                    && !record.refused.contains(&document.position)
            };
            if record.may_have_written() && plan.documents().iter().any(|document| is_open(&document)) {
                return Ok(None);
            }
            for case_id in written.0.keys() {
                for position in open.remove(case_id.as_str()).into_iter().flatten() {
                    left_out.insert(position, format!("payload {later}"));
                }
            }
        }
        for case_id in cases {
            open.remove(case_id);
        }
    }
    let case_of = |position| left.documents().iter().find(|document| document.position == position);
    let told = left_out.iter().map(|(position, writer)| {
        let case_id = case_of(*position).map_or("", |document| document.case_id.as_str());
        format!("record {position} ({case_id}) by {writer}")
    });
    let told: Vec<String> = told.collect();
    let note = (!told.is_empty()).then(|| {
        let told = list_errors(told.iter().map(String::as_str));
        format!(
            "left out, since something newer has been written: {told} (a retry with force=true sends all)"
        )
    });
    Ok(Some(LeftOut { positions: left_out.into_keys().collect(), note }))
}

/// Documents that are not sent.
pub(super) struct LeftOut {
    pub(super) positions: BTreeSet<u32>,
    /// Why.
    pub(super) note: Option<String>,
}

/// Cases that CommCare has from a payload, with the last position at which it has taken each.
pub(super) struct Cases(HashMap<String, u32>);

impl Cases {
    /// Those of a record that is in nobody's hands.
    fn written(plan: &Plan, record: &Record) -> Self {
        if record.has_completed() {
            return Self::of(plan, |_| true);
        }
        Self::delivered_by(plan, &record.delivered)
    }

    /// Those of these positions.
    pub(super) fn delivered_by(plan: &Plan, positions: &BTreeSet<u32>) -> Self {
        Self::of(plan, |position| positions.contains(position))
    }

    fn of(plan: &Plan, is_there: impl Fn(&u32) -> bool) -> Self {
        let documents = plan.documents().iter().filter(|document| is_there(&document.position));
        Self(documents.map(|document| (document.case_id.clone(), document.position)).collect())
    }
}
