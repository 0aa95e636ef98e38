//! One row per form type: the names it answers to, where it goes, and its pure mapping.
//!
//! A mapping turns a payload into a [`Plan`] and does nothing else: no I/O, no clock, no
//! randomness, so that the same payload always gives the same plan. A form type is one file
//! below this module and one row of [`JOBS`].
mod attendance;
mod demo_plot_observation;
mod farm_visit;
mod fields;
mod form;
mod form_kind;
mod note;
mod observation;
mod participant_checks;
mod people;
mod registration;
mod salesforce_to_commcare;
mod training_observation;
mod wetmill;
mod wetmill_registration;
mod wetmill_visit;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::submission::{Destination, Origin, Sender};
use salesforce_to_commcare::JobType;

/// What a mapping may know beside the payload.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whether registrations write attendance: not in the Salesforce sandbox, as in the
    /// original, unless `SF_SANDBOX_ATTENDANCE=true`.
    pub registration_attendance: bool,
    /// Who CommCare documents come from.
    pub sender: Sender,
    /// When the payload arrived: the time of CommCare documents, so that a repeat is the same
    /// bytes.
    pub arrived: DateTime<Utc>,
    /// 1-based position of the first record that the payload holds: more than 1 in the later parts
    /// of a payload that is stored in parts.
    pub first_position: u32,
}

impl Facts {
    /// What holds for the whole service. When a payload arrived is for [`Facts::of`] to say.
    pub const fn new(registration_attendance: bool) -> Self {
        Self {
            registration_attendance,
            sender: Sender::DEFAULT,
            arrived: DateTime::UNIX_EPOCH,
            first_position: 1,
        }
    }

    /// The same, for one payload.
    #[must_use]
    pub fn of(&self, arrived: DateTime<Utc>, first_position: u32) -> Self {
        Self { arrived, first_position, ..self.clone() }
    }
}

/// Why a payload can't be mapped. Names the form path and the type that was found, never the
/// value: values are personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {rule}")]
pub struct MapError {
    /// Form path, e.g. `form.subcase_0.case.@case_id`.
    pub path: String,
    /// The rule that it breaks, in words an operator can act on.
    pub rule: String,
}

/// A pure mapping from payload to plan.
pub type Mapping = fn(&Value, &Facts) -> Result<Plan, MapError>;

/// One handled job name.
pub struct Job {
    /// The exact name (`form.@name`, or `jobType` from Salesforce).
    pub name: &'static str,
    /// Who sends it.
    pub origin: Origin,
    /// Where it goes.
    pub destination: Destination,
    /// What turns its payload into a plan.
    pub mapping: Mapping,
    /// The list of its payload that holds records which do not depend on one another, where it has
    /// one.
    pub records: Option<&'static str>,
}

/// Every handled job name (`docs/service.md`, section 1).
pub static JOBS: &[Job] = &[
    to_salesforce(form_kind::FARMER_REGISTRATION, registration::map),
    to_salesforce(form_kind::EDIT_FARMER_DETAILS, registration::map),
    to_salesforce(form_kind::FIELD_DAY_REGISTRATION, registration::map),
    to_salesforce(form_kind::ATTENDANCE_FULL, attendance::map),
    to_salesforce(form_kind::ATTENDANCE_LIGHT, attendance::map),
    to_salesforce(form_kind::FIELD_DAY_ATTENDANCE, attendance::map),
    to_salesforce("Training Observation", training_observation::map),
    to_salesforce("Demo Plot Observation", demo_plot_observation::map),
    to_salesforce("Farm Visit Full", farm_visit::map),
    to_salesforce(farm_visit::FARM_VISIT_AA, farm_visit::map),
    to_postgis("Wet Mill Registration Form", wetmill_registration::map),
    to_postgis("Wet Mill Visit", wetmill_visit::map),
    to_commcare(&salesforce_to_commcare::participant::JOB, salesforce_to_commcare::participant::map),
    to_commcare(&salesforce_to_commcare::training_group::JOB, salesforce_to_commcare::training_group::map),
    to_commcare(
        &salesforce_to_commcare::training_session::JOB,
        salesforce_to_commcare::training_session::map,
    ),
    to_commcare(&salesforce_to_commcare::project_role::JOB, salesforce_to_commcare::project_role::map),
    to_commcare(
        &salesforce_to_commcare::household_sampling::JOB,
        salesforce_to_commcare::household_sampling::map,
    ),
    to_commcare(&salesforce_to_commcare::wetmill::JOB, salesforce_to_commcare::wetmill::map),
];

const fn to_salesforce(name: &'static str, mapping: Mapping) -> Job {
    Job { name, origin: Origin::CommCare, destination: Destination::Salesforce, mapping, records: None }
}

const fn to_postgis(name: &'static str, mapping: Mapping) -> Job {
    Job { name, origin: Origin::CommCare, destination: Destination::Postgis, mapping, records: None }
}

const fn to_commcare(job: &JobType, mapping: Mapping) -> Job {
    Job {
        name: job.name,
        origin: Origin::Salesforce,
        destination: Destination::CommCare,
        mapping,
        records: Some(job.records),
    }
}

impl Job {
    /// What a payload of this job would do, as the HTTP API and the command line show it
    /// (`docs/service.md`, section 2, preview).
    pub(crate) fn preview(&self, plan: &Plan) -> Value {
        let mut shown = plan.to_json();
        shown["job_name"] = self.name.into();
        shown["destination"] = self.destination.as_str().into();
        shown
    }
}

/// The same of a payload whose form type isn't handled.
pub(crate) fn preview_of_unhandled(name: &str) -> Value {
    json!({ "job_name": name, "note": "this form type is not handled: nothing would be stored or sent" })
}

/// The job that handles `name` from `origin`.
pub fn find(origin: Origin, name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.origin == origin && job.name == name)
}

/// The payload's `id` as text; a number counts as its text. `None` where it has none, or a blank one.
pub fn job_id(payload: &Value) -> Option<String> {
    match payload.get("id") {
        Some(Value::String(id)) if !id.trim().is_empty() => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    }
}

/// The name that routes a payload: CommCare's `form.@name`, where a light attendance may call
/// itself `Followup` (`docs/mappings/commcare-to-salesforce.md`, section 2), or Salesforce's `jobType`.
/// `None` where the payload carries none.
pub fn job_name(origin: Origin, payload: &Value) -> Option<&str> {
    let name = match origin {
        Origin::CommCare => payload.pointer("/form/@name"),
        Origin::Salesforce => payload.get("jobType"),
    };
    let name = name?.as_str().filter(|name| !name.trim().is_empty())?;
    let survey_type = payload.pointer("/form/survey_type").and_then(Value::as_str);
    if origin == Origin::CommCare && name == "Followup" && survey_type == Some("Attendance Light") {
        return Some(form_kind::ATTENDANCE_LIGHT);
    }
    Some(name)
}
