//! Salesforce → CommCare: every record of a payload becomes one `XForm` instance
//! (`docs/mappings/salesforce-to-commcare.md`).
//!
//! A job type is one file of tables below this module. The tables read like section 6 of the page.
//! `element` defines the words of the tables, `text` turns a value into text, and `document` writes the
//! result.

mod describe;
mod document;
mod element;
pub(super) mod household_sampling;
pub(super) mod participant;
pub(super) mod project_role;
pub(super) mod text;
pub(super) mod training_group;
pub(super) mod training_session;
pub(super) mod wetmill;

use std::borrow::Cow;

use chrono::SecondsFormat;
use serde_json::{Map, Value};

use super::{Facts, MapError};
use crate::plan::{Document, Plan, Refused, Warning};
use element::{Element, Source, Unfit};

/// One job type (section 6).
pub(super) struct JobType {
    /// `jobType`.
    pub(super) name: &'static str,
    /// The payload's list of records.
    pub(super) records: &'static str,
    /// The record's field that holds the case id.
    case_id: &'static str,
    /// The end of the form namespace. All namespaces begin alike.
    namespace: &'static str,
    /// The form's name.
    form_name: &'static str,
    /// The form's version.
    form_version: &'static str,
    /// `create/case_name`.
    case_name: Source,
    /// `create/case_type` without the project key in front.
    case_type: &'static str,
    /// The parent case, where there is one.
    parent: Option<Parent>,
    /// The place of the case block.
    layout: Layout,
    /// The question elements, in order.
    questions: &'static [Element],
    /// The children of `case/update`, in order.
    update: &'static [Element],
    /// The file of these tables.
    file: &'static str,
}

/// `index/parent`.
struct Parent {
    /// The field that holds the parent's case id.
    id: &'static str,
    /// The parent's case type without the project key in front.
    case_type: &'static str,
}

/// The place of the case block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Under the root.
    Case,
    /// Under the root, followed by a second, empty one.
    CaseTwice,
    /// Under `subcase_0`, followed by a second, empty one under the root.
    SubcaseAndCase,
}

/// The values that all records of a payload share.
struct Batch<'p> {
    facts: &'p Facts,
    job_id: Cow<'p, str>,
    project: String,
    /// [`Facts::arrived`] in the notation of documents.
    now: String,
}

impl Batch<'_> {
    /// The type of a case, with the project key before it.
    fn case_type(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.project)
    }
}

/// One record of a payload.
struct PayloadRecord<'p> {
    batch: &'p Batch<'p>,
    fields: &'p Map<String, Value>,
    position: u32,
    case_id: String,
}

/// Every job type.
const JOB_TYPES: [&JobType; 6] = [
    &household_sampling::JOB,
    &participant::JOB,
    &project_role::JOB,
    &training_group::JOB,
    &training_session::JOB,
    &wetmill::JOB,
];

/// Whether cases of the job type with this name are parents of others.
pub(super) fn has_parent_cases(name: &str) -> bool {
    let case_type = JOB_TYPES.iter().find(|job| job.name == name).map(|job| job.case_type);
    let mut parents = JOB_TYPES.iter().filter_map(|job| job.parent.as_ref());
    parents.any(|parent| Some(parent.case_type) == case_type)
}

/// Maps a payload: a document for each record that can be sent, and an error for each other record.
fn map(job: &JobType, payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    let batch = Batch {
        facts,
        job_id: job_id(payload)?,
        project: project_key(payload)?,
        now: facts.arrived.to_rfc3339_opts(SecondsFormat::Millis, true),
    };
    let (mut documents, mut refused, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for (position, record) in (facts.first_position..).zip(records(job, payload)?) {
        match map_record(job, &batch, position, record) {
            Ok((document, warned)) => {
                documents.push(document);
                warnings.extend(warned);
            }
            Err(unfit) => refused.push(unfit.at(position)),
        }
    }
    let plan = Plan::commcare(documents, refused, warnings);
    let is_empty = plan.documents().is_empty() && plan.refused.is_empty();
    Ok(if is_empty { plan.noting(format!("the payload's {} holds no record", job.records)) } else { plan })
}

fn map_record(
    job: &JobType,
    batch: &Batch<'_>,
    position: u32,
    record: &Value,
) -> Result<(Document, Vec<Warning>), Unfit> {
    let fields = record.as_object().ok_or(Unfit::NotAnObject)?;
    let case_id = text::text(fields.get(job.case_id)).ok_or(Unfit::NotText(job.case_id))?;
    if case_id.trim().is_empty() {
        return Err(Unfit::Blank(job.case_id));
    }
    let case_id = case_id.into_owned();
    let record = PayloadRecord { batch, fields, position, case_id };
    let questions = element::values(job.questions, &record, &[])?;
    let update = element::values(job.update, &record, &questions)?;
    let case_name = record.value(&job.case_name)?;
    let owner_id = record.text("ccMobileWorkerGroupId")?;
    let parent_id = job.parent.as_ref().map(|parent| record.text(parent.id)).transpose()?;
    let case = document::Case {
        name: &case_name,
        // A blank owner would hand the case to the API user (decision X13).
        owner_id: Some(&*owner_id).filter(|owner| !owner.trim().is_empty()),
        kind: &batch.case_type(job.case_type),
        update: &update,
        parent_id: parent_id.as_deref(),
    };
    let xml = document::write(job, &record, &questions, &case);
    let warnings = case.warnings(position).collect();
    let parent_id = parent_id.map(Cow::into_owned);
    Ok((Document { position, parent_id, case_id: record.case_id, xml }, warnings))
}

/// The payload's id. A missing or null id is empty (`docs/mappings/salesforce-to-commcare.md`, quirk 14);
/// the service refuses such a payload on arrival.
fn job_id(payload: &Value) -> Result<Cow<'_, str>, MapError> {
    text::as_is(payload.get("id")).ok_or_else(|| refusal("id is not a number or text"))
}

fn project_key(payload: &Value) -> Result<String, MapError> {
    let key = payload.get("uniqueProjectKey").and_then(Value::as_str).map(text::clean);
    key.filter(|key| !key.trim().is_empty())
        .map(|key| key.to_lowercase())
        .ok_or_else(|| refusal("uniqueProjectKey is missing or blank"))
}

/// The payload's records. A missing list counts as empty.
fn records<'p>(job: &JobType, payload: &'p Value) -> Result<&'p [Value], MapError> {
    match payload.get(job.records) {
        None => Ok(&[]),
        Some(Value::Array(records)) => Ok(records),
        Some(_) => Err(refusal(&format!("{} is not a list of records", job.records))),
    }
}

fn refusal(rule: &str) -> MapError {
    MapError { path: "payload".to_owned(), rule: rule.to_owned() }
}

impl Unfit {
    fn at(self, position: u32) -> Refused {
        let (field, error) = match self {
            Self::NotAnObject => (None, format!("record {position}: not an object")),
            Self::Blank(key) => (Some(key), format!("record {position}: {key} is missing or blank")),
            Self::NotText(key) => (Some(key), format!("record {position}: {key} is not a number or text")),
        };
        Refused { position, field, error }
    }
}
