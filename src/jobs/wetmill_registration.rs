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

use crate::jobs::form::{Form, Labels, find_label};
use crate::jobs::wetmill::{Attachments, calendar_date, digits, error, find, point, required, text};
use crate::jobs::{Facts, MapError};
use crate::plan::Plan;
use crate::plan::rows::{Mill, Rows};

const DETAILS: &str = "form.wet_mill_details";

const ET: &str = "Wet Mill Registration - ET";
const KE: &str = "Wet Mill Registration - KE";
const BU: &str = "Wet Mill Registration - BU";

/// Labels by survey type.
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

pub(super) fn map(payload: &Value, facts: &Facts) -> Result<Plan, MapError> {
    // The order of these four is the order in which errors are reported.
    let wet_mill_unique_id = required(payload, "form.wetmill_tns_id")?;
    let commcare_case_id = required(payload, "form.subcase_0.case.@case_id")?;
    let registration_date = day(payload, "form.registration_date")?;
    let date_ba_signature = day(payload, "form.date_ba_signature")?;
    let form = Form::new(payload, facts);
    let survey_type = find(payload, "form.survey_type").and_then(Value::as_str).unwrap_or_default();
    let detail = |name: &str| text(payload, &format!("{DETAILS}.{name}"));
    let choice = |name: &str, labels| label(&form, payload, name, labels);
    let files = Attachments::new(payload, facts);
    let attachment = |name: &str| files.url(find(payload, &format!("{DETAILS}.{name}")));
    let manager_role = match code(payload, "manager_role") {
        Some(OTHER_ROLE) => detail("manager_role_other")?.map(Cow::Owned),
        _ => Some(Cow::Borrowed(choice("manager_role", of_survey(ROLE, survey_type)).unwrap_or("undefined"))),
    };
    let mill = Mill {
        wet_mill_unique_id,
        commcare_case_id,
        name: detail("mill_registered_name")?,
        mill_status: choice("mill_status", of_survey(STATUS, survey_type)).unwrap_or("undefined"),
        exporting_status: choice("exporting_status", Some(EXPORTING)).unwrap_or("Undefined"),
        vertical_integration: choice("vertical_integration", Some(VERTICAL_INTEGRATION))
            .unwrap_or("Undefined"),
        manager_name: detail("manager_name")?,
        manager_role,
        programme: text(payload, "form.programme")?,
        country: text(payload, "form.country")?,
        comments: detail("comments")?,
        ba_signature: attachment("ba_signature"),
        manager_signature: attachment("manager_signature"),
        tor_page_picture: attachment("tor_page_picture"),
        office_entrance_picture: attachment("office_entrance_picture"),
        registration_date,
        date_ba_signature,
        office_gps: point(find(payload, &format!("{DETAILS}.office_gps"))),
        project_role: find(payload, "form.subcase_0.case.index.parent.#text")
            .and_then(Value::as_str)
            .filter(|role| !role.is_empty())
            .map(str::to_owned),
    };
    Ok(Plan::postgis(Rows::Mill(Box::new(mill))).reporting(form.unmapped()))
}

fn of_survey(tables: BySurvey, survey_type: &str) -> Option<Labels> {
    tables.iter().find(|(survey, _)| *survey == survey_type).map(|(_, labels)| *labels)
}

/// The code of one of the mill's details.
fn code<'p>(payload: &'p Value, name: &str) -> Option<&'p str> {
    find(payload, &format!("{DETAILS}.{name}")).and_then(Value::as_str)
}

/// The label of a detail. A code that `labels` lacks is remembered.
fn label(form: &Form, payload: &Value, name: &str, labels: Option<Labels>) -> Option<&'static str> {
    let (code, labels) = (code(payload, name)?, labels?);
    let label = find_label(labels, code);
    if label.is_none() {
        form.remember_unmapped(&format!("{DETAILS}.{name}"), code);
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
