//! Project Role: a member of staff. The case has no parent.
//!
//! # Kept quirks
//! - `FFGs_Observed` is always written empty (quirk 10).

use serde_json::Value;

use super::element::Source::{AsAsked, CaseId, Empty, Joined, Text, WholeNumber, Words};
use super::element::{Element, Source};
use super::{JobType, Layout};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;

pub(in crate::jobs) const JOB: JobType = JobType {
    name: "Project Role",
    records: "projectRoles",
    case_id: "commCareCaseId",
    namespace: "CBD34B15-1442-4548-9B2D-C9937E3CB347",
    form_name: "New Project Role",
    form_version: "1",
    case_name: Text("staffName"),
    case_type: "_staff",
    parent: None,
    layout: Layout::Case,
    questions: QUESTIONS,
    update: UPDATE,
    file: file!(),
};

#[rustfmt::skip]
const QUESTIONS: &[Element] = &[
    ("Name", Text("staffName")),
    ("TNS_Id", Text("tnsId")),
    ("City", Text("locationName")),
    ("Role", Text("roleForCommCare")),
    ("Case_Id", CaseId),
    ("Current_Module", WholeNumber("currentModule")),
    ("Current_Module_Name", Text("currentModuleName")),
    ("Previous_Module", WholeNumber("previousModule")),
    ("Previous_Module_Name", Text("previousModuleName")),
    ("FFGs_Observed", Empty),
    ("Name_id_concat", Joined(NAME_AND_NUMBER)),
    ("Salesforce_Staff_Id", Text("staffId")),
];

#[rustfmt::skip]
const UPDATE: &[Element] = &[
    ("Case_Id", AsAsked),
    ("Name_Id_Concat", Joined(NAME_AND_NUMBER)),
    ("Role", AsAsked),
    ("City", AsAsked),
    ("TNS_Id", AsAsked),
    ("Current_Module", AsAsked),
    ("Current_Module_Name", AsAsked),
    ("Previous_Module", AsAsked),
    ("Previous_Module_Name", AsAsked),
    ("FFGs_Observed", AsAsked),
    ("Salesforce_Staff_Id", AsAsked),
];

/// The name and the number of the member of staff.
const NAME_AND_NUMBER: &[Source] = &[Text("staffName"), Words(" "), Text("tnsId")];

/// Maps a payload of this job type.
pub(in crate::jobs) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    super::map(&JOB, payload, facts)
}
