//! Spot checks of what participants say about their trainings. Training observations and AA farm visits
//! end with them (`docs/mappings/commcare-to-salesforce.md`, section 7).
//!
//! # Sends
//! One `Check__c` for each participant, where the app asks these questions in the form's version. A
//! group without a participant id had no participant, and gives no check (decision S13).
//!
//! # Kept quirks
//! - The version gates of app B differ: above 34 for a training observation, from 69 for a visit.

use crate::jobs::MapError;
use crate::jobs::describe::Description;
use crate::jobs::fields::Piece::{Answer, Words};
use crate::jobs::fields::Row;
use crate::jobs::fields::Source::{Id, LabelOr, Sent, Text};
use crate::jobs::form::{Form, Labels};
use crate::jobs::record::{Record, table};
use crate::plan::Upsert;

/// Read at a participant's group.
const OF_TRAINING: Record = Record {
    object: "Check__c",
    key: "Submission_ID__c",
    id: &[Words("CHK-"), Answer("payload.id"), Words("-"), Answer(PARTICIPANT_ID)],
    when: "the app and its version ask these questions, and the group names a participant",
    tables: &[&table!(TRAINING_CHECK)],
    optional: &[],
};

/// Read at a farmer's group.
const OF_VISIT: Record = Record {
    id: &[Words("CHK-"), Answer("payload.id"), Words("-"), Answer(FARMER_ID)],
    when: "the app and its version ask these questions, and the group names a farmer",
    tables: &[&table!(VISIT_CHECK)],
    ..OF_TRAINING
};

const PARTICIPANT_ID: &str = "participant_id";
const FARMER_ID: &str = "farmer_id";

/// The groups of a visit's two farmers.
const FARMERS: [&str; 2] = ["form.farmer_1_questions", "form.farmer_2_questions"];

/// The build versions of an app that ask the questions.
enum Versions {
    From(f64),
    Above(f64),
}

/// One row for each app that asks the questions.
type Gate = &'static [(&'static str, Versions)];

const APP_A: &str = "30cee26f064e403388e334ae7b0c403b";
const APP_B: &str = "812728b8b35644dabb51561420938ee0";

const TRAINING_GATE: Gate = &[(APP_A, Versions::From(217.0)), (APP_B, Versions::Above(34.0))];

const VISIT_GATE: Gate = &[(APP_A, Versions::From(217.0)), (APP_B, Versions::From(69.0))];

const LAST_TRAINING: Labels =
    &[("Yes", "Yes"), ("No", "No"), ("No_training_was_offered", "No training was offered")];

const ANY_TRAINING: Labels = &[("1", "Yes"), ("0", "No")];

/// Read at a participant's group.
const TRAINING_CHECK: &[Row] = &[
    ("Participant__r.CommCare_Case_Id__c", Id(&[Answer(PARTICIPANT_ID)])),
    ("Observation__r.Submission_ID__c", Id(&[Answer("payload.id")])),
    ("Checker__c", Sent("form.Observer")),
    ("Date_Completed__c", Sent("form.Date")),
    ("Training_Session__c", Sent("form.selected_session")),
    ("Attended_Last_Months_Training__c", LabelOr("Attendend_Previous_Training_Module", LAST_TRAINING, "N/A")),
    ("RecordTypeId", Text("012Oj000009dilZIAQ")),
];

/// Read at a farmer's group.
const VISIT_CHECK: &[Row] = &[
    ("Participant__r.CommCare_Case_Id__c", Id(&[Answer(FARMER_ID)])),
    ("Farm_Visit__r.FV_Submission_ID__c", Id(&[Words("FV-"), Answer("payload.id")])),
    ("Checker__c", Sent("form.trainer")),
    ("Date_Completed__c", Sent("form.date_of_visit")),
    ("Training_Session__c", Sent("form.training_session")),
    ("Attended_Last_Months_Training__c", LabelOr("Attendend_Previous_Training_Module", LAST_TRAINING, "N/A")),
    ("RecordTypeId", Text("012Oj000009dj9lIAA")),
    ("Attended_Any_Trainings__c", LabelOr("attended_training", ANY_TRAINING, "N/A")),
    ("Number_of_Trainings_Attended__c", Sent("number_of_trainings")),
];

/// The checks that a training observation may write.
pub(super) fn describe_training(groups: &[&str], description: &mut Description) {
    for group in groups {
        description.record_at(&OF_TRAINING, group);
    }
}

/// The checks that an AA farm visit may write.
pub(super) fn describe_visit(description: &mut Description) {
    for group in FARMERS {
        description.record_at(&OF_VISIT, group);
    }
}

/// The checks of a training observation: one for each group that names its participant.
pub(super) fn of_training(form: &Form, groups: &[&str]) -> Result<Vec<Upsert>, MapError> {
    if is_open(form, TRAINING_GATE)? {
        checks(form, groups, &OF_TRAINING, PARTICIPANT_ID)
    } else {
        Ok(Vec::new())
    }
}

/// The checks of an AA farm visit: one for each of the two groups that names its farmer.
pub(super) fn of_visit(form: &Form) -> Result<Vec<Upsert>, MapError> {
    if is_open(form, VISIT_GATE)? { checks(form, &FARMERS, &OF_VISIT, FARMER_ID) } else { Ok(Vec::new()) }
}

/// The checks of the groups in which `id` names somebody.
fn checks(form: &Form, groups: &[&str], check: &Record, id: &str) -> Result<Vec<Upsert>, MapError> {
    let mut checks = Vec::new();
    for group in groups {
        let group = form.group(group)?;
        if group.id_if_filled(id)?.is_some() {
            checks.push(check.read(&group)?);
        }
    }
    Ok(checks)
}

/// Whether the form's app asks the questions in the form's version. Only where the app has a row must
/// the version be a number.
fn is_open(form: &Form, gate: Gate) -> Result<bool, MapError> {
    let app = form.text("payload.app_id")?;
    let Some((_, versions)) = gate.iter().find(|(known, _)| *known == app) else { return Ok(false) };
    let version = form.required_version()?;
    Ok(match versions {
        Versions::From(first) => version >= *first,
        Versions::Above(last) => version > *last,
    })
}
