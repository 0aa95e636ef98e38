//! Participant: a farmer in a training group.
//!
//! # Country differences
//! The project decides which identity number `participantOtherIDNumber` is, and how the size of the farm
//! is read.

use std::borrow::Cow;

use serde_json::Value;

use super::element::Source::{AsAsked, CaseId, Derived, Joined, Text, WholeNumber, Words};
use super::element::{Element, Rule, Source, Unfit};
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
    case_name: Derived(&FULL_NAME),
    case_type: "_participant",
    parent: Some(Parent { id: "trainingGroupId", case_type: "_training_group" }),
    layout: Layout::Case,
    questions: QUESTIONS,
    update: UPDATE,
    file: file!(),
};

#[rustfmt::skip]
const QUESTIONS: &[Element] = &[
    ("Name", Derived(&FULL_NAME)),
    ("First_Name", Text("participantName")),
    ("Middle_Name", Text("participantMiddleName")),
    ("Last_Name", Text("participantLastName")),
    ("Age", WholeNumber("participantAge")),
    ("Gender", Text("participantGender")),
    ("Phone_Number", Derived(&PHONE)),
    ("Farmer_Id", Text("tnsId")),
    ("Farmer_Number", Derived(&FARMER_NUMBER)),
    ("Cooperative_Membership_Number", Derived(&COOPERATIVE_NUMBER)),
    ("Grower_Number", Derived(&GROWER_NUMBER)),
    ("National_ID_Number", Derived(&NATIONAL_ID)),
    ("Household_Id", Text("householdId")),
    ("Household_PIMA_Id", Text("householdPIMAId")),
    ("Shade_Trees", WholeNumber("shadeTrees")),
    ("Household_Number", Text("HHID")),
    ("Number_of_Trees", Derived(&FARM_SIZE)),
    ("Parent_Id", Text("trainingGroupId")),
    ("Status", Text("status")),
    ("Primary_Household_Member", Derived(&PRIMARY_MEMBER)),
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
    &[Derived(&FULL_NAME), Words(" "), WholeNumber("HHID"), Words("-"), Derived(&FARMER_NUMBER)];
const NAME_AND_HOUSEHOLD_TEXT: &[Source] =
    &[Derived(&FULL_NAME), Words(" "), Text("HHID"), Words("-"), Derived(&FARMER_NUMBER)];

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

const FULL_NAME: Rule = Rule {
    says: "first, middle and last name, with a blank between them",
    keys: &["participantName", "participantMiddleName", "participantLastName"],
    read: full_name,
};
const PRIMARY_MEMBER: Rule = Rule {
    says: "Yes for true or 1, No for false or 0, anything else as sent",
    keys: &[PRIMARY],
    read: primary_member,
};
const FARMER_NUMBER: Rule = Rule {
    says: "1 for the household's first member, 2 for another; blank where that is not known",
    keys: &[PRIMARY],
    read: farmer_number,
};
const COOPERATIVE_NUMBER: Rule = Rule {
    says: "the number in the projects coffee_ke_2024ac and coffee_ke_2024bc, else blank",
    keys: OTHER_ID,
    read: cooperative_number,
};
const GROWER_NUMBER: Rule = Rule {
    says: "the number in the projects coffee_zw_2024c, coffee_zw_c21_ag, coffee_zim and coffee_zim_c2_ag, else blank",
    keys: OTHER_ID,
    read: grower_number,
};
const NATIONAL_ID: Rule = Rule {
    says: "the number in the projects coffee_bdi_kahawatu_2024c and coffee_bdi_tns_2024c, else blank",
    keys: OTHER_ID,
    read: national_id,
};
const PHONE: Rule = Rule {
    says: "the number as sent, without blanks around it",
    keys: &["participantPhoneNumber"],
    read: phone,
};
const FARM_SIZE: Rule = Rule {
    says: "the size as sent, in Kenya and Zimbabwe as a whole number; 0 where it is missing",
    keys: &["householdFarmSize"],
    read: farm_size,
};
const PRIMARY: &str = "participantPrimaryHouseholdMember";
const OTHER_ID: &[&str] = &["participantOtherIDNumber"];

/// *full name*: the parts joined by one space; nothing is trimmed.
fn full_name(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    let middle = record.text("participantMiddleName")?;
    let (first, last) = (record.as_is("participantName")?, record.as_is("participantLastName")?);
    let parts = [Some(first), Some(middle).filter(|middle| !middle.is_empty()), Some(last)];
    Ok(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// *primary member* (decision X8).
fn primary_member(record: &PayloadRecord<'_>) -> Result<String, Unfit> {
    let value = record.text(PRIMARY)?;
    Ok(match record.fields.get(PRIMARY) {
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
