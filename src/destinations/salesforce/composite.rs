//! A plan's upserts as Composite requests: pure, so that Salesforce's limits are kept by
//! arithmetic that a test can check.
//!
//! One request is one transaction, so a plan goes into as few requests as the limits allow, in the plan's order.
//! Rows of one object travel together: an attendance of 200 participants is one call (`docs/service.md`,
//! section 5).

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::config::salesforce::ApiVersion;
use crate::plan::{Upsert, comparable};

/// The resource, and the step that an error names when a request fails as a whole.
pub(super) const RESOURCE: &str = "composite";

/// Subrequests of one Composite request (REST API guide, Composite).
const MAX_SUBREQUESTS: usize = 25;
/// How many of them may be sObject Collections or queries (the same page).
const MAX_COLLECTIONS: usize = 5;
/// Records of one collection (REST API guide, Upsert Records Using sObject Collections).
const MAX_ROWS: usize = 200;

/// The field that names a record by Salesforce's own id.
const ID: &str = "Id";

/// Everything except RFC 3986's unreserved characters, so that no id can end its URL segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One `POST /services/data/vNN.0/composite`.
pub(super) struct Request<'p> {
    version: ApiVersion,
    steps: Vec<Step<'p>>,
}

/// One subrequest: an upsert, or a collection of rows that share object and external-id field.
/// Never empty.
pub(super) struct Step<'p> {
    rows: Vec<&'p Upsert>,
}

/// The requests that perform `upserts`, to be sent in order.
pub(super) fn requests(upserts: &[Upsert], version: ApiVersion) -> Vec<Request<'_>> {
    let mut requests: Vec<Request<'_>> = Vec::new();
    for step in steps(upserts) {
        match requests.last_mut() {
            Some(request) if request.has_room_for(&step) => request.steps.push(step),
            _ => requests.push(Request { version, steps: vec![step] }),
        }
    }
    requests
}

/// The plan's subrequests, in order.
fn steps(upserts: &[Upsert]) -> Vec<Step<'_>> {
    let runs = runs(upserts);
    let chunks = runs.iter().flat_map(|run| run.chunks(MAX_ROWS));
    keep_in_one_request(chunks.map(|rows| Step { rows: rows.to_vec() }).collect())
}

/// Consecutive upserts that may be rows of one collection, repeats dropped. An update by `Id`
/// always stands alone: collections take external ids only (the page of [`MAX_ROWS`]).
fn runs(upserts: &[Upsert]) -> Vec<Vec<&Upsert>> {
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
        steps.iter().filter(|step| step.is_collection()).map(|step| step.rows.len()).collect();
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
        let folds = step.rows.len() > smallest || (step.rows.len() == smallest && room > 0);
        if !step.is_collection() || folds {
            room -= usize::from(step.is_collection() && step.rows.len() == smallest);
            kept.push(step);
        } else {
            kept.extend(step.rows.into_iter().map(|row| Step { rows: vec![row] }));
        }
    }
    kept
}

impl<'p> Request<'p> {
    /// The subrequests, in order.
    pub(super) fn steps(&self) -> &[Step<'p>] {
        &self.steps
    }

    /// How many records the request writes.
    pub(super) fn rows(&self) -> usize {
        self.steps.iter().map(|step| step.rows.len()).sum()
    }

    /// The reference id of the subrequest at `position`: letters, digits and underscores only
    /// (REST API guide, Composite Subrequest Result).
    pub(super) fn reference_id(position: usize) -> String {
        format!("step_{position}")
    }

    /// The body to post.
    pub(super) fn body(&self) -> Value {
        let subrequests: Vec<_> = self
            .steps
            .iter()
            .enumerate()
            .map(|(position, step)| {
                json!({
                    "method": "PATCH",
                    "url": step.url(self.version),
                    "referenceId": Self::reference_id(position),
                    "body": step.body(),
                })
            })
            .collect();
        json!({ "allOrNone": true, "collateSubrequests": false, "compositeRequest": subrequests })
    }

    fn has_room_for(&self, step: &Step<'_>) -> bool {
        let collections = self.steps.iter().filter(|step| step.is_collection()).count();
        self.steps.len() < MAX_SUBREQUESTS && (!step.is_collection() || collections < MAX_COLLECTIONS)
    }
}

impl<'p> Step<'p> {
    /// The records that the step writes, in order: one for a single upsert.
    pub(super) fn rows(&self) -> &[&'p Upsert] {
        &self.rows
    }

    /// Whether it is a collection; one row is not worth one.
    pub(super) fn is_collection(&self) -> bool {
        self.rows.len() > 1
    }

    fn url(&self, version: ApiVersion) -> String {
        let Upsert { object, external_id_field, external_id, .. } = self.rows[0];
        if self.is_collection() {
            return format!("/services/data/v{version}/composite/sobjects/{object}/{external_id_field}");
        }
        let external_id = utf8_percent_encode(external_id, SEGMENT);
        format!("/services/data/v{version}/sobjects/{object}/{external_id_field}/{external_id}")
    }

    fn body(&self) -> Value {
        if self.is_collection() {
            let records: Vec<_> = self.rows.iter().map(|upsert| row(upsert)).collect();
            return json!({ "allOrNone": true, "records": records });
        }
        Value::Object(fields(self.rows[0]))
    }
}

/// The fields of a single upsert's body, and of a collection's row. Salesforce refuses an external id in the body
/// that stands in the URL (REST API guide, sObject Rows by External ID).
fn fields(upsert: &Upsert) -> Map<String, Value> {
    let others = upsert.fields.iter().filter(|(field, _)| *field != upsert.external_id_field);
    others.map(|(field, value)| (field.clone(), value.clone())).collect()
}

/// A collection's row: one URL serves all rows, so each carries its own external id.
fn row(upsert: &Upsert) -> Value {
    let mut row = fields(upsert);
    row.insert("attributes".to_owned(), json!({ "type": upsert.object }));
    row.insert(upsert.external_id_field.to_owned(), upsert.external_id.clone().into());
    Value::Object(row)
}

#[cfg(test)]
mod tests;
