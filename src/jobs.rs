//! The form types that the service handles: one file below this module and one row of [`JOBS`] for each.
//!
//! A row holds a form type's name, origin, destination and mapping. A mapping turns a payload into a
//! [`Plan`] and does nothing else. It has no I/O, no clock and no randomness, so that one payload always
//! gives the same plan.

mod attendance;
mod country;
mod demo_plot_observation;
mod describe;
mod entry;
mod farm_visit;
mod fields;
mod form;
mod form_kind;
mod note;
mod observation;
mod participant_checks;
mod people;
mod record;
mod registration;
mod salesforce_to_commcare;
mod training_observation;
mod wetmill;
mod wetmill_registration;
mod wetmill_visit;

use std::borrow::Cow;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::submission::{Destination, Origin, Sender, id_text};
use describe::Description;
pub use entry::{Entry, Gives, Label};
use salesforce_to_commcare::{
    JobType, household_sampling, participant, project_role, training_group, training_session,
    wetmill as wetmill_case,
};

/// The note of an archived form.
const ARCHIVED: &str = "the form was archived in CommCare: nothing is written, and what was written stays";

/// What a mapping knows apart from the payload.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whether registrations write attendance. As in the original, they do not in the Salesforce
    /// sandbox, unless `SF_SANDBOX_ATTENDANCE=true`.
    pub registration_attendance: bool,
    /// The sender that CommCare documents name.
    pub sender: Sender,
    /// The CommCare HQ that keeps the forms' photos and signatures (`CC_BASE_URL`), without a slash at its end.
    pub hq: Cow<'static, str>,
    /// When the payload arrived. CommCare documents carry this time, so that a document that is sent
    /// again has the same bytes.
    pub arrived: DateTime<Utc>,
    /// 1-based position of the payload's first record. It is above 1 in the later parts of a payload
    /// that is stored in parts.
    pub first_position: u32,
}

impl Facts {
    /// The facts that hold for the whole service. [`Facts::of`] adds those of one payload.
    pub const fn new(registration_attendance: bool) -> Self {
        Self {
            registration_attendance,
            sender: Sender::DEFAULT,
            hq: Cow::Borrowed("https://www.commcarehq.org"),
            arrived: DateTime::UNIX_EPOCH,
            first_position: 1,
        }
    }

    /// These facts for one payload.
    #[must_use]
    pub fn of(&self, arrived: DateTime<Utc>, first_position: u32) -> Self {
        Self { arrived, first_position, ..self.clone() }
    }
}

/// Why a payload can't be mapped. The error names the form path and the type that was found there. It
/// never quotes the value, because values are personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {rule}")]
pub struct MapError {
    /// Form path, e.g. `form.subcase_0.case.@case_id`.
    pub path: String,
    /// The rule that the payload breaks there, in words that an operator can act on.
    pub rule: String,
}

/// A pure mapping from payload to plan.
pub type Mapping = fn(&Value, &Facts) -> Result<Plan, MapError>;

/// One handled job name.
pub struct Job {
    /// The exact name (`form.@name`, or `jobType` from Salesforce).
    pub name: &'static str,
    /// Who sends its payloads.
    pub origin: Origin,
    /// Where its plans are performed.
    pub destination: Destination,
    /// The function from payload to plan.
    pub mapping: Mapping,
    /// The payload's member that lists records, where the payload has one. These records do not depend
    /// on one another.
    pub records: Option<&'static str>,
    /// Lists what the mapping may write, from the tables that it reads.
    describe: fn(&mut Description),
}

impl Job {
    /// Whether other payloads may wait for what its payloads write (`docs/service.md`, guarantee 11).
    pub fn is_awaited(&self) -> bool {
        self.destination != Destination::CommCare || salesforce_to_commcare::has_parent_cases(self.name)
    }
}

/// Every handled job name (`docs/service.md`, section 1).
pub static JOBS: &[Job] = &[
    to_salesforce(form_kind::FARMER_REGISTRATION, registration::map, registration::describe),
    to_salesforce(form_kind::EDIT_FARMER_DETAILS, registration::map, registration::describe),
    to_salesforce(form_kind::FIELD_DAY_REGISTRATION, registration::map, registration::describe),
    to_salesforce(form_kind::ATTENDANCE_FULL, attendance::map, attendance::describe),
    to_salesforce(form_kind::ATTENDANCE_LIGHT, attendance::map, attendance::describe),
    to_salesforce(form_kind::FIELD_DAY_ATTENDANCE, attendance::map, attendance::describe),
    to_salesforce("Training Observation", training_observation::map, training_observation::describe),
    to_salesforce("Demo Plot Observation", demo_plot_observation::map, demo_plot_observation::describe),
    to_salesforce("Farm Visit Full", farm_visit::map, farm_visit::describe),
    to_salesforce(farm_visit::FARM_VISIT_AA, farm_visit::map, farm_visit::describe),
    to_postgis("Wet Mill Registration Form", wetmill_registration::map, wetmill_registration::describe),
    to_postgis("Wet Mill Visit", wetmill_visit::map, wetmill_visit::describe),
    to_commcare(&participant::JOB, participant::map, |description| participant::JOB.describe(description)),
    to_commcare(&training_group::JOB, training_group::map, |description| {
        training_group::JOB.describe(description);
    }),
    to_commcare(&training_session::JOB, training_session::map, |description| {
        training_session::JOB.describe(description);
    }),
    to_commcare(&project_role::JOB, project_role::map, |description| project_role::JOB.describe(description)),
    to_commcare(&household_sampling::JOB, household_sampling::map, |description| {
        household_sampling::JOB.describe(description);
    }),
    to_commcare(&wetmill_case::JOB, wetmill_case::map, |description| wetmill_case::JOB.describe(description)),
];

const fn to_salesforce(name: &'static str, mapping: Mapping, describe: fn(&mut Description)) -> Job {
    let (origin, destination) = (Origin::CommCare, Destination::Salesforce);
    Job { name, origin, destination, mapping, records: None, describe }
}

const fn to_postgis(name: &'static str, mapping: Mapping, describe: fn(&mut Description)) -> Job {
    let (origin, destination) = (Origin::CommCare, Destination::Postgis);
    Job { name, origin, destination, mapping, records: None, describe }
}

const fn to_commcare(job: &JobType, mapping: Mapping, describe: fn(&mut Description)) -> Job {
    let (origin, destination) = (Origin::Salesforce, Destination::CommCare);
    Job { name: job.name, origin, destination, mapping, records: Some(job.records), describe }
}

/// What every form type may write: a line for each field, in the order of [`JOBS`] and of their tables.
pub fn mappings() -> &'static [Entry] {
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        let of = |job: &Job| {
            let mut description = Description::new(job.name, job.direction());
            (job.describe)(&mut description);
            description.into_entries()
        };
        JOBS.iter().flat_map(of).collect()
    });
    &ENTRIES
}

impl Job {
    /// Who sends and who receives, in words.
    fn direction(&self) -> &'static str {
        match self.destination {
            Destination::Salesforce => "CommCare → Salesforce",
            Destination::Postgis => "CommCare → PostGIS",
            Destination::CommCare => "Salesforce → CommCare",
        }
    }

    /// The plan of a payload. A form that somebody has archived in CommCare writes nothing: the destinations
    /// keep what they have (`docs/service.md`, section 2).
    pub fn plan(&self, payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
        if self.origin == Origin::CommCare && payload.get("archived") == Some(&Value::Bool(true)) {
            return Ok(Plan::nothing(ARCHIVED));
        }
        (self.mapping)(payload, facts)
    }

    /// The plan of a payload of this job, as the HTTP API and the command line show it
    /// (`docs/service.md`, section 2, preview).
    pub(crate) fn preview(&self, plan: &Plan) -> Value {
        let mut shown = plan.to_json();
        shown["job_name"] = self.name.into();
        shown["destination"] = self.destination.as_str().into();
        shown
    }
}

/// The preview of a payload whose form type isn't handled.
pub(crate) fn preview_of_unhandled(origin: Origin, name: &str) -> Value {
    let note = "this form type is not handled: nothing would be stored or sent";
    let note = match meant(origin, name) {
        Some(job) => format!("{note}; did you mean {:?}?", job.name),
        None => note.to_owned(),
    };
    json!({ "job_name": name, "note": note })
}

/// The job whose name differs from this one in case or blanks only.
pub(crate) fn meant(origin: Origin, name: &str) -> Option<&'static Job> {
    let letters = |name: &str| name.split_whitespace().collect::<String>().to_lowercase();
    JOBS.iter().find(|job| job.origin == origin && letters(job.name) == letters(name))
}

/// The origin that a payload comes from by its looks: a form has `form`, a payload from Salesforce `jobType`.
/// `None` where it has both or neither.
pub(crate) fn origin_of(payload: &Value) -> Option<Origin> {
    match (payload.get("form").is_some(), payload.get("jobType").is_some()) {
        (true, false) => Some(Origin::CommCare),
        (false, true) => Some(Origin::Salesforce),
        _ => None,
    }
}

/// The job that handles `name` from `origin`.
pub fn find(origin: Origin, name: &str) -> Option<&'static Job> {
    JOBS.iter().find(|job| job.origin == origin && job.name == name)
}

/// The payload's `id` as text; a number counts as its text. `None` where the id is missing or blank.
pub fn job_id(payload: &Value) -> Option<String> {
    payload.get("id").and_then(id_text).filter(|id| !id.trim().is_empty())
}

/// The job name of a payload: `form.@name` from CommCare, `jobType` from Salesforce. A `Followup` may be a
/// light attendance (`docs/mappings/commcare-to-salesforce.md`, section 2). `None` where the payload
/// names no job.
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
