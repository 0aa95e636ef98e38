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
use crate::jobs::describe::Description;
use crate::jobs::entry::Gives;
use crate::jobs::fields::Piece::Answer;
use crate::jobs::fields::Source::{self, FilledOrNull, Flag, Sent, SentOrNull, Text};
use crate::jobs::fields::{Row, Rule};
use crate::jobs::form::Form;
use crate::jobs::form_kind::{EDIT_FARMER_DETAILS, FARMER_REGISTRATION, FIELD_DAY_REGISTRATION, FormKind};
use crate::jobs::record::{Record, Table, table};
use crate::plan::Upsert;

/// A farmer's household, by registration.
const HOUSEHOLD: Record = Record {
    object: "Household__c",
    key: "Household_ID__c",
    id: &[Answer("form.Household_Id")],
    when: "a new farmer, a move to another group, or any field day registration",
    tables: &[&table!(HOUSEHOLD_NAME)],
    optional: &[&FIELD_DAY, &FARM],
};

/// A household whose farm changes.
const UPDATED_HOUSEHOLD: Record = Record {
    when: "the details of the household's first member change",
    tables: &[&FARM],
    optional: &[],
    ..HOUSEHOLD
};

/// Read at [`VISIT_REGISTRATION`].
const NEW_HOUSEHOLD_ON_VISIT: Record = Record {
    id: &[Answer("Household_Id")],
    when: "a Puerto Rican visit registers the farmer",
    tables: &[&table!(VISIT_HOUSEHOLD)],
    optional: &[],
    ..HOUSEHOLD
};

const FARM: Table = table!(FARM_ROWS, "the farmer is the household's first member, or moves");
const FIELD_DAY: Table = table!(FIELD_DAY_HOUSEHOLD, "a field day registration");

const NEW: Record = Record {
    object: "Participant__c",
    key: "CommCare_Case_Id__c",
    id: &[Answer("form.subcase_0.case.@case_id")],
    when: "a new farmer",
    tables: &[&table!(NEW_PARTICIPANT)],
    optional: &[],
};

/// The rows are read at [`VISIT_REGISTRATION`].
const NEW_ON_VISIT: Record = Record {
    when: "a Puerto Rican visit registers the farmer",
    tables: &[&table!(VISIT_PARTICIPANT)],
    ..NEW
};

const MOVED: Record = Record {
    id: &[Answer("form.existing_farmer_change_in_ffg.old_farmer_id")],
    when: "a move to another group",
    tables: &[&table!(MOVED_PARTICIPANT)],
    ..NEW
};

const UPDATED: Record = Record {
    id: &[Answer("form.case.@case_id")],
    when: "a farmer's details change",
    tables: &[&table!(UPDATED_PARTICIPANT)],
    ..NEW
};

const HOUSEHOLD_NAME: &[Row] = &[("Name", SentOrNull("form.Household_Number"))];

const FARM_ROWS: &[Row] =
    &[("Farm_Size__c", FARM_SIZE_OR_EMPTY), ("Number_of_Coffee_Plots__c", COFFEE_PLOTS_OR_EMPTY)];

const FARM_SIZE_OR_EMPTY: Source = Source::Rule(&Rule {
    says: FARM_SIZE_WORDS,
    paths: FARM_SIZE_PATHS,
    labels: &[],
    gives: Gives::Answer,
    read: |form| farm_size(form).map(or_empty),
});
const FARM_SIZE: Source = Source::Rule(&Rule {
    says: FARM_SIZE_WORDS,
    paths: FARM_SIZE_PATHS,
    labels: &[],
    gives: Gives::Answer,
    read: farm_size,
});
const FARM_SIZE_WORDS: &str =
    "the number of trees; where a farmer moves and was a member of another household, that one's trees";
const FARM_SIZE_PATHS: &[&str] =
    &["form.Number_of_Trees", "form.existing_farmer_change_in_ffg.former_farmer_coffeetrees"];

const COFFEE_PLOTS_OR_EMPTY: Source = Source::Rule(&Rule {
    says: COFFEE_PLOTS_WORDS,
    paths: COFFEE_PLOTS_PATHS,
    labels: &[],
    gives: Gives::Answer,
    read: |form| coffee_plots(form).map(or_empty),
});
const COFFEE_PLOTS: Source = Source::Rule(&Rule {
    says: COFFEE_PLOTS_WORDS,
    paths: COFFEE_PLOTS_PATHS,
    labels: &[],
    gives: Gives::Answer,
    read: coffee_plots,
});
const COFFEE_PLOTS_WORDS: &str =
    "the number of plots; where a farmer moves and was a member of another household, that one's plots";
const COFFEE_PLOTS_PATHS: &[&str] =
    &["form.Number_of_Plots", "form.existing_farmer_change_in_ffg.former_farmer_coffeeplots"];

const OTHER_ID: Source = Source::Rule(&Rule {
    says: "the first of these numbers that is filled in; empty in field day registrations and moves",
    paths: OTHER_IDS,
    labels: &[],
    gives: Gives::Answer,
    read: other_id,
});
const OTHER_IDS: &[&str] =
    &["form.National_ID_Number", "form.Cooperative_Membership_Number", "form.Grower_Number"];

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
    ("Other_Id_Number__c", OTHER_ID),
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
    ("Farm_Size__c", FARM_SIZE),
    ("Number_of_Coffee_Plots__c", COFFEE_PLOTS),
    ("Other_Id_Number__c", OTHER_ID),
];

/// The group of a farm visit that registers a farmer.
const VISIT_REGISTRATION: &str = "form.participant_data.farmer_registration_details";

/// The records of a registration, at a field day or elsewhere.
pub(super) fn describe_registration(is_field_day: bool, description: &mut Description) {
    if is_field_day {
        description.record(&HOUSEHOLD);
    } else {
        description.record(&Record { optional: &[&FARM], ..HOUSEHOLD });
    }
    for record in [&UPDATED_HOUSEHOLD, &NEW, &MOVED, &UPDATED] {
        description.record(record);
    }
}

/// The records of a farm visit that registers the farmer.
pub(super) fn describe_visit(description: &mut Description) {
    description.record_at(&NEW_HOUSEHOLD_ON_VISIT, VISIT_REGISTRATION);
    description.record_at(&NEW_ON_VISIT, VISIT_REGISTRATION);
}

/// The household, where the form changes it.
pub(super) fn household(form: &Form, kind: &FormKind) -> Result<Option<Upsert>, MapError> {
    let field_day = kind.is_named(&[FIELD_DAY_REGISTRATION]);
    let registers = kind.is_named(&[FARMER_REGISTRATION]) && (kind.is_new() || kind.is_move());
    if field_day || registers {
        let mut household = HOUSEHOLD.read(form)?;
        if field_day {
            household = FIELD_DAY.fill(household, form)?;
        }
        if kind.is_move() || is_primary(form)? {
            household = FARM.fill(household, form)?;
        }
        return Ok(Some(household));
    }
    if kind.is_update() {
        return is_primary(form)?.then(|| UPDATED_HOUSEHOLD.read(form)).transpose();
    }
    if kind.is_new_on_visit() {
        return NEW_HOUSEHOLD_ON_VISIT.read(&form.group(VISIT_REGISTRATION)?).map(Some);
    }
    Ok(None)
}

/// The participant, where the form changes one.
pub(super) fn participant(form: &Form, kind: &FormKind) -> Result<Option<Upsert>, MapError> {
    let participant = if kind.is_new() {
        NEW.read(form)
    } else if kind.is_move() {
        MOVED.read(form)
    } else if kind.is_update() {
        UPDATED.read(form)
    } else if kind.is_new_on_visit() {
        NEW_ON_VISIT.read(&form.group(VISIT_REGISTRATION)?)
    } else {
        return Ok(None);
    };
    participant.map(Some)
}

fn is_primary(form: &Form) -> Result<bool, MapError> {
    form.is("form.Farmer_Number", "1")
}

/// `farmSize` of section 3.
fn farm_size(form: &Form) -> Result<Value, MapError> {
    let kind = FormKind::from_form(form)?;
    if registers_or_edits(&kind) || kind.is_named(&[FIELD_DAY_REGISTRATION]) {
        form.filled_or_null(FARM_SIZE_PATHS[0])
    } else if replaces_member(form)? {
        form.filled_or_null(FARM_SIZE_PATHS[1])
    } else {
        Ok(Value::Null)
    }
}

/// `plots` of section 3.
fn coffee_plots(form: &Form) -> Result<Value, MapError> {
    let replaces = !registers_or_edits(&FormKind::from_form(form)?) && replaces_member(form)?;
    form.filled_or_null(COFFEE_PLOTS_PATHS[usize::from(replaces)])
}

/// `otherId` of section 3.
fn other_id(form: &Form) -> Result<Value, MapError> {
    if !registers_or_edits(&FormKind::from_form(form)?) {
        return Ok(Value::Null);
    }
    form.first_filled(OTHER_IDS)
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
