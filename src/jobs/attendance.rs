//! Who came to a training session: `Attendance Full - Current Module`, `Attendance Light -
//! Current Module` (also sent as `Followup`), `Field Day Attendance Full`. A registration ends with
//! the same steps (`docs/mappings/commcare-to-salesforce.md`, section 4).
//!
//! # Sends
//! `Training_Session__c`, then one `Attendance__c` for each participant present.
//!
//! # Order
//! All training sessions go before all attendances: Salesforce resolves an attendance's session
//! and participant by their case ids.
//!
//! # Country differences
//! None.
//!
//! # Kept quirks
//! - A light attendance only counts heads. It writes no `Attendance__c`, unless its survey detail is
//!   that of a field day.
//! - A participant who is named twice is upserted twice, by the same external id.

use serde_json::Value;

use crate::jobs::fields::Source::{Attachment, Flag, Gps, Sent, SentOrNull};
use crate::jobs::fields::{Row, fill};
use crate::jobs::form::Form;
use crate::jobs::form_kind::{ATTENDANCE_FULL, FARMER_REGISTRATION, FIELD_DAY_REGISTRATION, FormKind};
use crate::jobs::{Facts, MapError, note};
use crate::plan::{Plan, Upsert};

const REGISTRATION_SESSION: &[Row] = &[
    ("Trainer__c", SentOrNull("form.trainer")),
    ("Updated_from_CommCare__c", Flag(true)),
    ("Date__c", SentOrNull("form.registration_date")),
];

const FULL_SESSION: &[Row] = &[
    ("Trainer__c", SentOrNull("form.trainer")),
    ("Number_in_Attendance__c", SentOrNull("form.attendance_count")),
    ("Session_Photo_URL__c", Attachment("form.photo")),
    ("Date__c", SentOrNull("form.date")),
    ("Location_GPS__Latitude__s", Gps("form.gps_coordinates", 0)),
    ("Location_GPS__Longitude__s", Gps("form.gps_coordinates", 1)),
    ("Altitude__c", Gps("form.gps_coordinates", 2)),
];

const LIGHT_FIRST_SESSION: &[Row] = &[
    ("Updated_from_CommCare__c", Flag(true)),
    ("Trainer__c", Sent("form.trainer")),
    ("Date__c", Sent("form.Current_session_participants.date")),
    ("Male_Attendance__c", Sent("form.Current_session_participants.male_attendance")),
    ("Female_Attendance__c", Sent("form.Current_session_participants.female_attendance")),
    ("Number_in_Attendance__c", Sent("form.Current_session_participants.total_attendance")),
    ("Session_Photo_URL__c", Attachment("form.photo")),
    ("Location_GPS__Latitude__s", Gps("form.gps_coordinates", 0)),
    ("Location_GPS__Longitude__s", Gps("form.gps_coordinates", 1)),
    ("Altitude__c", Gps("form.gps_coordinates", 2)),
];

const LIGHT_SECOND_SESSION: &[Row] = &[
    ("Updated_from_CommCare__c", Flag(true)),
    ("Trainer__c", Sent("form.trainer")),
    ("Date_2__c", Sent("form.Current_session_participants.date")),
    ("Second_Male_Attendance__c", Sent("form.Current_session_participants.male_attendance")),
    ("Second_Female_Attendance__c", Sent("form.Current_session_participants.female_attendance")),
    ("Second_Number_in_Attendance__c", Sent("form.Current_session_participants.total_attendance")),
    ("Session_Photo_URL_2__c", Attachment("form.photo")),
    ("Second_Location_GPS__Latitude__s", Gps("form.gps_coordinates", 0)),
    ("Second_Location_GPS__Longitude__s", Gps("form.gps_coordinates", 1)),
    ("Second_Altitude__c", Gps("form.gps_coordinates", 2)),
];

/// Read at an item of the field day's repeat.
const FIELD_DAY_SESSION: &[Row] = &[
    ("Trainer__c", Sent("form.trainer")),
    ("Number_in_Attendance__c", Sent("attendance_count_repeat")),
    ("Session_Photo_URL__c", Attachment("form.photo")),
    ("Date__c", SentOrNull("form.date")),
    ("Location_GPS__Latitude__s", Gps("form.gps_coordinates", 0)),
    ("Location_GPS__Longitude__s", Gps("form.gps_coordinates", 1)),
    ("Altitude__c", Gps("form.gps_coordinates", 2)),
];

/// The answers to `form.session`, and the fields that a light attendance writes for each.
const LIGHT_SESSIONS: &[(&str, &[Row])] = &[
    ("", LIGHT_FIRST_SESSION),
    ("first_session", LIGHT_FIRST_SESSION),
    ("second_session", LIGHT_SECOND_SESSION),
];

/// The groups of a field day.
const FIELD_DAY_ITEMS: &str = "form.barrios_repeat_group.item";

/// Maps an attendance form.
pub(super) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    let form = Form::new(payload, facts);
    let kind = FormKind::from_form(&form)?;
    let mut upserts = sessions(&form, &kind)?;
    upserts.extend(attendances(&form, &kind)?);
    if upserts.is_empty() {
        return Ok(Plan::nothing(why_nothing(&form, &kind)?));
    }
    Ok(Plan::salesforce(upserts))
}

/// The training sessions that the form changes. The first condition that matches decides.
pub(super) fn sessions(form: &Form, kind: &FormKind) -> Result<Vec<Upsert>, MapError> {
    let one = |path, rows| Ok(vec![fill(session_by(form, path)?, rows, form)?]);
    if kind.is_new() || kind.is_move() {
        return one("form.training_session", REGISTRATION_SESSION);
    }
    if kind.is_named(&[ATTENDANCE_FULL]) {
        return one("form.training_session", FULL_SESSION);
    }
    if kind.is_light() {
        let session = form.text("form.session")?;
        if let Some((_, rows)) = LIGHT_SESSIONS.iter().find(|(known, _)| *known == session) {
            return one("form.selected_training_module", rows);
        }
    }
    if kind.is_field_day() {
        return counted_items(form)?
            .iter()
            .map(|item| fill(session_by(item, "training_session")?, FIELD_DAY_SESSION, item))
            .collect();
    }
    Ok(Vec::new())
}

/// The attendances of the participants present. The first condition that matches decides.
pub(super) fn attendances(form: &Form, kind: &FormKind) -> Result<Vec<Upsert>, MapError> {
    let registers = kind.is_named(&[FARMER_REGISTRATION, FIELD_DAY_REGISTRATION]);
    if registers && kind.is_new() {
        let session = form.id("form.training_session")?;
        return Ok(vec![present(&session, &form.id("form.subcase_0.case.@case_id")?)]);
    }
    if registers && kind.is_move() {
        let session = form.id("form.training_session")?;
        return Ok(vec![present(&session, &form.id("form.existing_farmer_change_in_ffg.old_farmer_id")?)]);
    }
    if kind.is_named(&[ATTENDANCE_FULL]) {
        return all_present(form, "form.training_session", "form.present_participants");
    }
    let mut upserts = Vec::new();
    if kind.is_field_day() {
        for item in counted_items(form)? {
            upserts.extend(all_present(&item, "training_session", "present_participants_repeat")?);
        }
    }
    Ok(upserts)
}

/// The note of an attendance form that changes nothing: the answer that decided.
pub(super) fn why_nothing(form: &Form, kind: &FormKind) -> Result<String, MapError> {
    if kind.is_field_day() {
        let items = form.repeat(FIELD_DAY_ITEMS)?.unwrap_or_default();
        let counts = items.iter().map(|item| item.text_if_sent("attendance_count_repeat"));
        let counts = counts.collect::<Result<Vec<_>, _>>()?;
        let found = note::all(&counts);
        return Ok(format!("barrios_repeat_group counts no attendance: attendance_count_repeat {found}"));
    }
    let session = note::quote(form.text_if_sent("form.session")?.as_deref());
    Ok(format!("session {session} matches no light attendance"))
}

/// The groups of a field day in which somebody was counted.
fn counted_items<'a>(form: &Form<'a>) -> Result<Vec<Form<'a>>, MapError> {
    let mut counted = Vec::new();
    for item in form.repeat(FIELD_DAY_ITEMS)?.unwrap_or_default() {
        let count = item.text("attendance_count_repeat")?;
        if !count.is_empty() && count != "0" {
            counted.push(item);
        }
    }
    Ok(counted)
}

fn session_by(form: &Form, path: &str) -> Result<Upsert, MapError> {
    Ok(Upsert::new("Training_Session__c", "CommCare_Case_Id__c", form.id(path)?))
}

/// One attendance for each participant in the answer at `participants`. Without a participant the
/// session needs no id.
fn all_present(form: &Form, session: &str, participants: &str) -> Result<Vec<Upsert>, MapError> {
    let participants = form.id_tokens(participants)?;
    if participants.is_empty() {
        return Ok(Vec::new());
    }
    let session = form.id(session)?;
    Ok(participants.iter().map(|participant| present(&session, participant)).collect())
}

fn present(session: &str, participant: &str) -> Upsert {
    Upsert::new("Attendance__c", "Submission_ID__c", format!("{session}{participant}"))
        .set("Status__c", "Present")
        .relate("Training_Session__r", "CommCare_Case_Id__c", session)
        .relate("Participant__r", "CommCare_Case_Id__c", participant)
}
