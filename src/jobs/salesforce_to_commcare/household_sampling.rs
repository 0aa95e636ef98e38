//! Household Sampling: a household that may be visited.
//!
//! # Kept quirks
//! - `Name` is the household's name, read as a number; `case_name` is the name as text (quirk 6).

use serde_json::Value;

use super::element::Element;
use super::element::Source::{AsAsked, CaseId, Text, WholeNumber};
use super::{JobType, Layout, Parent};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;

pub(in crate::jobs) const JOB: JobType = JobType {
    name: "Household Sampling",
    records: "households",
    case_id: "commCareCaseId",
    namespace: "3E266629-AFD8-4A1C-8825-1DCDDF24E5A8",
    form_name: "New Household Sample",
    form_version: "325",
    case_name: Text("householdName"),
    case_type: "_household_samples",
    parent: Some(Parent { id: "trainingGroupId", case_type: "_training_group" }),
    layout: Layout::Case,
    questions: QUESTIONS,
    update: UPDATE,
    file: file!(),
};

#[rustfmt::skip]
const QUESTIONS: &[Element] = &[
    ("Name", WholeNumber("householdName")),
    ("Number_Of_Members", WholeNumber("numberOfMembers")),
    ("TNS_Id", Text("tnsId")),
    ("FV_AA_Visited", Text("fvAAVisited")),
    ("FV_AA_Sampled", Text("fvAASampled")),
    ("FV_AA_Current_Sampling_Round", WholeNumber("fvAACurrentSamplingRound")),
    ("Parent_Id", Text("trainingGroupId")),
    ("Status", Text("householdStatus")),
    ("Case_Id", CaseId),
    ("Module_Name", Text("moduleName")),
    ("Module_Number", WholeNumber("moduleNumber")),
    ("Household_Participants", Text("householdParticipants")),
];

#[rustfmt::skip]
const UPDATE: &[Element] = &[
    ("Case_Id", AsAsked),
    ("Name", AsAsked),
    ("Number_Of_Members", AsAsked),
    ("TNS_Id", AsAsked),
    ("FV_AA_Visited", AsAsked),
    ("FV_AA_Sampled", AsAsked),
    ("FV_AA_Current_Sampling_Round", AsAsked),
    ("Status", AsAsked),
    ("Module_Name", AsAsked),
    ("Module_Number", AsAsked),
    ("Household_Participants", AsAsked),
    ("Parent_Id", AsAsked),
];

/// Maps a payload of this job type.
pub(in crate::jobs) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    super::map(&JOB, payload, facts)
}
