//! Training Group: a farmer field group. The parent case is the member of staff who runs the group. A
//! second, empty case block follows the first.

use serde_json::Value;

use super::element::Source::{AsAsked, AsIs, Joined, Text, WholeNumber, Words};
use super::element::{Element, Source};
use super::{JobType, Layout, Parent};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;

pub(in crate::jobs) const JOB: JobType = JobType {
    name: "Training Group",
    records: "trainingGroups",
    case_id: "commCareCaseId",
    namespace: "3FA54AF1-A35E-4163-BDB0-5094F709753C",
    form_name: "New Training Group",
    form_version: "1",
    case_name: Text("trainingGroupName"),
    case_type: "_training_group",
    parent: Some(Parent { id: "staffId", case_type: "_staff" }),
    layout: Layout::CaseTwice,
    questions: QUESTIONS,
    update: UPDATE,
    file: file!(),
};

#[rustfmt::skip]
const QUESTIONS: &[Element] = &[
    ("Name", Text("trainingGroupName")),
    ("FFG_Number", Text("tnsId")),
    ("Location", Text("locationName")),
    ("Measurement_Group", Text("measurementGroup")),
    ("Cooperative_ID", Text("cooperative")),
    ("Household_Counter", WholeNumber("householdCounter")),
    ("Focal_Farmer_Case_Id", Text("focalFarmerId")),
    ("Assistant_Focal_Farmer_Case_Id", Text("assistantFocalFarmerId")),
    ("Name_Id_Concat", Joined(NAME_AND_NUMBER)),
    ("Parent_Id", Text("staffId")),
];

#[rustfmt::skip]
const UPDATE: &[Element] = &[
    ("Location", AsAsked),
    ("Market", Text("market")),
    ("Household_Counter", AsAsked),
    ("Name_Id_Concat", AsAsked),
    ("Parent_Id", AsAsked),
    ("FFG_Number", AsAsked),
    ("Focal_Farmer_Case_Id", AsAsked),
    ("Assistant_Focal_Farmer_Case_Id", AsAsked),
    ("Measurement_Group", AsAsked),
    ("Cooperative_ID", AsIs("cooperative")),
];

/// The group's name and number.
const NAME_AND_NUMBER: &[Source] = &[Text("trainingGroupName"), Words(" "), Text("tnsId")];

/// Maps a payload of this job type.
pub(in crate::jobs) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    super::map(&JOB, payload, facts)
}
