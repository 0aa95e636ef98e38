//! A wet mill is registered, or registered again: `Wet Mill Registration Form`
//! (`docs/mappings/commcare-to-postgis.md`, section 2).
//!
//! # Writes
//! One row of `wetmills`, whose key is the case id. The row names the project role, the parent of the
//! mill's case, through which the destinations find the mill's user.
//!
//! # Country differences
//! The labels of the mill's status and of the manager's role.
//!
//! # Kept quirks
//! - A mill's status or a manager's role without label is `undefined`. Exporting status and vertical
//!   integration without label are `Undefined`.
//! - In Burundi the mill's status is always `undefined`.
//! - `form.meta.location` is not stored.

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveTime};
use serde_json::Value;

use crate::jobs::describe::{Description, pairs};
use crate::jobs::entry::Entry;
use crate::jobs::form::{Form, Labels, find_label};
use crate::jobs::wetmill::{Attachments, calendar_date, digits, error, find, point, required, row, text};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;
use crate::plan::rows::{Mill, Rows};

const ET: &str = "Wet Mill Registration - ET";
const KE: &str = "Wet Mill Registration - KE";
const BU: &str = "Wet Mill Registration - BU";

/// Labels by survey type; an empty one stands for all.
type BySurvey = &'static [(&'static str, Labels)];

const STATUS: BySurvey =
    &[(ET, &[("1", "Cooperative"), ("2", "Private")]), (KE, &[("1", "Cooperative"), ("2", "Estate")])];

const ROLE: BySurvey = &[(ET, MANAGER), (BU, MANAGER), (KE, MANAGER_KE)];

const MANAGER: Labels = &[("1", "General manager"), ("2", "Site/factory manager")];

const MANAGER_KE: Labels = &[
    ("1", "Cooperative board of management"),
    ("2", "CEO/Secretary Manger"),
    ("3", "Factory/Wet Mill Manager"),
];

const EXPORTING: Labels = &[("1", "Exporter"), ("2", "Non exporter")];
const VERTICAL_INTEGRATION: Labels = &[("1", "Yes"), ("0", "No")];

/// The code of a role that is named in words.
const OTHER_ROLE: &str = "99";

/// A column of `wetmills`: its name, the answer that it comes from, and what becomes of the answer.
struct Column {
    name: &'static str,
    path: &'static str,
    says: &'static str,
    labels: BySurvey,
}

const AS_SENT: &str = "the answer as sent; empty where it is missing";
const FILE: &str = "the address of the photo or signature; empty without one";
const DAY: &str = "the day that the date or date-time names; empty where it is blank";

const fn column(name: &'static str, path: &'static str, says: &'static str) -> Column {
    Column { name, path, says, labels: &[] }
}

const fn labelled(name: &'static str, path: &'static str, says: &'static str, labels: BySurvey) -> Column {
    Column { name, path, says, labels }
}

const TNS_ID: Column =
    column("wet_mill_unique_id", "form.wetmill_tns_id", "the answer as sent; without it the form fails");
const CASE_ID: Column = column(
    "commcare_case_id",
    "form.subcase_0.case.@case_id",
    "the id of the mill's case; without it the form fails",
);
const NAME: Column = column("name", "form.wet_mill_details.mill_registered_name", AS_SENT);
const MILL_STATUS: Column = labelled(
    "mill_status",
    "form.wet_mill_details.mill_status",
    "the label of the code by survey type; undefined for a code without label",
    STATUS,
);
const EXPORTING_STATUS: Column = labelled(
    "exporting_status",
    "form.wet_mill_details.exporting_status",
    "the label of the code; Undefined for a code without label",
    &[("", EXPORTING)],
);
const VERTICAL: Column = labelled(
    "vertical_integration",
    "form.wet_mill_details.vertical_integration",
    "the label of the code; Undefined for a code without label",
    &[("", VERTICAL_INTEGRATION)],
);
const MANAGER_NAME: Column = column("manager_name", "form.wet_mill_details.manager_name", AS_SENT);
const MANAGER_ROLE: Column = labelled(
    "manager_role",
    "form.wet_mill_details.manager_role",
    "the label of the code by survey type, for 99 the answer in words (manager_role_other); undefined for any other \
     code",
    ROLE,
);
const OTHER_MANAGER_ROLE: Column = column(
    "manager_role",
    "form.wet_mill_details.manager_role_other",
    "the answer as sent, where the role is 99",
);
const PROGRAMME: Column = column("programme", "form.programme", AS_SENT);
const COUNTRY: Column = column("country", "form.country", AS_SENT);
const COMMENTS: Column = column("comments", "form.wet_mill_details.comments", AS_SENT);
const BA_SIGNATURE: Column = column("ba_signature", "form.wet_mill_details.ba_signature", FILE);
const MANAGER_SIGNATURE: Column =
    column("manager_signature", "form.wet_mill_details.manager_signature", FILE);
const TOR_PAGE: Column = column("tor_page_picture", "form.wet_mill_details.tor_page_picture", FILE);
const ENTRANCE: Column =
    column("office_entrance_picture", "form.wet_mill_details.office_entrance_picture", FILE);
const REGISTRATION_DATE: Column = column("registration_date", "form.registration_date", DAY);
const SIGNATURE_DATE: Column = column("date_ba_signature", "form.date_ba_signature", DAY);
const OFFICE_GPS: Column = column(
    "office_gps",
    "form.wet_mill_details.office_gps",
    "the point of latitude and longitude; empty for anything else",
);
const USER: Column = column(
    "user_id",
    "form.subcase_0.case.index.parent.#text",
    "the user whose staff id is that of the Salesforce project role in the answer; empty where there is none",
);

const COLUMNS: &[Column] = &[
    TNS_ID,
    CASE_ID,
    NAME,
    MILL_STATUS,
    EXPORTING_STATUS,
    VERTICAL,
    MANAGER_NAME,
    MANAGER_ROLE,
    OTHER_MANAGER_ROLE,
    PROGRAMME,
    COUNTRY,
    COMMENTS,
    BA_SIGNATURE,
    MANAGER_SIGNATURE,
    TOR_PAGE,
    ENTRANCE,
    REGISTRATION_DATE,
    SIGNATURE_DATE,
    OFFICE_GPS,
    USER,
];

/// The columns that a registration writes.
pub(super) fn describe(description: &mut Description) {
    let id = format!("{{{}}}", CASE_ID.path);
    for Column { name, path, says, labels } in COLUMNS {
        let line = |survey: &str, labels: Labels| Entry {
            when: if survey.is_empty() { String::new() } else { format!("form.survey_type is {survey}") },
            labels: pairs(&[labels]),
            ..row("wetmills", ("commcare_case_id", &id), name, path, says, concat!("COLUMNS in ", file!()))
        };
        if labels.is_empty() {
            description.line(line("", &[]));
        }
        for (survey, labels) in *labels {
            description.line(line(survey, labels));
        }
    }
}

pub(super) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    // The order of these four is the order in which errors are reported.
    let wet_mill_unique_id = required(payload, TNS_ID.path)?;
    let commcare_case_id = required(payload, CASE_ID.path)?;
    let registration_date = day(payload, REGISTRATION_DATE.path)?;
    let date_ba_signature = day(payload, SIGNATURE_DATE.path)?;
    let form = Form::new(payload, facts);
    let survey_type = find(payload, "form.survey_type").and_then(Value::as_str).unwrap_or_default();
    let as_sent = |column: Column| text(payload, column.path);
    let choice = |column: Column, default| label(&form, payload, &column, survey_type).unwrap_or(default);
    let files = Attachments::new(payload, facts);
    let attachment = |column: Column| files.url(find(payload, column.path));
    let manager_role = match code(payload, MANAGER_ROLE.path) {
        Some(OTHER_ROLE) => as_sent(OTHER_MANAGER_ROLE)?.map(Cow::Owned),
        _ => Some(Cow::Borrowed(choice(MANAGER_ROLE, "undefined"))),
    };
    let mill = Mill {
        wet_mill_unique_id,
        commcare_case_id,
        name: as_sent(NAME)?,
        mill_status: choice(MILL_STATUS, "undefined"),
        exporting_status: choice(EXPORTING_STATUS, "Undefined"),
        vertical_integration: choice(VERTICAL, "Undefined"),
        manager_name: as_sent(MANAGER_NAME)?,
        manager_role,
        programme: as_sent(PROGRAMME)?,
        country: as_sent(COUNTRY)?,
        comments: as_sent(COMMENTS)?,
        ba_signature: attachment(BA_SIGNATURE),
        manager_signature: attachment(MANAGER_SIGNATURE),
        tor_page_picture: attachment(TOR_PAGE),
        office_entrance_picture: attachment(ENTRANCE),
        registration_date,
        date_ba_signature,
        office_gps: point(find(payload, OFFICE_GPS.path)),
        project_role: find(payload, USER.path)
            .and_then(Value::as_str)
            .filter(|role| !role.is_empty())
            .map(str::to_owned),
    };
    Ok(Plan::postgis(Rows::Mill(Box::new(mill))).reporting(form.unmapped()))
}

/// The code of one of the mill's details.
fn code<'p>(payload: &'p Value, path: &str) -> Option<&'p str> {
    find(payload, path).and_then(Value::as_str)
}

/// The label of a column's code. A code that its table lacks is remembered, unless the survey type has none.
fn label(form: &Form, payload: &Value, column: &Column, survey_type: &str) -> Option<&'static str> {
    let code = code(payload, column.path)?;
    let of_survey = |(survey, _): &&(&str, Labels)| survey.is_empty() || *survey == survey_type;
    let (_, labels) = column.labels.iter().find(of_survey)?;
    let label = find_label(labels, code);
    if label.is_none() {
        form.remember_unmapped(column.path, code);
    }
    label
}

/// The day that a calendar date or an ISO date-time names, without conversion of zones (decision P9).
fn day(payload: &Value, path: &str) -> Result<Option<NaiveDate>, MapError> {
    let Some(value) = find(payload, path) else { return Ok(None) };
    let day = match value.as_str() {
        Some("") => return Ok(None),
        Some(text) => calendar_date(text).or_else(|| day_of_date_time(text)),
        None => None,
    };
    day.map(Some).ok_or_else(|| error(path, "must be a date (YYYY-MM-DD) or an ISO date-time"))
}

/// `YYYY-MM-DDTHH:MM[:SS[.fraction]][zone]`.
fn day_of_date_time(text: &str) -> Option<NaiveDate> {
    let (day, time) = text.split_once('T').filter(|(day, _)| day.len() == "YYYY-MM-DD".len())?;
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?, 2..=2)?, digits(parts.next()?, 2..=2)?);
    let second = match parts.next() {
        Some(second) => {
            let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
            let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
            digits(second, 2..=2).filter(|_| is_fraction)?
        }
        None => 0,
    };
    NaiveTime::from_hms_opt(hour, minute, second)?;
    (parts.next().is_none() && is_zone(zone)).then(|| calendar_date(day)).flatten()
}

/// Nothing, `Z`, `±HH`, `±HHMM` or `±HH:MM`.
fn is_zone(zone: &str) -> bool {
    let Some(offset) = zone.strip_prefix(['+', '-']) else { return zone.is_empty() || zone == "Z" };
    let (hours, minutes) = match offset.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if offset.len() == 4 && offset.is_ascii() => offset.split_at(2),
        None => (offset, "00"),
    };
    digits(hours, 2..=2).is_some_and(|hours| hours < 24)
        && digits(minutes, 2..=2).is_some_and(|minutes| minutes < 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_time_counts_as_the_day_that_it_names() {
        let day = NaiveDate::from_ymd_opt(2025, 4, 7);
        for time in ["T23:59", "T10:00:00", "T10:00:00.123Z", "T10:00+03", "T10:00:01-0330", "T00:00+03:00"] {
            assert_eq!(day_of_date_time(&format!("2025-04-07{time}")), day, "{time}");
        }
        for time in [
            "",
            "T",
            "T24:00",
            "T10",
            "T10:60",
            "T10:00:00.",
            "T10:00+3",
            "T10:00+03:0",
            "T10:00ZZ",
            " 10:00",
        ] {
            assert_eq!(day_of_date_time(&format!("2025-04-07{time}")), None, "{time}");
        }
        assert_eq!(day_of_date_time("2025-02-30T10:00"), None);
        assert_eq!(day_of_date_time("2025-4-7T10:00"), None);
    }
}
