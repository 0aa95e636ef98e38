//! The household and the participant that a form registers, moves or changes. Registrations and farm
//! visits share these steps (`docs/mappings/commcare-to-salesforce.md`, sections 3.2 and 3.3).
//!
//! # Sends
//! At most one `Household__c` and at most one `Participant__c`. For each, the first condition that
//! matches decides.
//!
//! # Kept quirks
//! - `Participant Update` overwrites fields with null or `""` where the form is blank.
//! - `Field Day Farmer Registration` updates the household with every survey detail, and sends a null
//!   `Other_Id_Number__c` even where the form has an id number.
//! - A move whose `former_farmer_primary_secondary_yn` isn't `Yes` sends `""` as farm size, and yet
//!   the plot count of the form.
//! - `Training_Group_Id` is a Salesforce id in `Training_Group__c`, and a case id elsewhere.

use serde_json::Value;

use crate::jobs::MapError;
use crate::jobs::fields::Source::{FilledOrNull, Flag, Sent, SentOrNull, Text};
use crate::jobs::fields::{Row, fill};
use crate::jobs::form::Form;
use crate::jobs::form_kind::{EDIT_FARMER_DETAILS, FARMER_REGISTRATION, FIELD_DAY_REGISTRATION, FormKind};
use crate::plan::Upsert;

const FIELD_DAY_HOUSEHOLD: &[Row] = &[
    ("Farm_Size_Before__c", Sent("form.participant_data.farm_size_3_years_and_older")),
    ("Farm_Size_After__c", Sent("form.participant_data.farm_size_under_3_years")),
];

const VISIT_HOUSEHOLD: &[Row] = &[
    ("Name", Sent("Household_Number")),
    ("Training_Group__r.CommCare_Case_Id__c", Sent("Training_Group_Id")),
    ("Farm_Size__c", Sent("Farm_Size")),
    ("Farm_Size_Before__c", Sent("farm_size_3_years_and_older")),
    ("Farm_Size_After__c", Sent("farm_size_under_3_years")),
];

const NEW_PARTICIPANT: &[Row] = &[
    ("TNS_Id__c", SentOrNull("form.Farmer_Id")),
    ("Household__r.Household_ID__c", SentOrNull("form.Household_Id")),
    ("Training_Group__c", Sent("form.Training_Group_Id")),
    ("Farm_Size__c", Sent("form.Number_of_Trees")),
    ("Name", SentOrNull("form.First_Name")),
    ("Middle_Name__c", Sent("form.Middle_Name")),
    ("Last_Name__c", SentOrNull("form.Last_Name")),
    ("Age__c", SentOrNull("form.Age")),
    ("Gender__c", SentOrNull("form.Gender")),
    ("Status__c", SentOrNull("form.Status")),
    ("Number_of_Coffee_Plots__c", Sent("form.Number_of_Plots")),
    ("Phone_Number__c", FilledOrNull("form.Phone_Number")),
    ("Primary_Household_Member__c", Sent("form.Primary_Household_Member")),
    ("Registration_Date__c", FilledOrNull("form.registration_date")),
    ("Sent_to_OpenFn_Status__c", Text("Complete")),
    ("Create_In_CommCare__c", Flag(false)),
];

const VISIT_PARTICIPANT: &[Row] = &[
    ("TNS_Id__c", Sent("Farmer_Id")),
    ("Household__r.Household_ID__c", Sent("Household_Id")),
    ("Training_Group__r.CommCare_Case_Id__c", Sent("Training_Group_Id")),
    ("Farm_Size__c", Sent("Farm_Size")),
    ("Name", Sent("First_Name")),
    ("Middle_Name__c", Sent("Middle_Name")),
    ("Last_Name__c", Sent("Last_Name")),
    ("Age__c", Sent("Age")),
    ("Gender__c", Sent("Gender")),
    ("Status__c", Sent("Status")),
    ("Phone_Number__c", Sent("Phone_Number")),
    ("Primary_Household_Member__c", Sent("Primary_Household_Member")),
    ("Registration_Date__c", Sent("registration_date")),
    ("Sent_to_OpenFn_Status__c", Text("Complete")),
    ("Create_In_CommCare__c", Flag(false)),
];

const MOVED_PARTICIPANT: &[Row] = &[
    ("TNS_Id__c", SentOrNull("form.Farmer_Id")),
    ("Household__r.Household_ID__c", SentOrNull("form.Household_Id")),
    ("Training_Group__c", FilledOrNull("form.Training_Group_Id")),
    ("Former_Training_Group__c", SentOrNull("form.existing_farmer_change_in_ffg.old_farmer_ffg")),
    ("Updated_Date__c", FilledOrNull("form.registration_date")),
    ("Create_In_CommCare__c", Flag(true)),
];

const UPDATED_PARTICIPANT: &[Row] = &[
    ("Phone_Number__c", Sent("form.Phone_Number")),
    ("Updated_Date__c", FilledOrNull("form.date")),
    ("Create_In_CommCare__c", Flag(false)),
];

/// The group of a farm visit that registers a farmer.
const VISIT_REGISTRATION: &str = "form.participant_data.farmer_registration_details";

/// The household, where the form changes it.
pub(super) fn household(form: &Form, kind: &FormKind) -> Result<Option<Upsert>, MapError> {
    let field_day = kind.is_named(&[FIELD_DAY_REGISTRATION]);
    let registers = kind.is_named(&[FARMER_REGISTRATION]) && (kind.is_new() || kind.is_move());
    if field_day || registers {
        let name = form.sent_or_null("form.Household_Number")?;
        let mut household = household_by(form, "form.Household_Id")?.set("Name", name);
        if field_day {
            household = fill(household, FIELD_DAY_HOUSEHOLD, form)?;
        }
        if kind.is_move() || is_primary(form)? {
            household = with_farm(household, form, kind)?;
        }
        return Ok(Some(household));
    }
    if kind.is_update() {
        if !is_primary(form)? {
            return Ok(None);
        }
        return with_farm(household_by(form, "form.Household_Id")?, form, kind).map(Some);
    }
    if kind.is_new_on_visit() {
        let details = form.group(VISIT_REGISTRATION)?;
        return fill(household_by(&details, "Household_Id")?, VISIT_HOUSEHOLD, &details).map(Some);
    }
    Ok(None)
}

/// The participant, where the form changes one.
pub(super) fn participant(form: &Form, kind: &FormKind) -> Result<Option<Upsert>, MapError> {
    let participant = if kind.is_new() {
        let new = participant_by(form, "form.subcase_0.case.@case_id")?
            .set("Other_Id_Number__c", other_id(form, kind)?);
        fill(new, NEW_PARTICIPANT, form)
    } else if kind.is_move() {
        let moved = participant_by(form, "form.existing_farmer_change_in_ffg.old_farmer_id")?;
        fill(moved, MOVED_PARTICIPANT, form)
    } else if kind.is_update() {
        let updated = participant_by(form, "form.case.@case_id")?
            .set("Farm_Size__c", farm_size(form, kind)?)
            .set("Number_of_Coffee_Plots__c", coffee_plots(form, kind)?)
            .set("Other_Id_Number__c", other_id(form, kind)?);
        fill(updated, UPDATED_PARTICIPANT, form)
    } else if kind.is_new_on_visit() {
        let new = participant_by(form, "form.subcase_0.case.@case_id")?;
        fill(new, VISIT_PARTICIPANT, &form.group(VISIT_REGISTRATION)?)
    } else {
        return Ok(None);
    };
    participant.map(Some)
}

/// An upsert of the participant whose case id is at `path`.
pub(super) fn participant_by(form: &Form, path: &str) -> Result<Upsert, MapError> {
    Ok(Upsert::new("Participant__c", "CommCare_Case_Id__c", form.id(path)?))
}

fn household_by(form: &Form, path: &str) -> Result<Upsert, MapError> {
    Ok(Upsert::new("Household__c", "Household_ID__c", form.id(path)?))
}

fn is_primary(form: &Form) -> Result<bool, MapError> {
    form.is("form.Farmer_Number", "1")
}

fn with_farm(household: Upsert, form: &Form, kind: &FormKind) -> Result<Upsert, MapError> {
    Ok(household
        .set("Farm_Size__c", or_empty(farm_size(form, kind)?))
        .set("Number_of_Coffee_Plots__c", or_empty(coffee_plots(form, kind)?)))
}

/// `farmSize` of section 3.
fn farm_size(form: &Form, kind: &FormKind) -> Result<Value, MapError> {
    if registers_or_edits(kind) || kind.is_named(&[FIELD_DAY_REGISTRATION]) {
        form.filled_or_null("form.Number_of_Trees")
    } else if replaces_member(form)? {
        form.filled_or_null("form.existing_farmer_change_in_ffg.former_farmer_coffeetrees")
    } else {
        Ok(Value::Null)
    }
}

/// `plots` of section 3.
fn coffee_plots(form: &Form, kind: &FormKind) -> Result<Value, MapError> {
    if !registers_or_edits(kind) && replaces_member(form)? {
        form.filled_or_null("form.existing_farmer_change_in_ffg.former_farmer_coffeeplots")
    } else {
        form.filled_or_null("form.Number_of_Plots")
    }
}

/// `otherId` of section 3.
fn other_id(form: &Form, kind: &FormKind) -> Result<Value, MapError> {
    if !registers_or_edits(kind) {
        return Ok(Value::Null);
    }
    form.first_filled(&[
        "form.National_ID_Number",
        "form.Cooperative_Membership_Number",
        "form.Grower_Number",
    ])
}

fn registers_or_edits(kind: &FormKind) -> bool {
    (kind.is_named(&[FARMER_REGISTRATION]) && !kind.is_move()) || kind.is_named(&[EDIT_FARMER_DETAILS])
}

fn replaces_member(form: &Form) -> Result<bool, MapError> {
    form.is("form.existing_farmer_change_in_ffg.former_farmer_primary_secondary_yn", "Yes")
}

fn or_empty(value: Value) -> Value {
    if value.is_null() { "".into() } else { value }
}
