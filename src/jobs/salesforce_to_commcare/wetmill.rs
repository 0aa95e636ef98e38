//! Wetmill: a coffee washing station. The case has no parent. Most fields that clients send are ignored
//! (quirk 8).

use serde_json::Value;

use super::element::Element;
use super::element::Source::{AsAsked, CaseId, Text, WholeNumber};
use super::{JobType, Layout};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;

pub(in crate::jobs) const JOB: JobType = JobType {
    name: "Wetmill",
    records: "wetmills",
    case_id: "commCareCaseId",
    namespace: "WETMILL-REGISTRATION",
    form_name: "Wetmill Registration",
    form_version: "1",
    case_name: Text("wetmillName"),
    case_type: "_wetmill1",
    parent: None,
    layout: Layout::Case,
    questions: QUESTIONS,
    update: UPDATE,
    file: file!(),
};

#[rustfmt::skip]
const QUESTIONS: &[Element] = &[
    ("manager_name", Text("managerName")),
    ("country", Text("country")),
    ("programme", Text("programme")),
    ("registration_date", Text("registrationDate")),
    ("TNS_Id", Text("tnsId")),
    ("manager_role", WholeNumber("managerRole")),
    ("comments", Text("comments")),
    ("date_ba_signature", Text("dateBASignature")),
    ("mill_status", WholeNumber("millStatus")),
    ("exporting_status", WholeNumber("exportingStatus")),
    ("Case_Id", CaseId),
];

#[rustfmt::skip]
const UPDATE: &[Element] = &[
    ("Case_Id", AsAsked),
    ("manager_name", AsAsked),
    ("country", AsAsked),
    ("programme", AsAsked),
    ("registration_date", AsAsked),
    ("TNS_Id", AsAsked),
    ("manager_role", AsAsked),
    ("comments", AsAsked),
    ("date_ba_signature", AsAsked),
    ("mill_status", AsAsked),
    ("exporting_status", AsAsked),
];

/// Maps a payload of this job type.
pub(in crate::jobs) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    super::map(&JOB, payload, facts)
}
