//! A plan's upserts as calls: pure, so that Salesforce's limits are kept by arithmetic that a test can check.
//!
//! One Composite request is one transaction, so a plan goes into as few requests as the limits allow, in the plan's
//! order. Rows of one object travel together: an attendance of 200 participants is one call (`docs/service.md`,
//! section 5). Only text that Composite would misread leaves it: that step is a call of its own, as a collection,
//! and what stands before and after it goes in requests of their own.

use std::collections::HashMap;

use super::composite::{MAX_COLLECTIONS, MAX_SUBREQUESTS, Request};
use super::step::{ID, Step};
use crate::plan::{Upsert, comparable};

/// One HTTP call.
pub(super) enum Call<'p> {
    /// Steps that are done together or not at all.
    Composite(Request<'p>),
    /// A step that Composite cannot carry.
    Alone(Step<'p>),
}

impl<'p> Call<'p> {
    /// The call's steps, in order.
    pub(super) fn steps(&self) -> &[Step<'p>] {
        match self {
            Self::Composite(request) => request.steps(),
            Self::Alone(step) => std::slice::from_ref(step),
        }
    }

    /// The call's records, in order.
    pub(super) fn upserts(&self) -> impl Iterator<Item = &'p Upsert> {
        self.steps().iter().flat_map(|step| step.rows().iter().copied())
    }

    /// The same steps as calls of their own.
    pub(super) fn alone(&self) -> Vec<Self> {
        self.steps().iter().map(|step| Call::Alone(Step::new(step.rows().to_vec()))).collect()
    }
}

/// The calls that perform `upserts`, to be sent in order. A collection of an object has at most `most` rows.
pub(super) fn calls<'p>(upserts: &[&'p Upsert], most: impl Fn(&str) -> usize) -> Vec<Call<'p>> {
    let mut calls = Vec::new();
    let mut together = Vec::new();
    for rows in runs(upserts) {
        for rows in rows.chunks(most(rows[0].object)) {
            let step = Step::new(rows.to_vec());
            if step.looks_like_reference() {
                calls.extend(requests(std::mem::take(&mut together)));
                calls.push(Call::Alone(step));
            } else {
                together.push(step);
            }
        }
    }
    calls.extend(requests(together));
    calls
}

/// The fewest Composite requests for these steps, in order.
fn requests(steps: Vec<Step<'_>>) -> impl Iterator<Item = Call<'_>> {
    let mut requests: Vec<Request<'_>> = Vec::new();
    for step in keep_in_one_request(steps) {
        let left = match requests.last_mut() {
            Some(request) => request.add(step),
            None => Some(step),
        };
        requests.extend(left.map(Request::new));
    }
    requests.into_iter().map(Call::Composite)
}

/// Consecutive upserts that may be rows of one collection, repeats dropped. An update by `Id` always stands alone:
/// collections take external ids only (REST API guide, Upsert Records Using sObject Collections).
fn runs<'p>(upserts: &[&'p Upsert]) -> Vec<Vec<&'p Upsert>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for upsert in upserts {
        match runs.last_mut() {
            Some(run) if run.takes(upsert) => run.add(upsert),
            _ => runs.push(Run::new(upsert)),
        }
    }
    runs.into_iter().map(|run| run.rows).collect()
}

/// A collection in the making.
struct Run<'p> {
    rows: Vec<&'p Upsert>,
    /// Row position by the external id as Salesforce compares it.
    positions: HashMap<String, usize>,
}

impl<'p> Run<'p> {
    fn new(first: &'p Upsert) -> Self {
        Self { rows: vec![first], positions: HashMap::from([(comparable(&first.external_id), 0)]) }
    }

    /// Whether `next` may be a row here. Two spellings of one id may be one record or two: that depends on
    /// whether the org's field is case-sensitive. In one collection they could be a duplicate, so they go into
    /// two, where they are right either way.
    fn takes(&self, next: &Upsert) -> bool {
        let first = self.rows[0];
        next.external_id_field != ID
            && next.object == first.object
            && next.external_id_field == first.external_id_field
            && self.twin(next).is_none_or(|at| self.rows[at].external_id == next.external_id)
    }

    /// The same id twice in one collection is an error in Salesforce (`DUPLICATE_VALUE`,
    /// "Duplicate external id specified"): the last one takes the first one's place.
    fn add(&mut self, next: &'p Upsert) {
        if let Some(at) = self.twin(next) {
            self.rows[at] = next;
        } else {
            self.positions.insert(comparable(&next.external_id), self.rows.len());
            self.rows.push(next);
        }
    }

    fn twin(&self, next: &Upsert) -> Option<usize> {
        self.positions.get(&comparable(&next.external_id)).copied()
    }
}

/// A form is one transaction wherever it fits the limits (`docs/service.md`, guarantee 5). A plan with more
/// collections than one request may hold still fits when the smallest of them travel as single upserts.
fn keep_in_one_request(steps: Vec<Step<'_>>) -> Vec<Step<'_>> {
    let mut sizes: Vec<_> =
        steps.iter().filter(|step| step.is_collection()).map(|step| step.rows().len()).collect();
    if sizes.len() <= MAX_COLLECTIONS {
        return steps;
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let unfolded: usize = sizes[MAX_COLLECTIONS..].iter().sum();
    let singles = steps.len() - sizes.len();
    if singles + MAX_COLLECTIONS + unfolded > MAX_SUBREQUESTS {
        return steps;
    }
    // Sizes may tie: of the collections of the smallest size, only as many stay as there is room for.
    let smallest = sizes[MAX_COLLECTIONS - 1];
    let mut room = sizes[..MAX_COLLECTIONS].iter().filter(|&&size| size == smallest).count();
    let mut kept = Vec::with_capacity(singles + MAX_COLLECTIONS + unfolded);
    for step in steps {
        let folds = step.rows().len() > smallest || (step.rows().len() == smallest && room > 0);
        if !step.is_collection() || folds {
            room -= usize::from(step.is_collection() && step.rows().len() == smallest);
            kept.push(step);
        } else {
            kept.extend(step.rows().iter().map(|row| Step::new(vec![row])));
        }
    }
    kept
}

#[cfg(test)]
mod tests;
