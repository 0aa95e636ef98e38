//! Training Session: a module that is taught to a group. The case block stands in a subcase.
//!
//! # Kept quirks
//! - The case id is `sessionId`; `commCareCaseId` is not used (quirk 9).
//! - The two dates are always written empty, which deletes the dates that a phone has stored (quirk 10).

use serde_json::Value;

use super::element::Source::{AsAsked, AsIs, CaseId, Empty, Joined, Now, Text, WholeNumber, Words};
use super::element::{Element, Source};
use super::{JobType, Layout, Parent};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;

pub(in crate::jobs) const JOB: JobType = JobType {
    name: "Training Session",
    records: "trainingSessions",
    case_id: "sessionId",
    namespace: "3FA54AF1-A35E-4163-BDB0-5094F709753C",
    form_name: "New Training Session",
    form_version: "148",
    case_name: Joined(NUMBER_AND_NAME),
    case_type: "_training_session",
    parent: Some(Parent { id: "trainingGroupCommCareId", case_type: "_training_group" }),
    layout: Layout::SubcaseAndCase,
    questions: QUESTIONS,
    update: UPDATE,
    file: file!(),
};

#[rustfmt::skip]
const QUESTIONS: &[Element] = &[
    ("Session_1_Date", Empty),
    ("Session_2_Date", Empty),
    ("Session_Status", AsIs("sessionStatus")),
    ("Training_Group_Name", Text("trainingGroupName")),
    ("Secondary_Parent_Id", Text("trainingGroupResponsibleStaff")),
    ("Module_Name", Text("trainingModuleName")),
    ("Module_Number", WholeNumber("trainingModuleNumber")),
    ("Current_Previous_Name", Joined(CURRENT_AND_NAME)),
    ("Training_Session_Name", Joined(NUMBER_AND_NAME)),
    ("Current_Previous", AsIs("currentPrevious")),
    ("Case_Id", CaseId),
    ("Parent_Id", Text("trainingGroupCommCareId")),
];

#[rustfmt::skip]
const UPDATE: &[Element] = &[
    ("Case_Id", AsAsked),
    ("Date", Now),
    ("Module_Name", AsAsked),
    ("Module_Number", AsAsked),
    ("Current_Previous", AsAsked),
    ("Current_Previous_Name", AsAsked),
    ("Parent_Id", AsAsked),
    ("Session_1_Date", AsAsked),
    ("Session_2_Date", AsAsked),
    ("Session_Status", AsAsked),
    ("Training_Group_Name", AsAsked),
    ("Secondary_Parent_Id", AsAsked),
];

/// The module's number and name.
const NUMBER_AND_NAME: &[Source] = &[Text("trainingModuleNumber"), Words(" "), Text("trainingModuleName")];

/// `currentPrevious` in brackets, and the module's name.
const CURRENT_AND_NAME: &[Source] =
    &[Words("("), Text("currentPrevious"), Words(") "), Text("trainingModuleName")];

/// Maps a payload of this job type.
pub(in crate::jobs) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    super::map(&JOB, payload, facts)
}
