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

use crate::jobs::describe::Description;
use crate::jobs::fields::Piece::{Answer, Own};
use crate::jobs::fields::Row;
use crate::jobs::fields::Source::{Attachment, Flag, Given, Gps, Sent, SentOrNull, Text};
use crate::jobs::form::Form;
use crate::jobs::form_kind::{
    ATTENDANCE_FULL, ATTENDANCE_LIGHT, FARMER_REGISTRATION, FIELD_DAY_REGISTRATION, FormKind,
};
use crate::jobs::record::{Record, given, table};
use crate::jobs::{Facts, MapError, note};
use crate::plan::{Plan, Upsert};

/// The session of a farmer's registration.
const REGISTRATION: Record = Record {
    object: "Training_Session__c",
    key: "CommCare_Case_Id__c",
    id: &[Answer("form.training_session")],
    when: "a new farmer, or a move to another group",
    tables: &[&table!(REGISTRATION_SESSION)],
    optional: &[],
};

const FULL: Record = Record { when: "", tables: &[&table!(FULL_SESSION)], ..REGISTRATION };

const LIGHT_FIRST: Record = Record {
    id: &[Answer("form.selected_training_module")],
    when: "form.session is missing, blank or first_session",
    tables: &[&table!(LIGHT_FIRST_SESSION)],
    ..REGISTRATION
};

const LIGHT_SECOND: Record = Record {
    when: "form.session is second_session",
    tables: &[&table!(LIGHT_SECOND_SESSION)],
    ..LIGHT_FIRST
};

/// Read at an item of the field day's repeat.
const FIELD_DAY: Record = Record {
    id: &[Answer("training_session")],
    when: "for each group of the field day in which somebody was counted",
    tables: &[&table!(FIELD_DAY_SESSION)],
    ..REGISTRATION
};

/// The attendance of one participant at one session.
const ATTENDANCE: Record = Record {
    object: "Attendance__c",
    key: "Submission_ID__c",
    id: &[Own(SESSION), Own(PARTICIPANT)],
    when: "for each participant present",
    tables: &[&table!(PRESENT)],
    optional: &[],
};

/// The names of what a step knows of an attendance.
const SESSION: &str = "training session";
const PARTICIPANT: &str = "participant";

const PRESENT: &[Row] = &[
    ("Status__c", Text("Present")),
    ("Training_Session__r.CommCare_Case_Id__c", Given(SESSION)),
    ("Participant__r.CommCare_Case_Id__c", Given(PARTICIPANT)),
];

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

/// The answers to `form.session`, and the session that a light attendance writes for each.
const LIGHT_SESSIONS: &[(&str, &Record)] =
    &[("", &LIGHT_FIRST), ("first_session", &LIGHT_FIRST), ("second_session", &LIGHT_SECOND)];

/// Participants that one answer names at most. Of CommCare's ids, of 36 characters, a form has room for 28,000; of ids
/// of one letter for half a million, whose plan would take hundreds of megabytes.
const MOST_PRESENT: usize = 40_000;

/// The groups of a field day.
const FIELD_DAY_ITEMS: &str = "form.barrios_repeat_group.item";

/// The session and the participants of attendances, by what the form is about.
const OWN_SESSION: &str = "form.training_session";
const NEW_FARMER: &str = "form.subcase_0.case.@case_id";
const MOVED_FARMER: &str = "form.existing_farmer_change_in_ffg.old_farmer_id";
const ALL_PRESENT: &str = "form.present_participants";
/// Read at an item of the field day's repeat.
const ITEM_SESSION: &str = "training_session";
const ITEM_PRESENT: &str = "present_participants_repeat";

/// The records that a form of this type may write.
pub(super) fn describe(description: &mut Description) {
    let name = description.job_name();
    let mut full = |record: &Record, session, participants| {
        description.record(record);
        let own = [(SESSION, Sent(session)), (PARTICIPANT, Sent(participants))];
        description.record_given(&ATTENDANCE, "", &own);
    };
    match name {
        ATTENDANCE_FULL => full(&FULL, OWN_SESSION, ALL_PRESENT),
        ATTENDANCE_LIGHT => {
            description.record(&LIGHT_FIRST);
            description.record(&LIGHT_SECOND);
        }
        _ => {}
    }
    // A survey detail makes a light attendance one of a field day, too.
    if name != ATTENDANCE_FULL {
        description.record_at(&FIELD_DAY, FIELD_DAY_ITEMS);
        let own = [(SESSION, Sent(ITEM_SESSION)), (PARTICIPANT, Sent(ITEM_PRESENT))];
        description.record_given(&ATTENDANCE, FIELD_DAY_ITEMS, &own);
    }
}

/// The records of a registration, with attendance or without.
pub(super) fn describe_registration(with_attendance: bool, description: &mut Description) {
    description.record(&REGISTRATION);
    if with_attendance {
        for (participant, when) in [(NEW_FARMER, "a new farmer"), (MOVED_FARMER, "a move to another group")] {
            let own = [(SESSION, Sent(OWN_SESSION)), (PARTICIPANT, Sent(participant))];
            description.record_given(&Record { when, ..ATTENDANCE }, "", &own);
        }
    }
}

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
    if kind.is_new() || kind.is_move() {
        return Ok(vec![REGISTRATION.read(form)?]);
    }
    if kind.is_named(&[ATTENDANCE_FULL]) {
        return Ok(vec![FULL.read(form)?]);
    }
    if kind.is_light() {
        let session = form.text("form.session")?;
        if let Some((_, light)) = LIGHT_SESSIONS.iter().find(|(known, _)| *known == session) {
            return Ok(vec![light.read(form)?]);
        }
    }
    if kind.is_field_day() {
        return counted_items(form)?.iter().map(|item| FIELD_DAY.read(item)).collect();
    }
    Ok(Vec::new())
}

/// The attendances of the participants present. The first condition that matches decides.
pub(super) fn attendances(form: &Form, kind: &FormKind) -> Result<Vec<Upsert>, MapError> {
    let registers = kind.is_named(&[FARMER_REGISTRATION, FIELD_DAY_REGISTRATION]);
    if registers && kind.is_new() {
        let session = form.id(OWN_SESSION)?;
        return Ok(vec![present(form, &session, &form.id(NEW_FARMER)?)?]);
    }
    if registers && kind.is_move() {
        let session = form.id(OWN_SESSION)?;
        return Ok(vec![present(form, &session, &form.id(MOVED_FARMER)?)?]);
    }
    if kind.is_named(&[ATTENDANCE_FULL]) {
        return all_present(form, OWN_SESSION, ALL_PRESENT);
    }
    let mut upserts = Vec::new();
    if kind.is_field_day() {
        for item in counted_items(form)? {
            upserts.extend(all_present(&item, ITEM_SESSION, ITEM_PRESENT)?);
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

/// One attendance for each participant in the answer at `path`. Without a participant the
/// session needs no id.
fn all_present(form: &Form, session: &str, path: &str) -> Result<Vec<Upsert>, MapError> {
    let participants = form.id_tokens(path)?;
    if participants.is_empty() {
        return Ok(Vec::new());
    }
    if participants.len() > MOST_PRESENT {
        let count = participants.len();
        return Err(
            form.error(path, format!("names {count} participants, and a form may name {MOST_PRESENT}"))
        );
    }
    let session = form.id(session)?;
    participants.iter().map(|participant| present(form, &session, participant)).collect()
}

fn present(form: &Form, session: &str, participant: &str) -> Result<Upsert, MapError> {
    ATTENDANCE.read_given(form, &[given(SESSION, session), given(PARTICIPANT, participant)])
}
