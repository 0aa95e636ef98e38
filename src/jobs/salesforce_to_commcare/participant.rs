//! Participant: a farmer in a training group.
//!
//! # Country differences
//! The project decides which identity number `participantOtherIDNumber` is, and how the size of the farm
//! is read.

use std::borrow::Cow;

use serde_json::Value;

use super::element::Source::{AsAsked, CaseId, Derived, Joined, Text, WholeNumber, Words};
use super::element::{Element, Source, Unfit};
use super::{JobType, Layout, Parent, PayloadRecord, text};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;

pub(in crate::jobs) const JOB: JobType = JobType {
    name: "Participant",
    records: "participants",
    case_id: "commCareCaseId",
    namespace: "3E266629-AFD8-4A1C-8825-1DCDDF24E5A8",
    form_name: "New Participant",
    form_version: "325",
    case_name: Derived(full_name),
    case_type: "_participant",
    parent: Some(Parent { id: "trainingGroupId", case_type: "_training_group" }),
    layout: Layout::Case,
    questions: QUESTIONS,
    update: UPDATE,
};

#[rustfmt::skip]
const QUESTIONS: &[Element] = &[
    ("Name", Derived(full_name)),
    ("First_Name", Text("participantName")),
    ("Middle_Name", Text("participantMiddleName")),
    ("Last_Name", Text("participantLastName")),
    ("Age", WholeNumber("participantAge")),
    ("Gender", Text("participantGender")),
    ("Phone_Number", Derived(phone)),
    ("Farmer_Id", Text("tnsId")),
    ("Farmer_Number", Derived(farmer_number)),
    ("Cooperative_Membership_Number", Derived(cooperative_number)),
    ("Grower_Number", Derived(grower_number)),
    ("National_ID_Number", Derived(national_id)),
    ("Household_Id", Text("householdId")),
    ("Household_PIMA_Id", Text("householdPIMAId")),
    ("Shade_Trees", WholeNumber("shadeTrees")),
    ("Household_Number", Text("HHID")),
    ("Number_of_Trees", Derived(farm_size)),
    ("Parent_Id", Text("trainingGroupId")),
    ("Status", Text("status")),
    ("Primary_Household_Member", Derived(primary_member)),
    ("Case_Id", CaseId),
    ("Name_Household_Concat", Joined(NAME_AND_HOUSEHOLD)),
];

#[rustfmt::skip]
const UPDATE: &[Element] = &[
    ("Case_Id", AsAsked),
    ("First_Name", AsAsked),
    ("Middle_Name", AsAsked),
    ("Last_Name", AsAsked),
    ("Age", AsAsked),
    ("Gender", AsAsked),
    ("Phone_Number", AsAsked),
    ("Farmer_Id", AsAsked),
    ("Farmer_Number", AsAsked),
    ("Cooperative_Membership_Number", AsAsked),
    ("Grower_Number", AsAsked),
    ("National_ID_Number", AsAsked),
    ("Household_Id", AsAsked),
    ("Household_PIMA_Id", AsAsked),
    ("Shade_Trees", AsAsked),
    ("Household_Number", AsAsked),
    ("Number_of_Trees", AsAsked),
    ("Status", AsAsked),
    ("Primary_Household_Member", AsAsked),
    ("Name_Household_Concat", Joined(NAME_AND_HOUSEHOLD_TEXT)),
    ("TNS_Id", Text("tnsId")),
    ("Parent_Id", AsAsked),
];

/// *full name* and the household's number. The form reads that number as a number, the case as text
/// (quirk 5).
const NAME_AND_HOUSEHOLD: &[Source] =
    &[Derived(full_name), Words(" "), WholeNumber("HHID"), Words("-"), Derived(farmer_number)];
const NAME_AND_HOUSEHOLD_TEXT: &[Source] =
    &[Derived(full_name), Words(" "), Text("HHID"), Words("-"), Derived(farmer_number)];

/// Maps a payload of this job type.
pub(in crate::jobs) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    super::map(&JOB, payload, facts)
}

/// Projects whose participants have a cooperative number.
const COOPERATIVES: [&str; 2] = ["coffee_ke_2024ac", "coffee_ke_2024bc"];
/// Projects whose participants have a grower number.
const GROWERS: [&str; 4] = ["coffee_zw_2024c", "coffee_zw_c21_ag", "coffee_zim", "coffee_zim_c2_ag"];
/// Projects whose participants have a national id.
const NATIONALS: [&str; 2] = ["coffee_bdi_kahawatu_2024c", "coffee_bdi_tns_2024c"];

/// *full name*: the parts joined by one space; nothing is trimmed.
fn full_name(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    let middle = record.text("participantMiddleName")?;
    let (first, last) = (record.as_is("participantName")?, record.as_is("participantLastName")?);
    let parts = [Some(first), Some(middle).filter(|middle| !middle.is_empty()), Some(last)];
    Ok(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// *primary member* (decision X8).
fn primary_member(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    const KEY: &str = "participantPrimaryHouseholdMember";
    let value = record.text(KEY)?;
    Ok(match record.fields.get(KEY) {
        Some(Value::Bool(true)) => "Yes".to_owned(),
        Some(Value::Bool(false)) => "No".to_owned(),
        Some(Value::String(_)) if value.eq_ignore_ascii_case("true") || value == "1" => "Yes".to_owned(),
        Some(Value::String(_)) if value.eq_ignore_ascii_case("false") || value == "0" => "No".to_owned(),
        _ => value.into_owned(),
    })
}

fn farmer_number(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    Ok(match primary_member(record)?.as_str() {
        "Yes" => "1".to_owned(),
        "No" => "2".to_owned(),
        _ => String::new(),
    })
}

fn cooperative_number(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    if !record.is_of(&COOPERATIVES) {
        return Ok(String::new());
    }
    record.as_is("participantOtherIDNumber").map(Cow::into_owned)
}

fn grower_number(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    if !record.is_of(&GROWERS) {
        return Ok(String::new());
    }
    record.as_is("participantOtherIDNumber").map(Cow::into_owned)
}

fn national_id(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    if !record.is_of(&NATIONALS) {
        return Ok(String::new());
    }
    record.text("participantOtherIDNumber").map(Cow::into_owned)
}

/// *phone*: a text keeps plus sign, leading zero and separators (decision X12).
fn phone(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    const KEY: &str = "participantPhoneNumber";
    Ok(match record.fields.get(KEY) {
        Some(Value::String(phone)) => text::clean(phone).trim().to_owned(),
        _ => record.whole_number(KEY)?.into_owned(),
    })
}

/// *farm size*: read as a number in Kenya and Zimbabwe only; a missing size is 0 everywhere.
fn farm_size(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    const KEY: &str = "householdFarmSize";
    if !record.fields.contains_key(KEY) {
        return Ok("0".to_owned());
    }
    let size = if record.is_of(&COOPERATIVES) || record.is_of(&GROWERS) {
        record.whole_number(KEY)
    } else {
        record.as_is(KEY)
    };
    size.map(Cow::into_owned)
}
