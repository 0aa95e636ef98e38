//! A farmer is registered, moved or changed: `Farmer Registration`, `Edit Farmer Details`,
//! `Field Day Farmer Registration` (`docs/mappings/commcare-to-salesforce.md`, section 3).
//!
//! # Sends
//! `Training_Group__c` (the household counter), `Household__c`, `Participant__c`, the
//! `Participant__c` of a member who is replaced (deactivated), `Training_Session__c`,
//! `Attendance__c`. Each is sent only where the form's survey detail or flags call for it.
//!
//! # Order
//! As listed: Salesforce resolves a participant's household, and an attendance's session and
//! participant, by external ids that the earlier steps write.
//!
//! # Country differences
//! None. In the Salesforce sandbox the attendance is left out, as in the original.
//!
//! # Kept quirks
//! - A replaced member is deactivated wherever the flags say so, in every form and with every detail.
//! - `New Farmer Existing Household` leaves the training group's household counter alone.
//! - `Training_Group_Id` is a case id here and a Salesforce id in the participant.

use serde_json::Value;

use crate::jobs::describe::Description;
use crate::jobs::fields::Piece::Answer;
use crate::jobs::fields::Row;
use crate::jobs::fields::Source::{FilledOrNull, Flag, Sent, Text};
use crate::jobs::form::Form;
use crate::jobs::form_kind::{EDIT_FARMER_DETAILS, FIELD_DAY_REGISTRATION, FormKind};
use crate::jobs::record::{Record, table};
use crate::jobs::{Facts, MapError, attendance, note, people};
use crate::plan::{Plan, Upsert};

const TRAINING_GROUP: Record = Record {
    object: "Training_Group__c",
    key: "CommCare_Case_Id__c",
    id: &[Answer("form.Training_Group_Id")],
    when: "a farmer with a new household, or a move to another group",
    tables: &[&table!(COUNTER)],
    optional: &[],
};

const COUNTER: &[Row] = &[("Household_Counter__c", Sent("form.Update_Household_Counter"))];

const INACTIVE: &[Row] = &[
    ("Status__c", Text("Inactive")),
    ("Updated_Date__c", FilledOrNull("form.registration_date")),
    ("Create_In_CommCare__c", Flag(true)),
];

/// A member of the household whom the new member replaces. One of two answers says so.
struct Replaced {
    any: [(&'static str, &'static str); 2],
    member: Record,
}

/// The first of these that applies is deactivated.
const REPLACED: &[Replaced] = &[
    Replaced {
        any: [
            ("form.existing_household.both_filled.replaced_member_full", "1"),
            ("form.existing_household.primary_spot_filled.primary_replace_adding", "2"),
        ],
        member: Record {
            object: "Participant__c",
            key: "CommCare_Case_Id__c",
            id: &[Answer("form.existing_household.existing_primary_farmer_id")],
            when: "the new member takes the place of the household's first member",
            tables: &[&table!(INACTIVE)],
            optional: &[],
        },
    },
    Replaced {
        any: [
            ("form.existing_household.both_filled.replaced_member_full", "2"),
            ("form.existing_household.secondary_spot_filled.secondary_replace_adding", "2"),
        ],
        member: Record {
            object: "Participant__c",
            key: "CommCare_Case_Id__c",
            id: &[Answer("form.existing_household.existing_secondary_farmer_id")],
            when: "the new member takes the place of the household's second member",
            tables: &[&table!(INACTIVE)],
            optional: &[],
        },
    },
];

/// Maps a registration form.
pub(super) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    let form = Form::new(payload, facts);
    let kind = FormKind::from_form(&form)?;
    let mut upserts = Vec::new();
    upserts.extend(training_group(&form, &kind)?);
    upserts.extend(people::household(&form, &kind)?);
    upserts.extend(people::participant(&form, &kind)?);
    upserts.extend(replaced_member(&form)?);
    upserts.extend(attendance::sessions(&form, &kind)?);
    if facts.registration_attendance {
        upserts.extend(attendance::attendances(&form, &kind)?);
    }
    if upserts.is_empty() {
        return Ok(Plan::nothing(why_nothing(&form, &kind)?));
    }
    Ok(Plan::salesforce(upserts))
}

/// The records that a form of this type may write.
pub(super) fn describe(description: &mut Description) {
    let name = description.job_name();
    description.record(&TRAINING_GROUP);
    people::describe_registration(name == FIELD_DAY_REGISTRATION, description);
    for replaced in REPLACED {
        description.record(&replaced.member);
    }
    attendance::describe_registration(name != EDIT_FARMER_DETAILS, description);
}

fn training_group(form: &Form, kind: &FormKind) -> Result<Option<Upsert>, MapError> {
    if !kind.is_new_household() && !kind.is_move() {
        return Ok(None);
    }
    TRAINING_GROUP.read(form).map(Some)
}

fn replaced_member(form: &Form) -> Result<Option<Upsert>, MapError> {
    for replaced in REPLACED {
        for (path, code) in replaced.any {
            if form.is(path, code)? {
                return replaced.member.read(form).map(Some);
            }
        }
    }
    Ok(None)
}

fn why_nothing(form: &Form, kind: &FormKind) -> Result<String, MapError> {
    if kind.is_field_day() {
        return attendance::why_nothing(form, kind);
    }
    let detail = note::quote_words(form.text_if_sent("form.survey_detail")?.as_deref());
    Ok(format!("survey_detail {detail} matches no registration step"))
}
