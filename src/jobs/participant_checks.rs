//! Spot checks of what participants say about their trainings: the last step of training
//! observations (`commcare-to-salesforce.md`, section 7).
//!
//! # Sends
//! One `Check__c` for each participant asked, where the app and its version are ones that ask.

use crate::jobs::MapError;
use crate::jobs::fields::Source::{LabelOr, Sent, Text};
use crate::jobs::fields::{Row, fill};
use crate::jobs::form::{Form, Labels};
use crate::plan::Upsert;

/// The build versions of an app that ask.
enum Versions {
    From(f64),
    Above(f64),
}

/// The apps that ask, and since when: one row for each app.
type Gate = &'static [(&'static str, Versions)];

const APP_A: &str = "30cee26f064e403388e334ae7b0c403b";
const APP_B: &str = "812728b8b35644dabb51561420938ee0";

const TRAINING_GATE: Gate = &[(APP_A, Versions::From(217.0)), (APP_B, Versions::Above(34.0))];

const LAST_TRAINING: Labels =
    &[("Yes", "Yes"), ("No", "No"), ("No_training_was_offered", "No training was offered")];

/// Read at a participant's group.
const TRAINING_CHECK: &[Row] = &[
    ("Checker__c", Sent("form.Observer")),
    ("Date_Completed__c", Sent("form.Date")),
    ("Training_Session__c", Sent("form.selected_session")),
    ("Attended_Last_Months_Training__c", LabelOr("Attendend_Previous_Training_Module", LAST_TRAINING, "N/A")),
    ("RecordTypeId", Text("012Oj000009dilZIAQ")),
];

/// The checks of a training observation: of every participant group, answered or not.
pub(super) fn of_training(form: &Form, id: &str, groups: &[&str]) -> Result<Vec<Upsert>, MapError> {
    if !is_open(form, TRAINING_GATE)? {
        return Ok(Vec::new());
    }
    groups
        .iter()
        .map(|group| {
            let participant = form.group(group)?;
            let check =
                check(&participant, id, "participant_id")?.relate("Observation__r", "Submission_ID__c", id);
            fill(check, TRAINING_CHECK, &participant)
        })
        .collect()
}

fn check(participant: &Form, id: &str, path: &str) -> Result<Upsert, MapError> {
    let participant = participant.id(path)?;
    Ok(Upsert::new("Check__c", "Submission_ID__c", format!("CHK-{id}-{participant}")).relate(
        "Participant__r",
        "CommCare_Case_Id__c",
        &*participant,
    ))
}

/// Whether the form's app is one that asks. Its version must be a number only then.
fn is_open(form: &Form, gate: Gate) -> Result<bool, MapError> {
    let app = form.text("payload.app_id")?;
    let Some((_, versions)) = gate.iter().find(|(known, _)| *known == app) else { return Ok(false) };
    let version = form.required_version()?;
    Ok(match versions {
        Versions::From(first) => version >= *first,
        Versions::Above(last) => version > *last,
    })
}
